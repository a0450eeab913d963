// The camera and the microphone that are open here: at most one of each, and each the one that was chosen.
import { Choice } from "./choice.js";
import { openDevices } from "./devices.js";

/** @typedef {import("./devices.js").Device} Device */

const KINDS = /** @type {const} */ ({ camera: "video", microphone: "audio" });
const SENT_AS = { camera: "camera", microphone: "voice" };

export class Opened {
  media = new MediaStream();
  #muted = false; // what the person chose: a microphone that is opened later keeps to it
  /** @type {Set<Device>} */
  #wanted = new Set(); // switched on; one that is unplugged is wanted still
  /** @type {Set<string>|null} */
  #may = null; // null: the server has not said yet
  #turn = 0; // devices that come once another turn has begun are switched off at once
  #changed;
  #choice = new Choice({
    track: (device) => this.track(device),
    wants: (device) => this.#wanted.has(device),
    may: (device) => !this.#may || this.#may.has(SENT_AS[device]),
    take: (device, track) => this.#take(device, track),
  });

  /** @param {(kind: "audio"|"video", track: MediaStreamTrack|null) => void} changed told while the one before still runs */
  constructor(changed) {
    this.#changed = changed;
  }

  get muted() {
    return this.#muted;
  }

  /** @param {Device} device */
  track(device) {
    return this.media.getTracks().find((track) => track.kind === KINDS[device]) ?? null;
  }

  /**
   * Close what is open, and ask anew. A person who had muted themselves stays muted.
   * @param {import("./devices.js").Wanted} wanted
   * @returns {Promise<string|null>} what is missing, in words; null: it came when nobody wanted it any more, and is off
   */
  async open(wanted) {
    this.close();
    const turn = this.#turn;
    const { media, trouble } = await openDevices(wanted, this.#choice.used);
    if (turn !== this.#turn) return stop(media);
    if (wanted.audio) this.#wanted.add("microphone");
    if (wanted.video) this.#wanted.add("camera");
    return this.#takeAll(media, trouble);
  }

  /** The camera beside what is open. @returns {Promise<string|null>} as open() says it */
  async openCamera() {
    const turn = (this.#turn += 1);
    this.#wanted.add("camera");
    const { media, trouble } = await openDevices({ video: true, audio: false }, this.#choice.used);
    if (turn !== this.#turn || this.track("camera")) return stop(media);
    return this.#takeAll(media, trouble);
  }

  /** @param {Device} device */
  off(device) {
    this.#wanted.delete(device);
    this.#take(device, null);
  }

  /** What is not allowed any more is off. @param {Set<string>} may @returns {boolean} that was the last */
  keepOnly(may) {
    this.#may = may;
    if (!may.has("camera")) this.#turn += 1; // one that is being opened comes too late
    const some = this.media.getTracks().length > 0;
    for (const device of /** @type {const} */ (["camera", "microphone"])) if (!may.has(SENT_AS[device])) this.off(device);
    this.#choice.draw();
    return some && !this.media.getTracks().length;
  }

  /** Everything is off, also what is only being opened. */
  close() {
    this.#turn += 1;
    this.off("camera");
    this.off("microphone");
    this.#choice.draw();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#muted = muted;
    const voice = this.track("microphone");
    if (voice) voice.enabled = !muted;
  }

  /** @param {MediaStream} media @param {string} trouble */
  #takeAll(media, trouble) {
    for (const track of media.getTracks()) this.#take(track.kind === "audio" ? "microphone" : "camera", track);
    void this.#choice.opened();
    return trouble;
  }

  /** Instead of the one before. @param {Device} device @param {MediaStreamTrack|null} track */
  #take(device, track) {
    const old = this.track(device);
    if (old === track) return;
    if (old) this.media.removeTrack(old);
    if (track) this.media.addTrack(track);
    if (track) track.onended = () => this.#lose(device, track);
    this.mute(this.#muted);
    this.#changed(KINDS[device], track);
    old?.stop(); // the camera's light goes out
  }

  /** @param {Device} device @param {MediaStreamTrack} track */
  #lose(device, track) {
    if (this.track(device) !== track) return;
    this.#take(device, null);
    void this.#choice.lost(device);
  }
}

/** @param {MediaStream} media @returns {null} */
function stop(media) {
  media.getTracks().forEach((track) => track.stop());
  return null;
}
