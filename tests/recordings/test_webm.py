"""Sizes that are promised before any media is read, and blocks that are not blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.capture.chunks import read_chunk
from recordings.capture.codecs import CODINGS
from recordings.capture.webm import (
    CLUSTER_HEAD_BYTES,
    SOUND_TRACK,
    VIDEO_TRACK,
    Block,
    Cue,
    cluster_head,
    cues_bytes,
    header,
    simple_block,
    simple_blocks,
)
from recordings.model import Codec

TRACKS = [CODINGS[Codec.VP8].entry(None, (64, 48)), CODINGS[Codec.OPUS].entry(None, None)]


@given(at_ms=st.integers(0, 2**40), block_bytes=st.integers(0, 2**40))
def test_a_cluster_head_has_always_the_same_size(at_ms, block_bytes):
    assert len(cluster_head(at_ms, block_bytes)) == CLUSTER_HEAD_BYTES


@given(
    st.lists(
        st.builds(
            Block,
            track=st.sampled_from([VIDEO_TRACK, SOUND_TRACK]),
            at_ms=st.integers(-32_768, 32_767),
            key=st.booleans(),
            data=st.binary(max_size=20_000),
        )
    )
)
def test_blocks_come_back_as_they_were(blocks):
    written = b"".join(simple_block(block.track, block.at_ms, block.data, key=block.key) for block in blocks)
    assert list(simple_blocks(written)) == blocks


@given(st.binary(min_size=1, max_size=60))
def test_other_bytes_are_blocks_or_refused(data):
    try:
        assert sum(len(block.data) for block in simple_blocks(data)) < len(data)
    except ValueError:
        pass


@pytest.mark.parametrize("data", [b"", b"short", bytes(26)])
def test_what_is_too_short_is_no_chunk(data):
    with pytest.raises(ValueError):
        read_chunk(data)


def test_the_header_is_as_long_whatever_its_cues_say():
    def written(position: int, at_ms: int) -> bytes:
        cues = [Cue(at_ms=at_ms, track=VIDEO_TRACK, position=position)] * 3
        return header(duration_ms=1, tracks=TRACKS, cues=cues, clusters_bytes=position)

    bare = header(duration_ms=1, tracks=TRACKS, cues=[], clusters_bytes=0)
    assert len(written(0, 0)) == len(written(2**40, 2**32)) == len(bare) + cues_bytes(3)
