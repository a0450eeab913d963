"""What the pages list of a session's recordings: state in words, until when, never a silent failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.database import Db, now_in
from app.sessions.models import (
    MemberSwitch,
    Recording,
    RecordingState,
    Session,
    SessionState,
    Track,
    Transcript,
    TranscriptState,
)
from app.sessions.policy import due, readable
from app.sessions.service import recording_facts
from app.studies.models import Study
from recordings.model import PersonId

TRACK_WORDS = {"camera": "camera", "voice": "voice", "screen": "screen", "screen_sound": "sound of the shared tab"}


@dataclass(frozen=True, kw_only=True)
class RecordingLine:
    """One recording as a page shows it. moving: it will change by itself soon."""

    id: UUID
    person: PersonId
    name: str
    stream: str
    state: RecordingState
    words: str
    transcript: str
    tracks: tuple[str, ...]
    erased_tracks: tuple[str, ...]
    duration_ms: int | None
    bytes: int
    gap_ms: int
    keep_until: datetime | None
    held_reason: str | None
    readable: bool
    moving: bool


@dataclass(frozen=True, kw_only=True)
class Listing:
    session: UUID
    lines: tuple[RecordingLine, ...]
    live: bool

    @property
    def moving(self) -> bool:
        return any(line.moving for line in self.lines)

    @property
    def playable(self) -> bool:
        return any(line.readable for line in self.lines)


async def recordings_of_session(db: Db, session: Session, study: Study, names: Mapping[PersonId, str]) -> Listing:
    """Everything recorded in a session, by person, camera before screen."""
    rows = (
        await db.scalars(
            select(Recording)
            .where(Recording.session_id == session.id)
            .where(Recording.person_is_member.is_(False) | _of_a_recorded_member())
            .order_by(Recording.person_is_member, Recording.person_id, Recording.stream)
        )
    ).all()
    ids = [row.id for row in rows]
    tracks = (await db.scalars(select(Track).where(Track.recording_id.in_(ids)).order_by(Track.created_at))).all()
    transcripts = (await db.scalars(select(Transcript).where(Transcript.recording_id.in_(ids)))).all()
    now = await now_in(db)
    lines = tuple(
        _line(
            row,
            session,
            study,
            names.get(PersonId(row.person_id), "Unknown person"),
            [t for t in tracks if t.recording_id == row.id],
            next((t for t in transcripts if t.recording_id == row.id), None),
            now,
        )
        for row in rows
    )
    return Listing(session=session.id, lines=lines, live=session.state == SessionState.LIVE)


def _of_a_recorded_member() -> ColumnElement[bool]:
    """A member's stream is always carried to the others; it is listed when something of it was kept, or is being
    kept: frames are counted once it is finalised."""
    kept = select(Track.id).where(Track.recording_id == Recording.id, Track.frames > 0).exists()
    switched_on = (
        select(MemberSwitch.id)
        .where(MemberSwitch.session_id == Recording.session_id, MemberSwitch.member_id == Recording.person_id)
        .where(MemberSwitch.recorded, Recording.state.in_((RecordingState.CAPTURING, RecordingState.CAPTURED)))
        .exists()
    )
    return kept | switched_on | (Recording.state == RecordingState.FAILED)


def _line(
    row: Recording,
    session: Session,
    study: Study,
    name: str,
    tracks: Sequence[Track],
    transcript: Transcript | None,
    now: datetime,
) -> RecordingLine:
    facts = recording_facts(row, session)
    decision = readable(facts, study.retention_days, now)
    state = RecordingState(row.state)
    words = "Stored" if decision else decision.reason.rstrip(".")
    if state is RecordingState.FAILED and row.failure_reason:
        words = f"{words}: {row.failure_reason}"
    if state is RecordingState.EMPTY and any(t.erased_at for t in tracks):
        words = "Erased"  # taken back while it was recorded: nothing is left, but something was there
    if decision and row.interrupted:
        words = "Stored; the connection broke, the gap is marked"
    if decision and state is RecordingState.CAPTURED:
        words = "Stored; what is still missing is being made ready"
    return RecordingLine(
        id=row.id,
        person=PersonId(row.person_id),
        name=name,
        stream="voice" if {t.kind for t in tracks} == {"voice"} else row.stream,
        state=state,
        words=words,
        transcript=transcript_words(transcript),
        tracks=tuple(TRACK_WORDS[t.kind] for t in tracks if t.erased_at is None and (t.frames or not row.index_key)),
        erased_tracks=tuple(TRACK_WORDS[t.kind] for t in tracks if t.erased_at is not None),
        duration_ms=row.duration_ms,
        bytes=sum(t.bytes for t in tracks if t.erased_at is None),
        gap_ms=sum(gap["to_ms"] - gap["from_ms"] for gap in row.gaps),
        keep_until=due(facts, study.retention_days, now),
        held_reason=row.held_reason,
        readable=bool(decision),
        moving=state in (RecordingState.CAPTURING, RecordingState.CAPTURED)
        or (transcript is not None and transcript.state in (TranscriptState.WAITING, TranscriptState.RUNNING)),
    )


def transcript_words(transcript: Transcript | None) -> str:
    """The state of a transcript in words; "" when none was asked for."""
    if transcript is None:
        return ""
    match TranscriptState(transcript.state):
        case TranscriptState.WAITING:
            return f"waits to be tried again: {transcript.failure_reason}" if transcript.failure_reason else "waiting"
        case TranscriptState.RUNNING:
            return f"being written, {round(transcript.progress * 100)} %"
        case TranscriptState.READY:
            heard = (
                "" if transcript.coverage is None else f", covers {round(transcript.coverage * 100)} % of the speech"
            )
            return f"ready, {transcript.words or 0} words{heard}"
        case TranscriptState.FAILED:
            return f"failed: {transcript.failure_reason or 'the reason is not known'}"
        case TranscriptState.ERASED:
            return "erased"
