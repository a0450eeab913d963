"""What an erasure covers, read from the rows: keys to destroy, prefixes to empty, rows to close.

Reading it again after a crash, or after a part was done, gives the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute

from app.database import Db
from app.invitations.models import Invitation
from app.privacy.erasing.policy import TRANSCRIPT
from app.privacy.records.models import Erasure, ErasureReason
from app.sessions.models import Node, Note, Recording, RecordingState, Session, SessionState, Take, Track, Transcript
from app.sessions.policy import is_held
from app.sessions.response_models import Response
from app.sessions.responses import facts_of, response_key_path
from app.sessions.service import recording_facts, recording_ref, track_ref
from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId, PersonId, RecordingRef, SessionId
from recordings.storage.layout import (
    index_key_path,
    person_prefix,
    recording_prefix,
    track_key_path,
    track_prefix,
    transcript_key,
    transcript_key_path,
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A key to destroy with everything beneath it, and where what it sealed lies."""

    key: KeyPath
    prefixes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NodePlace:
    """A media process that may still hold pieces. url "" when nobody knows where it is."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """whole_person: contact data and everything else goes too. leaving: the whole person was asked for, though a hold
    may keep a part: they take part in nothing more. requested: by the participant. keys: all keys known to lie in the
    targets. stop: prefixes the media processes drop. indexes: prefixes of indexes that name erased tracks. reindex:
    recordings of which the rest plays on. responses: answers that go. held, held_responses: what a hold keeps.
    note_sessions: sessions of which nobody reads notes of moments until it was asked; notes: those that go;
    held_notes: the sessions in which a hold keeps them."""

    account: AccountId
    person: PersonId
    whole_person: bool
    leaving: bool
    requested: bool
    targets: tuple[Target, ...]
    keys: tuple[KeyPath, ...]
    stop: tuple[str, ...]
    nodes: tuple[NodePlace, ...]
    indexes: tuple[str, ...]
    recordings: tuple[UUID, ...]
    tracks: tuple[UUID, ...]
    transcripts: tuple[UUID, ...]
    reindex: tuple[UUID, ...]
    responses: tuple[UUID, ...]
    held: tuple[UUID, ...]
    held_responses: tuple[UUID, ...]
    asked_at: datetime | None = None
    note_sessions: tuple[UUID, ...] = ()
    notes: tuple[UUID, ...] = ()
    held_notes: tuple[UUID, ...] = ()

    @property
    def unshown_responses(self) -> tuple[UUID, ...]:
        """Answers that a hold keeps and nobody sees: their participant asked that they go."""
        return self.held_responses if self.requested or self.leaving else ()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Everywhere in the object store where nothing may be left."""
        return (*(prefix for target in self.targets for prefix in target.prefixes), *self.indexes)


@dataclass(frozen=True)
class _Rows:
    """The rows of the recordings and answers in question."""

    recordings: tuple[Recording, ...]
    tracks: tuple[Track, ...]
    transcripts: tuple[Transcript, ...]
    takes: tuple[Take, ...]
    live: frozenset[UUID]  # recordings whose session goes on
    held: tuple[UUID, ...]  # recordings a hold keeps
    responses: tuple[Response, ...]
    held_responses: tuple[UUID, ...]

    def tracks_of(self, recording: UUID) -> list[Track]:
        return [track for track in self.tracks if track.recording_id == recording]

    def transcripts_of(self, recording: UUID) -> list[Transcript]:
        return [transcript for transcript in self.transcripts if transcript.recording_id == recording]


async def plan_erasure(db: Db, erasure: Erasure, now: datetime) -> Plan:
    """The plan of an erasure as things stand."""
    plan = await _of_person(db, erasure, now)
    held = await _held_notes(db, erasure, now)
    going = [one for one in erasure.note_sessions or () if one not in held]
    notes = await db.scalars(_noted(Note.id).where(Note.session_id.in_(going)).order_by(Note.id))
    return replace(
        plan,
        asked_at=erasure.asked_at,
        note_sessions=tuple(erasure.note_sessions or ()),
        notes=tuple(notes),
        held_notes=held,
    )


async def _of_person(db: Db, erasure: Erasure, now: datetime) -> Plan:
    """What they left themselves."""
    account, person = AccountId(erasure.account_id), PersonId(erasure.person_id)
    rows = await _rows(db, erasure, now)
    held = rows.held
    free = [row for row in rows.recordings if row.id not in held]
    responses = [row for row in rows.responses if row.id not in rows.held_responses]
    if erasure.recording_ids is None and erasure.track_kinds is None and not held:
        return await _whole_person(db, account, person, rows)
    whole: list[Recording] = []
    parts: list[tuple[Recording, list[Track], list[Transcript]]] = []
    for recording in free:
        tracks, transcripts = _covered(erasure, rows, recording)
        if erasure.track_kinds is None or _nothing_left(rows, recording, tracks):
            whole.append(recording)
        elif tracks or transcripts:
            parts.append((recording, tracks, transcripts))
    targets = [target for recording in whole for target in _recording_targets(rows, recording)]
    for recording, tracks, transcripts in parts:
        ref = recording_ref(recording)
        targets += [_track_target(ref, track) for track in tracks]
        targets += [_transcript_target(ref, transcript) for transcript in transcripts]
    targets += [_response_target(row) for row in responses]
    reindex = [recording for recording, tracks, _ in parts if tracks]
    return Plan(
        account=account,
        person=person,
        whole_person=False,
        leaving=erasure.recording_ids is None and erasure.track_kinds is None,
        requested=erasure.reason == ErasureReason.REQUEST,
        targets=tuple(targets),
        keys=tuple(target.key for target in targets),
        stop=(
            *(recording_prefix(recording_ref(recording)) for recording in whole),
            *(
                track_prefix(track_ref(recording_ref(recording), track))
                for recording, tracks, _ in parts
                for track in tracks
            ),
        ),
        nodes=await _nodes(db, rows, {r.id for r in whole} | {r.id for r, tracks, _ in parts if tracks}),
        indexes=tuple(f"{recording_prefix(recording_ref(recording))}index-" for recording in reindex),
        recordings=tuple(recording.id for recording in whole),
        tracks=(
            *(track.id for recording in whole for track in rows.tracks_of(recording.id)),
            *(track.id for _, tracks, _ in parts for track in tracks),
        ),
        transcripts=(
            *(transcript.id for recording in whole for transcript in rows.transcripts_of(recording.id)),
            *(transcript.id for _, _, transcripts in parts for transcript in transcripts),
        ),
        reindex=tuple(recording.id for recording in reindex),
        responses=tuple(row.id for row in responses),
        held=held,
        held_responses=rows.held_responses,
    )


async def _whole_person(db: Db, account: AccountId, person: PersonId, rows: _Rows) -> Plan:
    """One key closes everything; the keys beneath are named so that the certificate can list them."""
    invited = await db.scalars(select(Invitation.session_id).where(Invitation.participant_id == person))
    sessions = sorted({*invited, *(row.session_id for row in rows.recordings)}, key=str)
    prefixes = tuple(person_prefix(account, SessionId(session), person) for session in sessions)
    below = [target.key for recording in rows.recordings for target in _recording_targets(rows, recording)]
    return Plan(
        account=account,
        person=person,
        whole_person=True,
        leaving=True,
        requested=True,
        targets=(Target(key=KeyPath(account, person), prefixes=prefixes),),
        keys=(KeyPath(account, person), *below, *(response_key_path(row) for row in rows.responses)),
        stop=prefixes,
        nodes=await _nodes(db, rows, {row.id for row in rows.recordings}),
        indexes=(),
        recordings=tuple(row.id for row in rows.recordings),
        tracks=tuple(row.id for row in rows.tracks),
        transcripts=tuple(row.id for row in rows.transcripts),
        reindex=(),
        responses=tuple(row.id for row in rows.responses),
        held=(),
        held_responses=(),
    )


def _covered(erasure: Erasure, rows: _Rows, recording: Recording) -> tuple[list[Track], list[Transcript]]:
    """Tracks and transcripts of the kinds named. Only closed tracks: one opened after consent was given
    again is not what was withdrawn."""
    kinds = erasure.track_kinds or ()
    tracks = [t for t in rows.tracks_of(recording.id) if t.kind in kinds and t.closed_at is not None]
    gone = {track.id for track in tracks}
    transcripts = [
        transcript
        for transcript in rows.transcripts_of(recording.id)
        if transcript.track_id in gone or (TRANSCRIPT in kinds and transcript.created_at <= erasure.asked_at)
    ]
    return tracks, transcripts


def _nothing_left(rows: _Rows, recording: Recording, covered: list[Track]) -> bool:
    """True when no other track remains and none can come any more: then the recording goes as a whole."""
    gone = {track.id for track in covered}
    left = [t for t in rows.tracks_of(recording.id) if t.id not in gone and t.erased_at is None]
    return bool(covered) and not left and recording.id not in rows.live


def _recording_targets(rows: _Rows, recording: Recording) -> list[Target]:
    """Tracks and transcripts first, then the index with everything that remains under the recording's prefix."""
    ref = recording_ref(recording)
    return [
        *(_track_target(ref, track) for track in rows.tracks_of(recording.id)),
        *(_transcript_target(ref, transcript) for transcript in rows.transcripts_of(recording.id)),
        Target(key=index_key_path(ref), prefixes=(recording_prefix(ref),)),
    ]


def _track_target(ref: RecordingRef, row: Track) -> Target:
    track = track_ref(ref, row)
    return Target(key=track_key_path(track), prefixes=(track_prefix(track),))


def _transcript_target(ref: RecordingRef, row: Transcript) -> Target:
    return Target(key=transcript_key_path(ref, row.id), prefixes=(transcript_key(ref, row.id),))


def _response_target(row: Response) -> Target:
    """Answers lie in the database only: with their key every copy of the rows is closed."""
    return Target(key=response_key_path(row), prefixes=())


async def _rows(db: Db, erasure: Erasure, now: datetime) -> _Rows:
    query = select(Recording, Session).join(Session, Session.id == Recording.session_id)
    query = query.where(Recording.person_id == erasure.person_id)
    if erasure.recording_ids is not None:
        query = query.where(Recording.id.in_(erasure.recording_ids))
    pairs = [(row[0], row[1]) for row in await db.execute(query.order_by(Recording.created_at, Recording.id))]
    ids = [recording.id for recording, _ in pairs]
    responses = await _responses(db, erasure)
    facts = await facts_of(db, responses, now)
    return _Rows(
        recordings=tuple(recording for recording, _ in pairs),
        tracks=tuple(await db.scalars(select(Track).where(Track.recording_id.in_(ids)))),
        transcripts=tuple(await db.scalars(select(Transcript).where(Transcript.recording_id.in_(ids)))),
        takes=tuple(await db.scalars(select(Take).where(Take.recording_id.in_(ids)))),
        live=frozenset(
            recording.id
            for recording, session in pairs
            if session.state != SessionState.ENDED or recording.state == RecordingState.CAPTURING
        ),
        held=tuple(recording.id for recording, session in pairs if is_held(recording_facts(recording, session), now)),
        responses=responses,
        held_responses=tuple(row.id for row in responses if facts[row.id].held),
    )


async def _held_notes(db: Db, erasure: Erasure, now: datetime) -> tuple[UUID, ...]:
    """The sessions in which a hold keeps a recording that such notes may belong to, and so those notes."""
    noted = _noted(Note.session_id).where(Note.session_id.in_(erasure.note_sessions or ()))
    rows = await db.execute(
        select(Recording, Session)
        .join(Session, Session.id == Recording.session_id)
        .where(Session.id.in_(noted), Recording.erased_at.is_(None), Recording.held_reason.is_not(None))
    )
    held = {session.id for recording, session in rows.tuples() if is_held(recording_facts(recording, session), now)}
    return tuple(sorted(held, key=str))


def _noted(column: InstrumentedAttribute[UUID]) -> Select[UUID]:
    """Of notes of moments that nobody reads any more."""
    return select(column).join(Session, Session.id == Note.session_id).where(Note.at <= Session.notes_gone_until)


async def _responses(db: Db, erasure: Erasure) -> tuple[Response, ...]:
    """All of a person who goes; else those named. What is withdrawn kind by kind takes no answers along."""
    query = select(Response).where(Response.participant_id == erasure.person_id)
    if erasure.recording_ids is not None or erasure.track_kinds is not None:
        query = query.where(Response.id.in_(erasure.response_ids or ()))
    return tuple(await db.scalars(query.order_by(Response.answered_at, Response.id)))


async def _nodes(db: Db, rows: _Rows, recordings: Iterable[UUID]) -> tuple[NodePlace, ...]:
    """The media processes on which these were captured: their spools may still hold pieces."""
    wanted = set(recordings)
    names = sorted({take.node for take in rows.takes if take.recording_id in wanted})
    known = {node.name: node.url for node in await db.scalars(select(Node).where(Node.name.in_(names)))}
    return tuple(NodePlace(name=name, url=known.get(name, "")) for name in names)
