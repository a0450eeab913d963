"""The notice is generated: a fact that changes changes the text and its hash, a wording never changes unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from hashlib import sha256
from itertools import combinations

import pytest

from app.participants.notice import WORDING_DATED, WORDING_VERSION, Notice, StudyFacts, notice
from app.settings import Settings
from app.studies.models import ConsentKind
from app.third_parties import third_parties

STUDY = StudyFacts(
    account_name="Lab",
    title="Checkout",
    contact_name="Olga",
    contact_email="study@lab.example",
    kinds=tuple(ConsentKind),
    retention_days=180,
    consent_text="We would like to watch you buy a lamp.",
    consent_version=3,
    consent_dated=date(2026, 11, 20),
)
HERE = Settings(platform_contact="help@junier.example")
FAR = Settings(
    platform_contact="help@junier.example",
    object_store="s3",
    s3_endpoint="https://s3.eu-central-1.amazonaws.com",
    s3_region="eu-central-1",
    s3_bucket="b",
    mail="mailtrap",
    mail_from="junier@lab.example",
    turn_urls="turns:turn.lab.example:443?transport=tcp, turn:turn.lab.example:3478, stun:stun.lab.example",
)


def words(shown: Notice) -> str:
    return "\n".join(p for section in shown.sections for p in (section.heading, *section.paragraphs))


def test_it_says_who_what_where_how_long_and_whom_to_ask() -> None:
    text = words(notice(HERE, STUDY))
    for part in ("Lab", "controller", "Video", "Audio", "Screen", "Transcript", "180 days", "shared tab"):
        assert part in text
    assert "Olga, study@lab.example" in text and "help@junier.example" in text
    assert "On the platform's own server" in text and "Nobody. No outside service" in text


def test_third_parties_come_from_the_live_settings() -> None:
    assert third_parties(HERE) == ()
    names = [party.name for party in third_parties(FAR)]
    assert names == [
        "AWS (s3.eu-central-1.amazonaws.com)",
        "Mailtrap (send.api.mailtrap.io)",
        "turn.lab.example",
        "stun.lab.example",
    ]
    text = words(notice(FAR, STUDY))
    assert "Frankfurt, Germany" in text and "run by a company from outside the EU" in text
    assert "your first name, your e-mail address" in text


def test_a_smtp_server_is_named_too() -> None:
    smtp = replace(HERE, mail="smtp", smtp_host="mail.lab.example", mail_from="a@lab.example")
    assert [party.name for party in third_parties(smtp)] == ["mail.lab.example"]


CHANGES = {
    "settings": (FAR, STUDY),
    "contact": (HERE, replace(STUDY, contact_email="other@lab.example")),
    "kinds": (HERE, replace(STUDY, kinds=(ConsentKind.VIDEO,))),
    "retention": (HERE, replace(STUDY, retention_days=30)),
    "until asked": (HERE, replace(STUDY, retention_days=None)),
    "text": (HERE, replace(STUDY, consent_text="Something else.")),
    "version": (HERE, replace(STUDY, consent_version=4)),
    "same": (HERE, STUDY),
}


@pytest.mark.parametrize(("one", "other"), combinations(CHANGES, 2))
def test_every_changed_fact_has_its_own_hash(one: str, other: str) -> None:
    assert notice(*CHANGES[one]).hash != notice(*CHANGES[other]).hash


def test_the_same_facts_have_the_same_hash() -> None:
    assert notice(HERE, STUDY) == notice(HERE, STUDY)


def test_only_kinds_that_the_study_records_are_listed() -> None:
    text = words(notice(HERE, replace(STUDY, kinds=(ConsentKind.AUDIO,))))
    assert "Audio" in text and "Video" not in text and "Transcript" not in text


def test_the_kinds_are_a_list_within_the_sentences_and_change_no_word() -> None:
    collected, lawful = [section for section in notice(HERE, STUDY).sections if section.items]
    assert [listed for listed, _texts in collected.blocks] == [False, True, False]
    assert [text.split(".")[0] for text in collected.blocks[1][1]] == ["Video", "Audio", "Screen", "Transcript"]
    assert [text for _listed, texts in collected.blocks for text in texts] == list(collected.paragraphs)
    assert [listed for listed, _texts in lawful.blocks] == [False, True]


def test_it_is_dated_by_wording_or_consent_text_whichever_is_newer() -> None:
    assert notice(HERE, STUDY).dated == WORDING_DATED
    newer = date(2027, 1, 5)
    assert notice(HERE, replace(STUDY, consent_dated=newer)).dated == newer
    assert notice(HERE, STUDY).version == f"{WORDING_VERSION}.3"


def test_a_changed_sentence_needs_a_new_version_and_date() -> None:
    """Pinned: when this fails, raise WORDING_VERSION and WORDING_DATED, then pin the new hash under it."""
    pinned = {6: "0ef7acfb7ef56c75cb508540447a7fd20af3b96acbab1699b3af9d65f2091b4a"}
    shown = words(notice(HERE, STUDY)) + words(notice(FAR, replace(STUDY, retention_days=None, has_questions=True)))
    assert sha256(shown.encode()).hexdigest() == pinned[WORDING_VERSION]
