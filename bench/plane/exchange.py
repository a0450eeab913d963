"""What the bench's own processes say to each other: one JSON message a line, on standard input and output.

senders, viewers   <- Job; then for each peer: -> Offer, <- Answer; -> Playing once all are connected;
                   -> list of Sent when everything has been sent; all end when the input closes
servers            <- Offer, -> Answer, as often as wanted; the input closes: -> Ended, and they end
"""

from __future__ import annotations

import asyncio
import sys
from typing import TypeVar

import msgspec

_Message = TypeVar("_Message")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """peers: so many; clips: a file with one round of picture and sound (msgpack of two Clips), for senders;
    stagger_s: over which they begin one after the other, so that key frames do not all come at once."""

    peers: int
    seconds: float
    address: str = "127.0.0.1"
    clips: str = ""
    stagger_s: float = 0.0


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """viewed: of a server, the number of the stream to see; None to publish one."""

    sdp: str
    viewed: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    sdp: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """rewinds: how often pictures went back to their last key frame, because somebody asked for one."""

    frames: int
    audio_packets: int
    rewinds: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """processor_s: of the server's process from its start to its very end; kept: what is sealed and stored, of a server
    that does so."""

    processor_s: float
    kept: Sent = Sent(frames=0, audio_packets=0)


def say(message: object) -> None:
    print(msgspec.json.encode(message).decode(), flush=True)


async def standard_input() -> asyncio.StreamReader:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


async def read(lines: asyncio.StreamReader, kind: type[_Message]) -> _Message:
    """Raises EOFError when nothing more is said."""
    line = await lines.readline()
    if not line:
        raise EOFError
    return msgspec.json.decode(line, type=kind)
