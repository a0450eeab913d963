"""T0-25, T0-26, C1-28: no certificate breaks a silence, nothing is noted of whoever is erased, and no ground is noted
that nobody chose."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.participants.models import Participant
from app.privacy.records.models import Certificate
from app.sessions.disclosure_models import Disclosed, RecipientNotice
from app.sessions.disclosures import DownloadPurpose
from app.sessions.leaving import TICKED, note_first
from tests.promises.disclosures import court, entries, given, noted, today
from tests.promises.test_j4_rights import ask_to_be_erased
from tests.promises.world import World

DAY = timedelta(days=1)


async def test_t0_26_a_certificate_counts_no_recipient_of_whom_the_participant_may_not_know(world: World):
    await world.registered(world.anna)
    silent = {"hidden_ground": "order", "hidden_until": f"{today() + 9 * DAY}"}
    await noted(world, court(world.anna, **silent))
    receipt = await ask_to_be_erased(world, world.anna)
    await world.work()
    assert len(await world.rows(world.lab, RecipientNotice)) == 1, "whoever got it is told all the same"
    [paper] = await world.rows(world.lab, Certificate)
    assert paper.document["recipients_to_tell"] == 0
    assert "Others who had been given" not in (await world.browser().open(receipt)).words


async def test_t0_26_a_silent_correction_takes_nothing_from_what_they_knew(world: World):
    await world.registered(world.anna)
    await noted(world, given(world.anna))
    [row] = await entries(world)
    silent = {"hidden_ground": "danger", "hidden_until": f"{today() + 9 * DAY}"}
    owner = await world.member(world.lab)
    assert (await world.post(owner, f"/disclosures/{row.id}/correct", given(**silent))).status_code == 303
    await ask_to_be_erased(world, world.anna)
    await world.work()
    [paper] = await world.rows(world.lab, Certificate)
    assert paper.document["recipients_to_tell"] == 1
    assert [one.disclosure_id != row.id for one in await world.rows(world.lab, RecipientNotice)] == [True]


async def test_c1_28_of_whoever_is_erased_nothing_more_is_noted(world: World, monkeypatch: pytest.MonkeyPatch):
    """Also when the erasure is certified between the form and its entry."""
    await world.registered(world.anna)

    async def as_it_was(*_: object) -> dict[object, str]:
        return {world.anna.person: "Anna"}

    monkeypatch.setattr("app.privacy.rights.disclosure_routes.people_of", as_it_was)
    [person] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    await world.change(world.lab, Participant, person.id, erased_at=person.registered_at)
    answer = await noted(world, given(world.anna))
    assert answer.status_code == 404 and await entries(world) == []


async def test_t0_25_nobody_notes_a_reason_that_they_did_not_choose(world: World):
    owner = await world.member(world.lab)
    path = f"/sessions/{world.lab.session}/disclosures"
    page = (await owner.open(path)).html
    assert '<option value="" selected>Please choose</option>' in page
    answer = await noted(world, given(world.anna, ground=""), owner)
    assert answer.status_code == 422 and 'id="ground-wrong"' in answer.text and await entries(world) == []
    asked = (await owner.open(f"{path}?purpose=duty")).html
    assert '<option value="law" selected>' in asked and '<option value="" selected>Please choose' not in asked


async def test_t0_25_an_address_names_no_more_people_than_fit(world: World):
    async with world.wiring.database.transaction(world.lab.account) as db:
        for number, named in ((TICKED, TICKED), (TICKED + 1, 0)):
            people = [world.anna.person] * number
            answer = await note_first(db, DownloadPurpose.DUTY, world.lab.session, people, {Disclosed.ANSWERS})
            assert answer is not None
            assert str(answer.url).count("person=") == named  # type: ignore[attr-defined]
            assert len(str(answer.url)) < 4000  # type: ignore[attr-defined]


async def test_c1_28_a_corrected_entry_says_where_they_are_told(world: World):
    await world.registered(world.anna)
    for who in ("Dr Meier", "Dr Mayer"):
        await noted(world, given(world.anna, recipient=who))
    await world.post(await world.guest(world.anna), "/my-data/restrict")
    wrong, mistaken = await entries(world)
    owner = await world.member(world.lab)
    for row, change in ((wrong, {"contact": "new@meier.example"}), (mistaken, {"nothing": "yes", "kinds": []})):
        form = given(told="yes", untold="", **change)
        assert (await world.post(owner, f"/disclosures/{row.id}/correct", form)).status_code == 303
    [corrected] = [row for row in await entries(world) if row.corrects == wrong.id]
    assert [one.disclosure_id for one in await world.rows(world.lab, RecipientNotice)] == [corrected.id]
    page = (await owner.open("/disclosures")).words
    assert "new@meier.example" in page and "practice@meier.example" not in page and "Dr Mayer" not in page
