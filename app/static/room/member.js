// A member's room: see and hear, let people in, start, pause, resume and end. Observers only watch.
import { _ } from "../js/words.js";
import { before, remember } from "./comeback.js";
import { command } from "./commands.js";
import { Health, storedWords } from "./health.js";
import { Indicator } from "./indicator.js";
import { Own } from "./own.js";
import { box, button, say } from "./page.js";
import { Events } from "./protocol.js";
import { RecordMe } from "./record_me.js";
import { Viewing } from "./viewing.js";

/** @typedef {import("./protocol.js").Room} Room */
/** @typedef {import("./protocol.js").Person} Person */

const page = box("room");
const session = page.dataset["session"] ?? "";
const NAMES = { camera: _("video"), voice: _("voice"), screen: _("screen"), screen_sound: _("sound of the screen") };
const hosts = page.dataset["role"] !== "observer";
const closes = "closes" in page.dataset; // the account does: nothing new begins, and the page says so
const title = document.title;
const indicator = new Indicator(box("recording"));
const viewing = new Viewing(session, box("tiles"));
const trouble = box("trouble");
const health = hosts ? new Health(box("health"), box("health-told")) : null;
const recordMe = new RecordMe(session, trouble);
const events = new Events(`/rooms/${session}/events`, show, (connected, reason) => {
  say(box("connection"), connected ? "" : reason || _("The connection was lost. Trying again by itself."));
  if (!connected) indicator.unknown();
});

const own = hosts ? new Own(session, trouble, ["self"]) : null;
let was = hosts ? before(session) : null;

/** @param {Room} now */
function show(now) {
  indicator.show(now, true);
  say(box("stored"), storedWords(now));
  say(box("storing-trouble"), troubleWords(now));
  const others = now.session === "ended" ? [] : now.streams.filter((one) => one.person !== now.you.person);
  viewing.show(others, (one) => named(one, now));
  say(box("alone"), others.length ? "" : aloneWords(now));
  say(box("observers"), now.observers ? _("Observers watching: %(count)s", { count: now.observers }) : "");
  people(now);
  health?.show(now, (one) => named(one, now), own?.muted ?? false);
  box("ended").hidden = now.session !== "ended";
  if (!own) return;
  if (now.session === "ended") hangUp();
  offer("open", now.session === "scheduled" && !closes);
  offer("start", now.session === "live" && now.recording === "off" && !closes);
  offer("pause", now.session === "live" && now.recording === "on");
  offer("resume", now.session === "live" && now.recording === "paused");
  box("ending").hidden = now.session !== "live";
  box("own").hidden = now.session !== "live";
  recordMe.show(now);
  box("notes").hidden = now.session === "scheduled";
  own.told(now.streams.some((one) => one.person === now.you.person), now.media);
  if (now.session === "live" && was) void comeBack(was);
  was = null;
}

/** What to do while there is nothing to see. @param {Room} now */
function aloneWords(now) {
  if (now.session === "ended") return "";
  if (now.session === "live") return someoneInside(now) ? _("Nobody shows a picture.") : _("Nobody is in the room yet.");
  if (hosts && closes) return "";
  return hosts ? _("The room is still closed. Open it, then let people in one by one.") : _("The room is still closed. You can watch as soon as it is open.");
}

/** Besides whoever looks. @param {Room} now */
function someoneInside(now) {
  return now.people.some((one) => one.person !== now.you.person && one.present && !waits(now, one));
}

/** @param {string} id @param {boolean} fits */
function offer(id, fits) {
  button(id).hidden = !fits;
}

/** @param {import("./protocol.js").Stream} one @param {Room} now */
function named(one, now) {
  const name = now.people.find((person) => person.person === one.person)?.name ?? _("Someone");
  return one.stream === "screen" ? _("%(name)s (screen)", { name }) : name;
}

/** @param {Room} now */
function troubleWords(now) {
  if (now.session === "live" && !now.media) {
    return _("The media server cannot be reached. Nothing is being recorded; it goes on by itself when it is back.");
  }
  if (now.streams.some((one) => one.state === "full")) {
    return _("The server's disk is full, so recording has stopped. It goes on by itself when there is room.");
  }
  return now.storing_trouble ? _("The object store does not take what is recorded. It waits sealed on the server.") : "";
}

/** Who waits outside stands first, with the button that lets them in. @param {Room} now */
function people(now) {
  const known = now.people.filter((one) => one.role === "participant" || one.present);
  const outside = hosts ? known.filter((one) => waits(now, one)) : [];
  draw(box("people"), now, known.filter((one) => !outside.includes(one)));
  if (!hosts) return;
  draw(box("waiting"), now, outside);
  box("outside").hidden = !outside.length;
  say(box("knocking"), knockingWords(outside));
  document.title = outside.length ? `(${outside.length}) ${title}` : title;
  button("start").classList.toggle("secondary", outside.length > 0); // letting them in comes first
}

/** @param {Person[]} outside */
function knockingWords(outside) {
  const names = { first: outside.slice(0, -1).map((one) => one.name).join(", "), last: outside.at(-1)?.name };
  if (outside.length < 2) return outside.length ? _("%(last)s is waiting outside.", names) : "";
  return _("%(first)s and %(last)s are waiting outside.", names);
}

/** @param {HTMLElement} list @param {Room} now @param {Person[]} shown */
function draw(list, now, shown) {
  const drawn = shown.map((one) => `${one.person} ${personWords(now, one)}`).join("\n");
  if (list.dataset["drawn"] === drawn) return; // keeps the focus where it is
  list.dataset["drawn"] = drawn;
  list.replaceChildren(...shown.map((one) => personLine(now, one)));
}

/** @param {Room} now @param {Person} one */
function personLine(now, one) {
  const line = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = personWords(now, one);
  line.append(words);
  if (hosts && waits(now, one)) {
    const admit = document.createElement("button");
    admit.textContent = _("Let %(name)s in", { name: one.name });
    admit.onclick = () => void act(`admit/${one.person}`, admit);
    line.append(admit);
  }
  return line;
}

/** @param {Room} now @param {Person} one */
const waits = (now, one) => now.session === "live" && one.role === "participant" && one.present && !one.admitted;

/** @param {Room} now @param {Person} one */
function personWords(now, one) {
  const name = one.person === now.you.person ? _("%(name)s (you)", { name: one.name }) : one.name;
  return `${name}: ${personState(now, one)}`;
}

/** @param {Room} now @param {Person} one */
function personState(now, one) {
  const streams = now.streams.filter((stream) => stream.person === one.person);
  const kinds = streams.flatMap((stream) => stream.recorded.map((kind) => NAMES[kind]));
  const recorded = kinds.length ? _("recording %(kinds)s", { kinds: kinds.join(", ") }) : "";
  if (one.role !== "participant") {
    const role = { owner: _("owner"), researcher: _("researcher"), observer: _("observer") }[one.role];
    return streams.length ? `${role}, ${recorded || _("not recorded")}` : role;
  }
  if (!one.present) return _("not here");
  if (!one.admitted) return _("in the waiting room");
  if (one.asked_again) return _("has not yet agreed to the new text; what they agreed to before is not recorded now");
  if (one.paused) return _("paused their own recording");
  return recorded || _("in the room, not recorded");
}

/** @param {string} what @param {HTMLButtonElement} by */
async function act(what, by) {
  by.disabled = true;
  say(trouble, await command(`/rooms/${session}/${what}`));
  by.disabled = false;
}

/** Be seen and heard. @param {boolean} cameraOff as it was before a reload */
async function join(cameraOff = false) {
  if (!own) return;
  const missing = await own.open({ video: !cameraOff, audio: true });
  if (missing === null) return;
  say(trouble, missing);
  own.send();
  drawJoined();
}

/** After a reload, as it was. @param {import("./comeback.js").Before} before */
function comeBack(before) {
  own?.mute(before.muted);
  return join(before.cameraOff);
}

function hangUp() {
  own?.close();
  drawJoined();
}

function drawJoined() {
  const joined = own?.sending ?? false;
  button("join").textContent = joined ? _("Switch my camera and microphone off") : _("Join with camera and microphone");
  button("camera").hidden = !joined;
}

if (hosts) {
  for (const id of ["open", "start", "pause", "resume", "end"]) {
    button(id).onclick = () => void act(id, button(id));
  }
  button("join").onclick = () => (own?.sending ? hangUp() : void join());
  remember(session, () => (own?.sending ? { muted: own.muted, cameraOff: !own.cameraOn, sharing: false } : null));
}
addEventListener("pagehide", () => events.close());
