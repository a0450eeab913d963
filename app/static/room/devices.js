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
  /** @type {string[]} */
  const troubles = [];
  if (!navigator.mediaDevices?.getUserMedia) {
    return { media, trouble: _("This browser gives no access to camera and microphone. Please try another browser.") };
  }
  if (wanted.video && wanted.audio && (await addTo(media, { video: VIDEO, audio: true })) === "") {
    return { media, trouble: "" };
  }
  if (wanted.video && !media.getVideoTracks().length) {
    troubles.push(said("camera", await addTo(media, { video: VIDEO })));
  }
  if (wanted.audio && !media.getAudioTracks().length) {
    troubles.push(said("microphone", await addTo(media, { audio: true })));
  }
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

/** @param {"camera"|"microphone"} device @param {string} error */
function said(device, error) {
  if (!error) return "";
  /** @type {Record<string, string>} */
  const words = TROUBLES[device];
  return words[error] ?? TROUBLES[device].other;
}
