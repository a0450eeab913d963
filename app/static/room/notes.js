// A note keeps the moment its writing began, also when the network was away while it was written.
import { _ } from "../js/words.js";
import { box, clock, part } from "./page.js";

const section = box("notes");
const form = /** @type {HTMLFormElement} */ (section.querySelector("form"));
const field = part("note", HTMLTextAreaElement);
const kept = part("notes-kept", HTMLOListElement);
const told = box("note-told");

/** @type {number|null} performance.now() when the present note was begun */
let begunMs = null;
let sending = false;

for (const time of section.querySelectorAll("time[data-clock]")) time.textContent = clock(time.getAttribute("datetime"));

field.addEventListener("input", () => {
  if (!field.value.trim()) begunMs = null;
  else begunMs ??= performance.now();
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (field.value.trim() && !sending) void keep(field.value);
});

/** What is not kept stays in the field. @param {string} text */
async function keep(text) {
  sending = true;
  const writingMs = Math.min(Math.round(performance.now() - (begunMs ?? performance.now())), 600_000);
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams({ text, writing_ms: String(writingMs) }),
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) {
      kept.prepend(line(said.at, said.name, text));
      told.textContent = _("Kept at %(time)s.", { time: clock(said.at) });
      if (field.value === text) field.value = "";
      begunMs = field.value ? performance.now() : null;
    } else {
      told.textContent = said.detail ?? _("The note was not kept. Please try again.");
    }
  } catch {
    told.textContent = _("The server cannot be reached, so the note is not kept yet. Please try again in a moment.");
  }
  sending = false;
}

/** @param {string} at @param {string} name @param {string} text */
function line(at, name, text) {
  const item = document.createElement("li");
  for (const [tag, kind, words] of [["time", "at", clock(at)], ["span", "quiet", name], ["span", "prose", text]]) {
    const one = document.createElement(/** @type {string} */ (tag));
    one.className = /** @type {string} */ (kind);
    one.textContent = /** @type {string} */ (words);
    item.append(one, " ");
  }
  return item;
}
