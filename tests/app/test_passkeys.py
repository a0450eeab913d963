"""Passkeys of members: one of their own signs them in, once for each challenge; what does not fit gets one answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import cbor2
import httpx
import pytest
from sqlalchemy import delete, func, select, update

from app.accounts.ceremonies import PasskeyRefused, Site, added, challenge_of_added, new_sign_count, site_of
from app.accounts.ceremonies import shown as read
from app.accounts.members import remove_member
from app.accounts.models import Member, Passkey, PasskeyChallenge, Role
from app.accounts.policy import PASSKEYS_AT_MOST, may_add_passkey
from app.accounts.service import add_member, create_account
from app.audit import AuditEvent
from app.limited_routes import RULES, By, at_most
from tests.fixtures.authenticator import PRESENT, Authenticator, coded
from tests.fixtures.web import EVERYONE, Cast

MEMBERS = ("owner", "researcher", "observer", "other_owner")


async def asked(browser: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await browser.post(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


async def add(cast: Cast, who: str, device: Authenticator, name: str = "Laptop") -> httpx.AsyncClient:
    """A member adds a passkey; their browser."""
    browser = await cast.browser(who)
    made = device.make(await asked(browser, "/passkeys/challenge"))
    answer = await browser.post("/passkeys", data={"name": name, "credential": made})
    assert (answer.status_code, answer.headers["location"]) == (303, "/passkeys?changed=yes")
    return browser


async def show(cast: Cast, device: Authenticator, next_path: str = "/", **client: Any) -> httpx.Response:
    """A stranger's browser shows a passkey."""
    browser = await cast.browser("stranger")
    said = device.show(await asked(browser, "/sign-in/passkey/challenge"), **client)
    return await browser.post("/sign-in/passkey", data={"credential": said, "next": next_path})


async def rows(cast: Cast, table: Any = Passkey) -> list[Any]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(table)))


def refused(answer: httpx.Response) -> bool:
    return (
        answer.status_code == 403
        and "This passkey could not be used." in answer.text
        and "set-cookie" not in answer.headers
    )


async def test_a_passkey_is_added_named_used_and_removed(cast: Cast) -> None:
    device = Authenticator()
    browser = await add(cast, "researcher", device, "Work <laptop>")
    shown = (await browser.get("/passkeys")).text
    assert "Work &lt;laptop&gt;" in shown and "not yet" in shown
    answer = await show(cast, device, "/sessions")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sessions")
    assert "HttpOnly" in answer.headers["set-cookie"]
    signed_in = await cast.web.browser(answer.headers["set-cookie"].partition("=")[2].partition(";")[0])
    assert "Rita" in (await signed_in.get("/")).text
    [row] = await rows(cast)
    assert row.last_used_at is not None and row.sign_count == 1 and b"laptop" not in row.name
    assert "not yet" not in (await browser.get("/passkeys")).text
    assert (await browser.post(f"/passkeys/{row.id}/remove")).status_code == 303
    assert await rows(cast) == []
    assert refused(await show(cast, device))
    events = [e for e in await rows(cast, AuditEvent) if e.action.startswith("accounts:passkey:")]
    assert [e.action.rpartition(":")[2] for e in events] == ["added", "used", "removed"]
    assert {(e.actor, e.subject) for e in events} == {(f"member:{cast.researcher}", f"passkey:{row.id}")}
    assert "showed a passkey to sign in" in (await (await cast.browser("owner")).get("/audit")).text


async def test_what_the_browser_is_asked(cast: Cast) -> None:
    browser = await add(cast, "owner", device := Authenticator())
    make = await asked(browser, "/passkeys/challenge")
    assert make["rp"] == {"id": "localhost", "name": cast.wiring.settings.platform_name}
    assert make["user"]["id"] == coded(cast.owner.bytes) and make["user"]["name"] == "olga@lab.example"
    assert make["authenticatorSelection"]["residentKey"] == "required"
    assert make["authenticatorSelection"]["userVerification"] == "required"
    assert make["attestation"] == "none"
    assert [one["id"] for one in make["excludeCredentials"]] == [coded(device.id)]
    get = await asked(await cast.browser("stranger"), "/sign-in/passkey/challenge")
    assert (get["rpId"], get["userVerification"], get["allowCredentials"]) == ("localhost", "required", [])
    assert len(get["challenge"]) >= 43 and get["timeout"] == 300_000


WRONG: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another origin": ({"origin": "https://evil.example"}, {}),
    "another port of ours": ({"origin": "http://localhost:8001"}, {}),
    "another site": ({"host": "evil.example"}, {}),
    "nobody unlocked it": ({"flags": PRESENT}, {}),
    "nobody was there": ({"flags": 0}, {}),
    "a challenge we never asked": ({}, {"challenge": coded(bytes(64))}),
    "no challenge": ({}, {"challenge": ""}),
    "a page within another": ({}, {"crossOrigin": True}),
    "another ceremony": ({}, {"type": "payment.get"}),
}


async def test_what_was_not_said_to_us_is_not_believed(cast: Cast) -> None:
    good = Authenticator()
    browser = await add(cast, "owner", good)
    for why, (device, client) in WRONG.items():
        assert refused(await show(cast, replace(good, **device), **client)), why
        made = replace(Authenticator(), **device).make(await asked(browser, "/passkeys/challenge"), **client)
        answer = await browser.post("/passkeys", data={"name": "Phone", "credential": made})
        assert answer.status_code == 403 and "could not be used" in answer.text and 'value="Phone"' in answer.text, why
    assert len(await rows(cast)) == 1


async def test_a_challenge_works_once_and_not_after_a_failure_either(cast: Cast) -> None:
    device, browser = Authenticator(counts=False), await cast.browser("stranger")
    await add(cast, "owner", device)
    options = await asked(browser, "/sign-in/passkey/challenge")
    said = device.show(options)
    assert (await browser.post("/sign-in/passkey", data={"credential": said})).status_code == 303
    assert refused(await browser.post("/sign-in/passkey", data={"credential": said}))
    options = await asked(browser, "/sign-in/passkey/challenge")
    bad = replace(device, origin="https://evil.example").show(options)
    assert refused(await browser.post("/sign-in/passkey", data={"credential": bad}))
    assert refused(await browser.post("/sign-in/passkey", data={"credential": device.show(options)}))


async def test_a_challenge_is_good_for_five_minutes_for_its_purpose_and_its_login(cast: Cast) -> None:
    device = Authenticator()
    browser = await add(cast, "owner", device)
    stranger = await cast.browser("stranger")
    options = await asked(stranger, "/sign-in/passkey/challenge")
    async with cast.wiring.database.transaction() as db:
        rest = await db.scalar(select(func.max(PasskeyChallenge.expires_at) - func.now()))
        assert rest is not None and timedelta(minutes=4) < rest <= timedelta(minutes=5)
        await db.execute(update(PasskeyChallenge).values(expires_at=func.now()))
    assert refused(await stranger.post("/sign-in/passkey", data={"credential": device.show(options)}))
    for_signing = await asked(stranger, "/sign-in/passkey/challenge")
    for_another = await asked(await cast.browser("owner"), "/passkeys/challenge")  # another browser of hers
    for options in (for_signing, for_another):
        user = {"user": {"id": coded(cast.owner.bytes)}}
        made = Authenticator().make(options | user)
        assert (await browser.post("/passkeys", data={"name": "x", "credential": made})).status_code == 403
    for_adding = await asked(browser, "/passkeys/challenge")
    assert refused(await stranger.post("/sign-in/passkey", data={"credential": device.show(for_adding)}))
    async with cast.wiring.database.transaction() as db:
        await db.execute(update(PasskeyChallenge).values(expires_at=func.now()))
    await asked(stranger, "/sign-in/passkey/challenge")
    async with cast.wiring.database.transaction() as db:
        assert await db.scalar(select(func.count()).select_from(PasskeyChallenge)) == 1  # old ones are swept


async def test_a_counter_that_does_not_go_up_is_a_copy(cast: Cast) -> None:
    device = Authenticator(count=5)
    await add(cast, "owner", device)
    copy = replace(device)
    assert (await show(cast, device)).status_code == 303
    assert refused(await show(cast, copy))  # counts to where the first one is already
    assert refused(await show(cast, replace(device, count=0, counts=False)))
    assert (await show(cast, device)).status_code == 303
    assert (await rows(cast))[0].sign_count == 7


async def test_another_key_or_another_person_is_not_believed(cast: Cast) -> None:
    device = Authenticator()
    await add(cast, "owner", device)
    assert refused(await show(cast, replace(device, key=Authenticator().key)))
    assert refused(await show(cast, replace(device, user=cast.researcher.bytes)))
    assert refused(await show(cast, replace(device, user=b"")))
    assert (await show(cast, device)).status_code == 303


async def test_an_unknown_passkey_gets_the_same_answer_as_a_wrong_one(cast: Cast) -> None:
    device = Authenticator()
    await add(cast, "owner", device)
    unknown = await show(cast, Authenticator(user=cast.owner.bytes))
    wrong = await show(cast, replace(device, key=Authenticator().key))
    assert refused(unknown)
    assert (unknown.status_code, unknown.text, unknown.headers) == (wrong.status_code, wrong.text, wrong.headers)


async def test_a_removed_member_has_no_passkey_and_keeps_none_when_they_come_back(cast: Cast) -> None:
    device = Authenticator()
    await add(cast, "researcher", device)
    async with cast.wiring.database.transaction(cast.account) as db:
        await remove_member(db, member=cast.researcher)
    assert await rows(cast) == []
    assert refused(await show(cast, device))
    async with cast.wiring.database.transaction(cast.account) as db:
        columns = cast.wiring.columns
        await add_member(db, columns, account=cast.account, name="Rita", email="rita@lab.example", role=Role.RESEARCHER)
    assert refused(await show(cast, device))


async def test_a_passkey_of_somebody_no_longer_a_member_is_refused_even_if_its_row_stayed(cast: Cast) -> None:
    device = Authenticator()
    await add(cast, "researcher", device)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Member).where(Member.id == cast.researcher).values(removed_at=func.now()))
    assert refused(await show(cast, device))


async def test_each_account_has_its_own_and_a_passkey_belongs_to_one_person(cast: Cast) -> None:
    here, there = Authenticator(), Authenticator()
    await add(cast, "owner", here)
    other = await add(cast, "other_owner", there)
    [mine] = await rows(cast)
    assert mine.member_id == cast.owner
    answer = await show(cast, there)
    signed_in = await cast.web.browser(answer.headers["set-cookie"].partition("=")[2].partition(";")[0])
    assert "Otto" in (await signed_in.get("/")).text
    taken = replace(here).make(await asked(other, "/passkeys/challenge"))
    answer = await other.post("/passkeys", data={"name": "Taken", "credential": taken})
    assert answer.status_code == 403
    assert (await show(cast, replace(here, user=cast.owner.bytes))).status_code == 303  # still hers


async def test_only_its_own_member_sees_and_removes_a_passkey(cast: Cast) -> None:
    await add(cast, "owner", Authenticator(), "Key of Olga")
    [row] = await rows(cast)
    for who in reversed(EVERYONE):  # the owner last
        browser = await cast.browser(who)
        page = await browser.get("/passkeys")
        challenge = await browser.post("/passkeys/challenge")
        assert bool(await rows(cast)), who
        gone = await browser.post(f"/passkeys/{row.id}/remove")
        if who in MEMBERS:
            assert (page.status_code, challenge.status_code) == (200, 200)
            assert ("Key of Olga" in page.text) == (who == "owner")
            assert gone.status_code == (303 if who == "owner" else 404)
        else:
            added = await browser.post("/passkeys", data={"name": "x", "credential": "{}"})
            assert {one.status_code for one in (page, challenge, gone, added)} == {401}
    assert await rows(cast) == []


ODD: tuple[Any, ...] = (
    None,
    5,
    "",
    "!",
    "é",
    "AAAA",
    coded(b'{"type":1,"challenge":2,"origin":3}'),
    coded(b'{"type":"webauthn.get","challenge":null,"origin":null}'),
    coded(b"\xff\xfe"),
    coded(b"[" * 9_000),
    coded(b"\xa1\x63fmt\x64none"),
    coded(b"\xbf" * 900),
    coded(bytes(37)),
    coded(bytes(32) + b"\xff" * 40),
    coded(cbor2.dumps({"fmt": "packed", "attStmt": {"x5c": [b"no certificate"]}, "authData": bytes(37)})),
    coded(cbor2.dumps({"fmt": "tpm", "attStmt": {}, "authData": bytes(37)})),
    coded(cbor2.dumps({"fmt": [], "attStmt": [], "authData": []})),
)


def odd(good: str) -> Iterator[str]:
    """An answer of a browser, spoiled in many ways."""
    yield from ("", "not json", "[]", "null", "5", "[" * 9_000, '{"a":' * 3_000 + "1" + "}" * 3_000, "x" * 30_000)
    said = json.loads(good)
    for name in said:
        yield from (json.dumps(said | {name: value}) for value in (*ODD, [], {}))
    for name in said["response"]:
        yield from (json.dumps(said | {"response": said["response"] | {name: value}}) for value in (*ODD, [], {}))


def test_what_no_browser_says_is_refused_in_words() -> None:
    device, site = Authenticator(), Site(host="localhost", origin="http://localhost:8000", name="Junier")
    challenge = bytes(range(64))
    made = device.make({"challenge": coded(challenge), "user": {"id": coded(b"olga")}})
    kept = added(site, answer=made, challenge=challenge_of_added(made))
    assert kept.credential_id == device.id
    shown = device.show({"challenge": coded(challenge)})
    tried = 0
    for answer in odd(made):
        with contextlib.suppress(PasskeyRefused):
            assert added(site, answer=answer, challenge=challenge_of_added(answer)) == kept  # what is not looked at
            tried += 1
    assert tried < 10
    for answer in odd(shown):
        with contextlib.suppress(PasskeyRefused):
            said = read(answer)
            believed = new_sign_count(site, said, challenge=challenge, public_key=kept.public_key, sign_count=0)
            assert (believed, said.credential_id) == (1, device.id)  # the person is compared by whoever knows them


async def test_odd_answers_over_http_are_refused_too(cast: Cast) -> None:
    browser = await cast.browser("owner")
    for answer in ("{}", "[" * 9_000, json.dumps({"id": None})):
        for path in ("/passkeys", "/sign-in/passkey"):
            assert (await browser.post(path, data={"name": "Odd", "credential": answer})).status_code == 403
    assert (await browser.post("/sign-in/passkey", json={"credential": "{}"})).status_code == 415


async def test_a_name_is_needed_and_nothing_is_added_without_the_browsers_answer(cast: Cast) -> None:
    browser = await cast.browser("owner")
    for name, credential, words in (
        ("", "", "Please fill this in."),
        ("x" * 101, "", "at most 100 characters"),
        ("Phone", "", "This needs JavaScript."),
    ):
        answer = await browser.post("/passkeys", data={"name": name, "credential": credential})
        assert answer.status_code == 422 and words in answer.text
    assert await rows(cast) == []


async def test_nobody_piles_up_passkeys(cast: Cast) -> None:
    assert may_add_passkey(PASSKEYS_AT_MOST - 1)
    assert not may_add_passkey(PASSKEYS_AT_MOST)
    browser = await add(cast, "owner", Authenticator())
    [row] = await rows(cast)
    kept = {c.name: getattr(row, c.name) for c in Passkey.__table__.columns if c.name not in ("id", "credential_hash")}
    async with cast.wiring.database.transaction(cast.account) as db:
        db.add_all(Passkey(**kept, credential_hash=bytes([number])) for number in range(PASSKEYS_AT_MOST - 1))
    made = Authenticator().make(await asked(browser, "/passkeys/challenge"))
    answer = await browser.post("/passkeys", data={"name": "One more", "credential": made})
    assert answer.status_code == 409 and "Please remove one first" in answer.text


async def test_two_tries_at_once_spend_a_challenge_once(cast: Cast) -> None:
    device, browser = Authenticator(counts=False), await cast.browser("stranger")
    await add(cast, "owner", device)
    said = device.show(await asked(browser, "/sign-in/passkey/challenge"))
    tries = await asyncio.gather(*(browser.post("/sign-in/passkey", data={"credential": said}) for _ in range(4)))
    assert sorted(answer.status_code for answer in tries) == [303, 403, 403, 403]


async def test_tries_are_limited(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    for route in ("POST /sign-in/passkey/challenge", "POST /sign-in/passkey", "POST /passkeys/challenge"):
        assert route in RULES
        monkeypatch.setitem(RULES, route, (at_most(2, By.ADDRESS, minutes=10),))
    browser = await cast.browser("stranger")
    for path, usual in (("/sign-in/passkey/challenge", 200), ("/sign-in/passkey", 403)):
        tries = [await browser.post(path, data={"credential": "{}"}) for _ in range(3)]
        assert [answer.status_code for answer in tries] == [usual, usual, 429]


async def test_only_our_own_pages_send_an_answer(cast: Cast) -> None:
    device, browser = Authenticator(), await cast.browser("stranger")
    await add(cast, "owner", device)
    said = device.show(await asked(browser, "/sign-in/passkey/challenge"))
    foreign = {"origin": "https://evil.example"}
    answer = await browser.post("/sign-in/passkey", data={"credential": said}, headers=foreign)
    assert answer.status_code == 403 and "did not come from our own pages" in answer.text


async def test_without_a_name_of_our_own_there_are_no_passkeys(cast: Cast) -> None:
    for url, host in (
        ("https://sessions.example.eu", "sessions.example.eu"),
        ("http://localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", None),
        ("http://[::1]:8000", None),
    ):
        site = site_of(replace(cast.wiring.settings, public_url=url))
        assert (site.host if site else None) == host


async def test_a_closed_accounts_passkeys_go_with_its_members(cast: Cast) -> None:
    async with cast.wiring.database.transaction() as db:
        account, owner = await create_account(
            db, cast.wiring.columns, name="Third", owner_name="Tom", owner_email="tom@third.example"
        )
        db.add(
            Passkey(
                account_id=account, member_id=owner, credential_hash=b"h", credential_id=b"i", public_key=b"k",
                sign_count=0, name=b"n",
            )
        )  # fmt: skip
        await db.flush()
        await db.execute(delete(Member).where(Member.id == owner))
        assert (await db.scalars(select(Passkey))).all() == []
