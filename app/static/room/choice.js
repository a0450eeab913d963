// Which camera and which microphone is used: what there is to choose from, and the lists it is chosen in.
// No choice outlives the page, and neither names nor ids of devices leave the browser.
import { _ } from "../js/words.js";
import { openChosen } from "./devices.js";
import { box, say } from "./page.js";

/** @typedef {import("./devices.js").Device} Device */
/** @typedef {{id: string, group: string, label: string}} Choosable */

/**
 * @typedef {object} InUse whoever has the devices open
 * @property {(device: Device) => MediaStreamTrack|null} track
 * @property {(device: Device) => boolean} wants it should be open now
 * @property {(device: Device) => boolean} may it may be open
 * @property {(device: Device, track: MediaStreamTrack|null) => void} take instead of the one before
 */

const DEVICES = /** @type {const} */ (["camera", "microphone"]);
const KINDS = { camera: "videoinput", microphone: "audioinput" };
const STAND_INS = ["default", "communications"]; // listed beside the device they stand for
const LOST = {
  camera: _("Your camera is not connected any more. Plug it in again and choose it, or choose another one."),
  microphone: _("Your microphone is not connected any more. Plug it in again and choose it, or choose another one."),
};

/**
 * One line for each device that a person can tell apart; none before the browser gave permission.
 * @param {readonly MediaDeviceInfo[]} known
 * @param {Device} device
 * @returns {Choosable[]}
 */
export function choosable(known, device) {
  const listed = known.filter((one) => one.kind === KINDS[device] && one.deviceId);
  const real = new Set(listed.filter((one) => !STAND_INS.includes(one.deviceId)).map((one) => one.groupId));
  const shown = listed.filter((one) => !STAND_INS.includes(one.deviceId) || !real.has(one.groupId));
  const labels = shown.map((one, n) => one.label || numbered(device, n + 1));
  return shown.map((one, n) => {
    const same = labels.slice(0, n).filter((label) => label === labels[n]).length;
    return { id: one.deviceId, group: one.groupId, label: same ? `${labels[n]} (${same + 1})` : `${labels[n]}` };
  });
}

/** @param {Device} device @param {number} n */
function numbered(device, n) {
  return device === "camera" ? _("Camera %(n)s", { n }) : _("Microphone %(n)s", { n });
}

export class Choice {
  /** Ids of those used last, to be opened first. @type {Record<Device, string>} */
  used = { camera: "", microphone: "" };
  #inUse;
  /** @type {MediaDeviceInfo[]} */
  #known = [];
  #words = { camera: "", microphone: "" };
  #turns = { camera: 0, microphone: 0 }; // only the last choice counts
  #looks = 0;

  /** @param {InUse} inUse */
  constructor(inUse) {
    this.#inUse = inUse;
    for (const device of DEVICES) {
      for (const list of lists(device)) list.onchange = () => void this.#choose(device, list.value);
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#look());
  }

  /** Devices were opened: what was said of them is over, and the browser may name them now. */
  opened() {
    for (const device of DEVICES) if (this.#inUse.track(device)) this.#words[device] = "";
    return this.#look();
  }

  /** It was unplugged, or the browser took it away. @param {Device} device */
  lost(device) {
    this.#words[device] = LOST[device];
    for (const part of folded()) part.open = true;
    return this.#look();
  }

  draw() {
    for (const device of DEVICES) this.#drawOne(device);
    for (const part of folded()) part.hidden = !part.querySelector("label:not([hidden])");
    say(box("device-told"), Object.values(this.#words).filter(Boolean).join(" "));
  }

  /** @param {Device} device */
  #drawOne(device) {
    const wanted = this.#inUse.wants(device);
    if (!wanted) this.#words[device] = "";
    const some = choosable(this.#known, device);
    const now = this.#inUse.track(device)?.getSettings();
    const open = now && (some.find((one) => one.id === now.deviceId) ?? some.find((one) => one.group === now.groupId));
    if (open) this.used[device] = open.id;
    const missing = wanted && !now;
    const chosen = now ? open?.id : missing ? "" : some.find((one) => one.id === this.used[device])?.id;
    for (const list of lists(device)) {
      fill(list, some, chosen ?? "");
      const label = /** @type {HTMLElement} */ (list.parentElement);
      label.hidden = some.length < (missing ? 1 : 2) || !this.#inUse.may(device);
    }
  }

  /** @param {Device} device @param {string} id */
  async #choose(device, id) {
    const old = this.#inUse.track(device);
    const turn = (this.#turns[device] += 1);
    this.used[device] = id;
    if (!this.#inUse.wants(device)) return this.draw(); // it is opened when it is switched on
    const { track, trouble } = await openChosen(device, id, old);
    if (turn !== this.#turns[device] || this.#inUse.track(device) !== old || !this.#inUse.wants(device)) {
      return track?.stop();
    }
    if (track || old?.readyState === "ended") this.#inUse.take(device, track);
    const kept = trouble && this.#inUse.track(device) ? _("The one you had is still in use.") : "";
    this.#words[device] = [trouble, kept].filter(Boolean).join(" ");
    this.draw();
    await this.#look();
  }

  async #look() {
    const turn = (this.#looks += 1);
    const known = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    if (turn !== this.#looks) return;
    this.#known = known;
    this.draw();
  }
}

/** @param {Device} device @returns {NodeListOf<HTMLSelectElement>} */
const lists = (device) => document.querySelectorAll(`[data-choose="${device}"] select`);

/** @returns {NodeListOf<HTMLDetailsElement>} */
const folded = () => document.querySelectorAll("details.choices");

/** @param {HTMLSelectElement} list @param {Choosable[]} some @param {string} chosen "": none yet */
function fill(list, some, chosen) {
  const options = some.map((one) => new Option(one.label, one.id));
  if (!chosen) {
    const none = new Option(_("Choose one"), "");
    none.disabled = none.hidden = true;
    options.unshift(none);
  }
  const same = options.length === list.length && options.every((one, n) => list[n]?.isEqualNode(one));
  if (!same) list.replaceChildren(...options); // drawn anew it closes under the hand
  list.value = chosen;
}
