// Sharing a screen, a window or a tab with its sound, until it is stopped here, in the browser's own bar, or by the server.
import { _ } from "../js/words.js";
import { say } from "./page.js";
import { Publishing } from "./publishing.js";

/** Phones and some browsers on computers do not. */
export const canShare = () => Boolean(navigator.mediaDevices?.getDisplayMedia);

export class ScreenShare {
  #session;
  #button;
  #trouble;
  /** @type {MediaStream|null} */
  #media = null;
  /** @type {Publishing|null} */
  #publishing = null;
  #turn = 0; // a screen that is chosen once another turn has begun is not shared

  /** @param {string} session @param {HTMLButtonElement} control @param {HTMLElement} trouble where problems are said */
  constructor(session, control, trouble) {
    this.#session = session;
    this.#button = control;
    this.#trouble = trouble;
    control.onclick = () => void (this.#publishing ? this.stop() : this.#start());
  }

  get on() {
    return this.#publishing !== null;
  }

  /** @param {import("./protocol.js").Room} room */
  show(room) {
    const may = room.you.may_publish.includes("screen");
    this.#button.hidden = !may || !canShare();
    if (!may) this.stop();
    const seen = room.streams.some((one) => one.person === room.you.person && one.stream === "screen");
    this.#publishing?.told(seen, room.media);
  }

  stop() {
    this.#turn += 1;
    this.#publishing?.close();
    this.#publishing = null;
    this.#media?.getTracks().forEach((track) => track.stop());
    this.#media = null;
    this.#button.textContent = _("Share my screen");
  }

  async #start() {
    const turn = (this.#turn += 1);
    const media = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: true }).catch(() => null);
    if (turn !== this.#turn) return media?.getTracks().forEach((track) => track.stop());
    if (!media) return say(this.#trouble, _("No screen is shared."));
    say(this.#trouble, "");
    this.#media = media;
    const tracks = media.getTracks();
    tracks.forEach((track) => (track.onended = () => this.stop()));
    this.#publishing = new Publishing({
      session: this.#session,
      stream: "screen",
      tracks,
      onState: (state, reason) => {
        if (state === "refused" || state === "lost") say(this.#trouble, _("Your screen does not arrive: %(reason)s", { reason }));
        if (state === "refused") this.stop();
      },
    });
    this.#button.textContent = _("Stop sharing my screen");
  }
}
