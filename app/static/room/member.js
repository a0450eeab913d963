// A member's room: see and hear, let people in, start, pause, resume and end. Observers only watch.
import { _ } from "../js/words.js";
import { command } from "./commands.js";
import { openDevices } from "./devices.js";
import { Health, storedWords } from "./health.js";
import { Indicator } from "./indicator.js";
import { box, button, part, pressed, say } from "./page.js";
import { Events } from "./protocol.js";
import { Publishing } from "./publishing.js";
import { RecordMe } from "./record_me.js";
import { Viewing } from "./viewing.js";

/** @typedef {import("./protocol.js").Room} Room */
/** @typedef {import("./protocol.js").Person} Person */

const page = box("room");
const session = page.dataset["session"] ?? "";
const NAMES = { camera: _("video"), voice: _("voice"), screen: _("screen"), screen_sound: _("sound of the screen") };
const hosts = page.dataset["role"] !== "observer";
const closes = "closes" in page.dataset; // the account does: nothing new begins, and the page says so
const indicator = new Indicator(box("recording"));
const viewing = new Viewing(session, box("tiles"));
const trouble = box("trouble");
const health = hosts ? new Health(box("health"), box("health-told")) : null;
const recordMe = new RecordMe(session, trouble);
const events = new Events(`/rooms/${session}/events`, show, (connected, reason) => {
  say(box("connection"), connected ? "" : reason || _("The connection was lost. Trying again by itself."));
  if (!connected) indicator.unknown();
});

let media = new MediaStream();
/** @type {Publishing|null} */
let own = null;

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
  health?.show(now, (one) => named(one, now), isMuted());
  box("ended").hidden = now.session !== "ended";
  if (now.session === "ended") hangUp();
  if (!hosts) return;
  offer("open", now.session === "scheduled" && !closes);
  offer("start", now.session === "live" && now.recording === "off" && !closes);
  offer("pause", now.session === "live" && now.recording === "on");
  offer("resume", now.session === "live" && now.recording === "paused");
  box("ending").hidden = now.session !== "live";
  box("own").hidden = now.session !== "live";
  recordMe.show(now);
  box("notes").hidden = now.session === "scheduled";
  own?.seen(now.streams.some((one) => one.person === now.you.person));
}

/** What to do while there is nothing to see. @param {Room} now */
function aloneWords(now) {
  if (now.session === "ended") return "";
  if (now.session === "live") return _("Nobody shows a picture.");
  if (hosts && closes) return "";
  return hosts ? _("The room is still closed. Open it, then let people in one by one.") : _("The room is still closed. You can watch as soon as it is open.");
}

/** @param {string} id @param {boolean} fits */
function offer(id, fits) {
  button(id).hidden = !fits;
}

/** @param {import("./protocol.js").Stream} one @param {Room} now */
function named(one, now) {
  const name = now.people.find((person) => person.person === one.person)?.name ?? "Someone";
  return `${name}${one.stream === "screen" ? " (screen)" : ""}`;
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
  button("start").classList.toggle("secondary", outside.length > 0); // letting them in comes first
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
    const role = { owner: _("owner"), researcher: _("researcher") }[one.role];
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

async function join() {
  const opened = await openDevices({ video: true, audio: true });
  media = opened.media;
  say(trouble, opened.trouble);
  if (!media.getTracks().length) return;
  const self = part("self", HTMLVideoElement);
  self.srcObject = media;
  self.hidden = !media.getVideoTracks().length;
  own = new Publishing({
    session,
    stream: "camera",
    tracks: media.getTracks(),
    onState: (state, reason) => {
      page.dataset["camera"] = state;
      if (state === "refused" || state === "lost") say(trouble, _("Your picture and voice do not arrive: %(reason)s", { reason }));
    },
  });
}

function hangUp() {
  own?.close();
  own = null;
  media.getTracks().forEach((track) => track.stop());
  media = new MediaStream();
  part("self", HTMLVideoElement).hidden = true;
}

const isMuted = () => media.getAudioTracks().some((track) => !track.enabled);

function redrawOwn() {
  pressed(button("join"), own !== null, own ? _("Switch my camera and microphone off") : _("Join with camera and microphone"));
  button("mute").hidden = button("camera").hidden = own === null;
}

if (hosts) {
  for (const id of ["open", "start", "pause", "resume", "end"]) {
    button(id).onclick = () => void act(id, button(id));
  }
  button("join").onclick = async () => {
    if (own) hangUp();
    else await join();
    redrawOwn();
  };
  button("mute").onclick = () => {
    const mute = !isMuted();
    media.getAudioTracks().forEach((track) => (track.enabled = !mute));
    pressed(button("mute"), mute, mute ? _("Unmute") : _("Mute"));
  };
  button("camera").onclick = async () => {
    const old = media.getVideoTracks()[0];
    const fresh = old ? null : (await openDevices({ video: true, audio: false })).media.getVideoTracks()[0] ?? null;
    if (old) {
      old.stop();
      media.removeTrack(old);
    }
    if (fresh) media.addTrack(fresh);
    await own?.replace("video", fresh);
    pressed(button("camera"), Boolean(old), old ? _("Camera on") : _("Camera off"));
  };
}
addEventListener("pagehide", () => events.close());
