"""How loud a microphone is, without decoding: what senders say in a header extension (RFC 6464), and pauses of Opus.

Counters that only grow, so that any two readings give the mean power between them, whoever reads and how often.
"""

from __future__ import annotations

import math

LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
SILENCE_DBOV = -127
_SCALE_DB = 127
_POWER = tuple(round(10 ** ((_SCALE_DB - level) / 10)) if level < 127 else 0 for level in range(128))
"""Of a level of -0 to -127 dBov; the lowest stands for digital silence (RFC 6464 §3)."""
PAUSE_BYTES = 2
"""An Opus packet of a TOC byte and at most one more codes no sound (DTX, RFC 6716 §2.1.9)."""


class Loudness:
    """Of one sound track. extension: the negotiated id, None without.

    levels: packets that said how loud they are; power: their sum; pauses: packets that said nothing and carry nothing.
    """

    __slots__ = ("_extension", "levels", "packets", "pauses", "power")

    def __init__(self, extension: int | None) -> None:
        self._extension = extension
        self.packets = self.levels = self.power = self.pauses = 0

    def add(self, packet: bytes, payload_bytes: int) -> None:
        """packet: with its header, which has been found to be whole."""
        self.packets += 1
        level = audio_level(packet, self._extension) if self._extension is not None and packet[0] & 16 else None
        if level is not None:
            self.levels += 1
            self.power += _POWER[level]
        elif payload_bytes <= PAUSE_BYTES:
            self.pauses += 1


def audio_level(packet: bytes, extension: int) -> int | None:
    """-dBov (0 loudest, 127 silence) from a packet with a header extension (RFC 8285 §4.2, §4.3); None without it."""
    place = 12 + 4 * (packet[0] & 15)
    profile = packet[place] << 8 | packet[place + 1]
    end = place + 4 + 4 * (packet[place + 2] << 8 | packet[place + 3])
    place += 4
    is_short = profile == 0xBEDE
    if not is_short and profile >> 4 != 0x100:
        return None
    while place < end - 1:
        first = packet[place]
        if not first:  # padding
            place += 1
            continue
        name, size, start = (first >> 4, (first & 15) + 1, 1) if is_short else (first, packet[place + 1], 2)
        if is_short and name == 15:
            return None
        if name == extension:
            return packet[place + start] & 127 if size and place + start < end else None
        place += start + size
    return None


def mean_dbov(power: int, packets: int) -> float | None:
    """Of so many packets that told their level; None of none."""
    if not packets:
        return None
    return max(float(SILENCE_DBOV), 10 * math.log10(power / packets) - _SCALE_DB) if power else float(SILENCE_DBOV)
