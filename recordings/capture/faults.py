"""Faults of our own in one stream: they must not silence the others, are counted, and do not fill the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Faults:
    """Those of a process."""

    def __init__(self) -> None:
        self.count = 0

    def survived(self, step: Callable[..., object], *arguments: object) -> bool:
        """Takes one step of one stream; False if it raised, which ends that step alone."""
        try:
            step(*arguments)
        except Exception:
            self.count += 1
            if self.count & (self.count - 1) == 0:  # at 1, 2, 4, 8 …: one in every round must not fill the log
                log.exception("a media stream failed", extra={"faults": self.count})
            return False
        return True


faults = Faults()
"""Of this process."""
