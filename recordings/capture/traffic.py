"""What a publication or a viewer has sent so far: for rates, for limits and for the operator's numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """What came over a connection since it stands; counters that only grow. Of a viewer: packets and reports.

    Packets received without doubles, recovered (came after being asked for), lost (given up), asked for again (NACK),
    ignored (not of this stream); bytes of all of them; key frames asked for (PLI); whole pictures; holes: places where
    frames are missing; packets of sound, and of those what loudness.py counts. packets: all of them, RTCP too;
    reports: what RTCP said, message by message.
    """

    received: int = 0
    recovered: int = 0
    lost: int = 0
    asked: int = 0
    ignored: int = 0
    bytes: int = 0
    key_frames_asked: int = 0
    pictures: int = 0
    holes: int = 0
    sounds: int = 0
    levels: int = 0
    power: int = 0
    pauses: int = 0
    packets: int = 0
    reports: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def __sub__(self, earlier: Traffic) -> Traffic:
        return Traffic(**{one.name: getattr(self, one.name) - getattr(earlier, one.name) for one in fields(self)})
