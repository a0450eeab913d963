"""Taking consent back erases what was recorded of that kind, and nothing else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from app.participants.consents import give_consent, standing_consents
from app.participants.models import Consent
from app.participants.service import study_notice
from app.privacy.erasing.withdrawal import withdraw
from app.privacy.records.models import Erasure, ErasureState
from app.sessions.models import Recording, RecordingState, Session, SessionState, Track, Transcript
from app.studies.models import ConsentKind, Study
from recordings.encryption.keystore import KeyPath
from recordings.model import RecordingId
from tests.fixtures.erasing import SpyNodes, run, served, store_of, waiting
from tests.fixtures.web import Cast
from workers.finalise import finalise


async def consent(cast: Cast, *kinds: ConsentKind) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        shown = await notice_of(cast, db)
        for kind in kinds:
            await give_consent(
                db,
                account=cast.account,
                participant=cast.participant.participant,
                session=cast.session,
                kind=kind,
                shown=shown,
            )


async def notice_of(cast: Cast, db: Any) -> Any:
    study = await db.get_one(Study, cast.study)
    return (await study_notice(db, cast.wiring.columns, cast.wiring.settings, account=cast.account, study=study))[1]


async def take_back(cast: Cast, kind: ConsentKind) -> Erasure | None:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await withdraw(
            db,
            account=cast.account,
            participant=cast.participant.participant,
            session=cast.session,
            kind=kind,
            shown=await notice_of(cast, db),
        )


async def test_withdrawing_audio_erases_voice_and_words_and_the_picture_plays_on(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    await consent(cast, *ConsentKind)
    erasure = await take_back(cast, ConsentKind.AUDIO)
    assert erasure is not None
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    async with cast.wiring.database.transaction(cast.account) as db:
        tracks = {t.kind: t for t in await db.scalars(select(Track).where(Track.recording_id == anna[0]))}
        words = (await db.scalars(select(Transcript).where(Transcript.recording_id == anna[0]))).one()
        recording = await db.get_one(Recording, anna[0])
    assert tracks["voice"].erased_at and not tracks["camera"].erased_at
    assert words.erased_at and words.object_key is None
    left = [key for key in store_of(cast).objects if str(tracks["voice"].id) in key or str(words.id) in key]
    assert left == []
    assert not cast.wiring.keys.exists(
        KeyPath(cast.account, cast.participant.participant, f"track-{tracks['voice'].id}")
    )
    assert recording.state == RecordingState.CAPTURED and recording.index_key is None
    assert await waiting(cast, "finalise") >= 1
    await finalise(cast.wiring, cast.account, anna[0])
    status, _ = await served(cast, anna[0])
    assert status == 200, "the rest plays on"
    assert (await served(cast, anna[1]))[0] == 200
    assert nodes.asked == [key for key in nodes.asked if str(tracks["voice"].id) in key] != []


async def test_withdrawing_the_transcript_takes_the_words_and_leaves_the_voice(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    await consent(cast, *ConsentKind)
    before = await served(cast, anna[0])
    erasure = await take_back(cast, ConsentKind.TRANSCRIPT)
    assert erasure is not None
    researcher = await cast.browser("researcher")
    assert (await researcher.get(f"/recordings/{anna[0]}/transcript/vtt")).status_code == 404
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert before[0] == 200 and await served(cast, anna[0]) == before


async def test_a_track_opened_after_consenting_again_is_not_what_was_withdrawn(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    await consent(cast, ConsentKind.VIDEO)
    erasure = await take_back(cast, ConsentKind.VIDEO)
    assert erasure is not None
    await consent(cast, ConsentKind.VIDEO)
    async with cast.wiring.database.transaction(cast.account) as db:
        fresh = Track(account_id=cast.account, recording_id=anna[0], kind="camera")
        db.add(fresh)
        await db.flush()
        cast.wiring.keys.create(KeyPath(cast.account, cast.participant.participant, f"track-{fresh.id}"))
    await run(cast, erasure, nodes)
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Track, fresh.id)
        assert row.closed_at is None and row.erased_at is None
        allowed = await standing_consents(db, session=cast.session, participant=cast.participant.participant)
        assert allowed == {ConsentKind.VIDEO}
    assert cast.wiring.keys.exists(KeyPath(cast.account, cast.participant.participant, f"track-{fresh.id}"))


async def test_when_the_last_kind_of_an_ended_session_goes_nothing_of_the_recording_is_left(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(state=SessionState.ENDED))
    await consent(cast, ConsentKind.SCREEN)
    erasure = await take_back(cast, ConsentKind.SCREEN)
    assert erasure is not None
    await run(cast, erasure, nodes)
    assert [key for key in store_of(cast).objects if str(anna[1]) in key] == []
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.get_one(Recording, anna[1])).state == RecordingState.ERASED


async def test_withdrawing_what_was_never_given_or_recorded_erases_nothing(cast: Cast) -> None:
    assert await take_back(cast, ConsentKind.VIDEO) is None
    await consent(cast, ConsentKind.VIDEO)
    assert await take_back(cast, ConsentKind.VIDEO) is None
    async with cast.wiring.database.transaction(cast.account) as db:
        assert list(await db.scalars(select(Consent.given).order_by(Consent.number))) == [True, False]
