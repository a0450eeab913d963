"""Sessions across studies, newest first, each with what has become of it; a few queries for a whole page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from app.database import Db
from app.language import _, ngettext
from app.sessions.models import Recording, RecordingState, Session, SessionState, Transcript, TranscriptState
from app.studies.models import Study


@dataclass(frozen=True, kw_only=True)
class SessionLine:
    """A session as the overview lists it."""

    id: UUID
    title: str
    study: UUID
    study_title: str
    starts_at: datetime | None
    time_zone: str
    recording: bool
    state: str


async def sessions_of_account(db: Db, *, limit: int, offset: int = 0) -> list[SessionLine]:
    """Newest first, by when they were scheduled."""
    rows = (
        await db.execute(
            select(Session, Study.title)
            .join(Study, Study.id == Session.study_id)
            .order_by(Session.created_at.desc(), Session.id)
            .limit(limit)
            .offset(offset)
        )
    ).all()
    states = await states_of(db, [session for session, _title in rows])
    return [
        SessionLine(
            id=session.id,
            title=session.title,
            study=session.study_id,
            study_title=title,
            starts_at=session.starts_at,
            time_zone=session.time_zone,
            recording=session.recording == "on",
            state=states[session.id],
        )
        for session, title in rows
    ]


async def states_of(db: Db, sessions: Collection[Session]) -> dict[UUID, str]:
    """What has become of each, in words."""
    recordings, transcripts = await _counts(db, [session.id for session in sessions])
    return {
        session.id: state_words(SessionState(session.state), recordings[session.id], transcripts[session.id])
        for session in sessions
    }


def state_words(state: SessionState, recordings: Counter[str], transcripts: Counter[str]) -> str:
    """What comes first matters most: what failed, then what is on its way, then what can be seen."""
    if state is SessionState.SCHEDULED:
        return _("not started")
    if state is SessionState.LIVE:
        return _("room open")
    failed = recordings[RecordingState.FAILED] + transcripts[TranscriptState.FAILED]
    said = [ngettext("%(n)s failed", "%(n)s failed", failed)] if failed else []
    if recordings[RecordingState.CAPTURING] + recordings[RecordingState.CAPTURED]:
        said.append(_("recordings are being made ready"))
    if transcripts[TranscriptState.WAITING] + transcripts[TranscriptState.RUNNING]:
        said.append(_("the transcript is being written"))
    stored = recordings[RecordingState.STORED]
    if stored:
        said.append(ngettext("%(n)s recording stored", "%(n)s recordings stored", stored))
    if not said:
        said.append(_("erased") if recordings[RecordingState.ERASED] else _("nothing recorded"))
    return ", ".join(said)


Counts = Mapping[UUID, Counter[str]]


async def _counts(db: Db, sessions: list[UUID]) -> tuple[Counts, Counts]:
    """Recordings and transcripts of each session, by state. What is hidden for its erasure counts as erased."""
    recordings: dict[UUID, Counter[str]] = defaultdict(Counter)
    transcripts: dict[UUID, Counter[str]] = defaultdict(Counter)
    here = Recording.session_id.in_(sessions)
    states = select(Recording.session_id, Recording.state, Recording.hidden_at.is_not(None), func.count())
    for session, state, hidden, n in await db.execute(
        states.where(here).group_by(Recording.session_id, Recording.state, Recording.hidden_at.is_not(None))
    ):
        recordings[session][RecordingState.ERASED if hidden else state] += n
    states_of_words = select(Recording.session_id, Transcript.state, func.count())
    for session, state, n in await db.execute(
        states_of_words.join(Transcript, Transcript.recording_id == Recording.id)
        .where(here, Recording.hidden_at.is_(None), Recording.restricted_at.is_(None))
        .group_by(Recording.session_id, Transcript.state)
    ):
        transcripts[session][state] += n
    return recordings, transcripts
