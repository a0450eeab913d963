"""Clocks per kind: the rule, the same in SQL, and what each kind's clock takes along."""

from __future__ import annotations

import json
import random
from itertools import product

import pytest
from sqlalchemy import text

from app.studies.clocks import (
    CLOCKS,
    KIND_OF_TRACK,
    OF_A_SESSION,
    PARTS,
    Anchor,
    Ending,
    Kind,
    Level,
    anything_shorter,
    days_of,
    shortest_of,
)
from recordings.model import TrackKind
from tests.fixtures.web import Cast

SEED = 17
CASES = 4_000


def by_hand(kind: Kind, days: tuple[int | None, ...], levels: list[dict[str, int]]) -> int | None:
    """Every number that anybody has set for this kind, and the smallest of them."""
    names = {"all", str(kind)} | ({"audio"} if kind is Kind.TRANSCRIPT else set())
    numbers = [one for one in days if one is not None]
    for level in levels:
        numbers += [number for name, number in level.items() if name in names]
    return sorted(numbers)[0] if numbers else None


def random_levels(rng: random.Random) -> tuple[int | None, int | None, list[dict[str, int]]]:
    days = (None, *range(1, 400))
    levels = [
        {str(kind): rng.randrange(1, 400) for kind in Kind if rng.random() < rng.choice([0, 0.2, 0.6])}
        for _ in range(3)
    ]
    return rng.choice(days), rng.choice(days), levels


async def test_the_shortest_of_all_levels_wins_and_sql_says_the_same(cast: Cast) -> None:
    rng = random.Random(SEED)
    cases = [(rng.choice(list(Kind)), *random_levels(rng)) for _ in range(CASES)]
    asked = [
        {"kind": kind, "study": study, "session": session, "levels": levels} for kind, study, session, levels in cases
    ]
    said = text(
        "SELECT kept_days(one ->> 'kind', (one ->> 'study')::integer, (one ->> 'session')::integer, "
        "one -> 'levels' -> 0, one -> 'levels' -> 1, one -> 'levels' -> 2) "
        "FROM jsonb_array_elements(CAST(:asked AS jsonb)) WITH ORDINALITY AS each (one, place) ORDER BY place"
    )
    async with cast.wiring.database.transaction(cast.account) as db:
        in_sql = list(await db.scalars(said, {"asked": json.dumps(asked)}))
    for (kind, study, session, levels), found in zip(cases, in_sql, strict=True):
        expected = by_hand(kind, (study, session), levels)
        assert days_of(kind, min((d for d in (study, session) if d is not None), default=None), *levels) == expected
        assert found == expected


@pytest.mark.parametrize("kind", OF_A_SESSION)
def test_a_kind_goes_never_later_than_the_rest(kind: Kind) -> None:
    assert days_of(kind, 30, {kind: 300}) == 30
    assert days_of(kind, 300, {kind: 30}) == 30
    assert days_of(kind, None, {kind: 30}) == 30
    assert days_of(kind, None, {}) is None


def test_no_kind_shortens_another_but_a_voice_its_words() -> None:
    for one, other in product(OF_A_SESSION, repeat=2):
        shortened = days_of(other, 300, {one: 30}) == 30
        assert shortened is (one is other or (one, other) == (Kind.AUDIO, Kind.TRANSCRIPT))
    assert days_of(Kind.ALL, 300, dict.fromkeys(OF_A_SESSION, 30)) == 300


def test_every_kind_says_from_when_it_counts_and_what_is_done() -> None:
    assert set(CLOCKS) == set(Kind) - {Kind.ALL}
    assert {kind for kind, clock in CLOCKS.items() if clock.anchor is Anchor.SESSION_END} == set(OF_A_SESSION)
    assert CLOCKS[Kind.CONTACT].ending is Ending.ANONYMISE
    assert {KIND_OF_TRACK[kind] for kind in TrackKind} | {Kind.TRANSCRIPT} == set(PARTS)


@pytest.mark.parametrize(
    ("before", "after", "shorter"),
    [
        (Level(), Level(), False),
        (Level(), Level(days=5), True),
        (Level(days=5), Level(), False),
        (Level(days=5), Level(days=5, periods={"video": 5}), False),
        (Level(days=5), Level(days=5, periods={"video": 4}), True),
        (Level(days=5, periods={"video": 4}), Level(days=5), False),
        (Level(days=9, periods={"video": 4}), Level(days=5), True),
        (Level(periods={"audio": 4}), Level(periods={"transcript": 4}), False),
        (Level(), Level(periods={"contact": 40}), True),
    ],
)
def test_what_is_shorter_than_before(before: Level, after: Level, shorter: bool) -> None:
    assert anything_shorter(before, after) is shorter


def test_several_levels_as_one() -> None:
    assert shortest_of({"video": 3, "audio": 9}, {"audio": 4}, {}) == {"video": 3, "audio": 4}
