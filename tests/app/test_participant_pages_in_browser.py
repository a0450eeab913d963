"""A participant's pages in a real Chromium, from the mailed link to the receipt, and the owner's pages of erasures:
readable for everyone (axe, WCAG 2.2 AA), never wider than a phone, within our own policy, leading nowhere else, with
one cookie at most, without JavaScript too."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect
from sqlalchemy import select, update

from app.invitations.models import Invitation
from app.privacy.erasing.service import run_erasure
from app.privacy.records.models import Erasure
from app.sessions.models import Session, SessionState
from recordings.model import StreamKind
from tests.app.test_pages_in_browser import (
    SCHEMES,
    SIZES,
    WIDER,
    _shoot,
    chromium,
    problems,
    served,
    sign_in,
    too_wide,
    wiring,
)
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here


async def code_of(cast: Cast) -> str:
    sent = next(mail for row, mail in await mails(cast.wiring) if row.template == "data_code")
    found = re.search(r"^([0-9]{6})$", sent.text if sent else "", re.MULTILINE)
    assert found
    return found[1]


LEFT_BEHIND = """() => [
  ...[...document.querySelectorAll('a[href], form[action]')].map(one => new URL(one.href ?? one.action))
    .filter(to => /^http/.test(to.protocol) && to.origin !== location.origin).map(to => `leads to ${to.host}`),
  ...Object.keys(localStorage).map(key => `keeps ${key}`), ...Object.keys(sessionStorage).map(key => `keeps ${key}`),
]"""
"""Other sites that links and forms lead to, and what is stored in the browser."""


class Look:
    """Looks at the page as it stands, light and dark, in every width, and gathers what is wrong."""

    cookies = frozenset({"login"})
    stored: frozenset[str] = frozenset()

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: dict[str, list[str]] = {}
        page.on("console", self._listen)
        page.on("request", self._asked)

    async def at(self, name: str) -> None:
        await self.page.wait_for_load_state()
        known = {f"keeps {one}" for one in self.stored}
        if found := [one for one in await self.page.evaluate(LEFT_BEHIND) if one not in known]:
            self.wrong[f"{name} and others"] = found
        cookies = [str(cookie.get("name")) for cookie in await self.page.context.cookies()]
        if not set(cookies) <= self.cookies:
            self.wrong[f"{name} and cookies"] = cookies
        if found := await too_wide(self.page):
            self.wrong[f"{name} at its ends"] = found
        for scheme in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width, height in SIZES.items():
                await self.page.set_viewport_size({"width": width, "height": height})
                found = await problems(self.page)
                if await self.page.evaluate(WIDER):
                    found.append("the page is wider than the screen")
                if found:
                    self.wrong[f"{name} {scheme} {width}"] = found
                await _shoot(self.page, f"participant-{name}-{width}", scheme)

    def _listen(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.wrong.setdefault("policy", []).append(message.text)

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme in ("http", "https", "ws", "wss") and asked.hostname != "localhost":
            self.wrong.setdefault("asks others", []).append(request.url)


class MemberLook(Look):
    """Pages that renew themselves do it with htmx, which keeps the address of the page in its tab."""

    stored = frozenset({"htmx-current-path-for-history"})


async def walk(look: Look, cast: Cast, served: str, link: str) -> None:
    """From the mailed link to the receipt."""
    page = look.page
    await page.goto(f"{served}/i/unknown")
    await look.at("unknown-link")
    await page.goto(f"{served}/my-data")
    await expect(page.get_by_text("your browser refuses cookies")).to_be_visible()
    await look.at("cookies-refused")
    await expires(cast, timedelta(days=-1))
    await page.goto(link)
    await look.at("closed-link")
    await expires(cast, timedelta(days=1))
    await page.goto(link)
    await look.at("invitation")
    await page.get_by_label("Your first name").fill("Anna")
    await page.get_by_label("Your e-mail address").fill("somebody")
    await page.get_by_role("button", name="Register and continue").click()
    await look.at("invitation-wrong")
    await page.get_by_label("Your e-mail address").fill("anna@home.example")
    await page.get_by_role("button", name="Register and continue").click()
    await page.wait_for_url(f"{served}/take-part/*")
    await look.at("consent")
    await page.goto(f"{served}/my-data/erase")
    await look.at("not-proven")
    await page.goto(f"{served}/take-part/{cast.other_session}")
    await look.at("not-here")
    await page.get_by_role("link", name="Back to the session").click()
    await expect(page.get_by_role("switch", checked=True)).to_have_count(0)
    for kind in ("Video", "Audio", "Screen", "Transcript"):
        await page.get_by_role("switch", name=kind).check()
    await page.get_by_role("button", name="Go to the room").click()
    await page.wait_for_url(f"{served}/rooms/*")
    await page.goto(link)
    await look.at("invitation-again")
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url(f"{served}/take-part/*")
    await expect(page.get_by_role("switch", checked=True)).to_have_count(4)
    await page.get_by_role("link", name="Privacy notice").last.click()
    await look.at("notice")
    await page.goto(f"{served}/my-data")
    await look.at("my-data-ask")
    await page.get_by_role("button", name="Send me a code").click()
    await look.at("my-data-code")
    await page.get_by_label("The six digits").fill("12")
    await page.get_by_role("button", name="Show my data").click()
    await look.at("my-data-code-wrong")
    await page.get_by_role("button", name="Deutsch").click()
    await expect(page.get_by_label("Die sechs Ziffern")).to_be_visible()
    await page.get_by_role("button", name="English").click()
    await page.get_by_label("The six digits").fill(await code_of(cast))
    await page.get_by_role("button", name="Show my data").click()
    await look.at("my-data")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await corrections(look, served)
    await over(look, cast, served)
    await page.goto(f"{served}/my-data/requests")
    await page.get_by_role("button", name="Send the request").click()
    await look.at("my-requests-wrong")
    await page.get_by_role("link", name="My data").first.click()
    await page.get_by_role("button", name="Take back audio").click()
    await page.get_by_role("button", name="Erase everything about me").click()
    await look.at("erase-me")
    for told in ("you leave it now", "cannot be undone", "What stays"):  # before it is confirmed
        await expect(page.get_by_role("main")).to_contain_text(told)
    await page.get_by_role("button", name="Erase everything about me").click()
    await page.wait_for_url(f"{served}/receipt/*")
    await look.at("receipt-waiting")


async def over(look: Look, cast: Cast, served: str) -> None:
    """Whoever comes back later finds no switches and no room, but where it all stands."""
    async with cast.wiring.database.transaction(cast.account) as db:
        here = update(Session).where(Session.id == cast.session)
        before = (await db.get_one(Session, cast.session)).state
        await db.execute(here.values(state=SessionState.ENDED))
    await look.page.goto(f"{served}/take-part/{cast.session}")
    await expect(look.page.get_by_role("switch")).to_have_count(0)
    await look.at("session-over")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(here.values(state=before))


async def corrections(look: Look, served: str) -> None:
    """A word that was misheard, and another address; from My data and back."""
    page = look.page
    await page.get_by_role("link", name="Read and correct what you said").click()
    await page.get_by_role("link", name="Correct the line at 0:00").first.click()
    await look.at("my-words")
    await page.get_by_label("What is said here").fill("Hello, I am looking for a ramp.")
    await page.get_by_role("button", name="Save the correction").click()
    await expect(page.get_by_text("Heard by the computer: Hello, I am looking for a lamp.")).to_be_visible()
    await page.goto(f"{served}/my-data/address")
    await page.get_by_label("New e-mail address").fill("anna")
    await page.get_by_role("button", name="Mail me a code").click()
    await page.get_by_label("New e-mail address").fill("anna.new@home.example")
    await page.get_by_role("button", name="Mail me a code").click()
    await page.get_by_role("button", name="This is my new address").click()
    await look.at("my-address")
    await page.goto(f"{served}/my-data")


async def test_from_the_link_to_the_receipt(cast: Cast, served: str, chromium: Browser, tmp_path: Path) -> None:
    person = cast.participant.participant
    await stored_recording(cast, tmp_path, person=person, transcript=True)
    kept = await stored_recording(
        cast, tmp_path, person=cast.other_participant.participant, session=cast.other_session, stream=StreamKind.SCREEN
    )
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    look = Look(await context.new_page())
    await walk(look, cast, served, cast.participant.link)
    await run_all(cast)
    await look.page.reload()
    await expect(look.page.get_by_role("heading", name="Erased and verified")).to_be_visible()
    await look.at("receipt")
    await look.page.goto(f"{served}/signed-out")
    await look.at("signed-out")
    await owners_pages(look, cast, served, await chromium_page(context, cast, served), str(kept))
    await context.close()
    assert look.wrong == {}


async def chromium_page(context: BrowserContext, cast: Cast, served: str) -> Page:
    page = await context.new_page()
    await sign_in(page, cast, served)
    return page


async def owners_pages(look: Look, cast: Cast, served: str, page: Page, kept: str) -> None:
    look.page = page
    await page.goto(f"{served}/recordings/{kept}/erase")
    await look.at("owner-erase-recording")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).values(state=SessionState.ENDED))
    await page.goto(f"{served}/sessions/{cast.other_session}/erase")
    await look.at("owner-erase-session")
    await page.get_by_role("button", name="Erase 1 recording").click()
    await page.wait_for_url(f"{served}/erasures")
    await look.at("owner-erasures")
    await page.get_by_role("table").get_by_role("link").first.click()
    await look.at("owner-certificate-waiting")
    async with cast.wiring.database.transaction(cast.account) as db:
        latest = (await db.scalars(select(Erasure.id).order_by(Erasure.asked_at.desc()))).first()
    assert latest
    await run_erasure(cast.wiring, cast.account, latest, nodes=SpyNodes(reachable=False))
    await page.reload()
    await look.at("owner-certificate-partial")
    await run_erasure(cast.wiring, cast.account, latest, nodes=SpyNodes())
    await page.reload()
    await look.at("owner-certificate")


async def expires(cast: Cast, after: timedelta) -> None:
    """The participant's link, so long after now."""
    async with cast.wiring.database.transaction(cast.account) as db:
        mine = Invitation.id == cast.participant.invitation
        await db.execute(update(Invitation).where(mine).values(expires_at=datetime.now(UTC) + after))


async def run_all(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        asked = list(await db.scalars(select(Erasure.id).order_by(Erasure.asked_at)))
    for erasure in asked:
        await run_erasure(cast.wiring, cast.account, erasure, nodes=SpyNodes())


async def test_everything_but_the_room_works_without_javascript(cast: Cast, served: str, chromium: Browser) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(cast.participant.link)
    await page.get_by_label("Your first name").fill("Anna")
    await page.get_by_label("Your e-mail address").fill("anna@home.example")
    await page.get_by_role("button", name="Register and continue").click()
    await page.get_by_role("switch", name="Video").check()
    await page.get_by_role("button", name="Go to the room").click()
    await page.goto(f"{served}/my-data")
    await page.get_by_role("button", name="Send me a code").click()
    await page.get_by_label("The six digits").fill(await code_of(cast))
    await page.get_by_role("button", name="Show my data").click()
    await page.get_by_role("button", name="Take back video").click()
    await expect(page.get_by_text("You allow no recording")).to_be_visible()
    await page.get_by_role("button", name="Erase everything about me").click()
    await page.get_by_role("button", name="Erase everything about me").click()
    await page.wait_for_url(f"{served}/receipt/*")
    await context.close()
