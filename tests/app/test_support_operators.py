"""Operators sign in by a mailed link and then a passkey; before that, and without a grant, nothing is open to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from app.accounts.models import Passkey
from app.audit import AuditEvent, verify
from app.sealed_columns import PLATFORM
from app.support.login import cookie_name
from app.support.models import Operator, OperatorLink, OperatorLogin, OperatorPasskey
from app.support.operators import AlreadyOperator, NoOperator, add_operator, operators, remove_operator
from recordings.encryption.keystore import KeyPath
from recordings.model import PersonId
from tests.app.support_stage import OperatorAtWork
from tests.fixtures.authenticator import PRESENT, Authenticator
from tests.fixtures.web import Cast

CLOSED = ("/support/requests", "/support/grants/{0}/end", "/support/requests/{0}/refuse", "/support/passkey")


@pytest.fixture
async def omar(cast: Cast) -> OperatorAtWork:
    made = OperatorAtWork(cast.wiring, await cast.web.browser())
    await made.added()
    return made


async def another(cast: Cast, operator: OperatorAtWork) -> OperatorAtWork:
    """The same operator in a fresh browser."""
    return replace(operator, http=await cast.web.browser())


async def is_in(operator: OperatorAtWork) -> bool:
    return (await operator.get("/support")).status_code == 200


async def test_the_first_link_asks_for_a_first_passkey_and_later_ones_for_that_one(
    cast: Cast, omar: OperatorAtWork
) -> None:
    assert (await omar.get("/support")).headers["location"] == "/support/sign-in"
    answer = await omar.follow_link()
    assert (answer.status_code, answer.headers["location"]) == (303, "/support/passkey")
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=lax" in answer.headers["set-cookie"]
    assert "Make a passkey" in (await omar.get("/support/passkey")).text
    assert not await is_in(omar)
    assert (await omar.get("/support")).headers["location"] == "/support/passkey"
    name = cookie_name(cast.wiring.settings)
    before = omar.http.cookies[name]
    assert (await omar.show_passkey()).status_code == 303
    assert await is_in(omar)
    reader = await another(cast, omar)  # somebody who read the cookie before the passkey was shown
    assert (await reader.get("/support", Cookie=f"{name}={before}")).headers["location"] == "/support/sign-in"

    later = await another(cast, omar)
    await later.follow_link()
    assert "Show my passkey" in (await later.get("/support/passkey")).text
    assert not await is_in(later) and not await is_in(omar)  # a new login ends the former one
    assert (await later.show_passkey()).status_code == 303
    assert await is_in(later)
    answer = await later.post("/support/sign-out")
    assert answer.headers["location"] == "/support/sign-in" and not await is_in(later)


async def test_whoever_has_the_mailbox_alone_gets_nowhere(cast: Cast, omar: OperatorAtWork) -> None:
    """Neither with a passkey of their own, nor with one of a member, nor with the right one in the wrong way."""
    await omar.sign_in()
    thief = replace(await another(cast, omar), device=Authenticator())
    await thief.follow_link()
    asked = (await thief.post("/support/passkey/challenge")).json()
    assert "user" not in asked  # none is made beside the one there is
    made = thief.device.make(asked | {"user": {"id": "b21hcg"}})
    assert (await thief.post("/support/passkey", {"credential": made})).status_code == 403
    for wrong in (
        replace(omar.device, key=Authenticator().key),
        replace(omar.device, user=cast.owner.bytes),
        replace(omar.device, origin="https://evil.example"),
        replace(omar.device, flags=PRESENT),
        replace(omar.device, id=Authenticator().id),
    ):
        asked = (await thief.post("/support/passkey/challenge")).json()
        answer = await thief.post("/support/passkey", {"credential": wrong.show(asked)})
        assert answer.status_code == 403 and "could not be used" in answer.text
        assert not await is_in(thief)
    asked = (await thief.post("/support/passkey/challenge")).json()
    said = omar.device.show(asked)
    bad = replace(omar.device, origin="https://evil.example").show(asked)
    assert (await thief.post("/support/passkey", {"credential": bad})).status_code == 403
    assert (await thief.post("/support/passkey", {"credential": said})).status_code == 403  # its challenge is spent
    await (another_one := await another(cast, omar)).follow_link()
    asked = (await another_one.post("/support/passkey/challenge")).json()
    async with cast.wiring.database.transaction(PLATFORM) as db:
        await db.execute(update(OperatorLogin).values(challenge_until=func.now()))
    answer = await another_one.post("/support/passkey", {"credential": omar.device.show(asked)})
    assert answer.status_code == 403  # too late
    assert len(await rows(cast, OperatorPasskey)) == 1


async def test_passkeys_of_operators_and_of_members_are_not_each_others(cast: Cast, omar: OperatorAtWork) -> None:
    await omar.sign_in()
    stranger = await cast.browser("stranger")
    asked = (await stranger.post("/sign-in/passkey/challenge")).json()
    answer = await stranger.post("/sign-in/passkey", data={"credential": omar.device.show(asked)})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers
    member, device = await cast.browser("owner"), Authenticator()
    made = device.make((await member.post("/passkeys/challenge")).json())
    assert (await member.post("/passkeys", data={"name": "Laptop", "credential": made})).status_code == 303
    later = replace(await another(cast, omar), device=device)
    await later.follow_link()
    assert (await later.show_passkey()).status_code == 403
    async with cast.wiring.database.transaction(cast.account) as db:
        assert len((await db.scalars(select(Passkey))).all()) == 1


async def test_a_second_device_is_added_by_who_showed_the_first(cast: Cast, omar: OperatorAtWork) -> None:
    await omar.sign_in()
    first, omar.device = omar.device, Authenticator()
    assert "Make a passkey" in (await omar.get("/support/passkey")).text
    assert (await omar.show_passkey()).status_code == 303
    assert len(await rows(cast, OperatorPasskey)) == 2
    for device in (first, omar.device):
        later = replace(await another(cast, omar), device=device)
        await later.follow_link()
        assert (await later.show_passkey()).status_code == 303 and await is_in(later)


async def test_a_link_works_once_for_ten_minutes_and_looking_at_it_spends_nothing(
    cast: Cast, omar: OperatorAtWork
) -> None:
    link = await omar.link()
    for _ in range(2):
        page = await omar.get(link)
        assert page.status_code == 200 and "set-cookie" not in page.headers
    assert (await omar.post(link)).status_code == 303
    assert (await omar.post(link)).status_code == 404
    late = await omar.link()
    async with cast.wiring.database.transaction(PLATFORM) as db:
        await db.execute(update(OperatorLink).values(expires_at=func.now()))
    assert (await omar.post(late)).status_code == 404
    assert (await omar.post("/support/sign-in/" + "x" * 43)).status_code == 404
    assert (await omar.post(link.replace("/support", ""))).status_code == 404  # no member's link either


async def test_known_and_unknown_addresses_get_the_same_answer(cast: Cast, omar: OperatorAtWork) -> None:
    known = await omar.post("/support/sign-in", {"email": omar.email})
    unknown = await omar.post("/support/sign-in", {"email": "olga@lab.example"})
    assert (known.status_code, known.text, known.headers) == (unknown.status_code, unknown.text, unknown.headers)
    assert len(await omar.mailed("operator_sign_in")) == 1
    wrong = await omar.post("/support/sign-in", {"email": "omar"})
    assert wrong.status_code == 422 and 'value="omar"' in wrong.text
    for _ in range(5):
        await omar.post("/support/sign-in", {"email": omar.email})
    assert len(await omar.mailed("operator_sign_in")) == 3  # no more may wait at a time


async def test_before_the_passkey_there_is_no_page(cast: Cast, omar: OperatorAtWork) -> None:
    stranger, member = await cast.web.browser(), await cast.browser("owner")
    await omar.follow_link()
    for browser in (stranger, member, omar.http):
        for path in CLOSED[:3]:
            answer = await browser.post(path.format(cast.session))
            assert answer.status_code == 404, path
        assert (await browser.get(f"/support/grants/{cast.session}")).status_code == 404
    assert (await stranger.get("/support/passkey")).status_code == 404
    assert (await member.post("/support/passkey/challenge")).status_code == 404


async def test_a_login_ends_by_itself_and_with_the_operator(cast: Cast, omar: OperatorAtWork) -> None:
    await omar.sign_in()
    [login] = await rows(cast, OperatorLogin)
    async with cast.wiring.database.transaction(PLATFORM) as db:
        await db.execute(update(OperatorLogin).values(expires_at=func.now()))
    assert not await is_in(omar)
    await omar.follow_link()
    await omar.show_passkey()
    assert await is_in(omar)
    async with cast.wiring.database.transaction() as db:
        gone = await remove_operator(db, cast.wiring.columns, email=omar.email)
    assert not await is_in(omar) and gone == PersonId(login.operator_id)
    assert not cast.wiring.keys.exists(KeyPath(PLATFORM, gone))
    for table in (Operator, OperatorLink, OperatorLogin, OperatorPasskey):
        assert await rows(cast, table) == []
    await omar.post("/support/sign-in", {"email": omar.email})
    assert await omar.mailed("operator_sign_in") == []


async def test_being_added_twice_or_removed_without_being_there_is_said(cast: Cast, omar: OperatorAtWork) -> None:
    async with cast.wiring.database.transaction() as db:
        with pytest.raises(AlreadyOperator):
            await add_operator(db, cast.wiring.columns, name="Omar", email=omar.email.upper())
        with pytest.raises(NoOperator):
            await remove_operator(db, cast.wiring.columns, email="nobody@platform.example")
        [line] = await operators(db, cast.wiring.columns)
    assert (line.name, line.email, line.passkeys) == ("Omar", "omar@platform.example", 0)
    [row] = await rows(cast, Operator)
    assert b"Omar" not in row.name and b"omar" not in row.email


async def test_the_platform_has_a_log_of_its_own(cast: Cast, omar: OperatorAtWork) -> None:
    await omar.sign_in()
    await omar.follow_link()
    await omar.show_passkey()
    await omar.post("/support/sign-out")
    async with cast.wiring.database.transaction() as db:
        await remove_operator(db, cast.wiring.columns, email=omar.email)
    events = await rows(cast, AuditEvent, order=AuditEvent.number)
    assert [event.action for event in events] == [
        "support:operator:added",
        "support:operator:link_used",
        "support:passkey:added",
        "support:operator:link_used",
        "support:operator:signed_in",
        "support:operator:signed_out",
        "support:operator:removed",
    ]
    async with cast.wiring.database.transaction(PLATFORM) as db:
        assert (await verify(db, PLATFORM)).intact
    async with cast.wiring.database.transaction(cast.account) as db:
        assert not [e for e in await db.scalars(select(AuditEvent)) if e.action.startswith("support:")]


async def rows(cast: Cast, table: type, order: object = None) -> list:  # type: ignore[type-arg]
    async with cast.wiring.database.transaction(PLATFORM) as db:
        return list(await db.scalars(select(table).order_by(order)))  # type: ignore[arg-type]
