// Small things every room page needs: finding elements, and saying something.

/**
 * The element of that id; a page without it is broken, so it is said loudly.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function part(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/** @param {string} id */
export const box = (id) => part(id, HTMLElement);

/** @param {string} id */
export const button = (id) => part(id, HTMLButtonElement);

/**
 * Show words where they belong, or nothing. Announced by the element's own role.
 * @param {HTMLElement} place
 * @param {string} words
 */
export function say(place, words) {
  if (place.textContent !== words) place.textContent = words;
  place.hidden = !words;
}

/** @param {string|null} iso @returns {string} 14:32:07 */
export function clock(iso) {
  return iso ? new Date(iso).toTimeString().slice(0, 8) : "";
}
