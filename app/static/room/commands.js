// Commands to the server: a POST from our own page, with plain words when it is refused.
import { _ } from "../js/words.js";

/**
 * @param {string} path
 * @param {Record<string, string>} [fields]
 * @returns {Promise<string>} "" when done, else what to tell the person
 */
export async function command(path, fields = {}) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams(fields),
    });
    if (answer.ok) return "";
    const problem = await answer.json().catch(() => ({}));
    return problem.detail ?? _("That did not work. Please try again.");
  } catch {
    return _("The server cannot be reached. Please try again in a moment.");
  }
}
