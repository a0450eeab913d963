// Plays all recordings of a session in step on one timeline, with the transcript beside them.
// Without this file each recording still plays on its own.

/** A player further away than this is set, a nearer one only sped up or slowed down a little. */
const JUMP_S = 0.3;
const CLOSE_S = 0.04;

const root = document.getElementById("review");
const play = /** @type {HTMLButtonElement} */ (document.getElementById("play"));
const seek = /** @type {HTMLInputElement} */ (document.getElementById("seek"));
const clock = /** @type {HTMLOutputElement} */ (document.getElementById("clock"));

if (root && play && seek && clock) {
  const durationMs = Number(root.dataset.duration);
  const players = [...root.querySelectorAll("video, audio")].map((element) => ({
    media: /** @type {HTMLMediaElement} */ (element),
    offsetS: Number(/** @type {HTMLElement} */ (element).dataset.offset) / 1000,
    lengthS: Number(/** @type {HTMLElement} */ (element).dataset.length) / 1000,
  }));
  const cues = [...root.querySelectorAll("#cues li")].map((line) => ({
    line: /** @type {HTMLElement} */ (line),
    startMs: Number(/** @type {HTMLElement} */ (line).dataset.start),
    endMs: Number(/** @type {HTMLElement} */ (line).dataset.end),
  }));
  let atS = 0;
  let playing = false;
  let wallMs = 0;
  /** @type {HTMLElement | undefined} */
  let spoken;

  for (const { media } of players) media.controls = false;
  const transport = root.querySelector(".transport");
  if (transport) transport.removeAttribute("hidden");

  /** @param {number} ms */
  const text = (ms) => {
    const total = Math.floor(ms / 1000);
    const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, String(total % 60).padStart(2, "0")];
    return h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
  };

  const follow = () => {
    for (const { media, offsetS, lengthS } of players) {
      const own = atS - offsetS;
      const inside = own >= 0 && own < lengthS;
      if (!inside) {
        if (!media.paused) media.pause();
        continue;
      }
      const away = media.currentTime - own;
      if (Math.abs(away) > JUMP_S && !media.seeking) media.currentTime = own;
      media.playbackRate = Math.abs(away) < CLOSE_S ? 1 : away > 0 ? 0.97 : 1.03;
      if (playing && media.paused) media.play().catch(() => {});
      if (!playing && !media.paused) media.pause();
    }
  };

  const show = () => {
    const ms = atS * 1000;
    seek.value = String(ms);
    const words = `${text(ms)} of ${text(durationMs)}`;
    if (clock.value !== words) {
      clock.value = words;
      seek.setAttribute("aria-valuetext", words);
    }
    const now = cues.filter((cue) => cue.startMs <= ms && ms < cue.endMs).at(-1)?.line;
    if (now !== spoken) {
      spoken?.removeAttribute("aria-current");
      now?.setAttribute("aria-current", "true");
      if (now && playing) now.scrollIntoView({ block: "nearest" });
      spoken = now;
    }
  };

  /** Time goes on only while no player that should be heard is waiting for data. @param {number} nowMs */
  const tick = (nowMs) => {
    const waiting = players.some(({ media, offsetS, lengthS }) => {
      const own = atS - offsetS;
      return own >= 0 && own < lengthS - 0.5 && (media.readyState < 3 || media.seeking);
    });
    if (playing && !waiting) atS = Math.min(atS + (nowMs - wallMs) / 1000, durationMs / 1000);
    wallMs = nowMs;
    if (playing && atS * 1000 >= durationMs) setPlaying(false);
    follow();
    show();
    if (playing) requestAnimationFrame(tick);
  };

  /** @param {boolean} on */
  const setPlaying = (on) => {
    if (on && atS * 1000 >= durationMs) atS = 0;
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(on));
    wallMs = performance.now();
    if (on) requestAnimationFrame(tick);
    else follow();
  };

  /** @param {number} ms */
  const go = (ms) => {
    atS = Math.max(0, Math.min(ms, durationMs)) / 1000;
    for (const { media, offsetS, lengthS } of players) {
      media.currentTime = Math.max(0, Math.min(atS - offsetS, lengthS));
    }
    follow();
    show();
  };

  play.addEventListener("click", () => setPlaying(!playing));
  seek.addEventListener("input", () => go(Number(seek.value)));
  for (const { line, startMs } of cues) {
    line.querySelector("button")?.addEventListener("click", () => {
      go(startMs);
      if (!playing) setPlaying(true);
    });
  }
  for (const jump of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#notes button[data-at]"))) {
    jump.disabled = false;
    jump.addEventListener("click", () => {
      go(Number(jump.dataset.at));
      if (!playing) setPlaying(true);
    });
  }
}
