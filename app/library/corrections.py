"""Corrections of a transcript: a layer over what was heard, which researchers and the speaker both write and both see.

What the model heard stays in its sealed object. A correction is sealed under the same key, so that whatever erases
the transcript erases it too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.audit import Action, record
from app.database import Db
from app.errors import Conflict, NotThere
from app.library.models import LineCorrection
from app.library.transcripts import TranscriptText
from app.sealed_columns import SealedColumns
from app.sessions.models import Recording, Transcript
from recordings.encryption.keystore import KeyDestroyed
from recordings.model import AccountId, PersonId

FIELD = "line_correction.text"
TEXT_LENGTH = 2_000
MOST_LINES = 2_000
"""Corrections of one transcript; two hours of talk have fewer lines."""


class NoSuchLine(NotThere):
    """There is no line of the transcript that begins here."""


class TooManyCorrections(Conflict):
    """This transcript has been corrected too often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """What a line says instead. by: "member:<id>" | "participant:<id>"."""

    text: str
    by: str
    at: datetime


async def corrections_of(
    db: Db, columns: SealedColumns, transcripts: Mapping[UUID, PersonId]
) -> dict[UUID, dict[int, Correction]]:
    """The newest correction of each line, by transcript and where the line begins. transcripts: id -> who speaks.
    Nothing of one that was erased."""
    rows = await db.scalars(
        select(LineCorrection)
        .where(LineCorrection.transcript_id.in_(transcripts))
        .order_by(LineCorrection.at, LineCorrection.id)
    )
    newest = {(row.transcript_id, row.start_ms): row for row in rows}
    found: dict[UUID, dict[int, Correction]] = defaultdict(dict)
    for row in newest.values():
        text = open_correction(columns, row, transcripts[row.transcript_id])
        found[row.transcript_id][row.start_ms] = Correction(text=text, by=row.by, at=row.at)
    return found


def open_correction(columns: SealedColumns, row: LineCorrection, person: PersonId) -> str:
    return columns.open(AccountId(row.account_id), person, FIELD, row.text, item=_item(row.transcript_id))


async def correct_line(
    db: Db,
    columns: SealedColumns,
    *,
    row: Recording,
    transcript: Transcript,
    text: TranscriptText,
    start_ms: int,
    said: str,
    by: str,
) -> None:
    """From now on the line says `said`; what was heard, said again, takes the correction back. The caller has decided
    that `by` may. Raises NoSuchLine, TooManyCorrections."""
    await db.get_one(Transcript, transcript.id, with_for_update=True)
    if all(cue.start_ms != start_ms for cue in text.cues):
        raise NoSuchLine
    rows = await db.scalars(select(LineCorrection.id).where(LineCorrection.transcript_id == transcript.id))
    if len(rows.all()) >= MOST_LINES:
        raise TooManyCorrections
    account, person = AccountId(row.account_id), PersonId(row.person_id)
    try:
        sealed = columns.seal(account, person, FIELD, said, item=_item(transcript.id))
    except KeyDestroyed:
        raise NotThere from None
    db.add(LineCorrection(account_id=account, transcript_id=transcript.id, start_ms=start_ms, text=sealed, by=by))
    await record(
        db,
        account=account,
        actor=by,
        action=Action.LINE_CORRECTED,
        subject=f"recording:{row.id}",
        facts={"participant": None if row.person_is_member else row.person_id},
    )


def actors(found: Mapping[UUID, Mapping[int, Correction]]) -> Collection[UUID]:
    """Everybody who corrected something."""
    return {person_of(one.by) for lines in found.values() for one in lines.values()}


def person_of(actor: str) -> UUID:
    return UUID(actor.partition(":")[2])


def _item(transcript: UUID) -> str:
    return f"transcript-{transcript}"
