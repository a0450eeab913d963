"""The index: what makes the segments of a recording one seekable file.

One sealed object per generation (layout.index_key): a MessagePack array saying when the timeline
starts on the server's clock, and for every track where each chunk stands in time and in the store.
It holds no media. Another generation is written when a track was erased or a take came later.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from recordings.encryption.keystore import KeyExists, KeyStore
from recordings.encryption.sealed import index_context, seal, unseal
from recordings.erase import stays_erased
from recordings.model import Codec, RecordingRef, Setup, TrackId, TrackKind, TrackRef
from recordings.storage.layout import index_key, index_key_path
from recordings.storage.store import ObjectExists, ObjectStore


class IndexChunk(msgspec.Struct, frozen=True, array_like=True):
    """One chunk: when (ms from the timeline's zero) and where. end_ms: when its last frame is over."""

    start_ms: int
    end_ms: int
    take: int
    index: int
    segment: int
    offset: int
    sealed_bytes: int
    block_bytes: int
    frames: int
    starts_with_key: bool


class IndexGap(msgspec.Struct, frozen=True, array_like=True):
    """See `model.Gap`."""

    from_ms: int
    to_ms: int
    why: str


class IndexHole(msgspec.Struct, frozen=True, array_like=True):
    """Frames of one track that are lost for good, however few (holes.py). missing_ms: how much of it; less than its
    length only where neighbours were put together."""

    from_ms: int
    to_ms: int
    missing_ms: int


class IndexSetup(msgspec.Struct, frozen=True, array_like=True):
    """See `model.Setup`: of one take."""

    take: int
    codec: Codec
    private: bytes

    @property
    def setup(self) -> Setup:
        return Setup(codec=self.codec, private=self.private)


class IndexTrack(msgspec.Struct, frozen=True, array_like=True):
    """One track. width, height: the largest picture, 0 for sound; gaps: where nothing of its kind is there, long enough
    to be noticed, whatever the others have; setups: of the takes whose codec has one; holes: everything that was lost,
    none in an index from before they were kept."""

    track: UUID
    kind: TrackKind
    width: int
    height: int
    chunks: tuple[IndexChunk, ...]
    gaps: tuple[IndexGap, ...]
    setups: tuple[IndexSetup, ...] = ()
    holes: tuple[IndexHole, ...] = ()

    def ref(self, recording: RecordingRef) -> TrackRef:
        return TrackRef(of=recording, track=TrackId(self.track), kind=self.kind)

    def setup_of(self, take: int) -> Setup | None:
        return next((one.setup for one in self.setups if one.take == take), None)


class Index(msgspec.Struct, frozen=True, array_like=True):
    """One generation of the index of one recording; gaps: where no track has anything."""

    version: int
    started_at: float
    duration_ms: int
    interrupted: bool
    tracks: tuple[IndexTrack, ...]
    gaps: tuple[IndexGap, ...]


_decoder = msgspec.msgpack.Decoder(Index)


def write_index(store: ObjectStore, keys: KeyStore, ref: RecordingRef, generation: int, index: Index) -> Index:
    """Seal and store a generation and return what the store now holds of it: if an earlier run wrote
    this generation already, that one stands. Raises KeyDestroyed once erased, StoreError."""
    path = index_key_path(ref)
    try:
        key = keys.create(path)
    except KeyExists:
        key = keys.unwrap(path)
    message = seal(key, msgspec.msgpack.encode(index), index_context(ref, generation))
    try:
        store.put(index_key(ref, generation), message)
    except ObjectExists:
        return read_index(store, keys, ref, index_key(ref, generation), generation)
    stays_erased(store, keys, path, index_key(ref, generation))
    return index


def read_index(store: ObjectStore, keys: KeyStore, ref: RecordingRef, object_key: str, generation: int) -> Index:
    """Raises SealBroken when the object is not this generation of this recording, StoreError, KeyStoreError."""
    message = store.get(object_key)
    return _decoder.decode(unseal(keys.unwrap(index_key_path(ref)), message, index_context(ref, generation)))
