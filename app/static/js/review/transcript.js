// The transcript beside the player: a word jumps to its moment, the spoken line and word are marked.
// One tab stop for the whole list; arrows lead from line to line and from word to word.

/** So many lines may begin while one goes on. */
const AT_ONCE = 12;

/**
 * @param {HTMLElement} list
 * @param {HTMLButtonElement} follow brings the list back to the spoken line
 * @param {import("./player.js").Player} player
 */
export function showTranscript(list, follow, player) {
  const lines = [.../** @type {HTMLCollectionOf<HTMLElement>} */ (list.children)].map((element) => ({
    element,
    startMs: Number(element.dataset.start),
    endMs: Number(element.dataset.end),
  }));
  /** @type {HTMLElement | undefined} */ let markedLine;
  /** @type {HTMLElement[]} */ let markedWords = [];
  /** @type {HTMLElement | undefined} */ let markedWord;
  let following = true;

  /** @param {boolean} on */
  const setFollowing = (on) => {
    following = on;
    follow.hidden = on;
  };

  /** The line begun last that is not over yet; a gap only where nobody else speaks. @param {number} ms */
  const lineAt = (ms) => {
    let [low, high] = [0, lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lines[middle].startMs <= ms) low = middle + 1;
      else high = middle;
    }
    const open = lines.slice(Math.max(0, low - AT_ONCE), low).filter((line) => ms < line.endMs);
    const speaking = open.filter((line) => !line.element.classList.contains("gap"));
    return (speaking.at(-1) ?? open.at(-1))?.element;
  };

  /** @param {number} ms */
  const wordAt = (ms) => {
    /** @type {HTMLElement | undefined} */ let found;
    for (const word of markedWords) {
      if (Number(word.dataset.at) > ms) break;
      found = word;
    }
    return found;
  };

  /** Moves the list alone, never the page. @param {HTMLElement} line */
  const bringIntoList = (line) => {
    const [box, place] = [list.getBoundingClientRect(), line.getBoundingClientRect()];
    if (place.top < box.top || place.bottom > box.bottom) {
      list.scrollTop += place.top - box.top - box.height / 3;
    }
  };

  player.onTime((ms) => {
    const line = lineAt(ms);
    if (line !== markedLine) {
      markedLine?.removeAttribute("aria-current");
      line?.setAttribute("aria-current", "true");
      markedLine = line;
      markedWords = wordsOf(line);
      if (line && player.playing && following && !list.contains(document.activeElement)) bringIntoList(line);
    }
    const word = wordAt(ms);
    if (word !== markedWord) {
      markedWord?.classList.remove("spoken");
      word?.classList.add("spoken");
      markedWord = word;
    }
  });

  for (const moved of ["wheel", "touchmove"]) {
    list.addEventListener(moved, () => setFollowing(false), { passive: true });
  }
  list.addEventListener("keydown", (event) => {
    if (["PageUp", "PageDown"].includes(event.key)) setFollowing(false);
  });
  follow.addEventListener("click", () => {
    setFollowing(true);
    if (markedLine) bringIntoList(markedLine);
  });

  list.addEventListener("click", (event) => {
    const chosen = /** @type {HTMLElement} */ (event.target);
    const ms = momentOf(chosen);
    if (ms === undefined || (document.getSelection()?.toString() ?? "") !== "") return;
    setFollowing(true);
    player.playFrom(ms);
  });

  roam(list, player);
}

/** The moment of a word, or of a line by its time. @param {HTMLElement} chosen @returns {number | undefined} */
function momentOf(chosen) {
  if (chosen.dataset.at !== undefined) return Number(chosen.dataset.at);
  const start = chosen.closest("button")?.closest("li")?.dataset.start;
  return start === undefined ? undefined : Number(start);
}

/** @param {Element | null | undefined} line @returns {HTMLElement[]} */
function wordsOf(line) {
  return line ? [.../** @type {NodeListOf<HTMLElement>} */ (line.querySelectorAll("[data-at]"))] : [];
}

/** Keys inside the list: a roving tab stop over the times of the lines and their words.
 * @param {HTMLElement} list @param {import("./player.js").Player} player */
function roam(list, player) {
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (list.querySelectorAll("button"));
  for (const button of buttons) {
    button.disabled = false;
    button.tabIndex = -1;
  }
  if (!buttons.length) return;
  list.tabIndex = -1;
  /** @type {HTMLElement} */ let stop = buttons[0];
  stop.tabIndex = 0;

  /** @param {HTMLElement | null | undefined} next */
  const moveTo = (next) => {
    if (!next) return;
    if (stop.dataset.at !== undefined) {
      stop.removeAttribute("tabindex");
      stop.removeAttribute("role");
    } else stop.tabIndex = -1;
    stop = next;
    stop.tabIndex = 0;
    if (stop.dataset.at !== undefined) stop.setAttribute("role", "button");
    stop.focus();
  };

  /** @param {Element | null | undefined} line @param {"previousElementSibling" | "nextElementSibling"} way */
  const beside = (line, way) => {
    let next = line?.[way];
    while (next && !next.querySelector("button")) next = next[way];
    return next;
  };

  /** @param {Element | null | undefined} line @returns {HTMLElement[]} its time, then its words */
  const places = (line) => {
    const time = line?.querySelector("button");
    return time ? [time, ...wordsOf(line)] : [];
  };

  /** @type {Record<string, (line: Element) => HTMLElement | null | undefined>} */
  const ways = {
    ArrowDown: (line) => beside(line, "nextElementSibling")?.querySelector("button"),
    ArrowUp: (line) => beside(line, "previousElementSibling")?.querySelector("button"),
    ArrowRight: (line) => {
      const all = places(line);
      return all[all.indexOf(stop) + 1] ?? beside(line, "nextElementSibling")?.querySelector("button");
    },
    ArrowLeft: (line) => {
      const all = places(line);
      return all[all.indexOf(stop) - 1] ?? places(beside(line, "previousElementSibling")).at(-1);
    },
    Home: () => buttons[0],
    End: () => buttons[buttons.length - 1],
  };

  list.addEventListener("keydown", (event) => {
    const line = /** @type {HTMLElement} */ (event.target).closest("li");
    if (!line || event.altKey || event.ctrlKey || event.metaKey) return;
    if (ways[event.key]) {
      event.preventDefault();
      moveTo(ways[event.key](line));
    } else if ((event.key === "Enter" || event.key === " ") && stop.dataset.at !== undefined) {
      event.preventDefault();
      player.playFrom(Number(stop.dataset.at));
    }
  });
}
