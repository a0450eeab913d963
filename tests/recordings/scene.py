"""A scene for tests: one person's stream, generated media, and everything between frame and file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from uuid import UUID

import av
import numpy

from recordings.capture.recorder import StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import KeyPath
from recordings.encryption.memory import MemoryKeyStore
from recordings.finalise import finalise
from recordings.model import (
    STREAM_TRACKS,
    AccountId,
    Frame,
    Hole,
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
from recordings.storage.memory import MemoryStore

START = 1_800_000_000.0  # server UTC
NTP = 2_208_988_800.0  # seconds from 1900 to 1970 (RFC 5905 §6)
CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
BOTH = frozenset({CAMERA, VOICE})


def recording_ref(kind: StreamKind = StreamKind.CAMERA) -> RecordingRef:
    return RecordingRef(
        account=AccountId(UUID(int=1)),
        session=SessionId(UUID(int=2)),
        person=PersonId(UUID(int=3)),
        recording=RecordingId(UUID(int=4)),
        kind=kind,
    )


@cache
def pictures(count: int = 90, every: int = 25) -> tuple[tuple[bytes, bool], ...]:
    """VP8 frames, 64x48 at 30 per second, a key frame each `every`, which is no
    multiple of half a second."""
    return tuple(_encode("libvpx", count, every))


@cache
def sounds(count: int = 150, hertz: float = 440.0) -> tuple[bytes, ...]:
    """Opus packets of 20 ms: a tone."""
    output = av.CodecContext.create("libopus", "w")
    output.sample_rate, output.format, output.layout = 48_000, "s16", "mono"
    output.options = {"application": "audio"}
    packets = []
    for number in range(count):
        at = (numpy.arange(960) + 960 * number) / 48_000
        wave = (numpy.sin(2 * numpy.pi * hertz * at) * 12_000).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * number, Fraction(1, 48_000)
        packets += [bytes(packet) for packet in output.encode(frame)]
    return tuple((packets + [bytes(packet) for packet in output.encode(None)])[:count])


def _encode(codec: str, count: int, every: int) -> Iterator[tuple[bytes, bool]]:
    output = av.CodecContext.create(codec, "w")
    output.width, output.height, output.pix_fmt = 64, 48, "yuv420p"
    output.time_base, output.framerate = Fraction(1, 30), Fraction(30)
    output.gop_size = every
    output.options = {"deadline": "realtime", "lag-in-frames": "0", "cpu-used": "8", "keyint_min": str(every)}
    for number in range(count):
        image = numpy.full((48, 64, 3), number * 2 % 256, numpy.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        for packet in [*output.encode(frame), *(output.encode(None) if number == count - 1 else [])]:
            yield bytes(packet), packet.is_keyframe


@dataclass
class Scene:
    """The clock is `self.now`; nothing here waits for real time."""

    root: Path
    quota_bytes: int = 1 << 30
    on_disk: Path | None = None
    ref: RecordingRef = field(default_factory=recording_ref)
    now: float = START
    skew_s: float = 0.0  # of the sender's clock
    latency_s: dict[TrackKind, float] = field(default_factory=lambda: {CAMERA: 0.080, VOICE: 0.030})
    ticks_from: dict[TrackKind, int] = field(default_factory=lambda: {CAMERA: 4_000_000_000, VOICE: 77})

    def __post_init__(self) -> None:
        if self.on_disk:
            self.store, self.keys = LocalStore(self.on_disk / "store"), DirectoryKeyStore(self.on_disk / "keys")
        else:
            self.store, self.keys = MemoryStore(), MemoryKeyStore()
        self.keys.create(KeyPath(self.ref.account))
        self.keys.create(KeyPath(self.ref.account, self.ref.person))
        self.tracks: dict[TrackKind, TrackRef] = {}
        self.data_keys: dict[TrackKind, bytes] = {}
        for number, kind in enumerate(STREAM_TRACKS[self.ref.kind]):
            self.add_track(kind, 10 + number)
        self.spool = self.new_spool()
        self.stored: list[str] = []
        self.uploader = self.new_uploader()

    def add_track(self, kind: TrackKind, number: int) -> TrackRef:
        track = TrackRef(of=self.ref, track=TrackId(UUID(int=number)), kind=kind)
        self.data_keys[kind] = self.keys.create(track_key_path(track))
        self.tracks[kind] = track
        return track

    def new_spool(self) -> Spool:
        spool = Spool(self.root, self.quota_bytes, lambda: self.now)
        spool.recover()
        return spool

    def new_uploader(self) -> Uploader:
        return Uploader(
            self.spool, self.store, lambda piece: self.stored.append(piece.key), lanes=2, now=lambda: self.now
        )

    def recorder(self, take: int = 1, permit: frozenset[TrackKind] = BOTH) -> StreamRecorder:
        recorder = StreamRecorder(self.ref, self.tracks, take, self.spool, self.data_keys, lambda: self.now)
        if permit:
            recorder.permit(permit, "consent")
        return recorder

    def capture(
        self,
        recorder: StreamRecorder,
        seconds: float,
        *,
        kinds: frozenset[TrackKind] = BOTH,
        reports: bool = True,
        keep: Callable[[Frame], bool] = lambda frame: True,
        each: Callable[[float], None] = lambda at: None,
    ) -> list[Frame]:
        """Send `seconds` of generated media in order of arrival from self.now on; returns what was sent.

        Every capture starts the sources anew, with a key frame. each(at): called before each frame."""
        start = self.now
        frames = sorted(
            (frame for kind in kinds for frame in self.frames(kind, start, seconds) if keep(frame)),
            key=lambda frame: frame.arrived_at,
        )
        next_tick = next_report = start
        for frame in frames:
            self.now = frame.arrived_at
            each(self.now - start)
            if reports and self.now >= next_report:
                next_report += 1.0
                for kind in kinds:
                    recorder.sender_report(self.report(kind, self.now))
            if self.now >= next_tick:
                recorder.tick(self.now)
                next_tick = self.now + 0.1
            recorder.frame(frame)
        self.now = start + seconds
        recorder.tick(self.now)
        return frames

    def frames(self, kind: TrackKind, start: float, seconds: float) -> Iterator[Frame]:
        """What the sender captures from `start` on: its ticks follow its capture times exactly."""
        step = Fraction(1, 30) if kind.is_video else Fraction(1, 50)
        video, sound = pictures(), sounds()
        for number in range(int(seconds / step)):
            at = start + float(number * step)
            data, key = video[number % len(video)] if kind.is_video else (sound[number % len(sound)], True)
            yield Frame(
                kind=kind,
                ticks=self.ticks(kind, at),
                data=data,
                key=key,
                arrived_at=at + self.latency_s[kind],
                width=64 if key and kind.is_video else 0,
                height=48 if key and kind.is_video else 0,
            )

    def ticks(self, kind: TrackKind, at: float) -> int:
        return self.ticks_from[kind] + round((at - START) * kind.clock_rate)

    def report(self, kind: TrackKind, at: float) -> SenderReport:
        return SenderReport(kind=kind, ntp=at + NTP + self.skew_s, ticks=self.ticks(kind, at), arrived_at=at + 0.02)

    async def store_all(self) -> None:
        while self.spool.waiting().ready:
            before = self.spool.waiting()
            await self.uploader.round()
            assert self.spool.waiting() != before, "the store takes nothing"

    def finalise(self, generation: int = 1, **more: float) -> IndexSummary:
        return finalise(self.store, self.keys, self.ref, list(self.tracks.values()), generation, **more)

    def view(self, summary: IndexSummary, tracks: list[TrackRef] | None = None) -> View:
        return open_view(self.store, self.keys, self.ref, summary.object_key, summary.generation, tracks)


def lose(
    scene: Scene,
    recorder: StreamRecorder,
    seconds: float,
    lost: Mapping[TrackKind, tuple[float, float]],
    kinds: frozenset[TrackKind] = BOTH,
) -> list[Frame]:
    """Capture `seconds`, of which each kind in `lost` never arrives from the first to the second number of seconds, and
    the receiver tells so. Returns what arrived."""
    start = scene.now

    def arrives(frame: Frame) -> bool:
        begin, end = lost.get(frame.kind, (0.0, 0.0))
        return not scene.ticks(frame.kind, start + begin) <= frame.ticks < scene.ticks(frame.kind, start + end)

    kept = scene.capture(recorder, seconds, kinds=kinds, keep=arrives)
    for kind, (begin, end) in lost.items():
        ticks = [frame.ticks for frame in kept if frame.kind is kind]
        before = max(at for at in ticks if at < scene.ticks(kind, start + begin))
        after = min(at for at in ticks if at >= scene.ticks(kind, start + end))
        recorder.hole(Hole(kind=kind, from_ticks=before, to_ticks=after))
    return kept


@dataclass(frozen=True)
class Played:
    """A packet as a player gets it."""

    at_ms: int
    data: bytes
    key: bool


def play(data: bytes) -> dict[str, list[Played]]:
    """Demux with FFmpeg: {"video": packets, "audio": packets}."""
    found: dict[str, list[Played]] = {}
    with av.open(io.BytesIO(data)) as file:
        for packet in file.demux():
            if packet.pts is not None and packet.size:
                at_ms = round(packet.pts * packet.time_base * 1000)
                found.setdefault(packet.stream.type, []).append(Played(at_ms, bytes(packet), packet.is_keyframe))
    return found
