"""What a long run says of its parts: one of which everything was skipped has not passed."""

from __future__ import annotations

import pytest

from tests.long_form import Outcome, Report, report_of

JUNIT = """<testsuites><testsuite tests="3" skipped="1">
    <testcase name="test_one" />
    <testcase name="test_two"><failure message="no" /></testcase>
    <testcase name="test_three[VP8]"><skipped type="pytest.skip" message="no GStreamer is installed" /></testcase>
</testsuite></testsuites>"""


def test_what_was_skipped_is_told_with_its_reason() -> None:
    assert report_of(JUNIT) == Report(ran=2, skipped={"test_three[VP8]": "no GStreamer is installed"})


@pytest.mark.parametrize(
    "ran, skipped, is_well, outcome",
    [
        (2, 0, True, Outcome.PASSED),
        (2, 1, True, Outcome.PASSED),
        (0, 2, True, Outcome.SKIPPED),
        (2, 0, False, Outcome.FAILED),
        (0, 2, False, Outcome.FAILED),
        (0, 0, True, Outcome.FAILED),
    ],
)
def test_only_what_ran_can_pass(ran: int, skipped: int, is_well: bool, outcome: Outcome) -> None:
    report = Report(ran=ran, skipped={f"test_{number}": "why" for number in range(skipped)})
    assert report.outcome(is_well=is_well) is outcome


def test_a_run_that_was_broken_off_has_failed() -> None:
    assert report_of("").outcome(is_well=False) is Outcome.FAILED
