// Tiles: one peer connection and one picture per stream that we may see.
import { _ } from "../js/words.js";
import { Connection } from "./connection.js";
import { say } from "./page.js";

/** @typedef {import("./protocol.js").Stream} Stream */

/** @typedef {{take: number, connection: Connection, figure: HTMLElement, caption: HTMLElement}} Tile */

const PICTURES = new Set(["camera", "screen"]);

export class Viewing {
  #session;
  #place;
  /** @type {Map<string, Tile>} */
  #tiles = new Map();

  /** @param {string} session @param {HTMLElement} place */
  constructor(session, place) {
    this.#session = session;
    this.#place = place;
    for (const touch of ["click", "keydown"]) addEventListener(touch, () => this.#playAll());
  }

  /** Show exactly these. @param {Stream[]} streams @param {(stream: Stream) => string} nameOf */
  show(streams, nameOf) {
    const wanted = new Map(streams.map((stream) => [stream.recording, stream]));
    for (const [recording, tile] of this.#tiles) {
      const stream = wanted.get(recording);
      if (stream && stream.take === tile.take) continue;
      tile.connection.close();
      tile.figure.remove();
      this.#tiles.delete(recording);
    }
    for (const stream of streams) {
      const tile = this.#tiles.get(stream.recording) ?? this.#add(stream);
      const name = nameOf(stream);
      if (tile.caption.textContent !== name) tile.caption.textContent = name;
      tile.figure.querySelector("video")?.setAttribute("aria-label", name);
    }
    this.#place.dataset["count"] = String(this.#tiles.size);
  }

  close() {
    this.show([], () => "");
  }

  /** A browser plays no sound before the page was touched; a touch anywhere is enough for all. */
  #playAll() {
    for (const video of this.#place.querySelectorAll("video")) {
      if (video.paused && video.srcObject) video.play().catch(() => {});
    }
  }

  /** @param {Stream} stream @returns {Tile} */
  #add(stream) {
    const figure = document.createElement("figure");
    figure.className = "tile";
    figure.dataset["stream"] = stream.stream;
    figure.classList.toggle("voice-only", !stream.kinds.some((kind) => PICTURES.has(kind)));
    const video = document.createElement("video");
    video.autoplay = true;
    video.playsInline = true;
    const caption = document.createElement("figcaption");
    const trouble = document.createElement("p");
    trouble.className = "notice";
    trouble.hidden = true;
    const begin = document.createElement("button");
    begin.className = "begin";
    begin.textContent = _("Play picture and sound");
    begin.hidden = true;
    video.onplaying = () => (begin.hidden = true);
    figure.append(video, caption, trouble, begin);
    this.#place.append(figure);
    const media = new MediaStream();
    const connection = new Connection({
      url: `/whep/${stream.recording}`,
      iceUrl: `/rooms/${this.#session}/ice`,
      prepare: (peer) => {
        for (const old of media.getTracks()) media.removeTrack(old);
        peer.addTransceiver("video", { direction: "recvonly" });
        peer.addTransceiver("audio", { direction: "recvonly" });
        peer.ontrack = (event) => {
          media.addTrack(event.track);
          if (!video.srcObject) video.srcObject = media; // not before: an empty one keeps the browser loading
          video.play().catch((error) => (begin.hidden = error.name !== "NotAllowedError" || !video.paused));
        };
      },
      onState: (state, reason) => {
        figure.dataset["state"] = state;
        if (state === "connecting") return; // what was wrong stands until it is over, so that it can be read
        const words = state === "lost" ? _("%(reason)s Trying again by itself.", { reason }) : reason;
        say(trouble, words);
      },
    });
    const tile = { take: stream.take, connection, figure, caption };
    this.#tiles.set(stream.recording, tile);
    return tile;
  }
}
