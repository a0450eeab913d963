"""A2-07 and T0-23: of answers past their date the counts of choices may stay, of nobody; names and words go."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from app.privacy.keeping.retention import sweep
from app.privacy.records.models import DataRequest, Erasure, RequestKind, RequestState
from app.studies.clocks import Ending
from app.studies.models import Tally
from app.studies.tallies import FEWEST, add_answer, shown
from tests.app.test_responses_going import run_all
from tests.fixtures.answering import CHOICE, SAID, SCALE, TEXT, age, answered, ask_three, questions, responses
from tests.fixtures.answering import proven as proven_browser
from tests.fixtures.web import EVERYONE, Cast
from tests.promises.study_keeps import DAY, NOW, keeps


async def tallies(cast: Cast) -> list[Tally]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Tally)))


async def past_its_date(cast: Cast, ending: str = Ending.ANONYMISE) -> None:
    await keeps(cast, 180, ending=ending)
    await answered(cast)
    await age(cast, 181 * DAY)


async def test_t0_23_by_the_date_choices_are_counted_once_and_the_answers_go(cast: Cast):
    await past_its_date(cast)
    assert await sweep(cast.wiring, NOW) == 1
    for _ in range(3):  # asked, tried and swept again
        await sweep(cast.wiring, NOW)
        [paper] = await run_all(cast)
    _words, choice, scale = await questions(cast)
    counted = {one.question_id: (one.answers, one.counts) for one in await tallies(cast)}
    assert counted == {choice.id: (1, {"Mouse": 1, "Voice": 1}), scale.id: (1, {"4": 1})}
    assert (
        paper.state == "complete"
        and "anonymise: of answers the counts of choices stay" in paper.document["instruction"]
    )
    [response] = await responses(cast)
    assert response.erased_at is not None


async def test_a2_07_what_stays_leads_to_nobody(cast: Cast):
    """Every byte of it: no name, no address, no words, no session, no moment."""
    await past_its_date(cast)
    await sweep(cast.wiring, NOW)
    await run_all(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        rows = " ".join(await db.scalars(text("SELECT row_to_json(tally)::text FROM tally")))
        kept = await db.scalars(
            text("SELECT column_name::text FROM information_schema.columns WHERE table_name = 'tally'")
        )
        assert set(kept) == {"id", "account_id", "question_id", "answers", "counts"}
    [response] = await responses(cast)
    for secret in (SAID, "Anna", "anna@", cast.participant.participant, cast.session, response.id):
        assert str(secret) not in rows
    assert not re.search(r"\d{4}-\d\d-\d\d\b", rows), "no moment; ids have no group of two digits"
    owner = await cast.browser("owner")
    page = (await owner.get(f"/studies/{cast.study}")).text
    assert SAID not in page and "Fewer than five answers so far" in page


@pytest.mark.parametrize("how", ["answers", "person", "owner", "objection", "hidden"])
async def test_t0_23_what_somebody_asked_to_be_erased_is_never_counted(cast: Cast, how: str):
    await keeps(cast, 180, ending=Ending.ANONYMISE)
    await answered(cast)
    if how in ("answers", "person"):
        path = f"/my-data/{cast.session}/answers/erase" if how == "answers" else "/my-data/erase"
        assert (await (await proven_browser(cast)).post(path)).status_code == 303
    if how == "owner":
        await (await cast.browser("owner")).post(f"/sessions/{cast.session}/erase")
    async with cast.wiring.database.transaction(cast.account) as db:
        if how == "objection":
            objected = {"kind": RequestKind.OBJECTION, "state": RequestState.DONE, "receipt": "E-1", "asked_at": NOW}
            person = {"participant_id": cast.participant.participant, "due_on": NOW.date()}
            db.add(DataRequest(id=uuid4(), account_id=cast.account, **person, **objected))
        if how == "hidden":  # asked, and given up by whoever carried it out
            await db.execute(text("UPDATE response SET hidden_at = now()"))
    await age(cast, 181 * DAY)
    await sweep(cast.wiring, NOW)
    await run_all(cast)
    assert await tallies(cast) == []


async def test_t0_23_under_erase_nothing_stays_and_going_back_takes_the_counts(cast: Cast):
    await past_its_date(cast, Ending.ERASE)
    await sweep(cast.wiring, NOW)
    await run_all(cast)
    assert await tallies(cast) == []
    [erasure] = await _erasures(cast)
    assert "anonymise" not in erasure.instruction
    await keeps(cast, 180, ending=Ending.ANONYMISE)
    _, choice, _ = await questions(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await add_answer(db, account=cast.account, question=choice, chosen=["Touch"])
    assert len(await tallies(cast)) == 1
    await keeps(cast, 180, ending=Ending.ERASE)
    assert await tallies(cast) == []


async def _erasures(cast: Cast) -> list[Erasure]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Erasure)))


async def test_t0_23_small_numbers_are_not_told_and_no_total_gives_them_away(cast: Cast):
    _, choice, scale = await ask_three(cast)
    assert shown(choice, FEWEST - 1, {"Mouse": 4}).lines == ()
    assert shown(choice, 9, {"Mouse": 5, "Voice": 4}).lines == (("Mouse", 5), ("Touch", None), ("Voice", None))
    await keeps(cast, 180, ending=Ending.ANONYMISE)
    owner = await cast.browser("owner")
    assert "Nothing yet" in (await owner.get(f"/studies/{cast.study}")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(8):
            await add_answer(db, account=cast.account, question=choice, chosen=["Mouse"] if number < 7 else ["Voice"])
        for _ in range(4):
            await add_answer(db, account=cast.account, question=scale, chosen=["3"])
    page = (await owner.get(f"/studies/{cast.study}")).text
    assert "<dt>Mouse</dt><dd>7</dd>" in page and page.count("fewer than five") == 2 and ">8<" not in page
    assert page.count("Fewer than five answers so far") == 1
    file = (await owner.get(f"/studies/{cast.study}/tallies.csv")).content.decode("utf-8-sig")
    assert [line.split(",")[1:] for line in file.splitlines()] == [
        ["Choice", "How often"],
        ["Mouse", "7"],
        ["Touch", "fewer than 5"],
        ["Voice", "fewer than 5"],
        ["", "fewer than 5 answers"],
    ]


async def test_t0_23_words_of_ones_own_are_no_choice(cast: Cast):
    words, choice, scale = await ask_three(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        for question in (words, choice, scale):
            await add_answer(db, account=cast.account, question=question, chosen=[SAID])
    assert await tallies(cast) == [] and (TEXT.kind, CHOICE.kind, SCALE.kind) == (words.kind, choice.kind, scale.kind)


async def test_t0_23_the_counts_are_of_the_account_alone(cast: Cast):
    await past_its_date(cast)
    await sweep(cast.wiring, NOW)
    for who in EVERYONE:
        answer = await (await cast.browser(who)).get(f"/studies/{cast.study}")
        assert ("What is left of answers" in answer.text) is (who in ("owner", "researcher", "observer")), who
        file = await (await cast.browser(who)).get(f"/studies/{cast.study}/tallies.csv", headers={"accept": "*/*"})
        assert (file.status_code, "Which did you use?" in file.text) == (answer.status_code, answer.is_success), who
    async with cast.wiring.database.transaction(cast.other_account) as db:
        assert await db.scalar(select(func.count(Tally.id))) == 0
