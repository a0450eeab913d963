"""J4-08, J4-09: access.csv has a row for every route and method of the application, with the status that each of the
cast gets. One lab with one of everything is asked row by row; reads come first, what ends something comes last.

stranger · anna: signed in with a fresh code · anna's link: whoever opened her invitation mail · ben: another
participant, of the first session only · assigned, not assigned: researchers · observer: assigned too · owner · other
owner: of another account · operator, and one with a grant for Anna's recording.

401 signed in as nobody whom the page knows · 403 their role does not allow it · 404 not there for them · 422, 409, 415
asked by somebody who may, with nothing in the form · 4403 a room's WebSocket that was closed, 101 one that tells.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.promises.access_stage import CAST, ROUNDS, read_table, routes_of, set_stage
from tests.promises.world import World


async def test_j4_08_every_route_and_method_has_its_row(world: World) -> None:
    found, rows = routes_of(world.app), [(row.route, row.method) for row in read_table()]
    assert [row for row, times in Counter(rows).items() if times > 1] == []
    assert set(found) - set(rows) == set(), "a new route: say in access.csv what each of the cast gets"
    assert set(rows) - set(found) == set(), "no such route any more"
    assert ("/rooms/{session}/events", "WS") in found and ("/whip", "POST") in found


def test_j4_08_every_row_says_what_everybody_gets() -> None:
    assert sorted(CAST) == sorted(who for people in ROUNDS for who in people)
    assert [str(row) for row in read_table() if not all(status.isdigit() for status in row.expected.values())] == []


@pytest.mark.parametrize("people", ROUNDS, ids=" ".join)
async def test_j4_08_everybody_gets_what_the_table_says(world: World, people: tuple[str, ...]) -> None:
    stage, wrong = await set_stage(world, people), {}
    for who in people:
        for row in read_table():
            got = await stage.ask(who, row)
            if got != row.expected[who]:
                wrong[f"{row} by {who}"] = f"{got} instead of {row.expected[who]}"
    assert wrong == {}
