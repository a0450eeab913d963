// Camera and microphone of this browser: asked for, shown to their owner, and named in plain words when missing.

import { _ } from "../js/words.js";

/** @typedef {{media: MediaStream, trouble: string}} Devices */

/**
 * Ask for what may be used; whatever cannot be had is left out and said.
 * @param {{video: boolean, audio: boolean}} wanted
 * @returns {Promise<Devices>}
 */
export async function openDevices(wanted) {
  const media = new MediaStream();
  if (!navigator.mediaDevices?.getUserMedia) {
    return { media, trouble: _("This browser gives no access to camera and microphone. Please try another browser.") };
  }
  if (wanted.video && wanted.audio && (await addTo(media, { video: VIDEO, audio: true })) === "") {
    return { media, trouble: "" };
  }
  const camera = wanted.video && !media.getVideoTracks().length ? await addTo(media, { video: VIDEO }) : "";
  const voice = wanted.audio && !media.getAudioTracks().length ? await addTo(media, { audio: true }) : "";
  const troubles = camera && camera === voice ? [BOTH[camera] ?? BOTH.other] : [said("camera", camera), said("microphone", voice)];
  if (camera || voice) troubles.push(_("You can also go in without."));
  return { media, trouble: troubles.filter(Boolean).join(" ") };
}

export const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };

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

/** Whole sentences, since a language may bend the words. */
const TROUBLES = {
  camera: {
    NotAllowedError: _("The browser was not allowed to use the camera. Allow it at the address bar, then press “Try again”."),
    NotFoundError: _("No camera was found. Plug one in, then press “Try again”."),
    NotReadableError: _("Another program is using the camera. Close it, then press “Try again”."),
    other: _("The camera cannot be used just now."),
  },
  microphone: {
    NotAllowedError: _("The browser was not allowed to use the microphone. Allow it at the address bar, then press “Try again”."),
    NotFoundError: _("No microphone was found. Plug one in, then press “Try again”."),
    NotReadableError: _("Another program is using the microphone. Close it, then press “Try again”."),
    other: _("The microphone cannot be used just now."),
  },
};

/** Neither, for the same reason: said once. @type {Record<string, string> & {other: string}} */
const BOTH = {
  NotAllowedError: _("The browser was not allowed to use camera and microphone. Allow both at the address bar, then press “Try again”."),
  NotFoundError: _("No camera and no microphone were found. If you have some, plug them in, then press “Try again”."),
  NotReadableError: _("Another program is using camera and microphone. Close it, then press “Try again”."),
  other: _("Camera and microphone cannot be used just now."),
};

/** @param {"camera"|"microphone"} device @param {string} error */
function said(device, error) {
  if (!error) return "";
  /** @type {Record<string, string>} */
  const words = TROUBLES[device];
  return words[error] ?? TROUBLES[device].other;
}
