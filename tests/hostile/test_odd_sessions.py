"""Sessions that go otherwise than planned: nobody came, ended or erased twice, erased while recording, silence,
a picture that never began, no speech model. Each is said on the page, and nothing else suffers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.errors import Gone
from app.privacy.erasing.service import run_erasure
from app.privacy.records.models import Certificate, Erasure
from app.sessions import service as sessions
from app.sessions.models import Session, Track, Transcript, TranscriptState
from app.studies.models import ConsentKind
from recordings.encryption.keystore import KeyPath
from recordings.model import Frame, RecordingId, StreamKind, TrackKind
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.stored import _data_keys, consent, stored_recording
from tests.fixtures.web import Cast
from tests.recordings.scene import Scene
from workers.finalise import finalise
from workers.speech import Heard, SpeechModelMissing
from workers.transcribe import transcribe


async def step(cast: Cast, *steps: str) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        for one in steps:
            await getattr(sessions, one)(db, session=cast.session)


async def all_of(cast: Cast, kind: type[Any]) -> list[Any]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(kind)))


async def test_a_session_nobody_joined_is_a_session_like_any_other(cast: Cast) -> None:
    owner, path = await cast.browser("owner"), f"/sessions/{cast.session}"
    await step(cast, "open_room", "start_recording", "end")
    for page in (path, f"{path}/review", f"{path}/erase"):
        shown = await owner.get(page)
        assert shown.status_code in (200, 409), page
        assert "<main" in shown.text
    assert "othing was recorded" in (await owner.get(path)).text + (await owner.get(f"{path}/review")).text
    erased = await owner.post(f"{path}/erase")
    assert erased.status_code in (303, 409), erased.text
    for erasure in await all_of(cast, Erasure):
        await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())  # type: ignore[arg-type]
    assert all(paper.document["objects"] == [] for paper in await all_of(cast, Certificate))
    assert (await owner.get("/")).status_code == 200


async def test_ending_twice_and_starting_what_has_ended_are_refused_in_words(cast: Cast) -> None:
    owner, room = await cast.browser("owner"), f"/rooms/{cast.session}"
    told = {}
    for one in ("start", "open", "open", "start", "start", "pause", "pause", "end", "end", "start", "resume", "open"):
        answer = await owner.post(f"{room}/{one}", headers={"accept": "application/json"})
        assert answer.status_code in (204, 409), (one, answer.text)
        if answer.status_code == 409:
            told[one] = answer.json()["detail"]
    assert all(words.endswith(".") for words in told.values())
    assert {"end", "start", "open", "resume"} <= told.keys()
    [session] = [row for row in await all_of(cast, Session) if row.id == cast.session]
    ended = session.ended_at
    await owner.post(f"{room}/end")
    [session] = [row for row in await all_of(cast, Session) if row.id == cast.session]
    assert ended is not None and session.ended_at == ended


async def test_two_researchers_who_end_at_once_end_it_once(cast: Cast) -> None:
    await step(cast, "open_room", "start_recording")
    browsers = [await cast.browser("owner"), await cast.browser("researcher")]
    answers = await asyncio.gather(*(one.post(f"/rooms/{cast.session}/end") for one in browsers))
    assert sorted(answer.status_code for answer in answers) in ([204, 409], [303, 409])


async def test_erasing_twice_is_one_erasure_and_one_paper(cast: Cast, tmp_path: Path) -> None:
    anna = await stored_recording(cast, tmp_path, person=cast.participant.participant)
    owner, path = await cast.browser("owner"), f"/recordings/{anna}/erase"
    first, second = await asyncio.gather(owner.post(path), owner.post(path))
    assert {first.status_code, second.status_code} <= {303, 404, 409}
    assert 303 in {first.status_code, second.status_code}
    [erasure] = await all_of(cast, Erasure)
    for _ in range(2):
        await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())  # type: ignore[arg-type]
    third = await owner.post(path)
    assert third.status_code in (303, 404, 409)
    assert len(await all_of(cast, Erasure)) == 1
    assert len(await all_of(cast, Certificate)) == 1
    assert (await owner.get(path)).status_code < 500


async def test_what_is_erased_while_the_session_goes_on_is_closed_at_once_and_nothing_new_comes_to_lie_there(
    cast: Cast, tmp_path: Path
) -> None:
    """A whole session is ended first; one recording need not wait."""
    await step(cast, "open_room", "start_recording")
    person = cast.participant.participant
    anna = await stored_recording(cast, tmp_path, person=person)
    owner = await cast.browser("owner")
    refused = await owner.post(f"/sessions/{cast.session}/erase")
    assert refused.status_code == 409
    assert "End it first" in refused.text
    assert await all_of(cast, Erasure) == []
    asked = await owner.post(f"/recordings/{anna}/erase")
    assert asked.status_code == 303
    assert (await owner.get(f"/recordings/{anna}/media")).status_code == 404
    with pytest.raises(Gone):
        await stored_recording(cast, tmp_path, person=person)
    [erasure] = await all_of(cast, Erasure)
    nodes = SpyNodes()
    await run_erasure(cast.wiring, cast.account, erasure.id, nodes=nodes)  # type: ignore[arg-type]
    assert not [key for key in cast.wiring.store.list("") if str(anna) in key.key]


async def without_key_frames(cast: Cast, folder: Path) -> RecordingId:
    """As `stored_recording` leaves it, but the browser never sent a picture to begin with."""
    wiring, kinds = cast.wiring, frozenset({TrackKind.CAMERA, TrackKind.VOICE})
    async with wiring.database.transaction(cast.account) as db:
        taken = await sessions.open_take(
            db,
            wiring.keys,
            account=cast.account,
            session=cast.session,
            person=cast.participant.participant,
            person_is_member=False,
            stream=StreamKind.CAMERA,
            kinds=kinds,
            node="media-1",
            resource="r" * 32,
        )
    scene = Scene(folder, ref=taken.recording)
    scene.store, scene.keys = wiring.store, wiring.keys  # type: ignore[assignment]
    scene.tracks, scene.data_keys = dict(taken.tracks), _data_keys(wiring.keys, taken.tracks.values())
    scene.uploader = scene.new_uploader()
    recorder = scene.recorder(taken.number)
    keep = recorder.frame

    def no_key(frame: Frame) -> None:
        if frame.kind is TrackKind.VOICE or not frame.key:
            keep(frame)

    recorder.frame = no_key  # type: ignore[method-assign]
    scene.capture(recorder, 3.0)
    recorder.close(clean=True)
    await scene.store_all()
    async with wiring.database.transaction(cast.account) as db:
        await sessions.close_take(db, recording=taken.recording.recording, number=taken.number, interrupted=False)
    await finalise(wiring, cast.account, taken.recording.recording)
    return taken.recording.recording


async def test_without_a_single_key_frame_the_voice_plays_and_the_page_says_what_is_there(
    cast: Cast, tmp_path: Path
) -> None:
    await step(cast, "open_room", "start_recording")
    recording = await without_key_frames(cast, tmp_path)
    await step(cast, "end")
    owner = await cast.browser("owner")
    played = await owner.get(f"/recordings/{recording}/media")
    assert played.status_code == 200
    assert b"A_OPUS" in played.content
    for path in (f"/sessions/{cast.session}", f"/sessions/{cast.session}/review"):
        assert (await owner.get(path)).status_code == 200
    counts = {track.kind: track.frames for track in await all_of(cast, Track)}
    assert not counts["camera"] and counts["voice"] > 100


class Nothing:
    """A speech model that hears silence."""

    name, country = "ear", ""

    def hear(self, samples: object, **more: object) -> Heard:
        return Heard(cues=(), speech=())


async def waiting(cast: Cast, folder: Path) -> Transcript:
    """A transcript that was asked for, of a recording that is stored."""
    person = cast.participant.participant
    await consent(cast, *ConsentKind)
    await step(cast, "open_room", "start_recording")
    recording = await stored_recording(cast, folder, person=person)
    await step(cast, "end")
    await finalise(cast.wiring, cast.account, recording)
    [transcript] = await all_of(cast, Transcript)
    return transcript  # type: ignore[no-any-return]


async def review(cast: Cast) -> httpx.Response:
    return await (await cast.browser("owner")).get(f"/sessions/{cast.session}/review")


async def test_silence_is_a_transcript_without_words_and_the_page_says_so(cast: Cast, tmp_path: Path) -> None:
    transcript = await waiting(cast, tmp_path)
    await transcribe(cast.wiring, Nothing, cast.account, transcript.id)  # type: ignore[arg-type]
    [row] = await all_of(cast, Transcript)
    assert (row.state, row.words) == (TranscriptState.READY, 0)
    shown = await review(cast)
    assert shown.status_code == 200
    assert "nobody spoke" in shown.text
    owner = await cast.browser("owner")
    for form in ("vtt", "srt", "txt"):
        assert (await owner.get(f"/recordings/{row.recording_id}/transcript/{form}?purpose=quality")).status_code == 200


async def test_without_a_speech_model_the_transcript_says_why_and_the_media_plays(cast: Cast, tmp_path: Path) -> None:
    transcript = await waiting(cast, tmp_path)

    def missing() -> Any:
        raise SpeechModelMissing("small.en")

    with pytest.raises(SpeechModelMissing):
        await transcribe(cast.wiring, missing, cast.account, transcript.id)
    [row] = await all_of(cast, Transcript)
    assert row.state == TranscriptState.FAILED and row.failure_reason
    owner = await cast.browser("owner")
    assert (await owner.get(f"/recordings/{row.recording_id}/media")).status_code == 200
    assert row.failure_reason in (await owner.get(f"/sessions/{cast.session}")).text + (await review(cast)).text
    assert cast.wiring.keys.unwrap(KeyPath(cast.account)), "nothing of it closed a key"
