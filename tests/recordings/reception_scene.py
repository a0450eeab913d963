"""A publisher's packets without a network, and a clock to turn."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from aiortc.rtp import RtcpPacket

from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.capture.incoming_track import TrackFormat
from recordings.capture.reception import Reception
from recordings.model import Codec, Frame, Hole, SenderReport, TrackKind

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
VP8, RTX, OPUS, RED = 96, 97, 111, 63
KEY = b"\x10\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01key"
DELTA = b"\x10\x11\x02\x00delta"
UTC = 1_800_000_000.0


def rtp(
    sequence: int, *, payload: bytes = DELTA, pt: int = VP8, timestamp: int = 0, ssrc: int = 1, marker: bool = True
) -> bytes:
    return struct.pack("!BBHLL", 0x80, marker << 7 | pt, sequence & 0xFFFF, timestamp, ssrc) + payload


@dataclass
class Scene:
    """A reception with a clock to turn; it is its own sink and tap."""

    now: float = 0.0
    frames: list[Frame] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    reports: list[SenderReport] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    tapped: list[tuple[TrackKind, MediaPacket]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frame = self.frames.append
        self.hole = self.holes.append
        self.sender_report = self.reports.append
        formats = [
            TrackFormat(kind=CAMERA, codec=Codec.VP8, payload_type=VP8, rtx_payload_type=RTX),
            TrackFormat(kind=VOICE, codec=Codec.OPUS, payload_type=OPUS, red_payload_type=RED),
        ]
        self.reception = Reception(
            formats, self, ssrc=9, send=self.sent.append, now=lambda: self.now, utc=lambda: UTC + self.now
        )

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None:
        self.tapped.append((kind, packet))

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None:
        """Not looked at."""

    def take(self, *packets: bytes) -> None:
        for packet in packets:
            self.reception.on_rtp(packet)
        self.reception.settle()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.reception.settle()
        self.reception.tick()

    def answers(self, kind: type) -> list[object]:
        return [message for packet in self.sent for message in RtcpPacket.parse(packet) if isinstance(message, kind)]


def started() -> Scene:
    scene = Scene()
    scene.take(rtp(1, payload=KEY), rtp(2, timestamp=3_000))
    return scene
