"""The audit log as a page: the owner's alone, in words, newest first, and without names once somebody is erased."""

from __future__ import annotations

import re

import pytest

from app.audit import SYSTEM, Action, record
from app.privacy.erasing.service import ask_erasure, run_erasure
from app.privacy.records.models import ErasureReason
from app.privacy.rights.trail import KINDS, WORDS
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.web import EVERYONE, Cast


def test_every_action_has_its_words_and_its_kind() -> None:
    assert set(WORDS) == set(Action)
    assert {action.partition(":")[0] for action in Action} == set(KINDS)


@pytest.mark.parametrize("who", EVERYONE)
async def test_only_the_owner_reads_it(cast: Cast, who: str) -> None:
    expected = {"owner": 200, "other_owner": 200, "researcher": 403, "observer": 403}.get(who, 401)
    answer = await (await cast.browser(who)).get("/audit")
    assert answer.status_code == expected
    if who == "other_owner":
        assert "Pilot 1" not in answer.text and "Olga" not in answer.text


async def test_it_says_who_did_what_to_which_thing(cast: Cast) -> None:
    researcher = await cast.browser("researcher")
    await researcher.post(f"/studies/{cast.study}/sessions", data={"title": "Pilot 3", "time_zone": "Europe/Berlin"})
    text = _plain((await (await cast.browser("owner")).get("/audit")).text)
    assert "Rita scheduled a session: Pilot 3" in text
    assert "Olga invited somebody: Anna" in text
    assert text.index("Pilot 3") < text.index("Anna"), "newest first"


async def test_one_kind_can_be_looked_at_alone(cast: Cast) -> None:
    owner = await cast.browser("owner")
    text = _plain((await owner.get("/audit?kind=invitations")).text)
    assert "invited somebody" in text and "made a study" not in text
    assert "Nothing of this kind has happened yet" in (await owner.get("/audit?kind=library")).text
    assert "made a study" in _plain((await owner.get("/audit?kind=nonsense")).text)


async def test_it_is_turned_over_fifty_at_a_time_without_a_gap(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(120):
            await record(
                db,
                account=cast.account,
                actor=SYSTEM,
                action=Action.RETENTION_CHANGED,
                subject=f"study:{cast.study}",
                facts={"version": number},
            )
    owner = await cast.browser("owner")
    seen: list[int] = []
    path = "/audit?kind=studies"
    for _ in range(4):
        page = (await owner.get(path)).text
        seen += [int(one) for one in re.findall(r"version (\d+)<", page)]
        older = re.search(r'href="([^"]*below[^"]*)"', page)
        if older is None:
            break
        path = older[1].replace("&amp;", "&")
    assert seen[:120] == list(range(119, -1, -1))
    assert "Newest" in page and "Older" not in page


async def test_an_erased_person_is_named_no_more(cast: Cast) -> None:
    person = cast.participant.participant
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = await ask_erasure(
            db,
            account=cast.account,
            person=person,
            reason=ErasureReason.REQUEST,
            asked_by=f"participant:{person}",
            instruction="test",
        )
    await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())
    text = _plain((await (await cast.browser("owner")).get("/audit")).text)
    assert "Anna" not in text and "an erased participant asked for an erasure" in text


def _plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split()).replace(" :", ":")
