"""J4-21: kept until the owner's date or until somebody asks; past the date nobody sees it, swept or not."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta

import pytest

from app.accounts.models import Role
from app.mail.models import OutgoingMail
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Erasure, ErasureReason
from app.sessions.models import Recording, RecordingState, Session, Transcript, TranscriptState
from app.sessions.policy import RecordingFacts, due, readable
from app.sessions.service import recording_ref
from app.studies.models import DEFAULT_RETENTION_DAYS, Study
from recordings.encryption.keystore import KeyDestroyed
from recordings.model import RecordingRef
from recordings.storage.layout import recording_prefix, transcript_key_path
from tests.promises.test_j4_contacts import STUDY_FORM
from tests.promises.world import World

ENDED = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MOMENTS = [
    ENDED,
    datetime(2028, 2, 29, 0, 30, tzinfo=UTC),  # a leap day
    datetime(2027, 3, 28, 0, 59, tzinfo=UTC),  # the hour before European clocks jump
    datetime(2027, 10, 31, 0, 59, tzinfo=UTC),  # and before they fall back
    datetime(2027, 12, 31, 23, 59, tzinfo=UTC),
]


def facts(**more: object) -> RecordingFacts:
    given = {"state": RecordingState.STORED, "created_at": ENDED, "session_ended_at": ENDED} | more
    return RecordingFacts(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("ended", MOMENTS)
@pytest.mark.parametrize("days", [1, 30, 365, 7305, 10958])
def test_j4_21_readable_until_the_second_it_is_due_and_not_one_longer(ended: datetime, days: int):
    one = facts(created_at=ended, session_ended_at=ended)
    until = due(one, days, ended)
    assert until == ended + timedelta(days=days)
    assert readable(one, days, until - SECOND)
    assert not readable(one, days, until)
    assert not readable(one, days, until + timedelta(days=365))


def test_j4_21_without_a_policy_it_is_kept_until_somebody_asks():
    for years in (0, 1, 50):
        now = ENDED + timedelta(days=365 * years)
        assert due(facts(), None, now) is None
        assert readable(facts(), None, now)


def test_j4_21_a_hold_delays_erasing_and_never_makes_readable():
    held = facts(held_reason="a complaint", held_until=ENDED + timedelta(days=60))
    now = ENDED + timedelta(days=40)
    assert not readable(held, 30, now)
    assert due(held, 30, now) == ENDED + timedelta(days=60)


def test_j4_21_what_is_erased_does_not_come_back_when_the_date_is_moved():
    gone = facts(erased_at=ENDED, state=RecordingState.ERASED)
    for days in (None, 1, 3650):
        assert not readable(gone, days, ENDED)
        assert due(gone, days, ENDED) is None


def test_j4_21_many_policies_against_counting_by_hand():
    """5 000 random items in every state: never readable after the date, never due before it."""
    rng = random.Random(21)
    states = list(RecordingState)
    for _ in range(5_000):
        ended = ENDED + timedelta(minutes=rng.randrange(60 * 24 * 365 * 10))
        days = rng.choice([None, *range(1, 400)])
        hold = rng.choice([None, None, "complaint"])
        review = ended + timedelta(days=rng.randrange(800)) if hold and rng.random() < 0.7 else None
        one = facts(
            state=rng.choice(states), session_ended_at=ended, created_at=ended, held_reason=hold, held_until=review
        )
        now = ended + timedelta(seconds=rng.randrange(60 * 60 * 24 * 900))
        past = days is not None and (now - ended).total_seconds() >= days * 86_400
        held = hold is not None and (review is None or now < review)
        if past or one.state is not RecordingState.STORED:
            assert not readable(one, days, now)
        else:
            assert readable(one, days, now)
        moment = due(one, days, now)
        if days is None or (held and review is None):
            assert moment is None
        elif not held:
            assert moment is not None and (moment <= now) == past


async def old_recording(world: World, days: int) -> RecordingRef:
    """Recorded, transcribed, and the session ended `days` ago."""
    transcript = await world.transcribed(world.anna)
    then = datetime.now(UTC) - timedelta(days=days)
    await world.change(world.lab, Session, world.lab.session, ended_at=then)
    await world.change(world.lab, Recording, transcript.recording_id, created_at=then)
    [row] = await world.rows(world.lab, Recording)
    return recording_ref(row)


async def status(world: World, ref: RecordingRef) -> int:
    owner = await world.member(world.lab)
    return (await owner.http.get(f"/recordings/{ref.recording}/media")).status_code


async def test_j4_21_past_its_date_it_is_unreadable_though_no_worker_runs(world: World):
    ref = await old_recording(world, DEFAULT_RETENTION_DAYS)
    assert await status(world, ref) == 404
    owner = await world.member(world.lab)
    assert (await owner.http.get(f"/recordings/{ref.recording}/transcript/txt")).status_code == 404
    assert list(world.wiring.store.list(recording_prefix(ref)))  # still there, and seen by nobody
    assert "saffron" not in (await owner.open(f"/sessions/{world.lab.session}/review")).html


async def test_j4_21_the_sweep_destroys_it_with_its_transcript_and_certifies(world: World):
    ref = await old_recording(world, DEFAULT_RETENTION_DAYS)
    assert await sweep(world.wiring, datetime.now(UTC)) >= 1
    await world.work()
    [erasure] = await world.rows(world.lab, Erasure)
    assert (erasure.reason, erasure.state) == (ErasureReason.RETENTION, "complete")
    assert "retention policy version 1" in erasure.instruction
    assert list(world.wiring.store.remains(recording_prefix(ref))) == []
    [transcript] = await world.rows(world.lab, Transcript)
    assert transcript.state == TranscriptState.ERASED
    with pytest.raises(KeyDestroyed):
        world.wiring.keys.unwrap(transcript_key_path(ref, transcript.id))
    assert await sweep(world.wiring, datetime.now(UTC)) == 0  # and once is enough


async def test_j4_21_one_day_before_the_sweep_leaves_it_alone(world: World):
    ref = await old_recording(world, DEFAULT_RETENTION_DAYS - 1)
    assert await sweep(world.wiring, datetime.now(UTC)) == 0
    assert await status(world, ref) == 200


async def test_j4_21_a_clock_that_jumps_destroys_nothing_early(world: World):
    """The database's clock decides what is seen; a sweep called with a clock a year ahead is the danger."""
    ref = await old_recording(world, 10)
    assert await sweep(world.wiring, datetime.now(UTC) - timedelta(days=365)) == 0
    assert await status(world, ref) == 200


async def test_j4_21_without_a_policy_the_sweep_never_comes(world: World):
    ref = await old_recording(world, 5000)
    await world.change(world.lab, Study, world.lab.study, retention_days=None)
    assert await sweep(world.wiring, datetime.now(UTC)) == 0
    assert await status(world, ref) == 200


async def test_j4_21_a_shorter_policy_holds_for_what_is_old_and_a_longer_one_revives_nothing(world: World):
    ref = await old_recording(world, 40)
    await shorten(world, "30")
    assert await status(world, ref) == 404
    await sweep(world.wiring, datetime.now(UTC))
    await retain(world, "3000")
    assert await status(world, ref) == 404
    await world.work()
    assert await status(world, ref) == 404
    assert list(world.wiring.store.remains(recording_prefix(ref))) == []


async def test_j4_21_how_long_is_the_owners_decision_alone(world: World):
    researcher = await world.member(world.lab, Role.RESEARCHER)
    await world.post(researcher, f"/studies/{world.lab.study}/edit", STUDY_FORM | {"retention_days": "3000"})
    [study] = await world.rows(world.lab, Study)
    assert study.retention_days == DEFAULT_RETENTION_DAYS


async def test_j4_21_shortening_shows_first_what_it_would_erase(world: World):
    ref = await old_recording(world, 40)
    listed = await retain(world, "30")  # the first press shows, the second one acts
    assert await status(world, ref) == 200
    owner = await world.member(world.lab)
    shown = await owner.open(listed)
    assert "This erases 1 recording now" in shown.words and "Kitchens of the north: first visit" in shown.words
    assert "Nothing has been changed yet" in shown.words
    [study] = await world.rows(world.lab, Study)
    assert (study.retention_days, study.retention_version) == (DEFAULT_RETENTION_DAYS, 1)
    await shorten(world, "30")
    assert await status(world, ref) == 404
    await sweep(world.wiring, datetime.now(UTC))
    await world.work()
    [erasure] = await world.rows(world.lab, Erasure)
    assert "retention policy version 2" in erasure.instruction and erasure.recording_ids == [ref.recording]


async def test_j4_21_what_came_into_reach_since_the_list_was_shown_is_listed_again(world: World):
    ref = await old_recording(world, 40)
    seal = await seen(world, "30")
    await world.change(world.lab, Session, world.lab.session, ended_at=datetime.now(UTC))
    path = f"/studies/{world.lab.study}/retention"
    owner = await world.member(world.lab)
    again = await world.post(owner, path, {"keep": "days", "days": "30", "seen": seal})
    assert again.status_code == 200 and "Nothing would be erased now" in again.text
    [study] = await world.rows(world.lab, Study)
    assert study.retention_days == DEFAULT_RETENTION_DAYS
    assert await status(world, ref) == 200


async def test_j4_21_the_owner_is_told_before_something_is_erased_by_its_date(world: World):
    ref = await old_recording(world, DEFAULT_RETENTION_DAYS - 3)
    for _ in range(3):
        await sweep(world.wiring, datetime.now(UTC))
    told = await world.rows(world.lab, OutgoingMail, OutgoingMail.person_id == world.lab.owner)
    assert len(told) == 1
    [mail] = await world.mails(world.lab, person=world.lab.owner)
    assert "first visit" in mail.text and "/retention" in mail.text and "hold" in mail.text and "Anna" not in mail.text
    await sweep(world.wiring, datetime.now(UTC) + timedelta(days=1))  # one mail, not one a day
    assert len(await world.rows(world.lab, OutgoingMail, OutgoingMail.person_id == world.lab.owner)) == 1
    assert await status(world, ref) == 200


async def test_j4_21_a_worker_that_is_off_raises_an_alarm(world: World):
    """On the page of health, which anybody may watch; doctor tells it too (tests/app/test_doctor_running.py)."""
    await old_recording(world, DEFAULT_RETENTION_DAYS + 2)  # two days late, and nobody came
    answer = await world.browser().http.get("/health")
    assert answer.json().get("sweep") == "late"


async def test_j4_21_no_alarm_before_a_whole_day_is_lost(world: World):
    await old_recording(world, DEFAULT_RETENTION_DAYS)  # due today: the sweep comes every minute
    assert "sweep" not in (await world.browser().http.get("/health")).json()


async def test_j4_21_the_shortest_of_account_study_and_session_counts(world: World):
    """The account's limit shortens its studies, listed first; a session may keep shorter than its study."""
    ref = await old_recording(world, 40)
    owner = await world.member(world.lab)
    limit = {"keep": "days", "days": "60"}
    listed = await world.post(owner, "/retention/account", limit)
    assert listed.status_code == 200 and "Nothing would be erased now" in listed.text
    await world.post(owner, "/retention/account", limit | {"seen": seal_of(listed.text)})
    [study] = await world.rows(world.lab, Study)
    assert study.retention_days == 60
    longer = await world.post(owner, f"/studies/{world.lab.study}/retention", {"keep": "days", "days": "90"})
    assert longer.status_code == 422 and "nothing longer than 60 days" in longer.text
    session = f"/sessions/{world.lab.session}/retention"
    listed = await world.post(owner, session, {"keep": "days", "days": "30"})
    assert "This erases 1 recording now" in listed.text and await status(world, ref) == 200
    acted = await world.post(owner, session, {"keep": "days", "days": "30", "seen": seal_of(listed.text)})
    assert acted.status_code == 303 and await status(world, ref) == 404


async def retain(world: World, days: str) -> str:
    """The study's form; where it leads."""
    owner = await world.member(world.lab)
    kinds = ["video", "audio", "screen", "transcript"]
    form = STUDY_FORM | {"kinds": kinds, "retention": "days", "retention_days": days}
    answer = await world.post(owner, f"/studies/{world.lab.study}/edit", form)
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def seen(world: World, days: str) -> str:
    """What stands for the list that was shown."""
    owner = await world.member(world.lab)
    return seal_of((await owner.open(await retain(world, days))).html)


async def shorten(world: World, days: str) -> None:
    """Both presses."""
    values = {"keep": "days", "days": days, "seen": await seen(world, days)}
    owner = await world.member(world.lab)
    assert (await world.post(owner, f"/studies/{world.lab.study}/retention", values)).status_code == 303


def seal_of(html: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', html)
    assert found
    return found[1]
