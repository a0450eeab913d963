// Camera and microphone of this browser: asked for, shown to their owner, and named in plain words when missing.

import { _ } from "../js/words.js";

/** @typedef {{media: MediaStream, trouble: string}} Devices */

/** @typedef {{video: boolean, audio: boolean}} Wanted */

/** @typedef {"camera"|"microphone"} Device */

/**
 * Ask for what may be used; whatever cannot be had is left out and said.
 * @param {Wanted} wanted
 * @param {Record<Device, string>} used ids; one that is gone gives way to another
 * @returns {Promise<Devices>}
 */
export async function openDevices(wanted, used) {
  const media = new MediaStream();
  if (!wanted.video && !wanted.audio) return { media, trouble: "" };
  if (!navigator.mediaDevices?.getUserMedia) {
    return { media, trouble: _("This browser gives no access to camera and microphone. Please try another browser.") };
  }
  const [picture, sound] = [asked("camera", { ideal: used.camera }), asked("microphone", { ideal: used.microphone })];
  if (wanted.video && wanted.audio && (await addTo(media, { ...picture, ...sound })) === "") {
    return { media, trouble: "" };
  }
  const camera = wanted.video && !media.getVideoTracks().length ? await addTo(media, picture) : "";
  const voice = wanted.audio && !media.getAudioTracks().length ? await addTo(media, sound) : "";
  const missing = camera && camera === voice ? [said("both", camera)] : [said("camera", camera), said("microphone", voice)];
  return { media, trouble: missing.filter(Boolean).join(" ") };
}

/**
 * Open the camera or microphone that was chosen. A phone has one camera open at a time, so the old one makes way where it
 * must, and comes back if the chosen one is refused all the same.
 * @param {Device} device
 * @param {string} id
 * @param {MediaStreamTrack|null} old
 * @returns {Promise<{track: MediaStreamTrack|null, trouble: string}>} with trouble: the old one opened again, or none
 */
export async function openChosen(device, id, old) {
  const media = new MediaStream();
  let error = await addTo(media, asked(device, { exact: id }));
  if (device === "camera" && BUSY.includes(error) && old?.readyState === "live") {
    const before = old.getSettings().deviceId ?? "";
    old.stop();
    error = await addTo(media, asked(device, { exact: id }));
    if (error) await addTo(media, asked(device, { exact: before }));
  }
  return { track: media.getTracks()[0] ?? null, trouble: said(device, error) };
}

/**
 * What the browser is about to ask the person, in words; "" when it has been answered before.
 * @param {Wanted} wanted
 */
export async function asking(wanted) {
  if (!navigator.mediaDevices?.getUserMedia) return "";
  const [camera, voice] = await Promise.all([wanted.video && asks("camera"), wanted.audio && asks("microphone")]);
  if (camera && voice) return _("Your browser asks whether it may use your camera and microphone: please allow it.");
  if (camera) return _("Your browser asks whether it may use your camera: please allow it.");
  return voice ? _("Your browser asks whether it may use your microphone: please allow it.") : "";
}

/** @param {string} device @returns {Promise<boolean>} */
async function asks(device) {
  try {
    return (await navigator.permissions.query({ name: /** @type {PermissionName} */ (device) })).state === "prompt";
  } catch {
    return true; // a browser that does not tell is one that asks
  }
}

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const BUSY = ["NotReadableError", "AbortError"];

/** @param {Device} device @param {{ideal?: string, exact?: string}} deviceId @returns {MediaStreamConstraints} */
function asked(device, deviceId) {
  if (deviceId.ideal === "") return device === "camera" ? { video: VIDEO } : { audio: true };
  return device === "camera" ? { video: { ...VIDEO, deviceId } } : { audio: { deviceId } };
}

/** @param {MediaStream} media @param {MediaStreamConstraints} constraints @returns {Promise<string>} name of the error */
async function addTo(media, constraints) {
  try {
    const got = await navigator.mediaDevices.getUserMedia(constraints);
    got.getTracks().forEach((track) => media.addTrack(track));
    return "";
  } catch (error) {
    return error instanceof DOMException ? error.name : "Error";
  }
}

/** Whole sentences, since a language may bend the words; both: neither, for the same reason, is said once. */
const TROUBLES = {
  camera: {
    NotAllowedError: _("The browser was not allowed to use the camera. Allow it at the address bar, then try again."),
    NotFoundError: _("No camera was found. Plug one in, then try again."),
    NotReadableError: _("Another program is using the camera. Close it, then try again."),
    other: _("The camera cannot be used just now."),
  },
  microphone: {
    NotAllowedError: _("The browser was not allowed to use the microphone. Allow it at the address bar, then try again."),
    NotFoundError: _("No microphone was found. Plug one in, then try again."),
    NotReadableError: _("Another program is using the microphone. Close it, then try again."),
    other: _("The microphone cannot be used just now."),
  },
  both: {
    NotAllowedError: _("The browser was not allowed to use camera and microphone. Allow both at the address bar, then try again."),
    NotFoundError: _("No camera and no microphone were found. If you have some, plug them in, then try again."),
    NotReadableError: _("Another program is using camera and microphone. Close it, then try again."),
    other: _("Camera and microphone cannot be used just now."),
  },
};

/** @param {"camera"|"microphone"|"both"} device @param {string} error */
function said(device, error) {
  if (!error) return "";
  /** @type {Record<string, string>} */
  const words = TROUBLES[device];
  return words[error] ?? TROUBLES[device].other;
}

