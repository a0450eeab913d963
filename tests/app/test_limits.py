"""Limits hold over all web processes, are told with a reason, and never stand before a participant's rights."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from litestar.datastructures import Headers
from litestar.handlers.http_handlers import HTTPRouteHandler
from sqlalchemy import func, select, text

from app import limits
from app.invitations.models import Invitation
from app.limited_routes import RULES, UNLIMITED, By, Rule, asker, at_most
from app.limits import Limit, Limited, Rate, client_address, spend
from app.main import create_app
from app.sessions.service import schedule
from app.settings import Settings
from app.wiring import Wiring
from tests.fixtures.ports import free_port
from tests.fixtures.web import Cast, Web

FIVE = Limit(name="test", times=5, per=timedelta(minutes=5))


async def ask(wiring: Wiring, asker: str = "anna", limit: Limit = FIVE, times: int = 1) -> bool:
    try:
        async with wiring.database.transaction() as db:
            await spend(db, wiring.columns, limit, asker, times=times)
    except Limited:
        return False
    return True


async def leak(wiring: Wiring, by: timedelta) -> None:
    """As if so much time had passed."""
    async with wiring.database.transaction() as db:
        await db.execute(text("UPDATE rate SET leaked_at = leaked_at - CAST(:by AS interval)"), {"by": by})


async def test_so_many_at_once_then_as_many_again_as_time_has_passed(wiring: Wiring) -> None:
    assert [await ask(wiring) for _ in range(7)] == [True] * 5 + [False] * 2
    await leak(wiring, timedelta(minutes=1))
    assert [await ask(wiring) for _ in range(2)] == [True, False]
    await leak(wiring, timedelta(hours=10))
    assert [await ask(wiring) for _ in range(6)] == [True] * 5 + [False]


async def test_askers_and_limits_are_counted_apart(wiring: Wiring) -> None:
    assert [await ask(wiring) for _ in range(6)][-1] is False
    assert await ask(wiring, "ben")
    assert await ask(wiring, limit=Limit(name="other", times=1, per=timedelta(minutes=5)))


async def test_several_at_once_count_as_several_and_too_many_count_as_none(wiring: Wiring) -> None:
    assert not await ask(wiring, times=6)
    assert await ask(wiring, times=4)
    assert not await ask(wiring, times=2)
    assert await ask(wiring, times=1)


async def test_askings_at_the_same_moment_are_all_counted(wiring: Wiring) -> None:
    assert sum(await asyncio.gather(*(ask(wiring) for _ in range(12)))) == 5


async def test_the_wait_that_is_told_is_enough(wiring: Wiring) -> None:
    for _ in range(5):
        await ask(wiring)
    with pytest.raises(Limited) as refused:
        async with wiring.database.transaction() as db:
            await spend(db, wiring.columns, FIVE, "anna")
    wait = refused.value.retry_after_s
    assert 0 < wait <= 60 and f"Please try again in {wait} seconds" in str(refused.value)
    await leak(wiring, timedelta(seconds=wait))
    assert await ask(wiring)


async def test_what_has_leaked_away_is_forgotten_and_no_address_is_kept(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(wiring, "203.0.113.7")
    async with wiring.database.transaction() as db:
        kept = (await db.execute(text("SELECT t::text FROM rate t"))).scalars().all()
    assert len(kept) == 1 and "203.0.113.7" not in kept[0] and b"203.0.113.7".hex() not in kept[0]
    await leak(wiring, timedelta(hours=1))
    monkeypatch.setattr(limits, "SWEEP_ONE_IN", 1)
    await ask(wiring, "ben")
    async with wiring.database.transaction() as db:
        assert await db.scalar(select(func.count()).select_from(Rate)) == 1


# --- the table ------------------------------------------------------------------------------------------------------


def routes(web: Web) -> set[str]:
    found = set()
    for route in web.app.routes:
        for handler in getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]:
            methods = handler.http_methods if isinstance(handler, HTTPRouteHandler) else {"WS"}
            found |= {f"{method} {route.path_format}" for method in methods}
    return found


async def test_every_limited_route_exists(web: Web) -> None:
    assert set(RULES) - routes(web) == set()
    assert UNLIMITED - routes(web) == set()


def test_no_limit_stands_before_withdrawing_unsubscribing_and_erasing() -> None:
    assert UNLIMITED & set(RULES) == set()
    words = ("withdraw", "unsubscribe", "erase", "consent", "sign-out", "{step}", "/data")
    assert [route for route in RULES if any(word in route for word in words)] == []


def test_the_signalling_of_a_class_of_thirty_behind_one_address_fits_into_a_minute() -> None:
    people = 30
    asked = {
        "POST /i/{token}": people,
        "POST /whip": 2 * people,
        "POST /whep/{recording}": people * 2 * people,
        "WS /rooms/{session}/events": 3 * people,
    }
    for route, times in asked.items():
        of_the_address = [rule for rule in RULES[route] if rule.by is By.ADDRESS]
        assert all(rule.times >= 3 * times for rule in of_the_address), route


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, tuple[Rule, ...]]:
    """Small numbers, so that a test reaches them."""
    rules = {
        "POST /sign-in": (at_most(3, By.ADDRESS, minutes=10),),
        "POST /rooms/{session}/token": (at_most(2, By.LOGIN, minutes=10),),
        "POST /i/{token}": (at_most(2, By.PATH, minutes=10), at_most(5, By.ADDRESS, minutes=10)),
    }
    for route, found in rules.items():
        monkeypatch.setitem(RULES, route, found)  # type: ignore[arg-type]
    return rules


async def sign_in(browser: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await browser.post("/sign-in", data={"email": "nobody@home.example"}, headers=headers)


@pytest.mark.usefixtures("tight")
async def test_two_web_processes_count_together_and_say_why_and_when(web: Web, wiring: Wiring) -> None:
    second = Web(create_app(wiring))
    one, other = await web.browser(), await second.browser()
    async with second.stack:
        assert [(await sign_in(browser)).status_code for browser in (one, other, one)] == [200, 200, 200]
        refused = await sign_in(other)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 200
    assert "Too many requests in a short time. Please try again in" in refused.text
    problem = await sign_in(one, accept="application/json")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["status"] == 429 and "try again in" in problem.json()["detail"]


@pytest.mark.usefixtures("tight")
async def test_one_login_does_not_use_up_what_another_may(cast: Cast) -> None:
    path, form = f"/rooms/{cast.session}/token", {"stream": "camera"}
    owner, researcher = await cast.browser("owner"), await cast.browser("researcher")
    assert [(await owner.post(path, data=form)).status_code for _ in range(3)] == [201, 201, 429]
    assert (await researcher.post(path, data=form)).status_code == 201


@pytest.mark.usefixtures("tight")
async def test_a_link_that_is_hammered_leaves_other_links_and_the_way_to_ones_data_open(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    path = httpx.URL(cast.participant.link).path
    form = {"name": "Anna", "email": "anna@home.example"}
    assert [(await browser.post(path, data=form)).status_code for _ in range(3)] == [303, 303, 429]
    other = httpx.URL(cast.other_participant.link).path
    assert (await browser.post(other, data={"name": "Ben", "email": "ben@home.example"})).status_code == 303
    assert [(await browser.post(f"{path}/data")).status_code for _ in range(8)] == [303] * 8


@pytest.mark.usefixtures("tight")
async def test_what_is_refused_further_in_counts_too(cast: Cast) -> None:
    stranger = await cast.browser("stranger")
    answers = [(await stranger.post(f"/rooms/{cast.session}/token")).status_code for _ in range(3)]
    assert answers == [401, 401, 429]


# --- whose address --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(host: str, counted: str) -> None:
    assert client_address(SimpleNamespace(client=SimpleNamespace(host=host))) == counted  # type: ignore[arg-type]


def test_a_login_is_a_cookie_or_a_token_and_else_the_address() -> None:
    def by_login(cookies: dict[str, str], **headers: str) -> str:
        connection: Any = SimpleNamespace(
            headers=Headers(headers), cookies=cookies, client=SimpleNamespace(host="203.0.113.7")
        )
        return asker(connection, By.LOGIN, "login")

    seen = [by_login({}), by_login({"login": "a"}), by_login({"login": "b"}), by_login({}, authorization="Bearer a")]
    assert len(set(seen)) == 4 and seen[0] == "203.0.113.7"
    assert not any(secret in one for one in seen[1:] for secret in ("login", "Bearer"))


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize(("proxies", "expected"), [("192.0.2.1", [200, 200, 200, 429, 429]), ("127.0.0.1", [200] * 5)])
async def test_a_forged_address_counts_only_when_a_proxy_of_ours_says_it(
    wiring: Wiring, proxies: str, expected: list[int]
) -> None:
    """Served as `junier web` serves; but for JUNIER_TRUSTED_PROXIES nobody chooses their own address."""
    settings = Settings(trusted_proxies=proxies)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(wiring),
            port=port,
            log_config=None,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=list(settings.proxies),
        )
    )
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    base, headers = f"http://127.0.0.1:{port}", {"origin": wiring.settings.origin}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as me:
        answers = [await sign_in(me, **{"x-forwarded-for": f"198.51.100.{number}"}) for number in range(5)]
    server.should_exit = True
    await serving
    assert [answer.status_code for answer in answers] == expected


async def test_an_account_invites_so_many_a_day_and_a_list_that_is_too_long_invites_nobody(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.invitations.service.INVITATIONS", Limit(name="test", times=3, per=timedelta(days=1)))
    async with cast.wiring.database.transaction(cast.account) as db:
        session = await schedule(db, account=cast.account, study=cast.study, title="Class", group=True)
    owner = await cast.browser("owner")
    path, people = f"/sessions/{session}/invitations/list", "Cem;cem@home.example\nDora;dora@home.example"
    seen = re.search(r'name="seen" value="(\w+)"', (await owner.post(path, data={"people": people})).text)
    assert seen is not None
    form = {"people": people, "step": "invite", "seen": seen[1]}
    for name in ("Ann", "Bea"):
        invited = {"name": name, "email": f"{name}@home.example"}
        assert (await owner.post(f"/sessions/{session}/invitations", data=invited)).status_code == 303
    assert (await owner.post(path, data=form)).status_code == 429
    assert await invited_to(cast, session) == 2
    last = {"name": "Cem", "email": "cem@home.example"}
    assert (await owner.post(f"/sessions/{session}/invitations", data=last)).status_code == 303
    assert (
        await owner.post(f"/sessions/{session}/invitations", data=last | {"email": "e@e.example"})
    ).status_code == 429
    assert await invited_to(cast, session) == 3


async def invited_to(cast: Cast, session: UUID) -> int:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.scalar(select(func.count()).where(Invitation.session_id == session)) or 0
