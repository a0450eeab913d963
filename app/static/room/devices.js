// Camera and microphone of this browser: asked for, shown to their owner, and named in plain words when missing.

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
    return { media, trouble: "This browser gives no access to camera and microphone. Please try another browser." };
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

/** @param {string} device @param {string} error */
function said(device, error) {
  if (!error) return "";
  if (error === "NotAllowedError") {
    return `The browser was not allowed to use the ${device}. Allow it at the address bar, then press “Try again”.`;
  }
  if (error === "NotFoundError") return `No ${device} was found. Plug one in, then press “Try again”.`;
  if (error === "NotReadableError") return `Another program is using the ${device}. Close it, then press “Try again”.`;
  return `The ${device} cannot be used just now.`;
}
