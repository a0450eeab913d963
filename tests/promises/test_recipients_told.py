"""C1-28: whoever got something of a participant hears that it was erased, corrected or restricted; the register itself
forgets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID
from zipfile import ZipFile

from app.audit import Action, AuditEvent
from app.participants.models import Participant
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Certificate
from app.sessions.disclosure_models import RecipientNotice
from app.sessions.models import Recording
from tests.promises.disclosures import court, entries, given, noted, today
from tests.promises.test_j4_rights import ask_to_be_erased
from tests.promises.world import World


async def notices(world: World) -> list[RecipientNotice]:
    return await world.rows(world.lab, RecipientNotice, order=RecipientNotice.made_at)


async def told(world: World, template: str = "recipients_to_tell") -> list[str]:
    rows = [row for row in await world.mail_rows(world.lab, person=world.lab.owner) if row.template == template]
    return [row.key for row in rows]


async def test_c1_28_recipients_are_told_of_an_erasure_and_it_is_acknowledged(world: World):
    await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    await noted(world, given(world.anna))
    await noted(world, court(world.anna, told="yes", untold=""))
    await noted(world, court(world.ben, recipient="Somebody else's court", told="yes", untold=""))
    warned = (await (await world.guest(world.anna)).open("/my-data/erase")).words
    assert "Dr Meier" in warned and "District Court" in warned
    receipt = await ask_to_be_erased(world, world.anna)
    assert await notices(world) == [] and await told(world) == []
    await world.work()
    waiting, owner = await notices(world), await world.member(world.lab)
    assert [(one.change, one.answered_at) for one in waiting] == [("erased", None)] * 2
    assert len(await told(world)) == 1
    [mail] = [m for m in await world.mails(world.lab, person=world.lab.owner) if "has to be told" in m.subject]
    assert "Anna" not in mail.text and "Meier" not in mail.text and "/disclosures" in mail.text
    [paper] = await world.rows(world.lab, Certificate)
    assert paper.document["recipients_to_tell"] == 2 and "Meier" not in json.dumps(paper.document)
    shown = (await world.browser().open(receipt)).words
    assert "Others who had been given some of it" in shown and "Meier" not in shown
    page = (await owner.open("/disclosures")).words
    assert "Dr Meier" in page and "file 12 C 7/26" in page and "Anna" not in page
    assert "harm themselves" not in page and "Phoned twice" not in page, "words about them went with them"
    assert "2 recipients have to be told" in (await owner.open("/requests")).words
    first, second = (f"/disclosures/notices/{one.id}" for one in waiting)
    for wrong in (
        {},
        {"told_on": "2999-01-01"},
        {"told_on": "2020-01-01"},
        {"ground": "impossible"},
        {"ground": "lazy"},
        {"told_on": f"{today()}", "ground": "impossible", "words": "Both"},
    ):
        assert (await world.post(owner, first, wrong)).status_code == 422, wrong
    day = today()
    assert (await world.post(owner, first, {"told_on": f"{day}"})).status_code == 303
    assert (await world.post(owner, first, {"told_on": f"{day}"})).status_code == 409, "the answer is the proof"
    why = {"ground": "impossible", "words": "The practice is closed."}
    assert (await world.post(owner, second, why)).status_code == 303
    assert [(one.told_on, one.ground) for one in await notices(world)] == [(day, None), (None, "impossible")]
    page = (await owner.open("/disclosures")).words
    assert "Tell these recipients" not in page and "The practice is closed." in page
    actions = [event.action for event in await world.rows(world.lab, AuditEvent, order=AuditEvent.number)]
    assert actions.count(Action.RECIPIENT_TOLD) == actions.count(Action.RECIPIENT_NOT_TOLD) == 1
    await world.work()
    assert len(await notices(world)) == 2 and len(await told(world)) == 1, "once"


async def test_c1_28_only_those_hear_of_it_who_got_what_is_gone(world: World):
    """Taking back the sound concerns who got it; a new name who got the name."""
    await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    for who, kinds in (("Ear", ["audio"]), ("Eye", ["video"]), ("Post", ["contact"])):
        await noted(world, given(world.anna, recipient=who, kinds=kinds))
    by_kind = {row.id: row.kinds[0] for row in await entries(world)}
    guest = await world.guest(world.anna)
    await world.post(guest, f"/my-data/{world.lab.session}/withdraw", {"kind": "audio"})
    await world.work()
    await world.post(guest, "/my-data/name", {"name": "Anne"})
    await world.post(guest, "/my-data/name", {"name": "Anne"})
    assert [(by_kind[one.disclosure_id], one.change) for one in await notices(world)] == [
        ("audio", "erased"),
        ("contact", "rectified"),
    ]
    await world.post(guest, "/my-data/restrict")
    changes = [one.change for one in await notices(world)]
    assert changes.count("restricted") == 3 and len(changes) == 5
    assert "still has to tell them" in (await guest.open("/my-data")).words


async def test_c1_28_the_register_forgets_three_years_after_the_person(world: World):
    await world.registered(world.anna)
    await noted(world, given(world.anna))
    await noted(world, given(world.ben))
    await ask_to_be_erased(world, world.anna)
    await world.work()
    erased = datetime(2026, 11, 22, 14, tzinfo=UTC)
    await world.change(world.lab, Participant, world.anna.person, erased_at=erased)
    for now, left in (
        (datetime(2029, 11, 22, 13, 59, 59, tzinfo=UTC), 2),
        (datetime(2029, 11, 22, 14, tzinfo=UTC), 1),
        (datetime(2039, 11, 22, tzinfo=UTC), 1),
    ):
        await sweep(world.wiring, now)
        assert len(await entries(world)) == left
    assert [row.participant_id for row in await entries(world)] == [world.ben.person] and await notices(world) == []
    forgotten = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.DISCLOSURE_FORGOTTEN)
    assert len(forgotten) == 1


async def test_c1_28_the_owner_takes_the_register_along(world: World):
    await noted(world, court(world.anna))
    answer = await (await world.member(world.lab)).http.get("/account/export.zip?purpose=leaving")
    with ZipFile(BytesIO(answer.content)) as archive:
        [line] = json.loads(archive.read("disclosures.json"))
    assert line["recipient"] == "District Court" and UUID(line["participant"]) == world.anna.person
    assert await world.rows(world.lab, Recording) == []
