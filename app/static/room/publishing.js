// Publishing one stream of this browser: camera with voice, or a screen with its sound.
import { Connection } from "./connection.js";

const CAMERA_BITS_PER_S = 2_000_000;
const SCREEN_BITS_PER_S = 2_500_000;

export class Publishing {
  #connection;
  #tracks;
  /** @type {string} */
  #stream;
  #missing = 0;
  #away = false;

  /**
   * @param {object} how
   * @param {string} how.session
   * @param {import("./protocol.js").StreamKind} how.stream
   * @param {MediaStreamTrack[]} how.tracks
   * @param {(state: import("./connection.js").State, reason: string) => void} how.onState
   */
  constructor({ session, stream, tracks, onState }) {
    this.#tracks = new Map(tracks.map((track) => [track.kind, track]));
    this.#stream = stream;
    this.#connection = new Connection({
      url: `/whip?session=${session}&stream=${stream}`,
      iceUrl: `/rooms/${session}/ice`,
      prepare: (peer) => this.#offer(peer),
      onState,
    });
  }

  /**
   * Send another track of the same kind, or nothing (the camera's light goes out).
   * @param {"audio"|"video"} kind
   * @param {MediaStreamTrack|null} track
   */
  async replace(kind, track) {
    if (track) this.#tracks.set(kind, track);
    else this.#tracks.delete(kind);
    const line = this.#connection.peer?.getTransceivers().find((one) => one.mid && one.receiver.track.kind === kind);
    if (line) await line.sender.replaceTrack(track);
    else if (track) this.#connection.renew();
  }

  /**
   * What the server says of us. A media process that was away and answers again has lost what it had, long before the
   * browser notices; otherwise we are lost when we are missing three times in a row.
   * @param {boolean} seen our stream is there
   * @param {boolean} answers the media process does
   */
  told(seen, answers) {
    const back = answers && this.#away;
    this.#away = !answers;
    this.#missing = seen || this.#connection.connecting ? 0 : this.#missing + 1;
    if (this.#missing && (back || (this.#missing >= 3 && this.#connection.peer))) this.renew();
  }

  renew() {
    this.#missing = 0;
    this.#connection.renew();
  }

  close() {
    this.#connection.close();
  }

  /** @param {RTCPeerConnection} peer */
  #offer(peer) {
    const media = new MediaStream([...this.#tracks.values()]);
    for (const [kind, track] of this.#tracks) {
      const maxBitrate = this.#stream === "screen" ? SCREEN_BITS_PER_S : CAMERA_BITS_PER_S;
      const line = peer.addTransceiver(track, {
        direction: "sendonly",
        streams: [media],
        sendEncodings: kind === "video" ? [{ maxBitrate }] : [],
      });
      if (kind === "video") preferVp8(line);
    }
  }
}

/** @param {RTCRtpTransceiver} line */
function preferVp8(line) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const first = codecs.filter((codec) => ["video/VP8", "video/rtx"].includes(codec.mimeType));
  if (first.length && line.setCodecPreferences) line.setCodecPreferences(first);
}
