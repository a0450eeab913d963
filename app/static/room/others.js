// Who else is being recorded, in words for a participant.
import { _ } from "../js/words.js";

/** @typedef {import("./protocol.js").Room} Room */

/** @param {Room} room @returns {string} "" when nobody else is */
export function othersRecorded(room) {
  if (room.session !== "live") return "";
  const recorded = new Set(room.streams.filter((stream) => stream.recorded.length).map((stream) => stream.person));
  const names = room.people.filter((one) => one.person !== room.you.person && recorded.has(one.person));
  return names.length ? _("Also being recorded: %(names)s", { names: names.map((one) => one.name).join(", ") }) : "";
}
