"""What does not fit as the moment of a session is refused with a word, and nothing falls over on it later."""

from __future__ import annotations

import pytest

from app.forms import Form
from app.sessions.forms import read_moment


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59", "9991-01-01T00:00", "0001-01-01T00:00", "2027-05-03T14:30+05:00", "2027-05-03T14:30Z"]
)
def test_the_end_of_all_days_and_a_time_of_another_zone_are_refused(text: str):
    form = Form(values={"starts_at": text, "time_zone": "Europe/Berlin"})
    assert read_moment(form) is None and "starts_at" in form.errors


def test_what_the_form_sends_is_taken():
    for text in ("2027-05-03T14:30", "2027-05-03T14:30:15", "9990-12-31T23:59"):
        form = Form(values={"starts_at": text, "time_zone": "Europe/Berlin"})
        assert read_moment(form) is not None and form.fine
