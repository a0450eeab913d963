// A participant's room: device check, waiting room, room. The server's word decides which part is shown.
import { _, ngettext } from "../js/words.js";
import { before, remember } from "./comeback.js";
import { command } from "./commands.js";
import { asking } from "./devices.js";
import { Indicator } from "./indicator.js";
import { watchLevel } from "./level.js";
import { othersRecorded } from "./others.js";
import { Own } from "./own.js";
import { box, button, part, say } from "./page.js";
import { Events } from "./protocol.js";
import { canShare, ScreenShare } from "./screen_share.js";
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

let begun = false;
let ready = false;
let left = false;
let cameraOff = false; // before a reload: asked for again only when they switch it on
let stopLevel = () => {};
/** @type {Room|null} */
let room = null;
const own = new Own(session, trouble, ["preview", "self"], listen);
const share = new ScreenShare(session, button("share"), trouble);

/** Ask for the devices, and show what they give. */
async function check() {
  const again = button("again");
  again.disabled = button("ready").disabled = true;
  const wanted = { video: allowed.has("camera") && !cameraOff, audio: allowed.has("voice") };
  const opening = own.open(wanted);
  void asking(wanted).then((words) => again.disabled && say(box("asking"), words));
  const missing = await opening;
  if (missing === null) return; // they left, or the session ended, while the browser was asking
  again.disabled = button("ready").disabled = false;
  say(box("asking"), "");
  const without = _("You can also go in without.");
  say(box("device-trouble"), missing && `${missing} ${without}`);
}

/** The level follows the microphone that is used. @param {MediaStreamTrack|null} voice */
function listen(voice) {
  stopLevel();
  box("level-line").hidden = !voice;
  say(box("silence"), "");
  if (voice) stopLevel = watchLevel(voice, showLevel);
}

/** Nobody is asked for anything before the server has said that there is a room to go to. */
async function begin() {
  begun = true;
  if (allowed.has("screen")) say(box("can-share"), shareWords());
  if (!was) return check();
  cameraOff = was.cameraOff;
  own.mute(was.muted);
  await check();
  if (button("ready").disabled || !box("device-trouble").hidden) return; // what is missing now is shown in the check
  goIn();
  if (was.sharing) say(box("share-again"), _("Your screen is not shared any more. To go on, press “Share my screen”."));
}

function shareWords() {
  if (canShare()) return _("You can share your screen here; you choose which when you press the button.");
  return _("This browser cannot share a screen; you can take part without. On a computer, Chrome, Edge or Firefox can.");
}

function goIn() {
  ready = true;
  if (room) show(room);
  box(box("waiting").hidden ? "inside" : "waiting").focus();
}

/** @param {number} level @param {boolean} silent */
function showLevel(level, silent) {
  part("level", HTMLMeterElement).value = level;
  const words = _("We hear nothing from your microphone. Is it muted, or should another one be chosen?");
  say(box("silence"), silent && own.voice && !own.muted ? words : "");
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
  if (!begun && !ended) void begin();
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
  own.keepOnly(new Set(now.you.may_publish));
  own.send();
  own.told(mine.some((stream) => stream.stream === "camera"), now.media);
  button("camera").hidden = !now.you.may_publish.includes("camera");
  share.show(now);
  if (share.on) say(box("share-again"), "");
  button("pause").textContent = now.you.paused ? _("Resume my recording") : _("Pause my recording");
}

function release() {
  own.hangUp();
  share.stop();
  viewing.close();
}

function leave() {
  release();
  own.close();
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

button("again").onclick = () => void check();
button("ready").onclick = goIn;
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
const was = before(session);
remember(session, () => {
  if (!ready || left || room?.session === "ended") return null;
  return { muted: own.muted, cameraOff: allowed.has("camera") && !own.cameraOn, sharing: share.on };
});
