// What the server tells the room's page (PROTOCOL.md): types, and the WebSocket that reconnects by itself.
import { _ } from "../js/words.js";
import { Pace } from "./pace.js";

/** @typedef {"camera"|"voice"|"screen"|"screen_sound"} TrackKind */
/** @typedef {"camera"|"screen"} StreamKind */

/**
 * @typedef {object} Person
 * @property {string} person
 * @property {string} name
 * @property {"owner"|"researcher"|"observer"|"participant"} role an observer is named to themselves only
 * @property {boolean} present their page is open
 * @property {boolean} admitted
 * @property {boolean} paused they paused their own recording
 * @property {boolean} asked_again they have not yet agreed to a text that changed
 */

/**
 * @typedef {object} Health how well a stream arrives and is stored
 * @property {"good"|"weak"|"not stored"} word
 * @property {("nothing arrives"|"packets are lost"|"few pictures"|"no room"|"nothing is kept"|"storing is late")[]} why
 * @property {number} bits_per_second
 * @property {number} lost share of packets, after repair
 * @property {number} fps
 * @property {number|null} level dBov, 0 is loudest; null: cannot be known
 * @property {number} silent_s nothing heard from the microphone for so long
 */

/**
 * @typedef {object} Stream
 * @property {string} recording
 * @property {number} take changes when the stream is published anew
 * @property {string} person
 * @property {StreamKind} stream
 * @property {TrackKind[]} kinds
 * @property {TrackKind[]} recorded kinds being captured at this moment
 * @property {"idle"|"waiting"|"recording"|"full"|"closed"} state
 * @property {number} fps
 * @property {string|null} stored_up_to
 * @property {Health|null} health told to owners and researchers
 */

/**
 * @typedef {object} Room
 * @property {"room"} type
 * @property {"scheduled"|"live"|"ended"} session
 * @property {"off"|"on"|"paused"} recording
 * @property {string|null} recording_since
 * @property {{person: string, role: string, admitted: boolean, paused: boolean, records_self: boolean, may_publish: TrackKind[], asked_again: boolean}} you
 * @property {Person[]} people
 * @property {Stream[]} streams those you may see, and your own
 * @property {number} observers
 * @property {boolean} media the media server answers
 * @property {string|null} stored_up_to
 * @property {string|null} storing_trouble
 */

/** @type {Record<number, string>} why the server closes, by its code (PROTOCOL.md) */
const REASONS = {
  4403: _("This page is not open to you any more. Reload it to see why."),
  4429: _("This page was opened too often in a short time. It tries again by itself."),
};
const REFUSED_AGAIN_MS = 5_000;
const SILENCE_MS = 10_000; // the server says something at least every 5 s

/** The room as the server sees it, told again after every loss of the connection. */
export class Events {
  #url;
  #onRoom;
  #onState;
  #pace = new Pace();
  /** @type {WebSocket|null} */
  #socket = null;
  #silence = 0;
  #closed = false;

  /**
   * @param {string} path
   * @param {(room: Room) => void} onRoom
   * @param {(connected: boolean, reason: string) => void} onState reason: the server's, where it gave one
   */
  constructor(path, onRoom, onState) {
    this.#url = new URL(path, location.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#onRoom = onRoom;
    this.#onState = onState;
    addEventListener("online", () => this.#pace.hurry());
    void this.#run();
  }

  close() {
    this.#closed = true;
    this.#pace.hurry();
    this.#socket?.close();
  }

  async #run() {
    while (!this.#closed) {
      const code = await this.#once();
      if (this.#closed) return;
      this.#onState(false, REASONS[code] ?? "");
      await this.#pace.wait(code in REASONS ? REFUSED_AGAIN_MS : 0);
    }
  }

  /** One connection, from opening to its end. @returns {Promise<number>} the code it was closed with, 0 without one */
  #once() {
    return new Promise((done) => {
      const socket = (this.#socket = new WebSocket(this.#url));
      const over = (/** @type {Event|undefined} */ event) => {
        clearTimeout(this.#silence);
        removeEventListener("offline", over);
        socket.onmessage = socket.onclose = null; // a closing that nobody answers takes browsers ten seconds more
        socket.close();
        done(event instanceof CloseEvent ? event.code : 0);
      };
      const stillThere = () => {
        clearTimeout(this.#silence);
        this.#silence = setTimeout(() => over(undefined), SILENCE_MS);
      };
      stillThere();
      addEventListener("offline", over);
      socket.onmessage = (event) => {
        stillThere();
        this.#pace.reset();
        const message = JSON.parse(event.data);
        this.#onState(true, "");
        if (message.type === "room") this.#onRoom(message);
      };
      socket.onclose = over;
    });
  }
}
