"""When a segment, the unit that is stored, ends. A pure rule; what is in one: segmenter.py."""

from __future__ import annotations

from recordings.capture.chunks import CHUNK_S

SEGMENT_S = 5.0
"""No longer, by when its frames arrived."""


def is_full(since: float | None, now: float) -> bool:
    """Whether the segment whose first frame arrived at `since` ends now: before another chunk would make it longer than
    five seconds. Of a clock that was set back so far too; one that has no frame yet never does."""
    return since is not None and abs(now - since) >= SEGMENT_S - CHUNK_S
