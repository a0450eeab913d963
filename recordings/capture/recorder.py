"""The recorder of one take of one stream: keeps what is permitted, while it is permitted.

It starts with nothing permitted. Consent, pause, admission and room on the disk all come in
as `permit` or as a full spool; either cuts the chunk being filled at that moment, seals what was
covered and drops what comes later. After any interruption video waits for a key frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from recordings.capture.faults import faults
from recordings.capture.journal import Lost, Report
from recordings.capture.losses import Losses
from recordings.capture.segmenter import Segmenter
from recordings.capture.spool import Spool, SpoolFull
from recordings.model import Frame, Hole, RecordingRef, SenderReport, TrackKind, TrackRef

NO_ROOM = "no room on the server"
_REPORT_EVERY_S = 1.0  # a sender that floods reports must not fill the journal


class CaptureState(StrEnum):
    """What the room shows of a stream's recording."""

    IDLE = "idle"  # nothing is permitted
    WAITING = "waiting"  # permitted, but no frame has been kept since
    RECORDING = "recording"
    FULL = "full"  # permitted, but the disk is full; resumes by itself
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackHealth:
    """Facts of one track in this take. bytes: sealed; last_frame_at: server UTC of the last kept frame."""

    permitted: bool
    waits_for_key_frame: bool
    frames: int
    bytes: int
    first_ticks: int | None
    last_ticks: int | None
    last_frame_at: float | None
    holes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamHealth:
    """What the room shows: never a claim about frames that were not kept."""

    state: CaptureState
    tracks: Mapping[TrackKind, TrackHealth]


class StreamRecorder:
    """Sink of the receive path. Called from one thread; never raises for what a sender does.

    tracks, keys: one track and data key per kind that may ever be permitted; `open_track` adds one
    when a consent is given during the take. now: server UTC in seconds.
    """

    def __init__(
        self,
        recording: RecordingRef,
        tracks: Mapping[TrackKind, TrackRef],
        take: int,
        spool: Spool,
        keys: Mapping[TrackKind, bytes],
        now: Callable[[], float],
    ) -> None:
        self.recording, self.take = recording, take
        self._spool, self._now = spool, now
        self._lines: dict[TrackKind, _Line] = {}
        self._reports: dict[TrackKind, SenderReport] = {}
        self._full = self._closed = False
        for kind, track in tracks.items():
            self.open_track(track, keys[kind])

    def open_track(self, track: TrackRef, key: bytes) -> None:
        """Record frames of its kind to this track from now on, once permitted; the track of that
        kind until now is closed. A track is not opened twice in one take."""
        self.close_track(track.kind)
        self._lines[track.kind] = _Line(track, self.take, self._spool, key)

    def close_track(self, kind: TrackKind) -> None:
        """Its consent was withdrawn: nothing more is ever added to the present track of this kind."""
        line = self._lines.pop(kind, None)
        if line and not self._closed:
            line.close(True, self._now())

    @property
    def permitted(self) -> frozenset[TrackKind]:
        return frozenset(kind for kind, line in self._lines.items() if line.permitted)

    def permit(self, kinds: frozenset[TrackKind], why: str) -> None:
        """From this moment record exactly these kinds. why: shown to people where it makes a gap."""
        for kind, line in self._lines.items():
            if line.permitted != (kind in kinds):
                with_room = not self._full
                self._keeping_room(line.permit, kind in kinds, self._now(), why, self._reports.get(kind), with_room)

    def frame(self, frame: Frame) -> None:
        line = self._lines.get(frame.kind)
        if line and line.permitted and not self._full:
            self._keeping_room(line.frame, frame)

    def sender_report(self, report: SenderReport) -> None:
        if report.ntp <= 0:  # some senders report before they have a clock
            return
        self._reports[report.kind] = report
        line = self._lines.get(report.kind)
        if line and line.permitted and not self._full:
            self._keeping_room(line.report, report)

    def hole(self, hole: Hole) -> None:
        line = self._lines.get(hole.kind)
        if line and line.permitted and not self._full:
            self._keeping_room(line.hole, hole, self._now())

    def tick(self, now: float) -> None:
        """A few times per second: seals what is old, and resumes after a full disk."""
        if self._full and self._spool.has_room:
            self._full = False
            for line in self._lines.values():
                if line.permitted:
                    self._keeping_room(line.resume, now)
        for line in self._lines.values():
            if not self._full:
                self._keeping_room(line.tick, now)

    def wants_key_frame(self) -> bool:
        """The receiver should ask the sender for one (PLI, RFC 4585 §6.3.1)."""
        return not self._full and any(line.permitted and line.waits_for_key for line in self._lines.values())

    def health(self) -> StreamHealth:
        return StreamHealth(state=self._state(), tracks={kind: line.health() for kind, line in self._lines.items()})

    def close(self, clean: bool = True) -> None:
        """The take is over; clean when its end was said and not just noticed. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        now = self._now()
        for line in self._lines.values():
            faults.survived(line.close, clean, now)

    def _state(self) -> CaptureState:
        permitted = [line for line in self._lines.values() if line.permitted]
        if self._closed:
            return CaptureState.CLOSED
        if not permitted:
            return CaptureState.IDLE
        if self._full:
            return CaptureState.FULL
        return CaptureState.RECORDING if any(line.keeps for line in permitted) else CaptureState.WAITING

    def _keeping_room(self, step: Callable[..., None], *arguments: object) -> None:
        """Take one step; a full spool stops the capture of the whole stream, visibly."""
        if self._closed:
            return
        try:
            step(*arguments)
        except SpoolFull:
            self._full = True
            for line in self._lines.values():
                line.suspend(self._now())


class _Line:
    """One kind of the stream: its track, and whether it may record."""

    def __init__(self, track: TrackRef, take: int, spool: Spool, key: bytes) -> None:
        self._out = Segmenter(track, take, spool, key)
        self._is_video = track.kind.is_video
        self.permitted = False
        self.waits_for_key = False
        self.keeps = False  # a frame has been kept since permission came or returned
        self._touched = False  # permitted at least once: without that not even a journal is left
        self._frames = self._holes = 0
        self._first_ticks: int | None = None
        self._last: Frame | None = None
        self._reported_at = 0.0
        self._losses = Losses(track.kind.clock_rate)

    def permit(self, on: bool, at: float, why: str, report: SenderReport | None, with_room: bool) -> None:
        self.permitted = on
        if on:
            self._touched = True
            self._restart()
            self._out.switch(True, at, why)
            if report:
                self.report(report)
        else:
            try:
                if with_room:
                    self._out.cut()
            finally:
                self._out.end_segment()
                self._out.switch(False, at, why)

    def frame(self, frame: Frame) -> None:
        if self.waits_for_key and not frame.key:
            return
        if self._last and frame.ticks < self._last.ticks:  # a chunk's times only grow
            return
        self.waits_for_key = False
        self._out.add(frame)
        self.keeps = True
        self._frames += 1
        self._last = frame
        if self._first_ticks is None:
            self._first_ticks = frame.ticks

    def report(self, report: SenderReport) -> None:
        if abs(report.arrived_at - self._reported_at) >= _REPORT_EVERY_S * 0.9:  # the server's clock may be set back
            self._reported_at = report.arrived_at
            self._out.note(Report(ntp=report.ntp, ticks=report.ticks, arrived_at=report.arrived_at))

    def hole(self, hole: Hole, now: float) -> None:
        self._holes += 1
        self._tell(self._losses.add(hole, now))

    def tick(self, now: float) -> None:
        self._tell(self._losses.tick(now))
        self._out.tick(now)

    def suspend(self, at: float) -> None:
        """The spool is full: close what can be stored, so that room comes back."""
        if not self._touched:
            return
        try:
            self._out.cut()
        except SpoolFull:
            pass  # the chunk that did not fit is lost
        self._out.end_segment()
        if self.permitted:
            self._restart()
            try:
                self._out.switch(False, at, NO_ROOM)
            except SpoolFull:
                pass  # not even the journal's reserve is left; the gap shows without its reason

    def resume(self, at: float) -> None:
        self._out.switch(True, at, NO_ROOM)

    def close(self, clean: bool, at: float) -> None:
        self.permitted = False
        if self._touched:
            with suppress(SpoolFull):  # as above
                self._tell(self._losses.rest())
            self._out.close(clean, at)

    def health(self) -> TrackHealth:
        return TrackHealth(
            permitted=self.permitted,
            waits_for_key_frame=self.permitted and self.waits_for_key,
            frames=self._frames,
            bytes=self._out.sealed_bytes,
            first_ticks=self._first_ticks,
            last_ticks=self._last.ticks if self._last else None,
            last_frame_at=self._last.arrived_at if self._last else None,
            holes=self._holes,
        )

    def _tell(self, holes: tuple[Hole, ...]) -> None:
        for hole in holes:
            self._out.note(
                Lost(
                    from_ticks=hole.from_ticks,
                    to_ticks=hole.to_ticks,
                    places=hole.places,
                    kept_ticks=hole.kept_ticks,
                )
            )

    def _restart(self) -> None:
        self.keeps = False
        self.waits_for_key = self._is_video
