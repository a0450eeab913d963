"""Parts of an account's export that belong to no single participant: studies with their texts and questions, sessions
with their notes, members, and what was recorded of members."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Member
from app.accounts.service import EMAIL_FIELD, NAME_FIELD
from app.database import Db
from app.errors import JunierError
from app.invitations.models import Invitation
from app.invitations.noted import Noted, notes_shown
from app.library.service import Media, find_media, written
from app.library.written import FORMATS
from app.privacy.rights.disclosing import lines_of
from app.privacy.rights.zipped import File, text_file
from app.sessions.disclosures import disclosures_of
from app.sessions.models import Recording, Session
from app.studies.models import ConsentText, Question, Study
from app.studies.service import contact_of
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


async def account_files(db: Db, wiring: Wiring, *, account: AccountId, restricted: Collection[UUID]) -> list[File]:
    """members.json, disclosures.json, and studies/<id>.json. Notes of a session in which somebody restricted took part
    are left out: they are about everybody in it."""
    files = [
        json_file("members.json", await _members(db, wiring, account)),
        json_file("disclosures.json", await _disclosures(db, wiring)),
    ]
    silent = await _sessions_of(db, restricted)
    sessions: dict[UUID, list[Session]] = defaultdict(list)
    for session in await db.scalars(select(Session).order_by(Session.created_at, Session.id)):
        sessions[session.study_id].append(session)
    for study in (await db.scalars(select(Study).order_by(Study.created_at, Study.id))).all():
        lines = [await _session(db, wiring, one, study, told=one.id not in silent) for one in sessions[study.id]]
        files.append(json_file(f"studies/{study.id}.json", await _study(db, wiring, study) | {"sessions": lines}))
    return files


async def member_files(db: Db, wiring: Wiring, recording: UUID) -> list[File]:
    """What was recorded of a member, with its transcript; nothing while it cannot be read."""
    try:
        media = await find_media(db, recording=recording)
        files = [await asyncio.to_thread(_media, wiring, media, f"members/{media.ref.person}/{recording}")]
    except JunierError:
        return []
    try:
        lines = (await written(db, wiring, recording=recording)).lines
    except JunierError:
        return files
    return [
        *files,
        *(
            text_file(f"members/{media.ref.person}/{recording}.{form}", FORMATS[form][1](lines).encode())
            for form in ("vtt", "txt")
        ),
    ]


def json_file(path: str, content: object) -> File:
    return text_file(path, (json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n").encode())


def _media(wiring: Wiring, media: Media, path: str) -> File:
    view = media.open(wiring)
    return File(path=f"{path}.{view.suffix}", size=view.size, read=lambda: media.open(wiring).read())


async def _members(db: Db, wiring: Wiring, account: AccountId) -> list[dict[str, Any]]:
    rows = await db.scalars(select(Member).where(Member.removed_at.is_(None)).order_by(Member.created_at, Member.id))
    return [
        {
            "id": row.id,
            "role": row.role,
            "name": wiring.columns.open(account, PersonId(row.id), NAME_FIELD, row.name),
            "email": wiring.columns.open(account, PersonId(row.id), EMAIL_FIELD, row.email),
            "since": row.created_at.isoformat(),
        }
        for row in rows
    ]


async def _disclosures(db: Db, wiring: Wiring) -> list[dict[str, Any]]:
    """The register as it stands: every entry, corrected ones too, and what recipients were told since."""
    return [
        {
            "id": line.row.id,
            "corrects": line.row.corrects,
            "at": line.row.at.isoformat(),
            "by": line.row.by,
            "participant": line.row.participant_id,
            "session": line.row.session_id,
            "recipient": line.recipient,
            "contact": line.contact,
            "kinds": line.row.kinds,
            "ground": line.row.ground,
            "words": line.words,
            "given_on": line.row.given_on,
            "told_before": line.row.told_before,
            "not_told_because": line.untold,
            "hidden_until": line.row.hidden_until,
            "hidden_because": line.row.hidden_ground,
            "notices": [
                {
                    "change": one.row.change,
                    "receipt": one.row.receipt,
                    "since": one.row.made_at.isoformat(),
                    "told_on": one.row.told_on,
                    "not_told": one.row.ground,
                    "because": one.words,
                }
                for one in line.notices
            ],
        }
        for line in await lines_of(db, wiring.columns, await disclosures_of(db))
    ]


async def _study(db: Db, wiring: Wiring, study: Study) -> dict[str, Any]:
    texts = await db.scalars(select(ConsentText).where(ConsentText.study_id == study.id).order_by(ConsentText.version))
    asked = await db.scalars(select(Question).where(Question.study_id == study.id).order_by(Question.position))
    return {
        "id": study.id,
        "title": study.title,
        "contact": asdict(contact_of(wiring.columns, study)),
        "language": study.language,
        "kinds": study.kinds,
        "created_at": study.created_at.isoformat(),
        "retention_days": study.retention_days,
        "periods": study.periods,
        "consent_texts": [
            {"version": one.version, "language": one.language, "text": one.text, "since": one.created_at.isoformat()}
            for one in texts
        ],
        "questions": [
            {
                "id": one.id,
                "kind": one.kind,
                "prompt": one.prompt,
                "options": one.options,
                "lowest": one.lowest,
                "highest": one.highest,
                "lowest_label": one.lowest_label,
                "highest_label": one.highest_label,
                "required": one.required,
            }
            for one in asked
        ],
    }


async def _session(db: Db, wiring: Wiring, session: Session, study: Study, *, told: bool) -> dict[str, Any]:
    noted = await notes_shown(db, wiring.columns, session=session, study=study) if told else Noted()
    invited = select(Invitation.participant_id).where(Invitation.session_id == session.id)
    return {
        "id": session.id,
        "title": session.title,
        "starts_at": session.starts_at and session.starts_at.isoformat(),
        "time_zone": session.time_zone,
        "started_at": session.started_at and session.started_at.isoformat(),
        "ended_at": session.ended_at and session.ended_at.isoformat(),
        "participants": list(await db.scalars(invited.order_by(Invitation.created_at))),
        "notes": [{"at": note.at.isoformat(), "by": note.member, "text": note.text} for note in noted.lines],
    }


async def _sessions_of(db: Db, people: Collection[UUID]) -> set[UUID]:
    invited = select(Invitation.session_id).where(Invitation.participant_id.in_(people))
    recorded = select(Recording.session_id).where(Recording.person_id.in_(people))
    return {*await db.scalars(invited), *await db.scalars(recorded)}
