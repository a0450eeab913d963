"""What rests on those who took part goes with the last of them: notes about them, and members' words to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, select, text, update

from app.invitations.models import Invitation
from app.ledger_entries import ErasureAsked
from app.participants.consents import give_consent
from app.privacy.erasing.lines import line_of
from app.privacy.erasing.policy import stays_noted
from app.privacy.erasing.withdrawal import withdraw
from app.privacy.keeping.holds import release
from app.privacy.records.models import DataRequest, Erasure, ErasureReason, ErasureState
from app.privacy.replays import Found, do_again
from app.sessions.disclosure_models import Disclosure, RecipientNotice
from app.sessions.models import Note, Recording, Session, SessionState, Transcript
from app.sessions.notes import MOMENT_GONE
from app.sessions.service import open_room
from app.studies.models import ConsentKind
from recordings.encryption.keystore import KeyPath
from recordings.model import PersonId, RecordingId
from tests.app.test_withdrawal import notice_of
from tests.fixtures.erasing import SpyNodes, ask, newest, run, served, store_of, waiting
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast

WORDS = "She said the basket hides from her"
SAID = (ConsentKind.AUDIO, ConsentKind.TRANSCRIPT)


async def write(cast: Cast, session: UUID | None = None) -> int:
    browser = await cast.browser("researcher")
    path = f"/sessions/{session or cast.session}/notes"
    return (await browser.post(path, data={"text": WORDS}, headers={"accept": "application/json"})).status_code


async def notes(cast: Cast) -> int:
    async with cast.wiring.database.transaction(cast.account) as db:
        return len((await db.scalars(select(Note.id))).all())


async def read(cast: Cast) -> list[bool]:
    """Whether the room and the review show the note."""
    browser = await cast.browser("owner")
    pages = [f"/rooms/{cast.session}", f"/sessions/{cast.session}/review"]
    return [WORDS in (await browser.get(path)).text for path in pages]


async def agree(cast: Cast, person: PersonId, *kinds: ConsentKind) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        shown = await notice_of(cast, db)
        for kind in kinds:
            await give_consent(
                db, account=cast.account, participant=person, session=cast.session, kind=kind, shown=shown
            )


async def take_back(cast: Cast, kind: ConsentKind, person: PersonId | None = None) -> Erasure | None:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await withdraw(
            db,
            account=cast.account,
            participant=person or cast.participant.participant,
            session=cast.session,
            kind=kind,
            shown=await notice_of(cast, db),
        )


async def end(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        gone = {"state": SessionState.ENDED, "ended_at": datetime.now(UTC)}
        await db.execute(update(Session).where(Session.id == cast.session).values(**gone))


@pytest.fixture
async def anna(cast: Cast) -> PersonId:
    """She was let into the first session's room and agreed to everything; one note was written."""
    person = cast.participant.participant
    async with cast.wiring.database.transaction(cast.account) as db:
        await open_room(db, session=cast.session)
        await db.execute(update(Invitation).values(admitted_at=datetime.now(UTC)))
    await agree(cast, person, *ConsentKind)
    assert await write(cast) == 201
    return person


@pytest.fixture
async def ben(cast: Cast, anna: PersonId) -> PersonId:
    """He was there with her."""
    person = cast.other_participant.participant
    async with cast.wiring.database.transaction(cast.account) as db:
        here = update(Invitation).where(Invitation.participant_id == person)
        await db.execute(here.values(session_id=cast.session))
    await agree(cast, person, *ConsentKind)
    return person


async def test_notes_go_with_the_only_one_they_are_about(
    cast: Cast, anna: PersonId, tmp_path: Path, nodes: SpyNodes
) -> None:
    await stored_recording(cast, tmp_path, person=anna, seconds=1.0)
    assert await read(cast) == [True, True]
    erasure = await ask(cast, anna)
    assert await read(cast) == [False, False], "unreadable with the asking"
    nodes.reachable = False  # what is tried again counts them once
    assert (await run(cast, erasure, nodes)).state is ErasureState.PARTIAL
    nodes.reachable = True
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert await notes(cast) == 0
    paper = (await newest(cast, erasure)).document
    assert paper["erased"]["rows"]["notes"] == 1
    assert paper["scope"]["notes"] == [str(cast.session)]


async def test_notes_about_everybody_stay_until_the_last_one_goes(
    cast: Cast, anna: PersonId, ben: PersonId, nodes: SpyNodes
) -> None:
    first = await ask(cast, anna)
    assert (await run(cast, first, nodes)).state is ErasureState.COMPLETE
    assert await read(cast) == [True, True]
    assert "notes" not in (await newest(cast, first)).document["erased"]["rows"]
    second = await ask(cast, ben)
    assert (await run(cast, second, nodes)).state is ErasureState.COMPLETE
    assert await notes(cast) == 0


async def test_two_who_ask_before_either_is_erased_leave_no_notes(
    cast: Cast, anna: PersonId, ben: PersonId, nodes: SpyNodes
) -> None:
    asked = [await ask(cast, anna), await ask(cast, ben)]
    assert await read(cast) == [False, False]
    assert [(await run(cast, one, nodes)).state for one in asked] == [ErasureState.COMPLETE] * 2
    assert await notes(cast) == 0


async def test_who_never_came_takes_nobody_elses_notes_along(
    cast: Cast, anna: PersonId, ben: PersonId, nodes: SpyNodes
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Invitation).where(Invitation.participant_id == ben).values(admitted_at=None))
    await take_back(cast, ConsentKind.AUDIO)
    assert await write(cast) == 201, "of what is still seen of her"
    await run(cast, await ask(cast, ben), nodes)
    assert await read(cast) == [True, True]


@pytest.mark.parametrize("kind", SAID)
async def test_notes_go_when_what_they_may_quote_is_taken_back(
    cast: Cast, anna: PersonId, nodes: SpyNodes, kind: ConsentKind
) -> None:
    """Though nothing was recorded; what is written afterwards about what is still seen stays."""
    erasure = await take_back(cast, kind)
    assert erasure is not None and erasure.reason == ErasureReason.WITHDRAWAL
    assert await read(cast) == [False, False]
    assert await write(cast) == 201
    assert await read(cast) == [True, True]
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert await notes(cast) == 1
    owner = await cast.browser("owner")
    paper = (await owner.get(f"/erasures/{erasure.id}")).text
    assert "notes about a session" in paper
    assert "only notes could still be opened" in paper, "their key is the account's: a backup may open them for a while"
    assert "They cannot be opened" not in paper and "Nobody can bring it back" not in paper


async def test_a_note_begun_before_it_was_taken_back_is_not_kept(cast: Cast, anna: PersonId) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        earlier = datetime.now(UTC) - timedelta(hours=1)
        await db.execute(update(Session).where(Session.id == cast.session).values(started_at=earlier))
    await take_back(cast, ConsentKind.AUDIO)
    browser, path = await cast.browser("researcher"), f"/sessions/{cast.session}/notes"
    late = await browser.post(path, data={"text": WORDS, "writing_ms": "60000"}, headers={"accept": "application/json"})
    assert (late.status_code, late.json()["detail"]) == (409, MOMENT_GONE)


@pytest.mark.parametrize("kind", [ConsentKind.VIDEO, ConsentKind.SCREEN])
async def test_taking_back_a_picture_leaves_notes(cast: Cast, anna: PersonId, kind: ConsentKind) -> None:
    assert await take_back(cast, kind) is None
    assert await read(cast) == [True, True]


async def test_taking_back_the_voice_leaves_notes_about_others(cast: Cast, anna: PersonId, ben: PersonId) -> None:
    assert await take_back(cast, ConsentKind.AUDIO) is None
    assert await read(cast) == [True, True]
    assert await take_back(cast, ConsentKind.AUDIO, ben) is not None
    assert await read(cast) == [False, False]


async def test_a_hold_keeps_notes_unread_until_it_is_released(
    cast: Cast, anna: PersonId, tmp_path: Path, nodes: SpyNodes
) -> None:
    """Also where the recording that is held is a member's."""
    await stored_recording(cast, tmp_path, person=cast.researcher, seconds=1.0)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_reason="dispute"))
    erasure = await ask(cast, anna)
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.HELD and "A hold keeps notes" in outcome.reasons[0]
    assert await notes(cast) == 1 and await read(cast) == [False, False]
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(text("DELETE FROM jobs.procrastinate_jobs"))  # what was asked for has run
        await release(db, list(await db.scalars(select(Recording))), by=cast.owner)
    assert await waiting(cast, "erase") == 1, "with the release, whoever the recording is of"
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert await notes(cast) == 0
    assert (await newest(cast, erasure)).document["erased"]["rows"]["notes"] == 1


async def test_whoever_was_given_the_notes_is_told(cast: Cast, anna: PersonId, nodes: SpyNodes) -> None:
    """GDPR Art. 19; nobody who was given something else."""
    owner = await cast.browser("owner")
    given = {"people": [str(anna)], "ground": "vital", "words": "A risk.", "told": "yes", "contact": "x@y.example"}
    for recipient, kind in (("Dr Meier", "notes"), ("Dr Huber", "video")):
        form = given | {"recipient": recipient, "kinds": [kind], "given_on": f"{datetime.now(UTC).date()}"}
        assert (await owner.post(f"/sessions/{cast.session}/disclosures", data=form)).status_code == 303
    erasure = await take_back(cast, ConsentKind.TRANSCRIPT)
    assert erasure is not None
    await run(cast, erasure, nodes)
    assert (await newest(cast, erasure)).document["recipients_to_tell"] == 1
    async with cast.wiring.database.transaction(cast.account) as db:
        of = select(Disclosure.kinds).join(RecipientNotice, RecipientNotice.disclosure_id == Disclosure.id)
        assert list(await db.scalars(of)) == [["notes"]]


async def test_an_erasure_of_one_recording_leaves_notes(cast: Cast, anna: PersonId, tmp_path: Path) -> None:
    recording = await stored_recording(cast, tmp_path, person=anna, seconds=1.0)
    await ask(cast, anna, recordings=[recording])
    assert await read(cast) == [True, True]


async def test_the_participant_reads_before_what_becomes_of_notes(cast: Cast, anna: PersonId) -> None:
    from tests.app.test_requests import inside

    asked = (await (await inside(cast)).get("/my-data/erase")).text
    assert "Notes the researchers wrote go too" in asked and "somebody else took part" in asked
    assert "Olga Lab can tell you" in asked
    notice = (await (await cast.browser("participant")).get(f"/take-part/{cast.session}/notice")).text
    assert "They are erased when you take back your voice" in notice


async def test_a_restored_database_is_told_by_the_ledger_which_notes_went(
    cast: Cast, anna: PersonId, nodes: SpyNodes
) -> None:
    """As the backup remembers it: asked for nothing, and the note stands."""
    erasure = await take_back(cast, ConsentKind.TRANSCRIPT)
    assert erasure is not None
    line = line_of(ErasureAsked, erasure, erasure.asked_at)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(delete(DataRequest))
        await db.execute(delete(Erasure))
        await db.execute(update(Session).values(notes_gone_until=None))
    assert await read(cast) == [True, True]
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await do_again(db, line) is Found.DONE
    assert await read(cast) == [False, False]
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert await notes(cast) == 0


@pytest.mark.parametrize(
    ("leaving", "said", "stays"),
    [
        (False, {}, True),
        (False, {ConsentKind.AUDIO: True, ConsentKind.TRANSCRIPT: True}, True),
        (False, {ConsentKind.AUDIO: False}, False),
        (False, {ConsentKind.AUDIO: True, ConsentKind.TRANSCRIPT: False}, False),
        (False, {ConsentKind.VIDEO: False}, True),
        (True, {ConsentKind.AUDIO: True}, False),
    ],
)
def test_for_whose_sake_notes_stay(leaving: bool, said: dict[ConsentKind, bool], stays: bool) -> None:
    assert stays_noted(leaving=leaving, last_words=said) is stays


@pytest.fixture
async def rita(cast: Cast, anna: PersonId, tmp_path: Path) -> RecordingId:
    """The researcher's own recording with what she said, written down."""
    return await stored_recording(cast, tmp_path / "r", person=cast.researcher, transcript=True, seconds=1.0)


async def words_of(cast: Cast, recording: RecordingId) -> tuple[int, Transcript]:
    answer = await (await cast.browser("owner")).get(f"/recordings/{recording}/transcript/vtt?purpose=analysis")
    async with cast.wiring.database.transaction(cast.account) as db:
        return answer.status_code, (
            await db.scalars(select(Transcript).where(Transcript.recording_id == recording))
        ).one()


async def of_rita(cast: Cast) -> list[Erasure]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Erasure).where(Erasure.person_id == cast.researcher)))


@pytest.mark.parametrize("kind", [*SAID, None])
async def test_a_members_words_go_with_the_last_consent_that_allowed_them(
    cast: Cast, rita: RecordingId, nodes: SpyNodes, kind: ConsentKind | None
) -> None:
    """kind None: everything about the participant is erased. The voice itself stays."""
    assert (await words_of(cast, rita))[0] == 200
    before = await served(cast, rita)
    if kind is None:
        await ask(cast, cast.participant.participant)
    else:
        await take_back(cast, kind)
    assert (await words_of(cast, rita))[0] == 404, "with the asking"
    [erasure] = await of_rita(cast)
    assert (erasure.reason, erasure.track_kinds) == (ErasureReason.UNCOVERED, ["transcript"])
    assert erasure.asked_by == f"participant:{cast.participant.participant}"
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    _, row = await words_of(cast, rita)
    assert row.erased_at and row.object_key is None
    assert [key for key in store_of(cast).objects if str(row.id) in key] == []
    assert not cast.wiring.keys.exists(KeyPath(cast.account, cast.researcher, f"transcript-{row.id}"))
    assert await served(cast, rita) == before
    owner = await cast.browser("owner")
    assert "no participant agrees to it any more" in (await owner.get("/erasures")).text


@pytest.mark.parametrize("kind", [*SAID, None])
async def test_a_members_words_stay_while_somebody_agrees(
    cast: Cast, rita: RecordingId, ben: PersonId, nodes: SpyNodes, kind: ConsentKind | None
) -> None:
    if kind is None:
        await run(cast, await ask(cast, cast.participant.participant), nodes)
    else:
        await take_back(cast, kind)
    assert (await words_of(cast, rita))[0] == 200 and await of_rita(cast) == []
    await take_back(cast, ConsentKind.TRANSCRIPT, ben)
    assert (await words_of(cast, rita))[0] == 404 and len(await of_rita(cast)) == 1


async def test_a_members_words_stay_when_a_picture_is_taken_back(cast: Cast, rita: RecordingId) -> None:
    await take_back(cast, ConsentKind.VIDEO)
    assert (await words_of(cast, rita))[0] == 200 and await of_rita(cast) == []
