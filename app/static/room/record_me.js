// A member's own switch: whether their voice and picture are recorded too. It shows what the server knows.
import { command } from "./commands.js";
import { part, say } from "./page.js";

export class RecordMe {
  #session;
  #trouble;
  #switch;
  #asking = false;

  /** @param {string} session @param {HTMLElement} trouble where a refusal is said */
  constructor(session, trouble) {
    this.#session = session;
    this.#trouble = trouble;
    this.#switch = document.getElementById("record-me") ? part("record-me", HTMLInputElement) : null;
    this.#switch?.addEventListener("change", () => void this.#ask());
  }

  /** @param {import("./protocol.js").Room} room */
  show(room) {
    if (this.#switch && !this.#asking) this.#switch.checked = room.you.records_self;
  }

  async #ask() {
    if (!this.#switch) return;
    const wanted = this.#switch.checked;
    this.#asking = true;
    const refused = await command(`/rooms/${this.#session}/${wanted ? "record-me" : "do-not-record-me"}`);
    this.#asking = false;
    say(this.#trouble, refused);
    if (refused) this.#switch.checked = !wanted;
    else if (this.#switch.checked !== wanted) await this.#ask(); // moved again meanwhile
  }
}
