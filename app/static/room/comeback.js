// What a reload must not forget: that this person was in the room, and what they had switched off.
// Only a reload comes back by itself; opening the page any other way begins with the device check.

/** @typedef {{muted: boolean, cameraOff: boolean, sharing: boolean}} Before */

/**
 * @param {string} session
 * @returns {Before|null} how it was before this reload; null when the person was not in the room
 */
export function before(session) {
  const kept = sessionStorage.getItem(session);
  sessionStorage.removeItem(session); // a copy of this tab must not come in as well
  const [visit] = performance.getEntriesByType("navigation");
  const reloaded = visit instanceof PerformanceNavigationTiming && visit.type === "reload";
  return kept && reloaded ? JSON.parse(kept) : null;
}

/** @param {string} session @param {() => Before|null} now asked when the page goes; null: not in the room */
export function remember(session, now) {
  addEventListener("pagehide", () => {
    const state = now();
    if (state) sessionStorage.setItem(session, JSON.stringify(state));
  });
}
