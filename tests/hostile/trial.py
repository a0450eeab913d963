"""Long and short form of one test: how often, from which seed, and what was seen, for `make trials`.

TRIAL_SEED=…      begins where another run began; without it a fresh seed is drawn, and always printed
TRIAL_FIGURES=…   a file that gets one JSON line per trial
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any


def seed() -> int:
    """Printed by the caller's `note`, and by pytest when the test fails."""
    given = os.environ.get("TRIAL_SEED")
    drawn = int(given) if given else random.SystemRandom().randrange(1 << 32)
    print(f"TRIAL_SEED={drawn}")
    return drawn


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
