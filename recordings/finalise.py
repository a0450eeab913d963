"""Finalise: the journals of a recording -> one sealed index; no media is read and none is copied.

Every take of every track is put on one timeline (placing.py). The cost follows the journals
(some hundred bytes a second), not the media, but for takes whose journal was lost with a machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from recordings.encryption.keystore import KeyStore
from recordings.index import write_index
from recordings.model import IndexSummary, RecordingRef, TrackRef
from recordings.placing import place
from recordings.storage.layout import (
    index_key,
    journals_prefix,
    segments_prefix,
    take_and_segment,
    take_of_journal,
    track_key_path,
)
from recordings.storage.store import ObjectStore
from recordings.summary import summary
from recordings.takes import TrackTake, read_take, rebuild_take


def finalise(
    store: ObjectStore,
    keys: KeyStore,
    recording: RecordingRef,
    tracks: Sequence[TrackRef],
    generation: int,
    *,
    started_at: float | None = None,
) -> IndexSummary:
    """Write index `generation` over what is stored of these tracks and say what it holds.

    Safe to run twice. started_at: zero of an earlier generation's timeline (UTC seconds), so that
    transcripts and notes keep fitting. Meant for recordings of which no take is being captured: a
    take without a journal counts as interrupted and is read from its segments.
    Raises KeyDestroyed, SealBroken, StoreError.
    """
    takes = [take for track in tracks for take in _takes_of(store, keys.unwrap(track_key_path(track)), track)]
    index = place(takes, tracks, started_at)
    return summary(write_index(store, keys, recording, generation, index), generation, index_key(recording, generation))


def _takes_of(store: ObjectStore, key: bytes, track: TrackRef) -> Iterator[TrackTake]:
    """All takes of a track, with what the store lacks set apart."""
    sizes: dict[int, dict[int, int]] = defaultdict(dict)
    for thing in store.list(segments_prefix(track)):
        number, segment = take_and_segment(thing.key)
        sizes[number][segment] = thing.size
    journals = {take_of_journal(thing.key) for thing in store.list(journals_prefix(track))}
    for number in sorted(journals | sizes.keys()):
        if number not in journals:
            yield rebuild_take(store, key, track, number, sizes[number])
            continue
        take = read_take(store, key, track, number)
        told, take.chunks = take.chunks, []
        for chunk in told:
            there = chunk.offset + chunk.sealed_bytes <= sizes[number].get(chunk.segment, 0)
            (take.chunks if there else take.lost).append(chunk)
        yield take
