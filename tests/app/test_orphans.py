"""Objects without rows go after a day, rows without objects say so; nothing that is in use is touched."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import delete, select, update

from app.audit import Action, AuditEvent
from app.privacy.erasing.orphans import AT_ONCE, EVERY, MANY, SAFE_AGE, Alone, Kind, Look, Reaped, at_turn, look, reap
from app.privacy.erasing.standing import NotShown
from app.restoring import begin_anew
from app.sessions.models import Recording, RecordingState, Session, SessionState, Take, Track, Transcript
from app.sessions.service import recording_ref, track_ref
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import RecordingId, TrackRef
from recordings.storage.layout import index_key_path, recording_prefix, root_key_path, root_of, track_prefix
from recordings.storage.memory import MemoryStore
from recordings.storage.store import StoreUnavailable
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast
from tests.fixtures.weed import Weed

NOW = datetime.now(UTC) + timedelta(days=3)  # what was stored just now is old enough
NEXT_DAY = NOW + SAFE_AGE


class Place:
    """The cast on a store with two recordings; `lost` had its rows, `kept` has them."""

    def __init__(self, cast: Cast, lost: RecordingId, kept: RecordingId) -> None:
        self.cast, self.lost, self.kept = cast, lost, kept

    @property
    def wiring(self):  # type: ignore[no-untyped-def]
        return self.cast.wiring

    async def row(self, recording: UUID) -> Recording:
        async with self.wiring.database.transaction(self.cast.account) as db:
            return await db.get_one(Recording, recording)

    async def tracks(self, recording: UUID) -> list[TrackRef]:
        async with self.wiring.database.transaction(self.cast.account) as db:
            row = await db.get_one(Recording, recording)
            rows = await db.scalars(select(Track).where(Track.recording_id == recording))
            return [track_ref(recording_ref(row), one) for one in rows]

    async def forget(self, recording: UUID) -> list[TrackRef]:
        """Its rows are gone, as after a restore of an older backup; returns what its objects belonged to."""
        tracks = await self.tracks(recording)
        async with self.wiring.database.transaction(self.cast.account) as db:
            await db.execute(delete(Transcript).where(Transcript.recording_id == recording))
            await db.execute(delete(Track).where(Track.recording_id == recording))
            await db.execute(delete(Take).where(Take.recording_id == recording))
            await db.execute(delete(Recording).where(Recording.id == recording))
        return tracks

    async def change(self, **values: object) -> None:
        async with self.wiring.database.transaction(self.cast.account) as db:
            await db.execute(update(Recording).where(Recording.id == self.kept).values(**values))

    async def look(self, now: datetime = NOW) -> Look:
        return await look(self.wiring, now)

    async def alone(self, now: datetime = NOW) -> dict[str, Kind]:
        """Of this test's account: other tests leave things in the same bucket."""
        return {
            one.place: one.kind
            for one in (await self.look(now)).alone
            if one.place.startswith(str(self.cast.account)) or one.kind is Kind.ROW
        }

    async def reap(self, now: datetime) -> Reaped:
        return await reap(self.wiring, now)


@pytest.fixture
async def place(cast: Cast, weed: Weed, tmp_path: Path) -> AsyncIterator[Place]:
    """On a bucket that keeps versions: what is deleted carelessly only hides."""
    on_weed = replace(cast, wiring=replace(cast.wiring, store=weed.store(weed.versioned)))
    person = cast.participant.participant
    lost = await stored_recording(on_weed, tmp_path, person=person, transcript=True)
    kept = await stored_recording(
        on_weed, tmp_path, person=cast.other_participant.participant, session=cast.other_session, transcript=True
    )
    made = Place(on_weed, lost, kept)
    assert await made.alone() == {}
    yield made
    store = weed.store(weed.versioned)
    store.delete(list(store.remains(f"{cast.account}/")))


async def test_objects_without_a_row_go_after_a_day_with_keys_versions_and_uploads(place: Place, weed: Weed) -> None:
    tracks = await place.forget(place.lost)
    ref, store = tracks[0].of, place.wiring.store
    prefix = recording_prefix(ref)
    segment = next(thing.key for thing in store.list(prefix) if "/s/" in thing.key)
    client = weed.client()
    client.delete_object(Bucket=weed.versioned, Key=segment)  # hides it and stays
    client.create_multipart_upload(Bucket=weed.versioned, Key=f"{track_prefix(tracks[0])}s/00009-000001")
    kinds = {thing.what for thing in store.remains(prefix)}
    assert kinds == {"object", "delete marker", "open upload"}

    found = await place.alone()
    assert set(found.values()) == {Kind.OBJECTS}
    assert len(found) == 4, "two tracks, the index and the transcript"
    others = {thing.key for thing in store.list(f"{place.cast.account}/") if not thing.key.startswith(prefix)}

    assert (await place.reap(NOW)).erased == 0, "one look proves nothing"
    assert (await place.reap(NEXT_DAY - timedelta(seconds=1))).erased == 0
    assert list(store.remains(prefix)) != []
    assert await place.reap(NEXT_DAY) == Reaped(erased=4)
    assert list(store.remains(prefix)) == []
    assert not any(place.wiring.keys.exists(root_key_path(root)) for root in found)
    assert {thing.key for thing in store.list(f"{place.cast.account}/")} == others
    assert place.wiring.keys.exists(index_key_path(recording_ref(await place.row(place.kept))))
    assert await place.reap(NEXT_DAY + SAFE_AGE) == Reaped()
    async with place.wiring.database.transaction(place.cast.account) as db:
        [event] = await db.scalars(select(AuditEvent).where(AuditEvent.action == Action.ORPHANS_ERASED))
    assert event.facts["places"] == 4


async def test_what_came_late_for_an_erased_track_goes_and_the_rest_stays(place: Place) -> None:
    [gone] = [track for track in await place.tracks(place.kept) if track.kind == "voice"]
    async with place.wiring.database.transaction(place.cast.account) as db:
        await db.execute(update(Track).where(Track.id == gone.track).values(erased_at=NOW))
    assert await place.alone() == {track_prefix(gone): Kind.OBJECTS}
    await place.reap(NOW)
    assert (await place.reap(NEXT_DAY)).erased == 1
    assert list(place.wiring.store.remains(track_prefix(gone))) == []
    assert (await place.row(place.kept)).state == RecordingState.STORED


async def test_nothing_of_a_session_that_goes_on_is_touched(place: Place) -> None:
    await place.forget(place.lost)
    async with place.wiring.database.transaction(place.cast.account) as db:
        await db.execute(update(Session).where(Session.id == place.cast.session).values(state=SessionState.LIVE))
    assert await place.alone() == {}


@pytest.mark.parametrize("state", [RecordingState.CAPTURING, RecordingState.CAPTURED, RecordingState.FAILED])
async def test_what_is_captured_waits_or_failed_is_known_by_its_rows(place: Place, state: RecordingState) -> None:
    """Pieces may lie in a spool for days: neither its objects nor their absence say anything."""
    await place.change(state=state)
    assert await place.alone() == {}
    prefix = recording_prefix(recording_ref(await place.row(place.kept)))
    place.wiring.store.delete(list(place.wiring.store.remains(prefix)))
    assert await place.alone() == {}


async def test_a_row_that_comes_back_saves_its_objects(place: Place) -> None:
    """A newer backup was restored within the day."""
    [gone, *_] = await place.tracks(place.kept)
    async with place.wiring.database.transaction(place.cast.account) as db:
        await db.execute(update(Track).where(Track.id == gone.track).values(erased_at=NOW))
    await place.reap(NOW)
    async with place.wiring.database.transaction(place.cast.account) as db:
        await db.execute(update(Track).where(Track.id == gone.track).values(erased_at=None))
    assert await place.reap(NEXT_DAY) == Reaped()
    async with place.wiring.database.transaction(place.cast.account) as db:
        await db.execute(update(Track).where(Track.id == gone.track).values(erased_at=NOW))
    assert await place.reap(NEXT_DAY + timedelta(hours=4)) == Reaped(), "its day begins anew"


async def test_an_account_that_is_not_known_here_is_told_and_never_touched(place: Place, caplog) -> None:
    stranger, store = uuid4(), place.wiring.store
    key = f"{stranger}/{uuid4()}/{uuid4()}/{uuid4()}/{uuid4()}/s/00001-000000"
    notes = f"notes-{uuid4()}/of-somebody.txt"
    for one in (key, notes):
        store.put(one, b"bytes")
    told = {one.place: one.kind for one in (await place.look()).alone}
    assert told[root_of(key)] is Kind.FOREIGN and told[f"?{notes.partition('/')[0]}"] is Kind.FOREIGN
    await place.reap(NOW)
    with caplog.at_level(logging.WARNING):
        assert (await place.reap(NEXT_DAY + SAFE_AGE)).erased == 0
    assert str(stranger) in caplog.text
    assert {thing.key for one in (key, notes) for thing in store.list(one)} == {key, notes}
    store.delete([thing for one in (key, notes) for thing in store.remains(one)])


async def test_a_recording_whose_objects_are_gone_says_so_and_plays_again_when_they_are_back(place: Place) -> None:
    [voice] = [track for track in await place.tracks(place.kept) if track.kind == "voice"]
    store = place.wiring.store
    pieces = {thing.key: store.get(thing.key) for thing in store.list(track_prefix(voice))}
    store.delete(list(store.remains(track_prefix(voice))))
    assert await place.alone() == {track_prefix(voice): Kind.ROW}
    assert await place.reap(NOW) == Reaped()
    owner = await place.cast.browser("owner")
    address = f"/sessions/{place.cast.other_session}"
    assert "The file is missing" not in (await owner.get(address)).text
    assert await place.reap(NEXT_DAY) == Reaped(missed=1)
    assert await place.reap(NEXT_DAY + SAFE_AGE) == Reaped(), "told once"
    assert "The file is missing" in (await owner.get(address)).text
    assert (await owner.get(f"/recordings/{place.kept}/media")).status_code != 200
    for key, data in pieces.items():
        store.put(key, data)
    assert await place.reap(NEXT_DAY + SAFE_AGE) == Reaped(found=1)
    row = await place.row(place.kept)
    assert (row.state, row.failure_reason) == (RecordingState.STORED, None)
    assert "The file is missing" not in (await owner.get(address)).text


async def test_a_transcript_that_is_gone_says_so_and_the_recording_plays_on(place: Place) -> None:
    async with place.wiring.database.transaction(place.cast.account) as db:
        transcript = (await db.scalars(select(Transcript).where(Transcript.recording_id == place.kept))).one()
    store = place.wiring.store
    store.delete(list(store.remains(transcript.object_key or "")))
    await place.reap(NOW)
    assert await place.reap(NEXT_DAY) == Reaped(missed=1)
    owner = await place.cast.browser("owner")
    assert "The file is missing" in (await owner.get(f"/sessions/{place.cast.other_session}")).text
    assert (await place.row(place.kept)).state == RecordingState.STORED


async def test_what_is_younger_than_a_day_or_on_its_way_out_misses_nothing(place: Place) -> None:
    prefix = recording_prefix(recording_ref(await place.row(place.kept)))
    place.wiring.store.delete(list(place.wiring.store.remains(prefix)))
    assert set((await place.alone()).values()) == {Kind.ROW}
    assert await place.alone(datetime.now(UTC)) == {}
    await place.change(hidden_at=NOW)
    assert await place.alone() == {}


async def test_a_store_that_cannot_be_asked_proves_nothing(place: Place) -> None:
    class Silent(MemoryStore):
        def remains(self, prefix: str):  # type: ignore[no-untyped-def]
            raise StoreUnavailable

    silent = replace(place.wiring, store=Silent())
    for now in (NOW, NEXT_DAY):
        with pytest.raises(StoreUnavailable):
            await reap(silent, now)
    assert (await place.row(place.kept)).state == RecordingState.STORED


def strangers(place: Place, count: int) -> list[str]:
    """Objects of the account that no row knows, each under a root of its own; returns their keys."""
    keys = [f"{place.cast.account}/{uuid4()}/{uuid4()}/{uuid4()}/index-00001" for _ in range(count)]
    for key in keys:
        place.wiring.store.put(key, b"sealed")
    return keys


def there(place: Place, keys: list[str]) -> set[str]:
    return {thing.key for thing in place.wiring.store.list(f"{place.cast.account}/")} & set(keys)


async def test_where_most_of_an_account_seems_alone_nothing_goes_until_somebody_says_so(place: Place, caplog) -> None:
    """A backup that is far too old, or a database that shows too little, makes living recordings look alone."""
    keys = strangers(place, MANY + 1)
    assert set((await place.alone()).values()) == {Kind.OBJECTS}
    with caplog.at_level(logging.ERROR):
        assert await place.reap(NOW) == Reaped(waiting=MANY + 1)
    assert "junier erasure orphans" in caplog.text and str(place.cast.account) in caplog.text
    assert await place.reap(NEXT_DAY) == Reaped(waiting=MANY + 1)
    assert there(place, keys) == set(keys)
    assert set((await place.alone()).values()) == {Kind.TOO_MANY}

    place.wiring.store.delete([thing for key in keys[:3] for thing in place.wiring.store.remains(key)])
    assert await place.reap(NEXT_DAY + SAFE_AGE) == Reaped(waiting=MANY - 2), "fewer by now, and it still waits"
    assert there(place, keys) == set(keys[3:])
    assert await reap(place.wiring, NEXT_DAY + SAFE_AGE, even_many=True) == Reaped(erased=MANY - 2)
    assert there(place, keys) == set()
    assert (await place.row(place.kept)).state == RecordingState.STORED
    assert await place.alone() == {}


async def test_many_among_many_more_go_by_themselves(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.privacy.erasing.orphans.MANY", 2)
    keys = strangers(place, 3)
    await place.reap(NOW)
    assert await place.reap(NEXT_DAY) == Reaped(erased=3), "of eleven roots"
    assert there(place, keys) == set()


async def test_who_says_so_still_waits_a_day(place: Place) -> None:
    keys = strangers(place, MANY + 1)
    await place.reap(NOW)
    assert (await reap(place.wiring, NEXT_DAY - timedelta(seconds=1), even_many=True)).erased == 0
    assert there(place, keys) == set(keys)


async def test_a_database_that_shows_nothing_of_an_account_it_knows_proves_nothing(
    place: Place, superuser_url: str
) -> None:
    """Row-level security that hides too much: every object would seem to stand alone."""
    with psycopg.connect(superuser_url) as connection:
        connection.execute("DROP POLICY own_account ON account")
        connection.execute("DROP POLICY own_account ON recording")
    for now in (NOW, NEXT_DAY):
        with pytest.raises(NotShown):
            await place.reap(now)
    with psycopg.connect(superuser_url) as connection:
        assert connection.execute("SELECT count(*) FROM orphan").fetchone() == (0,)


async def test_beside_a_key_store_that_never_had_the_account_nothing_goes(place: Place) -> None:
    """A folder that is not mounted says of every key that it is gone."""
    await place.forget(place.lost)
    await place.reap(NOW)
    elsewhere = replace(place.wiring, keys=MemoryKeyStore())
    assert await reap(elsewhere, NEXT_DAY) == Reaped(kept=4)
    assert set((await place.alone()).values()) == {Kind.OBJECTS}


async def test_what_is_being_erased_of_a_recording_is_not_missed(place: Place) -> None:
    """Objects go first; the row follows when it is certified, which may take days."""
    [voice] = [track for track in await place.tracks(place.kept) if track.kind == "voice"]
    async with place.wiring.database.transaction(place.cast.account) as db:
        await db.execute(update(Track).where(Track.id == voice.track).values(closed_at=NOW))
    place.wiring.store.delete(list(place.wiring.store.remains(track_prefix(voice))))
    assert await place.alone() == {}


async def test_a_restored_backup_gives_its_day_again(place: Place, owner_url: str) -> None:
    """What was alone for a moment when the backup was made must not go at the first look after it came back."""
    await place.forget(place.lost)
    await place.reap(NOW)
    begin_anew(owner_url)
    assert await place.reap(NEXT_DAY) == Reaped()
    assert (await place.reap(NEXT_DAY + SAFE_AGE)).erased == 4


@pytest.mark.parametrize(
    "key",
    ["", "a/b", "index-00001", "{0}/{0}/{0}/index-00001", "{0}/{0}/{0}/{0}/index-1", "{0}/{0}/{0}/{0}/{0}/x/00001",
     "{0}/{0}/{0}/{0}/{0}/s/1-1", "{0}/{0}/{0}/{0}/t/words", "anna/{0}/{0}/{0}/t/{0}"],
)  # fmt: skip
def test_what_was_not_made_here_has_no_root(key: str) -> None:
    with pytest.raises(ValueError):
        root_of(key.format(uuid4()))


@pytest.mark.parametrize("many", [1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 4 * AT_ONCE + 7])
def test_of_very_many_orphans_each_gets_its_turn(many: int) -> None:
    places = [Alone(place=f"{n:05d}", kind=Kind.OBJECTS) for n in range(many)]
    turns = [at_turn(places, NOW + n * EVERY) for n in range(-(-many // AT_ONCE) + 1)]
    assert all(len(turn) == min(many, AT_ONCE) for turn in turns)
    assert {one.place for turn in turns for one in turn} == {one.place for one in places}
