"""captured -> stored: an index of what is there, newer ones only, and a transcript only for those who agreed to one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from app.jobs import TASKS
from app.sessions.models import Recording, RecordingState, Session, SessionState, Take, Transcript
from app.sessions.service import TakeOpened, close_take, open_take, recording_ref
from app.studies.models import ConsentKind, Study
from recordings.encryption.keystore import KeyPath
from recordings.model import STREAM_TRACKS, RecordingId, StreamKind
from recordings.storage.layout import generation_of, index_key, recording_prefix
from recordings.storage.memory import MemoryStore
from recordings.storage.store import StoreUnavailable
from tests.fixtures.stored import consent, stored_recording
from tests.fixtures.web import Cast
from workers.finalise import finalise
from workers.giving_up import give_up


async def row_of(cast: Cast, recording: RecordingId) -> Recording:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.get_one(Recording, recording)


async def change(cast: Cast, recording: RecordingId, **values: Any) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).where(Recording.id == recording).values(**values))


async def end_session(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(state=SessionState.ENDED))


async def transcripts(cast: Cast) -> int:
    async with cast.wiring.database.transaction(cast.account) as db:
        return (await db.scalar(select(func.count()).select_from(Transcript))) or 0


def indexes(cast: Cast, row: Recording) -> list[str]:
    ref = recording_ref(row)
    return [s.key for s in cast.wiring.store.remains(recording_prefix(ref)) if "/index-" in s.key]


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=2.0)


async def test_what_was_captured_becomes_playable_with_its_facts(cast: Cast, recording: RecordingId) -> None:
    row = await row_of(cast, recording)
    assert row.state == RecordingState.STORED
    assert row.duration_ms == pytest.approx(2000, abs=60)
    assert (row.interrupted, row.gaps) == (False, [])
    owner = await cast.browser("owner")
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 200


async def test_running_again_renews_the_index_and_leaves_one(cast: Cast, recording: RecordingId) -> None:
    before = await row_of(cast, recording)
    await finalise(cast.wiring, cast.account, recording)
    row = await row_of(cast, recording)
    assert row.index_generation == before.index_generation + 1
    assert (row.recorded_at, row.duration_ms) == (before.recorded_at, before.duration_ms)
    assert indexes(cast, row) == [row.index_key]


def at_the_index(cast: Cast, meanwhile: Callable[[], None]) -> None:
    """Let something happen at the moment the next index is stored."""
    store = cast.wiring.store
    assert isinstance(store, MemoryStore)
    quiet = store.fault

    def fault(verb: str, key: str) -> None:
        if verb == "put" and "/index-" in key:
            store.fault = quiet
            meanwhile()

    store.fault = fault


async def test_a_run_that_was_overtaken_does_not_replace_the_newer_index(cast: Cast, recording: RecordingId) -> None:
    """A worker taken for dead comes back to life after another has finished its job."""
    loop, wiring = asyncio.get_running_loop(), cast.wiring

    def meanwhile() -> None:
        asyncio.run_coroutine_threadsafe(finalise(wiring, cast.account, recording), loop).result(60)

    before = await row_of(cast, recording)
    at_the_index(cast, meanwhile)
    await finalise(wiring, cast.account, recording)
    row = await row_of(cast, recording)
    assert row.index_generation == before.index_generation + 2
    assert row.index_key == index_key(recording_ref(row), row.index_generation)
    owner = await cast.browser("owner")
    assert (await owner.get(f"/recordings/{recording}/media")).status_code == 200


async def test_an_erased_recording_stays_erased(cast: Cast, recording: RecordingId) -> None:
    await change(cast, recording, state=RecordingState.ERASED, erased_at=func.now(), index_key=None)
    await finalise(cast.wiring, cast.account, recording)
    row = await row_of(cast, recording)
    assert (row.state, row.index_key) == (RecordingState.ERASED, None)


async def test_a_person_erased_meanwhile_ends_the_job_quietly(cast: Cast, recording: RecordingId) -> None:
    before = await row_of(cast, recording)
    cast.wiring.keys.destroy(KeyPath(cast.account, cast.participant.participant))
    await finalise(cast.wiring, cast.account, recording)
    assert (await row_of(cast, recording)).index_key == before.index_key


async def opened(cast: Cast, stream: StreamKind = StreamKind.CAMERA) -> TakeOpened:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await open_take(
            db,
            cast.wiring.keys,
            account=cast.account,
            session=cast.session,
            person=cast.participant.participant,
            person_is_member=False,
            stream=stream,
            kinds=STREAM_TRACKS[stream],
            node="media-1",
            resource=uuid4().hex,
        )


async def closed(cast: Cast, taken: TakeOpened) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await close_take(db, recording=taken.recording.recording, number=taken.number, interrupted=False)


@pytest.mark.parametrize("opens", ["before", "meanwhile"])
async def test_an_index_that_was_begun_before_a_take_ended_does_not_pass_for_all_of_it(
    cast: Cast, recording: RecordingId, opens: str
) -> None:
    """It plays, but what came last may be missing: nothing is called stored or written down until the next run."""
    await consent(cast, *ConsentKind)
    await end_session(cast)
    loop, earlier = asyncio.get_running_loop(), await opened(cast) if opens == "before" else None

    async def goes_by() -> None:
        await closed(cast, earlier or await opened(cast))

    at_the_index(cast, lambda: asyncio.run_coroutine_threadsafe(goes_by(), loop).result(60))
    await finalise(cast.wiring, cast.account, recording)
    row = await row_of(cast, recording)
    assert (row.state, generation_of(row.index_key or "")) == (RecordingState.CAPTURED, row.index_generation)
    assert await transcripts(cast) == 0
    await finalise(cast.wiring, cast.account, recording)  # asked for when the take ended
    assert (await row_of(cast, recording)).state == RecordingState.STORED
    assert await transcripts(cast) == 1


async def test_while_a_take_is_open_it_is_playable_but_not_called_stored(cast: Cast, recording: RecordingId) -> None:
    await opened(cast)
    await finalise(cast.wiring, cast.account, recording)
    row = await row_of(cast, recording)
    assert row.state == RecordingState.CAPTURING
    assert generation_of(row.index_key or "") == row.index_generation


async def test_a_take_of_which_nothing_was_kept_is_called_empty(cast: Cast) -> None:
    taken = await opened(cast, StreamKind.SCREEN)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Take).values(ended_at=func.now()))
    await finalise(cast.wiring, cast.account, taken.recording.recording)
    assert (await row_of(cast, taken.recording.recording)).state == RecordingState.EMPTY


async def test_a_transcript_is_asked_for_once_after_the_session_by_those_who_agreed(cast: Cast, tmp_path: Path) -> None:
    await consent(cast, *ConsentKind)
    recording = await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    assert await transcripts(cast) == 0  # the session goes on
    await end_session(cast)
    for _ in range(2):
        await finalise(cast.wiring, cast.account, recording)
    assert await transcripts(cast) == 1


@pytest.mark.parametrize("missing", [ConsentKind.TRANSCRIPT, ConsentKind.AUDIO, "study"])
async def test_no_transcript_without_consent_to_voice_and_text_or_outside_the_study(
    cast: Cast, tmp_path: Path, missing: str
) -> None:
    await consent(cast, *(kind for kind in ConsentKind if kind != missing))
    recording = await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await end_session(cast)
    if missing == "study":
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(update(Study).where(Study.id == cast.study).values(kinds=["video", "audio"]))
    await finalise(cast.wiring, cast.account, recording)
    assert await transcripts(cast) == 0


async def test_a_store_that_is_away_leaves_it_captured_and_giving_up_says_so_on_the_page(
    cast: Cast, recording: RecordingId
) -> None:
    await change(cast, recording, state=RecordingState.CAPTURED)

    def away() -> None:
        raise StoreUnavailable

    at_the_index(cast, away)
    with pytest.raises(StoreUnavailable) as raised:
        await finalise(cast.wiring, cast.account, recording)
    assert raised.value.retry
    assert (await row_of(cast, recording)).state == RecordingState.CAPTURED

    arguments = {"account_id": str(cast.account), "recording_id": str(recording)}
    for _ in range(2):
        await give_up(cast.wiring, "finalise", arguments, str(raised.value))
    owner = await cast.browser("owner")
    page = (await owner.get(f"/sessions/{cast.session}")).text
    assert "could not be made ready: The object store cannot be reached" in page
    await finalise(cast.wiring, cast.account, recording)  # an operator had it mended
    row = await row_of(cast, recording)
    assert (row.state, row.failure_reason) == (RecordingState.STORED, None)


async def test_giving_up_late_does_not_undo_what_was_done(cast: Cast, recording: RecordingId) -> None:
    arguments = {"account_id": str(cast.account), "recording_id": str(recording)}
    for task in TASKS:
        await give_up(cast.wiring, task, arguments, "late")
    row = await row_of(cast, recording)
    assert (row.state, row.failure_reason) == (RecordingState.STORED, None)
