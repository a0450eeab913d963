"""Notes: written in the room by those who lead, kept with their moment, read in review, gone with the session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update

from app.audit import AuditEvent
from app.library.lifeline import placed
from app.library.service import Review
from app.privacy.keeping.retention import sweep
from app.sessions.models import Note, Recording, Session, SessionState
from app.sessions.notes import NoteLine, erase_notes, may_delete
from app.sessions.policy import NOTE_AFTER_END, may_note, note_moment, note_until
from app.sessions.service import end, find_session, open_room
from recordings.model import PersonId
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

WORDS = "Looks for the <b>basket</b> & gives up {{ 7*7 }}"
NOW = datetime(2027, 5, 3, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def live(cast: Cast) -> Cast:
    """The first session's room is open."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await open_room(db, session=cast.session)
    return cast


async def write(cast: Cast, who: str = "researcher", words: str = WORDS, **fields: str) -> Any:
    browser = await cast.browser(who)
    data = {"text": words, **fields}
    return await browser.post(f"/sessions/{cast.session}/notes", data=data, headers={"accept": "application/json"})


async def notes(cast: Cast) -> list[Note]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Note).order_by(Note.at)))


async def set_session(cast: Cast, **values: Any) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(**values))


async def hold(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_reason="dispute"))


async def test_owner_and_researcher_write_notes_and_nobody_else(live: Cast) -> None:
    expected = {"owner": 201, "researcher": 201, "observer": 403, "other_owner": 404}
    for who in EVERYONE:
        assert (await write(live, who)).status_code == expected.get(who, 401), who
    assert {note.member_id for note in await notes(live)} == {live.owner, live.researcher}


async def test_a_note_is_sealed_and_shown_as_it_was_written(live: Cast) -> None:
    kept = await write(live)
    assert kept.json()["name"] == "Rita"
    [note] = await notes(live)
    assert b"basket" not in note.text
    assert datetime.fromisoformat(kept.json()["at"]) == note.at
    for path in (f"/rooms/{live.session}", f"/sessions/{live.session}/review"):
        shown = await (await live.browser("owner")).get(path)
        assert "Looks for the &lt;b&gt;basket&lt;/b&gt; &amp; gives up {{ 7*7 }}" in shown.text
        assert "Rita" in shown.text


async def test_nobody_else_reads_notes(live: Cast) -> None:
    await write(live)
    for who in EVERYONE:
        browser = await live.browser(who)
        for path in (f"/rooms/{live.session}", f"/sessions/{live.session}/review"):
            shown = await browser.get(path)
            assert ("basket" in shown.text) is (who in ("owner", "researcher")), (who, path)


async def test_a_note_keeps_when_its_writing_began_but_stays_inside_the_session(live: Cast) -> None:
    await set_session(live, started_at=datetime.now(UTC) - timedelta(minutes=3))
    before = datetime.now(UTC)
    assert (await write(live, writing_ms="60000")).status_code == 201
    [note] = await notes(live)
    assert before <= note.at + timedelta(minutes=1) <= datetime.now(UTC)
    await write(live, writing_ms="600000")
    async with live.wiring.database.transaction(live.account) as db:
        assert (await notes(live))[0].at == (await find_session(db, live.session)).started_at


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"words": "  "}, "fill this in"),
        ({"words": "n" * 2001}, "at most 2,000"),
        ({"words": "a\u202eb"}, "direction marks"),
        ({"writing_ms": "-1"}, "whole number"),
        ({"writing_ms": "soon"}, "whole number"),
        ({"writing_ms": "600001"}, "whole number"),
    ],
)
async def test_what_is_no_note_is_told_and_not_kept(live: Cast, fields: dict[str, str], told: str) -> None:
    answer = await write(live, **fields)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert await notes(live) == []


async def test_without_a_script_the_form_leads_back_to_the_room(live: Cast) -> None:
    browser = await live.browser("owner")
    answer = await browser.post(f"/sessions/{live.session}/notes", data={"text": "typed"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/rooms/{live.session}#notes")


async def test_a_session_without_a_moment_takes_no_note(cast: Cast) -> None:
    early = await write(cast)
    assert early.status_code == 409
    assert "not open yet" in early.json()["detail"]
    async with cast.wiring.database.transaction(cast.account) as db:
        await end(db, session=cast.session)
    assert (await write(cast)).status_code == 201, "a sentence begun in the session may be finished"
    await set_session(cast, ended_at=datetime.now(UTC) - timedelta(hours=1))
    assert (await write(cast)).status_code == 409
    browser = await cast.browser("owner")
    assert (await browser.post(f"/sessions/{uuid4()}/notes", data={"text": "x"})).status_code == 404


async def test_its_writer_and_the_owner_delete_a_note_and_nobody_else(live: Cast) -> None:
    async def delete(who: str, note: UUID, session: UUID = live.session) -> int:
        browser = await live.browser(who)
        return (await browser.post(f"/sessions/{session}/notes/{note}/delete")).status_code

    await write(live, "owner")
    [owners] = await notes(live)
    expected = {"researcher": 403, "observer": 403, "other_owner": 404}
    for who in EVERYONE:
        if who != "owner":
            assert await delete(who, owners.id) == expected.get(who, 401), who
    page = await (await live.browser("researcher")).get(f"/sessions/{live.session}/review")
    assert "Delete this note" not in page.text
    assert await delete("owner", owners.id, live.other_session) == 404
    await write(live, "researcher")
    mine = next(note.id for note in await notes(live) if note.member_id == live.researcher)
    assert await delete("researcher", mine) == 303
    assert await delete("researcher", mine) == 404
    await write(live, "researcher")
    theirs = next(note.id for note in await notes(live) if note.member_id == live.researcher)
    assert [await delete("owner", one) for one in (theirs, owners.id)] == [303, 303]
    assert await notes(live) == []


async def test_a_note_jumps_to_its_place_in_the_recording(live: Cast, tmp_path: Path) -> None:
    recording = await stored_recording(live, tmp_path, person=live.participant.participant)
    await write(live)
    async with live.wiring.database.transaction(live.account) as db:
        begun = (await db.get_one(Recording, recording)).recorded_at
        assert begun
        await db.execute(update(Note).values(at=begun + timedelta(seconds=1.5)))
    page = await (await live.browser("owner")).get(f"/sessions/{live.session}/review")
    assert 'data-at="1500"' in page.text
    assert 'class="note-mark"' in page.text


def test_notes_from_outside_the_recording_stand_at_its_ends() -> None:
    review = Review(started_at=NOW, duration_ms=10_000, recordings=(), lines=(), transcripts_pending=False)
    line = [
        NoteLine(id=uuid4(), member=PersonId(uuid4()), name="Rita", at=NOW + timedelta(seconds=s), text="x")
        for s in (-5, 4, 60)
    ]
    assert [(one.at_ms, one.x) for one in placed(line, review)] == [(0, 0.0), (4000, 400.0), (10_000, 1000.0)]
    nothing = Review(started_at=None, duration_ms=0, recordings=(), lines=(), transcripts_pending=False)
    assert [one.at_ms for one in placed(line, nothing)] == [None, None, None]


async def test_erasing_the_session_erases_its_notes_at_once(live: Cast, tmp_path: Path) -> None:
    await stored_recording(live, tmp_path, person=live.participant.participant, seconds=1.0)
    await write(live)
    await set_session(live, state=SessionState.ENDED, ended_at=datetime.now(UTC))
    owner = await live.browser("owner")
    asked = await owner.get(f"/sessions/{live.session}/erase")
    assert "1 note is erased too" in asked.text
    assert len(await notes(live)) == 1, "asking is not erasing"
    assert (await owner.post(f"/sessions/{live.session}/erase")).status_code == 303
    assert await notes(live) == []
    late = await write(live)
    assert late.status_code == 409
    assert "has been erased" in late.json()["detail"]
    async with live.wiring.database.transaction(live.account) as db:
        events = await db.scalars(select(AuditEvent).where(AuditEvent.action == "sessions:notes:erased"))
        assert [(e.actor, e.subject, e.facts) for e in events] == [
            (f"member:{live.owner}", f"session:{live.session}", {"notes": 1})
        ]


async def test_notes_of_a_session_in_which_nothing_was_recorded_can_be_erased(live: Cast) -> None:
    await write(live)
    await set_session(live, state=SessionState.ENDED, ended_at=datetime.now(UTC))
    owner = await live.browser("owner")
    path = f"/sessions/{live.session}/erase"
    assert path in (await owner.get(f"/sessions/{live.session}/review")).text
    assert "Erase the notes" in (await owner.get(path)).text
    answer = await owner.post(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sessions/{live.session}")
    assert await notes(live) == []


async def test_a_hold_keeps_the_notes_too(live: Cast, tmp_path: Path) -> None:
    await stored_recording(live, tmp_path, person=live.participant.participant, seconds=1.0)
    await write(live)
    await hold(live)
    await set_session(live, state=SessionState.ENDED, ended_at=datetime.now(UTC) - timedelta(days=400))
    owner = await live.browser("owner")
    assert "its notes stay as well" in (await owner.get(f"/sessions/{live.session}/erase")).text
    await owner.post(f"/sessions/{live.session}/erase")
    await sweep(live.wiring, datetime.now(UTC))
    assert len(await notes(live)) == 1
    shown = await owner.get(f"/sessions/{live.session}/review")
    assert "basket" not in shown.text, "kept, but past its date nobody reads it"


async def test_notes_stay_while_somebody_wants_what_is_theirs_kept(live: Cast, tmp_path: Path) -> None:
    """Kept and not used (GDPR Art. 18): past their date too, as the recordings they speak of; lifted, they go."""
    await stored_recording(live, tmp_path, person=live.participant.participant, seconds=1.0)
    await write(live)
    await set_session(live, state=SessionState.ENDED, ended_at=datetime.now(UTC) - timedelta(days=400))
    for restricted_at, left in ((datetime.now(UTC), 1), (None, 0)):
        async with live.wiring.database.transaction(live.account) as db:
            await db.execute(update(Recording).values(restricted_at=restricted_at))
        await sweep(live.wiring, datetime.now(UTC))
        assert len(await notes(live)) == left


async def test_past_their_date_notes_are_unread_at_once_and_swept(live: Cast) -> None:
    await write(live)
    [note] = await notes(live)
    days = timedelta(days=180)
    ended = note.at + timedelta(hours=1)
    await set_session(live, state=SessionState.ENDED, ended_at=ended)
    await sweep(live.wiring, ended + days - SECOND)
    assert len(await notes(live)) == 1
    await set_session(live, ended_at=note.at)
    async with live.wiring.database.transaction(live.account) as db:
        await db.execute(update(Note).values(at=datetime.now(UTC) - days - SECOND))
    await set_session(live, ended_at=datetime.now(UTC) - days)
    shown = await (await live.browser("owner")).get(f"/sessions/{live.session}/review")
    assert "basket" not in shown.text
    await sweep(live.wiring, datetime.now(UTC))
    assert await notes(live) == []


async def test_notes_of_another_session_and_account_stay(live: Cast) -> None:
    await write(live)
    async with live.wiring.database.transaction(live.account) as db:
        assert await erase_notes(db, session=await find_session(db, live.other_session), by="system") == 0
    async with live.wiring.database.transaction(live.other_account) as db:
        assert (await db.execute(text("SELECT count(*) FROM note"))).scalar_one() == 0
    assert len(await notes(live)) == 1


@pytest.mark.parametrize(
    ("state", "ended", "erased", "allowed"),
    [
        (SessionState.SCHEDULED, None, False, False),
        (SessionState.LIVE, None, False, True),
        (SessionState.LIVE, None, True, True),  # the participant left and took everything; the session goes on
        (SessionState.ENDED, NOW - NOTE_AFTER_END + SECOND, False, True),
        (SessionState.ENDED, NOW - NOTE_AFTER_END, False, False),
        (SessionState.ENDED, NOW - SECOND, True, False),
        (SessionState.ENDED, None, False, False),
    ],
)
def test_may_note(state: SessionState, ended: datetime | None, erased: bool, allowed: bool) -> None:
    assert bool(may_note(state, ended, NOW, erased=erased)) is allowed


def test_note_moment() -> None:
    started, ended = NOW - timedelta(minutes=5), NOW - timedelta(minutes=1)
    assert note_moment(NOW, SECOND, started_at=started, ended_at=None) == NOW - SECOND
    assert note_moment(NOW, timedelta(minutes=9), started_at=started, ended_at=None) == started
    assert note_moment(NOW, SECOND, started_at=started, ended_at=ended) == ended
    assert note_moment(NOW, -SECOND, started_at=None, ended_at=None) == NOW


def test_note_until() -> None:
    assert note_until(NOW, None, None) is None
    assert note_until(NOW, None, 1) == NOW + timedelta(days=1)
    assert note_until(NOW, NOW + SECOND, 1) == NOW + SECOND + timedelta(days=1)


def test_may_delete() -> None:
    writer, other = uuid4(), uuid4()
    assert may_delete(writer=writer, member=writer, owner=False)
    assert may_delete(writer=writer, member=other, owner=True)
    assert not may_delete(writer=writer, member=other, owner=False)
