"""J4-24: which text was shown when, in which language, and that a changed one is a new one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest

from app.language import Language, say_day, speaking
from app.participants.consents import standing_consents
from app.participants.models import Consent, Participant
from app.participants.notice import WORDING_DATED, WORDING_VERSION, notice
from app.privacy.records.models import Erasure
from app.room.rows import read_room
from app.settings import Settings
from app.studies.models import ConsentKind, ConsentText, Study
from app.studies.service import new_consent_text
from tests.promises.test_j4_contacts import EVERYWHERE, FACTS, STUDY_FORM, participant_pages
from tests.promises.world import World

WORDING_HASH = "20b770a768fd828970022712350395d9c7c592acacea6026e27ef38b80533f91"
"""Of everything the notice says in version 6. A changed sentence needs a new WORDING_VERSION and date; then
pin the new hash here, and every participant is shown the new text before anything more is recorded."""


async def test_j4_24_the_notice_is_dated_on_every_page_that_shows_it(world: World):
    pages = await participant_pages(world)
    for path in (world.anna.link, f"/take-part/{world.lab.session}", f"/take-part/{world.lab.session}/notice"):
        assert "last updated" in pages[path], path
    with_notice = [path for path, html in pages.items() if "Privacy notice" in html]
    assert len(with_notice) >= 4


@pytest.mark.parametrize("language", list(Language))
async def test_j4_24_notice_and_contacts_stand_on_every_page_in_both_languages(world: World, language: Language):
    """The foot of every page: whom to ask about the research, about the platform, and the date of the notice."""
    [text] = await world.rows(world.lab, ConsentText)  # the lab's is as young as this test
    with speaking(language):
        day = say_day(max(WORDING_DATED, text.created_at.date()))
    said = {Language.EN: f"of {day}", Language.DE: f"vom {day}"}[language]
    for path, html in (await participant_pages(world, language)).items():
        foot = html[html.index("<footer") :]
        assert f'<html lang="{language}">' in html, path
        for expected in (world.lab.contact_name, world.lab.contact_email, "mailto:help@platform.example", said):
            assert expected in foot, path
        assert 'class="languages"' in foot, path


async def test_j4_24_a_consent_says_in_which_language_it_was_read(world: World):
    browser = await world.guest(world.anna)
    page = f"/take-part/{world.lab.session}?language=de"
    shown = await browser.open(page)
    await world.post(browser, page, {"consent": ["audio"]})
    [row] = await world.rows(world.lab, Consent)
    assert row.language == "de" and row.text_hash.hex() in shown.html
    assert "Verantwortlicher" in shown.html and "controller" not in shown.html
    assert await may_record(world) == {ConsentKind.AUDIO}, "read in German, and still it is the text that stands"


async def test_j4_24_a_consent_says_which_text_was_shown(world: World):
    browser = await world.guest(world.anna)
    shown = await browser.open(f"/take-part/{world.lab.session}")
    await world.post(browser, f"/take-part/{world.lab.session}", {"consent": ["audio"]})
    [row] = await world.rows(world.lab, Consent)
    assert (row.kind, row.given, row.text_version, row.language) == ("audio", True, 1, "en")
    assert row.text_hash.hex() in shown.html


async def test_j4_24_a_new_consent_text_has_a_new_version_and_asks_again(world: World):
    await world.registered(world.anna)
    owner = await world.member(world.lab)
    changed = STUDY_FORM | {"kinds": list(ConsentKind), "consent_text": "We also look into your cupboards."}
    assert (await world.post(owner, f"/studies/{world.lab.study}/edit", changed)).status_code == 303
    page = await (await world.guest(world.anna)).open(f"/take-part/{world.lab.session}")
    assert "cupboards" in page.words and "has changed" in page.words
    assert {row.text_version for row in await world.rows(world.lab, Consent)} == {1}  # the log stays as it was


async def test_j4_24_nothing_more_is_recorded_under_a_text_that_has_changed(world: World):
    """Whatever the change: a new text, another retention, another contact, a new third party. Reading it in
    another language is no change; what stood before still covers what was recorded then."""
    await world.registered(world.anna)
    everything = set(ConsentKind)
    [study] = await world.rows(world.lab, Study)
    assert await may_record(world) == everything
    await world.change(world.lab, Participant, world.anna.person, language="de")
    assert await may_record(world) == everything
    assert await may_record(world.with_settings(turn_urls="turns:turn.example:443")) == set()
    await world.change(world.lab, Study, world.lab.study, retention_days=study.retention_days + 1)
    assert await may_record(world) == set()
    await world.change(world.lab, Study, world.lab.study, retention_days=study.retention_days)
    assert await may_record(world) == everything
    async with world.wiring.database.transaction(world.lab.account) as db:
        await new_consent_text(db, study=world.lab.study, text="We also look into your cupboards.")
    assert await may_record(world) == set()
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert await standing_consents(db, session=world.lab.session, participant=world.anna.person) == everything
    browser = await world.guest(world.anna)
    page = f"/take-part/{world.lab.session}"
    shown = await browser.open(page)
    assert "has changed" in shown.words and " checked" not in shown.html, "asked again, with nothing ticked"
    await world.post(browser, page, {"consent": ["audio"]})
    assert await may_record(world) == {ConsentKind.AUDIO}
    assert await world.rows(world.lab, Erasure) == [], "not agreeing to a new text takes back nothing"


async def may_record(world: World) -> set[ConsentKind]:
    """What the room would let be recorded of Anna now."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        facts = await read_room(db, world.wiring, account=world.lab.account, session=world.lab.session)
    return set(facts.people[world.anna.person].consents)


def test_j4_24_the_wording_cannot_change_without_a_new_version():
    """Under every branch of the settings; the facts of a study are fixed here."""
    said = []
    for settings in (Settings(), EVERYWHERE, replace(EVERYWHERE, mail="smtp", smtp_host="mail.example")):
        for days, questions in ((180, False), (None, True)):
            shown = notice(settings, replace(FACTS, retention_days=days, has_questions=questions))
            said += [f"{s.heading}: {' '.join(s.paragraphs)}" for s in shown.sections]
            said += [f"{p.name} {p.purpose} {p.data} {p.place}" for p in shown.third_parties]
    pinned = {6: (date(2026, 11, 22), WORDING_HASH)}
    assert pinned[WORDING_VERSION] == (WORDING_DATED, sha256("\n".join(said).encode()).hexdigest())


def test_j4_24_the_german_wording_cannot_change_without_a_new_version():
    """A translation that says something else is another text: raise WORDING_VERSION, then pin the new hash."""
    said = []
    for settings in (Settings(), EVERYWHERE, replace(EVERYWHERE, mail="smtp", smtp_host="mail.example")):
        for days in (180, None):
            shown = notice(settings, replace(FACTS, retention_days=days, has_questions=True), Language.DE)
            said += [f"{s.heading}: {' '.join(s.paragraphs)}" for s in shown.sections]
    pinned = {6: "4ec6a2e55348bcc605170d6607fdf5e17c7399745ecf36c78a614a8a37c3da86"}
    assert pinned[WORDING_VERSION] == sha256("\n".join(said).encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"consent_text": "Something else."},
        {"consent_version": 2},
        {"contact_email": "other@lab.example"},
        {"kinds": (ConsentKind.AUDIO,)},
        {"retention_days": None},
        {"has_questions": True},
    ],
)
def test_j4_24_whatever_changes_in_the_text_changes_its_hash(change):
    seen = defaultdict(set)
    for facts in (FACTS, replace(FACTS, **change)):
        seen["hash"].add(notice(EVERYWHERE, facts).hash)
    assert len(seen["hash"]) == 2
    assert notice(EVERYWHERE, FACTS).hash != notice(replace(EVERYWHERE, mail="outbox"), FACTS).hash


def test_j4_24_the_date_is_that_of_the_newest_part():
    assert notice(EVERYWHERE, FACTS).dated == max(WORDING_DATED, FACTS.consent_dated)
    assert notice(EVERYWHERE, replace(FACTS, consent_dated=date(2027, 5, 1))).dated == date(2027, 5, 1)
