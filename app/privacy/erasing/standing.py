"""What lies in the object store, and what should lie there by the rows: two readings that orphans.py compares.

Both speak of roots: the prefix of a track, of a recording's index or of a transcript (storage.layout.root_of).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Account
from app.database import Database
from app.sealed_columns import PLATFORM
from app.sessions.models import Recording, RecordingState, Session, SessionState, Track, Transcript, TranscriptState
from app.sessions.words import FILE_MISSING
from recordings.model import AccountId
from recordings.storage.layout import SERVING, root_of
from recordings.storage.store import ObjectStore, Stored

ELSEWHERE = "?"
"""In front of the first step of keys that were not made here."""


class NotShown(Exception):
    """The database shows nothing of an account that it knows, so its rows prove nothing."""


@dataclass(slots=True)
class Lying:
    """Under one root: objects of all versions, delete markers, open uploads; bytes of all."""

    objects: int = 0
    markers: int = 0
    uploads: int = 0
    bytes: int = 0

    @property
    def things(self) -> int:
        return self.objects + self.markers + self.uploads

    @property
    def readable(self) -> bool:
        """Something of it can be got: no key is ever written twice, so each marker hides one object."""
        return self.objects > self.markers


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Of one account. roots: of everything that is not erased; live: prefixes of sessions that go on; recordings,
    transcripts: the roots that each one needs which is shown as ready; missed: those told to be missing."""

    roots: frozenset[str] = frozenset()
    live: frozenset[str] = frozenset()
    recordings: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    transcripts: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    missed: frozenset[UUID] = frozenset()

    def knows(self, root: str) -> bool:
        """A row stands for it, or may do so any moment: its session goes on."""
        return root in self.roots or "/".join(root.split("/")[:2]) + "/" in self.live


def lying(store: ObjectStore) -> dict[str, Lying]:
    """Everything in the store by root. Blocking; raises StoreError."""
    found: dict[str, Lying] = {}
    for thing in store.remains(""):
        if thing.key.startswith(SERVING):
            continue
        one = found.setdefault(_place(thing), Lying())
        one.objects += thing.what == "object"
        one.markers += thing.what == "delete marker"
        one.uploads += thing.what == "open upload"
        one.bytes += thing.size
    return found


def _place(thing: Stored) -> str:
    try:
        return root_of(thing.key)
    except ValueError:
        return ELSEWHERE + thing.key.partition("/")[0]


async def standing(database: Database, account: AccountId, before: datetime) -> Standing:
    """before: what was made later may still be on its way and needs nothing yet. Raises NotShown."""
    async with database.transaction(account) as db:
        if account != PLATFORM and await db.scalar(select(Account.account_id)) != account:
            raise NotShown
        recordings = (await db.execute(_RECORDINGS)).all()
        tracks = (await db.execute(_TRACKS)).all()
        transcripts = (await db.execute(_TRANSCRIPTS)).all()
        live = await db.scalars(select(Session.id).where(Session.state == SessionState.LIVE))
    of = {row.id: f"{account}/{row.session_id}/{row.person_id}/{row.id}/" for row in recordings}
    indexes = {one: f"{prefix}index-" for one, prefix in of.items()}
    media = {row.id: f"{of[row.recording_id]}{row.id}/" for row in tracks if row.recording_id in of}
    words = {row.id: f"{of[row.recording_id]}t/{row.id}" for row in transcripts if row.recording_id in of}
    ready = {
        row.id: {indexes[row.id]}
        for row in recordings
        if row.hidden_at is None and row.created_at < before and _is_ready(row, RecordingState.STORED)
    }
    for row in tracks:
        if row.recording_id in ready and row.frames and row.closed_at is None:  # else it is being erased
            ready[row.recording_id].add(media[row.id])
    written = {
        row.id: frozenset({words[row.id]})
        for row in transcripts
        if row.recording_id in ready and row.created_at < before and _is_ready(row, TranscriptState.READY)
    }
    return Standing(
        roots=frozenset((*indexes.values(), *media.values(), *words.values())),
        live=frozenset(f"{account}/{session}/" for session in live),
        recordings={one: frozenset(roots) for one, roots in ready.items()},
        transcripts=written,
        missed=frozenset(row.id for row in (*recordings, *transcripts) if row.failure_reason == FILE_MISSING),
    )


_RECORDINGS = select(
    Recording.id,
    Recording.session_id,
    Recording.person_id,
    Recording.state,
    Recording.failure_reason,
    Recording.hidden_at,
    Recording.created_at,
).where(Recording.erased_at.is_(None))
_TRACKS = select(Track.id, Track.recording_id, Track.frames, Track.closed_at).where(Track.erased_at.is_(None))
_TRANSCRIPTS = select(
    Transcript.id, Transcript.recording_id, Transcript.state, Transcript.failure_reason, Transcript.created_at
).where(Transcript.state != TranscriptState.ERASED)


def _is_ready(row: Any, ready: str) -> bool:
    """Or it was until its file was missed."""
    return bool(row.state == ready or row.failure_reason == FILE_MISSING)
