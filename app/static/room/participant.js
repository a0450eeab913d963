// A participant's room: device check, waiting room, room. The server's word decides which part is shown.
import { _, ngettext } from "../js/words.js";
import { before, remember } from "./comeback.js";
import { command } from "./commands.js";
import { openDevices, VIDEO } from "./devices.js";
import { Indicator } from "./indicator.js";
import { watchLevel } from "./level.js";
import { othersRecorded } from "./others.js";
import { box, button, part, pressed, say } from "./page.js";
import { Events } from "./protocol.js";
import { Publishing } from "./publishing.js";
import { ScreenShare } from "./screen_share.js";
import { Viewing } from "./viewing.js";

/** @typedef {import("./protocol.js").Room} Room */

const page = box("room");
const session = page.dataset["session"] ?? "";
const allowed = new Set((page.dataset["kinds"] ?? "").split(" ").filter(Boolean));
const indicator = new Indicator(box("recording"));
const viewing = new Viewing(session, box("tiles"));
const trouble = box("trouble");
const events = new Events(`/rooms/${session}/events`, show, (connected, reason) => {
  say(box("connection"), connected ? "" : reason || _("The connection was lost. Trying again by itself; you need not do anything."));
  if (connected) return;
  indicator.unknown();
  say(box("alone"), "");
});

let ready = false;
let left = false;
let media = new MediaStream();
let stopLevel = () => {};
/** @type {Room|null} */
let room = null;
/** @type {Publishing|null} */
let camera = null;
const share = new ScreenShare(session, button("share"), trouble);

/** Ask for the devices again and show what they give. @param {boolean} cameraOff leave it off */
async function check(cameraOff = false) {
  button("again").disabled = true;
  stopLevel();
  media.getTracks().forEach((track) => track.stop());
  const opened = await openDevices({ video: allowed.has("camera") && !cameraOff, audio: allowed.has("voice") });
  media = opened.media;
  say(box("device-trouble"), opened.trouble);
  showOwn("preview");
  const voice = media.getAudioTracks()[0];
  box("level-line").hidden = !voice;
  if (voice) stopLevel = watchLevel(voice, showLevel);
  button("again").disabled = false;
  button("ready").disabled = false;
}

/** After a reload, straight back in as it was; a device that is missing now is shown in the check. */
async function comeBack(/** @type {import("./comeback.js").Before} */ was) {
  await check(was.cameraOff);
  mute(was.muted);
  if (was.cameraOff) pressed(button("camera"), true, _("Camera on"));
  if (!box("device-trouble").hidden) return;
  goIn();
  if (was.sharing) say(box("share-again"), _("Your screen is not shared any more. To go on, press “Share my screen”."));
}

function goIn() {
  ready = true;
  if (room) show(room);
  box(box("waiting").hidden ? "inside" : "waiting").focus();
}

/** @param {number} level @param {boolean} silent */
function showLevel(level, silent) {
  part("level", HTMLMeterElement).value = level;
  const words = _("We hear nothing from your microphone. Is it muted, or is another one chosen in the browser?");
  say(box("silence"), silent && !muted() ? words : "");
}

/** Show the part of the page that fits the room. @param {Room} now */
function show(now) {
  room = now;
  const ended = now.session === "ended" || left;
  const inside = ready && !ended && now.session === "live" && now.you.admitted;
  box("check").hidden = ready || ended;
  box("waiting").hidden = !ready || ended || inside;
  box("not-open").hidden = now.session !== "scheduled";
  box("soon").hidden = now.session === "scheduled";
  box("inside").hidden = !inside;
  box("ended").hidden = !ended;
  box("back").hidden = now.session === "ended";
  indicator.show(now, false);
  say(box("observers"), observers(now.observers));
  box("asked-again").hidden = ended || !now.you.asked_again;
  say(box("others-recorded"), inside ? othersRecorded(now) : "");
  if (inside) enter(now);
  else if (ended) leave();
  else release();
}

/** @param {Room} now */
function enter(now) {
  const mine = now.streams.filter((stream) => stream.person === now.you.person);
  const others = now.streams.filter((stream) => stream.person !== now.you.person);
  const names = new Map(now.people.map((one) => [one.person, one.name]));
  viewing.show(others, (one) => {
    const name = names.get(one.person) ?? _("Someone");
    return one.stream === "screen" ? _("%(name)s (screen)", { name }) : name;
  });
  say(box("alone"), others.length ? "" : _("You are connected. Nobody else shows a picture yet."));
  stopWithdrawn(new Set(now.you.may_publish));
  if (!camera && media.getTracks().length) camera = publish();
  camera?.seen(mine.some((stream) => stream.stream === "camera"));
  share.show(now);
  if (share.on) say(box("share-again"), "");
  pressed(button("pause"), now.you.paused, now.you.paused ? _("Resume my recording") : _("Pause my recording"));
  showOwn("self");
}

/** One's own picture. A player given nothing to show would keep the browser loading for ever. @param {string} id */
function showOwn(id) {
  const player = part(id, HTMLVideoElement);
  const source = media.getVideoTracks().length ? media : null;
  if (player.srcObject !== source) player.srcObject = source;
  player.hidden = !source;
}

function publish() {
  return new Publishing({
    session,
    stream: "camera",
    tracks: media.getTracks(),
    onState: (state, reason) => {
      page.dataset["camera"] = state;
      const missing = state === "refused" || state === "lost";
      say(trouble, missing ? _("Your picture and voice do not arrive: %(reason)s", { reason }) : "");
    },
  });
}

/** What is no longer allowed is switched off here too. @param {Set<string>} may */
function stopWithdrawn(may) {
  for (const track of media.getTracks()) {
    if (may.has(track.kind === "audio" ? "voice" : "camera")) continue;
    media.removeTrack(track);
    track.stop();
    if (media.getTracks().length) void camera?.replace(track.kind === "audio" ? "audio" : "video", null);
    else hangUp();
  }
  button("mute").hidden = !may.has("voice");
  button("camera").hidden = !may.has("camera");
}

function hangUp() {
  camera?.close();
  camera = null;
}

function release() {
  hangUp();
  share.stop();
  viewing.close();
}

function leave() {
  release();
  stopLevel();
  media.getTracks().forEach((track) => track.stop());
  events.close();
}

/** @param {number} count */
function observers(count) {
  if (count === 0) return "";
  return ngettext(
    "One person of the research team is watching.",
    "%(n)s people of the research team are watching.",
    count,
  );
}

const muted = () => media.getAudioTracks().every((track) => !track.enabled);

/** @param {boolean} on */
function mute(on) {
  media.getAudioTracks().forEach((track) => (track.enabled = !on));
  pressed(button("mute"), on, on ? _("Unmute") : _("Mute"));
}

button("again").onclick = () => void check();
button("ready").onclick = goIn;
button("mute").onclick = () => mute(!muted());
button("camera").onclick = async () => {
  const old = media.getVideoTracks()[0];
  if (old) {
    await camera?.replace("video", null);
    old.stop(); // the camera's light goes out
    media.removeTrack(old);
  } else {
    const again = await navigator.mediaDevices.getUserMedia({ video: VIDEO }).catch(() => null);
    const track = again?.getVideoTracks()[0];
    if (!track) return say(trouble, _("The camera cannot be used just now."));
    media.addTrack(track);
    if (camera) await camera.replace("video", track);
    else camera = publish();
  }
  pressed(button("camera"), Boolean(old), old ? _("Camera on") : _("Camera off"));
};
button("pause").onclick = async () => {
  const path = room?.you.paused ? "resume-mine" : "pause-mine";
  say(trouble, await command(`/rooms/${session}/${path}`));
};
button("leave").onclick = () => {
  left = true;
  leave();
  if (room) show(room);
  indicator.left();
  box("ended").focus();
};
for (const form of document.querySelectorAll("form[data-withdraw]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const one = /** @type {HTMLFormElement} */ (event.currentTarget);
    const kind = one.dataset["withdraw"] ?? "";
    const refused = await command(one.action, { kind, given: "no" });
    if (refused) return say(trouble, refused);
    one.replaceChildren(_("Withdrawn: %(what)s. What was recorded of it is being erased.", { what: one.dataset["name"] }));
  });
}
button("share").hidden = !allowed.has("screen");
const was = before(session);
remember(session, () => {
  if (!ready || left || room?.session === "ended") return null;
  return { muted: muted(), cameraOff: allowed.has("camera") && !media.getVideoTracks().length, sharing: share.on };
});
if (was) void comeBack(was);
else void check();
