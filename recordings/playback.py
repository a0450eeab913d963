"""Playback: an index as one seekable WebM, served by byte range; no second copy of the media exists.

With H.264 in it, which WebM does not name, the same file says that it is Matroska (docs/decisions/0014-h264.md).
The size of every cluster is known from the index, so any byte range says which chunks it needs;
only those are fetched, opened and wrapped. A chunk that does not open ends the reading: what was
changed in the store is never served. The same index gives the same bytes.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from recordings.capture.chunks import read_chunk
from recordings.capture.codecs import CODINGS, Coding, coding_of
from recordings.capture.webm import (
    CLUSTER_HEAD_BYTES,
    Cue,
    Entry,
    cluster_head,
    content_start,
    cues_bytes,
    header,
)
from recordings.encryption.keystore import KeyStore
from recordings.encryption.sealed import SealBroken, chunk_context, unseal
from recordings.index import Index, IndexChunk, IndexTrack, read_index
from recordings.model import RecordingRef, TrackRef
from recordings.storage.layout import segment_key, track_key_path
from recordings.storage.store import ObjectStore

_OPENED_BYTES = 16 << 20
_CUE_EVERY_MS = 500
_UNKNOWN_SIZE = (640, 480)


class NothingToPlay(Exception):
    """Nothing was recorded on the tracks asked for."""

    retry = False


class _Cluster(msgspec.Struct, frozen=True):
    """One chunk as it stands in the file. A Struct, because hours have tens of thousands of them."""

    chunk: IndexChunk
    track: TrackRef
    is_video: bool
    number: int
    size: int


class OpenedChunks:
    """Fetches and opens chunks, several of one segment at once, and keeps some megabytes of them.

    May be shared by threads. keys: of every track it will be asked for.
    """

    def __init__(self, store: ObjectStore, keys: Mapping[TrackRef, bytes]) -> None:
        self._store, self._keys = store, keys
        self._opened: OrderedDict[tuple[TrackRef, int, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def blocks(self, track: TrackRef, chunk: IndexChunk, soon: Sequence[IndexChunk] = ()) -> bytes:
        """The SimpleBlocks of `chunk`. soon: later chunks of its track that will be asked for; those
        in the same segment come with the same request. Raises SealBroken, StoreError."""
        kept = self._kept(track, chunk)
        if kept is not None:
            return kept
        same = [later for later in soon if (later.take, later.segment) == (chunk.take, chunk.segment)]
        wanted = [chunk, *(later for later in same if later.offset > chunk.offset)]
        start, end = chunk.offset, max(later.offset + later.sealed_bytes for later in wanted)
        data = self._store.get(segment_key(track, chunk.take, chunk.segment), start, end - start)
        opened = self._open(track, chunk, data[: chunk.sealed_bytes])
        for later in wanted[1:]:
            at = later.offset - start
            self._open(track, later, data[at : at + later.sealed_bytes])
        return opened

    def _open(self, track: TrackRef, chunk: IndexChunk, message: bytes) -> bytes:
        context = chunk_context(track, chunk.take, chunk.index)
        blocks = read_chunk(unseal(self._keys[track], message, context)).blocks
        if len(blocks) != chunk.block_bytes:
            raise SealBroken
        with self._lock:
            name = (track, chunk.take, chunk.index)
            if name not in self._opened:
                self._opened[name] = blocks
                self._bytes += len(blocks)
            while self._bytes > _OPENED_BYTES and len(self._opened) > 1:
                self._bytes -= len(self._opened.popitem(last=False)[1])
        return blocks

    def _kept(self, track: TrackRef, chunk: IndexChunk) -> bytes | None:
        with self._lock:
            name = (track, chunk.take, chunk.index)
            if name in self._opened:
                self._opened.move_to_end(name)
            return self._opened.get(name)


class View:
    """One recording as a file. Reading blocks; several threads may read at once.

    size: of the whole file in bytes; etag: quoted, for HTTP (RFC 9110 §8.8.3); suffix: of a file
    name; started_at: UTC seconds of its zero, to play recordings of one session in step.
    """

    def __init__(
        self, index: Index, tracks: Sequence[IndexTrack], refs: Sequence[TrackRef], name: str, chunks: OpenedChunks
    ) -> None:
        self._chunks = chunks
        self._clusters = _clusters(tracks, refs)
        codings = _codings(tracks)
        is_webm = all(coding.is_webm for coding in codings)
        self._header = _header(index, _entries(tracks, codings), self._clusters, is_webm)
        self._starts: list[int] = []
        at = len(self._header)
        for cluster in self._clusters:
            self._starts.append(at)
            at += cluster.size
        self.size = at
        self.duration_ms = index.duration_ms
        self.started_at = index.started_at
        kind = "video" if any(track.kind.is_video for track in tracks) else "audio"
        self.content_type = f"{kind}/{'webm' if is_webm else 'x-matroska'}"
        self.suffix = "webm" if is_webm else "mkv"
        # an index object never changes, so its name and the tracks chosen stand for all bytes
        chosen = " ".join([name, *(str(track.track) for track in refs)])
        self.etag = f'"{hashlib.sha256(chosen.encode()).hexdigest()[:32]}"'

    def read(self, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes [start, start + length), to the end when None, in pieces.

        Raises SealBroken or StoreError at the piece that cannot be served."""
        end = self.size if length is None else min(self.size, start + length)
        if start < len(self._header):
            yield self._header[start:end]
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_right(self._starts, end - 1) if end > start else first
        for number in range(first, last):
            at = self._starts[number]
            piece = self._cluster(number, last)[max(0, start - at) : end - at]
            if piece:
                yield piece

    def _cluster(self, number: int, last: int) -> bytes:
        cluster = self._clusters[number]
        ahead = self._clusters[number + 1 : min(last, number + 128)]
        soon = [other.chunk for other in ahead if other.track == cluster.track]
        head = cluster_head(cluster.chunk.start_ms, cluster.chunk.block_bytes)
        return head + self._chunks.blocks(cluster.track, cluster.chunk, soon)


def open_view(
    store: ObjectStore,
    keys: KeyStore,
    ref: RecordingRef,
    index_object_key: str,
    generation: int,
    tracks: Sequence[TrackRef] | None = None,
) -> View:
    """The recording as one file, of all tracks of the index or of those given. Reads the index only.

    Raises NothingToPlay, KeyDestroyed when a track was erased, SealBroken, StoreError.
    """
    index = read_index(store, keys, ref, index_object_key, generation)
    asked = None if tracks is None else {track.track for track in tracks}
    chosen = [track for track in index.tracks if track.chunks and (asked is None or track.track in asked)]
    if not chosen:
        raise NothingToPlay(NothingToPlay.__doc__)
    refs = [track.ref(ref) for track in chosen]
    chunks = OpenedChunks(store, {track: keys.unwrap(track_key_path(track)) for track in refs})
    return View(index, chosen, refs, index_object_key, chunks)


def _clusters(tracks: Sequence[IndexTrack], refs: Sequence[TrackRef]) -> list[_Cluster]:
    """In time; pictures before sound of the same moment, so that a seek to a key frame finds its sound after it."""
    clusters = []
    for track, ref in sorted(zip(tracks, refs, strict=True), key=lambda both: not both[0].kind.is_video):
        numbers = {take: coding.number for take, coding in _codings_of(track).items()}
        clusters += [
            _Cluster(chunk, ref, track.kind.is_video, numbers[chunk.take], CLUSTER_HEAD_BYTES + chunk.block_bytes)
            for chunk in track.chunks
        ]
    clusters.sort(key=lambda cluster: cluster.chunk.start_ms)  # keeps the order of equals
    return clusters


def _codings_of(track: IndexTrack) -> dict[int, Coding]:
    """By take."""
    return {take: coding_of(track.kind, track.setup_of(take)) for take in {chunk.take for chunk in track.chunks}}


def _codings(tracks: Sequence[IndexTrack]) -> list[Coding]:
    """Each once: pictures first, and of those what was recorded first, because a browser shows no other."""
    found = {
        coding.number: coding
        for track in sorted(tracks, key=lambda track: not track.kind.is_video)
        for _, coding in sorted(_codings_of(track).items())
    }
    return list(found.values())


def _entries(tracks: Sequence[IndexTrack], codings: Sequence[Coding]) -> list[Entry]:
    videos = [track for track in tracks if track.kind.is_video]
    width, height = max((t.width for t in videos), default=0), max((t.height for t in videos), default=0)
    picture = (width, height) if width and height else _UNKNOWN_SIZE
    pictures = {coding.number for track in videos for coding in _codings_of(track).values()}
    setups = {CODINGS[one.codec].number: one.setup for track in videos for one in reversed(track.setups)}
    return [
        coding.entry(setups.get(coding.number), picture if coding.number in pictures else None) for coding in codings
    ]


def _header(index: Index, entries: Sequence[Entry], clusters: Sequence[_Cluster], is_webm: bool) -> bytes:
    clusters_bytes = sum(cluster.size for cluster in clusters)

    def written(cues: Sequence[Cue]) -> bytes:
        return header(
            duration_ms=index.duration_ms, tracks=entries, cues=cues, clusters_bytes=clusters_bytes, is_webm=is_webm
        )

    places = _places(clusters, of_video=any(entry.picture is not None for entry in entries))
    first = len(written(())) - content_start(is_webm) + cues_bytes(len(places))
    return written([Cue(at_ms=at_ms, track=number, position=first + position) for at_ms, number, position in places])


def _places(clusters: Sequence[_Cluster], of_video: bool) -> list[tuple[int, int, int]]:
    """Where a player may start, as (ms, track number, bytes from the first cluster): at key frames, or at any
    sound when there is no picture."""
    places: list[tuple[int, int, int]] = []
    position, next_ms = 0, 0
    for cluster in clusters:
        chunk = cluster.chunk
        if cluster.is_video == of_video and chunk.starts_with_key and chunk.start_ms >= next_ms:
            places.append((chunk.start_ms, cluster.number, position))
            next_ms = chunk.start_ms + _CUE_EVERY_MS
        position += cluster.size
    return places
