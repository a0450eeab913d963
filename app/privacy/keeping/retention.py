"""Retention: what is past its date is asked to be erased; what was asked and not finished is tried again.

What is due is unreadable without this (sessions.policy.readable); the sweep destroys it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select, text

from app.audit import SYSTEM
from app.database import Db
from app.logs import place_of
from app.privacy.erasing.erase_job import enqueue_erasure
from app.privacy.erasing.policy import ERASED_WITH, OPEN_STATES, due_again
from app.privacy.erasing.service import ask_erasure
from app.privacy.keeping.contacts import erase_contacts
from app.privacy.keeping.reminding import REMIND_BEFORE, remind
from app.privacy.keeping.tallying import count_answers
from app.privacy.records.models import Erasure, ErasureReason, ErasureState
from app.privacy.records.register import forget_requests
from app.privacy.rights.lifting import lift_when_told
from app.privacy.rights.silence import speak_up
from app.sessions.disclosures import forget_disclosures
from app.sessions.models import Recording, Session
from app.sessions.notes import erase_due_notes
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import due
from app.sessions.response_models import Response
from app.sessions.responses import due_responses
from app.sessions.service import recording_facts
from app.studies.clocks import Ending
from app.studies.models import Study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

log = logging.getLogger("junier.privacy")

AT_ONCE = 500
_UNTIL = f"CAST(:now AS timestamptz) + interval '{REMIND_BEFORE.days} days'"


async def sweep(wiring: Wiring, now: datetime) -> int:
    """Ask for the erasure of everything due at `now`, erase notes that are, tell owners what goes soon, lift
    restrictions whose participants were told, forget requests settled long ago, and take up unfinished erasures.
    Returns how many jobs were enqueued. Raises ExceptionGroup when an account could not be swept, after all others
    were. Safe to run twice and beside itself."""
    troubles: list[Exception] = []

    async def each(found: Mapping[AccountId, object], step: Callable[[AccountId], Awaitable[int]]) -> int:
        """One account's trouble keeps no other from its dates; it is told when all had their turn."""
        count = 0
        for account in found:
            try:
                count += await step(account)
            except Exception as trouble:
                log.error("an account could not be swept: %s at %s", type(trouble).__name__, place_of(trouble))
                troubles.append(trouble)
        return count

    notes = await _by_account(wiring, "due_notes(:now, :limit)", now)
    await each(notes, lambda account: _erase_notes(wiring, account, notes[account], now))
    recordings = await _by_account(wiring, "due_recordings(:now, :limit)", now)
    responses = await _by_account(wiring, "due_responses(:now, :limit)", now)
    parts = await _by_account(wiring, "due_parts(:now, :limit)", now)
    asked = await each(parts, lambda account: _ask_parts(wiring, account, parts[account], now))
    asked += await each(
        recordings | responses,
        lambda account: _ask_due(wiring, account, recordings.get(account, []), responses.get(account, []), now),
    )
    contacts = await _by_account(wiring, "due_contacts(:now, :limit)", now)
    asked += await each(contacts, lambda account: _erase_contacts(wiring, account, contacts[account], now))
    soon = await _by_account(wiring, f"recordings_due_soon(:now, {_UNTIL}, :limit)", now)
    await each(soon, lambda account: _remind(wiring, account, soon[account], now))
    requests = await _by_account(wiring, "lifting_requests(:limit)", now)
    await each(requests, lambda account: _lift(wiring, account, requests[account]))
    silent = await _by_account(wiring, "waiting_requests(:now, :limit)", now)
    await each(silent, lambda account: _speak_up(wiring, account, silent[account], now))
    old = await _by_account(wiring, "old_requests(:now, :limit)", now)
    await each(old, lambda account: _forget(wiring, account, old[account], now))
    given = await _by_account(wiring, "old_disclosures(:now, :limit)", now)
    await each(given, lambda account: _forget_given(wiring, account, given[account]))
    erasures = await _by_account(wiring, "unfinished_erasures(:now, :limit)", now)
    asked += await each(erasures, lambda account: _take_up(wiring, account, erasures[account], now))
    if troubles:
        raise ExceptionGroup("Some accounts could not be swept", troubles)
    return asked


async def _by_account(wiring: Wiring, function: str, now: datetime) -> dict[AccountId, list[UUID]]:
    """What a door tells of all accounts: account -> ids."""
    found: dict[AccountId, list[UUID]] = defaultdict(list)
    values = {"limit": AT_ONCE} | ({"now": now} if ":now" in function else {})
    async with wiring.database.transaction() as db:
        for account, one in await db.execute(text(f"SELECT * FROM {function}"), values):
            found[AccountId(account)].append(one)
    return found


async def _erase_notes(wiring: Wiring, account: AccountId, notes: Sequence[UUID], now: datetime) -> int:
    async with wiring.database.transaction(account) as db:
        return await erase_due_notes(db, notes=notes, now=now, by=SYSTEM)


async def _erase_contacts(wiring: Wiring, account: AccountId, people: Sequence[UUID], now: datetime) -> int:
    async with wiring.database.transaction(account) as db:
        return await erase_contacts(db, account=account, people=people, now=now)


async def _remind(wiring: Wiring, account: AccountId, soon: Sequence[UUID], now: datetime) -> int:
    async with wiring.database.transaction(account) as db:
        return await remind(db, wiring, account=account, recordings=soon, now=now)


async def _speak_up(wiring: Wiring, account: AccountId, requests: Sequence[UUID], now: datetime) -> int:
    async with wiring.database.transaction(account) as db:
        return await speak_up(db, wiring, account=account, requests=requests, now=now)


async def _forget(wiring: Wiring, account: AccountId, requests: Sequence[UUID], now: datetime) -> int:
    async with wiring.database.transaction(account) as db:
        return await forget_requests(db, account=account, requests=requests, now=now)


async def _forget_given(wiring: Wiring, account: AccountId, disclosures: Sequence[UUID]) -> int:
    async with wiring.database.transaction(account) as db:
        return await forget_disclosures(db, account=account, disclosures=disclosures)


async def _lift(wiring: Wiring, account: AccountId, requests: Sequence[UUID]) -> int:
    lifted = 0
    for request in requests:
        async with wiring.database.transaction(account) as db:
            lifted += await lift_when_told(db, request)
    return lifted


def _locked(recordings: Sequence[UUID]) -> Select[Recording, Session, Study]:
    """With what says how long they are kept; those that another sweep looks at are left to it."""
    return (
        select(Recording, Session, Study)
        .join(Session, Session.id == Recording.session_id)
        .join(Study, Study.id == Session.study_id)
        .where(Recording.id.in_(recordings))
        .with_for_update(of=Recording, skip_locked=True)
    )


async def _ask_due(
    wiring: Wiring, account: AccountId, recordings: Sequence[UUID], responses: Sequence[UUID], now: datetime
) -> int:
    """One erasure per person and retention policy, of recordings and answers."""
    groups: dict[tuple[UUID, str], list[UUID]] = defaultdict(list)
    answers: dict[tuple[UUID, str], list[UUID]] = defaultdict(list)
    async with wiring.database.transaction(account) as db:
        rows = await db.execute(_locked(recordings))
        asked = await _asked_already(db)
        for recording, session, study in rows:
            until = due(recording_facts(recording, session), study.retention_days, now)
            if until is not None and until <= now and not asked(recording):
                groups[recording.person_id, _policy(study)].append(recording.id)
        going = [
            (response, study) for response, study in await due_responses(db, responses, now) if not asked(response)
        ]
        for response, study in going:
            answers[response.participant_id, _policy(study)].append(response.id)
        await count_answers(db, wiring.columns, going)
        for person, policy in {**groups, **answers}:
            await ask_erasure(
                db,
                account=account,
                person=PersonId(person),
                reason=ErasureReason.RETENTION,
                asked_by=SYSTEM,
                instruction=policy,
                recordings=groups.get((person, policy), []),
                responses=answers.get((person, policy), []),
            )
    return len({**groups, **answers})


async def _ask_parts(wiring: Wiring, account: AccountId, recordings: Sequence[UUID], now: datetime) -> int:
    """One erasure per person, retention policy and set of kinds that go before the rest. Asking closes them, so
    that they are not found again."""
    groups: dict[tuple[UUID, str, frozenset[str]], list[UUID]] = defaultdict(list)
    async with wiring.database.transaction(account) as db:
        rows = await db.execute(_locked(recordings))
        held = await held_parts(db, recordings)
        for recording, session, study in rows:
            dates = parts_due(recording, session, study, held.get(recording.id, ()), now)
            gone = frozenset(one for kind, until in dates.items() if until <= now for one in ERASED_WITH[kind])
            whole = due(recording_facts(recording, session), study.retention_days, now)
            if gone and not (whole is not None and whole <= now):
                groups[recording.person_id, _policy(study), gone].append(recording.id)
        for (person, policy, kinds), mine in groups.items():
            await ask_erasure(
                db,
                account=account,
                person=PersonId(person),
                reason=ErasureReason.RETENTION,
                asked_by=SYSTEM,
                instruction=policy,
                recordings=mine,
                kinds=kinds,
            )
    return len(groups)


def _policy(study: Study) -> str:
    """The instruction an erasure by date follows."""
    policy = f"retention policy version {study.retention_version} of study {study.id}"
    return policy if study.ending == Ending.ERASE else f"{policy}, anonymise: of answers the counts of choices stay"


async def _asked_already(db: Db) -> Callable[[Recording | Response], bool]:
    """Whether an erasure that is still going on covers a recording as a whole, or a response."""
    unfinished = (
        await db.scalars(select(Erasure).where(Erasure.state.in_(OPEN_STATES), Erasure.track_kinds.is_(None)))
    ).all()
    people = {erasure.person_id for erasure in unfinished if erasure.recording_ids is None}
    named = {one for erasure in unfinished for one in [*(erasure.recording_ids or ()), *(erasure.response_ids or ())]}

    def asked(row: Recording | Response) -> bool:
        person = row.person_id if isinstance(row, Recording) else row.participant_id
        return person in people or row.id in named

    return asked


async def _take_up(wiring: Wiring, account: AccountId, erasures: Sequence[UUID], now: datetime) -> int:
    """Unfinished erasures whose pause is over; the key keeps a job that still waits from being doubled."""
    count = 0
    async with wiring.database.transaction(account) as db:
        for erasure in await db.scalars(select(Erasure).where(Erasure.id.in_(erasures))):
            if due_again(ErasureState(erasure.state), erasure.tries, erasure.tried_at, now):
                count += await enqueue_erasure(db, erasure)
    return count
