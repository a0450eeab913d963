"""Questions of a study by their pages: who may change them, what each kind needs, and that what was answered keeps
its wording."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.audit import AuditEvent
from app.forms import Form
from app.participants.service import study_facts
from app.studies.models import Question, QuestionKind, Study
from app.studies.question_forms import read_question
from app.studies.questions import MOST_QUESTIONS, add_question
from app.studies.service import create_study
from tests.fixtures.answering import SAID, TEXT, answered, ask_three, questions
from tests.fixtures.web import EVERYONE, Cast

FIELDS: dict[str, dict[str, Any]] = {
    "text": {"kind": "text", "prompt": "What annoyed you?"},
    "choice": {"kind": "choice", "prompt": "Which?", "options": "Mouse\r\n\r\n Touch \r\nVoice", "several": "one"},
    "scale": {"kind": "scale", "prompt": "How easy?", "lowest": "1", "highest": "5", "highest_label": "Easy"},
}


async def prompts(cast: Cast) -> list[str]:
    return [question.prompt for question in await questions(cast)]


async def rows(cast: Cast) -> list[Question]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Question).order_by(Question.created_at, Question.version)))


async def test_owner_and_researcher_ask_reword_move_and_remove_and_nobody_else(cast: Cast) -> None:
    seen = {}
    base = f"/studies/{cast.study}/questions"
    for who in EVERYONE:
        browser = await cast.browser(who)
        [first, *_] = await ask_three(cast)
        seen[who] = [
            (await browser.get(f"{base}/new?kind=scale")).status_code,
            (await browser.post(base, data=FIELDS["text"])).status_code,
            (await browser.get(f"{base}/{first.id}/edit")).status_code,
            (await browser.post(f"{base}/{first.id}/move", data={"direction": "down"})).status_code,
            (await browser.post(f"{base}/{first.id}/edit", data=FIELDS["text"] | {"prompt": "New?"})).status_code,
            (await browser.post(f"{base}/{(await questions(cast))[-1].id}/remove")).status_code,
        ]
    may = [200, 303, 200, 303, 303, 303]
    assert seen == {
        "owner": may,
        "researcher": may,
        "observer": [403] * 6,
        "other_owner": [404] * 6,
        "participant": [401] * 6,
        "other_participant": [401] * 6,
        "stranger": [401] * 6,
    }


async def test_each_kind_is_written_as_typed(cast: Cast) -> None:
    browser = await cast.browser("researcher")
    for fields in FIELDS.values():
        made = await browser.post(f"/studies/{cast.study}/questions", data=fields | {"required": "on"})
        assert (made.status_code, made.headers["location"]) == (303, f"/studies/{cast.study}#questions")
    text, choice, scale = await questions(cast)
    assert (text.kind, text.prompt, text.required, text.version) == ("text", "What annoyed you?", True, 1)
    assert (choice.options, choice.several) == (["Mouse", "Touch", "Voice"], False)
    assert (scale.lowest, scale.highest, scale.lowest_label, scale.highest_label) == (1, 5, "", "Easy")
    page = (await browser.get(f"/studies/{cast.study}")).text
    assert "Mouse · Touch · Voice" in page and "A number from 1 to 5" in page


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("text", {"prompt": ""}, "Please fill this in"),
        ("text", {"prompt": "x" * 10_000}, "at most 500"),
        ("text", {"prompt": "One\r\nTwo"}, "Line breaks"),
        ("text", {"prompt": "\u202eyna"}, "direction marks"),
        ("choice", {"options": ""}, "Please fill this in"),
        ("choice", {"options": "Only one"}, "2 to 12 options"),
        ("choice", {"options": "\n".join(map(str, range(13)))}, "2 to 12 options"),
        ("choice", {"options": "Yes\nyes"}, "stands here twice"),
        ("choice", {"options": "Yes\n" + "n" * 201}, "at most 200"),
        ("choice", {"options": "Yes\nN\u200fo"}, "direction marks"),
        ("choice", {"options": "Yes\nN\to"}, "Tabs"),
        ("choice", {"several": "many"}, "choose one"),
        ("scale", {"lowest": "-1"}, "from 0 to 1"),
        ("scale", {"lowest": "2"}, "from 0 to 1"),
        ("scale", {"highest": "1"}, "from 2 to 10"),
        ("scale", {"highest": "11"}, "from 2 to 10"),
        ("scale", {"highest": "５"}, "from 2 to 10"),
        ("scale", {"lowest_label": "x" * 61}, "at most 60"),
    ],
)
async def test_what_does_not_fit_is_said_by_the_field_and_nothing_typed_is_lost(
    cast: Cast, kind: str, change: dict[str, str], message: str
) -> None:
    browser = await cast.browser("owner")
    kept = {"prompt": "Kept <b>me</b> {{ 7*7 }}"} if "prompt" not in change else {"options": "Kept <b>me</b> {{ 7*7 }}"}
    answer = await browser.post(f"/studies/{cast.study}/questions", data=FIELDS[kind] | kept | change)
    assert answer.status_code == 422
    assert message in answer.text
    if "prompt" in kept:
        assert "Kept &lt;b&gt;me&lt;/b&gt; {{ 7*7 }}" in answer.text
    assert await rows(cast) == []


async def test_a_kind_that_does_not_exist_is_refused(cast: Cast) -> None:
    browser = await cast.browser("owner")
    for kind in ("", "file", "text\r\n"):
        assert (await browser.get(f"/studies/{cast.study}/questions/new", params={"kind": kind})).status_code == 422
        answer = await browser.post(f"/studies/{cast.study}/questions", data=FIELDS["text"] | {"kind": kind})
        assert answer.status_code == 422


async def test_questions_move_one_place_and_stay_at_the_ends(cast: Cast) -> None:
    first, second, third = await ask_three(cast)
    browser = await cast.browser("owner")

    async def move(question: Question, direction: str) -> list[str]:
        path = f"/studies/{cast.study}/questions/{question.id}/move"
        assert (await browser.post(path, data={"direction": direction})).status_code == 303
        return await prompts(cast)

    a, b, c = first.prompt, second.prompt, third.prompt
    assert await move(first, "up") == [a, b, c]
    assert await move(first, "down") == [b, a, c]
    assert await move(third, "down") == [b, a, c]
    assert await move(third, "up") == [b, c, a]
    sideways = await browser.post(f"/studies/{cast.study}/questions/{first.id}/move", data={"direction": "left"})
    assert sideways.status_code == 422


async def test_a_question_of_another_study_is_not_reached_through_this_one(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        other = await create_study(
            db,
            cast.wiring.columns,
            account=cast.account,
            title="Other",
            contact_name="O",
            contact_email="o@lab.example",
            consent_text="Text",
            kinds=[],
        )
        theirs = await add_question(db, study=other, asked=TEXT, by="system")
    browser = await cast.browser("owner")
    for question in (theirs.id, uuid4()):
        base = f"/studies/{cast.study}/questions/{question}"
        assert (await browser.get(f"{base}/edit")).status_code == 404
        for path in (f"{base}/edit", f"{base}/remove"):
            assert (await browser.post(path, data=FIELDS["text"])).status_code == 404
        assert (await browser.post(f"{base}/move", data={"direction": "up"})).status_code == 404
    assert [question.prompt for question in await questions(cast, other)] == [TEXT.prompt]


async def test_rewording_what_nobody_answered_leaves_one_row_in_its_place(cast: Cast) -> None:
    first, *_ = await ask_three(cast)
    browser = await cast.browser("owner")
    form = FIELDS["text"] | {"prompt": "What pleased you?"}
    await browser.post(f"/studies/{cast.study}/questions/{first.id}/edit", data=form)
    assert (await prompts(cast))[0] == "What pleased you?"
    assert len(await rows(cast)) == 3
    [new, *_] = await questions(cast)
    assert (new.version, new.origin_id) == (2, first.origin_id)
    assert new.id != first.id, "whoever has the old wording on their screen does not answer the new one"
    await browser.post(f"/studies/{cast.study}/questions/{new.id}/edit", data=form)
    assert (await questions(cast))[0].id == new.id, "nothing differs, so nothing changes"


async def test_what_was_answered_keeps_its_wording_when_it_is_reworded_or_removed(cast: Cast) -> None:
    first, second, _ = await answered(cast)
    browser = await cast.browser("owner")
    page = await browser.get(f"/studies/{cast.study}/questions/{first.id}/edit")
    assert "Somebody has answered this already" in page.text
    await browser.post(f"/studies/{cast.study}/questions/{first.id}/edit", data=FIELDS["text"] | {"prompt": "New?"})
    await browser.post(f"/studies/{cast.study}/questions/{second.id}/remove")
    assert await prompts(cast) == ["New?", "How easy was it?"]
    old = {row.prompt: row.archived_at is not None for row in await rows(cast)}
    assert old == {"What annoyed you?": True, "Which did you use?": True, "New?": False, "How easy was it?": False}
    shown = (await browser.get(f"/sessions/{cast.session}/answers")).text
    for words in ("What annoyed you?", SAID, "Which did you use?", "Mouse, Voice"):
        assert words in shown
    assert "New?" not in shown
    for path in ("edit", "remove"):
        gone = await browser.post(f"/studies/{cast.study}/questions/{first.id}/{path}", data=FIELDS["text"])
        assert gone.status_code == 404, "an archived wording is changed by nobody"


async def test_a_study_asks_at_most_forty(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        for _ in range(MOST_QUESTIONS):
            await add_question(db, study=cast.study, asked=TEXT, by="system")
    answer = await (await cast.browser("owner")).post(f"/studies/{cast.study}/questions", data=FIELDS["text"])
    assert answer.status_code == 409
    assert len(await questions(cast)) == MOST_QUESTIONS


async def test_an_observer_reads_the_questions_and_changes_none(cast: Cast) -> None:
    await ask_three(cast)
    page = (await (await cast.browser("observer")).get(f"/studies/{cast.study}")).text
    assert "What annoyed you?" in page
    assert f"/studies/{cast.study}/questions" not in page


async def test_each_change_is_in_the_log_and_names_no_words(cast: Cast) -> None:
    browser = await cast.browser("researcher")
    await browser.post(f"/studies/{cast.study}/questions", data=FIELDS["text"])
    [question] = await questions(cast)
    base = f"/studies/{cast.study}/questions/{question.id}"
    await browser.post(f"{base}/edit", data=FIELDS["text"] | {"prompt": "New?"})
    [question] = await questions(cast)
    await browser.post(f"/studies/{cast.study}/questions/{question.id}/remove")
    async with cast.wiring.database.transaction(cast.account) as db:
        events = await db.scalars(
            select(AuditEvent).where(AuditEvent.action == "studies:questions:changed").order_by(AuditEvent.number)
        )
        found = [(event.actor, event.facts["what"], event.facts["version"]) for event in events]
    who = f"member:{cast.researcher}"
    assert found == [(who, "added", 1), (who, "reworded", 2), (who, "removed", 2)]


async def test_the_notice_says_that_answers_are_stored_where_a_study_asks(cast: Cast) -> None:
    async def told() -> bool:
        async with cast.wiring.database.transaction(cast.account) as db:
            study = await db.get_one(Study, cast.study)
            facts = await study_facts(db, cast.wiring.columns, account=cast.account, study=study)
            return facts.has_questions

    assert not await told()
    await ask_three(cast)
    assert await told()


def test_a_scale_may_begin_at_zero_and_labels_may_be_left_out() -> None:
    form = Form(values={"prompt": "How?", "lowest": "0", "highest": "10"})
    read = read_question(form, QuestionKind.SCALE)
    assert read is not None
    assert (read.lowest, read.highest, read.lowest_label, read.required) == (0, 10, "", False)
