"""One track of a publisher: packets -> order -> whole frames -> sink, and what a receiver reports of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from recordings.capture import rtcp
from recordings.capture.assembly import EncodedFrame, MediaPacket
from recordings.capture.codecs import CODINGS
from recordings.capture.loudness import Loudness
from recordings.capture.reorder import Gap, ReorderBuffer
from recordings.model import Codec, Frame, Hole, SenderReport, TrackKind
from recordings.timing import TickCount, unwrap_ticks

VIDEO_PATIENCE_S = 2.0
AUDIO_PATIENCE_S = 1.0


class Sink(Protocol):
    """Where a published stream goes; called in the event loop, must neither raise nor block."""

    def frame(self, frame: Frame) -> None: ...

    def sender_report(self, report: SenderReport) -> None: ...

    def hole(self, hole: Hole) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackFormat:
    """What was negotiated for one track (RFC 8866 rtpmap, RFC 4588 apt, RFC 2198 red, RFC 6464 audio level).

    sets: what signalling brought for the decoder (RFC 6184 §8.1 sprop-parameter-sets), as NAL units."""

    kind: TrackKind
    codec: Codec
    payload_type: int
    rtx_payload_type: int | None = None
    red_payload_type: int | None = None
    level_extension: int | None = None
    sets: tuple[bytes, ...] = ()


class IncomingTrack:
    """One SSRC from its first packet on."""

    def __init__(
        self, fmt: TrackFormat, ssrc: int, sink: Sink, loudness: Loudness | None, utc: Callable[[], float]
    ) -> None:
        self.kind = kind = fmt.kind
        self.payload_type = fmt.payload_type
        self.ssrc = ssrc
        self.buffer = ReorderBuffer(patience_s=VIDEO_PATIENCE_S if kind.is_video else AUDIO_PATIENCE_S)
        self.assembly = CODINGS[fmt.codec].assembly(fmt.sets)
        self.ticks = TickCount(kind.clock_rate)
        self.received = 0  # on this SSRC: what RTX brought back counts as lost on the way
        self.loudness = loudness  # of sound only
        self.frames = self.key_frames = self.holes = 0
        self.reported_expected = 0
        self.reported_received = 0
        self.last_report: tuple[int, float] | None = None
        self.newest: int | None = None  # RTP timestamp of the packet with the highest number, until it is `travelled`
        self._sink, self._utc = sink, utc
        self._last_frame: int | None = None
        self._hole = False
        self._travelled: int | None = None

    def take(self, items: Iterable[MediaPacket | Gap], now: float) -> None:
        """What the buffer gives, in order. now: monotonic seconds."""
        for item in items:
            if isinstance(item, Gap):
                self.assembly.lost()
                self._hole = True
                continue
            encoded = self.assembly.add(item)
            if encoded is not None:
                self._give(encoded, now)
            elif self.assembly.wants_key_frame:
                self._hole = True

    def release(self, now: float) -> None:
        """Waits for nothing any longer: what lies behind holes, and a whole frame that is held back, go to the sink."""
        self.take(self.buffer.expire(float("inf")), now)
        whole = self.assembly.flush()
        if whole is not None:
            self._give(whole, now)

    def _give(self, encoded: EncodedFrame, now: float) -> None:
        ticks = self.ticks.at(encoded.timestamp, now)
        last = self._last_frame
        if last is not None:
            if ticks <= last:
                return
            if self._hole:
                self.holes += 1
                self._sink.hole(Hole(kind=self.kind, from_ticks=last, to_ticks=ticks))
        self._hole = False
        self._last_frame = ticks
        self.frames += 1
        self.key_frames += encoded.key and self.kind.is_video
        self._sink.frame(
            Frame(
                kind=self.kind,
                ticks=ticks,
                data=encoded.data,
                key=encoded.key,
                arrived_at=self._utc(),
                width=encoded.width,
                height=encoded.height,
                setup=encoded.setup,
            )
        )

    def travelled(self, now: float) -> float | None:
        """Seconds from RTP timestamp to arrival of the newest packet, but for a constant; None without a new one."""
        newest, self.newest = self.newest, None
        if newest is None:
            return None
        self._travelled = newest if self._travelled is None else unwrap_ticks(newest, self._travelled)
        return now - self._travelled / self.kind.clock_rate

    def report_block(self, now: float) -> rtcp.ReportBlock:
        """Closes the interval since the last block (RFC 3550 §A.3)."""
        expected = self.buffer.highest - self.buffer.first + 1
        new = expected - self.reported_expected
        lost = new - (self.received - self.reported_received)
        self.reported_expected, self.reported_received = expected, self.received
        middle, since = self.last_report or (0, now)
        return rtcp.ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(255, (lost << 8) // new) if lost > 0 and new > 0 else 0,
            lost=expected - self.received,
            highest=self.buffer.highest,
            jitter=0,  # arrival is known to 25 ms only
            last_report=middle,
            delay=int((now - since) * 65_536),
        )
