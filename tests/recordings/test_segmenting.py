"""When a segment ends: five seconds at most of what arrived, whatever the clock does."""

from __future__ import annotations

import pytest

from recordings.capture.chunks import CHUNK_S
from recordings.capture.segments import SEGMENT_S, is_full

SINCE = 1_800_000_000.0


@pytest.mark.parametrize(
    "since, now, ends",
    [
        pytest.param(None, SINCE, False, id="nothing in it"),
        pytest.param(SINCE, SINCE, False, id="just begun"),
        pytest.param(SINCE, SINCE + SEGMENT_S - CHUNK_S - 0.001, False, id="there is room for one more chunk"),
        pytest.param(SINCE, SINCE + SEGMENT_S - CHUNK_S, True, id="another chunk would make it too long"),
        pytest.param(SINCE, SINCE + 60, True, id="a stream that stood still"),
        pytest.param(SINCE, SINCE - 1, False, id="a clock set back a little"),
        pytest.param(SINCE, SINCE - 3600, True, id="a clock set back an hour"),
    ],
)
def test_when_a_segment_ends(since: float | None, now: float, ends: bool) -> None:
    assert is_full(since, now) is ends


def test_chunks_one_after_the_other_make_segments_of_at_most_five_seconds() -> None:
    lengths, since = [], SINCE
    for number in range(1, 100):
        now = SINCE + number * CHUNK_S
        if is_full(since, now):
            lengths.append(now - since)
            since = now
    assert set(lengths) == {SEGMENT_S - CHUNK_S}
