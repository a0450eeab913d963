"""Verbs of erasing: ask, run, certify. The one way out for requests, withdrawals, retention and owners."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import func, select, update

from app.audit import Action, record
from app.database import Db, note, now_in
from app.errors import JunierError, NotThere
from app.ledger import ledger_of
from app.ledger_entries import ErasureAsked, ErasureBegun
from app.participants.models import Participant
from app.privacy.erasing.certifying import Outcome, certify
from app.privacy.erasing.destroying import destroy
from app.privacy.erasing.erase_job import enqueue_erasure
from app.privacy.erasing.found import Found, look
from app.privacy.erasing.lines import line_of
from app.privacy.erasing.policy import OPEN_STATES, TRANSCRIPT
from app.privacy.erasing.resting import nobody_left_in, sessions_of, uncovered_words
from app.privacy.erasing.rows import hide
from app.privacy.erasing.scope import Plan, plan_erasure
from app.privacy.records.models import Erasure, ErasureReason, ErasureState, RequestKind, RequestState
from app.privacy.records.register import Noted, note_request, receipt_number
from app.sessions.models import Recording, Track, Transcript, TranscriptState
from app.sessions.notes import hide_notes
from app.settings import Settings
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

__all__ = ["Nodes", "Outcome", "ask_erasure", "run_erasure"]


REQUESTED = {
    ErasureReason.REQUEST: RequestKind.ERASURE,
    ErasureReason.WITHDRAWAL: RequestKind.WITHDRAWAL,
}
"""Erasures that a participant asked for stand in the owner's inbox too."""


class NodeErased(Protocol):
    """A media process's answer."""

    @property
    def streams(self) -> int: ...

    @property
    def pieces(self) -> int: ...


class Nodes(Protocol):
    """The media processes, as app.room.node_client reaches them."""

    async def erase(self, url: str, prefix: str) -> NodeErased:
        """Stop capturing under an object prefix and drop spooled pieces. Raises JunierError."""


async def ask_erasure(
    db: Db,
    *,
    account: AccountId,
    person: PersonId,
    reason: ErasureReason,
    asked_by: str,
    instruction: str,
    recordings: Collection[UUID] | None = None,
    responses: Collection[UUID] = (),
    kinds: Collection[str] | None = None,
    noted: Noted | None = None,
    waits: timedelta | None = None,
    note_sessions: Collection[UUID] = (),
) -> Erasure:
    """Make what is to go unreadable now and enqueue its erasure; asking for the same again returns the
    first one, so that nobody is locked out by having asked.

    recordings None: all of the person; kinds None: whole recordings, and with recordings None everything
    about the person. responses: answers that go with the recordings named, or without any. kinds: track kinds or
    policy.TRANSCRIPT. noted: a member wrote the request down; waits: unreadable now, destroyed after that time.
    note_sessions: sessions whose notes go along; of a whole person they are found, and what members said to them,
    written down, goes where nobody's consent allows it any more. Raises NotThere."""
    participant = None
    if recordings is None and kinds is None:
        participant = await db.get(Participant, person, with_for_update=True)
        if participant is None:
            raise NotThere
    await db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(person), 0))))  # a double click waits
    wanted = None if recordings is None else sorted(recordings, key=str)
    if kinds is None:
        same = await _open_one(db, person, wanted, sorted(responses, key=str))
        if same is not None:
            return same
    now = await now_in(db)
    sessions: set[UUID] = set()
    if participant is not None and reason is not ErasureReason.CLOSED:  # of a closed account notes and words go anyway
        participant.leaving_at = participant.leaving_at or now
        await db.flush()
        sessions = await sessions_of(db, person)
        note_sessions = await nobody_left_in(db, sessions, person)
        await hide_notes(db, sessions=note_sessions)
    erasure = Erasure(
        id=uuid4(),
        account_id=account,
        reason=reason,
        person_id=person,
        recording_ids=wanted,
        response_ids=sorted(responses, key=str) or None,
        track_kinds=None if kinds is None else sorted(kinds),
        note_sessions=sorted(note_sessions, key=str) or None,
        asked_by=asked_by,
        instruction=instruction,
        state=ErasureState.ASKED,
        asked_at=now,
        receipt=receipt_number(now),
        tries=0,
        found={},
    )
    db.add(erasure)
    said = {"noted_by": noted.by, "way": str(noted.way), "came": noted.came} if noted else {}
    note(db, line_of(ErasureAsked, erasure, now, **said))
    if kinds is not None:
        await close_kinds(db, erasure, now)
    await db.flush()
    plan = await plan_erasure(db, erasure, now)
    await hide(db, plan, now)
    await record(
        db,
        account=account,
        actor=asked_by,
        action=Action.ERASURE_ASKED,
        subject=f"erasure:{erasure.id}",
        facts={"reason": str(reason), "person": person, "recordings": len(plan.recordings), "tracks": len(plan.tracks)},
    )
    if reason in REQUESTED:
        await note_request(
            db,
            account=account,
            participant=person,
            kind=REQUESTED[reason],
            state=RequestState.OPEN,
            now=now,
            receipt=erasure.receipt,
            erasure=erasure.id,
            noted=noted,
        )
    await enqueue_erasure(db, erasure, run_at=now + waits if waits else None)
    await erase_uncovered_words(db, account=account, sessions=sessions, asked_by=asked_by)
    return erasure


async def erase_uncovered_words(db: Db, *, account: AccountId, sessions: Collection[UUID], asked_by: str) -> None:
    """What members said in these sessions was written down as one side of a dialogue: it goes with the last consent
    that allowed it (sessions.policy.may_write_down). Safe to run twice."""
    for member, recordings in (await uncovered_words(db, sessions)).items() if sessions else ():
        await ask_erasure(
            db,
            account=account,
            person=member,
            reason=ErasureReason.UNCOVERED,
            asked_by=asked_by,
            instruction="no participant of the session agrees any more that what is said is written down",
            recordings=recordings,
            kinds={TRANSCRIPT},
        )


async def run_erasure(wiring: Wiring, account: AccountId, erasure_id: UUID, *, nodes: Nodes) -> Outcome:
    """Erase, look again, certify. Safe to run twice, beside itself and after a crash at any step:

    1 hide     rows say unreadable, sign-ins and links are closed
    2 stop     media processes end the streams and drop what waits in their spools
    3 note     what stands is written down, and the ledger outside the database says it begins
    4 destroy  keys first, then objects; then everything is looked for again
    5 certify  rows, certificate, state and the ledger's last line in one transaction

    A certificate is therefore never there while something is still readable."""
    async with wiring.database.transaction(account) as db:
        erasure = await db.get(Erasure, erasure_id, with_for_update=True)
        if erasure is None:
            raise NotThere
        if erasure.state == ErasureState.COMPLETE:
            return Outcome(state=ErasureState.COMPLETE)
        now = await now_in(db)
        plan = await plan_erasure(db, erasure, now)
        await hide(db, plan, now)
        erasure.state, erasure.tried_at, erasure.tries = ErasureState.RUNNING, now, erasure.tries + 1
    spooled, silent = await _stop_capture(wiring.settings, plan, nodes)
    await _note(wiring, account, erasure_id, plan, spooled)
    await ledger_of(wiring.settings).note(line_of(ErasureBegun, erasure, now))
    destroyed = await asyncio.to_thread(destroy, wiring.store, wiring.keys, plan)
    return await certify(wiring, account, erasure_id, plan, silent, destroyed)


async def _open_one(
    db: Db, person: PersonId, recordings: Sequence[UUID] | None, responses: Sequence[UUID]
) -> Erasure | None:
    """An unfinished erasure of the same extent."""
    unfinished = await db.execute(
        select(Erasure)
        .where(Erasure.person_id == person, Erasure.state.in_(OPEN_STATES), Erasure.track_kinds.is_(None))
        .order_by(Erasure.asked_at)
    )
    for erasure in unfinished.scalars():
        same_answers = sorted(erasure.response_ids or (), key=str) == responses
        if same_answers and (erasure.recording_ids and sorted(erasure.recording_ids, key=str)) == recordings:
            return erasure
    return None


async def close_kinds(db: Db, erasure: Erasure, now: datetime) -> None:
    """Nothing more is written to tracks of these kinds, and their words are no longer shown."""
    mine = select(Recording.id).where(Recording.person_id == erasure.person_id)
    if erasure.recording_ids is not None:
        mine = mine.where(Recording.id.in_(erasure.recording_ids))
    kinds = erasure.track_kinds or []
    await db.execute(
        update(Track)
        .where(Track.recording_id.in_(mine), Track.kind.in_(kinds), Track.closed_at.is_(None))
        .values(closed_at=now)
    )
    if TRANSCRIPT in kinds:
        await db.execute(
            update(Transcript)
            .where(Transcript.recording_id.in_(mine), Transcript.state != TranscriptState.ERASED)
            .values(state=TranscriptState.ERASED)
        )


async def _stop_capture(settings: Settings, plan: Plan, nodes: Nodes) -> tuple[int, tuple[str, ...]]:
    """Pieces dropped, and the media processes that did not confirm."""
    pieces, silent = 0, []
    for node in plan.nodes:
        url = node.url or (settings.node_url if node.name == settings.node_name else "")
        try:
            if not url:
                raise JunierError
            for prefix in plan.stop:
                pieces += (await nodes.erase(url, prefix)).pieces
        except JunierError:
            silent.append(
                f"The media process {node.name} did not confirm that nothing waits in its spool; "
                "what may wait there cannot be opened any more"
            )
    return pieces, tuple(silent)


async def _note(wiring: Wiring, account: AccountId, erasure_id: UUID, plan: Plan, spooled: int) -> None:
    seen = await asyncio.to_thread(look, wiring.store, wiring.keys, plan.prefixes, plan.keys)
    async with wiring.database.transaction(account) as db:
        erasure = await db.get_one(Erasure, erasure_id, with_for_update=True)
        found = Found.from_json(erasure.found) | seen.found | Found(spooled=spooled)
        erasure.found = found.to_json()
