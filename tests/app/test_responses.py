"""What participants answer after a session: who may when, what fits, who reads it, and how it goes."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from app.audit import AuditEvent
from app.invitations.models import Invitation
from app.room.models import Presence
from app.sessions.answering import (
    AnsweringFacts,
    ResponseFacts,
    answers_due,
    answers_readable,
    answers_until,
    may_answer,
)
from app.sessions.models import SessionState
from app.sessions.responses import response_key_path
from app.spreadsheets import safe_cell
from tests.fixtures.answering import (
    SAID,
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
        for path in (f"/sessions/{cast.session}/answers", f"/sessions/{cast.session}/answers.csv?purpose=analysis"):
            answer = await browser.get(path)
            assert answer.status_code == expected.get(who, 401), (who, path)
            assert (SAID in answer.text) is (answer.status_code == 200)


async def test_reading_and_downloading_are_in_the_log(cast: Cast) -> None:
    await answered(cast)
    browser = await cast.browser("researcher")
    for path in ("answers", "answers", "answers.csv?purpose=analysis", "answers.csv?purpose=analysis"):
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
    answer = await (await cast.browser("owner")).get(f"/sessions/{cast.session}/answers.csv?purpose=analysis")
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
