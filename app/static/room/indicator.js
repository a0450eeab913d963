// The recording indicator: the same words, place and red dot for everyone; it says what is true, not what was asked.

import { _ } from "../js/words.js";

/** @typedef {import("./protocol.js").Room} Room */

const NAMES = { camera: _("video"), voice: _("voice"), screen: _("screen"), screen_sound: _("sound of the screen") };

export class Indicator {
  #place;
  #words;
  #time;
  #since = 0;
  #said = "";

  /** @param {HTMLElement} place with a [data-words] (announced) and a [data-time] (not announced) inside */
  constructor(place) {
    this.#place = place;
    this.#words = /** @type {HTMLElement} */ (place.querySelector("[data-words]"));
    this.#time = /** @type {HTMLElement} */ (place.querySelector("[data-time]"));
    setInterval(() => this.#tick(), 1000);
  }

  /** @param {Room} room @param {boolean} everyone true: any recorded stream counts (members); false: only one's own */
  show(room, everyone) {
    const counted = room.streams.filter((stream) => everyone || stream.person === room.you.person);
    const kinds = [...new Set(counted.flatMap((stream) => stream.recorded))];
    const recording = room.recording === "on" && room.session === "live" && kinds.length > 0;
    this.#place.dataset["state"] = recording ? "recording" : room.recording === "on" ? "expected" : "off";
    this.#since = recording && room.recording_since ? Date.parse(room.recording_since) : 0;
    this.#say(recording ? _("Recording: %(kinds)s", { kinds: listed(kinds.map((kind) => NAMES[kind])) }) : why(room, everyone));
    this.#tick();
  }

  /** This person has left. */
  left() {
    this.#place.dataset["state"] = "off";
    this.#since = 0;
    this.#say(_("You have left. Nothing of you is recorded."));
    this.#tick();
  }

  /** The server is not heard: nothing can be promised. */
  unknown() {
    this.#place.dataset["state"] = "unknown";
    this.#since = 0;
    this.#say(_("Not connected. Recording stops by itself within two seconds when the server cannot be reached."));
    this.#tick();
  }

  /** @param {string} words */
  #say(words) {
    if (words === this.#said) return; // screen readers hear changes only
    this.#said = this.#words.textContent = words;
  }

  #tick() {
    const seconds = this.#since ? Math.max(0, Math.floor((Date.now() - this.#since) / 1000)) : 0;
    const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
    const clock = `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
    this.#time.textContent = this.#since ? clock : "";
  }
}

/** @param {Room} room @param {boolean} everyone */
function why(room, everyone) {
  if (room.session === "ended") return _("The session has ended. Nothing is recorded.");
  if (room.recording === "off") return _("Not recording");
  if (room.recording === "paused") return _("Recording is paused");
  if (!room.media) return _("Recording is on, but the media server cannot be reached.");
  if (!everyone && room.you.paused) return _("You paused your recording");
  return everyone
    ? _("Recording is on, but nothing arrives at the moment.")
    : _("Recording is on; nothing of you is recorded now.");
}

/** @param {string[]} words */
function listed(words) {
  return words.length < 2 ? (words[0] ?? "") : _("%(first)s and %(last)s", { first: words.slice(0, -1).join(", "), last: words.at(-1) });
}
