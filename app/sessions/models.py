"""Rows of a research session and of what was recorded in it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, case, func, literal_column, null, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.database import Base, Row


class SessionState(StrEnum):
    SCHEDULED = "scheduled"
    LIVE = "live"  # the room is open
    ENDED = "ended"


class RecordingState(StrEnum):
    CAPTURING = "capturing"
    CAPTURED = "captured"  # all takes ended, objects stored; the index is being made
    STORED = "stored"  # playable
    FAILED = "failed"  # with failure_reason; shown, never silent
    EMPTY = "empty"  # a stream was there but nothing was recorded
    ERASED = "erased"


class TranscriptState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    ERASED = "erased"


UNSETTLED = (TranscriptState.WAITING, TranscriptState.RUNNING, TranscriptState.FAILED)
"""Few of many: transcripts that something still has to become of."""


class HoldReason(StrEnum):
    """Why something is kept although its date has come or somebody asked; words fit for the participant."""

    CLAIM = "legal claim"
    COMPLAINT = "complaint"
    AUTHORITY = "order of an authority"
    DUTY = "legal duty to keep"


class Session(Row):
    """One research session of a study. `recording` is what the researcher set: off, on or paused."""

    __tablename__ = "session"
    study_id: Mapped[UUID] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"))
    title: Mapped[str]
    starts_at: Mapped[datetime | None]
    time_zone: Mapped[str] = mapped_column(default="Europe/Berlin")
    group: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(default=SessionState.SCHEDULED)
    recording: Mapped[str] = mapped_column(default="off")  # off | on | paused
    node: Mapped[str | None]  # the media process this room lives on
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    recording_at: Mapped[datetime | None]  # when recording was started
    retention_days: Mapped[int | None]  # shorter than the study's; None: as the study
    # kind -> days of what goes earlier (studies.clocks)
    periods: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default="{}")
    ended_at: Mapped[datetime | None]
    moves: Mapped[int] = mapped_column(default=0, server_default="0")  # how often starts_at was changed
    moved_at: Mapped[datetime | None]  # the last time
    reminding: Mapped[bool] = mapped_column(default=True, server_default=true())  # False: switched off for this one
    reminded_at: Mapped[datetime | None]  # when the reminder of the present starts_at went out
    notes_gone_until: Mapped[datetime | None]  # notes of moments until then are erased, or are being
    __table_args__ = (
        Index("session_of_study", "study_id", "created_at"),
        Index("session_in_order", "account_id", "created_at"),
        Index("session_coming", "account_id", "starts_at", postgresql_where=text("state <> 'ended'")),
        Index("session_to_remind", "starts_at", postgresql_where=text("state = 'scheduled' AND reminded_at IS NULL")),
    )


class Recording(Row):
    """What one person's stream left in one session; exactly one per (session, person, stream)."""

    __tablename__ = "recording"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id"))
    person_id: Mapped[UUID] = mapped_column(index=True)
    person_is_member: Mapped[bool] = mapped_column(default=False)
    stream: Mapped[str]
    state: Mapped[str] = mapped_column(default=RecordingState.CAPTURING)
    failure_reason: Mapped[str | None]
    interrupted: Mapped[bool] = mapped_column(default=False)
    last_take: Mapped[int] = mapped_column(default=0)
    index_generation: Mapped[int] = mapped_column(default=0)
    index_key: Mapped[str | None]
    place: Mapped[str | None]  # where its objects are kept: provider and region, known once it is stored
    recorded_at: Mapped[datetime | None]  # zero of the recording's timeline
    duration_ms: Mapped[int | None]
    gaps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    periods: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default="{}")  # the person's own
    held_reason: Mapped[str | None]  # a hold stops erasure: one of HoldReason, which the participant sees …
    held_until: Mapped[datetime | None]  # … until its review date
    held_words: Mapped[bytes | None]  # sealed under the person, field "recording.held_words": what it is about
    held_by: Mapped[UUID | None]  # the member who set it
    restricted_at: Mapped[datetime | None]  # kept but not used (GDPR Art. 18), until it is lifted
    hidden_at: Mapped[datetime | None]  # its erasure was asked for: unreadable from that moment, for good
    announced_for: Mapped[datetime | None]  # the date of erasure the owner was told of by mail
    erased_at: Mapped[datetime | None]
    # asked of the database with each row: the date by the person's last activity in the study (studies.clocks.IDLE);
    # of a member by the last of the session's participants
    idle_until: Mapped[datetime | None] = column_property(
        func.idle_until(session_id, case((person_is_member, null()), else_=person_id), periods, created_at)
    )
    __table_args__ = (
        UniqueConstraint("session_id", "person_id", "stream"),
        Index("recording_held", "account_id", postgresql_where=text("held_reason IS NOT NULL")),
    )


class MemberSwitch(Row):
    """Whether a member has themselves recorded in one session, and since when they want it so. No row: they
    have neither decided nor joined yet."""

    __tablename__ = "member_switch"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"))
    member_id: Mapped[UUID]
    recorded: Mapped[bool]
    at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("session_id", "member_id"),)


class Track(Row):
    """One line of a recording with its own key `track-<id>`; closed tracks are erased on their own."""

    __tablename__ = "track"
    recording_id: Mapped[UUID] = mapped_column(ForeignKey("recording.id"), index=True)
    kind: Mapped[str]
    frames: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    duration_ms: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]  # consent withdrawn: nothing more is written to it
    erased_at: Mapped[datetime | None]


class Take(Row):
    """One publication of a stream (a WHIP resource). `resource` is its unguessable name at the node."""

    __tablename__ = "take"
    recording_id: Mapped[UUID] = mapped_column(ForeignKey("recording.id"))
    number: Mapped[int]
    node: Mapped[str]
    resource: Mapped[str] = mapped_column(index=True)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]  # stored completely
    interrupted: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (UniqueConstraint("recording_id", "number"),)


class Transcript(Row):
    """Status and coverage of a transcript; its words are a sealed object with its own key `transcript-<id>`."""

    __tablename__ = "transcript"
    recording_id: Mapped[UUID] = mapped_column(ForeignKey("recording.id"))
    track_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(default=TranscriptState.WAITING)
    failure_reason: Mapped[str | None]
    language: Mapped[str]
    model: Mapped[str | None]
    progress: Mapped[float] = mapped_column(default=0.0)  # 0..1, for the page
    began_at: Mapped[datetime | None]  # of the present run: what is left is reckoned from its speed
    coverage: Mapped[float | None]  # seconds covered by words / seconds of speech found; None: nobody spoke
    words: Mapped[int | None]
    object_key: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ready_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("recording_id", "track_id"),
        Index(
            "transcript_unsettled", "recording_id", postgresql_where=text("state IN ('waiting', 'running', 'failed')")
        ),
    )


class Note(Row):
    """What a member wrote while watching, and the moment it belongs to. Goes with the session."""

    __tablename__ = "note"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[UUID]
    at: Mapped[datetime] = mapped_column()  # by the database's clock, when the writing began
    text: Mapped[bytes]  # sealed under the account, field "note.text"
    # as of a recording, by the last activity of any of the session's participants
    idle_until: Mapped[datetime | None] = column_property(
        func.idle_until(session_id, null(), literal_column("'{}'::jsonb"), at)
    )


class Node(Base):
    """A media process: address, capacity and heartbeat. Belongs to the platform, holds no personal data."""

    __tablename__ = "node"
    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    country: Mapped[str] = mapped_column(default="", server_default="")  # ISO 3166-1, two letters; empty: not said
    capacity: Mapped[int]  # streams
    streams: Mapped[int] = mapped_column(default=0)  # its load as so many streams (node_load.py)
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
