"""Members' own logins: seen and ended by themselves alone; idle ones end; changing how one signs in asks for proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app.accounts.login import IDLE, NOTED, cookie_name, find_login, login_of, start_login
from app.accounts.models import Account, Login, Passkey, Scope, Way
from app.accounts.policy import FRESH, ProofFacts, may_change_passkeys, may_need_passkeys
from app.audit import AuditEvent
from app.ledger import ledger_of
from app.ledger_entries import PasskeysNeeded
from recordings.encryption.keystore import KeyStoreError
from tests.app.test_passkeys import add, asked, show
from tests.app.test_sign_in import link_for
from tests.fixtures.authenticator import Authenticator
from tests.fixtures.web import EVERYONE, Cast

OPEN = "/studies/new"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def change(cast: Cast, **values: Any) -> None:
    """Every login of the account."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Login).values(**values))


async def rows(cast: Cast, table: Any = Login) -> list[Any]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(table)))


async def need(cast: Cast, needed: bool = True) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Account).values(passkeys_needed=needed))


async def of(cast: Cast, browser: httpx.AsyncClient) -> Login:
    """Its row, by the cookie."""
    async with cast.wiring.database.transaction() as db:
        login = await find_login(db, cast.wiring.columns, browser.headers["cookie"].partition("=")[2])
        assert login is not None
        return await db.get_one(Login, login.login_id)


def cookie_in(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


async def test_a_member_sees_and_ends_their_own_logins(cast: Cast) -> None:
    here, there, lost = [await cast.browser("researcher") for _ in range(3)]
    owner = await cast.browser("owner")
    page = (await here.get("/passkeys")).text
    assert page.count("This browser") == 1 and page.count("Another browser") == 2
    one = await of(cast, lost)
    assert (await here.post(f"/logins/{one.id}/end")).status_code == 303
    assert (await lost.get(OPEN)).status_code == 401
    assert (await there.get(OPEN)).status_code == 200
    assert (await here.post("/logins/others/end")).status_code == 303
    assert (await there.get(OPEN)).status_code == 401
    assert (await here.get(OPEN)).status_code == 200 and (await owner.get(OPEN)).status_code == 200
    page = (await here.get("/passkeys")).text
    assert "Another browser" not in page and "everywhere else" not in page
    ended = [e for e in await rows(cast, AuditEvent) if e.action == "accounts:login:ended"]
    assert {e.actor for e in ended} == {f"member:{cast.researcher}"} and len(ended) == 2


async def test_nobody_ends_the_login_of_somebody_else(cast: Cast) -> None:
    browser = await cast.browser("researcher")
    one = await of(cast, browser)
    for who in EVERYONE:
        theirs = await cast.browser(who)
        answer = await theirs.post(f"/logins/{one.id}/end")
        assert answer.status_code == {"participant": 401, "other_participant": 401, "stranger": 401}.get(
            who, 303 if who == "researcher" else 404
        )
        if who == "researcher":
            browser = await cast.browser("researcher")
            one = await of(cast, browser)
        others = await theirs.post("/logins/others/end")
        assert others.status_code in (303, 401)
        if who == "researcher":
            browser = await cast.browser("researcher")
            one = await of(cast, browser)
        assert (await browser.get(OPEN)).status_code == 200, who


async def test_an_idle_login_ends_and_use_keeps_it(cast: Cast) -> None:
    browser = await cast.browser("owner")
    recently = func.now() - IDLE + timedelta(minutes=1)
    await change(cast, used_at=recently)
    assert (await browser.get(OPEN)).status_code == 200
    [row] = await rows(cast)
    async with cast.wiring.database.transaction() as db:
        now = await db.scalar(select(func.now()))
    assert now is not None and now - row.used_at < timedelta(minutes=1)  # written down
    await change(cast, used_at=func.now() - NOTED + timedelta(minutes=1))
    before = (await rows(cast))[0].used_at
    await browser.get(OPEN)
    assert (await rows(cast))[0].used_at == before  # no row is written for every page
    await change(cast, used_at=func.now() - IDLE - timedelta(seconds=1))
    assert (await browser.get(OPEN)).status_code == 401
    assert "Another browser" not in (await (await cast.browser("owner")).get("/passkeys")).text


async def test_a_live_room_uses_a_login_and_a_page_that_only_listens_does_not(cast: Cast) -> None:
    browser = await cast.browser("owner")

    class Connection:
        cookies = {cookie_name(cast.wiring.settings): browser.headers["cookie"].partition("=")[2]}

    await change(cast, used_at=func.now() - IDLE + timedelta(minutes=1))
    before = (await rows(cast))[0].used_at
    assert await login_of(Connection(), cast.wiring, used=False) is not None  # type: ignore[arg-type]
    assert (await rows(cast))[0].used_at == before
    assert await login_of(Connection(), cast.wiring) is not None  # type: ignore[arg-type]
    assert (await rows(cast))[0].used_at > before


async def test_a_participant_in_the_room_has_no_idle_time(cast: Cast) -> None:
    browser = await cast.browser("participant")
    await change(cast, used_at=func.now() - 2 * IDLE)
    assert (await browser.get(f"/take-part/{cast.session}")).status_code == 200


async def test_changing_passkeys_asks_for_a_fresh_proof_and_comes_back(cast: Cast) -> None:
    device = Authenticator()
    browser = await add(cast, "owner", device)
    [passkey] = await rows(cast, Passkey)
    await change(cast, created_at=func.now() - FRESH - timedelta(seconds=1))
    page = (await browser.get("/passkeys")).text
    assert "sign in again first" in page and 'data-passkey="make"' not in page and "/remove" not in page
    assert "/sign-in?again=yes&amp;next=/passkeys" in page
    for path, form in (
        ("/passkeys/challenge", {}),
        ("/passkeys", {"name": "Phone", "credential": "{}"}),
        (f"/passkeys/{passkey.id}/remove", {}),
    ):
        refused = await browser.post(path, data=form)
        assert refused.status_code == 401 and "again=yes" in refused.text, path
    assert len(await rows(cast, Passkey)) == 1
    assert (await browser.get("/sign-in")).status_code == 303  # who is signed in is led on …
    assert (await browser.get("/sign-in?again=yes&next=/passkeys")).status_code == 200  # … unless they ask
    came = await browser.post(await link_for(cast), data={"next": "/passkeys"})
    assert came.headers["location"] == "/passkeys"
    fresh = await cast.web.browser(cookie_in(came))
    assert (await fresh.post(f"/passkeys/{passkey.id}/remove")).status_code == 303


async def test_after_a_change_of_passkeys_ending_the_others_is_offered(cast: Cast) -> None:
    alone = await add(cast, "owner", Authenticator())
    words = "Your passkeys have changed."
    assert words not in (await alone.get("/passkeys?changed=yes")).text
    await cast.browser("owner")
    assert words in (await alone.get("/passkeys?changed=yes")).text
    assert words not in (await alone.get("/passkeys")).text


async def test_an_account_can_ask_owners_and_researchers_for_a_passkey(cast: Cast) -> None:
    """A mailed link then leads to adding one and no further; who has one has to show it."""
    by_link = {who: await cast.browser(who) for who in EVERYONE}
    await need(cast)
    shown = {who: (await browser.get(f"/sessions/{cast.session}")).status_code for who, browser in by_link.items()}
    assert shown == {
        "owner": 403,
        "researcher": 403,
        "observer": 200,
        "other_owner": 404,
        "participant": 401,
        "other_participant": 401,
        "stranger": 401,
    }
    assert (await by_link["participant"].get(f"/take-part/{cast.session}")).status_code == 200
    came = await (await cast.browser("stranger")).post(await link_for(cast, "rita@lab.example"), data={"next": "/"})
    assert came.headers["location"] == "/passkeys"
    browser, device = await cast.web.browser(cookie_in(came)), Authenticator()
    for path in ("/", "/sessions", f"/rooms/{cast.session}", f"/rooms/{cast.session}/ice", "/members", "/agreement"):
        refused = await browser.get(path)
        assert refused.status_code == 403 and "with a passkey" in refused.text, path
    for path in ("/studies", f"/rooms/{cast.session}/open", "/logins/others/end", "/members/passkeys"):
        assert (await browser.post(path)).status_code == 403, path
    page = await browser.get("/passkeys")
    assert page.status_code == 200 and "no other page opens" in page.text
    made = device.make(await asked(browser, "/passkeys/challenge"))
    assert (await browser.post("/passkeys", data={"name": "Laptop", "credential": made})).status_code == 303
    assert (await browser.get(OPEN)).status_code == 200  # it was unlocked a moment ago
    again = await cast.browser("researcher")  # whoever reads the mailbox
    [passkey] = await rows(cast, Passkey)
    assert "Please sign in with your passkey first" in (await again.get("/passkeys")).text
    for path in ("/passkeys/challenge", f"/passkeys/{passkey.id}/remove"):
        assert (await again.post(path)).status_code == 401
    signed_in = await cast.web.browser(cookie_in(await show(cast, device)))
    assert (await signed_in.get(OPEN)).status_code == 200
    assert (await signed_in.post("/sign-out")).status_code == 303
    assert (await browser.post("/sign-out")).status_code == 303


async def test_a_socket_of_a_login_without_the_passkey_is_nobodys(cast: Cast) -> None:
    browser = await cast.browser("researcher")

    class Connection:
        cookies = {cookie_name(cast.wiring.settings): browser.headers["cookie"].partition("=")[2]}

    assert await login_of(Connection(), cast.wiring) is not None  # type: ignore[arg-type]
    await need(cast)
    assert await login_of(Connection(), cast.wiring) is None  # type: ignore[arg-type]


async def test_only_an_owner_who_came_in_by_passkey_asks_for_them(cast: Cast) -> None:
    for who in EVERYONE:
        if who == "other_owner":
            continue
        answer = await (await cast.browser(who)).post("/members/passkeys", data={"needed": "yes"})
        expected = {"owner": 409, "researcher": 403, "observer": 403}.get(who, 401)
        assert answer.status_code == expected, who
    plain = await cast.browser("owner")
    assert "Please add a passkey of your own" in (await plain.get("/members")).text
    owner = await add(cast, "owner", Authenticator())
    assert "Ask for passkeys" in (await owner.get("/members")).text
    assert (await owner.post("/members/passkeys", data={"needed": "maybe"})).status_code == 422
    for needed, words in (("yes", "Owners and researchers need a passkey."), ("no", "A mailed link is enough.")):
        for _ in range(2):
            assert (await owner.post("/members/passkeys", data={"needed": needed})).status_code == 303
        assert words in (await owner.get("/members")).text
        assert (await rows(cast, Account))[0].passkeys_needed is (needed == "yes")
    entries = [line.entry for line in ledger_of(cast.wiring.settings).lines()]
    said = [entry.needed for entry in entries if isinstance(entry, PasskeysNeeded)]
    assert said == [True, False]
    log = sorted(await rows(cast, AuditEvent), key=lambda event: event.number)
    events = [e.action for e in log if e.action.startswith("accounts:passkeys:")]
    assert events == ["accounts:passkeys:needed", "accounts:passkeys:not_needed"]


@pytest.mark.parametrize(
    ("age", "needs", "having", "may"),
    [
        (timedelta(0), False, 0, True),
        (FRESH, False, 3, True),
        (FRESH + timedelta(seconds=1), False, 0, False),
        (timedelta(0), True, 0, True),
        (timedelta(0), True, 1, False),
        (FRESH + timedelta(seconds=1), True, 0, False),
    ],
)
def test_who_may_change_passkeys(age: timedelta, needs: bool, having: int, may: bool) -> None:
    facts = ProofFacts(signed_in_at=NOW - age, needs_passkey=needs, passkeys=having)
    decision = may_change_passkeys(facts, NOW)
    assert bool(decision) is may and bool(decision.reason) is not may


def test_who_may_ask_everybody_for_a_passkey() -> None:
    assert may_need_passkeys(Way.PASSKEY)
    assert not may_need_passkeys(Way.LINK) and not may_need_passkeys(None)


async def test_a_participant_who_opened_their_data_signs_out(cast: Cast) -> None:
    """The button stands where the code opened stored data; the link brings them back."""
    room = await cast.browser("participant")
    assert 'action="/sign-out"' not in (await room.get("/my-data")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=cast.participant.participant,
            session=cast.session,
        )
    proven = await cast.web.browser(cookie.value)
    for page in ("/my-data", "/my-data/requests", f"/take-part/{cast.session}"):
        assert 'action="/sign-out"' in (await proven.get(page)).text, page
    left = await proven.post("/sign-out")
    assert left.status_code == 200 and "You are signed out" in left.text and 'action="/sign-out"' not in left.text
    assert "no-store" in left.headers["cache-control"] and '"cache"' in left.headers["clear-site-data"]
    assert "max-age=0" in left.headers["set-cookie"].lower()
    assert (await proven.get("/my-data")).status_code == 401
    anybody = (await (await cast.browser("stranger")).get("/signed-out")).text
    assert "You are signed out" in anybody and "stand in that mail too" in anybody


async def test_signing_out_does_not_wait_for_a_key_store(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*_: object) -> None:
        raise KeyStoreError("not reachable")

    monkeypatch.setattr("app.privacy.rights.signing_out.foot_of", unreachable)
    leaving = await cast.browser("participant")
    left = await leaving.post("/sign-out")
    assert left.status_code == 200 and "stand in that mail too" in left.text
    assert (await leaving.get("/my-data")).status_code == 401
