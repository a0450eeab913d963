// Texts of the page's modules in the page's language: a data block in the page, from English; without one, English.
const block = document.getElementById("words");
/** @type {Record<string, string|string[]>} */
const words = block ? JSON.parse(block.textContent ?? "{}") : {};

/** @param {string} text @param {Record<string, unknown>} values for %(name)s @returns {string} */
export function _(text, values = {}) {
  const found = words[text];
  return fill(typeof found === "string" ? found : text, values);
}

/** @param {string} one @param {string} many @param {number} n @param {Record<string, unknown>} values @returns {string} */
export function ngettext(one, many, n, values = {}) {
  const found = words[one];
  const [first, others] = Array.isArray(found) ? found : [one, many];
  return fill((n === 1 ? first : others) ?? many, { n, ...values });
}

/** @param {string} text @param {Record<string, unknown>} values */
function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
