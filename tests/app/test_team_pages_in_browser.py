"""Members, invitations from a list, and notes in a real Chromium: readable for everyone, no wider than a phone,
and all but the room without JavaScript."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import select, update

from app.accounts.models import Account
from app.mail.service import suppress
from app.sessions.models import Note, Recording, Session, SessionState
from app.sessions.notes import write_note
from app.sessions.service import open_room, schedule
from recordings.model import StreamKind
from tests.app.test_pages_in_browser import chromium, served, sign_in, until, wiring
from tests.app.test_participant_pages_in_browser import MemberLook
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here

LONG = "A sentence of a researcher who saw something and wrote it down at once, before it was forgotten again."


async def reviewed(cast: Cast, folder: Path) -> None:
    """A session that was recorded, transcribed, and commented by two people."""
    person = cast.participant.participant
    await stored_recording(cast, folder, person=person, transcript=True)
    await stored_recording(cast, folder, person=person, stream=StreamKind.SCREEN)
    async with cast.wiring.database.transaction(cast.account) as db:
        await open_room(db, session=cast.session)
        for who, words in ((cast.owner, "Smiles"), (cast.researcher, LONG)):
            await write_note(
                db, cast.wiring.columns, session=cast.session, member=who, text=words, writing=timedelta(0)
            )
    async with cast.wiring.database.transaction(cast.account) as db:
        begun = (await db.scalars(select(Recording.recorded_at))).first()
        assert begun
        for number, note in enumerate(await db.scalars(select(Note).order_by(Note.member_id == cast.owner))):
            note.at = begun + timedelta(seconds=1 + number)


async def test_every_page_is_readable_for_everyone(cast: Cast, served: str, chromium: Browser, tmp_path: Path) -> None:
    await reviewed(cast, tmp_path)
    async with cast.wiring.database.transaction(cast.account) as db:
        group = await schedule(db, account=cast.account, study=cast.study, title="Group", group=True)
        index = cast.wiring.columns.blind_index(cast.account, "uwe@home.example")
        await suppress(db, account=cast.account, address_index=index)
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await sign_in(page, cast, served)
    look = MemberLook(page)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Account).values(agreement_dated=None))
    await page.goto(served)
    await look.at("before-the-agreement")
    await page.goto(f"{served}/sessions/{cast.session}")
    await look.at("session-before-the-agreement")
    await page.get_by_role("link", name="Read the agreement").click()
    await look.at("agreement")
    await page.get_by_role("button", name="Accept the agreement").click()
    await page.goto(f"{served}/members")
    await look.at("members")
    await page.get_by_role("button", name="Add the member").click()
    await look.at("members-wrong")
    await page.goto(f"{served}/members/{cast.owner}")
    await page.get_by_role("button", name="Remove yourself").click()
    await look.at("member-last-owner")
    await page.goto(f"{served}/sessions/{group}")
    await look.at("session-group")
    await page.goto(f"{served}/studies/{cast.study}/edit")
    await page.get_by_label("Owners, and only those assigned to each session").check()
    await look.at("study-edit")
    await page.get_by_role("button", name="Save").click()
    await page.goto(f"{served}/sessions/{group}")
    await look.at("session-nobody-assigned")
    for name in ("Rita (researcher)", "Oscar (observer)"):
        await page.get_by_label("Assign somebody").select_option(label=name)
        await page.get_by_role("button", name="Assign", exact=True).click()
    await page.get_by_role("button", name="End the assignment of Oscar").click()
    await look.at("session-assigned")
    await page.get_by_role("link", name="Invite several people").click()
    await look.at("list")
    people = "Name;E-mail\nCarla;carla@home.example\nKarla;CARLA@home.example\nUwe;uwe@home.example"
    await page.get_by_label("The list").fill(people)
    await page.get_by_role("button", name="Look at the list first").click()
    await look.at("list-looked-at")
    await page.get_by_label("The list").fill(
        people + "\nEve;eve at home\n=cmd();a.very.long.address.that@does.not.end.home.example"
    )
    await page.get_by_role("button", name="Look again").click()
    await look.at("list-wrong")
    await page.goto(f"{served}/rooms/{cast.session}")
    await page.get_by_role("textbox", name="Note").fill("Hesitates")
    await page.keyboard.press("Enter")
    await until(page, "document.getElementById('note-told').textContent.startsWith('Kept at')")
    await look.at("room-notes")
    await page.goto(f"{served}/sessions/{cast.session}")
    await page.get_by_label("Assign somebody").select_option(label="Rita (researcher)")
    await page.get_by_role("button", name="Assign", exact=True).click()
    await page.get_by_role("button", name="Also to the earlier sessions of these people").click()
    await page.goto(f"{served}/sessions/{cast.session}/review")
    await page.get_by_text("Delete", exact=True).first.click()
    await look.at("review-notes")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).values(state=SessionState.ENDED))
    await page.goto(f"{served}/sessions/{cast.session}/erase")
    await look.at("erase-with-notes")
    await context.clear_cookies()
    await sign_in(page, cast, served, who=cast.observer)
    await look.at("observer-studies")
    await page.goto(f"{served}/studies/{cast.study}/edit")
    await look.at("observer-not-allowed")
    await context.close()
    assert look.wrong == {}


async def test_a_note_is_kept_by_enter_and_a_lost_network_loses_nothing(
    cast: Cast, served: str, chromium: Browser
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await open_room(db, session=cast.session)
    context = await chromium.new_context()
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/rooms/{cast.session}")
    field = page.get_by_role("textbox", name="Note")
    await context.set_offline(True)
    await field.fill("Looks <i>twice</i>")
    await field.press("Enter")
    await until(page, "document.getElementById('note-told').textContent.includes('not kept yet')")
    assert await field.input_value() == "Looks <i>twice</i>"
    await context.set_offline(False)
    await field.press("Enter")
    await until(page, "document.querySelectorAll('#notes-kept li').length === 1")
    assert "Looks <i>twice</i>" in await page.locator("#notes-kept").inner_text()
    assert await field.input_value() == ""
    await field.press("Shift+Enter")
    await field.press("Enter")
    await page.reload()
    await expect(page.locator("#notes-kept li")).to_have_count(1)
    await context.close()


async def test_choosing_a_note_plays_from_there(cast: Cast, served: str, chromium: Browser, tmp_path: Path) -> None:
    await reviewed(cast, tmp_path)
    context = await chromium.new_context()
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/sessions/{cast.session}/review")
    await until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    await page.get_by_role("button", name="Smiles").click()
    await until(page, "[...document.querySelectorAll('video')].every(v => v.currentTime > 1.8)")
    await context.close()


async def test_a_team_works_without_javascript(cast: Cast, served: str, chromium: Browser, tmp_path: Path) -> None:
    await reviewed(cast, tmp_path)
    async with cast.wiring.database.transaction(cast.account) as db:
        group = await schedule(db, account=cast.account, study=cast.study, title="Group", group=True)
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.get_by_role("link", name="Members").click()
    await page.get_by_label("Name", exact=True).fill("Nina")
    await page.get_by_label("E-mail address").fill("nina@lab.example")
    await page.get_by_role("radio", name="Observer").check()
    await page.get_by_role("button", name="Add the member").click()
    await page.get_by_role("link", name="Change or remove Nina").click()
    await page.get_by_role("radio", name="Researcher").check()
    await page.get_by_role("button", name="Change the role").click()
    await expect(page.get_by_role("row", name="Nina").get_by_text("Researcher")).to_be_visible()
    await page.get_by_role("link", name="Change or remove Nina").click()
    await page.get_by_role("button", name="Remove Nina").click()
    await expect(page.get_by_role("row", name="Nina")).to_have_count(0)

    file = tmp_path / "people.csv"
    file.write_bytes("Vorname;E-Mail\r\nBjörn;bjoern@home.example\r\n".encode("cp1252"))
    await page.goto(f"{served}/sessions/{group}/invitations/list")
    await page.get_by_label("Or a CSV file").set_input_files(file)
    await page.get_by_role("button", name="Look at the list first").click()
    await page.get_by_role("button", name="Invite 1 person").click()
    await expect(page.get_by_role("rowheader", name="Björn")).to_be_visible()

    await page.goto(f"{served}/sessions/{cast.session}/review")
    notes = page.get_by_role("region", name="Notes").get_by_role("listitem")
    await expect(notes).to_have_count(2)
    await page.get_by_text("Delete", exact=True).first.click()
    await page.get_by_role("button", name="Delete this note").first.click()
    await expect(notes).to_have_count(1)
    await context.close()
