"""Placing: the takes of a recording on one timeline, the server's UTC, and what is missing there. Pure functions.

Ticks of a take become ms by its clocks (alignment.py); what is lost is a hole (holes.py), what people notice a gap
with its reason (gaps.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from recordings.alignment import ClockPoint, TickClock, take_clocks
from recordings.gaps import INTERRUPTED, LOST, NOT_CONNECTED, NOTHING_CAME, SENT_TOO_MUCH, find_gaps, without
from recordings.holes import holes_of
from recordings.index import Index, IndexChunk, IndexGap, IndexHole, IndexSetup, IndexTrack
from recordings.model import ChunkEntry, Hole, SenderReport, TrackKind, TrackRef
from recordings.takes import TrackTake

_FRAME_MS = {True: 33, False: 20}  # how long the last frame of a chunk lasts: usual video, Opus


@dataclass(frozen=True, kw_only=True)
class _Timeline:
    """Clocks of all takes, and where milliseconds are counted from."""

    clocks: Mapping[int, Mapping[TrackKind, TickClock]]
    zero: float

    def ms(self, utc: float) -> int:
        return max(0, round((utc - self.zero) * 1000))

    def at(self, take: TrackTake, ticks: int) -> int:
        return self.ms(self.clocks[take.take][take.track.kind].utc(ticks))


def place(takes: Sequence[TrackTake], tracks: Sequence[TrackRef], started_at: float | None) -> Index:
    """The index of these takes. started_at: see `finalise`; without it time begins with the first frame, or with the
    first permission if there is none."""
    timeline = _timeline(takes, started_at)
    own = {track: [take for take in takes if take.track == track] for track in tracks}
    chunks = {track: _chunks(timeline, own[track]) for track in tracks}
    covered = {track: without(_covered(chunks[track]), _holes(timeline, own[track])) for track in tracks}
    spans = _spans(chunks.values())
    breaks = _breaks(spans, _ends_because(takes))
    ends = {number: end for number, (_, end) in spans.items()}
    reasons = {
        track: breaks + [why for take in own[track] for why in _reasons(timeline, take, ends.get(take.take, 0))]
        for track in tracks
    }
    gaps_of_kind = {
        kind: _gaps_of_kind(
            kind,
            [stretch for track in tracks if track.kind is kind for stretch in covered[track]],
            _not_awaited(timeline, [take for take in takes if take.track.kind is kind], spans),
            [why for track in tracks if track.kind is kind for why in reasons[track]],
        )
        for kind in {track.kind for track in tracks}
    }
    return Index(
        version=1,
        started_at=timeline.zero,
        duration_ms=max((chunk.end_ms for those in chunks.values() for chunk in those), default=0),
        interrupted=any(take.lost or not take.ended for take in takes),
        tracks=tuple(_track(timeline, track, own[track], chunks[track], gaps_of_kind[track.kind]) for track in tracks),
        gaps=find_gaps(
            [stretch for those in covered.values() for stretch in those],
            [why for those in reasons.values() for why in those],
        ),
    )


def _timeline(takes: Sequence[TrackTake], started_at: float | None) -> _Timeline:
    clocks = _clocks(takes)
    with_frames = [take for take in takes if take.chunks]
    first = min(
        (clocks[take.take][take.track.kind].utc(take.chunks[0].first_ticks) for take in with_frames), default=None
    )
    permitted = min((note.at for take in takes for note in take.permissions), default=0.0)
    return _Timeline(clocks=clocks, zero=next(at for at in (started_at, first, permitted) if at is not None))


def _track(
    timeline: _Timeline,
    track: TrackRef,
    takes: Sequence[TrackTake],
    chunks: Sequence[IndexChunk],
    gaps: tuple[IndexGap, ...],
) -> IndexTrack:
    return IndexTrack(
        track=track.track,
        kind=track.kind,
        width=max((take.width for take in takes), default=0),
        height=max((take.height for take in takes), default=0),
        chunks=tuple(chunks),
        gaps=gaps,
        setups=tuple(
            IndexSetup(take.take, take.setup.codec, take.setup.private) for take in takes if take.setup is not None
        ),
        holes=_lost(timeline, takes),
    )


def _ends_because(takes: Iterable[TrackTake]) -> dict[int, str]:
    """Why a take ended, where that is known better than that the person was not connected any more."""
    return {take.take: INTERRUPTED for take in takes if not take.ended} | {
        take.take: SENT_TOO_MUCH for take in takes if _was_too_much(take)
    }


def _clocks(takes: Iterable[TrackTake]) -> dict[int, dict[TrackKind, TickClock]]:
    """Of each take and kind; tracks of one kind in one take share the sender's clock."""
    reports: dict[int, dict[TrackKind, list[SenderReport]]] = defaultdict(lambda: defaultdict(list))
    arrivals: dict[int, dict[TrackKind, list[ClockPoint]]] = defaultdict(dict)
    for take in takes:
        reports[take.take][take.track.kind] += take.reports
        if take.arrivals:
            arrivals[take.take].setdefault(take.track.kind, []).extend(take.arrivals)
    return {number: take_clocks(reports[number], seen) for number, seen in arrivals.items()}


def _chunks(timeline: _Timeline, takes: Iterable[TrackTake]) -> list[IndexChunk]:
    """The chunks of one track in time; a clock that steps back never makes two overlap."""
    placed: list[IndexChunk] = []
    last_frame_ms = 0
    for take in takes:
        kind = take.track.kind
        for chunk in take.chunks:
            start_ms = max(last_frame_ms, timeline.at(take, chunk.first_ticks))
            last_frame_ms = start_ms + round((chunk.last_ticks - chunk.first_ticks) * 1000 / kind.clock_rate)
            placed.append(_placed(chunk, start_ms, last_frame_ms + _FRAME_MS[kind.is_video]))
    return placed


def _placed(chunk: ChunkEntry, start_ms: int, end_ms: int) -> IndexChunk:
    return IndexChunk(
        start_ms=start_ms,
        end_ms=end_ms,
        take=chunk.take,
        index=chunk.index,
        segment=chunk.segment,
        offset=chunk.offset,
        sealed_bytes=chunk.sealed_bytes,
        block_bytes=chunk.block_bytes,
        frames=chunk.frames,
        starts_with_key=chunk.starts_with_key,
    )


def _covered(chunks: Iterable[IndexChunk]) -> list[tuple[int, int]]:
    return [(chunk.start_ms, chunk.end_ms) for chunk in chunks]


def _holes(timeline: _Timeline, takes: Iterable[TrackTake]) -> Iterator[tuple[int, int]]:
    """Where frames of one track are missing, also in the middle of a chunk: from the end of the last one before. Where
    many holes were told as one, it is not known what came between them."""
    for take in takes:
        if take.arrivals:
            yield from (_hole(timeline, take, hole)[:2] for hole in take.holes if hole.places == 1)


def _hole(timeline: _Timeline, take: TrackTake, hole: Hole) -> tuple[int, int, int]:
    """From, to, and how much of it is missing."""
    kind = take.track.kind
    before, after = timeline.at(take, hole.from_ticks), timeline.at(take, hole.to_ticks)
    start = min(before + _FRAME_MS[kind.is_video], (before + after) // 2)  # of faster pictures one at least is missing
    kept_ms = round(hole.kept_ticks * 1000 / kind.clock_rate) + (hole.places - 1) * _FRAME_MS[kind.is_video]
    return start, after, max(min(1, after - start), after - start - kept_ms)


def _lost(timeline: _Timeline, takes: Sequence[TrackTake]) -> tuple[IndexHole, ...]:
    """All of one track that is lost: on the network, and what was captured and never reached the store."""
    known = [take for take in takes if take.arrivals]
    lost = [IndexHole(*_hole(timeline, take, hole)) for take in known for hole in take.holes]
    for take in known:
        for chunk in take.lost:
            start, last = timeline.at(take, chunk.first_ticks), timeline.at(take, chunk.last_ticks)
            end = last + _FRAME_MS[take.track.kind.is_video]
            lost.append(IndexHole(start, end, end - start))
    return holes_of(lost)


def _gaps_of_kind(
    kind: TrackKind, covered: list[tuple[int, int]], not_awaited: list[tuple[int, int]], reasons: Sequence[IndexGap]
) -> tuple[IndexGap, ...]:
    """Where nothing of this kind is there, though it was awaited. Of a kind that never came there are none, and the
    sound of a tab is often just silent."""
    if not covered:
        return ()
    found = find_gaps(covered + not_awaited, reasons)
    return tuple(gap for gap in found if kind is not TrackKind.SCREEN_SOUND or gap.why != NOTHING_CAME)


def _not_awaited(
    timeline: _Timeline, takes: Sequence[TrackTake], spans: Mapping[int, tuple[int, int]]
) -> list[tuple[int, int]]:
    """Of takes of one kind: the beginning of each take until it was permitted (all of a take it was never permitted
    in), and the end of each, up to which it was awaited."""
    permitted: dict[int, int] = {}
    for take in takes:
        if take.permissions:
            since = timeline.ms(take.permissions[0].at)
        elif take.chunks:  # its journal is gone
            since = timeline.at(take, take.chunks[0].first_ticks)
        else:
            continue
        permitted[take.take] = min(since, permitted.get(take.take, since))
    return [
        stretch
        for number, (start, end) in spans.items()
        for stretch in ((start, min(max(start, permitted.get(number, end)), end)), (end, end))
    ]


def _spans(tracks: Iterable[Sequence[IndexChunk]]) -> dict[int, tuple[int, int]]:
    """From when to when each take has anything."""
    spans: dict[int, tuple[int, int]] = {}
    for chunks in tracks:
        for chunk in chunks:
            start, end = spans.get(chunk.take, (chunk.start_ms, chunk.end_ms))
            spans[chunk.take] = (min(start, chunk.start_ms), max(end, chunk.end_ms))
    return spans


def _was_too_much(take: TrackTake) -> bool:
    """Whether capture ended with the sender being kept out for a while."""
    return bool(take.permissions) and take.permissions[-1].why == SENT_TOO_MUCH


def _breaks(spans: Mapping[int, tuple[int, int]], ends_because: Mapping[int, str]) -> list[IndexGap]:
    """Between one take and the next the person was not connected, unless it is known better."""
    return [
        IndexGap(before[1], after[0], ends_because.get(number, NOT_CONNECTED))
        for (number, before), (_, after) in pairwise(sorted(spans.items()))
        if after[0] > before[1]
    ]


def _reasons(timeline: _Timeline, take: TrackTake, take_end_ms: int) -> list[IndexGap]:
    """Why this track may have nothing inside this take: capture was off, or something was lost."""
    reasons = []
    if take.arrivals:
        stretches = [(hole.from_ticks, hole.to_ticks, LOST) for hole in take.holes]
        stretches += [(chunk.first_ticks, chunk.last_ticks, INTERRUPTED) for chunk in take.lost]
        reasons = [IndexGap(timeline.at(take, start), timeline.at(take, end), why) for start, end, why in stretches]
    for note, following in zip_longest(take.permissions, take.permissions[1:]):
        if not note.on:
            to_ms = timeline.ms(following.at) if following else take_end_ms
            reasons.append(IndexGap(timeline.ms(note.at), to_ms, note.why))
    return reasons
