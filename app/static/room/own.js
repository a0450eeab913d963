// One's own camera and microphone: opened, sent, muted, switched off. Buttons and pictures are drawn from the tracks
// themselves, so they cannot say anything but what is so.
import { _ } from "../js/words.js";
import { openDevices } from "./devices.js";
import { box, button, part, say } from "./page.js";
import { Publishing } from "./publishing.js";

export class Own {
  #session;
  #trouble;
  #pictures;
  #media = new MediaStream();
  /** @type {Publishing|null} */
  #sending = null;
  #sends = false;
  #lost = false;
  #muted = false; // what the person chose: a microphone that is opened later keeps to it
  #turn = 0; // devices that come once another turn has begun are switched off at once

  /** @param {string} session @param {HTMLElement} trouble where problems are said @param {string[]} pictures ids of players */
  constructor(session, trouble, pictures) {
    this.#session = session;
    this.#trouble = trouble;
    this.#pictures = pictures.map((id) => part(id, HTMLVideoElement));
    button("mute").onclick = () => this.mute(!this.#muted);
    button("camera").onclick = () => void (this.cameraOn ? this.#cameraOff() : this.#openCamera());
  }

  get voice() {
    return this.#media.getAudioTracks()[0] ?? null;
  }

  get cameraOn() {
    return this.#media.getVideoTracks().length > 0;
  }

  get muted() {
    return this.#muted;
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
    this.#stop();
    const turn = this.#turn;
    const { media, trouble } = await openDevices(wanted);
    if (turn !== this.#turn) return stop(media);
    this.#media = media;
    this.mute(this.#muted);
    return trouble;
  }

  /** Send what is open, and what is opened from now on. */
  send() {
    this.#sends = true;
    if (this.#sending || !this.#media.getTracks().length) return;
    this.#sending = new Publishing({
      session: this.#session,
      stream: "camera",
      tracks: this.#media.getTracks(),
      onState: (state, reason) => this.#tell(state, reason),
    });
  }

  /** Whether the server sees us, and its media process answers. @param {boolean} seen @param {boolean} answers */
  told(seen, answers) {
    this.#sending?.told(seen, answers);
  }

  /** What is not allowed any more is switched off here too. @param {Set<string>} may */
  keepOnly(may) {
    if (!may.has("camera")) this.#turn += 1; // one that is being opened comes too late
    const gone = this.#media.getTracks().filter((track) => !may.has(track.kind === "audio" ? "voice" : "camera"));
    for (const track of gone) void this.#drop(track);
    if (gone.length && !this.#media.getTracks().length) this.hangUp();
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
    this.#stop();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#muted = muted;
    if (this.voice) this.voice.enabled = !muted;
    this.#draw();
  }

  async #openCamera() {
    const turn = (this.#turn += 1);
    const { media, trouble } = await openDevices({ video: true, audio: false });
    if (turn !== this.#turn) return void stop(media);
    say(this.#trouble, trouble);
    for (const track of media.getTracks()) {
      this.#media.addTrack(track);
      this.#draw(); // first: on a connection that is lost just now the next line never returns
      await this.#sending?.replace("video", track);
    }
    if (this.#sends) this.send();
  }

  async #cameraOff() {
    await Promise.all(this.#media.getVideoTracks().map((track) => this.#drop(track)));
  }

  /** @param {MediaStreamTrack} track */
  async #drop(track) {
    track.stop(); // the camera's light goes out
    this.#media.removeTrack(track);
    this.#draw();
    await this.#sending?.replace(track.kind === "audio" ? "audio" : "video", null);
  }

  #stop() {
    this.#turn += 1;
    stop(this.#media);
    this.#media = new MediaStream();
    this.#draw();
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
    const source = this.cameraOn ? this.#media : null; // a player given nothing to show keeps the browser loading for ever
    for (const player of this.#pictures) {
      if (player.srcObject !== source) player.srcObject = source;
      player.hidden = !source;
    }
  }
}

/** @param {MediaStream} media @returns {null} */
function stop(media) {
  media.getTracks().forEach((track) => track.stop());
  return null;
}
