"""RTP of one publication to its viewers: rewritten, never decoded, never re-packetised.

A viewer gets its own payload types, SSRCs and sequence numbers; timestamps stay, so sender reports do too.
Holes keep their place in the numbering, so what the publisher sends again fits in when it comes. What a
viewer asks for again comes from a history that all viewers of the publication share. Who comes late is first told
what the publisher said before: parameter sets that are not sent with every key frame.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.capture.codecs import CODINGS
from recordings.capture.rtp import rtp_packet
from recordings.capture.traffic import Traffic
from recordings.model import Codec, TrackKind
from recordings.timing import unwrap_sequence

HISTORY_PACKETS = {True: 1_024, False: 256}
"""By is_video: about 5 s of each at 1.8 Mbit/s; aiortc's own 128 are less than 0.7 s."""
KEY_FRAME_PAUSE_S = 1.0
"""Between two that are asked for on behalf of viewers: each of them is paid for with the quality of the recording."""
MOST_REPAIRS_PER_TICK = 50
"""About 10 Mbit/s: a viewer's requests cannot make the server send without bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingFormat:
    """What was negotiated with a viewer for one track."""

    codec: Codec
    ssrc: int
    payload_type: int
    rtx_ssrc: int | None = None
    rtx_payload_type: int | None = None


class OutgoingTrack:
    """One track as one viewer sees it (pure). Video begins with the first packet of a key frame."""

    def __init__(self, fmt: OutgoingFormat, *, first_sequence: int) -> None:
        self.format = fmt
        self._starts_key_frame = CODINGS[fmt.codec].starts_key_frame
        self._first_sequence = first_sequence
        self._source_first: int | None = None
        self._preface: dict[int, MediaPacket] = {}  # in place of what the publisher sent under these numbers
        self._highest = first_sequence
        self._rtx_sequence = first_sequence
        self.packets = 0
        self.octets = 0

    @property
    def started(self) -> bool:
        return self._source_first is not None

    def can_begin(self, packet: MediaPacket) -> bool:
        """True if it has not begun, and can with this packet."""
        return self._source_first is None and self._starts_key_frame(packet.payload)

    def begin(self, packet: MediaPacket, preface: Sequence[bytes] = ()) -> list[bytes]:
        """The packets in front of this first one. preface: their payloads."""
        self._source_first = first = packet.sequence - len(preface)
        told = [MediaPacket(first + n, packet.timestamp, False, payload) for n, payload in enumerate(preface)]
        sent = [self._rewritten(one, first) for one in told]
        self._preface = {one.sequence: one for one in told}
        return sent

    def rewrite(self, packet: MediaPacket) -> bytes | None:
        """None for what lies before the beginning."""
        first = self._source_first
        if first is None or packet.sequence < first + len(self._preface):
            return None
        return self._rewritten(packet, first)

    def _rewritten(self, packet: MediaPacket, first: int) -> bytes:
        sequence = packet.sequence - first + self._first_sequence
        self._highest = max(self._highest, sequence)
        self.packets += 1
        self.octets += len(packet.payload)
        return rtp_packet(
            payload_type=self.format.payload_type,
            marker=packet.marker,
            sequence=sequence,
            timestamp=packet.timestamp,
            ssrc=self.format.ssrc,
            payload=packet.payload,
        )

    def repair(self, sequence: int, history: Mapping[int, MediaPacket]) -> bytes | None:
        """The packet a viewer lost, by its 16-bit sequence number there: as RTX (RFC 4588) where negotiated."""
        if self._source_first is None:
            return None
        own = unwrap_sequence(sequence, self._highest)
        number = own - self._first_sequence + self._source_first
        packet = self._preface.get(number) or history.get(number)
        if packet is None or own < self._first_sequence:
            return None
        fmt = self.format
        if fmt.rtx_ssrc is None or fmt.rtx_payload_type is None:
            payload_type, ssrc, number, payload = fmt.payload_type, fmt.ssrc, own, packet.payload
        else:
            payload_type, ssrc, number = fmt.rtx_payload_type, fmt.rtx_ssrc, self._rtx_sequence
            payload = (own & 0xFFFF).to_bytes(2, "big") + packet.payload
            self._rtx_sequence += 1
        return rtp_packet(
            payload_type=payload_type,
            marker=packet.marker,
            sequence=number,
            timestamp=packet.timestamp,
            ssrc=ssrc,
            payload=payload,
        )


class Forwarder:
    """All tracks of one viewer: media out, feedback in."""

    def __init__(
        self,
        formats: Mapping[TrackKind, OutgoingFormat],
        *,
        source: Source,
        send_rtp: Callable[[bytes], None],
        send_rtcp: Callable[[bytes], None],
    ) -> None:
        self._tracks = {
            kind: OutgoingTrack(
                fmt,
                first_sequence=secrets.randbelow(1 << 15),  # the lower half: SRTP's roll-over count starts at 0
            )
            for kind, fmt in formats.items()
        }
        self._source = source
        self._send_rtp = send_rtp
        self._send_rtcp = send_rtcp
        self._cname = secrets.token_hex(8)
        self._repairs_left = MOST_REPAIRS_PER_TICK
        self._packets = self._reports = 0

    @property
    def traffic(self) -> Traffic:
        """What came from the viewer."""
        return Traffic(packets=self._packets, reports=self._reports)

    def media(self, packet: bytes) -> None:
        """A viewer sends none; whoever does is counted."""
        self._packets += 1

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None:
        track = self._tracks.get(kind)
        if track is None:
            return
        if track.can_begin(packet):
            for told in track.begin(packet, self._source.preface(kind, packet.payload)):
                self._send_rtp(told)
        if (rewritten := track.rewrite(packet)) is not None:
            self._send_rtp(rewritten)

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None:
        track = self._tracks.get(kind)
        if track is not None and track.started:
            own = replace(report, ssrc=track.format.ssrc)
            self._send_rtcp(rtcp.sender_report(own, packets=track.packets, octets=track.octets, cname=self._cname))

    def feedback(self, packet: bytes) -> None:
        """RTCP from the viewer."""
        self._packets += 1
        for message in rtcp.read(packet):
            self._reports += 1
            if isinstance(message, rtcp.KeyFrameRequest):
                self._source.request_key_frame()
            elif isinstance(message, rtcp.Nack):
                self._repair(message)

    def tick(self) -> None:
        self._repairs_left = MOST_REPAIRS_PER_TICK
        if any(kind.is_video and not track.started for kind, track in self._tracks.items()):
            self._source.request_key_frame()

    def _repair(self, message: rtcp.Nack) -> None:
        for kind, track in self._tracks.items():
            if track.format.ssrc != message.ssrc:
                continue
            for sequence in message.sequences[: self._repairs_left]:
                again = track.repair(sequence, self._source.history(kind))
                if again is not None:
                    self._repairs_left -= 1
                    self._send_rtp(again)


class Source:
    """What the viewers of one publication share; a Tap of its reception while there are viewers."""

    def __init__(
        self,
        request_key_frame: Callable[[], None],
        preface: Callable[[TrackKind, bytes], Sequence[bytes]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request_key_frame, self.preface, self._now = request_key_frame, preface, now
        self._asked_at = float("-inf")
        self.forwarders: list[Forwarder] = []
        self._history: dict[TrackKind, dict[int, MediaPacket]] = {}

    def request_key_frame(self) -> None:
        """Not too often, however many viewers ask, and however often; who still needs one asks again."""
        now = self._now()
        if now - self._asked_at >= KEY_FRAME_PAUSE_S:
            self._asked_at = now
            self._request_key_frame()

    def history(self, kind: TrackKind) -> Mapping[int, MediaPacket]:
        return self._history.get(kind, {})

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None:
        history = self._history.setdefault(kind, {})
        if packet.sequence in history:
            return
        history[packet.sequence] = packet
        if len(history) > HISTORY_PACKETS[kind.is_video]:
            del history[next(iter(history))]
        for forwarder in self.forwarders:
            forwarder.packet(kind, packet)

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None:
        for forwarder in self.forwarders:
            forwarder.report(kind, report)

    def forget(self) -> None:
        """The last viewer left: nothing of the stream stays in memory."""
        self._history.clear()
