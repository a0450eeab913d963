"""An owner who imports a list with faults: each is told in its line, nothing is half done, the list is corrected
where it stands, and who unsubscribed gets no mail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from app.database import Database
from app.invitations.models import Invitation
from app.mail.service import suppress
from app.participants.models import Participant
from tests.app.room_stage import serving, stage
from tests.journeys.browser import chromium
from tests.journeys.rows import all_of, sent_to, window

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

FAULTY = (
    "First name;E-mail\n"
    "Carla;carla@home.example\n"
    "Dan;dan at home\n"
    ";nobody@home.example\n"
    "=2+3;formula@home.example\n"
    "Carla again;CARLA@home.example\n"
    "Uwe;uwe@home.example\n"
    "Björk;björk@home.example\n"
)
CORRECTED = FAULTY.replace("dan at home", "dan@home.example").replace(";nobody@", "Nora;nobody@").replace("=2+3", "Fay")


async def test_a_list_with_faults_is_corrected_where_it_stands(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path, group=True)
    columns, list_file = scene.wiring.columns, tmp_path / "people.csv"
    list_file.write_bytes(FAULTY.encode())
    async with database.transaction(scene.account) as db:
        unwanted = columns.blind_index(scene.account, "uwe@home.example")
        await suppress(db, account=scene.account, address_index=unwanted)
    async with serving(scene), chromium() as browser:
        ada = await window(browser, scene, await scene.cookie(member=scene.owner))
        await ada.page.goto(f"{scene.wiring.settings.origin}/sessions/{scene.session}")
        await ada.page.get_by_role("link", name="Invite several people from a list").click()
        await ada.page.get_by_label("Or a CSV file").set_input_files(list_file)
        await ada.page.get_by_label("Your words in the mail").fill("We would be glad to have you.")
        await ada.press("Look at the list first")
        await expect(ada.page.get_by_text("3 lines do not fit yet, so nobody was invited.")).to_be_visible()
        for words in ("dan at home", "formula for a spreadsheet", "same address as in line 2", "unsubscribed"):
            await expect(ada.page.get_by_role("table")).to_contain_text(words)
        await expect(ada.page.get_by_role("button", name=re.compile("^Invite "))).to_have_count(0)
        await ada.look("import-faults")
        assert await all_of(scene, Invitation) == await all_of(scene, Participant) == []
        assert "Björk;björk@home.example" in await ada.page.get_by_label("The list").input_value()
        assert await ada.page.get_by_label("Your words in the mail").input_value() == "We would be glad to have you."

        await ada.page.get_by_label("The list").fill(CORRECTED)
        await ada.press("Look again")
        await expect(ada.page.get_by_text("5 people get an invitation when you say so.")).to_be_visible()
        assert await all_of(scene, Invitation) == []
        await ada.look("import-ready")
        await ada.press("Invite 5 people")
        await expect(ada.page.get_by_role("rowheader", name="Carla")).to_be_visible()
        await ada.look("import-done")
        assert ada.faults == []
    mails = await sent_to(scene)
    expected = {f"{name}@home.example" for name in ("carla", "dan", "nobody", "formula", "björk")}
    assert set(mails) == expected
    assert all("We would be glad to have you." in text for text in mails.values())
