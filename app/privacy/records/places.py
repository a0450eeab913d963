"""Everything about a person that is kept elsewhere than in a row: objects, files and lines of a log, as the inventory
declares rows (inventory.py). An object under a key, or a key in a log event, that stands nowhere here fails
the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.legal_basis import Purpose
from app.privacy.records.inventory import About

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RECORDING = "/".join([_UUID] * 4)
_TRACK = f"{_RECORDING}/{_UUID}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """holds: what, sealed or in which form; key: of an object, the whole of it (layout.py); fields: of a log event."""

    about: About
    holds: str
    purpose: Purpose
    what_for: str
    until: str
    goes: str
    copied: bool = False
    key: str = ""
    fields: str = ""


_RECORDED = "as its recording, or until its consent is taken back"
_OBJECT = "its key is destroyed, then the object with all versions, and both are looked for again"

PLACES: Mapping[str, Place] = {
    "segments of a track": Place(
        about=About.PARTICIPANT, holds="video, voice or screen, sealed, some seconds each",
        purpose=Purpose.RESEARCH, what_for="the study",
        until=_RECORDED, goes=_OBJECT, copied=True, key=rf"{_TRACK}/s/\d{{5}}-\d{{6}}",
    ),
    "journals of a track": Place(
        about=About.PARTICIPANT, holds="times, lengths and gaps of what was captured, sealed",
        purpose=Purpose.RESEARCH, what_for="to know what is whole",
        until=_RECORDED, goes=_OBJECT, key=rf"{_TRACK}/j/\d{{5}}",
    ),
    "indexes of a recording": Place(
        about=About.PARTICIPANT, holds="where each picture and sound begins, sealed",
        purpose=Purpose.RESEARCH, what_for="to play it",
        until=_RECORDED, goes=_OBJECT, key=rf"{_RECORDING}/index-\d{{5}}",
    ),
    "transcripts": Place(
        about=About.PARTICIPANT, holds="what was said, word by word with times, sealed",
        purpose=Purpose.RESEARCH, what_for="the study",
        until=_RECORDED, goes=_OBJECT, copied=True, key=rf"{_RECORDING}/t/{_UUID}",
    ),
    "the spool": Place(
        about=About.PARTICIPANT, holds="the same sealed pieces on the disk of the media process",
        purpose=Purpose.RESEARCH, what_for="to lose nothing while the object store is away",
        until="until the object store has them",
        goes="with the same erasure: the files are removed, and no more are written",
    ),
    "the key store": Place(
        about=About.PARTICIPANT, holds="one wrapped key for each person, track, index and transcript",
        purpose=Purpose.SECURITY, what_for="to open what is sealed, and to end that", until="as what it opens",
        goes="overwritten and removed, and read back; what wrapped it is made anew and destroyed on a schedule",
    ),
    "the erasure ledger": Place(
        about=About.PARTICIPANT, holds="ids, times, technical words and keyed hashes, in lines",
        purpose=Purpose.PROOF, what_for="so that a restored backup brings back nothing and nobody",
        until="as long as backups may be restored",
        goes="never: nothing in it can be read as a person",
    ),
    "which database is served": Place(
        about=About.PLATFORM, holds="a number, a time and which database, here and beside the keys",
        purpose=Purpose.OPERATION, what_for="so that no copy of the database is served beside it",
        until="the newest", goes="replaced by the next", key=r"serving/\d{15}",
    ),
    "heads of the audit log": Place(
        about=About.ACCOUNT, holds="the newest hash of each account's log",
        purpose=Purpose.PROOF, what_for="to see that no line was cut off",
        until="the newest", goes="replaced by the next",
    ),
    "backups": Place(
        about=About.PARTICIPANT, holds="the database as it was, its personal columns sealed; no keys",
        purpose=Purpose.SECURITY, what_for="to come back after a loss", until="the days that certificates name",
        goes="what was erased cannot be opened in them: its keys are nowhere",
    ),
    "the log": Place(
        about=About.PLATFORM, holds="fixed events with ids, numbers and words of our own code, never a person's",
        purpose=Purpose.OPERATION, what_for="to see what fails",
        until="as long as the operator keeps logs", goes="with the operator's log files",
        fields="event level timestamp logger exception place errno reference method route status ms task job attempts "
        "faults dropped account",
    ),
}  # fmt: skip
