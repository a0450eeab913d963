"""Certify an erasure: rows, certificate and state in one transaction, after everything was looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select

from app.audit import SYSTEM, record
from app.database import Db, note, now_in
from app.ledger_entries import ErasureComplete
from app.participants.models import Participant
from app.privacy.erasing.certificate import CertificateFacts, Document, document, public_bytes, sign, signing_key
from app.privacy.erasing.destroying import Destroyed
from app.privacy.erasing.found import Found
from app.privacy.erasing.lines import line_of
from app.privacy.erasing.recipients import tell_of_erasure
from app.privacy.erasing.rows import close_person, close_request, close_rows
from app.privacy.erasing.scope import Plan, plan_erasure
from app.privacy.records.models import Certificate, Erasure, ErasureState
from app.settings import Settings
from app.wiring import Wiring
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run of an erasure ended. again: another run can still do something."""

    state: ErasureState
    reasons: tuple[str, ...] = ()

    @property
    def again(self) -> bool:
        return self.state in (ErasureState.PARTIAL, ErasureState.HELD)


async def certify(
    wiring: Wiring, account: AccountId, erasure_id: UUID, plan: Plan, silent: Sequence[str], destroyed: Destroyed
) -> Outcome:
    """Rows say erased only when every key is gone; until then they stay hidden and the erasure is tried again. That it
    is complete is a line of the ledger before it is committed."""
    held = [f"A hold keeps recording {recording}; it is erased when the hold is released" for recording in plan.held]
    held += [f"A hold keeps response {one}; it is erased when the hold is released" for one in plan.held_responses]
    held += [
        f"A hold keeps notes of session {one}; they are erased when the hold is released" for one in plan.held_notes
    ]
    key = await asyncio.to_thread(signing_key, wiring.settings.data_dir)
    async with wiring.database.transaction(account) as db:
        erasure = await db.get_one(Erasure, erasure_id, with_for_update=True)
        if erasure.state == ErasureState.COMPLETE:  # another run was faster
            return Outcome(state=ErasureState.COMPLETE)
        now = await now_in(db)
        unverified = [*silent, *destroyed.reasons, *await _came_late(db, erasure, plan, now)]
        rows: dict[str, int] = {}
        if destroyed.keys_gone:
            rows |= await close_rows(db, plan, now)
        if plan.whole_person:
            rows |= await close_person(db, plan.person, now)
        told = await tell_of_erasure(db, wiring, erasure, plan) if destroyed.keys_gone else 0
        found = Found.from_json(erasure.found) | Found(rows=rows)
        content = document(
            _facts(wiring.settings, erasure, plan, destroyed.left.gone(found), [*unverified, *held], now, told)
        )
        outcome = Outcome(state=_state(unverified, held), reasons=(*unverified, *held))
        if await _differs(db, erasure_id, content):
            db.add(
                Certificate(
                    id=UUID(content["certificate"]),
                    account_id=account,
                    erasure_id=erasure_id,
                    state=content["state"],
                    document=content,
                    signature=sign(content, key),
                    public_key=public_bytes(key),
                    issued_at=now,
                )
            )
        erasure.state = outcome.state
        erasure.found = {} if outcome.state is ErasureState.COMPLETE else found.to_json()
        erasure.finished_at = now if outcome.state is ErasureState.COMPLETE else None
        if outcome.state is ErasureState.COMPLETE:
            await close_request(db, erasure_id, now)
            note(db, line_of(ErasureComplete, erasure, now))
        await record(
            db,
            account=account,
            actor=SYSTEM,
            action=f"privacy:erasure:{outcome.state}",
            subject=f"erasure:{erasure_id}",
            facts={"objects": content["erased"]["objects"], "keys": content["erased"]["keys"]},
        )
    return outcome


async def _came_late(db: Db, erasure: Erasure, plan: Plan, now: datetime) -> list[str]:
    """What was begun of the person since the plan was made: a stream, answers. Nothing of it opens, their key is gone;
    the next run takes it in. From here on nothing more begins: whoever makes such rows waits for the person's own, and
    finds it erased."""
    if not plan.whole_person:
        return []
    await db.get(Participant, plan.person, with_for_update=True, populate_existing=True)
    then = await plan_erasure(db, erasure, now)
    late = {*then.recordings, *then.tracks, *then.transcripts, *then.responses}.difference(
        plan.recordings, plan.tracks, plan.transcripts, plan.responses
    )
    return [f"{_count(len(late), 'row')} came while it was erased; the next try takes them in"] if late else []


def _state(unverified: Sequence[str], held: Sequence[str]) -> ErasureState:
    if unverified:
        return ErasureState.PARTIAL
    return ErasureState.HELD if held else ErasureState.COMPLETE


def _facts(
    settings: Settings, erasure: Erasure, plan: Plan, found: Found, reasons: Sequence[str], now: datetime, told: int
) -> CertificateFacts:
    checked = [
        f"{_count(len(plan.keys), 'key')} tried again: none opens any more",
    ]
    if plan.prefixes:
        checked += [
            f"{_count(len(plan.prefixes), 'place')} in the object store listed again, with versions and open uploads: "
            "nothing is left",
            f"{_count(len(plan.nodes), 'media process', 'media processes')} asked: nothing is captured or to be stored",
        ]
    return CertificateFacts(
        certificate=uuid4(),
        erasure=erasure.id,
        receipt=erasure.receipt,
        installation=f"{settings.platform_name} {settings.public_url}",
        account=erasure.account_id,
        person=erasure.person_id,
        recordings=erasure.recording_ids,
        responses=erasure.response_ids,
        kinds=erasure.track_kinds,
        notes=erasure.note_sessions,
        reason=erasure.reason,
        instruction=erasure.instruction,
        asked_by=erasure.asked_by,
        asked_at=erasure.asked_at,
        issued_at=now,
        backups_until=now.date() + timedelta(days=settings.backup_days),
        objects=tuple(found.objects),
        keys=tuple(found.keys),
        rows=found.rows,
        recipients=told,
        spooled=found.spooled,
        verified=() if reasons else tuple(checked),
        reasons=tuple(reasons),
    )


async def _differs(db: Db, erasure_id: UUID, content: Document) -> bool:
    """A retry that found nothing new issues no new paper."""
    last = (
        await db.execute(
            select(Certificate.document)
            .where(Certificate.erasure_id == erasure_id)
            .order_by(Certificate.issued_at.desc())
            .limit(1)
        )
    ).scalar_one_or_none()
    fleeting = {"certificate", "issued_at", "backups_until"}
    return last is None or {k: v for k, v in last.items() if k not in fleeting} != {
        k: v for k, v in content.items() if k not in fleeting
    }


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
