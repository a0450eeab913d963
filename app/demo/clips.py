"""The demo's own media, read as encoded packets: nothing is encoded or decoded on the way to the wire.

`make_assets.py` made the files. Each person has a camera (640x360, 30 frames/s), a screen (10 frames/s) and a
speech with its text, all of the same length; camera and speech belong together, flash on beep.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av import Packet
from av.stream import Stream

ASSETS = Path(__file__).parent / "assets"
VIDEO_CLOCK_HZ = 90_000  # RFC 7741 section 4.1
AUDIO_CLOCK_HZ = 48_000  # RFC 7587 section 4.1
SCREEN_CLIP_OFFSET = 8  # clip number of a person's screen = this + the person's number


class ClipKind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, kw_only=True)
class EncodedPacket:
    """One VP8 frame or one Opus packet; `ticks` is its time in the clip on the clip's RTP clock."""

    data: bytes
    ticks: int
    is_key: bool


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A finite stream of encoded packets, in sending order."""

    kind: ClipKind
    clock_hz: int
    packets: tuple[EncodedPacket, ...]

    @property
    def seconds(self) -> float:
        """From the first packet's time to the end of the last one, which lasts as long as the one before."""
        last, before = self.packets[-1].ticks, self.packets[-2].ticks
        return (2 * last - before - self.packets[0].ticks) / self.clock_hz

    def av_packet(self, index: int) -> "Packet[Stream]":
        """The packet as aiortc's sender takes it: already encoded, its time as `pts`."""
        packet = Packet(self.packets[index].data)
        packet.pts = self.packets[index].ticks
        packet.time_base = Fraction(1, self.clock_hz)
        return packet


def camera(person: int) -> Clip:
    """The camera of person 1 or 2 (clip number in the picture = person)."""
    return _load(ASSETS / f"camera-{person}.ivf")


def screen(person: int) -> Clip:
    """The shared screen of person 1 or 2 (clip number in the picture = 8 + person)."""
    return _load(ASSETS / f"screen-{person}.ivf")


def speech(person: int) -> Clip:
    """The voice of person 1 (American English) or 2 (British English), with a quiet beep on every flash.

    The first packet's time is negative by Opus's pre-skip (RFC 7845 section 4.2): what a receiver decodes at
    time t is then what was said at t.
    """
    return _load(ASSETS / f"speech-{person}.opus")


def speech_text(person: int) -> str:
    """The words that person's speech says."""
    return (ASSETS / f"speech-{person}.txt").read_text(encoding="utf-8").strip()


@cache
def _load(path: Path) -> Clip:
    with av.open(str(path), "r") as container:
        stream = container.streams[0]
        kind = ClipKind(stream.type)
        clock_hz = VIDEO_CLOCK_HZ if kind is ClipKind.VIDEO else AUDIO_CLOCK_HZ
        packets = tuple(
            EncodedPacket(
                data=bytes(packet), ticks=round(packet.pts * packet.time_base * clock_hz), is_key=packet.is_keyframe
            )
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size
        )
    return Clip(kind=kind, clock_hz=clock_hz, packets=packets)
