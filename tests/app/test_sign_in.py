"""Signing in by mailed link: short, single use, and silent about who is a member."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from app.accounts.login import find_login
from app.accounts.members import remove_member
from app.accounts.models import Login, SignInLink
from app.accounts.policy import LinkFacts, may_ask_link, may_use_link, safe_next
from app.accounts.service import address_hash
from app.database import now_in
from tests.fixtures.web import Cast, mails


async def link_for(cast: Cast, address: str = "olga@lab.example") -> str:
    browser = await cast.browser("stranger")
    answer = await browser.post("/sign-in", data={"email": address})
    assert answer.status_code == 200
    content = next(c for m, c in await mails(cast.wiring) if m.template == "sign_in" and c and c.to == address)
    found = re.search(r"http://localhost:8000(/sign-in/\S+)", content.text)
    assert found
    return found[1]


async def test_get_shows_a_button_and_spends_nothing_then_post_signs_in_once(cast: Cast) -> None:
    link = await link_for(cast)
    scanner = await cast.browser("stranger")
    for _ in range(3):
        shown = await scanner.get(link)
        assert shown.status_code == 200
        assert "Olga" not in shown.text
        assert "set-cookie" not in shown.headers
    browser = await cast.browser("stranger")
    answer = await browser.post(link)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Olga" in (await browser.get("/")).text
    again = await (await cast.browser("stranger")).post(link)
    assert again.status_code == 404
    assert "new one" in again.text


async def test_a_known_and_an_unknown_address_get_the_same_answer(cast: Cast) -> None:
    before = len(await mails(cast.wiring))
    browser = await cast.browser("stranger")
    known = await browser.post("/sign-in", data={"email": "olga@lab.example"})
    unknown = await browser.post("/sign-in", data={"email": "nobody@lab.example"})
    assert known.text == unknown.text
    assert known.headers == unknown.headers
    assert len(await mails(cast.wiring)) == before + 1


async def test_a_link_expires(cast: Cast) -> None:
    link = await link_for(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(SignInLink).values(expires_at=await now_in(db)))
    assert (await (await cast.browser("stranger")).post(link)).status_code == 404


async def test_only_a_few_links_are_mailed_at_once(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    for _ in range(5):
        await browser.post("/sign-in", data={"email": "rita@lab.example"})
    assert sum(m.template == "sign_in" for m, _ in await mails(cast.wiring)) == 3


async def test_signing_out_ends_the_login_in_the_database_too(cast: Cast) -> None:
    browser = await cast.browser("owner")
    assert (await browser.get("/studies/new")).status_code == 200
    assert (await browser.post("/sign-out")).status_code == 303
    assert (await browser.get("/studies/new")).status_code == 401


@pytest.mark.parametrize("before", ["owner", "researcher", "other_owner", "participant"])
@pytest.mark.parametrize("way", ["link", "invitation", "data"])
async def test_coming_in_anew_ends_the_login_this_browser_had_and_no_other(cast: Cast, before: str, way: str) -> None:
    invited = httpx.URL(cast.participant.link).path
    guest = {"name": "Anna", "email": "anna@home.example"}
    path = {"link": await link_for(cast), "invitation": invited, "data": f"{invited}/data"}[way]
    browser, elsewhere = await cast.browser(before), await cast.browser(before)
    shown = f"/rooms/{cast.session}/ice" if before == "participant" else "/studies/new"
    old = browser.headers["cookie"].removeprefix("login=")
    assert (await (await cast.web.browser(old)).get(shown)).status_code in (200, 403)
    came = await browser.post(path, data=guest if way == "invitation" else None)
    assert came.status_code == 303
    assert (await (await cast.web.browser(old)).get(shown)).status_code == 401
    assert (await elsewhere.get(shown)).status_code in (200, 403)
    new = came.headers["set-cookie"].partition("login=")[2].partition(";")[0]
    assert (await (await cast.web.browser(new)).get("/" if way == "link" else "/my-data")).status_code == 200


async def test_a_removed_member_is_out_at_once(cast: Cast) -> None:
    link, browser = await link_for(cast, "rita@lab.example"), await cast.browser("researcher")
    async with cast.wiring.database.transaction(cast.account) as db:
        await remove_member(db, member=cast.researcher)
    assert (await browser.get("/studies/new")).status_code == 401
    assert (await browser.post(link)).status_code == 404


async def test_an_expired_login_is_none(cast: Cast) -> None:
    browser = await cast.browser("owner")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Login).values(expires_at=await now_in(db)))
    assert (await browser.get("/studies/new")).status_code == 401
    async with cast.wiring.database.transaction() as db:
        assert await find_login(db, cast.wiring.columns, "no such token") is None


async def test_addresses_are_found_by_keyed_hash_only(cast: Cast) -> None:
    keys = cast.wiring.keys
    assert address_hash(keys, "Olga@LAB.example ") == address_hash(keys, "olga@lab.example")
    assert address_hash(keys, "olga@lab.example") != address_hash(type(keys)(), "olga@lab.example")


@pytest.mark.parametrize(
    ("next_path", "goes_to"),
    [
        ("/sessions/1", "/sessions/1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nset-cookie: x", "/"),
        ("", "/"),
    ],
)
def test_the_next_page_is_always_ours(next_path: str, goes_to: str) -> None:
    assert safe_next(next_path) == goes_to


async def test_link_rules() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    fresh = LinkFacts(expires_at=now + timedelta(minutes=10), used=False, member_removed=False)
    assert may_use_link(fresh, now)
    assert not may_use_link(fresh, now + timedelta(minutes=10))
    assert not may_use_link(LinkFacts(expires_at=fresh.expires_at, used=True, member_removed=False), now)
    assert not may_use_link(LinkFacts(expires_at=fresh.expires_at, used=False, member_removed=True), now)
    assert may_ask_link(2)
    assert not may_ask_link(3)
