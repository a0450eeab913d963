"""The bucket itself is asked before anything is stored in it, and again while everything runs: real SeaweedFS, with a
bucket that is locked, one that is not, one said to be in another region, and one that is missing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from app.__main__ import cli
from app.room.node_api import NodeApi
from app.room.node_messages import Health
from app.settings import Settings
from app.store_check import NothingIsStored, confirm_at_start, watch_store
from app.wiring import Wiring, open_wiring
from recordings.capture.uploader import Uploader
from recordings.storage.confirmed import ConfirmedStore, refusal_of
from recordings.storage.regions import PlaceRefused, place_of
from recordings.storage.s3 import S3Store
from recordings.storage.store import ObjectMissing, StoreRefused, StoreUnavailable
from tests.app.node_scene import rooms
from tests.fixtures.ports import free_ports
from tests.fixtures.weed import Weed
from tests.recordings.scene import Scene

LOCK = "object lock"


def wiring_of(weed: Weed, bucket: str, data_dir: Path, endpoint: str = "") -> Wiring:
    settings = Settings(
        data_dir=data_dir,
        object_store="s3",
        s3_endpoint=endpoint or weed.endpoint,
        s3_region=weed.region,
        s3_bucket=bucket,
        s3_access_key=weed.access_key,
        s3_secret_key=weed.secret,
    )
    return open_wiring(settings, "postgresql://nobody@127.0.0.1:9/none")


def kept(weed: Weed, bucket: str) -> list[str]:
    """Every version of everything, probes too."""
    answer = weed.client().list_object_versions(Bucket=bucket)
    return [one["Key"] for sort in ("Versions", "DeleteMarkers") for one in answer.get(sort, ())]


def test_a_locked_bucket_is_refused_at_the_start_and_gets_not_one_byte(weed: Weed, tmp_path: Path) -> None:
    wiring, before = wiring_of(weed, weed.locked, tmp_path), kept(weed, weed.locked)
    for _ in range(2):
        with pytest.raises(StoreRefused, match=LOCK) as refused:
            wiring.store.put("a/b", b"unasked")  # also by whoever forgot to ask first
        assert refused.value.retry, "a job that comes meanwhile is not given up: the bucket is asked again soon"
    with pytest.raises(StoreRefused, match=LOCK):
        confirm_at_start(wiring)
    assert kept(weed, weed.locked) == before and LOCK in refusal_of(wiring.store)


def test_a_fit_bucket_is_asked_once_and_used(weed: Weed, tmp_path: Path) -> None:
    wiring, key = wiring_of(weed, weed.bucket, tmp_path), f"{uuid4()}/b"
    confirm_at_start(wiring)
    wiring.store.put(key, b"fit")
    assert (wiring.store.get(key), refusal_of(wiring.store)) == (b"fit", "")


def test_a_bucket_that_is_not_where_the_settings_say_gets_not_one_byte(weed: Weed) -> None:
    name = f"b-{uuid4()}"
    weed.client().create_bucket(Bucket=name)
    place = replace(place_of(weed.endpoint, weed.region, loopback_allowed=True), tells_region=True, region="eu-west-3")
    place = replace(place, loopback=False)
    store = ConfirmedStore(S3Store(place, bucket=name, access_key=weed.access_key, secret=weed.secret))
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"European Union|region"):
            store.put("a/b", b"x")
    with pytest.raises(PlaceRefused):
        store.check()
    assert kept(weed, name) == []


def test_a_store_that_cannot_be_reached_stops_no_start_and_gets_nothing_unasked(
    weed: Weed, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store_check.START_LIMIT_S", 0.2)
    [port] = free_ports(1)
    wiring = wiring_of(weed, weed.bucket, tmp_path, f"http://127.0.0.1:{port}")
    confirm_at_start(wiring)
    assert "nothing is stored before it does" in caplog.text and refusal_of(wiring.store) == ""
    with pytest.raises(StoreUnavailable):
        wiring.store.put("a/b", b"x")


def test_a_bucket_that_is_not_there_takes_nothing_until_it_is(weed: Weed, tmp_path: Path) -> None:
    name = f"b-{uuid4()}"
    wiring = wiring_of(weed, name, tmp_path)
    confirm_at_start(wiring)
    with pytest.raises(ObjectMissing):
        wiring.store.put("a/b", b"x")
    weed.client().create_bucket(Bucket=name)
    wiring.store.put("a/b", b"x")


async def test_while_a_bucket_is_refused_media_opens_no_take_and_keeps_what_it_has(
    weed: Weed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was fit at the start; then what stands behind it is locked, and later as before."""
    store = ConfirmedStore(weed.store())
    wiring = replace(wiring_of(weed, weed.bucket, tmp_path / "data"), store=store)
    confirm_at_start(wiring)
    scene = Scene(tmp_path / "spool")
    uploader = Uploader(scene.spool, store, refusal=lambda: refusal_of(store))
    recorder = scene.recorder()
    scene.capture(recorder, 6)
    recorder.close()
    pieces, waits = scene.spool.pieces_waiting, []

    async def opening() -> httpx.Response:
        async with rooms(tmp_path / str(len(waits))) as live:
            tell = Health(name="m", streams=0, load=0, capacity=5, spool_bytes=0, waiting_s=0)
            api = NodeApi(live.rooms, "shared", lambda: tell, lambda: refusal_of(store))
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://m") as http:
                http.headers["authorization"] = "Bearer shared"
                return await http.post("/streams", content=msgspec.json.encode(live.ask("no offer")))

    async def wait(seconds: float) -> None:
        """The timer's: what happens before each of its looks."""
        waits.append(seconds)
        if len(waits) == 1:
            store._store = weed.store(weed.locked)
        elif len(waits) == 2:
            assert await uploader.round() == 0 and scene.spool.pieces_waiting == pieces > 0
            assert LOCK in (uploader.health().failing or ""), "the room and the operator are told"
            refused = await opening()
            assert (refused.status_code, refused.json()["reason"]) == (503, NothingIsStored().message)
            store._store = weed.store()
        else:
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr("app.store_check.sleep", wait)
        with pytest.raises(InterruptedError):
            await watch_store(wiring)
    assert waits[0] > waits[1] < waits[2], "asked sooner while it is refused"
    scene.uploader = uploader
    await scene.store_all()
    assert scene.spool.pieces_waiting == 0 and uploader.health().failing is None
    assert (await opening()).status_code == 400, "it is the offer that does not fit"


@pytest.mark.parametrize("words", [("web",), ("media",), ("worker", "--until-idle")])
def test_no_process_starts_on_a_locked_bucket_and_each_says_why_in_one_line(
    weed: Weed, app_url: str, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {name: None for name in os.environ if name.startswith("JUNIER_")}
    environment = none | {
        "DATABASE_URL": app_url,
        "JUNIER_DATA_DIR": str(tmp_path),
        "JUNIER_OBJECT_STORE": "s3",
        "JUNIER_S3_ENDPOINT": weed.endpoint,
        "JUNIER_S3_REGION": weed.region,
        "JUNIER_S3_BUCKET": weed.locked,
        "JUNIER_S3_ACCESS_KEY": weed.access_key,
        "JUNIER_S3_SECRET_KEY": weed.secret,
    }
    before = kept(weed, weed.locked)
    monkeypatch.setattr("app.__main__._start_log", lambda settings: None)
    ended = CliRunner().invoke(cli, words, env=environment)
    assert ended.exit_code == 1 and LOCK in ended.output and "Traceback" not in ended.output
    assert len(ended.output.strip().splitlines()) == 1
    assert kept(weed, weed.locked) == before
