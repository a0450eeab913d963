"""The way in: opening a link spends nothing, registering takes exactly name and address, and a forwarded link
never shows or moves anything of the person it was meant for."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update

from app.accounts.models import Login
from app.database import now_in
from app.invitations.models import Invitation
from app.participants.models import Participant
from app.participants.service import EMAIL_FIELD, NAME_FIELD
from tests.fixtures.web import EVERYONE, ORIGIN, Cast

TYPED = {"name": "Anna", "email": "anna@home.example"}


def link(cast: Cast) -> str:
    return cast.participant.link.removeprefix(ORIGIN)


async def person(cast: Cast) -> Participant:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.get_one(Participant, cast.participant.participant)


async def logins(cast: Cast) -> int:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.scalar(select(func.count()).select_from(Login)) or 0


async def test_get_and_head_spend_nothing_and_tell_nothing(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    for _ in range(3):
        assert (await browser.get(link(cast))).status_code == 200
        await browser.head(link(cast))
    shown = (await browser.get(link(cast))).text
    assert "Anna" not in shown and "anna@home.example" not in shown
    assert "Checkout" in shown and "study@lab.example" in shown and "Privacy notice" in shown
    assert (await person(cast)).registered_at is None and await logins(cast) == 0
    assert not browser.cookies


async def test_registering_comes_in_by_cookie_at_a_clean_address(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    answer = await browser.post(link(cast), data=TYPED)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/take-part/{cast.session}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie
    row, columns = await person(cast), cast.wiring.columns
    assert row.registered_at is not None
    assert columns.open(cast.account, cast.participant.participant, NAME_FIELD, row.name) == "Anna"
    assert (await browser.get(answer.headers["location"])).status_code == 200


@pytest.mark.parametrize("extra", ["phone", "account_id", "registered_at", "role", "name[]"])
async def test_exactly_two_fields_are_taken(cast: Cast, extra: str) -> None:
    browser = await cast.browser("stranger")
    answer = await browser.post(link(cast), data=TYPED | {extra: "x"})
    assert answer.status_code == 422
    assert (await person(cast)).registered_at is None and await logins(cast) == 0


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"name": "Anna"},
        {"email": "anna@home.example"},
        {"name": "", "email": "anna@home.example"},
        {"name": "Anna", "email": "not an address"},
        {"name": "An\r\nBcc: x@y.example", "email": "anna@home.example"},
        {"name": "A" * 101, "email": "anna@home.example"},
        {"name": "Anna", "email": "someone@else.example"},
        {"name": "Anna", "email": "ben@home.example"},
    ],
)
async def test_what_does_not_fit_is_said_beside_the_field_and_kept(cast: Cast, typed: dict[str, str]) -> None:
    browser = await cast.browser("stranger")
    answer = await browser.post(link(cast), data=typed)
    assert answer.status_code == 422 and 'class="wrong"' in answer.text
    assert (await person(cast)).registered_at is None and await logins(cast) == 0


async def test_the_address_counts_in_any_spelling(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    answer = await browser.post(link(cast), data={"name": "Anna", "email": " ANNA@Home.Example "})
    assert answer.status_code == 303


async def test_the_link_again_opens_the_room_and_changes_nothing(cast: Cast) -> None:
    first, second = await cast.browser("stranger"), await cast.browser("stranger")
    await first.post(link(cast), data=TYPED)
    before = await person(cast)
    page = (await second.get(link(cast))).text
    assert 'name="email"' not in page and "Anna" not in page
    answer = await second.post(link(cast))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/take-part/{cast.session}")
    await second.post(link(cast), data={"name": "Mallory", "email": "anna@home.example"})
    after = await person(cast)
    columns = cast.wiring.columns
    assert columns.open(cast.account, cast.participant.participant, NAME_FIELD, after.name) == "Anna"
    assert after.registered_at == before.registered_at


async def test_a_forwarded_link_opens_no_stored_data(cast: Cast) -> None:
    await (await cast.browser("stranger")).post(link(cast), data=TYPED)
    other = await cast.browser("stranger")
    await other.post(link(cast))
    for path in ("/my-data", "/my-data/erase"):
        answer = await other.get(path)
        assert "anna@home.example" not in answer.text and answer.status_code in (200, 401)
    assert "Send me a code" in (await other.get("/my-data")).text
    assert (await other.post("/my-data/erase")).status_code == 401
    assert (await other.post(f"/my-data/{cast.session}/withdraw", data={"kind": "video"})).status_code == 401
    assert (await other.post("/my-data/unsubscribe")).status_code == 401


async def spoil(cast: Cast, how: str) -> str:
    """A link that must not work, and how it came about."""
    if how == "unknown":
        return "/i/" + "x" * 43
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        past = {"expired": {"expires_at": now - timedelta(seconds=1)}, "revoked": {"revoked_at": now}}[how]
        await db.execute(update(Invitation).where(Invitation.id == cast.participant.invitation).values(**past))
    return link(cast)


def neutral(answer: httpx.Response, path: str) -> tuple[int, str]:
    return answer.status_code, answer.text.replace(path, "LINK")


async def test_expired_and_revoked_links_get_the_same_page_and_say_whom_to_ask(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    pages = set()
    for how in ("expired", "revoked"):
        path = await spoil(cast, how)
        for answer in (await browser.get(path), await browser.post(path, data=TYPED)):
            pages.add(neutral(answer, path))
    [(status, page)] = pages
    assert status == 404 and "Privacy notice of" in page and page.count("mailto:study@lab.example") == 2
    assert "Go to my data" in page and "Checkout" not in page and "Anna" not in page
    path = await spoil(cast, "unknown")
    unknown = {neutral(one, path) for one in (await browser.get(path), await browser.post(path, data=TYPED))}
    [(status, page)] = unknown
    assert status == 404 and "mailto:help@junier.example" in page
    assert "study@lab.example" not in page and "Go to my data" not in page
    assert (await person(cast)).registered_at is None and await logins(cast) == 0


@pytest.mark.parametrize("how", ["expired", "revoked"])
async def test_a_link_that_invites_no_longer_still_leads_to_my_data(cast: Cast, how: str) -> None:
    """A person's rights do not end with the invitation; the code to the registered address is the identity."""
    browser = await cast.browser("stranger")
    path = await spoil(cast, how)
    answer = await browser.post(f"{path}/data")
    assert (answer.status_code, answer.headers["location"]) == (303, "/my-data")
    assert "Send me a code" in (await browser.get("/my-data")).text
    assert (await (await cast.browser("stranger")).post("/i/unknown/data")).status_code == 404


async def test_a_post_from_another_site_does_nothing(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    answer = await browser.post(link(cast), data=TYPED, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403 and (await person(cast)).registered_at is None


async def test_nobody_but_the_invited_opens_the_consent_page(cast: Cast) -> None:
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = (
            (await browser.get(f"/take-part/{cast.session}")).status_code,
            (await browser.get(f"/take-part/{cast.session}/notice")).status_code,
            (await browser.post(f"/take-part/{cast.session}", data={"consent": "video"})).status_code,
        )
    refused = (401, 401, 401)
    assert seen == {
        "owner": refused,
        "researcher": refused,
        "observer": refused,
        "other_owner": refused,
        "participant": (200, 200, 303),
        "other_participant": (404, 404, 404),
        "stranger": refused,
    }


async def test_the_name_is_not_stored_in_clear(cast: Cast) -> None:
    await (await cast.browser("stranger")).post(link(cast), data=TYPED)
    row = await person(cast)
    assert row.name and b"Anna" not in row.name and row.email and b"anna" not in row.email
    columns = cast.wiring.columns
    assert columns.open(cast.account, cast.participant.participant, EMAIL_FIELD, row.email) == "anna@home.example"
