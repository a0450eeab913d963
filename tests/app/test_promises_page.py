"""The promises are for everybody to read, without signing in, and each stands as the last run left it."""

from __future__ import annotations

import re

import pytest

from app.privacy.promises import Standing, last_run
from tests.fixtures.web import Cast

ROW = re.compile(r'<li id="([^"]+)">')


def ids(page: str) -> list[str]:
    return ROW.findall(page)


def listed(standing: Standing | None) -> list[str]:
    rows = last_run().rows
    return [row.id.replace(",", "-") for row in rows if standing in (None, row.standing)]


@pytest.mark.parametrize("who", ["stranger", "owner", "observer", "participant"])
async def test_everybody_reads_every_row_of_the_list_with_its_standing(cast: Cast, who: str) -> None:
    answer = await (await cast.browser(who)).get("/promises")
    assert answer.status_code == 200 and ids(answer.text) == listed(None)
    for one in Standing:
        assert answer.text.count(f'<span class="standing {one.replace(" ", "-")}">') == last_run().count(one)
    assert f"version {last_run().commit}" in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize("standing", list(Standing))
async def test_one_standing_is_shown_alone_and_a_made_up_one_shows_all(cast: Cast, standing: Standing) -> None:
    stranger = await cast.browser("stranger")
    page = (await stranger.get(f"/promises?status={standing.replace(' ', '-')}")).text
    assert ids(page) == listed(standing)
    assert len(re.findall(r'aria-current="page"', page)) == 1
    assert ids((await stranger.get("/promises?status=<b>")).text) == listed(None)


async def test_what_is_not_kept_says_why_and_what_is_kept_names_its_tests(cast: Cast) -> None:
    page = (await (await cast.browser("stranger")).get("/promises")).text
    for row in last_run().rows:
        told = page.partition(f'<li id="{row.id.replace(",", "-")}">')[2].partition("<li id=")[0]
        assert ("test passed" in told or "tests passed" in told) == bool(row.tests)
        assert row.reason or row.standing is Standing.KEPT
        assert all(test.file in told for test in row.tests)


async def test_the_foot_of_every_page_leads_there_and_german_goes_along(cast: Cast) -> None:
    stranger, owner = await cast.browser("stranger"), await cast.browser("owner")
    for browser, path in ((stranger, "/sign-in"), (owner, "/"), (owner, "/audit"), (stranger, "/no-such-page")):
        foot = (await browser.get(path, headers={"accept": "text/html"})).text.partition('<footer class="foot">')[2]
        assert 'href="/promises' in foot, path
    invited = (await stranger.get(f"{cast.participant.link}?language=de")).text
    assert '<a href="/promises?language=de">Versprechen und ihre Prüfungen</a>' in invited
    german = (await stranger.get("/promises?language=de&status=kept")).text
    assert "Was eine Klinik verspricht" in german and "?status=not-yet&amp;language=de" in german
