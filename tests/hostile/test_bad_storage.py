"""Storage that is outside the EU list, cannot be reached, refuses, is full, or lost something: told in words on
every page and by every command, and what was captured waits instead of being lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.sessions.models import Recording, RecordingState
from recordings.model import RecordingId, StreamKind
from recordings.storage.memory import MemoryStore
from recordings.storage.store import ObjectMissing, StoreError, StoreFull, StoreRefused, StoreUnavailable
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast
from workers.finalise import finalise

FAULTS: dict[str, Callable[[], StoreError]] = {
    "unreachable": StoreUnavailable,
    "refusing": lambda: StoreRefused("AccessDenied"),
    "full": StoreFull,
    "forgetful": ObjectMissing,
}


@pytest.fixture
async def anna(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path / "a", person=cast.participant.participant, transcript=True)


def store_of(cast: Cast) -> MemoryStore:
    assert isinstance(cast.wiring.store, MemoryStore)
    return cast.wiring.store


@pytest.mark.parametrize("what", FAULTS)
async def test_every_page_says_so_and_plays_again_afterwards(cast: Cast, anna: RecordingId, what: str) -> None:
    owner, store = await cast.browser("owner"), store_of(cast)
    media, words = f"/recordings/{anna}/media", f"/recordings/{anna}/transcript/vtt?purpose=quality"
    whole = (await owner.get(media)).content

    def fault(verb: str, key: str) -> None:
        raise FAULTS[what]()

    store.fault = fault
    for path in (f"/sessions/{cast.session}", f"/sessions/{cast.session}/review", media, words, "/"):
        for accept in ("text/html", "application/json"):
            answer = await owner.get(path, headers={"accept": accept})
            assert answer.status_code in (200, 404, 409, 503), (path, answer.status_code, answer.text[-400:])
            assert "AccessDenied" not in answer.text
            assert "Traceback" not in answer.text
            if answer.status_code == 503:
                assert "try again" in answer.text
                assert int(answer.headers["retry-after"]) > 0
    assert (await owner.get(f"/sessions/{cast.session}")).status_code == 200, "the list needs no storage"
    store.fault = lambda verb, key: None
    assert (await owner.get(media)).content == whole
    assert (await owner.get(words)).status_code == 200


@pytest.mark.parametrize("what", ["unreachable", "full"])
async def test_what_was_captured_waits_and_is_finished_later(
    cast: Cast, anna: RecordingId, tmp_path: Path, what: str
) -> None:
    """An index that cannot be written leaves the recording as it was, with all its segments."""
    store = store_of(cast)
    before = dict(store.objects)

    def full(verb: str, key: str) -> None:
        if verb == "put":
            raise FAULTS[what]()

    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(Recording, anna)).state = RecordingState.CAPTURED
    store.fault = full
    with pytest.raises(StoreError):
        await finalise(cast.wiring, cast.account, anna)
    assert dict(store.objects).keys() >= before.keys()
    store.fault = lambda verb, key: None
    await finalise(cast.wiring, cast.account, anna)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.get_one(Recording, anna)).state == RecordingState.STORED


@pytest.mark.parametrize("what", FAULTS)
async def test_erasing_asked_for_meanwhile_is_accepted_and_closes_at_once(
    cast: Cast, anna: RecordingId, what: str
) -> None:
    owner = await cast.browser("owner")

    def fault(verb: str, key: str) -> None:
        raise FAULTS[what]()

    store_of(cast).fault = fault
    page = await owner.get(f"/recordings/{anna}/erase")
    assert page.status_code == 200
    asked = await owner.post(f"/recordings/{anna}/erase")
    assert asked.status_code == 303
    assert (await owner.get(f"/recordings/{anna}/media")).status_code == 404
    assert (await owner.get(asked.headers["location"])).status_code == 200


@pytest.mark.parametrize(
    ("endpoint", "region", "bucket"),
    [
        ("https://s3.us-east-1.amazonaws.com", "us-east-1", "b"),
        ("https://s3.eu-west-1.wasabisys.com", "eu-west-1", "b"),
        ("https://s3.eu-central-1.amazonaws.com.evil.example", "eu-central-1", "b"),
        ("file:///etc/passwd", "eu-central-1", "b"),
        ("", "", ""),
    ],
)
@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_place_that_is_not_allowed_ends_every_command_in_words(
    data_dir: Path, endpoint: str, region: str, bucket: str, command: str
) -> None:
    """An exit status and words; nothing is started, and no key or object is made."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JUNIER_")},
        "JUNIER_DATA_DIR": str(data_dir),
        "JUNIER_OBJECT_STORE": "s3",
        "JUNIER_S3_ENDPOINT": endpoint,
        "JUNIER_S3_REGION": region,
        "JUNIER_S3_BUCKET": bucket,
        "JUNIER_LISTEN_PORT": "1",
    }
    told = subprocess.run(
        [sys.executable, "-m", "app", command], env=environment, capture_output=True, text=True, timeout=300
    )
    words = told.stdout + told.stderr
    assert told.returncode in (1, 2), words
    assert "Traceback" not in words
    assert "JUNIER_S3" in words or "EU" in words, words
    assert not {"keys", "master.key", "objects", "junier.lock"} & {path.name for path in data_dir.iterdir()}


async def test_screens_and_cameras_are_told_apart_when_one_of_them_is_lost(
    cast: Cast, anna: RecordingId, tmp_path: Path
) -> None:
    """One lost index takes nothing else with it: the other recording plays, and the page says which one does not."""
    screen = await stored_recording(cast, tmp_path / "b", person=cast.participant.participant, stream=StreamKind.SCREEN)
    store = store_of(cast)
    for key in [key for key in store.objects if str(anna) in key]:
        del store.objects[key]
    owner = await cast.browser("owner")
    assert (await owner.get(f"/recordings/{screen}/media")).status_code == 200
    lost = await owner.get(f"/recordings/{anna}/media")
    assert lost.status_code in (404, 409, 503)
    for path in (f"/sessions/{cast.session}", f"/sessions/{cast.session}/review"):
        assert (await owner.get(path)).status_code == 200
