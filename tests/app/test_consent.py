"""Consent: nothing is given without a click, every change is a record with the text shown, and taking back is
as easy as giving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from app.main import create_app
from app.participants.consents import standing_consents
from app.participants.models import Consent
from app.participants.policy import ConsentEntry, current, outdated, standing
from app.participants.service import study_notice
from app.privacy.records.models import Erasure
from app.privacy.rights import take_part
from app.room.node_client import NodeClient
from app.sessions.models import Session, SessionState
from app.studies.models import ConsentKind, Study
from app.studies.service import new_consent_text
from tests.fixtures.web import Cast, Web


async def log(cast: Cast) -> list[Consent]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Consent).order_by(Consent.number)))


async def allowed(cast: Cast) -> frozenset[ConsentKind]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await standing_consents(db, session=cast.session, participant=cast.participant.participant)


async def test_the_page_has_one_unticked_switch_per_kind_of_the_study(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(kinds=["video", "screen"]))
    page = (await (await cast.browser("participant")).get(f"/take-part/{cast.session}")).text
    assert page.count('role="switch"') == 2 and " checked" not in page
    assert 'value="video"' in page and 'value="screen"' in page and "sound of a shared tab" in page
    assert "We would like to watch you buy a lamp." in page


async def test_looking_and_registering_give_nothing(cast: Cast) -> None:
    browser = await cast.browser("participant")
    await browser.get(f"/take-part/{cast.session}")
    await browser.post(f"/take-part/{cast.session}", data={})
    assert await log(cast) == [] and await allowed(cast) == frozenset()


async def test_each_record_names_the_text_that_was_shown(cast: Cast) -> None:
    browser = await cast.browser("participant")
    answer = await browser.post(f"/take-part/{cast.session}", data={"consent": ["video", "audio"]})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/rooms/{cast.session}")
    assert await allowed(cast) == {ConsentKind.VIDEO, ConsentKind.AUDIO}
    async with cast.wiring.database.transaction(cast.account) as db:
        study = await db.get_one(Study, cast.study)
        wiring = cast.wiring
        shown = (await study_notice(db, wiring.columns, wiring.settings, account=cast.account, study=study))[1]
    for entry in await log(cast):
        assert entry.given and entry.text_version == 1 and entry.text_hash == shown.hash
        assert entry.language == "en" and entry.purpose == "research" and entry.at.tzinfo
    assert shown.fingerprint in (await browser.get(f"/take-part/{cast.session}/notice")).text


async def test_saving_the_same_again_writes_nothing_and_a_new_text_asks_again(cast: Cast) -> None:
    browser, page = await cast.browser("participant"), f"/take-part/{cast.session}"
    for _ in range(2):
        await browser.post(page, data={"consent": "video"})
    assert len(await log(cast)) == 1 and "has changed" not in (await browser.get(page)).text
    async with cast.wiring.database.transaction(cast.account) as db:
        await new_consent_text(db, study=cast.study, text="A new text.")
    assert "has changed" in (await browser.get(page)).text
    await browser.post(page, data={"consent": "video"})
    assert [entry.text_version for entry in await log(cast)] == [1, 2]
    assert "has changed" not in (await browser.get(page)).text


async def test_unticking_withdraws_and_ticking_gives_again(cast: Cast) -> None:
    browser, page = await cast.browser("participant"), f"/take-part/{cast.session}"
    await browser.post(page, data={"consent": ["video", "audio"]})
    await browser.post(page, data={"consent": "audio"})
    assert await allowed(cast) == {ConsentKind.AUDIO}
    await browser.post(page, data={"consent": ["audio", "video"]})
    entries = [(entry.kind, entry.given) for entry in await log(cast)]
    assert entries == [("video", True), ("audio", True), ("video", False), ("video", True)]


async def test_one_switch_in_the_room_works_without_leaving_the_page(cast: Cast) -> None:
    browser, switch = await cast.browser("participant"), f"/take-part/{cast.session}/consent"
    browser.headers["accept"] = "application/json"
    assert (await browser.post(switch, data={"kind": "audio", "given": "yes"})).json() == {
        "kind": "audio",
        "given": True,
    }
    assert (await browser.post(switch, data={"kind": "audio", "given": "no"})).status_code == 200
    assert await allowed(cast) == frozenset()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "audio"},
        {"kind": "audio", "given": "perhaps"},
        {"kind": "thoughts", "given": "yes"},
        {"kind": "audio", "given": "yes", "participant": "x"},
    ],
)
async def test_a_switch_that_is_none_changes_nothing(cast: Cast, data: dict[str, str]) -> None:
    browser = await cast.browser("participant")
    assert (await browser.post(f"/take-part/{cast.session}/consent", data=data)).status_code == 422
    assert (await browser.post(f"/take-part/{cast.session}", data={"consent": "thoughts"})).status_code == 422
    assert await log(cast) == []


async def test_a_kind_the_study_does_not_record_cannot_be_given(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(kinds=["audio"]))
    browser = await cast.browser("participant")
    assert (await browser.post(f"/take-part/{cast.session}", data={"consent": "video"})).status_code == 422
    answer = await browser.post(f"/take-part/{cast.session}/consent", data={"kind": "video", "given": "yes"})
    assert answer.status_code == 422 and await log(cast) == []


async def test_another_participant_cannot_consent_for_this_one(cast: Cast) -> None:
    browser = await cast.browser("other_participant")
    switch = {"kind": "video", "given": "yes"}
    assert (await browser.post(f"/take-part/{cast.session}/consent", data=switch)).status_code == 404
    assert await log(cast) == []


async def test_the_room_hears_of_a_change_after_it_is_committed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read through another connection, as the push does, the withdrawal is already there."""
    heard: list[frozenset[ConsentKind]] = []

    async def push(wiring: Any, node: Any, *, account: Any, session: Any) -> bool:
        heard.append(await allowed(cast))
        return True

    monkeypatch.setattr(take_part, "push_session", push)
    with_node = replace(cast, web=Web(create_app(cast.wiring, node_client=NodeClient(cast.wiring.settings))))
    async with with_node.web.stack:
        browser = await with_node.browser("participant")
        await browser.post(f"/take-part/{cast.session}/consent", data={"kind": "video", "given": "yes"})
        await browser.post(f"/take-part/{cast.session}/consent", data={"kind": "video", "given": "no"})
    assert heard == [{ConsentKind.VIDEO}, frozenset()]


async def test_the_log_cannot_be_rewritten(cast: Cast) -> None:
    await (await cast.browser("participant")).post(f"/take-part/{cast.session}", data={"consent": "video"})
    with pytest.raises(DBAPIError):
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(update(Consent).values(given=False))
    assert await allowed(cast) == {ConsentKind.VIDEO}


async def test_withdrawing_before_anything_was_recorded_asks_for_no_erasure(cast: Cast) -> None:
    browser = await cast.browser("participant")
    await browser.post(f"/take-part/{cast.session}", data={"consent": "video"})
    await browser.post(f"/take-part/{cast.session}", data={})
    async with cast.wiring.database.transaction(cast.account) as db:
        assert list(await db.scalars(select(Erasure))) == []


entries = st.lists(
    st.builds(
        ConsentEntry,
        kind=st.sampled_from(list(ConsentKind)),
        given=st.booleans(),
        text_hash=st.sampled_from([b"a", b"b", b"c"]),
        language=st.sampled_from(["en", "de", "xx"]),
    ),
    max_size=12,
)
texts = st.dictionaries(st.sampled_from(["en", "de"]), st.sampled_from([b"a", b"b"]))


@given(entries, texts)
def test_only_the_last_word_on_a_kind_counts_and_only_under_the_text_that_stands(
    history: list[ConsentEntry], now: dict[str, bytes]
) -> None:
    for kind in ConsentKind:
        words = [entry for entry in history if entry.kind is kind]
        given_last = bool(words and words[-1].given)
        same = given_last and now.get(words[-1].language) == words[-1].text_hash
        assert (kind in standing(history)) == given_last
        assert (kind in current(history, now)) == same, "never recorded under a text that has changed"
        assert (kind in outdated(history, now)) == (given_last and not same)


@pytest.mark.parametrize("where", ["", "/consent"])
async def test_after_the_session_a_forwarded_link_takes_nothing_back(cast: Cast, where: str) -> None:
    """Switching off would erase what is stored; in the room it stays one click."""
    browser, page = await cast.browser("participant"), f"/take-part/{cast.session}"
    await browser.post(page, data={"consent": ["video", "audio"]})
    await browser.post(f"{page}/consent", data={"kind": "video", "given": "no"})
    assert await allowed(cast) == {ConsentKind.AUDIO}
    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(Session, cast.session)).state = SessionState.ENDED
    answer = await browser.post(page + where, data={"kind": "audio", "given": "no"} if where else {})
    assert answer.status_code == 401 and "My data" in answer.text
    assert await allowed(cast) == {ConsentKind.AUDIO}
    assert (await browser.post(page, data={"consent": ["audio"]})).status_code == 303, "nothing is taken back here"
