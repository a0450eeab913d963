// Shows every <time datetime> in the reader's own zone, with the zone named.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const language = document.documentElement.lang;
const format = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, {
  day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", hour12: false,
});

/** @param {ParentNode} root */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.getAttribute("datetime") ?? "");
    if (!Number.isNaN(at.getTime())) time.textContent = `${format.format(at)} (${zone})`;
  }
}

localise(document);
