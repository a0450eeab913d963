"""Sessions across studies: what has become of each, fifty a page, of one's own account only."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, update

from app.sessions.models import Recording, RecordingState, Session, SessionState, TranscriptState
from app.sessions.overview import state_words
from app.sessions.service import schedule
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

LIVE, ENDED, SCHEDULED = SessionState.LIVE, SessionState.ENDED, SessionState.SCHEDULED


@pytest.mark.parametrize(
    "state, recordings, transcripts, words",
    [
        (SCHEDULED, {}, {}, "not started"),
        (LIVE, {RecordingState.CAPTURING: 2}, {}, "room open"),
        (ENDED, {}, {}, "nothing recorded"),
        (ENDED, {RecordingState.EMPTY: 1}, {}, "nothing recorded"),
        (ENDED, {RecordingState.ERASED: 2}, {TranscriptState.ERASED: 1}, "erased"),
        (ENDED, {RecordingState.CAPTURED: 1}, {}, "recordings are being made ready"),
        (
            ENDED,
            {RecordingState.STORED: 2},
            {TranscriptState.RUNNING: 1},
            "the transcript is being written, 2 recordings stored",
        ),
        (
            ENDED,
            {RecordingState.STORED: 1, RecordingState.FAILED: 1},
            {TranscriptState.FAILED: 1},
            "2 failed, 1 recording stored",
        ),
    ],
)
def test_the_state_of_a_session_in_words(
    state: SessionState, recordings: dict[str, int], transcripts: dict[str, int], words: str
) -> None:
    assert state_words(state, Counter(recordings), Counter(transcripts)) == words


def test_a_session_that_never_began_was_cancelled() -> None:
    assert state_words(ENDED, Counter(), Counter(), began=False) == "cancelled"
    assert state_words(ENDED, Counter({RecordingState.ERASED: 1}), Counter(), began=False) == "erased"


async def test_members_see_their_accounts_sessions_and_nobody_elses(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    async with cast.wiring.database.transaction(cast.account) as db:
        ended = datetime.now(UTC)
        await db.execute(update(Session).where(Session.id == cast.session).values(state=ENDED, ended_at=ended))
    seen = {}
    for who in EVERYONE:
        answer = await (await cast.browser(who)).get("/sessions")
        seen[who] = (answer.status_code, "Pilot 1" in answer.text, "1 recording stored" in answer.text)
    assert seen == {
        "owner": (200, True, True),
        "researcher": (200, True, True),
        "observer": (200, True, True),
        "other_owner": (200, False, False),
        "participant": (401, False, False),
        "other_participant": (401, False, False),
        "stranger": (401, False, False),
    }
    assert "1 recording stored" in (await (await cast.browser("owner")).get(f"/studies/{cast.study}")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(hidden_at=datetime.now(UTC)))
    assert "1 recording stored" not in (await (await cast.browser("owner")).get("/sessions")).text


async def test_fifty_a_page_and_no_query_per_session(cast: Cast) -> None:
    owner = await cast.browser("owner")
    asked: list[str] = []
    event.listen(cast.wiring.database.engine.sync_engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    await owner.get("/sessions")
    few = len(asked)
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(60):
            await schedule(db, account=cast.account, study=cast.study, title=f"Number {number}")
    asked.clear()
    first = (await owner.get("/sessions")).text
    assert len(asked) == few
    assert first.count('<th scope="row">') == 50
    assert 'href="?page=2"' in first
    assert (await owner.get("/sessions?page=2")).text.count('<th scope="row">') == 12


async def test_what_is_coming_soonest_first_with_what_began_within_a_day(cast: Cast) -> None:
    """Neither what is over or long past, nor what has no time, nor another account's."""
    now, hour, day = datetime.now(UTC), timedelta(hours=1), timedelta(days=1)
    times = {
        "Late": -hour,
        "Long past": -day - hour,
        "Over": hour,
        "Tomorrow": day,
        "Soon": hour,
        "Room open": 2 * hour,
    }
    states = {"Over": ENDED, "Room open": LIVE}
    owner = await cast.browser("owner")
    assert "No session with a time is coming" in (await owner.get("/sessions?show=coming")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        for title, after in times.items():
            made = await schedule(db, account=cast.account, study=cast.study, title=title, starts_at=now + after)
            await db.execute(update(Session).where(Session.id == made).values(state=states.get(title, SCHEDULED)))
    shown = (await owner.get("/sessions?show=coming")).text
    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)<', shown) == ["Late", "Soon", "Room open", "Tomorrow"]
    assert 'href="/sessions?show=coming" aria-current="page"' in shown
    assert "Tomorrow" not in (await (await cast.browser("other_owner")).get("/sessions?show=coming")).text
    assert (await (await cast.browser("participant")).get("/sessions?show=coming")).status_code == 401
    assert (await owner.get("/sessions?show=nothing")).status_code == 400
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(50):
            await schedule(
                db, account=cast.account, study=cast.study, title=f"Number {number}", starts_at=now + 2 * day
            )
    first, second = [(await owner.get(f"/sessions?show=coming&page={number}")).text for number in (1, 2)]
    assert (first.count('<th scope="row">'), second.count('<th scope="row">')) == (50, 4)
    assert 'href="?show=coming&amp;page=2"' in first and 'href="?show=coming&amp;page=1"' in second
