// One peer connection by one HTTP exchange (WHIP, RFC 9725, and its viewing twin), made anew whenever it is lost.
import { _ } from "../js/words.js";
import { Pace } from "./pace.js";

/** @typedef {"connecting"|"connected"|"lost"|"refused"|"closed"} State */

const LOST_AFTER_MS = 3_000; // "disconnected" often mends itself
const CONNECT_WITHIN_MS = 10_000;

export class Connection {
  #url;
  #iceUrl;
  #prepare;
  #onState;
  #pace = new Pace();
  #closed = false;
  #anew = false;
  #location = "";
  /** @type {RTCPeerConnection|null} */
  #peer = null;
  #drop = () => {};

  /**
   * @param {object} how
   * @param {string} how.url where the offer is posted
   * @param {string} how.iceUrl where fresh STUN and TURN servers are told
   * @param {(peer: RTCPeerConnection) => void} how.prepare adds tracks or transceivers
   * @param {(state: State, reason: string) => void} how.onState
   */
  constructor({ url, iceUrl, prepare, onState }) {
    this.#url = url;
    this.#iceUrl = iceUrl;
    this.#prepare = prepare;
    this.#onState = onState;
    addEventListener("online", () => this.#pace.hurry());
    addEventListener("pagehide", () => this.close());
    void this.#run();
  }

  /** The live peer connection, while there is one. */
  get peer() {
    return this.#peer;
  }

  /** An offer is on its way, or answered and not connected yet. */
  get connecting() {
    return this.#peer !== null && ["new", "connecting"].includes(this.#peer.connectionState);
  }

  /** End this and make it anew at once (the server says the stream is gone). */
  renew() {
    this.#anew = true;
    this.#drop();
    this.#pace.hurry();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#drop();
    this.#pace.hurry();
    this.#onState("closed", "");
  }

  async #run() {
    while (!this.#closed) {
      this.#anew = false;
      this.#onState("connecting", "");
      const again = await this.#once();
      if (this.#closed || !again.retry) return;
      this.#onState("lost", again.reason);
      if (!this.#anew || again.afterMs) await this.#pace.wait(again.afterMs);
    }
  }

  /** One connection from offer to end. @returns {Promise<{retry: boolean, reason: string, afterMs?: number}>} */
  async #once() {
    /** @type {RTCPeerConnection|null} */
    let peer = null;
    try {
      peer = this.#peer = new RTCPeerConnection(await this.#servers());
      this.#prepare(peer);
      const ended = lossOf(peer, (drop) => (this.#drop = drop));
      await peer.setLocalDescription();
      // candidates are not sent: the server learns our address from the first check it receives
      const answer = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/sdp" },
        body: peer.localDescription?.sdp ?? "",
        signal: AbortSignal.timeout(CONNECT_WITHIN_MS), // a lost network answers nothing, not even that it is lost
      });
      if (!answer.ok) return await this.#refusal(answer);
      this.#location = answer.headers.get("location") ?? "";
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      await ended(() => {
        this.#pace.reset();
        this.#onState("connected", "");
      });
      return { retry: true, reason: _("The connection was lost.") };
    } catch {
      return { retry: true, reason: _("The server cannot be reached.") };
    } finally {
      peer?.close();
      this.#peer = null;
      this.#end();
    }
  }

  async #servers() {
    const answer = await fetch(this.#iceUrl, { signal: AbortSignal.timeout(CONNECT_WITHIN_MS) });
    if (!answer.ok) throw new Error("no servers");
    return /** @type {RTCConfiguration} */ ({ bundlePolicy: "max-bundle", ...(await answer.json()) });
  }

  /** @param {Response} answer */
  async #refusal(answer) {
    const problem = await answer.json().catch(() => ({}));
    const reason = problem.detail ?? _("The server refused this.");
    const retry = answer.status === 503 || answer.status === 409 || answer.status === 429;
    if (!retry) this.#onState("refused", reason);
    return { retry, reason, afterMs: Number(answer.headers.get("retry-after") ?? 0) * 1000 };
  }

  #end() {
    if (!this.#location) return;
    void fetch(this.#location, { method: "DELETE", keepalive: true }).catch(() => {});
    this.#location = "";
  }
}

/**
 * A promise maker: resolves when the connection is over, whoever ended it.
 * @param {RTCPeerConnection} peer
 * @param {(drop: () => void) => void} offerDrop
 * @returns {(onConnected: () => void) => Promise<void>}
 */
function lossOf(peer, offerDrop) {
  let over = () => {};
  /** @type {Promise<void>} */
  const ended = new Promise((done) => (over = done));
  offerDrop(over);
  return (onConnected) => {
    let patience = setTimeout(over, CONNECT_WITHIN_MS);
    const look = () => {
      clearTimeout(patience);
      if (peer.connectionState === "connected") onConnected();
      else if (peer.connectionState === "disconnected") patience = setTimeout(over, LOST_AFTER_MS);
      else if (peer.connectionState === "failed" || peer.connectionState === "closed") over();
      else patience = setTimeout(over, CONNECT_WITHIN_MS);
    };
    peer.onconnectionstatechange = look;
    if (peer.connectionState === "connected") look();
    return ended.finally(() => clearTimeout(patience));
  };
}
