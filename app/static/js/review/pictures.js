// Which picture is large, what stands over a picture where nothing was recorded, and below it what else is missing.

/**
 * @param {HTMLElement} root
 * @param {import("./player.js").Player} player
 */
export function showPictures(root, player) {
  const figures = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".videos figure"));
  const pictures = [...figures].filter((figure) => figure.querySelector("video"));

  /** @param {HTMLElement} chosen */
  const enlarge = (chosen) => {
    for (const figure of pictures) {
      figure.classList.toggle("large", figure === chosen);
      figure.querySelector(".enlarge")?.setAttribute("aria-pressed", String(figure === chosen));
    }
  };
  if (pictures.length > 1) {
    for (const figure of pictures) {
      const button = /** @type {HTMLButtonElement} */ (figure.querySelector(".enlarge"));
      button.hidden = false;
      button.addEventListener("click", () => enlarge(figure));
      figure.querySelector("video")?.addEventListener("click", () => enlarge(figure));
    }
  }

  /** @type {{ over: HTMLElement, gaps: [number, number, string, boolean][] }[]} */
  const told = [...figures].map((figure) => ({
    over: /** @type {HTMLElement} */ (figure.querySelector(".over")),
    gaps: JSON.parse(figure.dataset.gaps ?? "[]"),
  }));
  player.onTime((ms) => {
    for (const { over, gaps } of told) {
      const now = gaps.filter(([from, to]) => from <= ms && ms < to);
      const [, , words, covers] = now.find((gap) => gap[3]) ?? now[0] ?? [0, 0, "", false];
      if (over.textContent !== words) {
        over.textContent = words;
        over.hidden = !words;
        over.classList.toggle("beside", !covers);
      }
    }
  });
}
