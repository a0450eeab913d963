"""Whoever was given something of a participant is told when it is erased, corrected or restricted (GDPR Art. 19):
one notice for each recipient and change, which an owner answers with the day they told them, or why they could not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from uuid import UUID

from sqlalchemy import func, select

from app.audit import Action, Fact, record
from app.database import Db, now_in
from app.decisions import ALLOWED, Decision, refused
from app.errors import Conflict, NotThere
from app.language import N_
from app.privacy.erasing.scope import Plan
from app.privacy.records.models import DataRequest, Erasure
from app.privacy.records.owners import tell_owners
from app.sealed_columns import SealedColumns
from app.sessions.disclosure_models import Change, Disclosed, Disclosure, NotTold, RecipientNotice
from app.sessions.disclosures import KIND_OF_TRACK, counting, disclosures_of, may_know
from app.sessions.models import Recording, Track, Transcript
from app.sessions.response_models import Response
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, TrackKind

WORDS_FIELD = "recipient_notice.words"
Gone = Collection[tuple[UUID, Disclosed]]
"""(session, kind) of what was erased."""


class AnsweredAlready(Conflict):
    """This notice was answered already."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """An owner's answer to a notice: the day, or why not and what makes it so."""

    on: date | None = None
    ground: NotTold | None = None
    words: str = ""


def touches(kinds: Collection[str], session: UUID, gone: Gone | None) -> bool:
    """Was anything that they were given of this session among what is gone? gone None: everything of the person."""
    if gone is None:
        return bool(kinds)
    return any((session, Disclosed(kind)) in gone for kind in kinds)


def may_answer(told: Told, given_on: date, today: date) -> Decision:
    """Either a day on which they could be told, or one of the two cases of Art. 19 with its reason. today: by the
    clock furthest east."""
    if (told.on is None) is (told.ground is None):
        return refused(N_("Please name the day on which you told them, or say why you could not."))
    if told.on is not None and not given_on <= told.on <= today:
        return refused(N_("Please choose a day after they were given it, and not one to come."))
    if told.ground is not None and not told.words:
        return refused(N_("Please say what makes it impossible, or too great an effort."))
    return ALLOWED


async def gone_of(db: Db, plan: Plan) -> Gone | None:
    """What an erasure takes, as recipients may have got it; None: everything."""
    if plan.whole_person:
        return None
    tracks = await db.execute(
        select(Recording.session_id, Track.kind)
        .join(Recording, Recording.id == Track.recording_id)
        .where(Track.id.in_(plan.tracks))
    )
    gone = {(session, KIND_OF_TRACK[TrackKind(kind)]) for session, kind in tracks.tuples()}
    written = await db.scalars(
        select(Recording.session_id)
        .join(Transcript, Transcript.recording_id == Recording.id)
        .where(Transcript.id.in_(plan.transcripts))
    )
    answered = await db.scalars(select(Response.session_id).where(Response.id.in_(plan.responses)))
    gone |= {(session, Disclosed.TRANSCRIPT) for session in written}
    gone |= {(session, Disclosed.ANSWERS) for session in answered}
    return gone | {(session, Disclosed.NOTES) for session in plan.note_sessions if session not in plan.held_notes}


async def tell_of_erasure(db: Db, wiring: Wiring, erasure: Erasure, plan: Plan) -> int:
    """Returns how many recipients are told, as far as the participant may know of them."""
    return await tell_recipients(
        db,
        wiring,
        account=AccountId(erasure.account_id),
        participant=PersonId(erasure.person_id),
        change=Change.ERASED,
        cause=erasure.id,
        receipt=erasure.receipt,
        gone=await gone_of(db, plan),
    )


async def tell_of_correction(
    db: Db, wiring: Wiring, request: DataRequest, kinds: Collection[Disclosed] = tuple(Disclosed)
) -> int:
    """A rectification that was carried out; kinds: what was wrong."""
    return await tell_recipients(
        db,
        wiring,
        account=AccountId(request.account_id),
        participant=PersonId(request.participant_id),
        change=Change.RECTIFIED,
        cause=request.id,
        receipt=request.receipt,
        kinds=kinds,
    )


async def tell_recipients(
    db: Db,
    wiring: Wiring,
    *,
    account: AccountId,
    participant: PersonId,
    change: Change,
    cause: UUID,
    receipt: str,
    gone: Gone | None = None,
    kinds: Collection[Disclosed] = tuple(Disclosed),
) -> int:
    """A notice for each entry that counts and was touched, and one mail to each owner, which names nobody. gone: of an
    erasure; kinds: of any other change. Safe to run twice. Returns how many recipients are told, as far as the
    participant may know of them: what they are given must not break a silence."""
    rows = await disclosures_of(db, participant=participant)

    def touched(of: Iterable[Disclosure]) -> list[Disclosure]:
        found = (row for row in counting(of) if touches(row.kinds, row.session_id, gone))
        return [row for row in found if set(kinds) & set(row.kinds)]

    known = set(await db.scalars(select(RecipientNotice.disclosure_id).where(RecipientNotice.cause_id == cause)))
    new = [row for row in touched(rows) if row.id not in known]
    for row in new:
        notice = RecipientNotice(
            account_id=account, disclosure_id=row.id, change=change, cause_id=cause, receipt=receipt
        )
        db.add(notice)
    await db.flush()
    if new:
        await tell_owners(
            db,
            wiring,
            account=account,
            template="recipients_to_tell",
            key=f"recipients-{cause}",
            context={"change": str(change), "receipt": receipt, "number": len(new)},
        )
    today = (await now_in(db)).astimezone(UTC).date()
    seen = [row for row in rows if may_know(row.hidden_until, today)]
    return len({row.id for row in touched(seen)} | (known & {row.id for row in counting(seen)}))


async def answer_notice(
    db: Db, columns: SealedColumns, *, account: AccountId, notice: UUID, told: Told, by: PersonId
) -> None:
    """Once: the answer is the proof. Raises NotThere, AnsweredAlready."""
    row = await db.get(RecipientNotice, notice, with_for_update=True)
    if row is None:
        raise NotThere
    if row.answered_at is not None:
        raise AnsweredAlready
    row.told_on, row.ground = told.on, told.ground
    row.words = columns.seal(account, None, WORDS_FIELD, told.words) if told.words else None
    row.answered_by, row.answered_at = by, await now_in(db)
    facts: dict[str, Fact | UUID] = {"change": row.change, "told": told.on is not None}
    if told.ground is not None:
        facts["ground"] = str(told.ground)
    subject = f"disclosure:{row.disclosure_id}"
    action = Action.RECIPIENT_TOLD if told.on else Action.RECIPIENT_NOT_TOLD
    await record(db, account=account, actor=f"member:{by}", action=action, subject=subject, facts=facts)


async def notices_of(db: Db, disclosures: Collection[UUID]) -> Mapping[UUID, list[RecipientNotice]]:
    """By disclosure, oldest first."""
    if not disclosures:
        return {}
    rows = await db.scalars(
        select(RecipientNotice)
        .where(RecipientNotice.disclosure_id.in_(disclosures))
        .order_by(RecipientNotice.made_at, RecipientNotice.id)
    )
    found: dict[UUID, list[RecipientNotice]] = {}
    for row in rows:
        found.setdefault(row.disclosure_id, []).append(row)
    return found


async def count_waiting(db: Db) -> int:
    """How many notices an owner has to answer."""
    return await db.scalar(select(func.count()).where(RecipientNotice.answered_at.is_(None))) or 0


async def waiting_notices(db: Db) -> list[tuple[RecipientNotice, Disclosure]]:
    """What owners still have to do, oldest first."""
    rows = await db.execute(
        select(RecipientNotice, Disclosure)
        .join(Disclosure, Disclosure.id == RecipientNotice.disclosure_id)
        .where(RecipientNotice.answered_at.is_(None))
        .order_by(RecipientNotice.made_at, RecipientNotice.id)
    )
    return list(rows.tuples())
