"""A passkey in a real Chromium with a virtual authenticator (WebAuthn Level 3 §11): added after the mailed link, used
to sign in, removed; the pages are readable for everyone and say what is missing."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import func, update

from app.accounts.models import Account, Login
from app.accounts.policy import FRESH
from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.app.test_participant_pages_in_browser import Look
from tests.fixtures.web import Cast

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


async def test_a_passkey_is_added_signs_in_and_is_removed(cast: Cast, served: str, chromium: Browser) -> None:
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    look = Look(page)
    devices = await context.new_cdp_session(page)
    await devices.send("WebAuthn.enable")
    device = (await devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE}))["authenticatorId"]
    await sign_in(page, cast, served)
    await page.get_by_role("link", name="Olga: how you sign in").click()
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_text("Please fill this in.")).to_be_visible()
    await look.at("passkeys-wrong")
    await page.get_by_label("Name").fill("Work laptop")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("rowheader", name="Work laptop")).to_be_visible()
    await cast.browser("owner")  # signed in elsewhere too
    await page.reload()
    await expect(page.get_by_text("Your passkeys have changed.")).to_be_visible()
    await look.at("passkeys-changed")
    await page.get_by_role("button", name="Sign out everywhere else").first.click()
    await expect(page.get_by_text("Another browser")).to_have_count(0)
    await page.get_by_label("Name").fill("The same laptop")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("alert")).to_contain_text("on this device already")
    await look.at("passkeys-again")

    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{served}/sign-in?next=/sessions")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await page.wait_for_url(f"{served}/sessions")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Login).values(created_at=func.now() - FRESH))
    await page.goto(f"{served}/passkeys")
    await look.at("passkeys-sign-in-again")
    await page.get_by_role("link", name="Sign in again").click()
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await page.wait_for_url(f"{served}/passkeys")
    await page.goto(f"{served}/members")
    await page.get_by_role("button", name="Ask for passkeys").click()
    await expect(page.get_by_text("Owners and researchers need a passkey.")).to_be_visible()
    await look.at("members-passkeys")
    await page.goto(f"{served}/passkeys")
    await page.get_by_role("button", name="Remove Work laptop").click()
    await expect(page.get_by_text("You have none yet.")).to_be_visible()

    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, cast, served, to="/passkeys")
    await look.at("passkeys-needed")
    await page.goto(f"{served}/sessions")
    await look.at("passkeys-needed-elsewhere")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Account).values(passkeys_needed=False))
    await page.goto(f"{served}/passkeys")
    await page.get_by_role("button", name="Sign out").click()  # the device still shows it; we do not know it any more
    await page.goto(f"{served}/sign-in")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await expect(page.get_by_role("alert")).to_contain_text("This passkey could not be used.")
    await look.at("sign-in-refused")
    await devices.send("WebAuthn.clearCredentials", {"authenticatorId": device})
    await devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    await page.goto(f"{served}/sign-in")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await expect(page.get_by_role("alert")).to_contain_text("Nothing happened")
    await context.close()

    bare = await chromium.new_context(java_script_enabled=False)
    page = await bare.new_page()
    await page.goto(f"{served}/sign-in")
    await expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
    await expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/passkeys")
    await expect(page.get_by_text("To add a passkey, JavaScript has to be on")).to_be_visible()
    await expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()
    await bare.close()
    assert look.wrong == {}
