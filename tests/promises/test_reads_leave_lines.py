"""No member is shown anything sealed of a participant without a line in the audit log (trust G26): every page is asked
for while the key store tells whose keys were used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.accounts.login import start_login
from app.accounts.models import Member, Role, Scope
from app.audit import AuditEvent
from app.demo.browser import Browser
from app.participants.models import Participant
from app.privacy.records.breach import concerned
from app.privacy.records.models import RequestKind
from app.privacy.rights.copy_rows import find_rows
from app.privacy.rights.requests import ask as ask_request
from app.sessions.models import HoldReason, Recording
from app.studies.models import Question
from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId, PersonId
from tests.promises.sources import HEARD
from tests.promises.test_j4_access import UUIDS, addresses, ask
from tests.promises.world import World

SHOWN = "participants:data:shown"
ENDLESS = ("/live", "/events", "/status")
"""News of a page that is open, which itself leaves a line; they do not end by themselves."""


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[UUID]]:
    """Whose keys are used meanwhile."""
    used: set[UUID] = set()
    unwrap, unwrap_persons = DirectoryKeyStore.unwrap, DirectoryKeyStore.unwrap_persons

    def one(self: DirectoryKeyStore, path: KeyPath) -> bytes:
        used.update({path.person} if path.person else ())
        return unwrap(self, path)

    def several(self: DirectoryKeyStore, account: AccountId, persons: Iterable[PersonId]) -> dict[PersonId, bytes]:
        persons = list(persons)
        used.update(persons)
        return unwrap_persons(self, account, persons)

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryKeyStore, "unwrap", one)
        patch.setattr(DirectoryKeyStore, "unwrap_persons", several)
        yield used


async def fresh(world: World, member: PersonId) -> Browser:
    """A login that nothing has been shown to."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        cookie = await start_login(db, world.settings, account=world.lab.account, scope=Scope.MEMBER, member=member)
    return world.browser(cookie.value or "")


async def answered_and_held(world: World) -> None:
    """Anna answered, and something of hers is held for reasons put in words."""
    [question] = await world.rows(world.lab, Question)
    path = f"/take-part/{world.lab.session}/questions"
    sent = await world.post(await world.guest(world.anna, Scope.ROOM), path, {f"q-{question.id}": "Fine"})
    assert sent.status_code == 303
    [row] = await world.rows(world.lab, Recording, Recording.person_id == world.anna.person)
    held = {"reason": HoldReason.CLAIM, "words": "A claim of hers", "review": f"{datetime.now(UTC) + timedelta(90):%F}"}
    answer = await world.post(await world.member(world.lab), f"/recordings/{row.id}/hold", held)
    assert answer.status_code == 303, answer.text


async def lines_of(world: World) -> list[tuple[str, str, str]]:
    events = await world.rows(world.lab, AuditEvent, order=AuditEvent.number)
    return [(event.actor, event.action, event.subject) for event in events]


async def test_j4_09_whatever_a_page_opens_of_a_participant_leaves_a_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [path for method, path in await addresses(world) if method == "GET" and not path.endswith(ENDLESS)]
    participants = {world.anna.person, world.ben.person}
    await answered_and_held(world)
    owner, opening, silent = await world.member(world.lab), [], []
    for path in pages:  # the others see less than an owner does
        with watched(monkeypatch) as used:
            shown = await ask(owner, "GET", path) < 400
        opening += [path] if shown and used & participants else []
    assert {"/sessions/…", "/sessions/…/answers", "/requests/…", "/holds"} <= {UUIDS.sub("…", one) for one in opening}
    assert len(opening) > 15, "the keys are watched"
    for role in Role:
        await world.member_cookie(world.lab, role)
        [member] = await world.rows(world.lab, Member, Member.role == role)
        for path in opening:
            browser = await fresh(world, PersonId(member.id))
            before = len(await lines_of(world))
            if await ask(browser, "GET", path) < 400 and len(await lines_of(world)) == before:
                silent.append(f"{role} {path}")
    assert silent == []


async def test_j4_09_the_room_and_its_notes_leave_a_line_also_after_the_session(world: World) -> None:
    await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    browser = await world.member(world.lab, Role.RESEARCHER)
    for _ in range(2):
        assert await ask(browser, "GET", f"/rooms/{world.lab.session}") == 200
    shown = [line for line in await lines_of(world) if line[1] == SHOWN]
    assert [subject for _, _, subject in shown] == [f"session:{world.lab.session}"], "once in ten minutes"
    await ask(await world.guest(world.anna, Scope.ROOM), "GET", f"/rooms/{world.lab.session}")
    assert [line for line in await lines_of(world) if line[1] == SHOWN] == shown, "what they see of themselves is not"


async def test_j4_09_a_correction_that_does_not_fit_shows_the_transcript_with_a_line(world: World) -> None:
    transcript = await world.transcribed(world.anna)
    path = f"/recordings/{transcript.recording_id}/transcript/corrections"
    answer = await world.post(await world.member(world.lab), path, {"start_ms": "x", "text": ""})
    assert answer.status_code == 422 and HEARD in answer.text
    read = [line for line in await lines_of(world) if line[1] == "library:session:reviewed"]
    assert [subject for _, _, subject in read] == [f"session:{world.lab.session}"]


async def test_j4_09_who_saw_a_page_is_in_the_copy_of_everybody_it_named_and_of_nobody_else(world: World) -> None:
    """And among whom a breach concerns."""
    began, owner = datetime.now(UTC) - timedelta(minutes=1), await world.member(world.lab)
    async with world.wiring.database.transaction(world.lab.account) as db:
        await ask_request(
            db, world.wiring, account=world.lab.account, participant=world.ben.person, kind=RequestKind.ACCESS
        )
    await world.invite(world.other, "Carl", "carl@people.example")
    for path in (f"/sessions/{world.lab.session}", "/requests", "/audit"):
        assert await ask(owner, "GET", path) == 200
    expected = {
        world.anna.person: {f"session:{world.lab.session}", "list:audit"},
        world.ben.person: {f"session:{world.lab.session}", "list:audit", "list:requests"},
    }
    for person, subjects in expected.items():
        async with world.wiring.database.transaction(world.lab.account) as db:
            row = await db.get_one(Participant, person)
            events = (await find_rows(db, row, for_themselves=True)).of(AuditEvent)
        assert subjects == {event.subject for event in events if event.action == SHOWN}
    lines = await concerned(world.wiring.database, world.wiring.columns, since=began, until=datetime.now(UTC))
    found = {(line.person, line.subject) for line in lines if line.action == SHOWN}
    assert found == {(person, subject) for person, subjects in expected.items() for subject in subjects}
