"""J4-19a and d, J4-20: what a participant can see and restrict, and how what they ask for is answered."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from app.accounts.models import Role, Scope
from app.audit import Action, AuditEvent
from app.language import say_day
from app.mail.models import MailState, OutgoingMail
from app.participants.models import Consent
from app.privacy.keeping.retention import sweep
from app.privacy.records.deadline import answer_by
from app.privacy.records.models import DataRequest, Erasure, ErasureState
from app.privacy.rights.telling import OPERATOR
from app.sessions.models import Recording, Session
from tests.promises.sources import Listener
from tests.promises.world import Guest, World
from workers.speech import Samples
from workers.transcribe import transcribe


def stored(world: World) -> list[str]:
    return sorted(thing.key for thing in world.wiring.store.list(f"{world.lab.account}/"))


async def ask_to_be_erased(world: World, guest: Guest) -> str:
    """By the button of My data; the address of the receipt."""
    answer = await world.post(await world.guest(guest), "/my-data/erase")
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def mailed_code(world: World, guest: Guest) -> str:
    mail = (await world.mails(guest.lab, person=guest.person))[-1]
    found = re.search(r"^\d{6}$", mail.text, re.MULTILINE)
    assert found, mail.subject
    return found[0]


async def test_j4_19a_a_participant_sees_what_is_held_until_when_and_by_whom(world: World):
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    words = (await (await world.guest(world.anna)).open("/my-data")).words
    for held in ("Anna", world.anna.email, "Kitchen Lab", "Kitchens of the north", "Camera and microphone", "Stored"):
        assert held in words
    assert "We keep this until" in words and "1 owner" in words
    assert words.count("version 1") == len(await world.rows(world.lab, Consent))
    assert str(ref.recording) not in words  # ids tell a person nothing


async def test_j4_19a_only_a_fresh_code_to_the_registered_address_opens_it(world: World):
    """Whoever holds the forwarded invitation mail gets as far as the page that asks for the code."""
    await world.registered(world.anna)
    forwarded = world.browser()
    await world.post(forwarded, world.anna.link, {})
    shown = await forwarded.open("/my-data")
    assert world.anna.email not in shown.words and "Kitchen" not in shown.html.partition("<footer")[0]
    await world.post(forwarded, "/my-data/code")
    code = await mailed_code(world, world.anna)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert (await world.post(forwarded, "/my-data/open", {"code": wrong})).status_code == 422
    assert (await world.post(forwarded, "/my-data/erase")).status_code in (303, 401)
    assert await world.rows(world.lab, Erasure) == []
    assert (await world.post(forwarded, "/my-data/open", {"code": code})).status_code == 303
    assert world.anna.email in (await forwarded.open("/my-data")).words
    other = world.browser(await world.guest_cookie(world.anna, Scope.ROOM))
    assert (await world.post(other, "/my-data/open", {"code": code})).status_code == 422  # once only


async def test_j4_19a_guessing_codes_ends_after_five_tries(world: World):
    await world.registered(world.anna)
    browser = await world.guest(world.anna, Scope.ROOM)
    await world.post(browser, "/my-data/code")
    code = await mailed_code(world, world.anna)
    for number in range(1, 6):
        wrong = f"{(int(code) + number) % 1_000_000:06d}"
        assert (await world.post(browser, "/my-data/open", {"code": wrong})).status_code == 422
    assert (await world.post(browser, "/my-data/open", {"code": code})).status_code == 422


async def test_j4_19d_what_is_restricted_is_kept_and_not_used(world: World):
    """Not played, not transcribed, not downloaded; it stays stored."""
    transcript = await world.waiting_transcript(world.anna)
    recording = transcript.recording_id
    owner = await world.member(world.lab)
    before = len(list(world.wiring.store.list(f"{world.lab.account}/")))
    assert (await owner.http.get(f"/recordings/{recording}/media")).status_code == 200
    await world.change(world.lab, Recording, recording, restricted_at=datetime.now(UTC))
    heard: list[Samples] = []
    await transcribe(world.wiring, lambda: Listener(heard), world.lab.account, transcript.id)
    assert heard == []
    for path in (f"/recordings/{recording}/media", f"/recordings/{recording}/transcript/vtt"):
        assert (await owner.http.get(path)).status_code == 404
    part = await owner.http.get(f"/recordings/{recording}/media", headers={"Range": "bytes=0-9"})
    assert part.status_code == 404
    assert len(list(world.wiring.store.list(f"{world.lab.account}/"))) == before


@pytest.mark.parametrize("way", ["restrict", "object"])
async def test_j4_19d_a_participant_asks_for_restriction_and_hears_before_it_is_lifted(world: World, way: str):
    """In force with the request, media links already issued included; lifted when the mail is sent, not before."""
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    owner, media = await world.member(world.lab), f"/recordings/{ref.recording}/media"
    part = {"Range": "bytes=0-9"}
    assert (await owner.http.get(media, headers=part)).status_code == 206
    before = stored(world)
    guest = await world.guest(world.anna)
    assert (await world.post(guest, f"/my-data/{way}", {})).status_code == 303
    for path in (media, f"{media}?download=true", f"/recordings/{ref.recording}/transcript/vtt"):
        assert (await owner.http.get(path, headers=part)).status_code == 404
    assert str(ref.recording) not in (await owner.open(f"/sessions/{world.lab.session}/review")).html
    assert "nobody. You asked for that" in (await guest.open("/my-data")).words
    assert stored(world) == before
    [request] = await world.rows(world.lab, DataRequest)
    answer = (
        {"outcome": "refused", "ground": "research", "words": "We need it for the report."}
        if way == "object"
        else {"ground": "settled", "words": "It is over."}
    )
    where = f"/requests/{request.id}/{'answer' if way == 'object' else 'lift'}"
    assert (await world.post(owner, where, answer)).status_code == 303
    await sweep(world.wiring, datetime.now(UTC))
    assert (await owner.http.get(media, headers=part)).status_code == 404  # told, but not sent yet
    mail = (await world.mails(world.lab, person=world.anna.person))[-1]
    assert answer["words"] in mail.text and request.receipt in mail.subject
    [row] = [row for row in await world.mail_rows(world.lab) if row.template == "request_answered"]
    await world.change(world.lab, OutgoingMail, row.id, state=MailState.SENT)
    await sweep(world.wiring, datetime.now(UTC))
    assert (await owner.http.get(media, headers=part)).status_code == 206
    assert stored(world) == before


async def test_j4_19d_what_is_restricted_is_not_erased_by_its_date_or_by_the_owner(world: World):
    """Erasing is use too (GDPR Art. 4(2), 18(2)); the participant's own request still erases."""
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    guest = await world.guest(world.anna)
    await world.post(guest, "/my-data/restrict")
    await world.change(world.lab, Session, world.lab.session, ended_at=datetime.now(UTC) - timedelta(days=900))
    await world.change(world.lab, Recording, ref.recording, created_at=datetime.now(UTC) - timedelta(days=900))
    assert await sweep(world.wiring, datetime.now(UTC)) == 0
    owner = await world.member(world.lab)
    for path in (f"/recordings/{ref.recording}/erase", f"/sessions/{world.lab.session}/erase"):
        assert (await world.post(owner, path)).status_code == 409
    assert await world.rows(world.lab, Erasure) == []
    await ask_to_be_erased(world, world.anna)
    await world.work()
    [erasure] = await world.rows(world.lab, Erasure)
    assert erasure.state == ErasureState.COMPLETE
    assert {row.state for row in await world.rows(world.lab, DataRequest)} == {"done"}


async def test_j4_20_the_participant_gets_a_receipt_and_the_owner_sees_the_request(world: World):
    await world.record(await world.registered(world.anna))
    receipt = await world.browser().open(await ask_to_be_erased(world, world.anna))
    [erasure] = await world.rows(world.lab, Erasure)
    assert re.fullmatch(r"E-\d{8}-[0-9A-Z]{6}", erasure.receipt)
    assert erasure.receipt in receipt.words and "Anna" not in receipt.words
    assert erasure.receipt in (await (await world.member(world.lab)).open("/erasures")).words
    researcher = await world.member(world.lab, Role.RESEARCHER)
    assert (await researcher.http.get("/erasures")).status_code == 403
    assert (await (await world.member(world.other)).http.get(f"/erasures/{erasure.id}")).status_code == 404


async def test_j4_20_asking_twice_locks_nobody_out(world: World):
    await world.record(await world.registered(world.anna))
    first, second = await world.guest(world.anna), await world.guest(world.anna)
    one = await world.post(first, "/my-data/erase")
    two = await world.post(second, "/my-data/erase")
    assert one.status_code == 303 and two.status_code in (303, 401)
    assert len(await world.rows(world.lab, Erasure)) == 1


async def test_j4_20_the_notice_names_the_contact_and_the_supervisory_authority(world: World):
    words = (await world.browser().open(world.anna.link)).words
    assert "data protection authority" in words
    assert world.lab.contact_email in words


async def test_j4_20_a_request_reaches_the_owners_inbox_with_a_clock(world: World):
    await world.registered(world.anna)
    guest = await world.guest(world.anna)
    answer = await world.post(guest, "/my-data/requests", {"kind": "access"})
    assert answer.status_code == 303
    [request] = await world.rows(world.lab, DataRequest)
    owner = await world.member(world.lab)
    words = (await owner.open("/requests")).words
    assert "days left" in words and request.receipt in words
    assert timedelta(days=28) <= request.due_on - request.asked_at.date() <= timedelta(days=33)
    told = (await world.mails(world.lab, person=world.lab.owner))[-1]
    assert request.receipt in told.text and "Anna" not in told.text
    assert "due by" in (await guest.open("/my-data")).words
    values = {"outcome": "granted", "words": "The copy is in the post."}
    assert (await world.post(owner, f"/requests/{request.id}/answer", values)).status_code == 303
    assert "The copy is in the post." in (await guest.open("/my-data")).words
    assert "The copy is in the post." in (await world.mails(world.lab, person=world.anna.person))[-1].text


async def test_j4_20_a_second_request_is_added_to_the_first_and_locks_nobody_out(world: World):
    await world.registered(world.anna)
    guest = await world.guest(world.anna)
    for words in ("One name is wrong.", "Another name is wrong too.", "One name is wrong."):
        values = {"kind": "rectification", "words": words}
        assert (await world.post(guest, "/my-data/requests", values)).status_code == 303
    [request] = await world.rows(world.lab, DataRequest)
    shown = (await (await world.member(world.lab)).open(f"/requests/{request.id}")).words
    assert shown.count("One name is wrong.") == 1 and "Another name is wrong too." in shown
    assert (await guest.open("/my-data")).status == 200


async def silent_days(world: World, days: Collection[int]) -> None:
    """Nobody answers, and the sweep looks on each of these days after today, twice."""
    for day in days:
        for _ in range(2):
            await sweep(world.wiring, datetime.now(UTC) + timedelta(days=day))


async def test_j4_20_an_owner_who_stays_silent_is_reminded_and_the_platform_hears_of_it(world: World):
    """After 7, 14, 21 and 25 days the owner; after 28, and when it is late, the platform's contact too: in ids only."""
    await world.registered(world.anna)
    guest = await world.guest(world.anna)
    await world.post(guest, "/my-data/requests", {"kind": "access"})
    [request] = await world.rows(world.lab, DataRequest)
    await silent_days(world, (0, 6))
    assert len(await world.mails(world.lab, person=world.lab.owner)) == 1  # that there is a request
    await silent_days(world, (7, 8, 14, 21, 25))
    reminders = await world.mails(world.lab, person=world.lab.owner)
    assert len(reminders) == 5 and await world.mails(world.lab, person=OPERATOR) == []
    await silent_days(world, (28, 29))
    assert len(await world.mails(world.lab, person=world.lab.owner)) == 6
    late = (request.due_on - request.asked_at.date()).days + 1
    await silent_days(world, (late, late + 30))
    told = await world.mails(world.lab, person=OPERATOR)
    assert len(told) == 2 and {mail.to for mail in told} == {"help@platform.example"}
    for mail in (*told, *reminders):
        assert request.receipt in mail.text and str(request.id) in mail.text
        for personal in ("Anna", world.anna.email, "Kitchens"):
            assert personal not in f"{mail.subject} {mail.text} {mail.html}"
    assert not any(name in mail.text for mail in told for name in ("Kitchen", "Olga", world.lab.owner_email))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    await world.change(world.lab, DataRequest, request.id, due_on=yesterday)
    assert "1 day late" in (await (await world.member(world.lab)).open("/requests")).words
    words = (await guest.open("/my-data")).words
    assert "No answer came in time" in words and "data protection authority" in words
    actions = [event.action for event in await world.rows(world.lab, AuditEvent, order=AuditEvent.number)]
    assert (actions.count(Action.REQUEST_REMINDED), actions.count(Action.REQUEST_ESCALATED)) == (4, 2)


async def test_j4_20_who_answers_or_has_nothing_to_answer_is_not_reminded(world: World):
    await world.registered(world.anna)
    guest, owner = await world.guest(world.anna), await world.member(world.lab)
    await world.post(guest, "/my-data/requests", {"kind": "access"})
    [request] = await world.rows(world.lab, DataRequest)
    await world.post(owner, f"/requests/{request.id}/answer", {"outcome": "granted", "words": "Here it is."})
    await world.post(guest, "/my-data/name", {"name": "Annika"})
    await world.post(guest, "/my-data/restrict")
    await world.post(guest, "/my-data/erase")
    before = len(await world.mails(world.lab, person=world.lab.owner))
    await silent_days(world, (7, 21, 28, 40))
    assert len(await world.mails(world.lab, person=world.lab.owner)) == before
    assert await world.mails(world.lab, person=OPERATOR) == []


async def test_j4_20_more_time_is_taken_once_with_the_reason_told(world: World):
    """GDPR Art. 12(3): two further months, and the participant hears why before the first one is over."""
    await world.registered(world.anna)
    guest, owner = await world.guest(world.anna), await world.member(world.lab)
    await world.post(guest, "/my-data/requests", {"kind": "access"})
    [request] = await world.rows(world.lab, DataRequest)
    path, why = f"/requests/{request.id}/extend", {"why": "Forty hours have to be looked through."}
    assert (await world.post(owner, path, {"why": ""})).status_code == 422
    researcher, other = await world.member(world.lab, Role.RESEARCHER), await world.member(world.other)
    for browser, status in ((researcher, 403), (other, 404), (guest, 401)):
        assert (await world.post(browser, path, why)).status_code == status
    assert (await world.post(owner, path, why)).status_code == 303
    [after] = await world.rows(world.lab, DataRequest)
    assert after.due_on == answer_by(request.asked_at, 3)
    mail = (await world.mails(world.lab, person=world.anna.person))[-1]
    assert "Forty hours" in mail.text and say_day(after.due_on) in mail.text
    assert "Forty hours" in (await guest.open("/my-data")).words
    assert (await world.post(owner, path, why)).status_code == 409  # once only
    before = len(await world.mails(world.lab, person=world.lab.owner))
    await silent_days(world, (7, 28, 35))
    assert len(await world.mails(world.lab, person=world.lab.owner)) == before
