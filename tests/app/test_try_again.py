"""What failed says so in words and may be tried again, by those who may, once; what is gone or restricted may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app.audit import Action, AuditEvent
from app.sessions.again import Failed, what_failed
from app.sessions.models import Recording, RecordingState, Session, SessionState, Track, Transcript, TranscriptState
from app.sessions.policy import RecordingFacts
from app.sessions.words import ready_words, running_words, time_left
from recordings.model import RecordingId
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast
from workers.finalise import finalise

NOW = datetime(2027, 5, 3, 14, 32, tzinfo=UTC)
FAILED = {"state": RecordingState.FAILED, "failure_reason": "the disk was full", "index_key": None}
UNHEARD = {"state": TranscriptState.FAILED, "failure_reason": "the model fell over"}


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    stored = await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    await change(cast, Session, state=SessionState.ENDED, started_at=NOW, recording_at=NOW, ended_at=datetime.now(UTC))
    return stored


async def change(cast: Cast, model: Any, **values: object) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(model).values(**values))


async def jobs(cast: Cast) -> list[str]:
    statement = text("SELECT task_name FROM jobs.procrastinate_jobs WHERE status = 'todo' ORDER BY id")
    async with cast.wiring.database.transaction() as db:
        return [name for (name,) in await db.execute(statement) if name in ("finalise", "transcribe")]


async def forget_jobs(cast: Cast) -> None:
    async with cast.wiring.database.transaction() as db:
        await db.execute(text("DELETE FROM jobs.procrastinate_jobs"))


async def logged(cast: Cast) -> list[str]:
    wanted = (Action.RECORDING_TRIED_AGAIN, Action.TRANSCRIPT_TRIED_AGAIN)
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(AuditEvent.action).where(AuditEvent.action.in_(wanted))))


async def test_only_owner_and_researcher_try_again(cast: Cast, recording: RecordingId) -> None:
    seen, offered = {}, {}
    for who in EVERYONE:
        await change(cast, Transcript, **UNHEARD)
        browser = await cast.browser(who)
        offered[who] = "Try again" in (await browser.get(f"/sessions/{cast.session}")).text
        seen[who] = (await browser.post(f"/recordings/{recording}/again")).status_code
    assert seen == {
        "owner": 303,
        "researcher": 303,
        "observer": 403,
        "other_owner": 404,
        "participant": 401,
        "other_participant": 401,
        "stranger": 401,
    }
    assert [who for who in EVERYONE if offered[who]] == ["owner", "researcher"]


async def test_a_failed_recording_is_made_ready_once_more(cast: Cast, recording: RecordingId) -> None:
    await change(cast, Recording, **FAILED)
    await forget_jobs(cast)
    browser = await cast.browser("researcher")
    page = (await browser.get(f"/sessions/{cast.session}")).text
    assert "This recording could not be made ready: the disk was full" in page
    assert "Something could not be made ready." in page
    answer = await browser.post(f"/recordings/{recording}/again")
    assert answer.headers["location"] == f"/sessions/{cast.session}#recordings"
    assert (await jobs(cast), await logged(cast)) == (["finalise"], [Action.RECORDING_TRIED_AGAIN])
    page = (await browser.get(f"/sessions/{cast.session}")).text
    assert "Try again" not in page and "the disk was full" not in page
    again = await browser.post(f"/recordings/{recording}/again")  # the second press of two
    assert (again.status_code, "Nothing failed here" in again.text) == (409, True)
    assert await jobs(cast) == ["finalise"]
    await finalise(cast.wiring, cast.account, recording)
    assert "Everything is ready." in (await browser.get(f"/sessions/{cast.session}")).text


async def test_a_failed_transcript_is_queued_once_more(cast: Cast, recording: RecordingId) -> None:
    await change(cast, Transcript, **UNHEARD, progress=0.7)
    await forget_jobs(cast)
    browser = await cast.browser("owner")
    assert "failed: the model fell over" in (await browser.get(f"/sessions/{cast.session}")).text
    assert (await browser.post(f"/recordings/{recording}/again")).status_code == 303
    assert (await jobs(cast), await logged(cast)) == (["transcribe"], [Action.TRANSCRIPT_TRIED_AGAIN])
    assert "waits for its turn" in (await browser.get(f"/sessions/{cast.session}")).text


@pytest.mark.parametrize(
    "model, values, status",
    [
        (Recording, {"failure_reason": None}, 409),  # nothing failed
        (Recording, FAILED | {"erased_at": NOW}, 404),
        (Recording, FAILED | {"hidden_at": NOW}, 404),
        (Recording, FAILED | {"restricted_at": NOW}, 409),
        (Transcript, UNHEARD | {"erased_at": NOW, "state": TranscriptState.ERASED}, 409),
    ],
)
async def test_what_did_not_fail_or_is_gone_is_not_tried(
    cast: Cast, recording: RecordingId, model: Any, values: dict[str, Any], status: int
) -> None:
    await change(cast, model, **values)
    await forget_jobs(cast)
    browser = await cast.browser("owner")
    assert (await browser.post(f"/recordings/{recording}/again")).status_code == status
    assert (await jobs(cast), await logged(cast)) == ([], [])
    assert "Try again" not in (await browser.get(f"/sessions/{cast.session}")).text


async def test_the_words_of_a_voice_that_was_taken_back_are_not_tried(cast: Cast, recording: RecordingId) -> None:
    await change(cast, Transcript, **UNHEARD)
    await change(cast, Track, closed_at=NOW)
    assert (await (await cast.browser("owner")).post(f"/recordings/{recording}/again")).status_code == 409


@pytest.mark.parametrize(
    "facts, transcripts, failed",
    [
        ({"state": RecordingState.FAILED}, [], Failed.RECORDING),
        ({"state": RecordingState.STORED}, [TranscriptState.FAILED], Failed.TRANSCRIPT),
        ({"state": RecordingState.FAILED}, [TranscriptState.FAILED], Failed.RECORDING),
        ({"state": RecordingState.STORED}, [TranscriptState.READY], None),
        ({"state": RecordingState.FAILED, "restricted_at": NOW}, [], None),
        ({"state": RecordingState.FAILED, "created_at": NOW - timedelta(days=9)}, [], None),  # past its date
    ],
)
def test_what_may_be_tried_again(facts: dict[str, Any], transcripts: list[TranscriptState], failed: Failed) -> None:
    assert what_failed(RecordingFacts(**({"created_at": NOW} | facts)), transcripts, 7, NOW) is failed


async def test_a_kind_without_a_playable_picture_and_an_empty_recording_have_their_words(
    cast: Cast, recording: RecordingId
) -> None:
    browser = await cast.browser("owner")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Track).where(Track.kind == "camera").values(frames=0))
    words = "no camera: not one picture arrived that could be played"
    assert words in (await browser.get(f"/sessions/{cast.session}")).text
    assert words in (await browser.get(f"/sessions/{cast.session}/review")).text
    await change(cast, Recording, state=RecordingState.EMPTY)
    page = (await browser.get(f"/sessions/{cast.session}")).text
    assert "Empty: not one picture or sound arrived that could be played" in page
    assert "The session has ended and nothing was recorded." in page


@pytest.mark.parametrize(
    "words, coverage, said",
    [
        (0, None, "nobody spoke"),
        (0, 0.0, "somebody spoke, but no words could be made out"),
        (1, 1.0, "ready, 1 word; it covers all of the time somebody spoke"),
        (1200, 0.939, "ready, 1200 words; they cover 93 % of the time somebody spoke"),
        (1200, 0.999, "ready, 1200 words; they cover 99 % of the time somebody spoke"),
    ],
)
def test_a_transcript_says_how_much_of_the_speech_it_has(words: int, coverage: float | None, said: str) -> None:
    assert ready_words(words, coverage) == said


@pytest.mark.parametrize(
    "share, seconds, said",
    [
        (0.0, 0, "transcribing, 0 %"),
        (0.02, 60, "transcribing, 2 %"),  # too little to judge by
        (0.5, 2, "transcribing, 50 %"),  # too short to judge by
        (0.5, 100, "transcribing, 50 %, about 2 minutes left"),
        (0.9, 100, "transcribing, 90 %, less than a minute left"),
        (0.1, 600, "transcribing, 10 %, about 90 minutes left"),
    ],
)
def test_what_is_left_is_reckoned_from_the_speed_so_far(share: float, seconds: int, said: str) -> None:
    assert running_words(share, NOW - timedelta(seconds=seconds), NOW) == said
    assert time_left(0.25, timedelta(seconds=30)) == timedelta(seconds=90)
