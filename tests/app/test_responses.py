"""What participants answer after a session: who may when, what fits, who reads it, and how it goes."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from app.audit import AuditEvent
from app.invitations.models import Invitation
from app.privacy.models import Certificate, Erasure
from app.privacy.retention import sweep
from app.privacy.service import run_erasure
from app.room.models import Presence
from app.sessions.answering import (
    AnsweringFacts,
    ResponseFacts,
    answers_due,
    answers_readable,
    answers_until,
    may_answer,
)
from app.sessions.models import Recording, SessionState
from app.sessions.response_routes import safe_cell
from app.sessions.responses import response_key_path
from recordings.encryption.keystore import KeyDestroyed
from tests.fixtures.answering import (
    SAID,
    age,
    answered,
    answers,
    ask_three,
    filled,
    path_of,
    proven,
    questions,
    responses,
    set_session,
    took_part,
)
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

NOW = datetime(2027, 5, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TOOK_PART = AnsweringFacts(
    state=SessionState.ENDED, registered=True, admitted=True, inside=False, erased=False, keep_until=NOW + DAY
)
GIVEN = ResponseFacts(answered_at=NOW, session_ended_at=NOW, hidden_at=None, erased_at=None)


def facts(**changes: Any) -> AnsweringFacts:
    return AnsweringFacts(**(vars(TOOK_PART) | changes))


def given(**changes: Any) -> ResponseFacts:
    return ResponseFacts(**(vars(GIVEN) | changes))


async def run_all(cast: Cast) -> list[Certificate]:
    """Every erasure that was asked for, done; the newest certificate of each."""
    async with cast.wiring.database.transaction(cast.account) as db:
        asked = list(await db.scalars(select(Erasure.id).order_by(Erasure.asked_at)))
    for erasure in asked:
        await run_erasure(cast.wiring, cast.account, erasure, nodes=SpyNodes())
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Certificate).order_by(Certificate.issued_at)))


async def hold(cast: Cast, until: datetime | None = None) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_reason="complaint", held_until=until))


async def closed(cast: Cast) -> bool:
    """Whether the key of every response is destroyed and no answer is left in the database."""
    for row in await responses(cast):
        with pytest.raises(KeyDestroyed):
            cast.wiring.keys.unwrap(response_key_path(row))
    return await answers(cast) == []


# --- rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"state": SessionState.LIVE}, ""),
        ({"keep_until": None}, ""),
        ({"erased": True}, "has been erased"),
        ({"registered": False}, "took part"),
        ({"admitted": False}, "took part"),
        ({"state": SessionState.SCHEDULED}, "not begun"),
        ({"state": SessionState.LIVE, "inside": True}, "still in the session"),
        ({"keep_until": NOW}, "time for answers is over"),
    ],
)
def test_who_took_part_answers_once_it_is_over_for_them(changes: dict[str, Any], reason: str) -> None:
    decision = may_answer(facts(**changes), NOW)
    assert bool(decision) is (reason == "")
    assert reason in decision.reason


def test_whoever_left_a_session_that_has_ended_may_answer_though_a_tab_is_still_open() -> None:
    assert may_answer(facts(inside=True), NOW)


def test_answers_go_with_the_sessions_recordings() -> None:
    assert answers_until(GIVEN, 30) == NOW + 30 * DAY
    assert answers_until(given(session_ended_at=None), 30) == NOW + 30 * DAY
    assert answers_until(given(session_ended_at=NOW - DAY), 30) == NOW + 29 * DAY
    assert answers_due(GIVEN, None) is None
    assert answers_due(given(erased_at=NOW), 30) is None
    assert answers_due(given(restricted=True), 30) is None
    assert answers_due(given(held=True), 30) is None
    assert answers_due(given(held=True, held_until=NOW + 40 * DAY), 30) == NOW + 40 * DAY
    assert answers_due(given(held=True, held_until=NOW + DAY), 30) == NOW + 30 * DAY


def test_nobody_reads_what_is_past_its_date_hidden_restricted_or_erased() -> None:
    second = timedelta(seconds=1)
    assert answers_readable(GIVEN, 30, NOW + 30 * DAY - second)
    assert not answers_readable(GIVEN, 30, NOW + 30 * DAY)
    assert not answers_readable(given(held=True), 30, NOW + 30 * DAY), "kept, not read"
    for change in ({"hidden_at": NOW}, {"erased_at": NOW}, {"restricted": True}):
        assert not answers_readable(given(**change), None, NOW)


# --- answering -----------------------------------------------------------------------------------------------------


async def test_only_whoever_took_part_answers(cast: Cast) -> None:
    asked = await ask_three(cast)
    await took_part(cast)
    await took_part(cast, "other_participant")
    got, sent = {}, {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        got[who] = (await browser.get(path_of(cast))).status_code
        sent[who] = (await browser.post(path_of(cast), data=filled(asked))).status_code
    assert got == {who: 200 if who == "participant" else 404 if who == "other_participant" else 401 for who in EVERYONE}
    assert sent == got | {"participant": 303}
    assert [row.participant_id for row in await responses(cast)] == [cast.participant.participant]


async def test_before_the_time_and_without_having_been_let_in_nothing_is_taken(cast: Cast) -> None:
    asked = await ask_three(cast)
    browser = await cast.browser("participant")

    async def both() -> tuple[int, int]:
        page = await browser.get(path_of(cast))
        return page.status_code, (await browser.post(path_of(cast), data=filled(asked))).status_code

    await took_part(cast, state=SessionState.SCHEDULED)
    assert await both() == (409, 409)
    await set_session(cast, cast.session, state=SessionState.LIVE)
    now = datetime.now(UTC)
    inside = Presence(
        account_id=cast.account,
        session_id=cast.session,
        person_id=cast.participant.participant,
        role="participant",
        seen_at=now + timedelta(minutes=5),
    )
    async with cast.wiring.database.transaction(cast.account) as db:
        db.add(inside)
    assert await both() == (409, 409)
    assert "still in the session" in (await browser.get(path_of(cast))).text
    await set_session(cast, cast.session, state=SessionState.ENDED, ended_at=now)
    mine = Invitation.participant_id == cast.participant.participant
    for refusal in ({"admitted_at": None}, {"revoked_at": now}):
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(update(Invitation).where(mine).values(**refusal))
        assert await both() in ((409, 409), (404, 404))
    assert await responses(cast) == []


async def test_leaving_is_enough_while_the_session_goes_on(cast: Cast) -> None:
    asked = await ask_three(cast)
    await took_part(cast, state=SessionState.LIVE)
    browser = await cast.browser("participant")
    assert (await browser.post(path_of(cast), data=filled(asked))).status_code == 303


async def test_answers_are_sealed_under_a_key_of_their_own(cast: Cast) -> None:
    await answered(cast)
    [response] = await responses(cast)
    kept = await answers(cast)
    assert len(kept) == 3
    for answer in kept:
        for word in (SAID.encode(), b"basket", b"Voice"):
            assert word not in answer.value
    assert cast.wiring.keys.exists(response_key_path(response))


async def test_saving_thanks_and_says_where_answers_are_seen_and_erased(cast: Cast) -> None:
    await answered(cast)
    page = (await (await cast.browser("participant")).get(path_of(cast))).text
    assert "Thank you for your answers" in page and "/my-data" in page and "We keep them until" in page
    assert SAID not in page, "whoever was forwarded the link reads nothing"


async def test_a_forwarded_link_cannot_replace_what_was_answered(cast: Cast) -> None:
    asked = await answered(cast)
    forwarded = await cast.browser("participant")
    answer = await forwarded.post(path_of(cast), data=filled(asked, text="Something else"))
    assert answer.status_code == 401
    assert "open My data" in answer.text and "Something else" in answer.text
    owner = await cast.browser("owner")
    assert SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text


async def test_after_the_code_answers_are_shown_and_changed(cast: Cast) -> None:
    asked = await answered(cast)
    browser = await proven(cast)
    page = (await browser.get(path_of(cast))).text
    assert SAID in page and page.count(" checked") == 3
    changed = await browser.post(path_of(cast), data=filled(asked, text="I was wrong", choice=None, scale="1"))
    assert changed.status_code == 303
    shown = (await browser.get("/my-data")).text
    assert "I was wrong" in shown and SAID not in shown and "Mouse, Voice" not in shown
    assert len(await answers(cast)) == 2
    [response] = await responses(cast)
    assert response.changed_at is not None


async def test_a_reworded_question_keeps_its_answer_when_the_others_are_changed(cast: Cast) -> None:
    asked = await answered(cast)
    owner = await cast.browser("owner")
    form = {"prompt": "What pleased you?"}
    await owner.post(f"/studies/{cast.study}/questions/{asked[0].id}/edit", data=form)
    browser = await proven(cast)
    page = (await browser.get(path_of(cast))).text
    assert "What annoyed you?" in page and "What pleased you?" not in page
    assert (await browser.post(path_of(cast), data=filled(asked, scale="2"))).status_code == 303
    assert SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text


async def test_a_wording_that_went_while_somebody_answered_is_told_and_the_rest_is_kept(cast: Cast) -> None:
    asked = await ask_three(cast)
    await took_part(cast)
    owner = await cast.browser("owner")
    await owner.post(f"/studies/{cast.study}/questions/{asked[2].id}/remove")
    answer = await (await cast.browser("participant")).post(path_of(cast), data=filled(asked))
    assert answer.status_code == 409
    assert "questions have changed" in answer.text and SAID in answer.text
    assert await responses(cast) == []


async def test_a_page_without_an_answer_stores_nothing(cast: Cast) -> None:
    asked = await ask_three(cast)
    owner = await cast.browser("owner")
    await owner.post(f"/studies/{cast.study}/questions/{asked[2].id}/remove")
    await took_part(cast)
    empty = {f"q-{question.id}": "" for question in asked[:2]}
    answer = await (await cast.browser("participant")).post(path_of(cast), data=empty)
    assert answer.status_code == 422 and "not answered anything" in answer.text
    assert await responses(cast) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "x" * 10_000}, "at most 5,000"),
        ({"text": "a\u202eb"}, "direction marks"),
        ({"text": "a\0b"}, "Control characters"),
        ({"choice": ("3",)}, "choose from the list"),
        ({"choice": ("Mouse",)}, "choose from the list"),
        ({"choice": ("-1",)}, "choose from the list"),
        ({"scale": "0"}, "number from 1 to 5"),
        ({"scale": "6"}, "number from 1 to 5"),
        ({"scale": "3.0"}, "number from 1 to 5"),
        ({"scale": "٣"}, "number from 1 to 5"),
        ({"scale": ""}, "answer this one"),
        ({"scale": None}, "answer this one"),
    ],
)
async def test_what_is_no_answer_is_said_by_the_question_and_nothing_is_stored(
    cast: Cast, change: dict[str, Any], message: str
) -> None:
    asked = await ask_three(cast)
    await took_part(cast)
    values = {"text": "Kept <b>me</b> {{ 7*7 }}"} | change
    answer = await (await cast.browser("participant")).post(path_of(cast), data=filled(asked, **values))
    assert answer.status_code == 422
    assert message in answer.text
    if "text" not in change:
        assert "Kept &lt;b&gt;me&lt;/b&gt; {{ 7*7 }}" in answer.text
    assert await responses(cast) == []


async def test_one_of_a_choice_takes_one(cast: Cast) -> None:
    asked = await ask_three(cast)
    owner = await cast.browser("owner")
    form = {"prompt": "Which?", "options": "Mouse\nTouch\nVoice", "several": "one"}
    await owner.post(f"/studies/{cast.study}/questions/{asked[1].id}/edit", data=form)
    asked = await questions(cast)
    await took_part(cast)
    browser = await cast.browser("participant")
    assert (await browser.post(path_of(cast), data=filled(asked, choice=("0", "1")))).status_code == 422
    assert (await browser.post(path_of(cast), data=filled(asked, choice="1"))).status_code == 303


async def test_fields_that_are_no_question_of_this_study_are_refused(cast: Cast) -> None:
    asked = await ask_three(cast)
    await took_part(cast)
    browser = await cast.browser("participant")
    for name, status in ((f"q-{uuid4()}", 409), ("q-", 409), ("q-'; DROP TABLE answer", 409), ("phone", 422)):
        answer = await browser.post(path_of(cast), data=filled(asked) | {name: "x"})
        assert answer.status_code == status, name
    assert await responses(cast) == []


async def test_line_ends_html_and_template_syntax_arrive_as_they_were_written(cast: Cast) -> None:
    words = "<script>alert(1)</script>\r\n{{ settings }}\r\n=1+1"
    await answered(cast, text=words)
    page = (await (await cast.browser("owner")).get(f"/sessions/{cast.session}/answers")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\n{{ settings }}\n=1+1" in page
    assert "<script>alert" not in page


async def test_a_study_without_questions_has_nothing_to_answer(cast: Cast) -> None:
    await took_part(cast)
    page = await (await cast.browser("participant")).get(path_of(cast))
    assert page.status_code == 200 and "nothing to answer" in page.text


async def test_the_way_to_the_questions_stands_on_the_room_and_on_my_data(cast: Cast) -> None:
    await ask_three(cast)
    await took_part(cast)
    link = f'href="{path_of(cast)}"'
    room = (await (await cast.browser("participant")).get(f"/rooms/{cast.session}")).text
    data = (await (await proven(cast)).get("/my-data")).text
    for page in (room, data):
        assert link in page and "Answer 3 questions" in page
    await answered(cast)
    room = (await (await cast.browser("participant")).get(f"/rooms/{cast.session}")).text
    assert link not in room


# --- reading -------------------------------------------------------------------------------------------------------


async def test_owner_and_researcher_read_answers_and_nobody_else(cast: Cast) -> None:
    await answered(cast)
    expected = {"owner": 200, "researcher": 200, "observer": 403, "other_owner": 404}
    for who in EVERYONE:
        browser = await cast.browser(who)
        for path in (f"/sessions/{cast.session}/answers", f"/sessions/{cast.session}/answers.csv"):
            answer = await browser.get(path)
            assert answer.status_code == expected.get(who, 401), (who, path)
            assert (SAID in answer.text) is (answer.status_code == 200)


async def test_reading_and_downloading_are_in_the_log(cast: Cast) -> None:
    await answered(cast)
    browser = await cast.browser("researcher")
    for path in ("answers", "answers", "answers.csv", "answers.csv"):
        await browser.get(f"/sessions/{cast.session}/{path}")
    async with cast.wiring.database.transaction(cast.account) as db:
        found = await db.execute(
            select(AuditEvent.action, AuditEvent.actor, func.count())
            .where(AuditEvent.action.like("sessions:answers:%"))
            .group_by(AuditEvent.action, AuditEvent.actor)
            .order_by(AuditEvent.action)
        )
        events = await db.scalars(select(AuditEvent))
        assert not any(SAID in str(event.facts) for event in events)
        assert found.all() == [
            ("sessions:answers:downloaded", f"member:{cast.researcher}", 2),
            ("sessions:answers:given", f"participant:{cast.participant.participant}", 1),
            ("sessions:answers:read", f"member:{cast.researcher}", 1),
        ]


async def test_the_table_has_a_row_for_each_person_and_runs_nothing(cast: Cast) -> None:
    await answered(cast, text='=HYPERLINK("http://x.example","A, B")\r\nsecond line')
    answer = await (await cast.browser("owner")).get(f"/sessions/{cast.session}/answers.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert "no-store" in answer.headers["cache-control"]
    head, row = csv.reader(StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert head == ["Name", "Answered (UTC)", "What annoyed you?", "Which did you use?", "How easy was it?"]
    assert row[0] == "Anna" and row[3:] == ["Mouse\nVoice", "4"]
    assert row[2] == '\'=HYPERLINK("http://x.example","A, B")\nsecond line'


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "＋", "－", "＠"])
def test_a_cell_never_begins_like_a_formula(begins: str) -> None:
    assert safe_cell(f"{begins}1+1") == f"'{begins}1+1"
    assert safe_cell("1+1") == "1+1"


async def test_nobody_answered_yet_tells_what_happens_next(cast: Cast) -> None:
    browser = await cast.browser("owner")
    path = f"/sessions/{cast.session}/answers"
    assert "asks no questions" in (await browser.get(path)).text
    await ask_three(cast)
    assert "Nobody has answered yet" in (await browser.get(path)).text
    assert path not in (await browser.get(f"/sessions/{cast.session}")).text
    await took_part(cast)
    assert path in (await browser.get(f"/sessions/{cast.session}")).text


# --- going ---------------------------------------------------------------------------------------------------------


async def test_by_the_date_answers_are_unread_at_once_and_the_sweep_erases_them(cast: Cast) -> None:
    await answered(cast)
    await age(cast, 180 * DAY - timedelta(minutes=5))
    owner = await cast.browser("owner")
    now = datetime.now(UTC)
    await sweep(cast.wiring, now)
    assert await run_all(cast) == []
    assert SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text
    await age(cast, timedelta(minutes=10))
    for path in ("answers", "answers.csv"):
        assert SAID not in (await owner.get(f"/sessions/{cast.session}/{path}")).text
    participant = await cast.browser("participant")
    assert (await participant.post(path_of(cast), data=filled(await questions(cast)))).status_code == 409
    assert await sweep(cast.wiring, now) == 1
    assert await sweep(cast.wiring, now) == 0, "asked already"
    [paper] = await run_all(cast)
    assert paper.state == "complete"
    assert paper.document["reason"] == "retention"
    assert paper.document["erased"]["rows"]["answers"] == 3
    assert paper.document["erased"]["keys"] == 1
    assert await closed(cast)


async def test_recordings_and_answers_of_one_date_go_in_one_erasure(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(created_at=Recording.created_at - 181 * DAY))
    await age(cast, 181 * DAY)
    await sweep(cast.wiring, datetime.now(UTC))
    [paper] = await run_all(cast)
    assert paper.document["erased"]["rows"]["recordings"] == 1
    assert paper.document["erased"]["rows"]["answers"] == 3
    [response] = await responses(cast)
    assert paper.document["scope"]["responses"] == [str(response.id)]
    assert await closed(cast)


async def test_a_study_that_keeps_until_asked_keeps_answers(cast: Cast) -> None:
    owner = await cast.browser("owner")
    await owner.post(
        f"/studies/{cast.study}/edit",
        data={
            "title": "Checkout",
            "contact_name": "Olga",
            "contact_email": "olga@lab.example",
            "consent_text": "Text",
            "kinds": ["video"],
            "language": "en",
            "retention": "asked",
        },
    )
    await answered(cast)
    await age(cast, 4000 * DAY)
    assert await sweep(cast.wiring, datetime.now(UTC)) == 0
    assert SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text


async def test_a_hold_on_a_recording_keeps_that_persons_answers_and_nobody_elses(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    await answered(cast, "other_participant", text="Nothing at all")
    await hold(cast)
    await age(cast, 181 * DAY)
    await sweep(cast.wiring, datetime.now(UTC))
    [paper] = await run_all(cast)
    assert paper.document["scope"]["person"] == str(cast.other_participant.participant)
    assert len(await answers(cast, cast.participant.participant)) == 3
    assert await answers(cast, cast.other_participant.participant) == []


async def test_a_participant_erases_just_the_answers(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    asked = await answered(cast)
    browser = await proven(cast)
    path = f"/my-data/{cast.session}/answers/erase"
    page = await browser.get("/my-data")
    assert SAID in page.text and path in page.text
    assert "Recordings stay as they are" in (await browser.get(path)).text
    receipt = await browser.post(path)
    assert receipt.status_code == 303 and receipt.headers["location"].startswith("/receipt/")
    assert SAID not in (await (await cast.browser("owner")).get(f"/sessions/{cast.session}/answers")).text
    assert "Being erased" in (await browser.get("/my-data")).text
    again = await browser.post(path)
    assert again.headers["location"] == receipt.headers["location"], "asking twice is asking once"
    [paper] = await run_all(cast)
    assert paper.state == "complete" and paper.document["erased"]["objects"] == 0
    assert await closed(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(Recording.erased_at)) is None
    told = (await browser.get("/my-data")).text
    assert "Erased on" in told and SAID not in told
    assert "answers after one session" in (await (await cast.browser("stranger")).get(receipt.headers["location"])).text
    assert (await browser.get(path)).status_code == 404
    assert (await browser.post(path_of(cast), data=filled(asked))).status_code == 409, "not asked again"
    assert await answers(cast) == []


async def test_only_the_proven_participant_erases_answers(cast: Cast) -> None:
    await answered(cast)
    await took_part(cast, "other_participant")
    path = f"/my-data/{cast.session}/answers/erase"
    for who in EVERYONE:
        browser = await cast.browser(who)
        assert (await browser.get(path)).status_code == 401, who
        assert (await browser.post(path)).status_code == 401, who
    other = await proven(cast, "other_participant")
    assert (await other.post(path)).status_code == 404
    assert len(await answers(cast)) == 3


async def test_erasing_the_person_erases_their_answers_and_nobody_elses(cast: Cast) -> None:
    await answered(cast)
    await answered(cast, "other_participant", text="Nothing at all")
    browser = await proven(cast)
    assert (await browser.post("/my-data/erase")).status_code == 303
    owner = await cast.browser("owner")
    assert SAID not in (await owner.get(f"/sessions/{cast.session}/answers")).text
    [paper] = await run_all(cast)
    assert paper.document["erased"]["rows"]["answers"] == 3
    assert paper.document["erased"]["keys"] == 2, "the person's and the response's"
    assert await answers(cast, cast.participant.participant) == []
    assert "Nothing at all" in (await owner.get(f"/sessions/{cast.other_session}/answers")).text
    assert (await browser.post(path_of(cast), data={})).status_code == 401


async def test_erasing_the_session_erases_what_was_answered_after_it(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    asked = await answered(cast)
    owner = await cast.browser("owner")
    page = await owner.get(f"/sessions/{cast.session}/erase")
    assert "What 1 participant answered after it is destroyed too" in page.text
    assert len(await answers(cast)) == 3, "asking is not erasing"
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 303
    [paper] = await run_all(cast)
    assert paper.document["erased"]["rows"]["answers"] == 3
    assert await closed(cast)
    assert (await (await cast.browser("participant")).post(path_of(cast), data=filled(asked))).status_code == 409


async def test_a_session_with_nothing_but_answers_can_be_erased(cast: Cast) -> None:
    await answered(cast)
    owner = await cast.browser("owner")
    assert "Erase the answers" in (await owner.get(f"/sessions/{cast.session}/erase")).text
    assert (await owner.post(f"/sessions/{cast.session}/erase")).headers["location"] == "/erasures"
    await run_all(cast)
    assert await closed(cast)


async def test_after_a_session_was_erased_nothing_new_is_answered(cast: Cast, tmp_path: Path) -> None:
    """Although this participant had answered nothing yet."""
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    asked = await ask_three(cast)
    await took_part(cast)
    await (await cast.browser("owner")).post(f"/sessions/{cast.session}/erase")
    answer = await (await cast.browser("participant")).post(path_of(cast), data=filled(asked))
    assert answer.status_code == 409 and "has been erased" in answer.text
    assert await responses(cast) == []


async def test_what_a_hold_keeps_waits_and_goes_when_it_ends(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    await hold(cast)
    browser = await proven(cast)
    await browser.post(f"/my-data/{cast.session}/answers/erase")
    [paper] = await run_all(cast)
    assert paper.state == "partial" and "A hold keeps response" in paper.document["not_verified"][0]
    assert len(await answers(cast)) == 3
    seen = (await (await cast.browser("researcher")).get(f"/sessions/{cast.session}/answers")).text
    assert "being erased" in seen and SAID not in seen, "kept by the hold, and shown to nobody"
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_reason=None))
    assert (await run_all(cast))[-1].state == "complete"
    assert await closed(cast)


async def test_taking_back_a_kind_takes_no_answers_along(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = Erasure(
            account_id=cast.account,
            reason="withdrawal",
            person_id=cast.participant.participant,
            recording_ids=list(await db.scalars(select(Recording.id))),
            track_kinds=["voice"],
            asked_by="test",
            instruction="test",
            receipt="E-1",
        )
        db.add(erasure)
    await run_all(cast)
    assert len(await answers(cast)) == 3


async def test_restricted_answers_are_kept_and_neither_read_nor_erased_by_date_or_owner(cast: Cast) -> None:
    """GDPR Art. 18(2); nothing needs to have been recorded for it. The participant can still erase them."""
    await answered(cast)
    browser = await proven(cast)
    await browser.post("/my-data/restrict")
    owner = await cast.browser("owner")
    for path in ("answers", "answers.csv"):
        assert SAID not in (await owner.get(f"/sessions/{cast.session}/{path}")).text
    assert SAID in (await browser.get("/my-data")).text
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 409
    await age(cast, 400 * DAY)
    assert await sweep(cast.wiring, datetime.now(UTC)) == 0
    assert len(await answers(cast)) == 3
    assert (await browser.post(f"/my-data/{cast.session}/answers/erase")).status_code == 303
    await run_all(cast)
    assert await closed(cast)
