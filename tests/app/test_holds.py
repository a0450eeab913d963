"""A hold stops erasure, visibly, until its review date; lifted, what waited for it goes on through the real job."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from app.audit import Action, AuditEvent
from app.database import now_in
from app.invitations.models import Invitation
from app.jobs import TASKS
from app.participants.models import Participant
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Erasure, ErasureState
from app.sessions.models import Recording, RecordingState, Session, SessionState
from app.studies.models import Study
from recordings.encryption.keystore import KeyDestroyed, KeyPath
from recordings.model import RecordingId
from tests.fixtures.erasing import SpyNodes, anna, ask, newest, run
from tests.fixtures.web import EVERYONE, Cast
from workers.__main__ import build

__all__ = ["anna"]  # a fixture used here

WORDS = "Anwältin Müller asked us to keep it: file 12/27."


async def form(cast: Cast, **changes: str) -> dict[str, str]:
    async with cast.wiring.database.transaction(cast.account) as db:
        soon = await now_in(db) + timedelta(days=30)
    return {"reason": "legal claim", "words": WORDS, "review": f"{soon:%Y-%m-%d}"} | changes


async def end_session(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        ended = {"state": SessionState.ENDED, "ended_at": await now_in(db)}
        await db.execute(update(Session).where(Session.id == cast.session).values(**ended))


async def recording(cast: Cast, one: RecordingId) -> Recording:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.get_one(Recording, one)


async def hold(cast: Cast, one: RecordingId, **changes: str) -> None:
    owner = await cast.browser("owner")
    answer = await owner.post(f"/recordings/{one}/hold", data=await form(cast, **changes))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sessions/{cast.session}")


async def work(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the real job engine does with the erasures that wait; only the media process is a double."""
    monkeypatch.setattr("workers.__main__.NodeClient", lambda settings: SpyNodes())
    async with build(cast.wiring).open_async() as engine:
        await engine.run_worker_async(queues=[TASKS["erase"].queue.value], wait=False, install_signal_handlers=False)


async def test_a_hold_is_seen_where_the_recording_is_seen(cast: Cast, anna: list[RecordingId]) -> None:
    await hold(cast, anna[0])
    row = await recording(cast, anna[0])
    assert row.held_reason == "legal claim" and row.held_by == cast.owner and row.held_until is not None
    assert WORDS.encode() not in (row.held_words or b""), "sealed"
    owner = await cast.browser("owner")
    holds = (await owner.get("/holds")).text
    assert WORDS in holds and "Legal claim" in holds and "Olga" in holds
    assert "legal claim" in (await owner.get(f"/sessions/{cast.session}")).text
    assert "1 recording held" in (await owner.get("/retention")).text
    researcher = await (await cast.browser("researcher")).get(f"/sessions/{cast.session}")
    assert "legal claim" in researcher.text and WORDS not in researcher.text
    async with cast.wiring.database.transaction(cast.account) as db:
        said = select(AuditEvent).where(AuditEvent.action == Action.RECORDING_HELD)
        (event,) = (await db.scalars(said)).all()
    assert event.actor == f"member:{cast.owner}" and event.facts["reason"] == "legal claim"


async def test_a_whole_session_is_held_and_released_once_it_is_over(cast: Cast, anna: list[RecordingId]) -> None:
    owner = await cast.browser("owner")
    path = f"/sessions/{cast.session}/hold"
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).values(state=SessionState.LIVE))
    assert (await owner.post(path, data=await form(cast))).status_code == 409
    await end_session(cast)
    assert (await owner.post(path, data=await form(cast))).status_code == 303
    assert [bool((await recording(cast, one)).held_reason) for one in anna] == [True, True]
    assert "2 recordings held" in (await owner.get("/retention")).text
    assert (await owner.post(f"/sessions/{cast.session}/release")).status_code == 303
    assert [(await recording(cast, one)).held_words for one in anna] == [None, None]
    async with cast.wiring.database.transaction(cast.account) as db:
        lifted = select(AuditEvent).where(AuditEvent.action == Action.RECORDING_RELEASED)
        assert len((await db.scalars(lifted)).all()) == 2
    assert (await owner.post(f"/sessions/{cast.other_session}/hold", data=await form(cast))).status_code == 409


async def test_a_person_asked_to_be_erased_under_a_hold_leaves_at_once_and_is_erased_when_it_is_lifted(
    cast: Cast, anna: list[RecordingId], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Link, login and capture end with the request; only what is held stays, unseen, until the hold ends."""
    person = cast.participant.participant
    await hold(cast, anna[0])
    erasure = await ask(cast, person)
    assert (await run(cast, erasure, SpyNodes())).state is ErasureState.HELD
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(Invitation.revoked_at).where(Invitation.participant_id == person))).one()
        assert (await db.get_one(Participant, person)).erased_at is None
        await db.execute(text("UPDATE jobs.procrastinate_jobs SET status = 'succeeded', queueing_lock = NULL"))
    paper = await newest(cast, erasure)
    assert paper.state == "partial" and "A hold keeps" in paper.document["not_verified"][0]
    owner = await cast.browser("owner")
    assert (await owner.get(f"/recordings/{anna[0]}/media")).status_code == 404, "kept, not shown"
    listed = (await owner.get("/erasures")).text
    assert "Stopped by a hold" in listed and "Lift the hold" in listed
    assert "Lift the hold" in (await owner.get("/requests")).text
    assert (await recording(cast, anna[1])).state == RecordingState.ERASED
    assert (await recording(cast, anna[0])).erased_at is None
    assert (await owner.post(f"/recordings/{anna[0]}/release")).status_code == 303
    await work(cast, monkeypatch)
    async with cast.wiring.database.transaction(cast.account) as db:
        done = await db.get_one(Erasure, erasure.id)
        assert done.state == ErasureState.COMPLETE
        assert (await db.get_one(Participant, person)).name is None
    with pytest.raises(KeyDestroyed):
        cast.wiring.keys.unwrap(KeyPath(cast.account, person))
    assert (await recording(cast, anna[0])).held_words is None


async def test_my_data_says_why_it_is_kept_and_the_link_still_leads_there(cast: Cast, anna: list[RecordingId]) -> None:
    from app.accounts.login import start_login
    from app.accounts.models import Scope

    await hold(cast, anna[0], reason="order of an authority")
    await run(cast, await ask(cast, cast.participant.participant), SpyNodes())
    stranger = await cast.browser("stranger")
    link = cast.participant.link.partition("/i/")[2]
    assert (await stranger.get(f"/i/{link}")).status_code == 404
    way = await stranger.post(f"/i/{link}/data")
    assert (way.status_code, way.headers["location"]) == (303, "/my-data")
    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=cast.participant.participant,
            session=cast.session,
        )
    page = (await (await cast.web.browser(cookie.value)).get("/my-data")).text
    assert "Kept because an authority has ordered it." in page and "erased by itself as soon as that ends" in page
    assert WORDS not in page and "Stopped by a hold" in page


async def test_its_date_does_not_erase_what_is_held_until_the_review_date(cast: Cast, anna: list[RecordingId]) -> None:
    await hold(cast, anna[0])
    await end_session(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(retention_days=1))
        now = await now_in(db)
    later = now + timedelta(days=10)
    await sweep(cast.wiring, later)
    async with cast.wiring.database.transaction(cast.account) as db:
        (first,) = (await db.scalars(select(Erasure))).all()
    assert first.recording_ids == [anna[1]]
    await sweep(cast.wiring, now + timedelta(days=31))
    async with cast.wiring.database.transaction(cast.account) as db:
        assert len((await db.scalars(select(Erasure))).all()) == 2


async def test_what_somebody_asked_to_erase_cannot_be_held_any_more(cast: Cast, anna: list[RecordingId]) -> None:
    await ask(cast, cast.participant.participant)
    owner = await cast.browser("owner")
    answer = await owner.post(f"/recordings/{anna[0]}/hold", data=await form(cast))
    assert answer.status_code == 409 and "cannot take that back" in answer.text
    assert (await recording(cast, anna[0])).held_reason is None


async def test_a_hold_that_is_over_cannot_be_renewed_for_what_was_asked_meanwhile(
    cast: Cast, anna: list[RecordingId]
) -> None:
    await hold(cast, anna[0])
    await end_session(cast)
    await ask(cast, cast.participant.participant)
    owner = await cast.browser("owner")
    assert (await owner.post(f"/recordings/{anna[0]}/hold", data=await form(cast))).status_code == 303, (
        "renewed in time"
    )
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_until=await now_in(db)).where(Recording.id == anna[0]))
    for place in (f"/recordings/{anna[0]}", f"/sessions/{cast.session}"):
        answer = await owner.post(f"{place}/hold", data=await form(cast))
        assert answer.status_code == 409, place


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"words": ""}, "Please fill this in"),
        ({"words": "  \n "}, "Please fill this in"),
        ({"words": "x" * 10_000}, "at most 2,000 characters"),
        ({"words": "a\x00b"}, "Control characters"),
        ({"reason": "because"}, "Please choose one of the list"),
        ({"reason": ""}, "Please choose one of the list"),
        ({"review": ""}, "Please fill this in"),
        ({"review": "2020-01-01"}, "lies in the past"),
        ({"review": "tomorrow"}, "enter a date"),
        ({"review": "2027-02-30"}, "enter a date"),
        ({"review": "9999-12-31"}, "within a year"),
        ({"review": "x" * 10_000}, "at most 20 characters"),
    ],
)
async def test_a_hold_needs_a_reason_and_a_day_to_come(
    cast: Cast, anna: list[RecordingId], changes: dict[str, str], said: str
) -> None:
    owner = await cast.browser("owner")
    answer = await owner.post(f"/recordings/{anna[0]}/hold", data=await form(cast, **changes))
    assert answer.status_code == 422 and said in answer.text
    assert (await recording(cast, anna[0])).held_reason is None
    kept = changes.get("words", WORDS).strip()
    assert len(kept) > 2_000 or "\x00" in kept or kept in answer.text, "input is kept"


async def test_today_is_not_a_day_to_come(cast: Cast, anna: list[RecordingId]) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        today = await now_in(db)
    owner = await cast.browser("owner")
    answer = await owner.post(f"/recordings/{anna[0]}/hold", data=await form(cast, review=f"{today:%Y-%m-%d}"))
    assert answer.status_code == 422


async def test_only_the_owner_holds_and_releases(cast: Cast, anna: list[RecordingId]) -> None:
    await end_session(cast)
    values = await form(cast)
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [(await browser.get("/holds")).status_code]
        for place in (f"/recordings/{anna[0]}", f"/sessions/{cast.session}"):
            seen[who] += [
                (await browser.get(f"{place}/hold")).status_code,
                (await browser.post(f"{place}/hold", data=values)).status_code,
                (await browser.post(f"{place}/release")).status_code,
            ]
    assert seen == {
        "owner": [200] + [200, 303, 303] * 2,
        "researcher": [403] * 7,
        "observer": [403] * 7,
        "other_owner": [200] + [404] * 6,
        "participant": [401] * 7,
        "other_participant": [401] * 7,
        "stranger": [401] * 7,
    }
