"""J4-21, kind by kind: what goes before the rest is unseen the moment its date has come, destroyed with a certificate,
and leaves the rest alone; the shortest of account, study, session and participant counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.accounts.models import Account, Role, Scope
from app.invitations.models import Invitation
from app.participants.models import Participant
from app.privacy.erasing.overdue import overdue
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Erasure, ErasureReason, SessionDue
from app.sessions.models import Recording, Session, Track
from app.sessions.response_models import Response
from app.sessions.service import recording_ref, track_ref
from app.studies.models import Study
from recordings.encryption.keystore import KeyDestroyed
from recordings.model import RecordingRef
from recordings.storage.layout import track_key_path, track_prefix
from tests.promises.test_j4_retention import old_recording, seal_of, status
from tests.promises.world import ANSWERED, World, answer_after_the_session

KINDS = ("video", "audio", "screen", "transcript", "answers")


async def set_days(world: World, path: str, days: str = "", **kinds: str) -> str:
    """Both presses of a form of keeping, where there are two; what the first one listed."""
    owner = await world.member(world.lab)
    form = {"keep": "days" if days else "other", "days": days} | {f"days_{kind}": "" for kind in KINDS}
    form |= {f"days_{kind}": value for kind, value in kinds.items()}
    listed = await world.post(owner, path, form)
    if listed.status_code == 303:
        return ""
    assert listed.status_code == 200, listed.text
    acted = await world.post(owner, path, form | {"seen": seal_of(listed.text)})
    assert acted.status_code == 303, acted.text
    return listed.text


def of_study(world: World) -> str:
    return f"/studies/{world.lab.study}/retention"


async def words(world: World) -> bool:
    owner = await world.member(world.lab)
    return "saffron" in (await owner.open(f"/sessions/{world.lab.session}/review")).html


async def kinds_served(world: World, ref: RecordingRef) -> set[str]:
    return {kind for kind, packets in (await world.served(ref)).items() if packets}


async def test_j4_21_a_kind_past_its_date_is_unseen_at_once_and_the_rest_plays_on(world: World):
    ref = await old_recording(world, 40)
    assert await kinds_served(world, ref) == {"video", "audio"}
    listed = await set_days(world, of_study(world), "180", video="30")
    assert "camera picture: 1 recording" in listed and "This erases 0 recordings" in listed
    assert await kinds_served(world, ref) == {"audio"}  # no sweep has run
    assert await words(world)


async def test_j4_21_the_sweep_destroys_that_kind_alone_and_certifies_it(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, of_study(world), "180", video="30")
    assert await sweep(world.wiring, datetime.now(UTC)) == 1
    await world.work()
    [erasure] = await world.rows(world.lab, Erasure)
    assert (erasure.reason, erasure.state, erasure.track_kinds) == (ErasureReason.RETENTION, "complete", ["camera"])
    assert "retention policy version 2" in erasure.instruction
    for track in await world.rows(world.lab, Track):
        path, left = (
            track_key_path(track_ref(ref, track)),
            list(world.wiring.store.list(track_prefix(track_ref(ref, track)))),
        )
        if track.kind == "camera":
            assert left == [] and track.erased_at is not None
            with pytest.raises(KeyDestroyed):
                world.wiring.keys.unwrap(path)
        else:
            assert left and world.wiring.keys.unwrap(path)
    assert await kinds_served(world, ref) == {"audio"} and await words(world)
    assert await sweep(world.wiring, datetime.now(UTC)) == 0


async def test_j4_21_not_a_second_before(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, of_study(world), "180", video="41")
    [session] = await world.rows(world.lab, Session)
    due = session.ended_at + timedelta(days=41)
    assert await sweep(world.wiring, due - timedelta(seconds=1)) == 0
    assert await kinds_served(world, ref) == {"video", "audio"}
    assert await sweep(world.wiring, due) == 1


async def test_j4_21_words_have_a_clock_and_go_with_their_voice(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, of_study(world), "180", transcript="30")
    assert not await words(world) and await kinds_served(world, ref) == {"video", "audio"}
    await set_days(world, of_study(world), "180", audio="30", transcript="170")
    assert not await words(world) and await kinds_served(world, ref) == {"video"}
    await sweep(world.wiring, datetime.now(UTC))
    await world.work()
    [transcript] = await world.transcripts(world.lab)
    assert transcript.erased_at is not None


async def test_j4_21_when_every_kind_is_past_nothing_is_left(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, of_study(world), "", video="30", audio="20")
    assert await status(world, ref) in (404, 410)
    await sweep(world.wiring, datetime.now(UTC))
    await world.work()
    [row] = await world.rows(world.lab, Recording)
    assert row.state == "erased"


async def test_j4_21_answers_have_a_clock(world: World):
    await old_recording(world, 40)
    await answer_after_the_session(world, world.anna)
    await set_days(world, of_study(world), "180", answers="30")
    owner = await world.member(world.lab)
    assert ANSWERED not in (await owner.open(f"/sessions/{world.lab.session}")).html
    assert await sweep(world.wiring, datetime.now(UTC)) == 1
    await world.work()
    [response] = await world.rows(world.lab, Response)
    assert response.erased_at is not None
    [row] = await world.rows(world.lab, Recording)
    assert row.erased_at is None


async def test_j4_21_a_longer_time_for_a_kind_revives_nothing(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, of_study(world), "180", video="30")
    await sweep(world.wiring, datetime.now(UTC))
    await set_days(world, of_study(world), "180", video="170")
    assert await kinds_served(world, ref) == {"audio"}
    await world.work()
    assert await kinds_served(world, ref) == {"audio"}


async def test_j4_21_a_hold_keeps_a_kind_and_its_end_lets_it_go(world: World):
    ref = await old_recording(world, 40)
    await world.change(world.lab, Recording, ref.recording, held_reason="complaint")
    listed = await set_days(world, of_study(world), "180", video="30")
    assert "1 recording stays whatever the date" in listed
    assert await sweep(world.wiring, datetime.now(UTC)) == 0
    assert await kinds_served(world, ref) == {"audio"}  # kept, and seen by nobody
    await world.change(world.lab, Recording, ref.recording, held_reason=None)
    assert await sweep(world.wiring, datetime.now(UTC)) == 1


async def test_j4_21_what_is_restricted_keeps_all_its_kinds(world: World):
    ref = await old_recording(world, 40)
    await world.change(world.lab, Recording, ref.recording, restricted_at=datetime.now(UTC))
    await set_days(world, of_study(world), "180", video="30")
    assert await sweep(world.wiring, datetime.now(UTC)) == 0


async def test_j4_21_of_all_levels_the_shortest_counts_for_a_kind(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, "/retention/account", "", video="60")
    [study] = await world.rows(world.lab, Study)
    assert study.periods == {"video": 60}
    await set_days(world, of_study(world), "180", video="300")  # more than the account allows
    [study] = await world.rows(world.lab, Study)
    assert study.periods == {"video": 60} and await kinds_served(world, ref) == {"video", "audio"}
    await set_days(world, f"/sessions/{world.lab.session}/retention", "", video="30")
    assert await kinds_served(world, ref) == {"audio"}


async def test_j4_21_one_person_is_kept_shorter_and_nobody_else(world: World):
    """Also what is recorded of them from then on."""
    await set_days(world, f"/retention/participants/{world.anna.person}", "20", video="10")
    mine = await world.record(await world.registered(world.anna))
    theirs = await world.record(await world.registered(world.ben))
    await world.end(world.lab)
    [session] = await world.rows(world.lab, Session)
    assert await sweep(world.wiring, session.ended_at + timedelta(days=10)) == 1
    assert await sweep(world.wiring, session.ended_at + timedelta(days=20)) >= 1
    asked = {one for erasure in await world.rows(world.lab, Erasure) for one in erasure.recording_ids}
    assert asked == {mine.recording}
    assert await status(world, theirs) == 200


async def test_j4_21_how_long_a_person_is_kept_is_the_owners_decision_alone(world: World):
    path, form = f"/retention/participants/{world.anna.person}", {"keep": "days", "days": "5"}
    for browser, expected in (
        (await world.member(world.lab, Role.RESEARCHER), {403}),
        (await world.member(world.lab, Role.OBSERVER), {403}),
        (await world.member(world.other), {404}),
        (await world.guest(world.anna), {401, 403, 404}),
        (await world.guest(world.ben, Scope.ROOM), {401, 403, 404}),
        (world.browser(), {401, 303}),
    ):
        assert (await world.post(browser, path, form)).status_code in expected
        shown = await browser.http.get(path, follow_redirects=False)
        assert shown.status_code in expected and "Anna" not in shown.text
    [anna] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    assert anna.periods == {}


@pytest.mark.parametrize("days", ["0", "-1", "10959", "ten", "1e3"])
async def test_j4_21_a_number_that_is_none_changes_nothing(world: World, days: str):
    owner = await world.member(world.lab)
    answer = await world.post(owner, of_study(world), {"keep": "days", "days": "180", "days_video": days})
    assert answer.status_code == 422 and "whole number from 1 to 10958" in answer.text
    [study] = await world.rows(world.lab, Study)
    assert study.periods == {}


async def test_j4_21_the_participant_reads_the_date_of_each_kind(world: World):
    await old_recording(world, 1)
    await set_days(world, of_study(world), "180", video="30", answers="9")
    [session] = await world.rows(world.lab, Session)
    guest = await world.guest(world.anna)
    shown = (await guest.open("/my-data")).words
    goes = session.ended_at + timedelta(days=30)
    assert f"camera picture on {goes.day} {goes:%B %Y}" in shown and "voice on" not in shown
    notice = (await guest.open(f"/take-part/{world.lab.session}/notice")).words
    assert "camera picture: 30 days" in notice and "180 days after the session" in notice
    assert "answers" not in notice.split("goes earlier")[1].split(".")[0]  # nothing is asked in this study


async def test_j4_21_the_owner_is_told_before_a_kind_goes(world: World):
    ref = await old_recording(world, 27)
    await set_days(world, of_study(world), "180", video="30")
    await sweep(world.wiring, datetime.now(UTC))
    [mail] = await world.mails(world.lab, person=world.lab.owner)
    assert "first visit" in mail.text and "hold" in mail.text
    [row] = await world.rows(world.lab, Recording)
    [session] = await world.rows(world.lab, Session)
    assert row.announced_for == session.ended_at + timedelta(days=30)
    [kept] = await world.rows(world.lab, SessionDue)
    assert kept.due == row.announced_for
    assert await kinds_served(world, ref) == {"video", "audio"}


async def test_j4_21_a_kind_that_is_late_by_a_day_raises_the_alarm(world: World):
    """Also when its erasure was asked for and does not come to its end."""
    await old_recording(world, 40)
    await set_days(world, of_study(world), "180", video="30")
    now = datetime.now(UTC)
    assert await overdue(world.wiring.database, now) is not None
    await sweep(world.wiring, now)
    assert await overdue(world.wiring.database, now) is not None
    await world.work()
    assert await overdue(world.wiring.database, now) is None


async def test_j4_21_names_and_addresses_go_once_nothing_else_is_kept(world: World):
    ref = await old_recording(world, 40)
    await set_days(world, "/retention/account", "", contact="400")
    [account] = await world.rows(world.lab, Account)
    assert account.periods == {"contact": 400}
    later = datetime.now(UTC) + timedelta(days=500)
    await world.change(world.lab, Study, world.lab.study, retention_days=None)
    await sweep(world.wiring, later)
    gone = {one.person_id for one in await world.rows(world.lab, Erasure)}
    assert gone == {world.ben.person}  # of Anna something is kept
    await world.change(world.lab, Study, world.lab.study, retention_days=30)
    await sweep(world.wiring, later)
    await world.work()
    await sweep(world.wiring, later)
    await world.work()
    for person in await world.rows(world.lab, Participant):
        assert (person.name, person.email, person.email_index) == (None, None, None)
    assert list(world.wiring.store.remains(f"{ref.account}")) == [] or await status(world, ref) == 404


async def test_j4_21_names_and_addresses_stay_before_their_date_and_without_one(world: World):
    listed = await set_days(world, "/retention/account", "", contact="30")
    assert "Nothing would be erased now" in listed
    assert await sweep(world.wiring, datetime.now(UTC) + timedelta(days=29)) == 0
    await set_days(world, "/retention/account", "", contact="")
    assert await sweep(world.wiring, datetime.now(UTC) + timedelta(days=3000)) == 0


async def test_j4_21_an_unfinished_recording_loses_its_kind_too(world: World):
    """Failed, stuck in capture, or never made ready: the date comes all the same."""
    ref = await old_recording(world, 40)
    await set_days(world, of_study(world), "180", video="30")
    for number, state in enumerate(("failed", "capturing", "captured")):
        await world.change(world.lab, Recording, ref.recording, state=state)
        for track in await world.rows(world.lab, Track, Track.kind == "camera"):
            await world.change(world.lab, Track, track.id, closed_at=None)
        assert await sweep(world.wiring, datetime.now(UTC)) >= 1
        assert len(await world.rows(world.lab, Erasure)) == number + 1
    assert recording_ref((await world.rows(world.lab, Recording))[0]) == ref


async def test_j4_21_names_and_addresses_that_would_go_are_counted_first(world: World):
    then = datetime.now(UTC) - timedelta(days=90)
    for guest in (world.anna, world.ben):
        await world.change(world.lab, Participant, guest.person, created_at=then)
        await world.change(world.lab, Invitation, guest.invitation, created_at=then, expires_at=then)
    listed = await set_days(world, "/retention/account", "", contact="60")
    assert "names and addresses of 2 people go now" in listed
    assert await sweep(world.wiring, datetime.now(UTC)) == 2
