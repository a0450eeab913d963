// The review: all recordings of a session in step, the transcript and the notes beside them.
// Without this file each recording still plays on its own.

import { showPictures } from "./review/pictures.js";
import { Player } from "./review/player.js";
import { showTranscript } from "./review/transcript.js";
import { showTransport } from "./review/transport.js";

const root = document.getElementById("review");
if (root) {
  const player = new Player(root);
  showTransport(root, player);
  showPictures(root, player);
  const list = document.getElementById("cues");
  const follow = /** @type {HTMLButtonElement | null} */ (document.getElementById("follow"));
  if (list && follow) showTranscript(list, follow, player);
  for (const note of /** @type {NodeListOf<HTMLButtonElement>} */ (root.querySelectorAll("#notes button[data-at]"))) {
    note.disabled = false;
    note.addEventListener("click", () => player.playFrom(Number(note.dataset.at)));
  }
  player.show();
}
