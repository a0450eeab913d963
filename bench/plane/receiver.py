"""The product's receive path as a server of its own: `python -m bench.plane.receiver plain|sealed FOLDER`.

plain    frames go into a WebM file per stream, in clear: capture alone, the work that other recorders do
sealed   frames go through recorder, spool and uploader into a folder store, as in the media process, but without
         its rooms, leases and database
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from uuid import uuid4

from app.room import peer
from bench.media import HEIGHT, WIDTH
from bench.plane.exchange import Answer, Ended, Offer, Sent, read, say, standard_input
from recordings.capture.chunks import ChunkBeingFilled
from recordings.capture.codecs import CODINGS
from recordings.capture.incoming_track import Sink
from recordings.capture.recorder import StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.capture.webm import cluster_head, header
from recordings.encryption.keystore import KeyPath
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import (
    STREAM_TRACKS,
    AccountId,
    Codec,
    Frame,
    Hole,
    PersonId,
    RecordingId,
    RecordingRef,
    SenderReport,
    SessionId,
    StreamKind,
    TrackId,
    TrackKind,
    TrackRef,
)
from recordings.storage.layout import track_key_path
from recordings.storage.local import LocalStore

KINDS = frozenset(STREAM_TRACKS[StreamKind.CAMERA])
TICK_S = 0.2
QUOTA_BYTES = 8 << 30


class PlainFile:
    """A sink that writes one stream in clear: a WebM of clusters, half a second of a track each."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._file.write(_head(0))
        self._filling = {kind: ChunkBeingFilled(kind) for kind in KINDS}
        self._began: dict[TrackKind, int] = {}

    def frame(self, frame: Frame) -> None:
        filling = self._filling[frame.kind]
        self._began.setdefault(frame.kind, frame.ticks)
        if filling.is_over(frame):
            self._write(frame.kind)
        filling.add(frame)

    def sender_report(self, report: SenderReport) -> None: ...

    def hole(self, hole: Hole) -> None: ...

    def close(self) -> None:
        for kind in self._filling:
            self._write(kind)
        clusters_bytes = self._file.tell() - len(_head(0))
        self._file.seek(0)
        self._file.write(_head(clusters_bytes))
        self._file.close()

    def _write(self, kind: TrackKind) -> None:
        chunk = self._filling[kind].take()
        if chunk is not None:
            at_ms = (chunk.first_ticks - self._began[kind]) * 1000 // kind.clock_rate
            self._file.write(cluster_head(at_ms, len(chunk.blocks)) + chunk.blocks)


def _head(clusters_bytes: int) -> bytes:
    entries = [CODINGS[Codec.VP8].entry(None, (WIDTH, HEIGHT)), CODINGS[Codec.OPUS].entry(None, None)]
    return header(duration_ms=0, tracks=entries, cues=(), clusters_bytes=clusters_bytes)


class Sealing:
    """Recorders that keep everything, sealed, in a folder store."""

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder / "spool", QUOTA_BYTES)
        self._uploader = Uploader(self._spool, LocalStore(folder / "objects"))
        self._keys = MemoryKeyStore()
        self._recorders: list[StreamRecorder] = []

    def recorder(self) -> StreamRecorder:
        ref = RecordingRef(
            account=AccountId(uuid4()),
            session=SessionId(uuid4()),
            person=PersonId(uuid4()),
            recording=RecordingId(uuid4()),
            kind=StreamKind.CAMERA,
        )
        self._keys.create(KeyPath(ref.account))
        self._keys.create(KeyPath(ref.account, ref.person))
        tracks = {kind: TrackRef(of=ref, track=TrackId(uuid4()), kind=kind) for kind in KINDS}
        keys = {kind: self._keys.create(track_key_path(track)) for kind, track in tracks.items()}
        recorder = StreamRecorder(ref, tracks, 1, self._spool, keys, time.time)
        recorder.permit(KINDS, "bench")
        self._recorders.append(recorder)
        return recorder

    async def run(self) -> None:
        """What the media process does beside receiving."""
        await asyncio.gather(self._tick(), self._spool.keep_settled(), self._uploader.run())

    async def stored(self) -> Sent:
        """Everything kept, once all of it has left the spool."""
        while self._spool.waiting().ready:
            await self._uploader.round()
        tracks = [item for recorder in self._recorders for item in recorder.health().tracks.items()]
        frames, packets = (sum(one.frames for kind, one in tracks if kind.is_video is video) for video in (True, False))
        return Sent(frames=frames, audio_packets=packets)

    async def _tick(self) -> None:
        while True:
            now = time.time()
            for recorder in self._recorders:
                recorder.tick(now)
                recorder.wants_key_frame()
                recorder.health()
            await asyncio.sleep(TICK_S)


async def main(how: str, folder: Path) -> None:
    lines = await standard_input()
    sealing = Sealing(folder) if how == "sealed" else None
    storing = asyncio.create_task(sealing.run()) if sealing else None
    sinks: list[StreamRecorder | PlainFile] = []
    publications: list[peer.Publication] = []
    viewings: list[peer.Viewing] = []
    while True:
        try:
            offer = await read(lines, Offer)
        except EOFError:
            break
        if offer.viewed is None:
            sink = sealing.recorder() if sealing else PlainFile(folder / f"{len(sinks)}.webm")
            sinks.append(sink)
            publications.append(await _publish(offer.sdp, sink))
            say(Answer(sdp=publications[-1].answer_sdp))
        else:
            source = publications[offer.viewed]
            viewings.append(await peer.view(offer.sdp, source=source, offer_addresses=["127.0.0.1"]))
            say(Answer(sdp=viewings[-1].answer_sdp))
    for one in [*viewings, *publications]:
        await one.close()
    for sink in sinks:
        sink.close()
    if sealing and storing:
        storing.cancel()
        say(Ended(kept=await sealing.stored(), processor_s=time.process_time()))
    else:
        say(Ended(processor_s=time.process_time()))


async def _publish(sdp: str, sink: Sink) -> peer.Publication:
    return await peer.publish(sdp, kinds=KINDS, stream=StreamKind.CAMERA, offer_addresses=["127.0.0.1"], sink=sink)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
