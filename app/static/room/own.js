// One's own camera and microphone: sent, muted, switched off. Buttons and pictures are drawn from the tracks
// themselves, so they cannot say anything but what is so.
import { _ } from "../js/words.js";
import { Opened } from "./opened.js";
import { box, button, part, say } from "./page.js";
import { Publishing } from "./publishing.js";

export class Own {
  #session;
  #trouble;
  #pictures;
  #onVoice;
  #opened = new Opened((kind, track) => this.#follow(kind, track));
  /** @type {Publishing|null} */
  #sending = null;
  #sends = false;
  #lost = false;

  /**
   * @param {string} session
   * @param {HTMLElement} trouble where problems are said
   * @param {string[]} pictures ids of players
   * @param {(voice: MediaStreamTrack|null) => void} onVoice another microphone is in use, or none
   */
  constructor(session, trouble, pictures, onVoice = () => {}) {
    this.#session = session;
    this.#trouble = trouble;
    this.#pictures = pictures.map((id) => part(id, HTMLVideoElement));
    this.#onVoice = onVoice;
    button("mute").onclick = () => this.mute(!this.muted);
    button("camera").onclick = () => void (this.cameraOn ? this.#opened.off("camera") : this.#openCamera());
  }

  get voice() {
    return this.#opened.track("microphone");
  }

  get cameraOn() {
    return this.#opened.track("camera") !== null;
  }

  get muted() {
    return this.#opened.muted;
  }

  get sending() {
    return this.#sending !== null;
  }

  /**
   * Close what is open, and ask anew. A person who had muted themselves stays muted.
   * @param {import("./devices.js").Wanted} wanted
   * @returns {Promise<string|null>} what is missing, in words; null: it came when nobody wanted it any more, and is off
   */
  async open(wanted) {
    const missing = await this.#opened.open(wanted);
    this.#draw();
    return missing;
  }

  /** Send what is open, and what is opened from now on. */
  send() {
    this.#sends = true;
    const tracks = this.#opened.media.getTracks();
    if (this.#sending || !tracks.length) return;
    this.#sending = new Publishing({
      session: this.#session,
      stream: "camera",
      tracks,
      onState: (state, reason) => this.#tell(state, reason),
    });
  }

  /** Whether the server sees us, and its media process answers. @param {boolean} seen @param {boolean} answers */
  told(seen, answers) {
    this.#sending?.told(seen, answers);
  }

  /** What is not allowed any more is switched off here too. @param {Set<string>} may */
  keepOnly(may) {
    if (this.#opened.keepOnly(may)) this.hangUp();
  }

  /** Nothing is sent any more; the devices stay open. */
  hangUp() {
    this.#sends = false;
    this.#sending?.close();
    this.#sending = null;
  }

  /** Nothing is sent and every device is off, also one that is only being opened. */
  close() {
    this.hangUp();
    this.#opened.close();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#opened.mute(muted);
    this.#draw();
  }

  async #openCamera() {
    const missing = await this.#opened.openCamera();
    if (missing !== null) say(this.#trouble, missing);
  }

  /** What is sent follows what is open, within the same take. @param {"audio"|"video"} kind @param {MediaStreamTrack|null} track */
  #follow(kind, track) {
    this.#draw(); // first: on a connection that is lost just now the next line never returns
    void this.#sending?.replace(kind, track);
    if (kind === "audio") this.#onVoice(track);
    if (this.#sends) this.send();
  }

  /** @param {import("./connection.js").State} state @param {string} reason */
  #tell(state, reason) {
    box("room").dataset["camera"] = state;
    const lost = state === "refused" || state === "lost";
    if (lost) say(this.#trouble, _("Your picture and voice do not arrive: %(reason)s", { reason }));
    else if (this.#lost) say(this.#trouble, "");
    this.#lost = lost;
  }

  #draw() {
    button("mute").hidden = !this.voice;
    button("mute").textContent = this.voice?.enabled ? _("Mute") : _("Unmute");
    button("camera").textContent = this.cameraOn ? _("Camera off") : _("Camera on");
    const source = this.cameraOn ? this.#opened.media : null; // a player given nothing to show keeps the browser loading for ever
    const outward = this.#opened.track("camera")?.getSettings().facingMode === "environment";
    for (const player of this.#pictures) {
      if (player.srcObject !== source) player.srcObject = source;
      player.hidden = !source;
      player.classList.toggle("outward", outward);
    }
  }
}
