"""Publishers in a process of their own, so that their cost is not counted: `python -m bench.publishers`.

    standard input    one line: a Job as JSON; when the input closes, everything ends that was sent
    standard output   "playing" once all are connected, then one line: a list of Sent as JSON when all is sent

Pictures and sound were encoded before; they go out over real ICE, DTLS and SRTP. After the last packet the connections
stay until standard input closes.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import msgspec

from app.demo.clips import Clip
from app.demo.publisher import Publication, publish


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to publish, once per token. clips: a file with the picture and the sound (msgpack of two Clips)."""

    whip_url: str
    tokens: list[str]
    clips: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    frames: int
    audio_packets: int


async def run(job: Job, lines: asyncio.StreamReader) -> None:
    """lines: standard input; its end is the end of everything, unless the clips have not been sent yet."""
    clips = msgspec.msgpack.decode(Path(job.clips).read_bytes(), type=tuple[Clip, Clip])
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        publications: list[Publication] = []
        try:
            for token in job.tokens:
                publications.append(await publish(client, job.whip_url, token, *clips))
            print("playing", flush=True)
            for one in publications:
                await one.done.wait()
            sent = [Sent(frames=one.frames_sent, audio_packets=one.audio_packets_sent) for one in publications]
            print(msgspec.json.encode(sent).decode(), flush=True)
            await lines.read()
        finally:
            for one in publications:
                await one.close()


async def main() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    job = msgspec.json.decode(await lines.readline(), type=Job)
    await run(job, lines)


if __name__ == "__main__":
    asyncio.run(main())
