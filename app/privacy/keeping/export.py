"""Everything an account holds, as one archive that is written while it is sent: nothing of it ever lies on a disk, and
no more than one person's texts lie in memory. Each person is read in a transaction of their own, so that what was
erased, restricted or withdrawn meanwhile is not in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Account, Member, Role
from app.audit import Action, Fact, record
from app.audit_file import events_after, written
from app.database import Db, now_in
from app.errors import Forbidden, NotThere
from app.language import Language, speaking
from app.participants.models import Participant
from app.privacy.erasing.certificate import certificate_file
from app.privacy.keeping.export_parts import account_files, json_file, member_files
from app.privacy.keeping.export_readme import LeftOut, readme
from app.privacy.records.models import Certificate, DataRequest, Erasure, RequestKind
from app.privacy.rights.copying import make_copy
from app.privacy.rights.requests import UNANSWERED
from app.privacy.rights.zipped import File, Growing, text_file
from app.sessions.models import Recording
from app.sessions.response_models import Response
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

RESTRICTED = "restricted: they asked that it is kept and not used (GDPR Art. 18)"
BEING_ERASED = "is being erased"
ERASED_MEANWHILE = "was erased while the archive was made"


@dataclass(frozen=True, kw_only=True)
class Export:
    """Who takes it along, who is in it and who is not, as it stood when it was asked for."""

    account: AccountId
    by: PersonId
    people: tuple[PersonId, ...]
    left_out: tuple[LeftOut, ...]
    first: tuple[File, ...]


async def begin_export(db: Db, wiring: Wiring, *, account: AccountId, by: PersonId, purpose: str) -> Export:
    """Noted in the audit log with its purpose; the caller commits before a byte flows."""
    restricted = await _restricted(db)
    rows = (await db.scalars(select(Participant).where(Participant.erased_at.is_(None)).order_by(Participant.id))).all()
    going = await _being_erased(db)
    left_out = [LeftOut(person=row.id, why=RESTRICTED) for row in rows if row.id in restricted]
    left_out += [LeftOut(person=row.id, why=BEING_ERASED) for row in rows if row.id in going - restricted]
    people = tuple(PersonId(row.id) for row in rows if row.id not in restricted | going)
    name = (await db.get_one(Account, account)).name
    files = await account_files(db, wiring, account=account, restricted=restricted)
    words = readme(wiring.settings, account=name, people=people, left_out=left_out, now=await now_in(db))
    facts: dict[str, Fact | UUID] = {"purpose": purpose, "people": len(people), "left_out": len(left_out)}
    subject = f"account:{account}"
    await record(
        db, account=account, actor=f"member:{by}", action=Action.ACCOUNT_EXPORTED, subject=subject, facts=facts
    )
    return Export(
        account=account,
        by=by,
        people=people,
        left_out=tuple(left_out),
        first=(text_file("README.txt", words.encode()), *files),
    )


async def send_export(wiring: Wiring, export: Export) -> AsyncIterator[bytes]:
    """The archive. Ends early, which a browser tells as a failed download, when a file cannot be read, and when the
    owner is one no more."""
    archive, left_out = Growing(), list(export.left_out)
    async for piece in _in_threads(archive.add(export.first)):
        yield piece
    for person in export.people:
        files, why = await _person(wiring, export, person)
        if why:
            left_out.append(LeftOut(person=person, why=why))
        async for piece in _in_threads(archive.add(files)):
            yield piece
    for recording in await _recordings_of_members(wiring, export):
        async with wiring.database.transaction(export.account) as db:
            await _still_owner(db, export)
            files = await member_files(db, wiring, recording)
        async for piece in _in_threads(archive.add(files)):
            yield piece
    async for piece in _in_threads(archive.add(await _certificates(wiring, export))):
        yield piece
    async for file in _audit_log(wiring, export):
        async for piece in _in_threads(archive.add([file])):
            yield piece
    told = [{"person": str(one.person), "why": one.why} for one in left_out]
    async for piece in _in_threads(archive.add([json_file("left-out.json", told)])):
        yield piece
    async for piece in _in_threads(archive.end()):
        yield piece


async def _person(wiring: Wiring, export: Export, person: PersonId) -> tuple[list[File], str]:
    """As in their own copy; no files and why, when they may not be in it any more. Each is in the log before a byte of
    it flows."""
    async with wiring.database.transaction(export.account) as db:
        await _still_owner(db, export)
        if person in await _restricted(db, person):
            return [], RESTRICTED
        try:
            with speaking(Language.EN):
                copy = await make_copy(
                    db,
                    wiring,
                    account=export.account,
                    participant=person,
                    by=f"member:{export.by}",
                    for_themselves=False,
                )
        except NotThere:
            return [], ERASED_MEANWHILE
    return [replace(file, path=f"participants/{person}/{file.path}") for file in copy.files], ""


async def _still_owner(db: Db, export: Export) -> None:
    """Raises Forbidden: whoever is taken out, or closes the account, takes nothing more along."""
    row = await db.get(Member, export.by)
    closed = await db.scalar(select(Account.closed_at))
    if row is None or row.removed_at is not None or row.role != Role.OWNER or closed is not None:
        raise Forbidden


async def _restricted(db: Db, person: PersonId | None = None) -> set[UUID]:
    """People of whom something is kept and not used: they asked, or what they left is marked so."""
    asked = select(DataRequest.participant_id).where(
        DataRequest.kind.in_((RequestKind.RESTRICTION, RequestKind.OBJECTION)), DataRequest.state.in_(UNANSWERED)
    )
    recorded = select(Recording.person_id).where(Recording.restricted_at.is_not(None), Recording.erased_at.is_(None))
    answered = select(Response.participant_id).where(Response.restricted_at.is_not(None), Response.erased_at.is_(None))
    if person is not None:
        asked = asked.where(DataRequest.participant_id == person)
        recorded = recorded.where(Recording.person_id == person)
        answered = answered.where(Response.participant_id == person)
    return {one for question in (asked, recorded, answered) for one in await db.scalars(question)}


async def _being_erased(db: Db) -> set[UUID]:
    whole = Erasure.recording_ids.is_(None), Erasure.track_kinds.is_(None), Erasure.finished_at.is_(None)
    return set(await db.scalars(select(Erasure.person_id).where(*whole)))


async def _recordings_of_members(wiring: Wiring, export: Export) -> list[UUID]:
    async with wiring.database.transaction(export.account) as db:
        of_members = Recording.person_is_member, Recording.erased_at.is_(None), Recording.restricted_at.is_(None)
        return list(await db.scalars(select(Recording.id).where(*of_members).order_by(Recording.created_at)))


async def _certificates(wiring: Wiring, export: Export) -> list[File]:
    async with wiring.database.transaction(export.account) as db:
        await _still_owner(db, export)
        return await all_certificates(db)


async def _audit_log(wiring: Wiring, export: Export) -> AsyncIterator[File]:
    """In portions, each a file, up to the newest event."""
    number = 0
    while True:
        async with wiring.database.transaction(export.account) as db:
            await _still_owner(db, export)
            events = await events_after(db, number)
        if not events:
            return
        yield text_file(f"audit/{number + 1:09}.jsonl", written(events))
        number = events[-1].number


async def all_certificates(db: Db) -> list[File]:
    """The newest of each erasure there was, as they are downloaded one by one."""
    found = await db.execute(
        select(Certificate, Erasure.receipt)
        .distinct(Certificate.erasure_id)
        .join(Erasure, Erasure.id == Certificate.erasure_id)
        .order_by(Certificate.erasure_id, Certificate.issued_at.desc())
    )
    return [
        text_file(f"certificates/{receipt}.json", certificate_file(paper.document, paper.signature, paper.public_key))
        for paper, receipt in found.tuples()
    ]


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Reading blocks: the store and the keys are asked while others are served."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
