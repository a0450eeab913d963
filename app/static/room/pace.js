// Pace: how long to wait before trying again; longer each time, never in step with other pages.

const FIRST_MS = 400;
const LONGEST_MS = 8_000;

export class Pace {
  #next = FIRST_MS;
  #hurry = () => {};

  /** It worked: the next failure is tried again soon. */
  reset() {
    this.#next = FIRST_MS;
  }

  /** The network is back or we are leaving: stop waiting. */
  hurry() {
    this.#hurry();
  }

  /** @param {number} [atLeastMs] what the server asked for (Retry-After) @returns {Promise<void>} */
  wait(atLeastMs = 0) {
    const ms = Math.max(this.#next * (0.7 + 0.6 * Math.random()), atLeastMs);
    this.#next = Math.min(this.#next * 2, LONGEST_MS);
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        done();
      };
    });
  }
}
