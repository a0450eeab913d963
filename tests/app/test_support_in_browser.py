"""Support access in a real Chromium: an operator with a virtual authenticator asks, the owner grants and watches over
it, a recording plays; every page is readable for everyone, and the owner's works without JavaScript."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from app.support.operators import add_operator
from tests.app.support_stage import REASON
from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.app.test_participant_pages_in_browser import Look
from tests.app.test_passkeys_in_browser import DEVICE
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here


class OperatorsLook(Look):
    """An operator has a cookie of their own, beside that of a member they may be, too."""

    cookies = frozenset({"login", "operator"})


async def mailed_link(cast: Cast) -> str:
    """The mail is written after the page was answered."""
    async with asyncio.timeout(120):
        while True:
            for _, mail in await mails(cast.wiring):
                if mail and (link := re.search(r"\S+/support/sign-in/\S+", mail.text)):
                    return link[0]
            await asyncio.sleep(0.05)


async def test_an_operator_asks_and_the_owner_watches_over_it(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    recording = await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    async with cast.wiring.database.transaction() as db:
        await add_operator(db, cast.wiring.columns, name="Omar", email="omar@platform.example")
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    look = OperatorsLook(page)
    devices = await context.new_cdp_session(page)
    await devices.send("WebAuthn.enable")
    await devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    await page.goto(f"{served}/support")
    await look.at("support-sign-in")
    await page.get_by_label("E-mail address").fill("omar@platform.example")
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
    await page.goto(await mailed_link(cast))
    await page.get_by_role("button", name="Go on").click()
    await look.at("support-passkey")
    await page.get_by_role("button", name="Make a passkey").click()
    await expect(page.get_by_text("You have asked for nothing yet.")).to_be_visible()
    await page.get_by_label("Id of the account").fill("Kitchen Lab")
    await page.get_by_role("button", name="Ask the owner").click()
    await expect(page.get_by_text("This is no id.").first).to_be_visible()
    await look.at("support-wrong")
    await page.get_by_label("Id of the account").fill(str(cast.account))
    await page.get_by_label("Id of the session or recording").fill(str(recording))
    await page.get_by_label("Why").fill(REASON)
    await page.get_by_role("button", name="Ask the owner").click()
    await expect(page.get_by_text("Waits for an answer")).to_be_visible()
    await look.at("support-waiting")

    bare = await chromium.new_context(java_script_enabled=False)
    other = await bare.new_page()
    await sign_in(other, cast, served)
    await other.goto(f"{served}/support-access")
    await expect(other.get_by_text(REASON)).to_be_visible()
    await other.get_by_label("For how long").select_option("30")
    await other.get_by_role("button", name="Grant").click()
    await expect(other.get_by_text("Granted by Olga, open until")).to_be_visible()

    await page.reload()
    await page.get_by_role("link", name="Look at it").click()
    await look.at("support-object")
    await page.locator("video").evaluate("film => { film.muted = true; return film.play() }")
    await page.wait_for_function("document.querySelector('video').currentTime > 0")
    await page.get_by_role("link", name="Read the transcript").click()
    await look.at("support-transcript")
    grant = page.url.partition("/recordings/")[0]

    await sign_in(page, cast, served)  # the same browser as the owner's, to look at the page with scripts
    await page.goto(f"{served}/audit")
    await page.get_by_role("link", name="Support access").click()
    await expect(page.get_by_text("picture and sound of a recording")).to_be_visible()
    await look.at("support-owner")
    await other.reload()
    await other.get_by_role("button", name="End this access now").click()
    await expect(other.get_by_text("ended early")).to_be_visible()
    await page.goto(grant)
    await expect(page.get_by_text("There is no such grant of yours, or it is over.")).to_be_visible()
    await page.goto(f"{served}/support")
    await look.at("support-over")
    await context.close()
    await bare.close()
    assert look.wrong == {}
