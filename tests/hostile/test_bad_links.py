"""Links that are cut, lengthened, made up, used, foreign, or brought to another door: words, and nothing changes."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import func, select

from app.accounts.models import Login
from app.accounts.service import ask_sign_in
from app.demo.people import LINK
from app.mail.models import Suppression
from app.participants.models import Participant
from tests.fixtures.web import Cast, mails

DOORS = ("/i/{}", "/unsubscribe/{}", "/sign-in/{}", "/receipt/{}", "/i/{}/data")


async def tokens(cast: Cast) -> dict[str, str]:
    """One true secret for each kind of link that is mailed: invitation, unsubscribe, sign-in."""
    async with cast.wiring.database.transaction() as db:
        await ask_sign_in(db, cast.wiring, email="olga@lab.example", next_path="/")
    found: dict[str, str] = {}
    for _, content in await mails(cast.wiring):
        for link in LINK.findall(content.text if content else ""):
            door, _, token = httpx.URL(link.rstrip(">,.")).path.strip("/").partition("/")
            found.setdefault(door, token)
    assert {"i", "unsubscribe", "sign-in"} <= found.keys()
    return found


async def changed(cast: Cast) -> tuple[int, int, int]:
    """Logins, suppressed addresses, people registered."""
    async with cast.wiring.database.transaction(cast.account) as db:
        registered = select(func.count()).select_from(Participant).where(Participant.registered_at.is_not(None))
        counts = [await db.scalar(select(func.count()).select_from(kind)) or 0 for kind in (Login, Suppression)]
        return counts[0], counts[1], await db.scalar(registered) or 0


async def test_a_secret_opens_its_own_door_only(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    true, before = await tokens(cast), await changed(cast)
    for door in DOORS:
        for kind, token in true.items():
            if kind == door.split("/")[1]:
                continue
            answer = await browser.post(door.format(token), data={})
            assert answer.status_code in (401, 404, 405, 409, 410, 422), (door, kind, answer.status_code)
    assert await changed(cast) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token[:10],
        lambda token: token + "A",
        lambda token: token.swapcase(),
        lambda token: token[::-1],
        lambda token: token + "%00",
        lambda token: f"%20{token}",
        lambda token: f"{token}/../{token[:-1]}",
        lambda token: "é" * 43,
        lambda token: "A" * 250,
    ],
    ids=["cut", "short", "longer", "case", "backwards", "NUL", "blank", "climbing", "letters", "long"],
)
async def test_a_spoilt_link_says_so_and_changes_nothing(cast: Cast, spoil: object) -> None:
    browser = await cast.browser("stranger")
    true, before = await tokens(cast), await changed(cast)
    for kind, token in true.items():
        path = f"/{kind}/{spoil(token)}"  # type: ignore[operator]
        for answer in (await browser.get(path), await browser.post(path, data={"name": "A", "email": "a@b.example"})):
            assert answer.status_code in (200, 404, 405, 409, 410), (path, answer.status_code)
            assert "<main" in answer.text
        assert answer.status_code != 200 or kind == "unsubscribe", "an unsubscribe link tells nobody whether it is one"
    assert await changed(cast) == before


async def test_a_used_sign_in_link_says_how_to_get_another(cast: Cast) -> None:
    browser, path = await cast.browser("stranger"), f"/sign-in/{(await tokens(cast))['sign-in']}"
    assert (await browser.post(path)).status_code == 303
    again = await (await cast.browser("stranger")).post(path)
    assert again.status_code in (401, 404, 409, 410)
    assert "link" in again.text and "/sign-in" in again.text


async def test_somebody_elses_link_in_ones_own_browser_mixes_nobody_up(cast: Cast) -> None:
    """Ben opens Anna's mail in his browser: he gets no further than anyone with that mail, and stays himself."""
    ben = await cast.browser("other_participant")
    anna_link = cast.participant.link.removeprefix("http://localhost:8000")
    page = await ben.get(anna_link)
    assert "anna@home.example" not in page.text
    wrong = await ben.post(anna_link, data={"name": "Ben", "email": "ben@home.example"})
    assert wrong.status_code == 422
    assert (await ben.get(f"/take-part/{cast.session}")).status_code == 404
    assert (await ben.get(f"/take-part/{cast.other_session}")).status_code == 200
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Participant, cast.participant.participant)
        assert row.registered_at is None
