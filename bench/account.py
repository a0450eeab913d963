"""A big account, made fast: rows by COPY, names and addresses sealed by the product under keys of its key store.

participants            one in six sessions of a study; five people to a session
one session of fifty    each with a camera recording, two tracks and a transcript's row
one session reviewed    two people, with real sealed transcripts
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import Table

from app import models
from app.accounts.login import start_login
from app.accounts.models import Scope
from app.accounts.service import create_account
from app.audit import Action, record
from app.database import Base
from app.embedded import DATABASE
from app.library.transcripts import TranscriptCue, TranscriptText, write_transcript
from app.sealed_columns import SealedColumns
from app.studies.models import ConsentKind
from app.studies.service import create_study
from app.wiring import Wiring
from recordings.encryption.sealed import SEAL_OVERHEAD
from recordings.model import AccountId, PersonId, RecordingId, RecordingRef, SessionId, StreamKind

PEOPLE_OF_A_SESSION = 5
CROWD = 50
STUDIES = 20
CUES = 400
ALL_KNOWN = 10_000
"""Larger accounts have keys for those only whose names a measured page shows; the others are bytes of that length."""
BEGAN = datetime.now(UTC) - timedelta(days=60)
"""Nothing is due while pages are asked: the sweep would erase beside the measurement."""


@dataclass(frozen=True, kw_only=True)
class BigAccount:
    """Where to look. owner, participant: values of a login cookie."""

    account: AccountId
    owner: str
    participant: str
    study: UUID
    crowded: UUID
    reviewed: UUID


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What COPY writes, table by table in the order of foreign keys."""

    participants: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    recordings: list[dict[str, Any]]
    tracks: list[dict[str, Any]]
    transcripts: list[dict[str, Any]]
    mails: list[dict[str, Any]]

    def write(self, connection: psycopg.Connection) -> None:
        for model, rows in (
            (models.participants.Participant, self.participants),
            (models.sessions.Session, self.sessions),
            (models.invitations.Invitation, self.invitations),
            (models.participants.Consent, self.consents),
            (models.sessions.Recording, self.recordings),
            (models.sessions.Track, self.tracks),
            (models.sessions.Transcript, self.transcripts),
            (models.mail.OutgoingMail, self.mails),
        ):
            _copy(connection, model, rows)


def make(wiring: Wiring, superuser_url: str, *, participants: int) -> BigAccount:
    """An account with so many participants, and a fifth as many sessions."""
    return asyncio.run(_make(wiring, superuser_url, participants))


async def _make(wiring: Wiring, superuser_url: str, participants: int) -> BigAccount:
    columns = wiring.columns
    async with wiring.database.transaction() as db:
        account, owner = await create_account(
            db, columns, name=f"{participants} people", owner_name="Olga", owner_email=f"olga@{uuid4()}.example"
        )
        studies = [await _study(db, columns, account, number) for number in range(STUDIES)]
        cookie = await start_login(db, wiring.settings, account=account, scope=Scope.MEMBER, member=owner)
        for number in range(200):
            subject, actor = f"study:{studies[number % STUDIES]}", f"member:{owner}"
            await record(db, account=account, actor=actor, action=Action.STUDY_CHANGED, subject=subject)
    with _without_fsync():
        rows = _rows(columns, account, studies, participants)
    reviewed = rows.sessions[0]["id"]
    _write_words(wiring, account, rows, reviewed)
    with psycopg.connect(superuser_url, dbname=DATABASE) as connection:
        connection.execute("SET session_replication_role = replica")  # triggers row by row would take minutes
        rows.write(connection)
        connection.execute("SELECT tell_due(ARRAY(SELECT id FROM session WHERE account_id = %s))", [account])
    with psycopg.connect(superuser_url, dbname=DATABASE, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    async with wiring.database.transaction(account) as db:
        person = rows.invitations[0]["participant_id"]
        mine = await start_login(
            db, wiring.settings, account=account, scope=Scope.DATA, participant=person, session=reviewed
        )
    await wiring.database.close()
    return BigAccount(
        account=account,
        owner=cookie.value or "",
        participant=mine.value or "",
        study=studies[0],
        crowded=rows.sessions[1]["id"],
        reviewed=reviewed,
    )


async def _study(db: Any, columns: SealedColumns, account: AccountId, number: int) -> UUID:
    return await create_study(
        db,
        columns,
        account=account,
        title=f"Study {number}",
        contact_name="Olga",
        contact_email="study@lab.example",
        consent_text="We watch how you cook and ask you about it.",
        kinds=list(ConsentKind),
    )


def _rows(columns: SealedColumns, account: AccountId, studies: Sequence[UUID], participants: int) -> _Rows:
    rows = _Rows(
        participants=[],
        sessions=[],
        invitations=[],
        consents=[],
        recordings=[],
        tracks=[],
        transcripts=[],
        mails=[],
    )
    sizes = _sizes(participants)
    for number, people in enumerate(sizes):
        at = BEGAN + timedelta(minutes=number)
        session: dict[str, Any] = {
            "id": uuid4(),
            "account_id": account,
            "study_id": studies[0 if number < 2 else number % len(studies)],
            "title": f"Session {number}",
            "group": True,
            "state": "ended",
            "created_at": at,
            "started_at": at,
            "ended_at": at + timedelta(hours=1),
        }
        rows.sessions.append(session)
        for _ in range(people):
            _person(rows, columns, account, session["id"], at, known=participants <= ALL_KNOWN or number < 2)
    return rows


def _sizes(participants: int) -> Iterator[int]:
    """How many people each session has: two, fifty, then five each, in a fifth as many sessions as people."""
    yield 2
    yield CROWD
    left = participants - 2 - CROWD
    for _ in range(participants // PEOPLE_OF_A_SESSION - 2):
        yield min(PEOPLE_OF_A_SESSION, left)
        left -= min(PEOPLE_OF_A_SESSION, left)


_numbers = count()


def _person(
    rows: _Rows, columns: SealedColumns, account: AccountId, session: UUID, at: datetime, *, known: bool
) -> None:
    person, number = PersonId(uuid4()), next(_numbers)
    email = f"person-{number}@home.example"
    of_account = {"account_id": account}
    if known:
        columns.make_person_key(account, person)
        name = columns.seal(account, person, "participant.name", f"Person {number}")
        address = columns.seal(account, person, "participant.email", email)
    else:
        name, address = os.urandom(SEAL_OVERHEAD + 12), os.urandom(SEAL_OVERHEAD + len(email))
    rows.participants.append(
        of_account
        | {
            "id": person,
            "name": name,
            "email": address,
            "email_index": number.to_bytes(32, "big"),
            "created_at": at,
            "registered_at": at,
        }
    )
    rows.invitations.append(
        of_account
        | {
            "id": uuid4(),
            "session_id": session,
            "participant_id": person,
            "token_hash": os.urandom(32),
            "unsubscribe_hash": os.urandom(32),
            "created_at": at,
            "expires_at": at + timedelta(days=30),
            "accepted_at": at,
            "admitted_at": at,
        }
    )
    rows.consents.extend(
        of_account
        | {
            "id": uuid4(),
            "participant_id": person,
            "session_id": session,
            "kind": kind,
            "given": True,
            "text_version": 1,
            "text_hash": bytes(32),
            "language": "en",
        }
        for kind in (ConsentKind.VIDEO, ConsentKind.AUDIO)
    )
    rows.mails.append(
        of_account
        | {
            "id": uuid4(),
            "person_id": person,
            "template": "invitation",
            "optional": True,
            "key": f"invitation-{number}",
            "content": bytes(900),
            "state": "sent",
            "created_at": at,
            "sent_at": at,
        }
    )
    _recording(rows, of_account, session, person, at)


def _recording(rows: _Rows, of_account: dict[str, Any], session: UUID, person: PersonId, at: datetime) -> None:
    recording = uuid4()
    rows.recordings.append(
        of_account
        | {
            "id": recording,
            "session_id": session,
            "person_id": person,
            "stream": "camera",
            "state": "stored",
            "last_take": 1,
            "index_generation": 1,
            "index_key": f"{recording}/index-00001",
            "recorded_at": at,
            "duration_ms": 3_000_000,
            "gaps": [],
            "created_at": at,
        }
    )
    voice = uuid4()
    rows.tracks.extend(
        of_account
        | {"id": track, "recording_id": recording, "kind": kind, "frames": 9_000, "bytes": 9_000_000, "created_at": at}
        for track, kind in ((uuid4(), "camera"), (voice, "voice"))
    )
    rows.transcripts.append(
        of_account
        | {
            "id": uuid4(),
            "recording_id": recording,
            "track_id": voice,
            "state": "ready",
            "language": "en",
            "model": "bench",
            "progress": 1.0,
            "coverage": 1.0,
            "words": 4_000,
            "created_at": at,
        }
    )


def _write_words(wiring: Wiring, account: AccountId, rows: _Rows, session: UUID) -> None:
    """Real transcripts of one session, as the worker leaves them."""
    cues = [
        TranscriptCue(start_ms=1000 * n, end_ms=1000 * n + 900, text="I would look for the lamp under kitchens first.")
        for n in range(CUES)
    ]
    for row, transcript in zip(rows.recordings, rows.transcripts, strict=True):
        if row["session_id"] != session:
            continue
        ref = RecordingRef(
            account=account,
            session=SessionId(session),
            person=PersonId(row["person_id"]),
            recording=RecordingId(row["id"]),
            kind=StreamKind.CAMERA,
        )
        text = TranscriptText(language="en", model="bench", cues=cues, coverage=1.0)
        transcript["object_key"] = write_transcript(wiring.store, wiring.keys, ref, transcript["id"], text)


def _copy(connection: psycopg.Connection, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """COPY with the defaults the models declare."""
    table = model.__table__
    assert isinstance(table, Table)
    fixed = {c.name: c.default.arg for c in table.columns if c.default is not None and c.default.is_scalar}
    names = list(dict.fromkeys([*fixed, *(name for row in rows for name in row)]))
    quoted = ", ".join(f'"{name}"' for name in names)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table.name} ({quoted}) FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row([_value(row.get(name, fixed.get(name))) for name in names])


def _value(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, list | dict) else value


@contextmanager
def _without_fsync() -> Iterator[None]:
    """What is made here is thrown away: keys need not reach the disk one by one."""
    with patch("os.fsync", lambda _: None):
        yield
