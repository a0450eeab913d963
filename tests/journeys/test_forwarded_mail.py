"""Mails go through many hands: a scanner opens every link and spends nothing, and whoever one was forwarded to sees and
erases nothing of the person it was sent to."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from app.database import Database
from app.demo.people import LINK
from app.invitations.models import Invitation
from app.mail.models import OutgoingMail, Suppression
from app.participants.models import Participant
from app.privacy.records.models import Erasure
from app.studies.models import ConsentKind
from tests.app.room_stage import Stage, serving, stage
from tests.journeys.browser import chromium, until
from tests.journeys.rows import all_of, sent_to, window

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


async def test_a_scanner_and_whoever_the_mail_was_forwarded_to_change_and_see_nothing(
    database: Database, tmp_path: Path
) -> None:
    scene = await stage(database, tmp_path)
    await scene.participant("Anna", *ConsentKind)
    origin = scene.wiring.settings.origin
    async with serving(scene), chromium() as browser:
        ada = await window(browser, scene)
        await ada.page.goto(f"{origin}/sign-in")
        await ada.page.get_by_label("E-mail address").fill("ada@example.eu")
        await ada.page.get_by_role("button", name="Send me a link").click()
        await expect(ada.page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
        links = await until(lambda: mailed(scene), "the link, which is mailed after the page was answered")
        before = {
            kind: len(await all_of(scene, kind))
            for kind in (Invitation, Participant, Suppression, Erasure, OutgoingMail)
        }
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=60) as scanner:
            for link in sorted(links):
                for method in ("HEAD", "GET", "GET"):
                    answer = await scanner.request(method, link, headers={"accept": "text/html"})
                    assert answer.status_code in (200, 405), link
                    assert not answer.cookies
        assert {kind: len(await all_of(scene, kind)) for kind in before} == before

        # a forwarded mail: this browser has never been Anna's
        invitation = next(link for link in links if urlpart(link) == "i")
        friend = await window(browser, scene, width=360)
        await friend.page.goto(invitation)
        await expect(friend.page.get_by_text("anna@example.eu")).to_have_count(0)
        await friend.look("forwarded-link")
        await friend.press("See what we hold about you, or erase it")
        await expect(friend.page.get_by_role("button", name="Send me a code")).to_be_visible()
        for address in ("/my-data", "/my-data/erase"):
            await friend.page.goto(f"{origin}{address}")
            assert "anna@example.eu" not in await friend.page.content()
            await expect(friend.page.get_by_role("button", name=re.compile("rase"))).to_have_count(0)
        erased = await friend.context.request.post(f"{origin}/my-data/erase", headers={"origin": origin})
        assert erased.status == 401
        await friend.page.goto(f"{origin}/my-data")
        await friend.press("Send me a code")
        await friend.page.get_by_label("The six digits from the mail").fill("000000")
        await friend.press("Show my data")
        await expect(friend.page.locator(".error, [role=alert]").first).to_be_visible()
        await friend.look("forwarded-wrong-code")

        # and what the scanner opened still works for those it was meant for
        await ada.page.goto(next(link for link in links if urlpart(link) == "sign-in"))
        await ada.press("Sign in")
        await ada.page.wait_for_url(f"{origin}/")
        assert ada.faults + friend.faults == []
    assert await all_of(scene, Erasure) == await all_of(scene, Suppression) == []


async def mailed(scene: Stage) -> set[str] | None:
    """Every link, once there is one of each kind."""
    links = {link.rstrip(">,.") for text in (await sent_to(scene)).values() for link in LINK.findall(text)}
    return links if {urlpart(link) for link in links} >= {"i", "unsubscribe", "sign-in"} else None


def urlpart(link: str) -> str:
    return httpx.URL(link).path.strip("/").partition("/")[0]
