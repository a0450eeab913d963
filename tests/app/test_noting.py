"""Requests that an owner notes for a participant: who may, from which day the month counts, what is carried out at
once, and what waits until the participant has said behind a code that it is theirs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text

from app.accounts.login import start_login
from app.accounts.models import Scope
from app.audit import Action, AuditEvent
from app.database import now_in
from app.participants.models import Consent, Participant
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import REQUEST, read_receipt_token, receipt_token
from app.privacy.records.deadline import answer_by
from app.privacy.records.models import DataRequest, Erasure, RequestKind, RequestState
from app.privacy.rights.noting import came_at, may_note
from app.privacy.rights.proof import may_carry_out, waits_for_proof
from app.privacy.rights.requests import ask
from app.sessions.models import Recording
from recordings.model import RecordingId
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, ORIGIN, Cast, mails

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("came_on", "fits"),
    [
        (date(2026, 11, 22), True),
        (date(2026, 11, 23), False),
        (date(2025, 11, 21), True),
        (date(2025, 11, 20), False),
        (date(1, 1, 1), False),
        (date(9999, 12, 31), False),
    ],
)
def test_a_request_came_in_on_a_day_of_the_last_year(came_on: date, fits: bool) -> None:
    assert bool(may_note(came_on, NOW)) is fits


def test_a_day_that_has_begun_in_the_east_of_the_union_has_come() -> None:
    late = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)
    assert may_note(date(2026, 11, 23), late) and came_at(date(2026, 11, 23), late) == late
    assert came_at(date(2026, 11, 3), late).date() == date(2026, 11, 3)


def test_only_what_gives_data_out_or_changes_who_they_are_waits_for_their_word() -> None:
    waits = {kind: waits_for_proof(kind, RequestState.OPEN, way="phone", confirmed_at=None) for kind in RequestKind}
    assert {kind for kind, one in waits.items() if one} == {RequestKind.ACCESS, RequestKind.RECTIFICATION}
    access = RequestKind.ACCESS
    assert not waits_for_proof(access, RequestState.OPEN, way=None, confirmed_at=None), "they asked here themselves"
    assert not waits_for_proof(access, RequestState.OPEN, way="phone", confirmed_at=NOW)
    assert not waits_for_proof(access, RequestState.REFUSED, way="phone", confirmed_at=None)
    assert may_carry_out(False) and not may_carry_out(True)


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True, seconds=1.0)


def wish(kind: str, **more: object) -> dict[str, object]:
    return {
        "kind": kind,
        "way": "letter",
        "came_on": f"{datetime.now(UTC) - 9 * DAY:%Y-%m-%d}",
        "words": "Please.",
        **more,
    }


async def noted(cast: Cast, kind: str, **more: object) -> httpx.Response:
    owner = await cast.browser("owner")
    return await owner.post(f"/requests/for/{cast.participant.participant}", data=wish(kind, **more))


async def requests(cast: Cast) -> list[DataRequest]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(DataRequest).order_by(DataRequest.receipt)))


async def events(cast: Cast, action: Action) -> list[AuditEvent]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(AuditEvent).where(AuditEvent.action == action)))


async def mailed(cast: Cast, template: str) -> str:
    return next(mail.text for row, mail in await mails(cast.wiring) if row.template == template and mail is not None)


async def test_only_owners_note_requests_and_only_of_their_own_people(cast: Cast) -> None:
    where, seen = f"/requests/for/{cast.participant.participant}", {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.get("/requests/new")).status_code,
            (await browser.post("/requests/new", data={"email": "anna@home.example"})).status_code,
            (await browser.get(where)).status_code,
            (await browser.post(where, data=wish("access"))).status_code,
        ]
    assert seen == {
        "owner": [200, 303, 200, 303],
        "researcher": [403] * 4,
        "observer": [403] * 4,
        "other_owner": [200, 422, 404, 404],
        "participant": [401] * 4,
        "other_participant": [401] * 4,
        "stranger": [401] * 4,
    }
    assert len(await requests(cast)) == 1
    owner = await cast.browser("owner")
    assert (await owner.get(f"/requests/for/{uuid4()}")).status_code == 404
    assert (await owner.get("/requests/for/anna")).status_code == 404


async def test_whoever_asks_is_found_by_their_address(cast: Cast) -> None:
    owner = await cast.browser("owner")
    found = await owner.post("/requests/new", data={"email": "Anna@Home.example"})
    assert found.headers["location"] == f"/requests/for/{cast.participant.participant}"
    for typed, said in (
        ("nobody@home.example", "Nobody with this address"),
        ("anna", "does not look like"),
        ("", "fill"),
    ):
        answer = await owner.post("/requests/new", data={"email": typed})
        assert answer.status_code == 422 and said in answer.text


async def test_the_month_counts_from_the_day_it_came_in(cast: Cast) -> None:
    came = datetime.now(UTC) - 9 * DAY
    answer = await noted(cast, "access", came_on=f"{came:%Y-%m-%d}")
    [row] = await requests(cast)
    assert answer.headers["location"] == f"/requests/{row.id}"
    assert row.asked_at.date() == came.date() and row.due_on == answer_by(came)
    assert (row.way, row.noted_by, row.state) == ("letter", cast.owner, RequestState.OPEN)
    [event] = await events(cast, Action.REQUEST_NOTED)
    assert event.actor == f"member:{cast.owner}" and event.facts["way"] == "letter"
    assert not await events(cast, Action.REQUEST_RECEIVED)
    page = (await (await cast.browser("owner")).get(f"/requests/{row.id}")).text
    assert "by letter" in page and "Olga" in page and "Wait until they confirm" in page and "export.zip" not in page


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "money"}, "Please choose one of the list"),
        ({"way": "pigeon"}, "Please choose one of the list"),
        ({"came_on": "2999-01-01"}, "has not come yet"),
        ({"came_on": "2001-01-01"}, "more than a year ago"),
        ({"came_on": "yesterday"}, "Please choose a day"),
        ({"came_on": ""}, "Please choose a day"),
        ({"kind": "rectification", "words": ""}, "Please fill this in"),
        ({"kind": "withdrawal"}, "given no consent that could be taken back"),
        ({"kind": "withdrawal", "consents": "x/video"}, "given no consent that could be taken back"),
        ({"words": "x" * 10_001}, "at most 10,000 characters"),
    ],
)
async def test_what_does_not_fit_is_said_and_notes_nothing(cast: Cast, values: dict[str, str], said: str) -> None:
    answer = await noted(cast, **({"kind": "access"} | values))
    assert answer.status_code == 422 and said in answer.text
    assert await requests(cast) == []


async def test_a_copy_waits_until_they_confirm_by_the_link_and_the_code(cast: Cast) -> None:
    await noted(cast, "access")
    [row] = await requests(cast)
    owner, where = await cast.browser("owner"), f"/requests/{row.id}"
    assert (await owner.get(f"{where}/export.zip")).status_code == 409
    granted = {"outcome": "granted", "words": "Here it is."}
    assert (await owner.post(f"{where}/answer", data=granted)).status_code == 409
    mail = await mailed(cast, "request_noted")
    assert row.receipt in mail and "by letter" in mail and "Please." not in mail
    [path] = re.findall(rf"{ORIGIN}(/asked/\S+)", mail)
    browser = await cast.browser("stranger")
    for _twice in range(2):
        shown = await browser.get(path)
        assert shown.status_code == 200 and row.receipt in shown.text and "Anna" not in shown.text
    assert not [row for row, _mail in await mails(cast.wiring) if row.template == "data_code"], "looking sends nothing"
    assert (await browser.post(path)).headers["location"] == "/my-data/code"
    mine = f"/my-data/requests/{row.id}/confirm"
    assert (await browser.post(mine)).status_code == 401, "the link alone opens nothing"
    [code] = re.findall(r"^([0-9]{6})$", await mailed(cast, "data_code"), re.MULTILINE)
    await browser.post("/my-data/open", data={"code": code})
    assert "Was it you who asked?" in (await browser.get("/my-data")).text
    assert (await browser.post(mine)).status_code == 303
    assert (await browser.post(mine)).status_code == 409, "said already"
    assert "confirmed the request" in await mailed(cast, "request_received")
    assert (await owner.get(f"{where}/export.zip")).status_code == 200
    assert (await owner.post(f"{where}/answer", data=granted)).status_code == 303
    assert (await (await cast.browser("stranger")).get(path)).status_code == 404, "it is over, and so is its link"


async def inside(cast: Cast, who: str = "participant") -> httpx.AsyncClient:
    invited = getattr(cast, who)
    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=invited.participant,
            session=cast.session if who == "participant" else cast.other_session,
        )
    return await cast.web.browser(cookie.value)


async def test_whoever_did_not_ask_ends_it_and_nobody_else_can(cast: Cast) -> None:
    await noted(cast, "rectification")
    [row] = await requests(cast)
    paths = [f"/my-data/requests/{row.id}/{word}" for word in ("confirm", "disown")]
    for who in EVERYONE:
        browser = await cast.browser(who)
        assert [(await browser.post(path)).status_code for path in paths] == [401, 401], who
    ben = await inside(cast, "other_participant")
    assert [(await ben.post(path)).status_code for path in paths] == [404, 404]
    assert (await requests(cast))[0].confirmed_at is None
    anna = await inside(cast)
    assert (await anna.post(paths[1])).status_code == 303
    assert (await requests(cast))[0].state == RequestState.REFUSED
    assert [(await anna.post(path)).status_code for path in paths] == [409, 409]
    assert [event.actor for event in await events(cast, Action.REQUEST_DISOWNED)] == [
        f"participant:{cast.participant.participant}"
    ]


async def test_an_unconfirmed_request_can_be_refused(cast: Cast) -> None:
    await noted(cast, "access")
    [row] = await requests(cast)
    owner = await cast.browser("owner")
    refused = {"outcome": "refused", "words": "Nobody confirmed it.", "ground": "identity"}
    assert (await owner.post(f"/requests/{row.id}/answer", data=refused)).status_code == 303


async def test_links_of_one_sort_open_nothing_of_the_other(cast: Cast) -> None:
    await noted(cast, "access")
    [row] = await requests(cast)
    key, stranger = signing_key(cast.wiring.settings.data_dir), await cast.browser("stranger")
    receipt = receipt_token(key, cast.account, row.id)
    assert read_receipt_token(key, receipt, REQUEST) is None
    for token in (receipt, receipt_token(key, cast.other_account, row.id, REQUEST), "x" * 86, "é"):
        for ask_it in (stranger.get, stranger.post):
            assert (await ask_it(f"/asked/{token}")).status_code == 404
    assert (await stranger.get(f"/receipt/{receipt_token(key, cast.account, row.id, REQUEST)}")).status_code == 404


async def test_the_same_again_adds_its_words_and_the_earlier_day_counts(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        person = cast.participant.participant
        await ask(db, cast.wiring, account=cast.account, participant=person, kind=RequestKind.ACCESS, words="Mine.")
    came = datetime.now(UTC) - 9 * DAY
    assert (await noted(cast, "access", came_on=f"{came:%Y-%m-%d}")).status_code == 303
    [row] = await requests(cast)
    assert row.asked_at.date() == came.date() and row.due_on == answer_by(row.asked_at)
    assert row.way is None, "they had asked here themselves: it waits for no proof"
    page = (await (await cast.browser("owner")).get(f"/requests/{row.id}")).text
    assert "Mine." in page and "Please." in page and "export.zip" in page


async def test_who_asks_here_too_has_confirmed_it(cast: Cast) -> None:
    await noted(cast, "access")
    await (await inside(cast)).post("/my-data/requests", data={"kind": "access", "words": "Mine too."})
    [row] = await requests(cast)
    assert row.confirmed_at is not None and row.way == "letter"


@pytest.mark.parametrize("kind", ["restriction", "objection"])
async def test_what_protects_is_in_force_at_once(cast: Cast, recording: RecordingId, kind: str) -> None:
    owner = await cast.browser("owner")
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 200
    await noted(cast, kind)
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 404
    assert [event.actor for event in await events(cast, Action.RECORDING_RESTRICTED)] == [f"member:{cast.owner}"]


async def test_an_erasure_hides_at_once_and_lets_the_mail_with_the_receipt_go_out(
    cast: Cast, recording: RecordingId
) -> None:
    owner = await cast.browser("owner")
    answer = await noted(cast, "erasure")
    [row] = await requests(cast)
    assert answer.headers["location"] == f"/requests/{row.id}" and row.due_on == answer_by(row.asked_at)
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 404
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = (await db.scalars(select(Erasure))).one()
        assert (erasure.asked_by, erasure.reason) == (f"member:{cast.owner}", "request")
        query = "SELECT scheduled_at FROM jobs.procrastinate_jobs WHERE task_name = 'erase' AND status = 'todo'"
        at = (await db.execute(text(query))).scalar_one()
        assert timedelta(minutes=9) < at - await now_in(db) <= timedelta(minutes=10)
    [path] = re.findall(rf"{ORIGIN}(/receipt/\S+)", await mailed(cast, "request_noted"))
    assert erasure.receipt in (await (await cast.browser("stranger")).get(path)).text
    assert (await noted(cast, "erasure")).headers["location"] == f"/requests/{row.id}", "the same again is the same"


async def test_consents_are_taken_back_one_by_one(cast: Cast, recording: RecordingId) -> None:
    guest = await cast.browser("stranger")
    link = cast.participant.link.removeprefix(ORIGIN)
    await guest.post(link, data={"name": "Anna", "email": "anna@home.example"})
    await guest.post(f"/take-part/{cast.session}", data={"consent": ["video", "audio"]})
    page = (await (await cast.browser("owner")).get(f"/requests/for/{cast.participant.participant}")).text
    assert f'value="{cast.session}/video"' in page and f"{cast.session}/screen" not in page
    for ticked, said in (
        ({}, "Please tick what"),
        ({"consents": f"{cast.session}/screen"}, "Please choose from the list"),
    ):
        answer = await noted(cast, "withdrawal", **ticked)
        assert answer.status_code == 422 and said in answer.text
    await noted(cast, "withdrawal", consents=f"{cast.session}/video")
    async with cast.wiring.database.transaction(cast.account) as db:
        log = list(await db.scalars(select(Consent).order_by(Consent.number)))
        assert [(one.kind, one.given) for one in log][-1] == ("video", False)
        assert (await db.scalars(select(Erasure.track_kinds))).one() == ["camera"]
    [event] = await events(cast, Action.CONSENT_WITHDRAWN)
    assert event.actor == f"member:{cast.owner}"
    answer = await noted(cast, "withdrawal", consents=f"{cast.session}/video")
    assert answer.status_code == 422, "it is taken back already"


async def test_of_somebody_erased_nothing_is_noted(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Participant, cast.participant.participant)
        row.erased_at, row.email, row.email_index, row.name = await now_in(db), None, None, None
    assert (await noted(cast, "access")).status_code == 404
    owner = await cast.browser("owner")
    assert (await owner.post("/requests/new", data={"email": "anna@home.example"})).status_code == 422
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(func.count()).select_from(Recording)) == 0
