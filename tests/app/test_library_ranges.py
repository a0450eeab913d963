"""Byte ranges as players ask for them (RFC 9110 §14)."""

from __future__ import annotations

import pytest

from app.library.ranges import ByteRange, NotSatisfiable, asked_range


@pytest.mark.parametrize(
    ("header", "if_range", "expected"),
    [
        (None, None, None),
        ("bytes=0-0", None, ByteRange(start=0, length=1)),
        ("bytes=10-", None, ByteRange(start=10, length=90)),
        ("bytes=90-500", None, ByteRange(start=90, length=10)),
        ("bytes=-30", None, ByteRange(start=70, length=30)),
        ("bytes=-300", None, ByteRange(start=0, length=100)),
        ("bytes=5-2", None, None),
        ("bytes=-", None, None),
        ("bytes=0-1,5-6", None, None),
        ("pages=1-2", None, None),
        ("bytes=0-1", '"v1"', ByteRange(start=0, length=2)),
        ("bytes=0-1", '"v2"', None),
    ],
)
def test_which_range_is_asked(header: str | None, if_range: str | None, expected: ByteRange | None) -> None:
    assert asked_range(header, if_range, '"v1"', 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_behind_the_end_is_refused(header: str) -> None:
    with pytest.raises(NotSatisfiable):
        asked_range(header, None, '"v1"', 100)
