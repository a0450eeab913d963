"""Byte ranges of HTTP (RFC 9110 §14): one range per answer, which is all that players ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


class NotSatisfiable(Exception):
    """The range begins behind the end (RFC 9110 §15.5.17)."""

    retry = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteRange:
    start: int
    length: int


def asked_range(header: str | None, if_range: str | None, etag: str, size: int) -> ByteRange | None:
    """The range to send; None: the whole. A unit or form we do not know, or several ranges, count as not
    asked (§14.2), as does a range of another version (If-Range, §13.1.5). Raises NotSatisfiable."""
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = _RANGE.fullmatch(header)
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last n bytes
        length = min(int(found[2]), size)
        if length == 0:
            raise NotSatisfiable
        return ByteRange(start=size - length, length=length)
    start = int(found[1])
    end = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < start:
        return None
    if start >= size:
        raise NotSatisfiable
    return ByteRange(start=start, length=end - start + 1)
