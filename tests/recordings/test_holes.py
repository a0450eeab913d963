"""Holes: what is lost stands in the index with its time and length, however short; people are told of what they would
notice, also where only one kind is missing while the other goes on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.encryption.sealed import index_context, seal
from recordings.finalise import finalise
from recordings.gaps import LOST, NOTHING_CAME, beside
from recordings.holes import MOST_HOLES, fewer_gaps, holes_of
from recordings.index import Index, IndexGap, IndexHole, IndexTrack, read_index
from recordings.model import Hole, IndexSummary, StreamKind, TrackKind
from recordings.storage.layout import index_key, index_key_path, segment_key
from tests.recordings.scene import BOTH, CAMERA, VOICE, Scene, lose, play, recording_ref


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "spool")


async def finished(scene: Scene, recorder) -> IndexSummary:
    recorder.close()
    await scene.store_all()
    return scene.finalise()


def index_of(scene: Scene, summary: IndexSummary) -> Index:
    return read_index(scene.store, scene.keys, scene.ref, summary.object_key, summary.generation)


def holes(index: Index) -> dict[TrackKind, list[tuple[int, int, int]]]:
    return {one.kind: [(hole.from_ms, hole.to_ms, hole.missing_ms) for hole in one.holes] for one in index.tracks}


@pytest.mark.parametrize("kind, other", [(VOICE, CAMERA), (CAMERA, VOICE)])
async def test_what_one_kind_loses_while_the_other_goes_on_is_told_of_that_kind(scene, kind, other):
    """Three seconds of the voice under a picture, and of the picture under a voice."""
    recorder = scene.recorder()
    lose(scene, recorder, 10, {kind: (3.0, 6.0)})
    summary = await finished(scene, recorder)
    (gap,) = summary.gaps
    assert (gap.kind, gap.why) == (kind, LOST)
    assert abs(gap.from_ms - 3_000) <= 15 and abs(gap.to_ms - 6_000) <= 1
    [(start, end, missing)] = holes(index_of(scene, summary))[kind]
    assert (start, end, missing) == (gap.from_ms, gap.to_ms, end - start)
    assert holes(index_of(scene, summary))[other] == []
    played = play(b"".join(scene.view(summary).read()))["video" if kind is CAMERA else "audio"]
    assert not [packet for packet in played if 3_000 <= packet.at_ms < 5_999], "it is never closed up"
    assert [packet for packet in played if packet.at_ms >= 5_999]


async def test_what_both_lose_is_a_gap_of_the_recording_and_the_rest_of_each_kind(scene):
    recorder = scene.recorder()
    lose(scene, recorder, 10, {CAMERA: (2.0, 5.0), VOICE: (4.0, 7.0)})
    gaps = (await finished(scene, recorder)).gaps
    assert [(round(gap.from_ms, -2), round(gap.to_ms, -2), gap.kind) for gap in gaps] == [
        (4_000, 5_000, None),
        (2_000, 4_000, CAMERA),
        (5_000, 7_000, VOICE),
    ]


async def test_one_lost_packet_stands_in_the_index_and_is_told_to_nobody(scene):
    recorder = scene.recorder()
    lose(scene, recorder, 4, {VOICE: (2.0, 2.02), CAMERA: (1.0, 1.03)})
    summary = await finished(scene, recorder)
    assert summary.gaps == ()
    found = holes(index_of(scene, summary))
    assert found[VOICE] == [(2_000, 2_020, 20)]
    [(start, end, missing)] = found[CAMERA]
    assert abs(start - 1_000) <= 1 and missing == end - start and 30 <= missing <= 34


async def test_a_call_that_loses_every_other_packet_has_all_of_it_in_its_index_and_its_long_loss_is_told(scene):
    """Twenty-five holes a second, more than a journal takes one by one, for a minute; and one of half a second."""
    recorder = scene.recorder(permit=frozenset({VOICE}))
    start, count = scene.now, 60 * 50
    lost = {number for number in range(1, count) if number % 2 or 2_500 <= number < 2_525}
    last = 0
    for number, frame in enumerate(scene.frames(VOICE, start, 60)):
        if number in lost:
            continue
        if number - last > 1:
            recorder.hole(Hole(kind=VOICE, from_ticks=frame.ticks - (number - last) * 960, to_ticks=frame.ticks))
        recorder.frame(frame)
        scene.now, last = frame.arrived_at, number
        if number % 5 == 0:
            recorder.tick(scene.now)
    summary = await finished(scene, recorder)
    assert recorder.health().tracks[VOICE].holes > 1_400
    found = holes(index_of(scene, summary))[VOICE]
    assert 1_000 < len(found) < 1_450 and any(missing < end - start for start, end, missing in found), "some as one"
    assert sum(missing for _, _, missing in found) == pytest.approx(len(lost) * 20, rel=0.001)
    (gap,) = summary.gaps
    assert gap.why == LOST and gap.to_ms - gap.from_ms == 540


async def test_of_faster_pictures_than_usual_a_lost_one_is_a_hole_too(scene):
    recorder = scene.recorder(permit=frozenset({CAMERA}))
    scene.capture(recorder, 2, kinds=frozenset({CAMERA}))
    before = scene.ticks(CAMERA, scene.now - 1)
    recorder.hole(Hole(kind=CAMERA, from_ticks=before, to_ticks=before + 90_000 // 60 * 2))  # 60 a second
    assert holes(index_of(scene, await finished(scene, recorder)))[CAMERA] == [(1_016, 1_033, 17)]


async def test_what_never_reached_the_store_is_a_hole(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 15)
    recorder.close()
    await scene.store_all()
    del scene.store.objects[segment_key(scene.tracks[VOICE], 1, 1)]
    summary = scene.finalise()
    found = holes(index_of(scene, summary))
    assert found[CAMERA] == [] and 4_000 < sum(missing for _, _, missing in found[VOICE]) < 6_000
    (gap,) = summary.gaps
    assert (gap.kind, gap.why) == (VOICE, "interrupted") and gap.to_ms - gap.from_ms > 4_000


async def test_a_kind_that_comes_late_or_ends_early_is_missing_there(scene):
    """No packet follows that could tell a hole: still nobody is left to think that nothing was said."""
    recorder = scene.recorder()
    scene.capture(recorder, 3, kinds=frozenset({CAMERA}))
    scene.capture(recorder, 4)
    scene.capture(recorder, 5, kinds=frozenset({CAMERA}))
    gaps = (await finished(scene, recorder)).gaps
    assert [(gap.kind, gap.why) for gap in gaps] == [(VOICE, NOTHING_CAME)] * 2
    assert [(round(gap.from_ms, -2), round(gap.to_ms, -2)) for gap in gaps] == [(0, 3_000), (7_000, 12_000)]


async def test_before_a_kind_was_permitted_nobody_waited_for_it(scene):
    recorder = scene.recorder(permit=frozenset({CAMERA}))
    scene.capture(recorder, 4)
    recorder.permit(BOTH, "consent")
    scene.capture(recorder, 4)
    recorder.close()
    scene.now += 10
    recorder = scene.recorder(take=2, permit=frozenset({CAMERA}))  # the voice was not permitted in all of this one
    scene.capture(recorder, 4)
    summary = await finished(scene, recorder)
    assert [(gap.kind, gap.why) for gap in summary.gaps] == [(None, "not connected")]


async def test_a_kind_that_never_came_and_the_silent_sound_of_a_tab_are_no_gaps(tmp_path):
    scene = Scene(tmp_path / "spool")
    recorder = scene.recorder()
    scene.capture(recorder, 4, kinds=frozenset({CAMERA}))
    assert (await finished(scene, recorder)).gaps == ()
    both = frozenset({TrackKind.SCREEN, TrackKind.SCREEN_SOUND})
    screen = Scene(
        tmp_path / "screen",
        ref=recording_ref(StreamKind.SCREEN),
        latency_s=dict.fromkeys(both, 0.05),
        ticks_from=dict.fromkeys(both, 1000),
    )
    recorder = screen.recorder(permit=both)
    screen.capture(recorder, 2, kinds=both)
    screen.capture(recorder, 5, kinds=frozenset({TrackKind.SCREEN}))
    screen.capture(recorder, 2, kinds=both)
    assert (await finished(screen, recorder)).gaps == ()


async def test_a_track_that_goes_takes_its_holes_with_it(scene):
    recorder = scene.recorder()
    lose(scene, recorder, 8, {VOICE: (2.0, 5.0)})
    first = await finished(scene, recorder)
    again = finalise(scene.store, scene.keys, scene.ref, [scene.tracks[CAMERA]], 2, started_at=first.started_at)
    assert again.gaps == () and holes(index_of(scene, again)) == {CAMERA: []}


async def test_an_index_from_before_holes_were_kept_reads_and_plays(scene):
    recorder = scene.recorder()
    lose(scene, recorder, 3, {VOICE: (1.0, 1.5)})
    summary = await finished(scene, recorder)
    raw = msgspec.msgpack.decode(msgspec.msgpack.encode(index_of(scene, summary)))
    tracks = Index.__struct_fields__.index("tracks")
    raw[tracks] = [track[: IndexTrack.__struct_fields__.index("holes")] for track in raw[tracks]]
    context = index_context(scene.ref, 2)
    key = scene.keys.unwrap(index_key_path(scene.ref))
    scene.store.put(index_key(scene.ref, 2), seal(key, msgspec.msgpack.encode(raw), context))
    old = read_index(scene.store, scene.keys, scene.ref, index_key(scene.ref, 2), 2)
    assert {track.holes for track in old.tracks} == {()}
    assert [track.chunks for track in old.tracks] == [track.chunks for track in index_of(scene, summary).tracks]


STRETCHES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 40)).map(lambda one: (one[0], sum(one))))


@given(STRETCHES, st.integers(1, 5))
def test_few_or_many_the_sum_of_what_is_missing_is_exact_and_nothing_is_left_out(lost, most):
    missing = {ms for start, end in lost for ms in range(start, end)}
    found = holes_of([IndexHole(start, end, end - start) for start, end in lost], most)
    assert len(found) <= most and sum(hole.missing_ms for hole in found) == len(missing)
    assert missing <= {ms for hole in found for ms in range(hole.from_ms, hole.to_ms)}
    assert all(before.to_ms < after.from_ms for before, after in pairwise(found))


def test_those_nearest_to_each_other_are_put_together():
    lost = [(0, 20), (1_000, 1_020), (1_040, 1_060), (9_000, 9_100)]
    each = tuple(IndexHole(start, end, end - start) for start, end in lost)
    assert holes_of(each, 3) == (IndexHole(0, 20, 20), IndexHole(1_000, 1_060, 40), IndexHole(9_000, 9_100, 100))
    assert holes_of(each) == each
    assert holes_of([IndexHole(0, 100, 30), IndexHole(50, 150, 100)]) == (IndexHole(0, 150, 130),)
    gaps = [IndexGap(start * 10, end * 10, str(end - start)) for start, end in lost]
    assert fewer_gaps(gaps, 2) == (IndexGap(0, 10_600, "20"), IndexGap(90_000, 91_000, "100"))


def test_three_hours_of_nothing_but_holes_keep_the_index_small():
    lost = holes_of(IndexHole(ms, ms + 20, 20) for ms in range(0, 3 * 3_600_000, 100))
    assert len(lost) == MOST_HOLES and len(msgspec.msgpack.encode(lost)) < 60_000
    assert sum(hole.missing_ms for hole in lost) == 3 * 36_000 * 20


def test_what_a_kind_lacks_besides_is_what_people_would_notice():
    own = [IndexGap(0, 1_000, "paused"), IndexGap(2_000, 6_000, LOST), IndexGap(8_000, 9_000, LOST)]
    whole = [IndexGap(200, 900, "paused"), IndexGap(3_000, 4_000, LOST), IndexGap(7_500, 9_500, LOST)]
    assert beside(own, whole) == (IndexGap(2_000, 3_000, LOST), IndexGap(4_000, 6_000, LOST))
    assert beside([], whole) == () and beside(own, []) == tuple(own)
