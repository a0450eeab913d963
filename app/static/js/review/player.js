// All recordings of a session in step on one timeline: one clock, which every player follows.

/** A player further away than this is set, a nearer one only sped up or slowed down a little. */
const JUMP_S = 0.3;
const CLOSE_S = 0.04;
const NUDGE = 0.03;
const ENOUGH = HTMLMediaElement.HAVE_FUTURE_DATA;

export class Player {
  /** @type {((ms: number) => void)[]} */ #onTime = [];
  /** @type {((playing: boolean) => void)[]} */ #onPlaying = [];
  #atS = 0;
  #playing = false;
  #waiting = false;
  #wallMs = 0;
  #speed = 1;

  /** @param {HTMLElement} root holds the players, each with data-offset and data-length (ms) */
  constructor(root) {
    this.durationMs = Number(root.dataset.duration);
    this.streams = [.../** @type {NodeListOf<HTMLMediaElement>} */ (root.querySelectorAll("video, audio"))].map(
      (media) => ({
        media,
        offsetS: Number(media.dataset.offset) / 1000,
        lengthS: Number(media.dataset.length) / 1000,
      }),
    );
    for (const { media } of this.streams) media.controls = false;
  }

  get playing() { return this.#playing; }
  get atMs() { return this.#atS * 1000; }
  get speed() { return this.#speed; }

  /** @param {(ms: number) => void} told */
  onTime(told) { this.#onTime.push(told); }

  /** @param {(playing: boolean) => void} told */
  onPlaying(told) { this.#onPlaying.push(told); }

  /** @param {boolean} on */
  play(on) {
    if (on && this.atMs >= this.durationMs) this.#atS = 0;
    this.#playing = on;
    this.#wallMs = performance.now();
    for (const told of this.#onPlaying) told(on);
    if (on) requestAnimationFrame(this.#tick);
    else this.#follow();
  }

  /** @param {number} ms */
  go(ms) {
    this.#atS = Math.max(0, Math.min(ms, this.durationMs)) / 1000;
    for (const { media, offsetS, lengthS } of this.streams) {
      media.currentTime = Math.max(0, Math.min(this.#atS - offsetS, lengthS));
    }
    this.#follow();
    this.show();
  }

  /** Plays on from here. @param {number} ms */
  playFrom(ms) {
    this.go(ms);
    if (!this.#playing) this.play(true);
  }

  /** @param {number} times */
  setSpeed(times) {
    this.#speed = times;
    this.#follow();
  }

  /** @param {number} share 0..1 */
  setVolume(share) {
    for (const { media } of this.streams) media.volume = share;
  }

  /** Time goes on only while no player that should be heard is waiting for data. @param {number} nowMs */
  #tick = (nowMs) => {
    if (!this.#playing) return;
    this.#waiting = this.streams.some((stream) => this.#waits(stream));
    const passed = Math.max(0, nowMs - this.#wallMs) / 1000;
    if (!this.#waiting) this.#atS = Math.min(this.#atS + passed * this.#speed, this.durationMs / 1000);
    this.#wallMs = nowMs;
    if (this.atMs >= this.durationMs) this.play(false);
    this.#follow();
    this.show();
    requestAnimationFrame(this.#tick);
  };

  /** Whether this one should be heard and waits for data. @param {Player["streams"][number]} stream */
  #waits({ media, offsetS, lengthS }) {
    const own = this.#atS - offsetS;
    return own >= 0 && own < lengthS - 0.5 && (media.readyState < ENOUGH || media.seeking);
  }

  /** While one waits, those that are ready stand still: set back each time, they would keep it waiting in turn. */
  #follow() {
    for (const stream of this.streams) {
      const { media, offsetS, lengthS } = stream;
      const own = this.#atS - offsetS;
      if (own < 0 || own >= lengthS) {
        if (!media.paused) media.pause();
        continue;
      }
      const away = media.currentTime - own;
      if (Math.abs(away) > JUMP_S * this.#speed && !media.seeking) media.currentTime = own;
      const nudge = Math.abs(away) < CLOSE_S ? 0 : away > 0 ? -NUDGE : NUDGE;
      media.playbackRate = this.#speed * (1 + nudge);
      const on = this.#playing && (!this.#waiting || this.#waits(stream));
      if (on && media.paused) media.play().catch(() => {});
      if (!on && !media.paused) media.pause();
    }
  }

  /** Tells everybody where we are. */
  show() {
    for (const told of this.#onTime) told(this.atMs);
  }
}
