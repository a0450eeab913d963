"""Inviting from a list: looked at first, then everybody or nobody, by those who may, in a group session."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from app.invitations.invite_list import NoList, require_group
from app.invitations.models import Invitation
from app.invitations.service import invite
from app.mail.service import suppress
from app.participants.models import Participant
from app.sessions.models import Session
from app.sessions.service import end, schedule
from recordings.model import PersonId, SessionId
from tests.fixtures.web import EVERYONE, Cast, mails

LIST = "First name;E-mail\nCarla;carla@home.example\nDan;dan@home.example"


@pytest.fixture
async def group(cast: Cast) -> SessionId:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await schedule(db, account=cast.account, study=cast.study, title="Group", group=True)


async def invited(cast: Cast, session: UUID) -> list[str]:
    """Addresses invited to the session, opened."""
    async with cast.wiring.database.transaction(cast.account) as db:
        rows = await db.scalars(
            select(Participant)
            .join(Invitation, Invitation.participant_id == Participant.id)
            .where(Invitation.session_id == session)
        )
        columns = cast.wiring.columns
        return sorted(columns.open(cast.account, PersonId(row.id), "participant.email", row.email) for row in rows)


async def look(browser: httpx.AsyncClient, session: UUID, people: str, **more: Any) -> httpx.Response:
    return await browser.post(f"/sessions/{session}/invitations/list", data={"people": people}, **more)


def seen_in(page: httpx.Response) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', page.text)
    return found[1] if found else ""


async def import_list(
    browser: httpx.AsyncClient, session: UUID, people: str, *, seen: str, words: str = ""
) -> httpx.Response:
    typed = {"people": people, "words": words, "step": "invite", "seen": seen}
    return await browser.post(f"/sessions/{session}/invitations/list", data=typed)


async def test_looking_invites_nobody_and_then_everybody_gets_one_mail(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("researcher")
    before = len(await mails(cast.wiring))
    page = await look(browser, group, LIST)
    assert page.status_code == 200
    assert "Invite 2 people" in page.text
    assert await invited(cast, group) == []
    assert len(await mails(cast.wiring)) == before
    answer = await import_list(browser, group, LIST, seen=seen_in(page), words="See you soon & bye")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sessions/{group}#people")
    assert await invited(cast, group) == ["carla@home.example", "dan@home.example"]
    sent = [c for _, c in await mails(cast.wiring)][: len(await mails(cast.wiring)) - before]
    assert sorted(c.to for c in sent if c) == ["carla@home.example", "dan@home.example"]
    assert all("See you soon & bye" in c.text and "List-Unsubscribe" in c.headers for c in sent if c)


async def test_an_uploaded_file_is_read_and_kept_for_the_next_step(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("owner")
    file = {"file": ("people.csv", LIST.replace("Carla", "Björk").encode("cp1252"), "text/csv")}
    page = await look(browser, group, "", files=file)
    assert page.status_code == 200
    assert "Björk;carla@home.example" in page.text
    assert "Windows-1252" in page.text
    again = await browser.post(
        f"/sessions/{group}/invitations/list",
        data={"people": "", "step": "invite", "seen": seen_in(page)},
        files=file,
    )
    assert again.status_code == 200, "a file just chosen is looked at first"
    assert await invited(cast, group) == []


async def test_one_wrong_line_and_nobody_is_invited(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("owner")
    fine = seen_in(await look(browser, group, LIST))
    for step in ("look", "invite"):
        typed = {"people": LIST + "\nEve;eve at home", "step": step, "seen": fine}
        page = await browser.post(f"/sessions/{group}/invitations/list", data=typed)
        assert page.status_code == 422
        assert "1 line does not fit yet, so nobody was invited" in page.text
        assert "does not look like an e-mail address" in page.text
        assert "Eve;eve at home" in page.text, "what was pasted is still there"
        assert 'value="invite"' not in page.text
        told = await browser.post(
            f"/sessions/{group}/invitations/list", data=typed, headers={"accept": "application/json"}
        )
        assert [one["field"] for one in told.json()["errors"]] == ["people"]
        assert told.json()["errors"][0]["detail"].startswith("Line 4: E-mail: This does not look like")
    assert await invited(cast, group) == []


async def test_doubles_known_and_unsubscribed_people_are_told_and_left_out(cast: Cast, group: SessionId) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await invite(
            db, cast.wiring, account=cast.account, session=group, name="D", email="dan@home.example", by=cast.owner
        )
        index = cast.wiring.columns.blind_index(cast.account, "uwe@home.example")
        await suppress(db, account=cast.account, address_index=index)
    browser = await cast.browser("owner")
    people = LIST + "\nKarla;CARLA@home.example\nUwe;Uwe@Home.example"
    page = await look(browser, group, people)
    assert page.status_code == 200
    assert "same address as in line 2; invited once" in page.text
    assert "is invited to this session already" in page.text
    assert "unsubscribed, will not be mailed" in page.text
    assert "Invite 1 person" in page.text
    before = len(await mails(cast.wiring))
    assert (await import_list(browser, group, people, seen=seen_in(page))).status_code == 303
    assert await invited(cast, group) == ["carla@home.example", "dan@home.example"]
    assert len(await mails(cast.wiring)) == before + 1
    nobody = await look(browser, group, people)
    assert nobody.status_code == 422
    assert "Nobody in this list would get an invitation" in nobody.text


async def test_what_changed_since_it_was_looked_at_is_shown_again(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("owner")
    seen = seen_in(await look(browser, group, LIST))
    async with cast.wiring.database.transaction(cast.account) as db:
        index = cast.wiring.columns.blind_index(cast.account, "dan@home.example")
        await suppress(db, account=cast.account, address_index=index)
    for people in (LIST, LIST + "\nEve;eve@home.example"):
        page = await import_list(browser, group, people, seen=seen)
        assert page.status_code == 200
        assert "changed since you looked" in page.text
    assert "changed since you looked" in (await import_list(browser, group, LIST, seen="")).text
    assert await invited(cast, group) == []


async def test_a_refusal_in_the_middle_leaves_nothing_behind(
    cast: Cast, group: SessionId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study loses its contact between two invitations: the first one is taken back with the rest."""
    from app.invitations import invite_list
    from app.invitations.service import CannotInvite

    async def only_once(*args: Any, **more: Any) -> Any:
        if more["name"] == "Dan":
            raise CannotInvite("This study names no contact.")
        return await invite(*args, **more)

    monkeypatch.setattr(invite_list, "invite", only_once)
    browser = await cast.browser("owner")
    before = len(await mails(cast.wiring))
    page = await import_list(browser, group, LIST, seen=seen_in(await look(browser, group, LIST)))
    assert page.status_code == 422
    assert "names no contact" in page.text
    assert "Carla;carla@home.example" in page.text
    assert await invited(cast, group) == []
    assert len(await mails(cast.wiring)) == before


async def test_cells_are_data(cast: Cast, group: SessionId) -> None:
    people = "<b>{{ 7*7 }}</b>;carla@home.example\n=cmd|' /C calc'!A0;dan@home.example"
    page = await look(await cast.browser("owner"), group, people)
    assert "&lt;b&gt;{{ 7*7 }}&lt;/b&gt;" in page.text
    assert "<b>{{" not in page.text
    assert "formula for a spreadsheet" in page.text


async def test_a_list_that_cannot_be_read_is_told_beside_it(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("owner")
    for people, files, told in (
        ("", {}, "paste a list"),
        ("\n".join(f"P{n};p{n}@home.example" for n in range(501)), {}, "501 people"),
        ("", {"file": ("people.xlsx", b"PK\x03\x04...", "application/zip")}, "spreadsheet file"),
    ):
        page = await look(browser, group, people, **({"files": files} if files else {}))
        assert page.status_code == 422
        assert told in page.text


async def test_words_that_are_too_long_stop_the_list_too(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("owner")
    seen = seen_in(await look(browser, group, LIST))
    page = await import_list(browser, group, LIST, seen=seen, words="w" * 2001)
    assert page.status_code == 422
    assert "at most 2,000" in page.text
    assert await invited(cast, group) == []


async def test_who_may_invite_from_a_list(cast: Cast, group: SessionId) -> None:
    for who in EVERYONE:
        browser = await cast.browser(who)
        path = f"/sessions/{group}/invitations/list"
        answers = {(await browser.get(path)).status_code, (await look(browser, group, LIST)).status_code}
        assert answers == {{"owner": 200, "researcher": 200, "observer": 403, "other_owner": 404}.get(who, 401)}, who


async def test_only_a_group_session_that_goes_on_takes_a_list(cast: Cast, group: SessionId) -> None:
    browser = await cast.browser("owner")
    link = f"/sessions/{group}/invitations/list"
    assert link in (await browser.get(f"/sessions/{group}")).text
    assert "invitations/list" not in (await browser.get(f"/sessions/{cast.session}")).text
    alone = await browser.get(f"/sessions/{cast.session}/invitations/list")
    assert alone.status_code == 409
    assert "one participant" in alone.text
    async with cast.wiring.database.transaction(cast.account) as db:
        await end(db, session=group)
        with pytest.raises(NoList, match="ended"):
            require_group(await db.get_one(Session, group))
    assert (await import_list(browser, group, LIST, seen="")).status_code == 409


async def test_another_accounts_suppression_does_not_count_here(cast: Cast, group: SessionId) -> None:
    async with cast.wiring.database.transaction(cast.other_account) as db:
        index = cast.wiring.columns.blind_index(cast.other_account, "carla@home.example")
        await suppress(db, account=cast.other_account, address_index=index)
    assert "Invite 2 people" in (await look(await cast.browser("owner"), group, LIST)).text
