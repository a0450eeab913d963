"""Which language is spoken to whom, and that German says everything English says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from babel.messages.catalog import Message
from hypothesis import given
from hypothesis import strategies as st

from app.language import (
    Language,
    catalogue,
    choose,
    gettext,
    ngettext,
    read_language,
    room_words,
    say_day,
    say_moment,
    speaking,
    spoken,
    translations,
)
from app.messages import marked

MEMBERS_ONLY = (
    "app/accounts/",
    "app/audit_file.py",
    "app/backup.py",
    "app/key_commands.py",
    "app/ledger.py",
    "app/ledger_entries.py",
    "app/library/",
    "app/studies/",
    "app/invitations/guests.py",
    "app/invitations/invite_list.py",
    "app/invitations/list_routes.py",
    "app/invitations/moment_routes.py",
    "app/invitations/people_list.py",
    "app/invitations/team_routes.py",
    "app/privacy/keeping/axis.py",
    "app/privacy/keeping/closing",
    "app/privacy/keeping/export_routes.py",
    "app/privacy/keeping/hold",
    "app/privacy/keeping/keeping",
    "app/privacy/rights/copy_routes.py",
    "app/privacy/erasing/erasure_routes.py",
    "app/privacy/rights/deciding.py",
    "app/privacy/rights/noting",
    "app/privacy/rights/proof.py",
    "app/privacy/rights/extending.py",
    "app/privacy/replaying.py",
    "app/privacy/serving.py",
    "app/privacy/erasing/recipients.py",
    "app/privacy/rights/disclosing.py",
    "app/privacy/rights/disclosure_routes.py",
    "app/privacy/rights/request_routes.py",
    "app/privacy/rights/requests.py",
    "app/restoring.py",
    "app/privacy/rights/trail.py",
    "app/room/node",
    "app/sessions/again.py",
    "app/sessions/moving.py",
    "app/sessions/next_step.py",
    "app/sessions/note",
    "app/sessions/overview.py",
    "app/sessions/purposes.py",
    "app/sessions/reminder.py",
    "app/sessions/service.py",
    "app/settings_page.py",
    "app/static/js/review",
    "app/static/room/health",
    "app/static/room/member",
    "app/static/room/notes",
    "app/support/",
    "app/templates/accounts/",
    "app/templates/counted.html",
    "app/templates/invitations/list.html",
    "app/templates/invitations/moment.html",
    "app/templates/invitations/reminder.html",
    "app/templates/invitations/team.html",
    "app/templates/library/",
    "app/templates/mail/",
    "app/templates/pager.html",
    "app/templates/privacy/account_paper.html",
    "app/templates/privacy/certificate.html",
    "app/templates/privacy/closed.html",
    "app/templates/privacy/erase_recording.html",
    "app/templates/privacy/erase_session.html",
    "app/templates/privacy/erasures.html",
    "app/templates/privacy/disclosure",
    "app/templates/privacy/hold",
    "app/templates/privacy/request",
    "app/templates/privacy/retention",
    "app/templates/privacy/trail.html",
    "app/templates/room/member.html",
    "app/templates/sessions/",
    "app/templates/studies/",
    "app/templates/support/",
)
"""Places that only members read. Whatever is marked anywhere else is a participant's text and needs its German."""

PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%|%")
FORMATTED = re.compile(r"<[^>]+>")


def forms(text: object) -> list[str]:
    return [text] if isinstance(text, str) else [str(one) for one in text]  # type: ignore[attr-defined]


def texts() -> Iterator[Message]:
    yield from (message for message in marked() if message.id)


def german(message: Message) -> list[str]:
    found = catalogue(Language.DE).get(forms(message.id)[0])
    return forms(found.string) if found is not None and found.string else []


def test_whatever_a_participant_may_read_has_its_german():
    missing = [
        forms(message.id)[0]
        for message in texts()
        if not all(place.startswith(MEMBERS_ONLY) for place, _line in message.locations)
        and not all(german(message) or [""])
    ]
    assert missing == [], "run `make messages` and translate them in app/translations/de"


def test_the_catalogue_knows_the_texts_of_today_only():
    today = {forms(message.id)[0] for message in texts()}
    kept = {forms(message.id)[0] for message in catalogue(Language.DE) if message.id and message.string}
    assert kept - today == set(), "run `make messages`"


def test_nothing_is_guessed_and_every_placeholder_and_tag_stands_in_the_german_too():
    for message in catalogue(Language.DE):
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        singular, *others = forms(message.id)
        for index, said in enumerate(forms(message.string)):
            if not said:
                continue
            source = singular if index == 0 else others[0]
            either = {*PLACEHOLDER.findall(source), *(PLACEHOLDER.findall(singular) if index == 0 else ())}
            assert set(PLACEHOLDER.findall(said)) == either, message.id
            assert FORMATTED.findall(said) == FORMATTED.findall(source), message.id
            assert said.strip() == said or said != said.strip() == source.strip() or source != source.strip()


def test_german_addresses_people_formally_and_says_what_the_law_says():
    said = " ".join(one for message in texts() for one in german(message))
    assert not re.search(r"\b([Dd]u|[Dd]ein\w*|[Dd]ich|[Dd]ir|[Ee]uch|[Ee]uer\w*)\b", said)
    for term in ("Einwilligung", "widerrufen", "Verantwortlicher", "Löschung", "Widerspruch", "Berichtigung"):
        assert term in said
    assert translations(Language.DE).gettext("Unsubscribe from invitations") == "Von Einladungen abmelden"


@pytest.mark.parametrize(
    ("header", "explicit", "stored", "study", "expected"),
    [
        (None, None, None, None, "en"),
        ("de", None, None, None, "de"),
        ("de-AT,de;q=0.9,en;q=0.5", None, None, None, "de"),
        ("en-GB,de;q=0.9", None, None, None, "en"),
        ("fr,de;q=0.3,en;q=0.2", None, None, None, "de"),
        ("fr", None, None, "de", "de"),
        ("fr", None, None, "fr", "en"),
        ("en", None, None, "de", "en"),
        ("en", None, "de", None, "de"),
        ("de", "en", "de", "de", "en"),
        ("de", "fr", None, None, "de"),
        ("de;q=0,en", None, None, None, "en"),
        ("*", None, None, "de", "de"),
        ("de;q=x", None, None, None, "en"),
        ("de;q=2", None, None, None, "en"),
        ("de;q=-1", None, None, None, "en"),
        ("de;q=nan", None, None, None, "en"),
        ("\x00;;;=,,,", "<script>", "", "xx", "en"),
        (None, "DE", None, None, "de"),
        (None, "de_CH", None, None, "de"),
        (None, "deu", None, None, "en"),
    ],
)
def test_chosen_then_stored_then_asked_for_then_the_studys(header, explicit, stored, study, expected):
    assert choose(header, explicit, stored, study) == expected


anything = st.none() | st.text(max_size=40) | st.sampled_from(["de", "en", "de-CH;q=0.4, en", "EN"])


@given(anything, anything, anything, anything)
def test_any_words_of_a_stranger_lead_to_a_language_we_speak(header, explicit, stored, study):
    chosen = choose(header, explicit, stored, study)
    assert chosen in Language
    if read_language(explicit) is not None:
        assert chosen == read_language(explicit)


def test_speaking_ends_where_it_began():
    assert spoken() is Language.EN
    with speaking(Language.DE):
        assert (spoken(), gettext("My data")) == (Language.DE, "Meine Daten")
        with speaking(Language.EN):
            assert gettext("My data") == "My data"
        assert spoken() is Language.DE
    assert (spoken(), gettext("My data")) == (Language.EN, "My data")


def test_values_are_filled_in_once_and_never_read_as_placeholders():
    evil = "100 % %(contact)s {{ 7 * 7 }}"
    for language in Language:
        with speaking(language):
            assert evil in gettext("Hello %(name)s,", name=evil)
    with speaking(Language.DE):
        assert gettext("no such text %(kept)s 5 %") == "no such text %(kept)s 5 %"
        assert gettext("") == ""
        assert ngettext("%(n)s researcher", "%(n)s researchers", 2) == "2 forschende Personen"


def test_days_and_moments_are_said_as_the_language_says_them_and_name_the_zone():
    at = datetime(2027, 3, 3, 23, 5, tzinfo=UTC)
    assert say_moment(at, "Europe/Berlin") == "4 March 2027, 00:05 (Europe/Berlin)"
    assert say_day(date(2027, 3, 3)) == "3 March 2027" and say_day(at, "Europe/Berlin") == "4 March 2027"
    with speaking(Language.DE):
        assert say_moment(at, "Europe/Berlin", weekday=True) == "Donnerstag, 4. März 2027, 00:05 (Europe/Berlin)"
        assert say_day(date(2027, 3, 3)) == "3. März 2027"


def test_the_pages_modules_get_their_own_texts_and_no_more():
    words = room_words(Language.DE)
    assert words["Share my screen"] == "Bildschirm teilen"
    assert words["One person of the research team is watching."] == [
        "Eine Person aus dem Forschungsteam schaut zu.",
        "%(n)s Personen aus dem Forschungsteam schauen zu.",
    ]
    assert "My data" not in words and room_words(Language.EN) == {}
