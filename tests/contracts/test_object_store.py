"""One suite for the port ObjectStore, run on every adapter; then what only one of them can show."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from recordings.storage.local import LocalStore
from recordings.storage.memory import MemoryStore
from recordings.storage.store import (
    ObjectExists,
    ObjectMissing,
    ObjectStore,
    Stored,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from tests.fixtures.weed import Weed

ADAPTERS = ("memory", "local folder", "s3", "s3 with versions")


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "local folder":
        return LocalStore(tmp_path / "objects")
    weed: Weed = request.getfixturevalue("weed")
    return weed.store(weed.versioned if request.param == "s3 with versions" else weed.bucket)


@pytest.fixture
def prefix() -> str:
    return f"{uuid4()}/"


def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [thing.key for thing in store.list(prefix)]


def test_what_was_put_is_given_back_whole_and_in_part(store: ObjectStore, prefix: str) -> None:
    store.put(f"{prefix}a/b", b"0123456789")
    assert store.get(f"{prefix}a/b") == b"0123456789"
    assert store.get(f"{prefix}a/b", 3) == b"3456789"
    assert store.get(f"{prefix}a/b", 3, 4) == b"3456"
    assert store.get(f"{prefix}a/b", 8, 100) == b"89"
    assert store.get(f"{prefix}a/b", 3, 0) == b""
    assert store.get(f"{prefix}a/b", 10) == b""
    assert store.get(f"{prefix}a/b", 99, 5) == b""


@pytest.mark.parametrize("size", [0, 1, 1 << 20, 5_000_000])
def test_objects_of_every_size_come_back_unchanged(store: ObjectStore, prefix: str, size: int) -> None:
    data = os.urandom(size)
    store.put(f"{prefix}x", data)
    assert store.get(f"{prefix}x") == data
    assert [thing.size for thing in store.list(prefix)] == [size]


def test_a_missing_object_is_said_to_be_missing(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(ObjectMissing, match="no object of that key"):
        store.get(f"{prefix}nothing")
    store.put(f"{prefix}a/b", b"x")
    with pytest.raises(ObjectMissing):
        store.get(f"{prefix}a")
    with pytest.raises(ObjectMissing):
        store.get(f"{prefix}a/b2", 0, 0)


def test_an_object_is_never_overwritten_but_may_be_put_twice(store: ObjectStore, prefix: str) -> None:
    store.put(f"{prefix}x", b"first")
    store.put(f"{prefix}x", b"first")
    with pytest.raises(ObjectExists):
        store.put(f"{prefix}x", b"other")
    with pytest.raises(ObjectExists):
        store.put(f"{prefix}x", b"")
    assert store.get(f"{prefix}x") == b"first"
    assert [(thing.key, thing.size) for thing in store.remains(prefix)] == [(f"{prefix}x", 5)]


def test_of_many_writers_exactly_one_wins(store: ObjectStore, prefix: str) -> None:
    together = threading.Barrier(4)

    def write(number: int) -> bool:
        together.wait(timeout=60)
        try:
            store.put(f"{prefix}deep/x", bytes([number]) * 1000)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(write, range(4)))
    assert won.count(True) == 1
    assert store.get(f"{prefix}deep/x") == bytes([won.index(True)]) * 1000
    assert len(list(store.remains(prefix))) == 1


def test_listing_is_in_key_order_and_keeps_to_the_prefix(store: ObjectStore, prefix: str) -> None:
    for name in ("b/1", "bb", "a/2", "a/10", "ab", "b/s/00001-000002", "b/s/00001-000010", "c"):
        store.put(f"{prefix}{name}", b"x")
    assert keys(store, prefix) == sorted(keys(store, prefix))
    assert len(keys(store, prefix)) == 8
    assert keys(store, f"{prefix}b/") == [f"{prefix}b/1", f"{prefix}b/s/00001-000002", f"{prefix}b/s/00001-000010"]
    assert keys(store, f"{prefix}a") == [f"{prefix}a/10", f"{prefix}a/2", f"{prefix}ab"]
    assert keys(store, f"{prefix}nothing/") == []


def test_deleting_everything_that_remains_leaves_nothing(store: ObjectStore, prefix: str) -> None:
    for name in ("p/a", "p/b/c", "kept"):
        store.put(f"{prefix}{name}", b"x")
    assert not store.delete(store.remains(f"{prefix}p/"))
    assert list(store.remains(f"{prefix}p/")) == []
    assert keys(store, prefix) == [f"{prefix}kept"]
    with pytest.raises(ObjectMissing):
        store.get(f"{prefix}p/a")


def test_deleting_what_is_already_gone_succeeds(store: ObjectStore, prefix: str) -> None:
    store.put(f"{prefix}x", b"x")
    things = list(store.remains(prefix))
    assert not store.delete(things)
    assert not store.delete(things)
    assert not store.delete([])
    assert list(store.remains(prefix)) == []


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", ".x", "a/.x.part", "a\\b", "ä", "a\n", "a" * 513],
)
def test_keys_that_layout_would_never_make_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError):
        store.put(key, b"x")
    with pytest.raises(ValueError):
        store.get(key)


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//", ".", "a/."])
def test_prefixes_that_climb_are_refused(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(ValueError):
        list(store.list(prefix))
    with pytest.raises(ValueError):
        list(store.remains(prefix))


def test_check_says_where_objects_are_and_leaves_nothing_behind(store: ObjectStore) -> None:
    assert store.check().startswith("Objects are kept in ")
    assert list(store.remains("probe")) == []


# memory


def test_memory_store_fails_on_demand() -> None:
    def fault(verb: str, key: str) -> None:
        if verb == "delete" and key == "stuck":
            raise StoreRefused("test")
        if verb == "put" and key == "down":
            raise StoreUnavailable()

    store = MemoryStore(fault)
    with pytest.raises(StoreUnavailable) as failed:
        store.put("down", b"x")
    assert failed.value.retry
    store.put("stuck", b"x")
    store.put("free", b"x")
    ((thing, reason),) = store.delete(store.remains(""))
    assert (thing.key, reason) == (
        "stuck",
        "The object store refuses: credentials, rights, region or object lock. test",
    )
    assert list(store.objects) == ["stuck"]


# local folder


def test_local_put_that_dies_half_way_is_seen_as_an_open_upload_and_can_be_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "p" / "s"
    folder.mkdir(parents=True)
    left = folder / f".00001-000001.{uuid4().hex}.part"
    left.write_bytes(b"half")
    store = LocalStore(tmp_path)
    assert list(store.list("p/")) == []
    (thing,) = store.remains("p/")
    assert (thing.key, thing.size, thing.what) == ("p/s/00001-000001", 4, "open upload")
    store.put("p/s/00001-000001", b"whole")
    assert not store.delete([thing])
    assert [thing.what for thing in store.remains("p/")] == ["object"]
    assert not left.exists()


@pytest.mark.parametrize("version", ["../../x", "", "zz"])
def test_local_delete_refuses_an_upload_id_it_never_gave(tmp_path: Path, version: str) -> None:
    with pytest.raises(ValueError):
        LocalStore(tmp_path).delete([Stored(key="a", size=0, version=version, what="open upload")])


def test_local_disk_full_is_told_and_leaves_no_half_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("recordings.storage.local.os.fsync", full)
        with pytest.raises((StoreFull, OSError)) as failed:
            store.put("a/x", b"x")
    assert isinstance(failed.value, StoreFull)
    assert failed.value.retry
    assert list(store.remains("")) == []
    store.put("a/x", b"x")


def test_local_delete_sweeps_empty_folders_because_they_hold_ids(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("account/session/person/x", b"x")
    store.put("account/kept", b"x")
    assert not store.delete(store.remains("account/session/"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["account", "kept"]


def test_local_files_are_for_their_owner_only(tmp_path: Path) -> None:
    LocalStore(tmp_path / "objects").put("a/x", b"x")
    assert (tmp_path / "objects/a/x").stat().st_mode & 0o077 == 0
    assert (tmp_path / "objects/a").stat().st_mode & 0o077 == 0


def test_local_writers_and_sweepers_do_not_trip_each_other(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def write_and_delete(number: int) -> None:
        for turn in range(15):
            store.put(f"a/b/{number}/{turn}", b"x")
            assert not store.delete(store.remains(f"a/b/{number}/"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_delete, range(4)))
    assert list(tmp_path.iterdir()) == []
