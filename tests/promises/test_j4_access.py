"""J4-08, J4-09: only the account's own people see recordings, and support sees nothing by itself. Who gets what on each
route stands in access.csv (test_access_table.py); here is what no table of statuses says."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from litestar import Litestar
from litestar.handlers.http_handlers import HTTPRouteHandler
from sqlalchemy import select

from app.accounts.members import remove_member
from app.accounts.models import Login, Passkey, Role
from app.audit import AuditEvent
from app.demo.browser import Browser
from app.participants.models import Participant
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import ErasureReason, RequestKind
from app.privacy.rights.requests import ask as ask_request
from app.sessions.disclosure_models import Change, Disclosed, DisclosureGround, RecipientNotice
from app.sessions.disclosures import Given, note_disclosure
from app.sessions.models import Recording
from app.sessions.notes import write_note
from app.sessions.supplements import add_supplement
from app.studies.models import QuestionKind
from app.studies.questions import QuestionInput, add_question
from app.support.models import Operator, SupportRequest
from recordings.model import PersonId, RecordingRef
from tests.app.support_stage import OperatorAtWork
from tests.promises.world import World, answer_after_the_session

OPEN_TO_ALL = {"/", "/health", "/promises", "/data-map", "/.well-known/security.txt", "/schema"}
OPEN_TO_ALL |= {"/sign-in", "/sign-out", "/signed-out", "/support", "/support/sign-in", "/support/sign-out"}
"""Show nothing of any account (/ and /support send strangers to a sign-in page)."""
BY_SECRET = (
    "/sign-in/",
    "/support/sign-in/",
    "/i/",
    "/unsubscribe/",
    "/receipt/",
    "/asked/",
    "/closed/",
    "/static/",
    "/outbox",
)
"""Opened by an unguessable link, static files, and the outbox that exists in development only."""


def pages(app: Litestar) -> list[tuple[str, str]]:
    """Every method and path the application answers."""
    found = []
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            if isinstance(handler, HTTPRouteHandler):
                found += [(method, route.path) for method in sorted(handler.http_methods) if method != "OPTIONS"]
    return found


GIVEN = Given(
    recipient="District Court", contact="Room 7, file 12", kinds=frozenset({Disclosed.VIDEO}), words="Order 4 of May",
    ground=DisclosureGround.LAW, given_on=date(2026, 11, 2), told_before=True,
)  # fmt: skip


async def recorded(world: World) -> RecordingRef:
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    return ref


async def filled(world: World, ref: RecordingRef, *, asks: UUID, going: UUID) -> dict[str, Any]:
    """One of everything in the lab, by the names that routes use. asks, going: a participant whose request is open,
    and one who is erased."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        request = await ask_request(
            db,
            world.wiring,
            account=world.lab.account,
            participant=PersonId(asks),
            kind=RequestKind.ACCESS,
        )
        erasure = await ask_erasure(
            db,
            account=world.lab.account,
            person=PersonId(going),
            reason=ErasureReason.OWNER,
            asked_by=f"member:{world.lab.owner}",
            instruction="test",
        )
        columns, owner = world.wiring.columns, world.lab.owner
        note = await write_note(
            db, columns, session=world.lab.session, member=owner, text="Hesitates", writing=timedelta(0)
        )
        asked = QuestionInput(kind=QuestionKind.TEXT, prompt="How was it?", required=False)
        question = await add_question(db, study=world.lab.study, asked=asked, by=f"member:{owner}")
        passkey = Passkey(
            account_id=world.lab.account, member_id=owner, credential_hash=b"-", credential_id=b"-", public_key=b"-",
            sign_count=0, name=columns.seal(world.lab.account, owner, "passkey.name", "Laptop"),
        )  # fmt: skip
        support = SupportRequest(
            account_id=world.lab.account, operator_id=uuid4(), object_kind="recording", object_id=ref.recording,
            operator_name=columns.seal(world.lab.account, None, "support.operator", "Oda"),
            reason=columns.seal(world.lab.account, None, "support.reason", "Ticket 1"),
        )  # fmt: skip
        db.add_all([passkey, support])
        supplement = await add_supplement(
            db, columns, account=world.lab.account, participant=world.anna.person, about=ref.recording, words="More."
        )
        given = await note_disclosure(
            db, columns, account=world.lab.account, session=world.lab.session, participant=world.anna.person,
            by=owner, given=GIVEN,
        )  # fmt: skip
        notice = RecipientNotice(
            account_id=world.lab.account, disclosure_id=given.id, change=Change.ERASED, cause_id=uuid4(), receipt="E-1"
        )
        db.add(notice)
    await world.member_cookie(world.lab)
    [login, *_] = await world.rows(world.lab, Login, Login.member_id == world.lab.owner)
    return {
        "study": world.lab.study,
        "session": world.lab.session,
        "recording": ref.recording,
        "invitation": world.anna.invitation,
        "participant": world.anna.person,
        "erasure": erasure.id,
        "data_request": request.id,
        "member": world.lab.owner,
        "session_id": world.lab.session,
        "form": "vtt",
        "step": "end",
        "resource": "x" * 43,
        "view": "x" * 43,
        "view_name": "x" * 43,
        "mail": uuid4(),
        "note": note.id,
        "question": question.id,
        "supplement": supplement.id,
        "disclosure": given.id,
        "notice": notice.id,
        "passkey": passkey.id,
        "other": login.id,
        "support": support.id,
    }


async def addresses(world: World) -> list[tuple[str, str]]:
    """Every page of the application that names something of the lab, with the lab's own ids in it."""
    ids = await filled(world, await recorded(world), asks=world.ben.person, going=world.ben.person)
    found = []
    for method, path in pages(world.app):
        if path in OPEN_TO_ALL or path.startswith(BY_SECRET):
            continue
        names = re.findall(r"{(\w+)(?::\w+)?}", path)
        assert set(names) <= set(ids), f"{path} names something this test does not know; add it to the table"
        found.append((method, re.sub(r"{(\w+)(?::\w+)?}", lambda m: str(ids[m[1]]), path)))
    assert len(found) > 25
    return found


async def ask(browser: Browser, method: str, path: str) -> int:
    headers = {"Origin": browser.origin}
    answer = await browser.http.request(method, path, headers=headers, follow_redirects=False)
    if answer.status_code == 303 and answer.headers["location"].startswith("/sign-in"):
        return 401
    return answer.status_code


async def test_j4_08_another_account_meets_what_is_ours_as_not_there(world: World):
    """404, the same as for an id that never existed."""
    theirs = await world.member(world.other)
    wrong = {}
    for method, path in await addresses(world):
        ours = [str(i) for i in (world.lab.study, world.lab.session)] + re.findall(r"/recordings/([0-9a-f-]{36})", path)
        by_id = ("/erasures/", "/requests/", "/disclosures/", "/passkeys/", "/logins/", "/support-access/")
        by_their_id = any(part in path for part in by_id)
        named = [one for one in UUIDS.findall(path) if one in ours or by_their_id]
        if not named:
            continue
        invented = UUIDS.sub(lambda m: str(uuid4()), path)
        got, expected = await ask(theirs, method, path), await ask(theirs, method, invented)
        if got != expected or got not in (401, 403, 404, 405, 422):
            wrong[f"{method} {path}"] = (got, expected)
    assert wrong == {}


async def test_j4_08_ranges_of_media_ask_again_who_it_is(world: World):
    ref = await recorded(world)
    path, part = f"/recordings/{ref.recording}/media", {"Range": "bytes=0-99"}
    answer = await (await world.member(world.lab)).http.get(path, headers=part)
    assert answer.status_code == 206 and len(answer.content) == 100
    assert "no-store" in answer.headers["cache-control"]
    for browser in (world.browser(), await world.member(world.other), await world.guest(world.anna)):
        answer = await browser.http.get(path, headers=part | {"If-Range": answer.headers.get("etag", "")})
        assert answer.status_code in (401, 404) and "webm" not in answer.headers["content-type"]


async def test_j4_08_a_removed_member_is_out_with_the_next_request(world: World):
    cookie = await world.member_cookie(world.lab, Role.RESEARCHER)
    browser = world.browser(cookie)
    assert await ask(browser, "GET", f"/studies/{world.lab.study}") == 200
    async with world.wiring.database.transaction(world.lab.account) as db:
        member = await db.scalar(select(Login.member_id).where(Login.member_id != world.lab.owner))
        await remove_member(db, member=member)
    assert await ask(browser, "GET", f"/studies/{world.lab.study}") == 401


async def test_j4_08_a_login_ends_by_itself_and_by_signing_out(world: World):
    browser = await world.member(world.lab)
    [login] = await world.rows(world.lab, Login)
    await world.change(world.lab, Login, login.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await ask(browser, "GET", f"/studies/{world.lab.study}") == 401
    cookie = await world.member_cookie(world.lab)
    await world.post(world.browser(cookie), "/sign-out")
    assert await ask(world.browser(cookie), "GET", f"/studies/{world.lab.study}") == 401  # the old cookie is dead


async def test_j4_08_participants_see_only_their_own_session_and_data(world: World):
    await world.registered(world.anna)
    await world.registered(world.ben)
    ben = await world.guest(world.ben)
    words = (await ben.open("/my-data")).words
    assert "Ben" in words and "Anna" not in words and "anna@" not in words
    there = await world.invite(world.other, "Ben", "ben@people.example")
    for path in (f"/take-part/{there.lab.session}", f"/rooms/{there.lab.session}"):
        assert await ask(ben, "GET", path) == 404


async def test_j4_08_nothing_can_be_shared_outside(world: World):
    assert not [path for _, path in pages(world.app) if re.search(r"share|public|embed|presign", path)]


async def test_j4_08_a_download_asks_what_it_is_for(world: World):
    """One of a few purposes, which the log keeps; without one, or with words of one's own, no byte is given."""
    transcript = await world.transcribed(world.anna)
    await answer_after_the_session(world, world.anna)
    recording, owner = f"/recordings/{transcript.recording_id}", await world.member(world.lab)
    copies = (
        f"{recording}/media?download=true",
        f"{recording}/transcript/txt?",
        f"/sessions/{world.lab.session}/answers.csv?",
    )
    for path in copies:
        for purpose in ("", "&purpose=", "&purpose=Anna%20is%20funny"):
            answer = await owner.http.get(path + purpose)
            assert answer.status_code == 422 and "what the copy is for" in answer.text
    written = ("downloaded", "transcript:read")
    assert not [e for e in await world.rows(world.lab, AuditEvent) if e.action.endswith(written)]
    for path in copies:
        assert (await owner.http.get(f"{path}&purpose=report")).status_code == 200
    noted = [event for event in await world.rows(world.lab, AuditEvent) if event.action.endswith(written)]
    assert [event.facts["purpose"] for event in noted] == ["report"] * 3
    assert (await owner.http.get(f"{recording}/media")).status_code == 200  # watching here is no copy
    assert "purpose report" in (await owner.open("/audit")).words


async def test_j4_09_there_is_no_way_in_for_support(world: World):
    """No role above the accounts, and no page for operators but those that a grant stands before."""
    assert set(Role) == {"owner", "researcher", "observer"}
    found = [path for _, path in pages(world.app) if re.search(r"support|admin|staff|operator", path)]
    assert {path for path in found if not path.startswith(("/support", "/support-access"))} == set()
    async with world.wiring.database.transaction() as db:  # as the application, with no account set
        for model in (Participant, Recording, Login, Operator, SupportRequest):
            assert (await db.scalars(select(model))).all() == []


async def an_operator(world: World) -> OperatorAtWork:
    """Signed in, with a passkey shown."""
    return await OperatorAtWork(world.wiring, world.browser().http).sign_in()


async def granted(world: World, operator: OperatorAtWork, recording: UUID, minutes: int = 60) -> UUID:
    """An open grant of the lab's owner for one recording."""
    assert (await operator.ask(world.lab.account, "recording", recording)).status_code == 303
    request = await operator.newest(world.lab.account)
    owner = await world.member(world.lab)
    answer = await world.post(owner, f"/support-access/{request}/grant", {"minutes": str(minutes)})
    assert answer.status_code == 303
    return request


UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
