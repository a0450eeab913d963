"""Support access: an operator asks, an owner grants one object for a while, every reading is in the log first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import func, select, text, update

from app.accounts.models import Role
from app.audit import AuditEvent, verify
from app.demo.browser import Browser
from app.models import metadata
from app.participants.models import Participant
from app.restoring import begin_anew
from app.sealed_columns import PLATFORM
from app.sessions.models import Recording, Session
from app.support.login import SignedInOperator
from app.support.models import OperatorLogin, SupportRequest
from app.support.policy import ANSWER_WITHIN, WAITING_AT_MOST
from app.support.reading import enter, lasts, note_reading
from app.support.requests import second_operator
from recordings.model import RecordingRef
from tests.app.support_stage import REASON, OperatorAtWork
from tests.promises.conftest import world
from tests.promises.world import Guest, Lab, World

__all__ = ["world"]


async def operator(world: World, name: str = "Omar") -> OperatorAtWork:
    email = f"{name.lower()}@platform.example"
    return await OperatorAtWork(world.wiring, world.browser().http, name, email).sign_in()


async def recorded(world: World, guest: Guest) -> RecordingRef:
    ref = await world.record(await world.registered(guest))
    await world.end(guest.lab)
    return ref


async def asked(omar: OperatorAtWork, lab: Lab, kind: str, object_id: UUID) -> UUID:
    answer = await omar.ask(lab.account, kind, object_id)
    assert answer.status_code == 303, answer.text
    return await omar.newest(lab.account)


async def answered(world: World, owner: Browser, request: UUID, step: str, minutes: int = 15) -> int:
    answer = await world.post(owner, f"/support-access/{request}/{step}", {"minutes": str(minutes)})
    return answer.status_code


async def granted(world: World, omar: OperatorAtWork, lab: Lab, kind: str, object_id: UUID) -> UUID:
    request = await asked(omar, lab, kind, object_id)
    assert await answered(world, await world.member(lab), request, "grant") == 303
    return request


def media(grant: UUID, recording: UUID) -> str:
    return f"/support/grants/{grant}/recordings/{recording}/media"


async def subjects(world: World) -> list[str]:
    """Of the mails to the lab's owner about support, in order."""
    mails = await world.mails(world.lab, person=world.lab.owner)
    return [mail.subject.partition(": ")[2] for mail in mails if "/support-access" in mail.text]


async def test_from_the_question_to_the_last_reading(world: World) -> None:
    ref, owner = await recorded(world, world.anna), await world.member(world.lab)
    empty = (await owner.open("/support-access")).words
    assert "Nobody has asked." in empty and str(world.lab.account) in empty
    omar = await operator(world)
    request = await asked(omar, world.lab, "recording", ref.recording)
    shown = (await owner.open("/support-access")).words
    assert "Omar asks to see a recording" in shown and REASON in shown and "Waits for an answer" in shown
    assert "Waits for an answer" in (await omar.get("/support")).text
    assert await subjects(world) == ["somebody of the platform asks to look at one recording"]
    assert (await omar.get(media(request, ref.recording))).status_code == 404

    assert await answered(world, owner, request, "grant", 30) == 303
    page = (await omar.get(f"/support/grants/{request}")).text
    assert media(request, ref.recording) in page and "Anna" not in page and "anna@" not in page
    part = await omar.get(media(request, ref.recording), Range="bytes=0-99")
    assert (part.status_code, len(part.content)) == (206, 100)
    assert "no-store" in part.headers["cache-control"]
    whole = await omar.get(media(request, ref.recording))
    assert whole.status_code == 200 and len(whole.content) == int(whole.headers["content-length"])
    assert await subjects(world) == [
        "somebody of the platform asks to look at one recording",
        "support access for 30 minutes was granted",
        "support access is being used",
    ]
    told = (await owner.open("/support-access")).words
    assert "Granted by Olga Ostrowska, open until" in told
    assert told.count("picture and sound of a recording") == 1  # within a minute, one line
    assert await answered(world, owner, request, "revoke") == 303
    assert (await omar.get(media(request, ref.recording), Range="bytes=100-199")).status_code == 404
    assert "ended early" in (await owner.open("/support-access")).words

    events = await world.rows(world.lab, AuditEvent, AuditEvent.action.startswith("support:"), order=AuditEvent.number)
    by_operator, by_owner = events[0].actor, f"member:{world.lab.owner}"
    assert by_operator.startswith("operator:")
    assert [(e.action, e.actor, e.subject) for e in events] == [
        ("support:grant:asked", by_operator, f"support:{request}"),
        ("support:grant:given", by_owner, f"support:{request}"),
        ("support:object:read", by_operator, f"recording:{ref.recording}"),
        ("support:object:read", by_operator, f"recording:{ref.recording}"),
        ("support:grant:revoked", by_owner, f"support:{request}"),
    ]
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert (await verify(db, world.lab.account)).intact
    log = (await owner.open("/audit?kind=support")).words
    assert "an operator of the platform" in log and "read under support access" in log


async def test_the_operator_is_told_of_the_answer(world: World) -> None:
    omar, owner = await operator(world), await world.member(world.lab)
    first, second = [await asked(omar, world.lab, "session", world.lab.session) for _ in range(2)]
    assert await answered(world, owner, first, "refuse") == 303
    assert await answered(world, owner, second, "grant") == 303
    assert sorted(await omar.mailed("support_answered")) == [
        "Your request for access was granted",
        "Your request for access was refused",
    ]
    shown = (await omar.get("/support")).text
    assert "Refused by Olga Ostrowska" not in shown and "Refused by an owner" in shown  # no member's name
    assert (await omar.get(f"/support/grants/{first}")).status_code == 404


async def test_a_session_opens_what_was_recorded_in_it_and_names_nobody(world: World) -> None:
    transcript = await world.transcribed(world.anna)
    omar = await operator(world)
    grant = await granted(world, omar, world.lab, "session", world.lab.session)
    page = (await omar.get(f"/support/grants/{grant}")).text
    words = await omar.get(f"/support/grants/{grant}/recordings/{transcript.recording_id}/transcript")
    assert words.status_code == 200
    assert "Person 1, a participant" in page and "Read the transcript" in page
    for name in ("Anna", "Olga", "anna@", "olga@", "Kitchens"):
        assert name not in page + words.text, name
    assert (await omar.get(media(grant, transcript.recording_id))).status_code == 200
    read = await world.rows(world.lab, AuditEvent, AuditEvent.action == "support:object:read", order=AuditEvent.number)
    assert [event.facts["what"] for event in read] == ["page", "transcript", "media"]
    owner = await world.member(world.lab)
    told = (await owner.open("/support-access")).words
    assert "the transcript of a recording" in told and "all its recordings and transcripts" in told


async def test_a_grant_opens_one_object_for_one_operator_while_it_lasts(world: World) -> None:
    anna = await world.record(await world.registered(world.anna))
    ben = await recorded(world, world.ben)
    guest = await world.invite(world.other, "Cleo", "cleo@people.example")
    cleo = await recorded(world, guest)
    omar, oda = await operator(world), await operator(world, "Oda")
    grant = await granted(world, omar, world.lab, "recording", anna.recording)
    elsewhere = await granted(world, omar, world.other, "recording", cleo.recording)
    assert (await omar.get(media(grant, anna.recording))).status_code == 200
    assert (await omar.get(media(elsewhere, cleo.recording))).status_code == 200
    closed = [
        (omar, media(grant, ben.recording)),  # of another person
        (omar, media(grant, cleo.recording)),  # of another account
        (omar, media(elsewhere, anna.recording)),
        (omar, media(uuid4(), anna.recording)),  # no grant
        (omar, f"/support/grants/{grant}/recordings/{ben.recording}/transcript"),
        (oda, media(grant, anna.recording)),  # of another operator
        (oda, f"/support/grants/{grant}"),
    ]
    for who, path in closed:
        answer = await who.get(path)
        assert answer.status_code == 404 and "webm" not in answer.headers["content-type"], path
    assert (await oda.post(f"/support/grants/{grant}/end")).status_code == 404
    over: list[dict[str, Any]] = [
        {"ends_at": func.now()},
        {"ends_at": func.now() - timedelta(seconds=1)},
        {
            "answered_at": func.now() - timedelta(minutes=1),
            "ends_at": func.now() + timedelta(days=1),
        },  # too long
        {"answered_at": func.now() + timedelta(minutes=1), "ends_at": func.now() + timedelta(minutes=9)},
        {"answered_at": func.now(), "ends_at": None},
        {"answered_at": None, "ends_at": func.now() + timedelta(minutes=9)},
    ]
    for facts in over:
        await world.change(world.lab, SupportRequest, grant, **facts)
        assert (await omar.get(media(grant, anna.recording), Range="bytes=0-9")).status_code == 404, facts
        assert (await omar.get(f"/support/grants/{grant}")).status_code == 404
    again = await granted(world, omar, world.lab, "recording", anna.recording)
    assert (await omar.post(f"/support/grants/{again}/end")).status_code == 303  # given back by the operator
    assert (await omar.get(media(again, anna.recording))).status_code == 404


async def test_what_nobody_may_read_no_grant_opens(world: World) -> None:
    ref, omar = await recorded(world, world.anna), await operator(world)
    grant = await granted(world, omar, world.lab, "recording", ref.recording)
    for why in ("restricted_at", "hidden_at", "erased_at"):
        await world.change(world.lab, Recording, ref.recording, **{why: func.now()})
        assert (await omar.get(media(grant, ref.recording))).status_code == 404, why
        page = (await omar.get(f"/support/grants/{grant}")).text
        assert "<video" not in page and "This recording" in page
        await world.change(world.lab, Recording, ref.recording, **{why: None})
    assert (await omar.get(media(grant, ref.recording))).status_code == 200


async def test_only_owners_answer_and_each_request_once(world: World) -> None:
    omar, owner = await operator(world), await world.member(world.lab)
    request = await asked(omar, world.lab, "session", world.lab.session)
    others = [
        (await world.member(world.lab, Role.RESEARCHER), 403),
        (await world.member(world.lab, Role.OBSERVER), 403),
        (await world.member(world.other), 404),
        (await world.guest(world.anna), 401),
        (world.browser(), 401),
    ]
    for browser, status in others:
        for step in ("grant", "refuse", "revoke"):
            assert await answered(world, browser, request, step) == status, step
    assert (await omar.post(f"/support/requests/{request}/grant", {"minutes": "60"})).status_code == 404
    for minutes in (0, 61, 1440):
        assert await answered(world, owner, request, "grant", minutes) == 422
    [row] = await world.rows(world.lab, SupportRequest)
    assert row.answered_at is None
    assert await answered(world, owner, request, "revoke") == 409
    assert await answered(world, owner, request, "refuse") == 303
    assert await answered(world, owner, request, "grant") == 409
    late = await asked(omar, world.lab, "session", world.lab.session)
    await world.change(world.lab, SupportRequest, late, asked_at=func.now() - ANSWER_WITHIN)
    assert await answered(world, owner, late, "grant") == 409
    assert "cannot be granted any more" in (await owner.open("/support-access")).words


async def test_a_second_operator_answers_only_where_the_owner_allowed_it(world: World) -> None:
    ref, omar, oda = await recorded(world, world.anna), await operator(world), await operator(world, "Oda")
    request = await asked(omar, world.lab, "recording", ref.recording)
    owner, give = await world.member(world.lab), f"/support/requests/{request}/grant"
    assert "Others ask you" not in (await oda.get("/support")).text
    assert (await oda.post(give, {"minutes": "15"})).status_code == 404
    allow = "/support-access/second-operator"
    assert (await world.post(await world.member(world.other), allow, {"second_operator": "yes"})).status_code == 303
    assert (await oda.post(give, {"minutes": "15"})).status_code == 404  # that was another account
    assert (await world.post(owner, allow, {"second_operator": "yes"})).status_code == 303
    assert (await omar.post(give, {"minutes": "15"})).status_code == 404  # never one's own
    assert (await oda.post(give, {"minutes": "90"})).status_code == 422
    shown = (await oda.get("/support")).text
    assert "Others ask you" in shown and REASON in shown and "Kitchens" not in shown
    assert (await oda.post(give, {"minutes": "15"})).status_code == 303
    assert (await omar.get(media(request, ref.recording))).status_code == 200
    assert (await oda.get(media(request, ref.recording))).status_code == 404
    assert "Granted by a second operator" in (await owner.open("/support-access")).words
    [mail] = [m for m in await world.mails(world.lab, person=world.lab.owner) if "was granted" in m.subject]
    assert "A second operator, as you allowed, let Omar look at one recording" in mail.text
    next_one = await asked(omar, world.lab, "recording", ref.recording)
    assert (await oda.post(f"/support/requests/{next_one}/refuse")).status_code == 303
    assert (await world.post(owner, allow)).status_code == 303
    last = await asked(omar, world.lab, "recording", ref.recording)
    assert (await oda.post(f"/support/requests/{last}/grant", {"minutes": "15"})).status_code == 404


async def test_a_request_that_does_not_fit_says_why_and_keeps_what_was_typed(world: World) -> None:
    omar = await operator(world)
    answer = await omar.ask(world.lab.account, "recording", uuid4())
    assert answer.status_code == 404 and "no such session or recording" in answer.text and REASON in answer.text
    unknown = await omar.ask(world.other.account, "session", world.lab.session)
    assert unknown.status_code == 404 and "no such session or recording" in unknown.text
    answer = await omar.ask(world.lab.account, "session", world.lab.session, "debug")
    assert answer.status_code == 422 and "The owner decides by these words" in answer.text
    assert await world.rows(world.lab, SupportRequest) == []
    for _ in range(WAITING_AT_MOST):
        assert (await omar.ask(world.lab.account, "session", world.lab.session)).status_code == 303
    answer = await omar.ask(world.lab.account, "session", world.lab.session)
    assert answer.status_code == 409 and "wait in this account already" in answer.text
    assert (await omar.ask(world.other.account, "session", world.other.session)).status_code == 303
    for row in await world.rows(world.lab, SupportRequest):
        await world.change(world.lab, SupportRequest, row.id, asked_at=func.now() - ANSWER_WITHIN)
    answer = await omar.ask(world.lab.account, "session", world.lab.session)
    assert answer.status_code == 303, "what nobody answered in time waits no longer"


async def test_while_an_operator_reads_the_database_shows_recordings_and_no_people(world: World) -> None:
    """Whatever the code asked for: no address, no answer, no mail, no login of this account is there to be found."""
    ref, omar = await recorded(world, world.anna), await operator(world)
    grant = await granted(world, omar, world.lab, "recording", ref.recording)
    [row] = await world.rows(world.lab, SupportRequest)
    signed_in = SignedInOperator(login_id=uuid4(), operator=row.operator_id, name="Omar", proven=True)
    there = {"account", "study", "session", "recording", "take", "track", "transcript", "line_correction"}
    there |= {"audit_event", "support_request", "support_rule"}
    async with world.wiring.database.transaction() as db:
        await enter(db, signed_in, grant)
        assert (await db.scalars(select(Participant.id))).all() != []
    async with world.wiring.database.transaction() as db:
        found = await enter(db, signed_in, grant)
        await note_reading(db, world.wiring, signed_in, found, subject=f"recording:{ref.recording}", what="media")
        assert (await db.scalars(select(Recording.id))).all() == [ref.recording]
        for table in metadata.sorted_tables:
            if "account_id" in table.columns and table.name not in there:
                assert (await db.execute(select(text("1")).select_from(table))).all() == [], table.name
        changed = await db.execute(update(Participant).values(language="de"))
        assert changed.rowcount == 0  # type: ignore[attr-defined]
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert (await db.scalars(select(Participant.id))).all() != []  # the next transaction is as before
        assert await db.scalar(select(Session.id)) == world.lab.session


async def test_a_long_answer_ends_with_the_grant(world: World) -> None:
    ref, omar = await recorded(world, world.anna), await operator(world)
    grant = await granted(world, omar, world.lab, "recording", ref.recording)
    [row] = await world.rows(world.lab, SupportRequest)
    async with world.wiring.database.transaction(PLATFORM) as db:
        login = (await db.scalars(select(OperatorLogin.id))).one()
    signed_in = SignedInOperator(login_id=login, operator=row.operator_id, name="Omar", proven=True)
    assert await lasts(world.wiring.database, signed_in, grant)
    assert await answered(world, await world.member(world.lab), grant, "revoke") == 303
    assert not await lasts(world.wiring.database, signed_in, grant)
    await world.change(world.lab, SupportRequest, grant, revoked_at=None)
    assert await lasts(world.wiring.database, signed_in, grant)
    await omar.post("/support/sign-out")  # as when the operator is removed
    assert not await lasts(world.wiring.database, signed_in, grant)


async def test_what_cannot_be_logged_is_not_shown(world: World, superuser_url: str) -> None:
    ref, omar = await recorded(world, world.anna), await operator(world)
    grant = await granted(world, omar, world.lab, "recording", ref.recording)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("REVOKE INSERT ON audit_event FROM junier_app")
    for path in (media(grant, ref.recording), f"/support/grants/{grant}"):
        answer = await omar.get(path)
        assert answer.status_code == 500 and "webm" not in answer.headers["content-type"]
        assert str(ref.recording) not in answer.text


async def test_a_restored_backup_brings_no_grant_and_no_operator_back_in(world: World, owner_url: str) -> None:
    ref, omar = await recorded(world, world.anna), await operator(world)
    grant = await granted(world, omar, world.lab, "recording", ref.recording)
    owner = await world.member(world.lab)
    assert (await world.post(owner, "/support-access/second-operator", {"second_operator": "yes"})).status_code == 303
    begin_anew(owner_url)
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert not await second_operator(db)  # the owner may have taken it back since
    assert (await omar.get("/support")).headers["location"] == "/support/sign-in"
    await omar.sign_in()
    assert (await omar.get(media(grant, ref.recording))).status_code == 404
    assert "ended early" in (await omar.get("/support")).text


async def test_no_mail_names_a_session_a_person_or_the_reason(world: World) -> None:
    ref, omar = await recorded(world, world.anna), await operator(world)
    grant = await granted(world, omar, world.lab, "recording", ref.recording)
    await omar.get(f"/support/grants/{grant}")
    mails = [m for m in await world.mails(world.lab, person=world.lab.owner) if "/support-access" in m.text]
    assert len(mails) == 3
    for part in (part for mail in mails for part in (mail.text, mail.html, mail.subject)):
        assert not [word for word in ("Anna", "first visit", "Ticket", str(ref.recording)) if word in part]
