"""Recordings of members go with the session: by the owner or its date, never with a participant, and are
nobody's data but the team's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.accounts.login import start_login
from app.accounts.members import remove_member
from app.accounts.models import Scope
from app.database import now_in
from app.library.lines import Spoken
from app.library.service import review
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Erasure, ErasureState
from app.sessions.models import Recording, Session, SessionState, Transcript
from app.studies.models import ConsentKind, Study
from recordings.model import PersonId, RecordingId
from tests.fixtures.erasing import SpyNodes, ask, newest, run, served, store_of
from tests.fixtures.stored import WORDS, consent, stored_recording
from tests.fixtures.web import Cast
from workers.finalise import finalise


@pytest.fixture
async def rita(cast: Cast, tmp_path: Path) -> RecordingId:
    """The researcher's own camera and voice with what she said."""
    return await stored_recording(cast, tmp_path / "r", person=cast.researcher, transcript=True)


async def end_session(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(
            update(Session).where(Session.id == cast.session).values(state=SessionState.ENDED, ended_at=func.now())
        )


async def erasures(cast: Cast) -> dict[PersonId, Erasure]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return {PersonId(row.person_id): row for row in await db.scalars(select(Erasure))}


async def test_a_participants_erasure_leaves_what_the_member_shows_and_takes_the_words(
    cast: Cast, anna: list[RecordingId], rita: RecordingId, nodes: SpyNodes
) -> None:
    """Of a dialogue with somebody who is gone nothing is left to read (tests/app/test_resting.py)."""
    await consent(cast, *ConsentKind)
    before = await served(cast, rita)
    assert ("Rita", WORDS[0]) in await dialogue(cast)
    erasure = await ask(cast, cast.participant.participant)
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert [(await served(cast, one))[0] for one in anna] == [404, 404]
    assert before[0] == 200 and await served(cast, rita) == before
    assert await dialogue(cast) == []


async def dialogue(cast: Cast) -> list[tuple[str, str]]:
    async with cast.wiring.database.transaction(cast.account) as db:
        shown = await review(
            db, cast.wiring, await db.get_one(Session, cast.session), await db.get_one(Study, cast.study)
        )
    return [(line.speaker, line.text) for line in shown.lines if isinstance(line, Spoken)]


async def test_the_transcript_reads_as_a_dialogue_with_both_names_even_of_a_member_who_left(
    cast: Cast, anna: list[RecordingId], rita: RecordingId
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await remove_member(db, member=cast.researcher)
    assert sorted(await dialogue(cast)) == sorted((name, text) for name in ("Anna", "Rita") for text in WORDS)
    page = (await (await cast.browser("owner")).get(f"/sessions/{cast.session}")).text
    assert "Rita, camera" in page


async def test_the_owner_erases_the_whole_session_members_included_each_with_a_certificate(
    cast: Cast, anna: list[RecordingId], rita: RecordingId, nodes: SpyNodes
) -> None:
    await end_session(cast)
    owner = await cast.browser("owner")
    assert "3 recordings" in (await owner.get(f"/sessions/{cast.session}/erase")).text
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 303
    asked = await erasures(cast)
    assert set(asked) == {cast.researcher, cast.participant.participant}
    assert (await run(cast, asked[cast.researcher], nodes)).state is ErasureState.COMPLETE
    paper = await newest(cast, asked[cast.researcher])
    assert paper.state == "complete" and paper.document["erased"]["rows"]["recordings"] == 1
    assert (await served(cast, rita))[0] == 404
    assert not [key for key in store_of(cast).objects if str(rita) in key]
    assert "(Rita)" in (await owner.get("/erasures")).text
    assert await (await cast.browser("researcher")).get("/")  # her account and her name stay
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.get_one(Recording, rita)).erased_at is not None


async def test_members_recordings_go_on_the_sessions_date_and_not_before(
    cast: Cast, rita: RecordingId, nodes: SpyNodes
) -> None:
    await end_session(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
    assert await sweep(cast.wiring, now + timedelta(days=179)) == 0
    assert await sweep(cast.wiring, now + timedelta(days=181)) == 1
    asked = await erasures(cast)
    assert asked[cast.researcher].recording_ids == [rita]
    assert (await run(cast, asked[cast.researcher], nodes)).state is ErasureState.COMPLETE
    assert (await served(cast, rita))[0] == 404


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("owner", 200),
        ("researcher", 200),
        ("observer", 403),
        ("other_owner", 404),
        ("participant", 401),
        ("other_participant", 401),
        ("stranger", 401),
    ],
)
async def test_a_members_recording_is_the_teams_and_no_participants(
    cast: Cast, rita: RecordingId, who: str, status: int
) -> None:
    browser = await cast.browser(who)
    for path in (f"/recordings/{rita}/media", f"/recordings/{rita}/transcript/txt?purpose=analysis"):
        answer = await browser.get(path, headers={"accept": "*/*"})
        assert answer.status_code == status, f"{who} {path}"


async def test_my_data_of_a_participant_holds_nothing_of_a_member(
    cast: Cast, anna: list[RecordingId], rita: RecordingId
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=cast.participant.participant,
            session=cast.session,
        )
    browser = await cast.web.browser(cookie.value)
    page = await browser.get("/my-data")
    assert page.status_code == 200
    assert str(rita) not in page.text and "Rita" not in page.text
    assert (await browser.get("/my-data/erase")).text.count("2 recordings") == 1
    assert (await browser.get(f"/recordings/{rita}/media")).status_code in (401, 403)


@pytest.mark.parametrize(
    ("consents", "written"),
    [
        (tuple(ConsentKind), True),
        ((ConsentKind.AUDIO, ConsentKind.TRANSCRIPT), True),
        ((ConsentKind.VIDEO, ConsentKind.AUDIO), False),
        ((ConsentKind.TRANSCRIPT,), False),
        ((), False),
    ],
)
async def test_a_members_words_are_written_down_only_when_a_participant_allowed_theirs(
    cast: Cast, tmp_path: Path, consents: tuple[ConsentKind, ...], written: bool
) -> None:
    await consent(cast, *consents)
    recording = await stored_recording(cast, tmp_path / "r", person=cast.researcher, seconds=1.0)
    await end_session(cast)
    await finalise(cast.wiring, cast.account, recording)
    async with cast.wiring.database.transaction(cast.account) as db:
        found = (await db.scalars(select(Transcript).where(Transcript.recording_id == recording))).all()
    assert bool(found) is written


async def test_the_consent_of_somebody_erased_allows_no_more_transcripts(
    cast: Cast, tmp_path: Path, nodes: SpyNodes
) -> None:
    await consent(cast, *ConsentKind)
    recording = await stored_recording(cast, tmp_path / "r", person=cast.researcher, seconds=1.0)
    await run(cast, await ask(cast, cast.participant.participant), nodes)
    await end_session(cast)
    await finalise(cast.wiring, cast.account, recording)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(Transcript))).all() == []
