"""A participant's pages in German in a real Chromium: nothing is left in English, nothing is wider than a phone,
the longer words break nothing (axe, WCAG 2.2 AA), and the page says which language it speaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import update

from app.language import Language, catalogue
from app.participants.models import Participant
from app.sessions.models import Session, SessionState
from app.studies.service import new_consent_text
from tests.app.test_pages_in_browser import chromium, served, until, wiring
from tests.app.test_participant_pages_in_browser import Look, code_of, run_all
from tests.fixtures.answering import ask_three, took_part
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here

ENGLISH = [
    re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
    for message in catalogue(Language.DE)
    if message.id and message.string
    for text in ([message.id] if isinstance(message.id, str) else message.id)
    if len(text) > 8 and "%(" not in text and text.casefold() not in str(message.string).casefold()
]
"""What the pages would say in English."""

SAID = """() => {
  const said = [document.title];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return said.push(node.textContent);
    if (node.nodeType !== Node.ELEMENT_NODE || ["SCRIPT", "STYLE", "CODE"].includes(node.tagName)) return;
    if (node.lang && node.lang !== "de" && node !== document.documentElement) return;
    const told = ["aria-label", "data-label", "placeholder", "alt", "title"];
    said.push(...told.map((name) => node.getAttribute(name) ?? ""));
    node.childNodes.forEach(walk);
  };
  walk(document.documentElement);
  return said.join("\\n");
}"""


def test_the_list_of_english_texts_is_long():
    assert len(ENGLISH) > 200


class GermanLook(Look):
    """Besides what every look finds: English words, and a page that does not say that it speaks German."""

    async def at(self, name: str) -> None:
        await super().at(f"de-{name}")
        said = await self.page.evaluate(SAID)
        left = [found[0] for text in ENGLISH if (found := text.search(said))]
        if await self.page.evaluate("document.documentElement.lang") != "de":
            left.append("the page does not say that it is German")
        if left:
            self.wrong[f"{name}: left in English"] = left


async def _button(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def test_from_the_link_to_the_receipt_in_german(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    person = cast.participant.participant
    await stored_recording(cast, tmp_path, person=person, transcript=True)
    context = await chromium.new_context(reduced_motion="reduce", locale="de-DE")
    page = await context.new_page()
    look = GermanLook(page)
    look.stored = frozenset({str(cast.session)})  # the tab remembers that it was in the room
    for path, name in (("/i/unknown", "closed-link"), ("/no-such-page", "not-here"), ("/my-data", "who-are-you")):
        await page.goto(served + path)
        await look.at(name)
    invitation = next(mail for row, mail in await mails(cast.wiring) if mail and row.template == "invitation")
    await page.goto(invitation.headers["List-Unsubscribe"][1:-1])
    await look.at("unsubscribe")
    await page.goto(cast.participant.link)
    await look.at("invitation")
    await page.get_by_label("Ihre E-Mail-Adresse").fill("niemand")
    await _button(page, "Anmelden und weiter")
    await look.at("invitation-wrong")
    await page.get_by_label("Ihr Vorname").fill("Anna")
    await page.get_by_label("Ihre E-Mail-Adresse").fill("anna@home.example")
    await _button(page, "Anmelden und weiter")
    await page.wait_for_url(f"{served}/take-part/*")
    await look.at("consent")
    for kind in ("Video", "Ton", "Bildschirm", "Transkript"):
        await page.get_by_role("switch", name=kind).check()
    await _button(page, "Zum Raum")
    await page.wait_for_url(f"{served}/rooms/*")
    await until(page, "!document.getElementById('ready').disabled")
    await look.at("room-check")
    await _button(page, "Ich bin bereit")
    await look.at("room-waiting")
    async with cast.wiring.database.transaction(cast.account) as db:
        await new_consent_text(db, study=cast.study, text="Wir möchten Ihnen zusehen.")
    await page.reload()
    await until(page, "!document.getElementById('ready').disabled")
    await look.at("room-asked-again")
    await page.get_by_role("link", name="Ansehen und neu entscheiden").click()
    await expect(page.get_by_role("switch", checked=True)).to_have_count(0)
    await look.at("consent-changed")
    await page.get_by_role("link", name="hinweise").last.click()
    await look.at("notice")
    await questions(look, cast, f"{served}/take-part/{cast.session}/questions")
    await page.goto(f"{served}/my-data")
    await look.at("my-data-ask")
    await _button(page, "Code schicken")
    await page.get_by_label("Die sechs Ziffern").fill("12")
    await _button(page, "Meine Daten zeigen")
    await look.at("my-data-code")
    await page.get_by_label("Die sechs Ziffern").fill(await code_of(cast))
    await _button(page, "Meine Daten zeigen")
    await look.at("my-data")
    await page.get_by_role("link", name="Kopie verlangen").click()
    await look.at("my-requests")
    await page.get_by_role("button", name="Anfrage absenden").click()
    await look.at("my-requests-wrong")
    await page.goto(f"{served}/my-data/erase")
    await look.at("erase-me")
    await _button(page, "Alles über mich löschen")
    await page.wait_for_url(f"{served}/receipt/*")
    await look.at("receipt-waiting")
    await run_all(cast)
    await page.reload()
    await expect(page.get_by_role("heading", name="Gelöscht und geprüft")).to_be_visible()
    await look.at("receipt")
    await context.close()
    assert look.wrong == {}


async def questions(look: GermanLook, cast: Cast, path: str) -> None:
    """The questions after the session, from nothing to ask to what was answered before."""
    page = look.page
    await page.goto(path)
    await look.at("questions-none")
    await ask_three(cast)
    await took_part(cast)
    await page.goto(path)
    await look.at("questions")
    await page.get_by_label("What annoyed you?").fill("Nichts")
    await _button(page, "Meine Antworten absenden")
    await look.at("questions-wrong")
    await page.get_by_label("4", exact=True).check()
    await _button(page, "Meine Antworten absenden")
    await expect(page.get_by_role("heading", name="Danke für Ihre Antworten")).to_be_visible()
    await look.at("questions-thanks")


async def test_the_room_in_german_says_what_happens(cast: Cast, served: str, chromium: Browser) -> None:
    """Whatever the modules say: let in, without devices, the server lost."""
    context = await chromium.new_context(locale="de-DE", viewport={"width": 360, "height": 740})
    page = await context.new_page()
    look = GermanLook(page)
    look.stored = frozenset({str(cast.session)})  # the tab remembers that it was in the room
    await page.goto(cast.participant.link)
    await page.get_by_label("Ihr Vorname").fill("Anna")
    await page.get_by_label("Ihre E-Mail-Adresse").fill("anna@home.example")
    await _button(page, "Anmelden und weiter")
    await page.get_by_role("switch", name="Video").check()
    await page.get_by_role("switch", name="Ton").check()
    await page.get_by_role("switch", name="Bildschirm").check()
    await _button(page, "Zum Raum")
    await expect(page.locator("#device-trouble")).to_contain_text("Kamera")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(state=SessionState.LIVE))
        await db.execute(update(Session).where(Session.id == cast.session).values(recording="on"))
    await _button(page, "Ich bin bereit")
    await look.at("room-waiting")
    await expect(page.locator("[data-words]")).to_contain_text("Aufzeichnung")
    await _button(page, "Verlassen") if await page.locator("#leave").is_visible() else None
    await context.set_offline(True)
    await context.close()
    assert look.wrong == {}


async def test_the_choice_in_the_foot_is_kept_and_beats_the_browser(cast: Cast, served: str, chromium: Browser) -> None:
    """Carried in the address until they register, then kept with them; a mail asked for later speaks it too."""
    context = await chromium.new_context(locale="de-DE", java_script_enabled=False)
    page = await context.new_page()
    await page.goto(cast.participant.link)
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_label("Your first name")).to_be_visible()
    await page.get_by_label("Your first name").fill("Anna")
    await page.get_by_label("Your e-mail address").fill("anna@home.example")
    await page.get_by_role("button", name="Register and continue").click()
    await expect(page.get_by_role("heading", name="What may be recorded of you?")).to_be_visible()
    assert await kept(cast) == "en"
    await _button(page, "Deutsch")
    await expect(page.get_by_role("heading", name="Was darf von Ihnen aufgezeichnet werden?")).to_be_visible()
    assert page.url == f"{served}/take-part/{cast.session}" and await kept(cast) == "de"
    assert [cookie["name"] for cookie in await context.cookies()] == ["login"], "no cookie for the language"
    await page.goto(f"{served}/my-data")
    await _button(page, "Code schicken")
    await expect(page.get_by_label("Die sechs Ziffern")).to_be_visible()
    sent = next(mail for row, mail in await mails(cast.wiring) if mail and row.template == "data_code")
    assert sent.subject == "Ihr Code für Junier" and "Guten Tag Anna," in sent.text and 'lang="de"' in sent.html
    assert "Datenschutzhinweise vom" in sent.text
    await context.close()


async def test_times_are_shown_in_the_readers_zone_in_both_languages(
    cast: Cast, served: str, chromium: Browser
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Session, cast.session)
        row.starts_at, row.time_zone = row.created_at.replace(2027, 3, 3, 23, 5, 0, 0), "Europe/Berlin"
    for locale, said in (("de-DE", "4. März 2027"), ("en-GB", "4 March 2027")):
        context = await chromium.new_context(locale=locale, timezone_id="Asia/Tokyo")
        page = await context.new_page()
        await page.goto(cast.participant.link)
        await expect(page.locator("time").first).to_contain_text(said)
        await expect(page.locator("time").first).to_contain_text("08:05 (Asia/Tokyo)")
        await context.close()
        without = await chromium.new_context(locale=locale, java_script_enabled=False)
        page = await without.new_page()
        await page.goto(cast.participant.link)
        await expect(page.locator("time").first).to_contain_text(f"{said}, 00:05 (Europe/Berlin)")
        await without.close()


async def kept(cast: Cast) -> str | None:
    async with cast.wiring.database.transaction(cast.account) as db:
        return (await db.get_one(Participant, cast.participant.participant)).language
