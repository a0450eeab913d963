"""A recording made at storage level: frames with a clock of their own go through the product's recorder, spool,
uploader and folder store, so that hours take seconds to make and everything stored is real."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from heapq import merge
from pathlib import Path
from uuid import uuid4

from app.demo.clips import Clip
from bench.media import repeated
from recordings.capture.recorder import StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import KeyPath
from recordings.finalise import finalise
from recordings.model import (
    STREAM_TRACKS,
    AccountId,
    Frame,
    IndexSummary,
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
from recordings.playback import View, open_view
from recordings.storage.layout import track_key_path
from recordings.storage.local import LocalStore

SPOOL_BYTES = 1 << 30
STARTS_AT = 1_800_000_000.0  # server UTC
_NTP_EPOCH_S = 2_208_988_800.0  # from 1900 to 1970 (RFC 5905 section 6)
_TICK_S = 0.1
_REPORT_S = 1.0
_STORE_S = 30.0


class StoredRecording:
    """One person's camera and voice. After `capture` comes `finish`, then it can be played."""

    def __init__(self, folder: Path) -> None:
        self.store, self.keys = LocalStore(folder / "objects"), DirectoryKeyStore(folder / "keys")
        self.ref = RecordingRef(
            account=AccountId(uuid4()),
            session=SessionId(uuid4()),
            person=PersonId(uuid4()),
            recording=RecordingId(uuid4()),
            kind=StreamKind.CAMERA,
        )
        self.keys.create(KeyPath(self.ref.account))
        self.keys.create(KeyPath(self.ref.account, self.ref.person))
        self.tracks: dict[TrackKind, TrackRef] = {
            kind: TrackRef(of=self.ref, track=TrackId(uuid4()), kind=kind) for kind in STREAM_TRACKS[self.ref.kind]
        }
        self._now = STARTS_AT
        self._spool = Spool(folder / "spool", SPOOL_BYTES, lambda: self._now)
        self._uploader = Uploader(self._spool, self.store, now=lambda: self._now)
        unwrapped = {kind: self.keys.create(track_key_path(track)) for kind, track in self.tracks.items()}
        self._recorder = StreamRecorder(self.ref, self.tracks, 1, self._spool, unwrapped, lambda: self._now)

    async def capture(self, clips: Mapping[TrackKind, Clip], seconds: float) -> int:
        """Record `clips`, each repeated until `seconds` are full, and return how many frames were given.
        Stores as it goes on, like the media process."""
        self._recorder.permit(frozenset(clips), "consent")
        sources = [_frames(kind, clip, seconds) for kind, clip in clips.items()]
        given, next_tick, next_report, next_store = 0, STARTS_AT, STARTS_AT, STARTS_AT + _STORE_S
        for frame in merge(*sources, key=lambda frame: frame.arrived_at):
            self._now = frame.arrived_at
            if self._now >= next_report:
                next_report += _REPORT_S
                for kind in clips:
                    self._recorder.sender_report(_report(kind, self._now))
            if self._now >= next_tick:
                next_tick += _TICK_S
                self._recorder.tick(self._now)
            if self._now >= next_store:
                next_store += _STORE_S
                await self._uploader.round()
            self._recorder.frame(frame)
            given += 1
        return given

    async def finish(self) -> IndexSummary:
        """The session has ended: seal and store what is left, and make the index."""
        self._recorder.close()
        while self._spool.waiting().ready:
            await self._uploader.round()
        return await asyncio.to_thread(finalise, self.store, self.keys, self.ref, list(self.tracks.values()), 1)

    def view(self, summary: IndexSummary) -> View:
        return open_view(self.store, self.keys, self.ref, summary.object_key, summary.generation)


def _frames(kind: TrackKind, clip: Clip, seconds: float) -> Iterator[Frame]:
    """As if every packet arrived the moment it was made."""
    for packet in repeated(clip, seconds):
        at = STARTS_AT + packet.ticks / clip.clock_hz
        yield Frame(kind=kind, ticks=packet.ticks, data=packet.data, key=packet.is_key, arrived_at=at)


def _report(kind: TrackKind, at: float) -> SenderReport:
    return SenderReport(
        kind=kind, ntp=at + _NTP_EPOCH_S, ticks=round((at - STARTS_AT) * kind.clock_rate), arrived_at=at
    )
