"""J4-15: speech becomes text with a consent that stands at that moment, on our own computers."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.participants.consents import give_consent
from app.participants.models import ConsentPurpose
from app.participants.service import study_notice
from app.sessions.models import Session, Track, Transcript, TranscriptState
from app.settings import Settings
from app.studies.models import ConsentKind, Study
from tests.promises.sources import Listener
from tests.promises.world import World
from workers.speech import Samples
from workers.transcribe import EngineOutsideEu, transcribe


async def test_j4_15_speech_becomes_text_on_our_own_computers_and_the_notice_says_so(world: World):
    words = (await (await world.guest(world.anna)).open(f"/take-part/{world.lab.session}/notice")).words
    assert "we use our own computers, never an outside service" in words
    texts = {name: field.metadata["text"] for name, field in Settings.__dataclass_fields__.items() if "speech" in name}
    assert texts and all("http" not in text and "API" not in text for text in texts.values())


async def test_j4_15_without_consent_the_model_hears_nothing_even_when_tried_again(world: World):
    """Sound without transcript, and a transcript of sound that was not allowed."""
    consents = ([ConsentKind.AUDIO], [ConsentKind.TRANSCRIPT, ConsentKind.VIDEO])
    refs = [
        await world.record(await world.registered(guest, consents=given))
        for guest, given in zip((world.anna, world.ben), consents, strict=True)
    ]
    await world.end(world.lab)
    assert await world.transcripts(world.lab) == []
    heard: list[Samples] = []
    for ref in refs:
        async with world.wiring.database.transaction(world.lab.account) as db:  # a job that should not be there
            track = await db.scalar(select(Track).where(Track.recording_id == ref.recording))
            row = Transcript(account_id=world.lab.account, recording_id=ref.recording, track_id=track.id, language="en")
            db.add(row)
        for _ in range(2):
            await transcribe(world.wiring, lambda: Listener(heard), world.lab.account, row.id)
    assert heard == []


async def test_j4_15_an_engine_outside_the_eu_hears_nothing_without_its_own_consent(world: World):
    """Not when tried again either; with it, and in the EU, it does."""
    transcript = await world.waiting_transcript(world.anna)
    heard: list[Samples] = []
    elsewhere = Listener(heard)
    elsewhere.name, elsewhere.country = "Words Inc.", "US"
    for _ in range(2):
        with pytest.raises(EngineOutsideEu):
            await transcribe(world.wiring, lambda: elsewhere, world.lab.account, transcript.id)
    [row] = await world.rows(world.lab, Transcript)
    assert (heard, row.state) == ([], TranscriptState.FAILED) and "outside the European Union" in row.failure_reason
    async with world.wiring.database.transaction(world.lab.account) as db:
        session = await db.get_one(Session, world.lab.session)
        study = await db.get_one(Study, session.study_id)
        columns, settings = world.wiring.columns, world.settings
        _, shown = await study_notice(db, columns, settings, account=world.lab.account, study=study)
        await give_consent(
            db,
            account=world.lab.account,
            participant=world.anna.person,
            session=world.lab.session,
            kind=ConsentKind.TRANSCRIPT,
            shown=shown,
            purpose=ConsentPurpose.ENGINE_OUTSIDE_EU,
        )
    await transcribe(world.wiring, lambda: elsewhere, world.lab.account, transcript.id)
    assert heard != [] and (await world.rows(world.lab, Transcript))[0].state == TranscriptState.READY
