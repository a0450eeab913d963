// How well each stream arrives and is stored, for who leads the session: a word a line, numbers behind it.
import { _ } from "../js/words.js";

/** @typedef {import("./protocol.js").Room} Room */
/** @typedef {import("./protocol.js").Stream} Stream */
/** @typedef {import("./protocol.js").Health} Numbers */

const WORDS = { good: _("good"), weak: _("weak"), "not stored": _("not being stored") };
const WHY = {
  "no room": _("The server's disk is full. It goes on by itself when there is room."),
  "storing is late": _("It waits sealed on the server until the object store takes it."),
  "nothing is kept": _("Something arrives, but nothing of it can be kept yet."),
  "nothing arrives": _("Nothing arrives at the moment."),
  "packets are lost": _("Parts are lost on their way and cannot be repaired."),
  "few pictures": _("Only a few pictures a second arrive."),
};
const SILENT_AFTER_S = 10;

export class Health {
  #place;
  #told;
  /** @type {Map<string, Line>} */
  #lines = new Map();

  /** @param {HTMLElement} place with a list inside @param {HTMLElement} told announced */
  constructor(place, told) {
    this.#place = place;
    this.#told = told;
  }

  /** @param {Room} now @param {(one: Stream) => string} named @param {boolean} muted one's own microphone */
  show(now, named, muted) {
    const shown = now.session === "live" ? now.streams.filter((one) => one.health) : [];
    const list = /** @type {HTMLElement} */ (this.#place.querySelector("ul"));
    const gone = new Set(this.#lines.keys());
    const changes = [];
    for (const stream of shown) {
      gone.delete(stream.recording);
      const line = this.#lines.get(stream.recording) ?? new Line(list);
      this.#lines.set(stream.recording, line);
      const own = stream.person === now.you.person;
      const name = own ? _("%(name)s (you)", { name: named(stream) }) : named(stream);
      const change = line.show(stream, /** @type {Numbers} */ (stream.health), now, name, own && muted);
      if (change) changes.push(change);
    }
    for (const recording of gone) {
      this.#lines.get(recording)?.remove();
      this.#lines.delete(recording);
    }
    this.#place.hidden = !shown.length;
    if (changes.length) this.#told.textContent = changes.join(" ");
  }
}

/** One stream's line; it stays, so that what is opened stays open. */
class Line {
  #line = document.createElement("li");
  #name = document.createElement("span");
  #word = document.createElement("span");
  #numbers = document.createElement("dl");
  #notice = document.createElement("p");
  #said = "";

  /** @param {HTMLElement} list */
  constructor(list) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    this.#word.className = "word";
    this.#notice.className = "notice";
    summary.append(this.#name, this.#word);
    details.append(summary, this.#numbers);
    this.#line.append(details, this.#notice);
    list.append(this.#line);
  }

  remove() {
    this.#line.remove();
  }

  /**
   * @param {Stream} stream @param {Numbers} health @param {Room} now @param {string} name @param {boolean} muted
   * @returns {string} what screen readers shall hear: nothing but a change
   */
  show(stream, health, now, name, muted) {
    const silent = !muted && health.silent_s >= SILENT_AFTER_S && stream.kinds.includes("voice");
    const notices = [...health.why.map((why) => WHY[why]), ...(silent ? [silentFor(health.silent_s)] : [])];
    this.#line.dataset["word"] = health.word;
    put(this.#name, name);
    put(this.#word, WORDS[health.word]);
    put(this.#notice, notices.join(" "));
    this.#notice.hidden = !notices.length;
    this.#draw(rows(stream, health, now));
    const said = `${health.word} ${silent}`;
    const changed = this.#said !== "" && this.#said !== said;
    this.#said = said;
    return changed ? `${name}: ${WORDS[health.word]}.${silent ? ` ${silentFor(SILENT_AFTER_S)}` : ""}` : "";
  }

  /** @param {[string, string][]} facts */
  #draw(facts) {
    while (this.#numbers.children.length < 2 * facts.length) {
      this.#numbers.append(document.createElement("dt"), document.createElement("dd"));
    }
    while (this.#numbers.children.length > 2 * facts.length) this.#numbers.lastElementChild?.remove();
    facts.flat().forEach((words, place) => put(/** @type {HTMLElement} */ (this.#numbers.children[place]), words));
  }
}

/** @param {Stream} stream @param {Numbers} health @param {Room} now @returns {[string, string][]} */
function rows(stream, health, now) {
  const kinds = new Set(stream.kinds);
  const level = health.level === null ? _("unknown") : `${health.level} dB`.replace("-", "−");
  return [
    [_("Arriving"), bits(health.bits_per_second)],
    [_("Lost after repair"), `${(100 * health.lost).toFixed(1)} %`],
    ...pairs(kinds.has("camera") || kinds.has("screen"), _("Pictures a second"), health.fps.toFixed(0)),
    ...pairs(kinds.has("voice"), _("Microphone (0 dB is loudest)"), level),
    ...pairs(kinds.has("screen_sound"), _("Sound (0 dB is loudest)"), level),
    [_("Stored up to"), (stream.stored_up_to && elapsed(stream.stored_up_to, now)) || (stream.state === "idle" ? _("not recorded") : _("not yet"))],
  ];
}

/** @param {boolean} fits @param {string} name @param {string} value @returns {[string, string][]} */
const pairs = (fits, name, value) => (fits ? [[name, value]] : []);

/** The one sentence about everything. @param {Room} now */
export function storedWords(now) {
  const time = now.stored_up_to && elapsed(now.stored_up_to, now);
  if (time) return _("Recorded and stored up to %(time)s", { time });
  return now.recording === "on" && now.streams.length ? _("Nothing is stored yet") : "";
}

/** On the clock of the recording indicator; "" before its beginning. @param {string} moment @param {Room} now */
function elapsed(moment, now) {
  if (!now.recording_since) return "";
  const seconds = Math.floor((Date.parse(moment) - Date.parse(now.recording_since)) / 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return seconds < 0 ? "" : `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** @param {number} seconds */
function silentFor(seconds) {
  const minutes = Math.floor(seconds / 60);
  const time = minutes ? `${minutes} min` : `${SILENT_AFTER_S} s`;
  return _("No sound from the microphone for %(time)s.", { time });
}

/** @param {number} perSecond */
function bits(perSecond) {
  return perSecond >= 1e6 ? `${(perSecond / 1e6).toFixed(1)} Mbit/s` : `${Math.round(perSecond / 1000)} kbit/s`;
}

/** @param {HTMLElement} place @param {string} words */
function put(place, words) {
  if (place.textContent !== words) place.textContent = words;
}
