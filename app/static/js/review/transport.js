// Play, place, speed and volume, by mouse, touch and keys.

const STEP_MS = 5000;

/** @param {number} ms */
export function clockText(ms) {
  const total = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, String(total % 60).padStart(2, "0")];
  return h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/**
 * @param {HTMLElement} root
 * @param {import("./player.js").Player} player
 */
export function showTransport(root, player) {
  const play = /** @type {HTMLButtonElement} */ (root.querySelector("#play"));
  const seek = /** @type {HTMLInputElement} */ (root.querySelector("#seek"));
  const clock = /** @type {HTMLOutputElement} */ (root.querySelector("#clock"));
  const speed = /** @type {HTMLSelectElement} */ (root.querySelector("#speed"));
  const volume = /** @type {HTMLInputElement} */ (root.querySelector("#volume"));
  root.querySelector(".transport")?.removeAttribute("hidden");

  const whole = clockText(player.durationMs);
  player.onTime((ms) => {
    seek.value = String(ms);
    const words = `${clockText(ms)} / ${whole}`;
    if (clock.value === words) return;
    clock.value = words;
    seek.setAttribute("aria-valuetext", words);
  });
  player.onPlaying((on) => {
    play.textContent = (on ? play.dataset.pause : play.dataset.play) ?? "";
  });

  play.addEventListener("click", () => player.play(!player.playing));
  seek.addEventListener("input", () => player.go(Number(seek.value)));
  speed.addEventListener("change", () => player.setSpeed(Number(speed.value)));
  volume.addEventListener("input", () => player.setVolume(Number(volume.value)));

  /** @param {number} by */
  const chooseSpeed = (by) => {
    speed.selectedIndex = Math.max(0, Math.min(speed.selectedIndex + by, speed.options.length - 1));
    player.setSpeed(Number(speed.value));
  };

  /** @type {Record<string, () => void>} */
  const keys = {
    " ": () => player.play(!player.playing),
    ArrowLeft: () => player.go(player.atMs - STEP_MS),
    ArrowRight: () => player.go(player.atMs + STEP_MS),
    "[": () => chooseSpeed(-1),
    "]": () => chooseSpeed(1),
  };
  document.addEventListener("keydown", (event) => {
    const meant = keys[event.key];
    if (!meant || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (usesKey(/** @type {HTMLElement} */ (event.target), event.key)) return;
    event.preventDefault();
    meant();
  });
}

/** Whether what has the focus needs this key for itself. @param {HTMLElement} element @param {string} key */
function usesKey(element, key) {
  const name = element.localName;
  if (name === "textarea" || name === "select" || element.isContentEditable) return true;
  if (name === "input") return /** @type {HTMLInputElement} */ (element).type !== "range" || key.startsWith("Arrow");
  if (key === " ") return ["button", "summary", "a"].includes(name);
  return key.startsWith("Arrow") && element.closest("#cues, .table") !== null;
}
