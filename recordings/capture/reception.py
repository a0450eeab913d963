"""A publisher's decrypted RTP and RTCP -> frames, holes and sender reports; and what is answered.

    packet -> header (rtp.py) -> RTX, RED undone (RFC 4588, 2198) -> tap (viewers) -> incoming_track.py -> sink

One audio and one video SSRC per connection: the first that comes with the negotiated payload type.
Answered are NACK (RFC 4585), PLI until a key frame is there, and once a second a receiver report and REMB.
Everything that came through SRTP may still be hostile: nothing here raises on bad input, and all of it is bounded.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.capture.bandwidth import MAX_BITS_PER_SECOND, Bandwidth
from recordings.capture.codecs import CODINGS
from recordings.capture.incoming_track import IncomingTrack, Sink, TrackFormat
from recordings.capture.loudness import Loudness
from recordings.capture.red import read_red
from recordings.capture.rtp import Header, read_header
from recordings.capture.traffic import Traffic
from recordings.model import SenderReport, TrackKind
from recordings.timing import ntp_seconds

KEY_FRAME_PAUSE_S = 0.3
FIRST_MISSED = 32
"""Packets before the first one seen that are asked for; a stream begins with a key frame of many packets."""
REPORT_EVERY_S = 1.0


class Tap(Protocol):
    """Sees packets as they come, out of order but each once or seldom twice; for passing on to viewers."""

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None: ...

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None: ...


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
        self._tracks: dict[TrackKind, IncomingTrack] = {}
        self._by_payload_type: dict[int, IncomingTrack] = {}  # the same tracks, also by their RED
        self._sink = sink
        self._ssrc = ssrc
        self._description = rtcp.source_description(ssrc, secrets.token_hex(8))  # no name: RFC 7022 §4.2
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
        """Every 75 ms (poller.py): gives up old holes, asks for key frames, reports."""
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

    def release(self, kinds: frozenset[TrackKind]) -> None:
        """Nothing of these is waited for any longer: what waits behind holes, or for a packet to follow, goes to the
        sink."""
        for kind, track in self._tracks.items():
            if kind in kinds:
                track.release(self._now())

    def _first_of(self, header: Header) -> IncomingTrack | None:
        """The track that this first packet begins; None if its payload type is no track's, or one of a kind that has
        begun with another."""
        fmt = self._formats.get(header.payload_type)
        if fmt is None or fmt.kind in self._tracks:
            return None
        track = IncomingTrack(fmt, header.ssrc, self._sink, self._loudness.get(fmt.kind), self._utc)
        self._tracks[fmt.kind] = self._by_payload_type[fmt.payload_type] = track
        if fmt.red_payload_type:
            self._by_payload_type[fmt.red_payload_type] = track
        if not CODINGS[fmt.codec].starts_key_frame(header.payload):  # the first ones were lost or overtaken
            track.buffer.begin_before(header.sequence, FIRST_MISSED, self._now())
        return track

    def _take(self, track: IncomingTrack, packet: MediaPacket) -> None:
        now = self._now()
        for tap in self.taps:
            tap.packet(track.kind, packet)
        track.take(track.buffer.add(packet, now), now)

    def _take_red(self, track: IncomingTrack, header: Header) -> None:
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

    def _repair(self, header: Header) -> None:
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
            rtcp.receiver_report(self._ssrc, blocks)
            + self._description
            + rtcp.allowed_bitrate(self._ssrc, self._bandwidth.allowed, ssrcs)
        )
