"""Encoded frames -> RTP packets of one sender (RFC 3550, 7741, 7587), reported and repaired as browsers do it.

Asked for a key frame (PLI, RFC 4585 §6.3.1), a sender goes back to the last one of its clip and on from there, at the
same pace: what follows decodes, and a recorder that asks pays for it as with a browser. It does so at most every 0.3 s,
as Chromium does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.demo.clips import Clip, ClipKind
from recordings.capture import rtcp
from recordings.capture.rtp import rtp_packet
from recordings.timing import FROM_1900_TO_1970_S

PAYLOAD_BYTES = 1_180
"""Of one packet, as Chromium fills them."""
HISTORY_PACKETS = 1_024
REPORT_EVERY_S = 1.0
KEY_FRAME_PAUSE_S = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Repairs:
    """Where what was lost is sent again (RTX, RFC 4588 §4)."""

    ssrc: int
    payload_type: int


class OutgoingClip:
    """One track. `sent`: frames (or packets of sound) on the wire so far; `rewinds`: key frames sent because they were
    asked for. repairs: None to send again what was lost as it was."""

    def __init__(
        self,
        clip: Clip,
        *,
        ssrc: int,
        payload_type: int,
        send: Callable[[bytes], None],
        repairs: Repairs | None = None,
    ) -> None:
        self._clip, self._ssrc, self._payload_type, self._send = clip, ssrc, payload_type, send
        self._repairs, self._repaired = repairs, 0
        self._is_video = clip.kind is ClipKind.VIDEO
        self._sequence = secrets.randbelow(1 << 15)
        self._timestamp = secrets.randbits(32)
        self._history: dict[int, bytes] = {}
        self._octets = self._packets = 0
        self._next_report_s = 0.0
        self._next = 0  # of the clip
        self._rewound_at = float("-inf")
        self.sent = self.rewinds = 0

    def frame(self, ticks: int) -> bytes:
        """Sends the next one, and says what it was. ticks: when, since the clip began."""
        data = self._clip.packets[self._next].data
        self._next += 1
        timestamp = self._timestamp + ticks & 0xFFFFFFFF
        payloads = list(vp8_payloads(data, self.sent)) if self._is_video else [data]
        for number, payload in enumerate(payloads, start=1):
            packet = rtp_packet(
                payload_type=self._payload_type,
                marker=self._is_video and number == len(payloads),
                sequence=self._sequence,
                timestamp=timestamp,
                ssrc=self._ssrc,
                payload=payload,
            )
            self._remember(packet)
            self._send(packet)
            self._octets += len(payload)
        self._packets += len(payloads)
        self.sent += 1
        return data

    def refresh(self, asked: rtcp.KeyFrameRequest, now: float) -> None:
        """Goes back to the last key frame, unless one comes next anyway. now: monotonic seconds."""
        if asked.ssrc != self._ssrc or now - self._rewound_at < KEY_FRAME_PAUSE_S:
            return
        if self._next == len(self._clip.packets):  # nothing more is sent
            return
        place = self._next
        while not self._clip.packets[place].is_key:
            place -= 1
        if place < self._next:
            self._next, self._rewound_at = place, now
            self.rewinds += 1

    def report(self, since_start_s: float, utc: float | None = None) -> bytes | None:
        """A sender report once a second. utc: this moment on the sender's clock, if that is not ours."""
        if since_start_s < self._next_report_s:
            return None
        self._next_report_s = since_start_s + REPORT_EVERY_S
        ntp = int(((time.time() if utc is None else utc) + FROM_1900_TO_1970_S) * (1 << 32)) & (1 << 64) - 1
        timestamp = self._timestamp + round(since_start_s * self._clip.clock_hz) & 0xFFFFFFFF
        info = rtcp.SenderInfo(ssrc=self._ssrc, ntp=ntp, timestamp=timestamp)
        return rtcp.sender_report(info, packets=self._packets, octets=self._octets, cname="bench")

    def repair(self, asked: rtcp.Nack) -> None:
        if asked.ssrc == self._ssrc:
            for sequence in asked.sequences:
                if (packet := self._history.get(sequence)) is not None:
                    self._send(self._repair(packet, self._repairs) if self._repairs else packet)

    def _repair(self, packet: bytes, repairs: Repairs) -> bytes:
        """The original sequence number stands before the original payload; a sequence of its own."""
        self._repaired += 1
        return rtp_packet(
            payload_type=repairs.payload_type,
            marker=bool(packet[1] >> 7),
            sequence=self._repaired,
            timestamp=int.from_bytes(packet[4:8], "big"),
            ssrc=repairs.ssrc,
            payload=packet[2:4] + packet[12:],
        )

    def _remember(self, packet: bytes) -> None:
        self._history[self._sequence & 0xFFFF] = packet
        self._history.pop(self._sequence - HISTORY_PACKETS & 0xFFFF, None)
        self._sequence += 1


def vp8_payloads(frame: bytes, picture: int) -> Iterator[bytes]:
    """RFC 7741 §4.2 with a 15-bit PictureID, in equal parts as browsers cut them."""
    parts = -(-len(frame) // PAYLOAD_BYTES)
    size = -(-len(frame) // parts)
    number = (0x8000 | picture & 0x7FFF).to_bytes(2, "big")
    for start in range(0, len(frame), size):
        yield (b"\x80\x80" if start else b"\x90\x80") + number + frame[start : start + size]
