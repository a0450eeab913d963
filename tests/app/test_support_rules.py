"""Support access as rules: what a request is worth at a moment, who may answer it, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.accounts.lasting import while_allowed
from app.forms import Form
from app.support.forms import read_minutes, read_request
from app.support.policy import (
    ANSWER_WITHIN,
    MINUTES,
    WAITING_AT_MOST,
    RequestFacts,
    Standing,
    grant_end,
    may_answer,
    may_ask,
    may_revoke,
    standing,
)

T = datetime(2027, 5, 3, 12, tzinfo=UTC)
MINUTE, TICK = timedelta(minutes=1), timedelta(microseconds=1)
ASKED = RequestFacts(asked_by="operator:1", asked_at=T)
REFUSED = replace(ASKED, answered_at=T + MINUTE)
GRANTED = replace(ASKED, answered_at=T + MINUTE, ends_at=T + 16 * MINUTE)
REVOKED = replace(GRANTED, revoked_at=T + 2 * MINUTE)


@pytest.mark.parametrize(
    ("facts", "now", "stands"),
    [
        (ASKED, T, Standing.WAITING),
        (ASKED, T + ANSWER_WITHIN - TICK, Standing.WAITING),
        (ASKED, T + ANSWER_WITHIN, Standing.LAPSED),
        (REFUSED, T + MINUTE, Standing.REFUSED),
        (REFUSED, T + 2 * ANSWER_WITHIN, Standing.REFUSED),
        (GRANTED, T + 16 * MINUTE - TICK, Standing.OPEN),
        (GRANTED, T + 16 * MINUTE, Standing.ENDED),
        (REVOKED, T + 3 * MINUTE, Standing.REVOKED),
        (REVOKED, T + 99 * MINUTE, Standing.REVOKED),
    ],
)
def test_where_a_request_stands(facts: RequestFacts, now: datetime, stands: Standing) -> None:
    assert standing(facts, now) is stands
    assert bool(may_revoke(facts, now)) is (stands is Standing.OPEN)
    for second in (True, False):
        assert bool(may_answer(facts, now, by="member:7", second_operator=second)) is (stands is Standing.WAITING)


def test_an_operator_answers_only_where_the_owner_lets_them_and_never_for_themselves() -> None:
    assert may_answer(ASKED, T, by="operator:2", second_operator=True)
    alone = may_answer(ASKED, T, by="operator:2", second_operator=False)
    assert not alone and "alone" in alone.reason
    own = may_answer(ASKED, T, by="operator:1", second_operator=True)
    assert not own and "yourself" in own.reason


def test_nothing_is_granted_for_longer_than_an_hour() -> None:
    assert max(MINUTES) == 60
    assert [grant_end(T, each) - T for each in MINUTES] == [15 * MINUTE, 30 * MINUTE, 60 * MINUTE]
    for wrong in (0, -15, 1, 61, 90, 10**9):
        with pytest.raises(ValueError, match="granted"):
            grant_end(T, wrong)
    for typed in ("", "0", "61", "15.0", "-15", "sixty", "60 "):
        assert read_minutes(Form(values={"minutes": typed})) is None


def test_a_few_requests_may_wait_and_no_more() -> None:
    assert may_ask(WAITING_AT_MOST - 1) and not may_ask(WAITING_AT_MOST)


ID = "1f0c3a5e-7d21-4c0a-9b1e-2f6d8c4a7e90"
FINE = {"account": ID, "kind": "recording", "object": ID, "reason": "The picture stands still."}


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("account", ""),
        ("account", "Kitchen Lab"),
        ("account", f"{ID}0"),
        ("kind", "study"),
        ("kind", ""),
        ("object", "7"),
        ("object", "‮" + ID),
        ("reason", ""),
        ("reason", "debug"),
        ("reason", "x" * 1_001),
        ("reason", "a reason \0 with a hole"),
    ],
)
def test_a_request_says_which_one_object_and_why(field: str, typed: str) -> None:
    assert read_request(Form(values=FINE)) is not None
    form = Form(values=FINE | {field: typed})
    assert read_request(form) is None
    assert set(form.errors) == {field}


async def test_bytes_flow_only_while_the_grant_lasts() -> None:
    """Asked once a second at most; what was read but not sent yet stays here."""
    asked: list[float] = []
    at = [0.0]

    async def still() -> bool:
        asked.append(at[0])
        return at[0] < 2.5

    def pieces() -> Iterator[bytes]:
        for number in range(20):
            at[0] = number * 0.5
            yield bytes([number])

    sent = [piece async for piece in while_allowed(pieces(), still, lambda: at[0])]
    assert sent == [bytes([number]) for number in range(6)]
    assert asked == [1.0, 2.0, 3.0]
    at[0] = 0.0
    assert len([piece async for piece in while_allowed(iter([b"a", b"b"]), still, lambda: 0.0)]) == 2
