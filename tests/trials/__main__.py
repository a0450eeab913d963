"""`make trials`: crashes, losses, fuzz and faults of storage in their long form, Firefox, GStreamer; bench/trials.json.

    python -m tests.trials                      all of it, about an hour
    python -m tests.trials --short              the same parts, a minute or two each, to see that they work
    python -m tests.trials --only kills,fuzz    some of it; TRIAL_SEED repeats a run

Each part is a pytest run of its own; a part that fails is told with its seeds, the others go on.
"""

from __future__ import annotations

import sys

from tests.long_form import ROOT, Part, run_parts

PARTS = {
    "kills": Part(
        tests=("tests/hostile/test_seeded_kills.py",),
        long={"KILLS": "20", "PAGE_KILLS": "5"},
        short={"KILLS": "2", "PAGE_KILLS": "1"},
    ),
    "losses and cuts": Part(
        tests=("tests/trials/networks.py", "tests/trials/cuts.py"),
        short={"LOSS_SECONDS": "4", "CUT_SECONDS": "1"},
    ),
    "fuzz": Part(tests=("tests/hostile/test_fuzz.py",), long={"FUZZ_CASES": "2000000"}, short={"FUZZ_CASES": "20000"}),
    "storage faults": Part(
        tests=("tests/trials/storage.py", "tests/hostile/test_storage_faults.py"),
        long={"FAULT_SECONDS": "600"},
        short={"FAULT_SECONDS": "20"},
    ),
    "full disk and two nodes": Part(tests=("tests/hostile/test_disk_full.py", "tests/hostile/test_two_nodes.py")),
    "firefox": Part(tests=("tests/trials/firefox.py",)),
    "gstreamer": Part(tests=("tests/trials/gstreamer.py",)),
}

if __name__ == "__main__":
    sys.exit(run_parts("tests.trials", __doc__ or "", PARTS, ROOT / "bench" / "trials.json"))
