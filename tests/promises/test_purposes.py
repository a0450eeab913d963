"""A2-01, A2-04 and T0-34 to T0-36: whatever is kept, copied or held serves a purpose that is declared once, with what
allows it in law, for everybody to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.language import Language, speaking
from app.legal_basis import Basis, Purpose, Special, told_purposes
from app.participants.notice import notice
from app.privacy.records.inventory import INVENTORY, About, Kept
from app.privacy.records.places import PLACES
from app.sessions.models import HoldReason
from app.sessions.purposes import DOWNLOADED_FOR, HELD_FOR, PURPOSE_WORDS, DownloadPurpose
from app.settings import Settings
from tests.promises.test_j4_consent import SEALED
from tests.promises.test_j4_contacts import FACTS
from tests.promises.world import World

FREE_WORDS = {"answer.value", "line_correction.text", "note.text", "recording.held_words"} | {
    "data_request.words",
    "data_request.answer",
    "data_request.extension",
    "disclosure.words",
    "disclosure.untold",
}
"""Sealed columns in which people write what they like, so that health or beliefs may stand there."""


def used_without_declaring(inventory: dict[str, Kept]) -> list[str]:
    """Columns whose purpose is none, and columns said to serve another one that their table does not have."""
    return [
        f"{table}.{column}"
        for table, kept in inventory.items()
        for column, purpose in kept.purposes().items()
        if not isinstance(purpose, Purpose)
    ] + [
        f"{table}.{column}"
        for table, kept in inventory.items()
        for names in kept.besides.values()
        for column in names.split()
        if column not in set(kept.columns())
    ]


def of_columns() -> set[Purpose]:
    return {purpose for kept in INVENTORY.values() for purpose in kept.purposes().values()}


def test_a2_04_every_column_and_place_names_a_declared_purpose():
    assert used_without_declaring(dict(INVENTORY)) == []
    assert all(isinstance(place.purpose, Purpose) for place in PLACES.values())


@pytest.mark.parametrize(
    ("change", "found"),
    [({"purpose": "marketing"}, ["answer.id"]), ({"besides": {Purpose.RIGHTS: "smell"}}, ["answer.smell"])],
)
def test_a2_04_an_invented_purpose_or_column_is_found(change: dict[str, object], found: list[str]):
    wrong = replace(INVENTORY["answer"], **change)  # type: ignore[arg-type]
    assert set(found) <= set(used_without_declaring({"answer": wrong}))


def test_a2_04_no_purpose_is_declared_that_nothing_serves():
    uses = of_columns() | {place.purpose for place in PLACES.values()}
    uses |= {*DOWNLOADED_FOR.values(), *HELD_FOR.values()}
    assert uses == set(Purpose)
    assert len({purpose.value.words for purpose in Purpose}) == len(Purpose)


def test_a2_04_every_copy_and_every_hold_serves_one_complaints_emergencies_and_claims_apart():
    """T0-34 to T0-36: each of the three has its own basis."""
    assert set(DOWNLOADED_FOR) == set(DownloadPurpose) == set(PURPOSE_WORDS) and set(HELD_FOR) == set(HoldReason)
    for purpose, basis, special in (
        (DOWNLOADED_FOR[DownloadPurpose.COMPLAINT], Basis.LEGITIMATE_INTERESTS, Special.CLAIMS),
        (DOWNLOADED_FOR[DownloadPurpose.EMERGENCY], Basis.VITAL_INTERESTS, Special.VITAL_INTERESTS),
        (DOWNLOADED_FOR[DownloadPurpose.LEGAL], Basis.LEGITIMATE_INTERESTS, Special.CLAIMS),
        (DOWNLOADED_FOR[DownloadPurpose.DUTY], Basis.LEGAL_DUTY, Special.CLAIMS),
    ):
        assert (purpose.value.basis, purpose.value.special) == (basis, special)
    assert HELD_FOR[HoldReason.COMPLAINT] is DOWNLOADED_FOR[DownloadPurpose.COMPLAINT]
    assert HELD_FOR[HoldReason.CLAIM] is DOWNLOADED_FOR[DownloadPurpose.LEGAL]


def test_a2_04_where_anything_can_be_written_special_categories_are_thought_of():
    """Art. 9(2), or people are told to write nothing of the kind (the notes)."""
    assert FREE_WORDS <= SEALED
    for column in FREE_WORDS:
        table, _, name = column.partition(".")
        purpose = INVENTORY[table].purposes()[name]
        assert purpose.value.special or purpose is Purpose.OBSERVING, column
    assert "nothing about your health" in Purpose.OBSERVING.value.why
    assert Purpose.RESEARCH.value.special is Special.CONSENT, "explicit, kind by kind"


def test_a2_01_registering_serves_what_was_registered_for_and_asks_consent_for_nothing_else():
    """Name and address to write to them, a sign-in to let them in; what is recorded rests on consent, never on having
    registered."""
    purposes = INVENTORY["participant"].purposes()
    assert {purposes["name"], purposes["email"]} == {Purpose.INVITING}
    assert INVENTORY["login"].purpose.value.basis is Basis.CONTRACT
    for table in ("recording", "track", "transcript", "response", "answer"):
        assert INVENTORY[table].purpose.value.basis is Basis.CONSENT, table
    for name in ("segments of a track", "transcripts"):
        assert PLACES[name].purpose.value.basis is Basis.CONSENT, name


@pytest.mark.parametrize("language", list(Language))
def test_a2_01_the_notice_tells_participants_every_purpose_with_its_basis(language: Language):
    [section] = [one for one in notice(Settings(), FACTS, language).sections if "Art. 6" in " ".join(one.items)]
    with speaking(language):
        assert section.items == tuple(purpose.sentence for purpose in told_purposes())
        for purpose in told_purposes():
            assert purpose.articles in purpose.sentence and str(purpose.value.basis) in purpose.articles
    law = {
        Language.EN: "GDPR Art. 6(1)(a) and Art. 9(2)(a)",
        Language.DE: "Art. 6 Abs. 1 lit. a und Art. 9 Abs. 2 lit. a",
    }
    assert sum(law[language] in item for item in section.items) == 1, "consent, for the study alone"


def test_a2_01_what_concerns_participants_is_told_to_them_and_the_rest_is_not():
    theirs = {
        purpose
        for kept in INVENTORY.values()
        if kept.about is About.PARTICIPANT
        for purpose in kept.purposes().values()
    }
    theirs |= {place.purpose for place in PLACES.values() if place.about is About.PARTICIPANT}
    theirs |= {*DOWNLOADED_FOR.values(), *HELD_FOR.values(), INVENTORY["note"].purpose}
    assert theirs == set(told_purposes())


async def test_a2_04_everybody_reads_the_purposes_on_the_map(world: World):
    page = await world.browser().open("/data-map")
    for purpose in Purpose:
        assert purpose.sentence in page.words
        assert page.html.count(f"({purpose.articles})") >= 1
