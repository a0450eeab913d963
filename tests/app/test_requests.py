"""Requests of participants: who may ask and who may answer, bad input, and what a restriction does to queued work."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text, update

from app.accounts.login import start_login
from app.accounts.models import Scope
from app.audit import Action, AuditEvent
from app.database import now_in
from app.invitations.models import Invitation
from app.mail.models import MailState, OutgoingMail
from app.participants.models import Participant
from app.privacy.keeping.export_parts import account_files
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from app.privacy.rights.requests import ask, may_answer, may_lift
from app.sessions.models import Recording, Transcript, TranscriptState
from app.sessions.service import open_room
from recordings.model import RecordingId, SessionId, StreamKind
from tests.fixtures.answering import SAID, answered
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast, mails

FORMS = ("/my-data/requests", "/my-data/restrict", "/my-data/object", "/my-data/name")


async def inside(cast: Cast) -> httpx.AsyncClient:
    """The participant, with stored data open."""
    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=cast.participant.participant,
            session=cast.session,
        )
    return await cast.web.browser(cookie.value)


async def requests(cast: Cast) -> list[DataRequest]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(DataRequest).order_by(DataRequest.asked_at)))


async def asked(cast: Cast, kind: RequestKind) -> DataRequest:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await ask(
            db, cast.wiring, account=cast.account, participant=cast.participant.participant, kind=kind, words="Please."
        )


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True, seconds=1.0)


async def test_nobody_asks_for_another_person_or_without_the_fresh_code(cast: Cast) -> None:
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [(await browser.post(path, data={"name": "X", "kind": "access"})).status_code for path in FORMS]
        seen[who].append((await browser.get("/my-data/requests")).status_code)
    assert seen == {who: [401] * 5 for who in EVERYONE}
    assert await requests(cast) == []


async def test_only_the_owner_sees_and_answers(cast: Cast) -> None:
    request = await asked(cast, RequestKind.ACCESS)
    standing = await asked(cast, RequestKind.RESTRICTION)
    where, words = f"/requests/{request.id}", {"outcome": "granted", "words": "Done.", "ground": "settled"}
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.get("/requests")).status_code,
            (await browser.get(where)).status_code,
            (await browser.post(f"{where}/answer", data=words)).status_code,
            (await browser.post(f"/requests/{standing.id}/lift", data=words)).status_code,
        ]
    assert seen == {
        "owner": [200, 200, 303, 303],
        "researcher": [403] * 4,
        "observer": [403] * 4,
        "other_owner": [200, 404, 404, 404],
        "participant": [401] * 4,
        "other_participant": [401] * 4,
        "stranger": [401] * 4,
    }
    assert request.receipt not in (await (await cast.browser("other_owner")).get("/requests")).text
    assert [one.state for one in await requests(cast)] == [RequestState.DONE, RequestState.LIFTING]
    owner = await cast.browser("owner")
    assert (await owner.post(f"{where}/answer", data=words)).status_code == 409, "answered"
    assert (await owner.post(f"/requests/{standing.id}/answer", data=words)).status_code == 409


@pytest.mark.parametrize(
    ("path", "values", "said"),
    [
        ("/my-data/name", {"name": ""}, "Please fill this in"),
        ("/my-data/name", {"name": "x" * 10_000}, "at most 100 characters"),
        ("/my-data/name", {"name": "Anna\r\nBcc: b@c.example"}, "Line breaks"),
        ("/my-data/name", {"name": "An\u202ena"}, "Line breaks"),
        ("/my-data/requests", {"kind": "money"}, "Please choose one of the list"),
        ("/my-data/requests", {"kind": "erasure"}, "Please choose one of the list"),
        ("/my-data/requests", {}, "Please choose one of the list"),
        ("/my-data/requests", {"kind": "rectification"}, "Please fill this in"),
        ("/my-data/requests", {"kind": "access", "words": "x" * 10_001}, "at most 10,000 characters"),
        ("/my-data/object", {"words": "\x00"}, "Control characters"),
    ],
)
async def test_what_does_not_fit_is_said_and_changes_nothing(
    cast: Cast, path: str, values: dict[str, str], said: str
) -> None:
    answer = await (await inside(cast)).post(path, data=values)
    assert answer.status_code == 422 and said in answer.text
    assert await requests(cast) == []


@pytest.mark.parametrize("name", ["<b>Anna</b>", "{{ 12345 * 6789 }}", "=cmd()", "O'Neill & Söhne", "安娜"])
async def test_a_name_is_a_name_whatever_it_looks_like(cast: Cast, name: str) -> None:
    browser = await inside(cast)
    assert (await browser.post("/my-data/name", data={"name": name})).status_code == 303
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Participant, cast.participant.participant)
        assert (
            cast.wiring.columns.open(cast.account, cast.participant.participant, "participant.name", row.name) == name
        )
    page = (await browser.get("/my-data")).text
    assert "<b>Anna" not in page and "83810205" not in page
    assert (await browser.post("/my-data/name", data={"name": name})).status_code == 303
    assert len(await requests(cast)) == 1, "the same name again is no second correction"


@pytest.mark.parametrize(("values", "said"), [({}, "Please fill this in"), ({"words": "x" * 5_001}, "at most 5,000")])
async def test_an_answer_needs_words(cast: Cast, values: dict[str, str], said: str) -> None:
    request = await asked(cast, RequestKind.OBJECTION)
    owner = await cast.browser("owner")
    answer = await owner.post(
        f"/requests/{request.id}/answer", data=values | {"outcome": "refused", "ground": "compelling"}
    )
    assert answer.status_code == 422 and said in answer.text
    assert [one.state for one in await requests(cast)] == [RequestState.OPEN]


async def test_a_restriction_whose_mail_cannot_be_sent_stays_in_force(cast: Cast, recording: RecordingId) -> None:
    request = await asked(cast, RequestKind.RESTRICTION)
    owner = await cast.browser("owner")
    await owner.post(f"/requests/{request.id}/lift", data={"words": "It is over.", "ground": "settled"})
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(OutgoingMail).values(state=MailState.FAILED))
        now = await now_in(db)
    await sweep(cast.wiring, now)
    assert [one.state for one in await requests(cast)] == [RequestState.IN_FORCE]
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 404


async def test_two_reasons_to_restrict_are_lifted_by_the_second(cast: Cast, recording: RecordingId) -> None:
    owner = await cast.browser("owner")
    for kind in (RequestKind.RESTRICTION, RequestKind.OBJECTION):
        await asked(cast, kind)
    first, second = await requests(cast)
    await owner.post(f"/requests/{first.id}/lift", data={"words": "Over.", "ground": "settled"})
    await told(cast)
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 404, "the objection stands"
    await owner.post(
        f"/requests/{second.id}/answer", data={"outcome": "refused", "ground": "research", "words": "We do not agree."}
    )
    await told(cast)
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 200
    async with cast.wiring.database.transaction(cast.account) as db:
        lifted = select(AuditEvent).where(AuditEvent.action == Action.RECORDING_UNRESTRICTED)
        assert [event.subject for event in await db.scalars(lifted)] == [f"recording:{recording}"]


async def told(cast: Cast) -> None:
    """Every mail went out, and the sweep came by."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(OutgoingMail).values(state=MailState.SENT))
        now = await now_in(db)
    await sweep(cast.wiring, now)


async def test_who_asks_again_while_it_is_being_lifted_is_restricted_anew(cast: Cast, recording: RecordingId) -> None:
    owner = await cast.browser("owner")
    first = await asked(cast, RequestKind.RESTRICTION)
    await owner.post(f"/requests/{first.id}/lift", data={"words": "Over.", "ground": "settled"})
    await asked(cast, RequestKind.RESTRICTION)
    await told(cast)
    assert [one.state for one in await requests(cast)] == [RequestState.DONE, RequestState.IN_FORCE]
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 404


@pytest.mark.parametrize("kind", [RequestKind.RESTRICTION, RequestKind.OBJECTION])
async def test_what_comes_while_it_stands_is_not_used_either_until_it_is_lifted(
    cast: Cast, tmp_path: Path, kind: RequestKind
) -> None:
    """Recordings and answers, of the one who asked; there was nothing yet when they did."""
    before = await stored_recording(cast, tmp_path / "b", person=cast.researcher, seconds=1.0)
    request = await asked(cast, kind)
    later = await stored_recording(cast, tmp_path / "a", person=cast.participant.participant, seconds=1.0)
    others = cast.other_participant.participant, cast.other_session
    ben = await stored_recording(cast, tmp_path / "c", person=others[0], session=others[1], seconds=1.0)
    await answered(cast)
    owner = await cast.browser("owner")

    async def seen() -> list[int]:
        return [(await owner.get(f"/recordings/{one}/media")).status_code for one in (later, ben, before)]

    async def read() -> bool:
        return SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text

    assert await seen() == [404, 200, 200] and not await read()
    assert "what comes later: nobody" in (await (await inside(cast)).get("/my-data")).text
    objected = kind is RequestKind.OBJECTION
    data = {"words": "Over."} | ({"outcome": "refused", "ground": "research"} if objected else {"ground": "settled"})
    await owner.post(f"/requests/{request.id}/{'answer' if objected else 'lift'}", data=data)
    assert await seen() == [404, 200, 200], "not before they were told"
    await told(cast)
    assert await seen() == [200, 200, 200] and await read()
    after = await stored_recording(
        cast, tmp_path / "d", person=cast.participant.participant, stream=StreamKind.SCREEN, seconds=1.0
    )
    assert (await owner.get(f"/recordings/{after}/media")).status_code == 200
    async with cast.wiring.database.transaction(cast.account) as db:
        closed = select(AuditEvent).where(AuditEvent.action == Action.RECORDING_RESTRICTED)
        assert [event.subject for event in await db.scalars(closed)] == [f"recording:{later}"]


async def test_nobody_reads_notes_about_somebody_whose_data_are_not_used(cast: Cast) -> None:
    """In the room, the review and the account's export; a session they had no part in is another matter."""
    words, path = "Looks for the basket", f"/sessions/{cast.session}"
    async with cast.wiring.database.transaction(cast.account) as db:
        for session in (cast.session, cast.other_session):
            await open_room(db, session=session)
        await db.execute(update(Invitation).values(admitted_at=await now_in(db)))
    owner = await cast.browser("owner")
    for session in (cast.session, cast.other_session):
        await owner.post(f"/sessions/{session}/notes", data={"text": words})

    async def shown(session: SessionId) -> list[bool]:
        pages = [f"/rooms/{session}", f"/sessions/{session}/review"]
        return [words in (await owner.get(page)).text for page in pages]

    request = await asked(cast, RequestKind.RESTRICTION)
    assert await shown(cast.session) == [False, False] and await shown(cast.other_session) == [True, True]
    for page in (f"/rooms/{cast.session}", f"{path}/review"):
        assert "somebody who took part asked that nothing about them is used" in (await owner.get(page)).text
    async with cast.wiring.database.transaction(cast.account) as db:
        files = await account_files(db, cast.wiring, account=cast.account, restricted=())
    study = b"".join(next(file for file in files if file.path.startswith("studies/")).read())
    assert study.count(words.encode()) == 1
    await owner.post(f"/requests/{request.id}/lift", data={"words": "Over.", "ground": "settled"})
    await told(cast)
    assert await shown(cast.session) == [True, True]


async def test_a_transcript_that_waited_is_written_after_the_restriction(cast: Cast, recording: RecordingId) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Transcript).values(state=TranscriptState.WAITING))
    request = await asked(cast, RequestKind.RESTRICTION)
    await (await cast.browser("owner")).post(
        f"/requests/{request.id}/lift", data={"words": "Over.", "ground": "settled"}
    )
    await told(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        jobs = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = 'transcribe' AND status = 'todo'"
        assert (await db.execute(text(jobs))).scalar_one() >= 1
        assert (await db.scalars(select(Recording.restricted_at))).one() is None


async def test_an_erased_person_leaves_the_request_without_words(cast: Cast) -> None:
    from app.privacy.erasing.service import run_erasure
    from app.privacy.records.models import Erasure
    from tests.fixtures.erasing import SpyNodes

    await asked(cast, RequestKind.ACCESS)
    browser = await inside(cast)
    await browser.post("/my-data/erase")
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = (await db.scalars(select(Erasure.id))).one()
    await run_erasure(cast.wiring, cast.account, erasure, nodes=SpyNodes())
    rows = await requests(cast)
    assert {(one.kind, one.state, one.words) for one in rows} == {("access", "done", None), ("erasure", "done", None)}
    page = (await (await cast.browser("owner")).get("/requests")).text
    assert rows[0].receipt in page and "Anna" not in page


async def test_a_request_to_be_erased_is_not_done_while_something_could_not_be_verified(
    cast: Cast, recording: RecordingId
) -> None:
    from app.privacy.erasing.service import run_erasure
    from app.privacy.records.models import Erasure, ErasureState
    from tests.fixtures.erasing import SpyNodes

    await (await inside(cast)).post("/my-data/erase")
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = (await db.scalars(select(Erasure.id))).one()
    outcome = await run_erasure(cast.wiring, cast.account, erasure, nodes=SpyNodes(reachable=False))
    assert outcome.state is ErasureState.PARTIAL
    assert [one.state for one in await requests(cast)] == [RequestState.OPEN]
    await run_erasure(cast.wiring, cast.account, erasure, nodes=SpyNodes())
    assert [one.state for one in await requests(cast)] == [RequestState.DONE]


async def test_the_answer_speaks_the_readers_language_and_names_whom_to_ask(cast: Cast) -> None:
    request = await asked(cast, RequestKind.ACCESS)
    await (await cast.browser("owner")).post(
        f"/requests/{request.id}/answer", data={"outcome": "granted", "words": "It is in the post."}
    )
    sent = next(mail for row, mail in await mails(cast.wiring) if row.template == "request_answered")
    assert sent is not None and sent.to == "anna@home.example" and "study@lab.example" in sent.text
    assert "It is in the post." in sent.text and "It is in the post." in sent.html
    owner = [mail for row, mail in await mails(cast.wiring) if row.template == "request_received"]
    assert len(owner) == 1 and owner[0] and owner[0].to == "olga@lab.example" and "anna" not in owner[0].text.lower()


def test_what_runs_by_itself_needs_no_answer() -> None:
    assert not may_answer(RequestKind.ERASURE, RequestState.OPEN)
    assert not may_answer(RequestKind.WITHDRAWAL, RequestState.OPEN)
    for kind in (RequestKind.ACCESS, RequestKind.OBJECTION, RequestKind.RECTIFICATION):
        assert may_answer(kind, RequestState.OPEN)
        assert not any(may_answer(kind, state) for state in RequestState if state is not RequestState.OPEN)
    assert [state for state in RequestState if may_lift(state)] == [RequestState.IN_FORCE]
