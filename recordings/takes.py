"""What is known of one track in one take: read from its journal, or from its segments if that is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recordings.alignment import ClockPoint
from recordings.capture.chunks import Chunk, read_chunk
from recordings.capture.codecs import coding_of_number
from recordings.capture.journal import (
    Arrival,
    ChunkSealed,
    Coded,
    End,
    Lost,
    Permission,
    Record,
    Report,
    Size,
    read_journal,
)
from recordings.capture.webm import simple_blocks
from recordings.encryption.sealed import SealBroken, chunk_context, frame_messages, unseal
from recordings.model import ChunkEntry, Hole, SenderReport, Setup, TrackRef
from recordings.storage.layout import journal_key, segment_key
from recordings.storage.store import ObjectStore

_CHUNKS_PER_LOST_SEGMENT = 512


@dataclass(kw_only=True)
class TrackTake:
    """Facts of one track in one take, in the order they happened. ended: its end was written;
    lost: chunks the journal tells of and the store does not have; setup: of its codec, None if it has none."""

    track: TrackRef
    take: int
    chunks: list[ChunkEntry] = field(default_factory=list)
    lost: list[ChunkEntry] = field(default_factory=list)
    reports: list[SenderReport] = field(default_factory=list)
    arrivals: list[ClockPoint] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    permissions: list[Permission] = field(default_factory=list)
    width: int = 0
    height: int = 0
    setup: Setup | None = None
    ended: bool = False


def read_take(store: ObjectStore, key: bytes, track: TrackRef, take: int) -> TrackTake:
    """By one read of the journal. Raises SealBroken when it was changed, StoreError."""
    facts = TrackTake(track=track, take=take)
    for record in read_journal(store.get(journal_key(track, take)), track, take, key):
        _note(facts, record)
    return facts


def rebuild_take(store: ObjectStore, key: bytes, track: TrackRef, take: int, segments: Mapping[int, int]) -> TrackTake:
    """By reading every segment that is there: the machine died with the journal in its spool.

    segments: numbers (and sizes) of the segments in the store. Costs as much as downloading the take.
    Raises SealBroken when a chunk was changed, StoreError.
    """
    facts = TrackTake(track=track, take=take)
    index, expected = 0, 0
    for number in sorted(segments):
        room = 1 + (number - expected) * _CHUNKS_PER_LOST_SEGMENT
        for offset, message in frame_messages(store.get(segment_key(track, take, number))):
            index, chunk = _open_next(key, track, take, index, room, message)
            facts.chunks.append(_entry(chunk, take, index, number, offset, len(message)))
            facts.arrivals.append(ClockPoint(chunk.first_ticks, chunk.arrived_at))
            _note_coding(facts, chunk)
            index, room = index + 1, 1
        expected = number + 1
    return facts


def _open_next(key: bytes, track: TrackRef, take: int, first: int, room: int, message: bytes) -> tuple[int, Chunk]:
    """The number of a chunk is part of its seal; after lost segments it is found by trying."""
    for index in range(first, first + room):
        try:
            return index, read_chunk(unseal(key, message, chunk_context(track, take, index)))
        except SealBroken:
            continue
    raise SealBroken


def _entry(chunk: Chunk, take: int, index: int, segment: int, offset: int, sealed_bytes: int) -> ChunkEntry:
    return ChunkEntry(
        take=take,
        index=index,
        segment=segment,
        offset=offset,
        sealed_bytes=sealed_bytes,
        block_bytes=len(chunk.blocks),
        first_ticks=chunk.first_ticks,
        last_ticks=chunk.last_ticks,
        frames=chunk.frames,
        starts_with_key=chunk.starts_with_key,
    )


def _note_coding(facts: TrackTake, chunk: Chunk) -> None:
    """Size and setup stand in every key frame."""
    if not (facts.track.kind.is_video and chunk.starts_with_key):
        return
    block = next(simple_blocks(chunk.blocks))
    coding = coding_of_number(block.track)
    if coding is None:
        return
    width, height = coding.size(block.data)
    facts.width, facts.height = max(facts.width, width), max(facts.height, height)
    facts.setup = facts.setup or coding.setup(block.data)


def _note(facts: TrackTake, record: Record) -> None:
    kind = facts.track.kind
    match record:
        case ChunkSealed():
            facts.chunks.append(
                ChunkEntry(
                    take=facts.take,
                    index=record.index,
                    segment=record.segment,
                    offset=record.offset,
                    sealed_bytes=record.sealed_bytes,
                    block_bytes=record.block_bytes,
                    first_ticks=record.first_ticks,
                    last_ticks=record.last_ticks,
                    frames=record.frames,
                    starts_with_key=record.starts_with_key,
                )
            )
        case Report():
            facts.reports.append(
                SenderReport(kind=kind, ntp=record.ntp, ticks=record.ticks, arrived_at=record.arrived_at)
            )
        case Arrival():
            facts.arrivals.append(ClockPoint(record.ticks, record.at))
        case Lost():
            facts.holes.append(
                Hole(
                    kind=kind,
                    from_ticks=record.from_ticks,
                    to_ticks=record.to_ticks,
                    places=record.places,
                    kept_ticks=record.kept_ticks,
                )
            )
        case Permission():
            facts.permissions.append(record)
        case Size():
            facts.width = max(facts.width, record.width)
            facts.height = max(facts.height, record.height)
        case Coded():
            facts.setup = facts.setup or Setup(codec=record.codec, private=record.private)
        case End():
            facts.ended = True
