"""What the pages list of a session's recordings: state in words, until when, never a silent failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.database import Columns, Db, now_in
from app.language import N_, _, gettext
from app.sessions.again import Failed, what_failed
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
from app.sessions.parts import parts_due, past_kinds
from app.sessions.policy import due, readable
from app.sessions.service import recording_facts
from app.sessions.words import missing_words, recording_words, transcript_words
from app.studies.clocks import CLOCKS, KIND_OF_TRACK, PARTS, Kind
from app.studies.models import Study
from recordings.model import PersonId

TRACK_WORDS = {
    "camera": N_("camera"),
    "voice": N_("voice"),
    "screen": N_("screen"),
    "screen_sound": N_("sound of the shared tab"),
}


MoreNames = Callable[[], Awaitable[dict[PersonId, str]]]


@dataclass(frozen=True, kw_only=True)
class RecordingLine:
    """One recording as a page shows it. sooner: kinds in words that go before the rest; moving: it will change by
    itself soon; failed: what may be tried again; missing: what was sent and cannot be played."""

    id: UUID
    person: PersonId
    name: str
    stream: str
    state: RecordingState
    words: str
    transcript: str
    transcript_state: TranscriptState | None
    tracks: tuple[str, ...]
    erased_tracks: tuple[str, ...]
    missing: tuple[str, ...]
    duration_ms: int | None
    bytes: int
    gap_ms: int
    keep_until: datetime | None
    sooner: tuple[tuple[str, datetime], ...]
    held_reason: str | None
    readable: bool
    moving: bool
    failed: Failed | None

    @property
    def in_part(self) -> bool:
        """It can be seen, and a later take of it is not in the film yet."""
        return self.readable and self.state is RecordingState.CAPTURED


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

    @property
    def failed(self) -> int:
        """How many may be tried again."""
        return sum(line.failed is not None for line in self.lines)

    @property
    def unsettled(self) -> bool:
        """Something may still change by itself."""
        return self.live or self.moving


async def recordings_of_session(
    db: Db, session: Session, study: Study, names: Mapping[PersonId, str], more: MoreNames | None = None
) -> Listing:
    """Everything recorded in a session, by person, camera before screen. more: asked when `names` are not all."""
    rows = (
        await db.execute(
            select(*_OF_RECORDING)
            .where(Recording.session_id == session.id)
            .where(Recording.person_is_member.is_(False) | _of_a_recorded_member())
            .order_by(Recording.person_is_member, Recording.person_id, Recording.stream)
        )
    ).all()
    if more is not None and any(row.person_id not in names for row in rows):
        names = await more() | dict(names)
    in_session = Recording.session_id == session.id
    of_tracks = select(*_OF_TRACK).join(Recording, Recording.id == Track.recording_id).where(in_session)
    tracks: dict[UUID, list[Columns]] = {}
    for track in await db.execute(of_tracks.order_by(Track.created_at)):
        tracks.setdefault(track.recording_id, []).append(track)
    of_transcripts = select(*_OF_TRANSCRIPT).join(Recording, Recording.id == Transcript.recording_id).where(in_session)
    transcripts = {transcript.recording_id: transcript for transcript in await db.execute(of_transcripts)}
    now = await now_in(db)
    lines = tuple(
        _line(
            row,
            session,
            study,
            names.get(PersonId(row.person_id), _("Unknown person")),
            tracks.get(row.id, []),
            transcripts.get(row.id),
            now,
        )
        for row in rows
    )
    return Listing(session=session.id, lines=lines, live=session.state == SessionState.LIVE)


_OF_RECORDING = (
    Recording.id,
    Recording.person_id,
    Recording.stream,
    Recording.state,
    Recording.failure_reason,
    Recording.interrupted,
    Recording.index_key,
    Recording.duration_ms,
    Recording.gaps,
    Recording.created_at,
    Recording.periods,
    Recording.idle_until,
    Recording.held_reason,
    Recording.held_until,
    Recording.restricted_at,
    Recording.hidden_at,
    Recording.erased_at,
)
_OF_TRACK = (Track.recording_id, Track.kind, Track.frames, Track.bytes, Track.erased_at)
_OF_TRANSCRIPT = (
    Transcript.recording_id,
    Transcript.state,
    Transcript.failure_reason,
    Transcript.progress,
    Transcript.began_at,
    Transcript.coverage,
    Transcript.words,
)
"""Columns, not rows of the mapping: a session of many has hundreds. Found by their session, not by a list of ids, which
would cost as much to send as to answer."""


async def recordings_of_person(
    db: Db, person: PersonId, sessions: Mapping[UUID, tuple[Session, Study]]
) -> dict[UUID, list[tuple[Recording, RecordingLine]]]:
    """What was recorded of one participant, by session, camera before screen: one question for all of it."""
    found = await db.execute(
        select(Recording, Track, Transcript)
        .outerjoin(Track, Track.recording_id == Recording.id)
        .outerjoin(Transcript, Transcript.recording_id == Recording.id)
        .where(Recording.person_id == person, Recording.session_id.in_(sessions))
        .order_by(Recording.stream, Track.created_at)
    )
    rows: dict[UUID, Recording] = {}
    tracks: dict[UUID, dict[UUID, Track]] = {}
    transcripts: dict[UUID, Transcript] = {}
    for row, track, transcript in found.tuples():
        rows[row.id] = row
        if track is not None:
            tracks.setdefault(row.id, {})[track.id] = track
        if transcript is not None:
            transcripts[row.id] = transcript
    now = await now_in(db)
    lines: dict[UUID, list[tuple[Recording, RecordingLine]]] = {}
    for row in rows.values():
        mine = list(tracks.get(row.id, {}).values())
        line = _line(row, *sessions[row.session_id], "", mine, transcripts.get(row.id), now)
        lines.setdefault(row.session_id, []).append((row, line))
    return lines


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
    row: Recording | Columns,
    session: Session,
    study: Study,
    name: str,
    tracks: Sequence[Track | Columns],
    transcript: Transcript | Columns | None,
    now: datetime,
) -> RecordingLine:
    facts = recording_facts(row, session)
    decision = readable(facts, study.retention_days, now)
    state = RecordingState(row.state)
    written = None if transcript is None else TranscriptState(transcript.state)
    past = past_kinds(row, session, study, now)
    living = [track for track in tracks if track.erased_at is None and KIND_OF_TRACK[track.kind] not in past]
    erased = [track for track in tracks if track not in living]
    gaps = [gap for gap in row.gaps if gap.get("kind") in {None, *(track.kind for track in living)}]
    if Kind.TRANSCRIPT in past and transcript is not None:
        written = TranscriptState.ERASED
    return RecordingLine(
        id=row.id,
        person=PersonId(row.person_id),
        name=name,
        stream="voice" if {t.kind for t in tracks} == {"voice"} else row.stream,
        state=state,
        words=recording_words(
            row, decision, something_erased=bool(erased), was_recording=session.recording_at is not None
        ),
        transcript=transcript_words(transcript, now) if written is not TranscriptState.ERASED else _("erased"),
        transcript_state=written,
        tracks=tuple(gettext(TRACK_WORDS[t.kind]) for t in living if t.frames or not row.index_key),
        erased_tracks=tuple(gettext(TRACK_WORDS[t.kind]) for t in erased),
        missing=missing_words([t.kind for t in living if not t.frames]) if decision else (),
        duration_ms=row.duration_ms,
        bytes=sum(t.bytes for t in living),
        gap_ms=sum(gap["to_ms"] - gap["from_ms"] for gap in gaps),
        keep_until=due(facts, study.retention_days, now),
        sooner=_sooner(row, session, study, living, written, now),
        held_reason=row.held_reason,
        readable=bool(decision),
        moving=_moving(row, written),
        failed=what_failed(facts, [written] if written else [], study.retention_days, now),
    )


def _sooner(
    row: Recording | Columns,
    session: Session,
    study: Study,
    tracks: Sequence[Track | Columns],
    transcript: TranscriptState | None,
    now: datetime,
) -> tuple[tuple[str, datetime], ...]:
    held = {KIND_OF_TRACK[track.kind] for track in tracks}
    if transcript not in (None, TranscriptState.ERASED):
        held.add(Kind.TRANSCRIPT)
    dates = parts_due(row, session, study, held, now)
    return tuple((gettext(CLOCKS[kind].words), dates[kind]) for kind in PARTS if kind in dates)


def _moving(row: Recording | Columns, transcript: TranscriptState | None) -> bool:
    """Work on it is going on or waits. On what is restricted nobody works until that is lifted."""
    if row.state in (RecordingState.CAPTURING, RecordingState.CAPTURED):
        return True
    stands = row.erased_at is None and row.hidden_at is None and row.restricted_at is None
    return stands and transcript in (TranscriptState.WAITING, TranscriptState.RUNNING)
