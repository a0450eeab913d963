"""What the database keeps of an index: enough for lists and for the words of the player."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recordings.gaps import beside
from recordings.holes import fewer_gaps
from recordings.index import Index, IndexChunk, IndexGap
from recordings.model import Gap, IndexSummary, TrackId, TrackKind, TrackSummary


def summary(index: Index, generation: int, object_key: str) -> IndexSummary:
    """Its gaps: those of the whole recording, then what each kind lacks besides."""
    own = {track.kind: track.gaps for track in index.tracks}  # alike for all tracks of a kind
    return IndexSummary(
        generation=generation,
        object_key=object_key,
        started_at=index.started_at,
        duration_ms=index.duration_ms,
        interrupted=index.interrupted,
        tracks=tuple(
            TrackSummary(
                track=TrackId(track.track),
                kind=track.kind,
                frames=sum(chunk.frames for chunk in track.chunks),
                bytes=sum(chunk.sealed_bytes for chunk in track.chunks),
                duration_ms=_covered_ms(track.chunks),
            )
            for track in index.tracks
        ),
        gaps=(
            *_told(index.gaps),
            *(gap for kind, gaps in own.items() for gap in _told(beside(gaps, index.gaps), kind)),
        ),
    )


def _told(gaps: tuple[IndexGap, ...], kind: TrackKind | None = None) -> Iterator[Gap]:
    for gap in fewer_gaps(gaps):
        yield Gap(from_ms=gap.from_ms, to_ms=gap.to_ms, why=gap.why, kind=kind)


def _covered_ms(chunks: Iterable[IndexChunk]) -> int:
    return sum(chunk.end_ms - chunk.start_ms for chunk in chunks)
