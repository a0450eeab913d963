"""Long and short form of one test: how often, from which seed, and what was seen, for `make trials`.

TRIAL_SEED=…      begins where another run began; the long forms always give one, drawn afresh. Without it the seed
                  is always the same: a change is not refused for what chance finds in it, `make trials` looks for that
TRIAL_FIGURES=…   a file that gets one JSON line per trial
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

SEED = 20261122


def seed() -> int:
    """Printed by the caller's `note`, and by pytest when the test fails."""
    drawn = int(os.environ.get("TRIAL_SEED") or SEED)
    print(f"TRIAL_SEED={drawn}")
    return drawn


def is_measured() -> bool:
    """Whether this is a trial on a machine that does nothing else, so that seconds mean something."""
    return "TRIAL_FIGURES" in os.environ


def times(name: str, short: int) -> int:
    """How often, by the environment variable `name`."""
    return int(os.environ.get(name, short))


def note(trial: str, **figures: Any) -> None:
    """What one trial has shown."""
    line = json.dumps({"trial": trial} | figures)
    print(line)
    if into := os.environ.get("TRIAL_FIGURES"):
        with Path(into).open("a") as file:
            file.write(line + "\n")
