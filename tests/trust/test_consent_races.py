"""Recording and consent change in every order, and no frame is stored that no consent covered (J4-07, J4-19e).

The first three are the ways into a recorded room without having agreed that were found in another system (greenlight
3031): recording is switched on after the waiting page, after the join page, and something is switched off after the
start. The last one lets chance choose: CONSENT_RUNS=… how many times, TRIAL_SEED=… where to begin.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.database import Database
from app.studies.models import ConsentKind
from recordings.model import PersonId, TrackKind
from tests.hostile import trial
from tests.trust.arena import BOTH, CAMERA, VOICE, Arena, arena

pytestmark = pytest.mark.timeout(600)

VIDEO, AUDIO = ConsentKind.VIDEO, ConsentKind.AUDIO
CLICKS = ("let in", "agree", "withdraw", "pause", "mine", "connect", "connect", "lose", "rare")


@pytest.fixture
async def room(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Arena]:
    async with arena(database, tmp_path, monkeypatch) as made:
        yield made


async def stored(room: Arena) -> dict[PersonId, set[TrackKind]]:
    """Ends the session and holds what is stored against the oracle, before and after what was withdrawn is erased.
    Returns which kinds of whom are there at last."""
    await room.finish()
    oracle, before = room.oracle, await room.kept()
    assert not oracle.told(oracle.forbidden() & before), "stored, and no consent covered it"
    assert not oracle.told(oracle.required() - before), "covered by a consent, and lost"
    await room.erase()
    after = await room.kept()
    assert not oracle.told(oracle.withdrawn & after), "withdrawn, and still there"
    assert not oracle.told(oracle.required() - after), "not withdrawn, and gone"
    there: dict[PersonId, set[TrackKind]] = {}
    for one in oracle.told(after):
        there.setdefault(one.person, set()).add(one.kind)
    return there


async def test_recording_that_is_switched_on_after_the_waiting_page_keeps_what_was_agreed_to(room: Arena) -> None:
    none = await room.guest("Nora")
    some = await room.guest("Sara", VIDEO)
    all_ = await room.guest("Anna", VIDEO, AUDIO)
    await room.lead("open")
    assert await room.connect(all_) == 403, "the waiting page sends nothing"
    await room.lead("start")
    for person in (none, some, all_):
        await room.admit(person)
    assert await room.connect(none, BOTH) == 403
    assert await room.connect(some, BOTH) == 403, "sound was not agreed to"
    await room.connect(some)
    await room.connect(all_)
    await room.go_on(2)
    assert await stored(room) == {some: {CAMERA}, all_: {CAMERA, VOICE}}


async def test_a_text_that_changes_after_the_waiting_page_asks_again_before_anything_is_kept(room: Arena) -> None:
    anna = await room.guest("Anna", VIDEO, AUDIO)
    await room.lead("open")
    await room.new_text("We also look into your cupboards.")
    await room.go_on(0.5)
    await room.lead("start")
    await room.admit(anna)
    assert await room.connect(anna, BOTH) == 403
    await room.go_on(1)
    await room.agree(anna, VIDEO)
    await room.connect(anna)
    await room.go_on(1)
    assert await stored(room) == {anna: {CAMERA}}


async def test_recording_that_is_switched_on_after_the_join_page_keeps_what_was_agreed_to(room: Arena) -> None:
    """Everybody is inside and sends, and nothing is recorded yet; one agreed to another text."""
    some = await room.guest("Sara", AUDIO, admitted=True)
    anna = await room.guest("Anna", VIDEO, AUDIO, admitted=True)
    await room.lead("open")
    for person in (some, anna):
        await room.connect(person)
    await room.go_on(2)
    await room.new_text("We also look into your cupboards.")
    await room.go_on(0.5)
    await room.agree(some, AUDIO)
    await room.lead("start")
    await room.go_on(2)
    assert await stored(room) == {some: {VOICE}}


async def test_what_is_switched_off_after_the_start_stops_and_everything_else_goes_on(room: Arena) -> None:
    """By the participant for one kind, by a participant for a while, by the researcher for all, and by a mail that
    never reaches the media process at first."""
    anna = await room.guest("Anna", VIDEO, AUDIO, admitted=True)
    ben = await room.guest("Ben", VIDEO, AUDIO, admitted=True)
    await room.lead("open")
    await room.connect(anna)
    await room.connect(ben)
    await room.lead("start")
    await room.go_on(1)
    await room.withdraw(anna, AUDIO)
    await room.go_on(1)
    await room.pause_mine(ben, paused=True)
    await room.go_on(1)
    await room.pause_mine(ben, paused=False)
    await room.lead("pause")
    await room.go_on(1)
    await room.lead("resume")
    room.wire.cut = True
    await room.withdraw(ben, VIDEO)
    room.wire.cut = False
    await room.go_on(2)
    assert await stored(room) == {anna: {CAMERA}, ben: {VOICE}}


async def test_the_oracle_notices_a_frame_that_nothing_covered(room: Arena) -> None:
    """A recorder that is told to go on although the consent is gone."""
    anna = await room.guest("Anna", VIDEO, AUDIO, admitted=True)
    await room.lead("open")
    await room.connect(anna)
    await room.lead("start")
    await room.go_on(1)
    await room.withdraw(anna, AUDIO)
    room.media.lines[anna].sink.permit(BOTH, "whatever was clicked")
    room._send(0.3)
    with pytest.raises(AssertionError, match="no consent covered it"):
        await stored(room)


async def test_in_whatever_order_people_click_nothing_is_stored_that_was_not_covered(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, covers = trial.seed(), Counter[bool | None]()
    for number in range(trial.times("CONSENT_RUNS", 2)):
        seed = first + number
        async with arena(database, tmp_path / str(seed), monkeypatch) as room:
            room.chance = random.Random(seed)
            await click_about(room, steps=20)
            await stored(room)
            here = Counter(one.covered for one in room.oracle.sent)
            covers += here
            trial.note(
                "interleavings",
                seed=seed,
                media_s=round(room.seconds, 1),
                covered=here[True],
                uncovered=here[False],
                on_the_way=here[None],
                withdrawn=len(room.oracle.withdrawn),
                stored_uncovered=0,
            )
    assert number < 9 or min(covers[True], covers[False], covers[None]) > 0, "chance made nothing of it"


async def click_about(room: Arena, *, steps: int) -> None:
    """Two people and a researcher do whatever their pages let them do, most often from inside a recorded room."""
    people = []
    for name in ("Anna", "Ben"):
        kinds = [kind for kind in (VIDEO, AUDIO) if room.chance.random() < 0.8]
        people.append(await room.guest(name, *kinds, admitted=room.chance.random() < 0.8))
    await room.lead("open")
    if begun := room.chance.random() < 0.7:
        await room.lead("start")
    for person in people:
        await room.connect(person)
    for _ in range(steps):
        person, kind = room.chance.choice(people), room.chance.choice([VIDEO, AUDIO])
        will, recording = room.oracle.now.of[person], room.oracle.now.recording
        room.wire.cut = room.chance.random() < 0.15
        match room.chance.choice(CLICKS):
            case "let in":
                await room.admit(person)
            case "agree":
                await room.agree(person, kind)
            case "withdraw" if (CAMERA if kind is VIDEO else VOICE) in will.consents:
                await room.withdraw(person, kind)
            case "pause" | "mine" if not recording:
                await room.lead("resume" if begun else "start")
                begun = True
            case "pause":
                await room.lead("pause")
            case "mine":
                await room.pause_mine(person, paused=not will.paused)
            case "connect":
                await room.connect(person, room.chance.choice([None, None, frozenset({VOICE}), BOTH]))
            case "lose":
                room.lose(person)
            case "rare" if room.chance.random() < 0.3:
                await room.new_text(f"Now we ask for something else, {room.chance.random()}.")
            case _:
                await room.erase()
        room.wire.cut = False
        room.say_again()
        await room.go_on(room.chance.choice([0.0, 0.1, 0.5, 1.0]))
