"""Sessions across studies, each with what has become of it; a few queries for a whole page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, any_, bindparam, case, false, func, literal, select, text, true, union_all

from app.database import Db
from app.language import _, ngettext
from app.sessions.models import (
    UNSETTLED,
    Recording,
    RecordingState,
    Session,
    SessionState,
    Transcript,
    TranscriptState,
)
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
    return await _lines(db, _WITH_STUDY.order_by(*_NEWEST_FIRST), limit, offset)


async def coming_sessions(db: Db, *, now: datetime, limit: int, offset: int = 0) -> list[SessionLine]:
    """Those with a time that are not over, the soonest first; also what was to begin within the last day."""
    coming = _WITH_STUDY.where(_NOT_OVER, Session.starts_at >= now - LATE)
    return await _lines(db, coming.order_by(Session.starts_at, Session.id), limit, offset)


async def sessions_of_study(db: Db, study: Study, *, limit: int, offset: int = 0) -> list[SessionLine]:
    """Newest first, by when they were scheduled."""
    found = select(*_OF_SESSION, literal(study.title).label("study_title")).where(Session.study_id == study.id)
    return await _lines(db, found.order_by(*_NEWEST_FIRST), limit, offset)


_OF_SESSION = (
    Session.id,
    Session.title,
    Session.study_id,
    Session.starts_at,
    Session.time_zone,
    Session.recording,
    Session.state,
    Session.started_at,
)
"""Columns, not rows of the mapping: a page has fifty of them."""
_WITH_STUDY = select(*_OF_SESSION, Study.title.label("study_title")).join(Study, Study.id == Session.study_id)
_NEWEST_FIRST = Session.created_at.desc(), Session.id
_NOT_OVER = text("session.state <> 'ended'")  # as the index session_coming says it
LATE = timedelta(days=1)
"""Whoever is late, or in another zone's yesterday, still finds their session."""


async def _lines(db: Db, found: Select[*tuple[Any, ...]], limit: int, offset: int) -> list[SessionLine]:
    rows = (await db.execute(found.limit(limit).offset(offset))).all()
    recordings, transcripts = await _counts(db, [row.id for row in rows])
    return [
        SessionLine(
            id=row.id,
            title=row.title,
            study=row.study_id,
            study_title=row.study_title,
            starts_at=row.starts_at,
            time_zone=row.time_zone,
            recording=row.recording == "on",
            state=state_words(
                SessionState(row.state), recordings[row.id], transcripts[row.id], began=row.started_at is not None
            ),
        )
        for row in rows
    ]


def state_words(state: SessionState, recordings: Counter[str], transcripts: Counter[str], *, began: bool = True) -> str:
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
        erased = recordings[RecordingState.ERASED]
        said.append(_("erased") if erased else _("nothing recorded") if began else _("cancelled"))
    return ", ".join(said)


Counts = Mapping[UUID, Counter[str]]


async def _counts(db: Db, sessions: list[UUID]) -> tuple[Counts, Counts]:
    """Recordings of each session by state, and transcripts that are not ready; what is hidden for its erasure counts
    as erased."""
    recordings: dict[UUID, Counter[str]] = defaultdict(Counter)
    transcripts: dict[UUID, Counter[str]] = defaultdict(Counter)
    if sessions:
        for session, of_words, state, n in await db.execute(_STATES, {"sessions": sessions}):
            (transcripts if of_words else recordings)[session][state] = n
    return recordings, transcripts


_HERE = Recording.session_id == any_(bindparam("sessions", type_=ARRAY(Uuid)))
_STATE = case((Recording.hidden_at.is_not(None), RecordingState.ERASED), else_=Recording.state)
_STATES = union_all(
    select(Recording.session_id, false(), _STATE, func.count()).where(_HERE).group_by(Recording.session_id, _STATE),
    select(Recording.session_id, true(), Transcript.state, func.count())
    .join(Transcript, Transcript.recording_id == Recording.id)
    .where(_HERE, Recording.hidden_at.is_(None), Recording.restricted_at.is_(None))
    .where(Transcript.state.in_(UNSETTLED))
    .group_by(Recording.session_id, Transcript.state),
)
