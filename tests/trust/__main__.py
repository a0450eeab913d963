"""`make trust`: the long form of the tests that prove the promises; figures go to bench/trust.json.

    python -m tests.trust                       all of it, with seeds
    python -m tests.trust --short               the same parts, as `make test` runs them
    python -m tests.trust --only "byte scan"    some of it; TRIAL_SEED repeats a run

Each part is a pytest run of its own; a part that fails is told with its seeds, the others go on.
"""

from __future__ import annotations

import sys

from tests.long_form import ROOT, Part, run_parts

ERASING = "tests/promises/test_j4_erasing.py::test_j4_19c"
PARTS = {
    "who gets in": Part(
        tests=(
            "tests/promises/test_access_table.py",
            "tests/promises/test_j4_access.py",
            "tests/promises/test_j4_support.py",
            "tests/app/test_row_level_security.py",
        )
    ),
    "retention clocks": Part(
        tests=("tests/trust/test_retention_model.py",), long={"MODEL_ITEMS": "100000"}, short={"MODEL_ITEMS": "4000"}
    ),
    "audit tamperings": Part(tests=("tests/app/test_audit_heads.py",)),
    "byte scan": Part(
        tests=(
            f"{ERASING}_no_byte_of_it_is_left_anywhere",
            f"{ERASING}_the_search_finds_every_spelling",
            f"{ERASING}_the_scan_says_where_and_what_it_could_not_read",
        )
    ),
    "restore drill": Part(
        tests=(
            f"{ERASING}_a_restored_backup_is_erased_again_before_it_serves",
            f"{ERASING}_what_was_withdrawn_after_the_backup_stays_withdrawn",
            f"{ERASING}_a_restored_backup_does_not_start_without_its_ledger",
            "tests/app/test_backup.py",
            "tests/app/test_operator_commands.py",
        )
    ),
    "twenty years of keys": Part(
        tests=("tests/promises/test_kept_long.py",), long={"EPOCH_HOURS": "24"}, short={"EPOCH_HOURS": "744"}
    ),
    "orphans": Part(tests=("tests/app/test_orphans.py",)),
    "workers without network": Part(tests=("tests/trust/test_worker_without_network.py",)),
    "consent races": Part(
        tests=("tests/trust/test_consent_races.py",), long={"CONSENT_RUNS": "50"}, short={"CONSENT_RUNS": "2"}
    ),
    "canary tone": Part(
        tests=("tests/trust/test_canary_tone.py",), long={"CONSENT_RUNS": "50"}, short={"CONSENT_RUNS": "1"}
    ),
}

if __name__ == "__main__":
    sys.exit(run_parts("tests.trust", __doc__ or "", PARTS, ROOT / "bench" / "trust.json"))
