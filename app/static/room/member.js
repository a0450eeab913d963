// A member's room: see and hear, let people in, start, pause, resume and end. Observers only watch.
import { _ } from "../js/words.js";
import { command } from "./commands.js";
import { openDevices } from "./devices.js";
import { Indicator } from "./indicator.js";
import { box, button, clock, part, pressed, say } from "./page.js";
import { Events } from "./protocol.js";
import { Publishing } from "./publishing.js";
import { RecordMe } from "./record_me.js";
import { Viewing } from "./viewing.js";

/** @typedef {import("./protocol.js").Room} Room */
/** @typedef {import("./protocol.js").Person} Person */

const page = box("room");
const session = page.dataset["session"] ?? "";
const NAMES = { camera: "video", voice: "voice", screen: "screen", screen_sound: "screen sound" };
const hosts = page.dataset["role"] !== "observer";
const indicator = new Indicator(box("recording"));
const viewing = new Viewing(session, box("tiles"));
const trouble = box("trouble");
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
  const names = new Map(now.people.map((one) => [one.person, one.name]));
  const others = now.session === "ended" ? [] : now.streams.filter((one) => one.person !== now.you.person);
  viewing.show(others, (one) => `${names.get(one.person) ?? "Someone"}${one.stream === "screen" ? " (screen)" : ""}`);
  say(box("alone"), others.length ? "" : aloneWords(now));
  say(box("observers"), now.observers ? `Observers watching: ${now.observers}` : "");
  people(now);
  box("ended").hidden = now.session !== "ended";
  if (now.session === "ended") hangUp();
  if (!hosts) return;
  offer("open", now.session === "scheduled");
  offer("start", now.session === "live" && now.recording === "off");
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
  if (now.session === "live") return hosts ? "Nobody shows a picture. Who waits outside stands under People." : "Nobody shows a picture.";
  return hosts ? "The room is still closed. Open it, then let people in one by one." : "The room is still closed.";
}

/** @param {string} id @param {boolean} fits */
function offer(id, fits) {
  button(id).hidden = !fits;
}

/** @param {Room} now */
function storedWords(now) {
  if (now.stored_up_to) return `Stored up to ${clock(now.stored_up_to)}`;
  return now.recording === "on" && now.streams.length ? "Nothing is stored yet" : "";
}

/** @param {Room} now */
function troubleWords(now) {
  if (now.session === "live" && !now.media) {
    return "The media server cannot be reached. Nothing is being recorded; it goes on by itself when it is back.";
  }
  if (now.streams.some((one) => one.state === "full")) {
    return "The server's disk is full, so recording has stopped. It goes on by itself when there is room.";
  }
  return now.storing_trouble ? "The object store does not take what is recorded. It waits sealed on the server." : "";
}

/** @param {Room} now */
function people(now) {
  const list = box("people");
  const guests = now.people.filter((one) => one.role === "participant" || one.present);
  const drawn = guests.map((one) => `${one.person} ${personWords(now, one)} ${waits(now, one)}`).join("\n");
  if (list.dataset["drawn"] === drawn) return; // keeps the focus where it is
  list.dataset["drawn"] = drawn;
  list.replaceChildren(...guests.map((one) => personLine(now, one)));
}

/** @param {Room} now @param {Person} one */
function personLine(now, one) {
  const line = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = personWords(now, one);
  line.append(words);
  if (hosts && waits(now, one)) {
    const admit = document.createElement("button");
    admit.textContent = `Let ${one.name} in`;
    admit.onclick = () => void act(`admit/${one.person}`, admit);
    line.append(admit);
  }
  return line;
}

/** @param {Room} now @param {Person} one */
const waits = (now, one) => now.session === "live" && one.role === "participant" && one.present && !one.admitted;

/** @param {Room} now @param {Person} one */
function personWords(now, one) {
  const you = one.person === now.you.person ? " (you)" : "";
  const streams = now.streams.filter((stream) => stream.person === one.person);
  const kinds = streams.flatMap((stream) => stream.recorded.map((kind) => NAMES[kind]));
  const recorded = kinds.length ? `recording ${kinds.join(", ")}` : "";
  if (one.role !== "participant") {
    return `${one.name}${you}: ${one.role}${streams.length ? `, ${recorded || "not recorded"}` : ""}`;
  }
  if (!one.present) return `${one.name}: not here`;
  if (!one.admitted) return `${one.name}: in the waiting room`;
  if (one.asked_again) return `${one.name}: has not yet agreed to the new text; what they agreed to before is not recorded now`;
  if (one.paused) return `${one.name}: paused their own recording`;
  return `${one.name}: ${recorded || "in the room, not recorded"}`;
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
      if (state === "refused" || state === "lost") say(trouble, `Your picture and voice do not arrive: ${reason}`);
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

function redrawOwn() {
  pressed(button("join"), own !== null, own ? "Switch my camera and microphone off" : "Join with camera and microphone");
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
    const mute = media.getAudioTracks().some((track) => track.enabled);
    media.getAudioTracks().forEach((track) => (track.enabled = !mute));
    pressed(button("mute"), mute, mute ? "Unmute" : "Mute");
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
    pressed(button("camera"), Boolean(old), old ? "Camera on" : "Camera off");
  };
}
addEventListener("pagehide", () => events.close());
