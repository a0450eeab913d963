"""One take being received, and what is told of it: facts for the room, health once a second, sums for the operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.room import peer
from app.room.allowance import Meter
from app.room.health import Kept, Pulse, stored_up_to
from app.room.node_messages import HealthFacts, SessionFacts, StreamAsk, StreamFacts, TrackFacts
from recordings.capture.recorder import StreamRecorder
from recordings.capture.segments import SEGMENT_S
from recordings.capture.spool import Spool
from recordings.capture.traffic import Traffic
from recordings.capture.uploader import Uploader
from recordings.model import TrackKind, TrackRef
from recordings.storage.layout import session_prefix, track_prefix

FRESH_SECONDS = 2.0
"""A track that kept no frame for longer is not shown as being recorded."""
_RATE_SECONDS = 1.0


@dataclass(slots=True)
class _Rate:
    """Frames kept per second over the last second or more."""

    frames: int = 0
    at: float = 0.0
    fps: float = 0.0

    def update(self, frames: int, at: float) -> None:
        if at - self.at >= _RATE_SECONDS:
            self.fps = (frames - self.frames) / (at - self.at) if self.at else 0.0
            self.frames, self.at = frames, at


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A stream being passed on to one viewer. login: the one it was asked for with, of a member."""

    viewer: UUID
    login: UUID | None
    viewing: peer.Viewing
    meter: Meter


@dataclass(slots=True)
class LiveStream:
    """One take being received. clock: monotonic seconds; now: server UTC in seconds."""

    ask: StreamAsk
    tracks: Mapping[TrackKind, TrackRef]
    recorder: StreamRecorder
    publication: peer.Publication
    meter: Meter
    views: dict[str, View] = field(default_factory=dict)
    capturing_since: float | None = None  # UTC seconds; None while no frame is kept
    pulse: Pulse = field(init=False)
    _rates: dict[TrackKind, _Rate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = self.publication.kinds
        self.pulse = Pulse(has_camera=TrackKind.CAMERA in kinds, has_microphone=TrackKind.VOICE in kinds)

    def look(self, clock: float, now: float) -> None:
        """A few times a second: whether frames are kept."""
        health = self.recorder.health()
        newest = 0.0
        for kind, track in health.tracks.items():
            self._rates.setdefault(kind, _Rate()).update(track.frames, clock)
            if track.permitted and track.last_frame_at is not None:
                newest = max(newest, track.last_frame_at)
        if now - newest >= FRESH_SECONDS:
            self.capturing_since = None
        elif self.capturing_since is None:
            self.capturing_since = now

    def feel_pulse(self, oldest: Mapping[str, float], clock: float, now: float) -> None:
        """Once a second. oldest: when the oldest piece waiting was closed, by track prefix."""
        since = min((oldest.get(track_prefix(track), now) for track in self.tracks.values()), default=now)
        self.pulse.read(self.publication.traffic, self.recorder.health().state, now - since, clock)

    def facts(self, uploader: Uploader, clock: float, now: float) -> StreamFacts:
        health = self.recorder.health()
        return StreamFacts(
            recording=self.ask.recording,
            take=self.ask.take,
            person=self.ask.person,
            stream=self.ask.stream,
            connected=self.publication.state is peer.PeerState.CONNECTED,
            state=health.state,
            tracks=[
                TrackFacts(
                    kind=kind,
                    permitted=track.permitted,
                    capturing=track.permitted and now - (track.last_frame_at or 0.0) < FRESH_SECONDS,
                    frames=track.frames,
                    bytes=track.bytes,
                    fps=round(self._rates[kind].fps, 1) if kind in self._rates else 0.0,
                )
                for kind, track in health.tracks.items()
            ],
            stored_up_to=stored_up_to(self.kept(uploader)),
            views=len(self.views),
            health=self._health(clock),
        )

    def kept(self, uploader: Uploader) -> list[Kept]:
        """Of the tracks of which frames were kept in this take."""
        return [
            Kept(last_at=track.last_frame_at, stored=uploader.stored_up_to(track_prefix(self.tracks[kind])))
            for kind, track in self.recorder.health().tracks.items()
            if track.last_frame_at is not None
        ]

    @property
    def totals(self) -> Totals:
        frames = sum(track.frames for track in self.recorder.health().tracks.values())
        return Totals(traffic=self.publication.traffic, frames=frames)

    def _health(self, clock: float) -> HealthFacts:
        rates = self.pulse.rates
        return HealthFacts(
            word=self.pulse.word(clock),
            why=self.pulse.why,
            bits_per_second=round(rates.bits_per_s),
            lost=round(rates.lost, 4),
            fps=round(rates.pictures_per_s, 1),
            level=None if rates.level is None else round(rates.level),
            silent_s=self.pulse.silent_s(clock),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Of every stream since the process began."""

    traffic: Traffic = field(default_factory=Traffic)
    frames: int = 0


def totals(some: Iterable[Totals]) -> Totals:
    some = list(some)
    return Totals(traffic=sum((one.traffic for one in some), Traffic()), frames=sum(one.frames for one in some))


def session_facts(
    streams: Sequence[LiveStream], spool: Spool, uploader: Uploader, *, leased: bool, clock: float, now: float
) -> SessionFacts:
    """Of the live streams of one session."""
    health = uploader.health()
    up_to = stored_up_to(kept for stream in streams for kept in stream.kept(uploader))
    if streams and up_to is not None:  # what is left of people who have gone counts too
        session = session_prefix(streams[0].ask.recording_ref)
        waiting = [since for track, since in spool.oldest_of_tracks().items() if track.startswith(session)]
        up_to = min([up_to, *(since - SEGMENT_S for since in waiting)])
    return SessionFacts(
        leased=leased,
        waiting_s=health.oldest_waiting_s,
        failing=health.failing,
        streams=[stream.facts(uploader, clock, now) for stream in streams],
        stored_up_to=up_to,
    )
