"""A publisher's decrypted RTP and RTCP -> frames, holes and sender reports; and what we answer him.

    packet -> header (RFC 3550 §5.1) -> RTX, RED undone (RFC 4588, 2198) -> tap (viewers) -> order -> frame -> sink

One audio and one video SSRC per connection: the first that comes with the negotiated payload type.
Answered are NACK (RFC 4585), PLI until a key frame is there, and once a second a receiver report and REMB.
Everything that came through SRTP may still be hostile: nothing here raises on bad input, and all of it is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

import msgspec

from recordings.capture import rtcp
from recordings.capture.assembly import EncodedFrame, MediaPacket
from recordings.capture.bandwidth import MAX_BITS_PER_SECOND, Bandwidth
from recordings.capture.codecs import CODINGS
from recordings.capture.loudness import Loudness
from recordings.capture.red import read_red
from recordings.capture.reorder import Gap, ReorderBuffer
from recordings.capture.traffic import Traffic
from recordings.model import Codec, Frame, Hole, SenderReport, TrackKind
from recordings.timing import TickCount, ntp_seconds, unwrap_ticks

VIDEO_PATIENCE_S = 2.0
AUDIO_PATIENCE_S = 1.0
KEY_FRAME_PAUSE_S = 0.3
FIRST_MISSED = 32
"""Packets before the first one seen that are asked for; a stream begins with a key frame of many packets."""
REPORT_EVERY_S = 1.0
_FIXED_HEADER = Struct("!BBHLL").unpack_from


class Sink(Protocol):
    """Where a published stream goes; called in the event loop, must neither raise nor block."""

    def frame(self, frame: Frame) -> None: ...

    def sender_report(self, report: SenderReport) -> None: ...

    def hole(self, hole: Hole) -> None: ...


class Tap(Protocol):
    """Sees packets as they come, out of order but each once or seldom twice; for passing on to viewers."""

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None: ...

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None: ...


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


class _Header(msgspec.Struct, frozen=True, gc=False):
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_header(packet: bytes) -> _Header | None:
    """RFC 3550 §5.1 and §5.3.1; None if the packet is shorter than it claims."""
    size = len(packet)
    if size < 12:
        return None
    first, second, sequence, timestamp, ssrc = _FIXED_HEADER(packet)
    start = 12 + 4 * (first & 15)
    if first & 16:  # header extension
        if start + 4 > size:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    end = size - packet[-1] if first & 32 else size  # padding
    if start > end:
        return None
    return _Header(
        second > 127,
        second & 127,
        sequence,
        timestamp,
        ssrc,
        packet[start:end],
    )


class _IncomingTrack:
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


class Reception:
    """All tracks of one publisher.

    send takes an RTCP packet in clear; now is monotonic seconds, utc is server UTC in seconds.
    """

    def __init__(
        self,
        formats: Sequence[TrackFormat],
        sink: Sink,
        *,
        ssrc: int,
        bits_per_second: int = MAX_BITS_PER_SECOND,
        send: Callable[[bytes], None],
        now: Callable[[], float],
        utc: Callable[[], float],
    ) -> None:
        self._formats = {track.payload_type: track for track in formats}
        self._formats |= {track.red_payload_type: track for track in formats if track.red_payload_type}
        self._repairs = {track.rtx_payload_type: track.kind for track in formats if track.rtx_payload_type is not None}
        self._loudness = {t.kind: Loudness(t.level_extension) for t in formats if not t.kind.is_video}
        self._tracks: dict[TrackKind, _IncomingTrack] = {}
        self._by_payload_type: dict[int, _IncomingTrack] = {}  # the same tracks, also by their RED
        self._sink = sink
        self._ssrc = ssrc
        self._send = send
        self._now = now
        self._utc = utc
        self._bandwidth = Bandwidth(bits_per_second)
        self._reported_at = now()
        self._key_frame_asked_at = float("-inf")
        self._key_frames_wanted = 0  # that many must have come
        self.taps: list[Tap] = []
        self.ignored = 0
        self._asked = self._bytes = self._bytes_told = self._key_frames_asked = 0
        self._packets = self._reports = 0

    @property
    def traffic(self) -> Traffic:
        """Since the connection stands."""
        tracks = self._tracks.values()
        return Traffic(
            received=sum(track.buffer.received for track in tracks),
            recovered=sum(track.buffer.recovered for track in tracks),
            lost=sum(track.buffer.given_up for track in tracks),
            asked=self._asked,
            ignored=self.ignored,
            bytes=self._bytes,
            key_frames_asked=self._key_frames_asked,
            pictures=sum(track.frames for track in tracks if track.kind.is_video),
            holes=sum(track.holes for track in tracks),
            sounds=sum(one.packets for one in self._loudness.values()),
            levels=sum(one.levels for one in self._loudness.values()),
            power=sum(one.power for one in self._loudness.values()),
            pauses=sum(one.pauses for one in self._loudness.values()),
            packets=self._packets,
            reports=self._reports,
        )

    def on_rtp(self, packet: bytes) -> None:
        self._bytes += len(packet)
        self._packets += 1
        header = read_header(packet)
        if header is None:
            self.ignored += 1
            return
        track = self._by_payload_type.get(header.payload_type) or self._first_of(header)
        if track is None:
            self._repair(header)
            return
        if track.ssrc != header.ssrc:
            self.ignored += 1
            return
        track.received += 1
        if track.loudness is not None:
            track.loudness.add(packet, len(header.payload))
        number = track.buffer.unwrap(header.sequence)
        if number >= track.buffer.highest:
            track.newest = header.timestamp
        if header.payload_type == track.payload_type:
            self._take(track, MediaPacket(number, header.timestamp, header.marker, header.payload))
        else:
            self._take_red(track, header)

    def on_rtcp(self, packet: bytes) -> None:
        self._packets += 1
        for message in rtcp.read(packet):
            self._reports += 1
            if isinstance(message, rtcp.SenderInfo):
                self._report(message)

    def settle(self) -> None:
        """After a batch of packets: asks at once for what is missing, and sees how long the way was."""
        now = self._now()
        self._bandwidth.arrived(self._bytes - self._bytes_told)
        self._bytes_told = self._bytes
        for track in self._tracks.values():
            missing = track.buffer.ask(now)
            if missing:
                self._asked += len(missing)
                for message in rtcp.nack(self._ssrc, track.ssrc, missing):
                    self._send(message)
            travelled = track.travelled(now)
            if travelled is not None:
                self._bandwidth.travelled(track.ssrc, travelled)

    def tick(self) -> None:
        """Every 50 ms or so: gives up old holes, asks for key frames, reports."""
        now = self._now()
        for track in self._tracks.values():
            track.take(track.buffer.expire(now), now)
        self._ask_for_key_frame(now)
        lowered = self._bandwidth.assess(now)
        if self._tracks and (lowered or now - self._reported_at >= REPORT_EVERY_S):
            self._reported_at = now
            self._answer(now)

    def request_key_frame(self) -> None:
        """Remembered until it can be sent: at most every 0.3 s, and only to video of which no key frame came since."""
        self._key_frames_wanted = 1 + max((track.key_frames for track in self._tracks.values()), default=0)
        self._ask_for_key_frame(self._now())

    def preface(self, kind: TrackKind, payload: bytes) -> Sequence[bytes]:
        """What a viewer who begins with this payload has to be told first (assembly.py)."""
        track = self._tracks.get(kind)
        return () if track is None else track.assembly.preface(payload)

    def release(self) -> None:
        """Nothing is waited for any longer: what waits behind holes, or for a packet to follow, goes to the sink."""
        for track in self._tracks.values():
            track.release(self._now())

    def _first_of(self, header: _Header) -> _IncomingTrack | None:
        """The track that this first packet begins; None if its payload type is no track's, or one of a kind that has
        begun with another."""
        fmt = self._formats.get(header.payload_type)
        if fmt is None or fmt.kind in self._tracks:
            return None
        track = _IncomingTrack(fmt, header.ssrc, self._sink, self._loudness.get(fmt.kind), self._utc)
        self._tracks[fmt.kind] = self._by_payload_type[fmt.payload_type] = track
        if fmt.red_payload_type:
            self._by_payload_type[fmt.red_payload_type] = track
        if not CODINGS[fmt.codec].starts_key_frame(header.payload):  # the first ones were lost or overtaken
            track.buffer.begin_before(header.sequence, FIRST_MISSED, self._now())
        return track

    def _take(self, track: _IncomingTrack, packet: MediaPacket) -> None:
        now = self._now()
        for tap in self.taps:
            tap.packet(track.kind, packet)
        track.take(track.buffer.add(packet, now), now)

    def _take_red(self, track: _IncomingTrack, header: _Header) -> None:
        """What it repeats fills holes only; the block n places before the last is of the nth packet before."""
        blocks = read_red(header.payload)
        if blocks is None or blocks[-1].payload_type != track.payload_type:
            self.ignored += 1
            return
        primary, number = blocks.pop(), track.buffer.unwrap(header.sequence)
        self._take(track, MediaPacket(number, header.timestamp, header.marker, primary.data))
        for back, block in enumerate(reversed(blocks), start=1):
            if block.payload_type == track.payload_type and block.data and track.buffer.misses(number - back):
                timestamp = header.timestamp - block.offset & 0xFFFFFFFF
                self._take(track, MediaPacket(number - back, timestamp, False, block.data))

    def _repair(self, header: _Header) -> None:
        """RFC 4588 §4: the original sequence number stands before the original payload."""
        kind = self._repairs.get(header.payload_type)
        track = self._tracks.get(kind) if kind is not None else None
        if track is None or len(header.payload) < 2:
            self.ignored += 1
            return
        number = track.buffer.unwrap(header.payload[0] << 8 | header.payload[1])
        self._take(track, MediaPacket(number, header.timestamp, header.marker, header.payload[2:]))

    def _report(self, message: rtcp.SenderInfo) -> None:
        track = next((track for track in self._tracks.values() if track.ssrc == message.ssrc), None)
        ticks = track.ticks.of(message.timestamp) if track is not None else None
        if track is None or ticks is None or not message.ntp:  # a clock that is not set tells nothing
            return
        track.last_report = (message.ntp >> 16 & 0xFFFFFFFF, self._now())
        for tap in self.taps:
            tap.report(track.kind, message)
        utc = self._utc()
        self._sink.sender_report(
            SenderReport(kind=track.kind, ntp=ntp_seconds(message.ntp, utc), ticks=ticks, arrived_at=utc)
        )

    def _ask_for_key_frame(self, now: float) -> None:
        if now - self._key_frame_asked_at < KEY_FRAME_PAUSE_S:
            return
        for track in self._tracks.values():
            came = track.key_frames >= self._key_frames_wanted and not track.assembly.wants_key_frame
            if track.kind.is_video and not came:
                self._key_frames_wanted = 0
                self._key_frame_asked_at = now
                self._key_frames_asked += 1
                self._send(rtcp.picture_loss(self._ssrc, track.ssrc))

    def _answer(self, now: float) -> None:
        blocks = [track.report_block(now) for track in self._tracks.values()]
        worst = max(block.fraction_lost for block in blocks) / 256
        self._bandwidth.lost(worst, now)
        ssrcs = [track.ssrc for track in self._tracks.values()]
        self._send(
            rtcp.receiver_report(self._ssrc, blocks) + rtcp.allowed_bitrate(self._ssrc, self._bandwidth.allowed, ssrcs)
        )
