"""Keys in a folder: what lies on the disk, what a wrong or lost file does, and several processes at once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import (
    KeyDamaged,
    KeyDestroyed,
    KeyExists,
    KeyPath,
    KeyStoreError,
    KeyStoreUnavailable,
)
from recordings.model import AccountId, PersonId
from tests.contracts.test_key_store import below, new_account, new_person, tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_directory_keeps_no_key_in_clear(folder: Path) -> None:
    made = tree(DirectoryKeyStore(folder, folder.parent / "secret" / "master.key"))
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(key in kept for key in made.values())
    assert all(path.stat().st_mode & 0o077 == 0 for path in [folder, *folder.rglob("*")])


def test_directory_opens_again_with_the_same_master_key(folder: Path) -> None:
    made = tree(DirectoryKeyStore(folder))
    again = DirectoryKeyStore(folder)
    assert {path: again.unwrap(path) for path in made} == made


def test_directory_makes_its_master_key_for_the_owner_only_and_refuses_a_readable_one(folder: Path) -> None:
    DirectoryKeyStore(folder)
    master = folder / "master.key"
    assert master.stat().st_mode & 0o777 == 0o600 and len(master.read_bytes()) == 32
    master.chmod(0o640)
    with pytest.raises(KeyStoreError, match="0600"):
        DirectoryKeyStore(folder)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_directory_refuses_a_master_key_of_another_size(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "master.key").write_bytes(content)
    (folder / "master.key").chmod(0o600)
    with pytest.raises(KeyStoreError, match="32 bytes"):
        DirectoryKeyStore(folder)


def test_directory_never_replaces_a_lost_master_key(folder: Path) -> None:
    tree(DirectoryKeyStore(folder))
    (folder / "master.key").unlink()
    with pytest.raises(KeyStoreError, match="missing"):
        DirectoryKeyStore(folder)


def test_directory_check_finds_a_wrong_master_key(folder: Path) -> None:
    keys = DirectoryKeyStore(folder)
    tree(keys)
    (folder / "master.key").write_bytes(os.urandom(32))
    for store in (keys, DirectoryKeyStore(folder)):
        with pytest.raises(KeyDamaged):
            store.check()


def test_directory_exchanged_and_edited_files_do_not_open(folder: Path) -> None:
    keys = DirectoryKeyStore(folder)
    made = tree(keys)
    one, two = [path for path in made if path.item == "track-1"]
    files = [folder / str(path.account) / "persons" / str(path.person) / "track-1" for path in (one, two)]
    first, second = (file.read_bytes() for file in files)
    files[0].write_bytes(second)
    files[1].write_bytes(second[:-1] + bytes([second[-1] ^ 1]))
    for path in (one, two):
        with pytest.raises(KeyDamaged):
            keys.unwrap(path)
    files[0].write_bytes(first)
    assert keys.unwrap(one) == made[one]


def test_directory_destroyed_files_are_gone_and_putting_them_back_opens_nothing(folder: Path, tmp_path: Path) -> None:
    keys = DirectoryKeyStore(folder)
    made = tree(keys)
    shutil.copytree(folder, tmp_path / "old")
    person = next(path for path in made if path.person and not path.item)
    keys.destroy(person)
    left = [path for path in folder.rglob(f"*{person.person}*") if path.is_file()]
    assert [path.parent.name for path in left] == ["destroyed"]
    assert not any(path.is_file() for path in (folder / str(person.account) / "persons" / str(person.person)).glob("*"))
    shutil.copytree(tmp_path / "old", folder, dirs_exist_ok=True)
    with pytest.raises(KeyDestroyed):
        keys.unwrap(person)
    assert keys.destroy(person) == 3


def test_directory_after_rotation_an_old_copy_of_a_wrapped_key_opens_nothing(folder: Path) -> None:
    """Erasure holds even when the tombstone is lost and a stale file comes back from a backup."""
    keys = DirectoryKeyStore(folder)
    made = tree(keys)
    person = next(path for path in made if path.person and not path.item)
    account = folder / str(person.account)
    stale = (account / "epoch-00001" / f"person.{person.person}").read_bytes()
    keys.destroy(person)
    keys.rotate()
    assert [path.name for path in account.glob("epoch-*")] == ["epoch-00002"]
    (account / "destroyed" / f"person.{person.person}").unlink()
    (account / "epoch-00002" / f"person.{person.person}").write_bytes(stale)
    with pytest.raises(KeyDamaged):
        keys.unwrap(person)


@pytest.mark.parametrize("died", ["while writing", "before the sweep"])
def test_directory_rotation_that_died_is_finished_or_dropped(folder: Path, died: str) -> None:
    keys = DirectoryKeyStore(folder)
    made = tree(keys)
    account = next(iter(made))
    home = folder / str(account.account)
    if died == "while writing":
        (home / "epoch-00002.part").mkdir()
        (home / "epoch-00002.part" / "item.blind-index").write_bytes(b"half")
    else:
        shutil.copytree(home / "epoch-00001", folder / "kept")
        keys.rotate()
        (folder / "kept").rename(home / "epoch-00001")
    new_person(keys, account.account)
    assert len(list(home.glob("epoch-?????"))) == 1
    assert all(keys.unwrap(path) == key for path, key in made.items() if path != account)
    keys.rotate()
    assert len(list(home.glob("epoch-*"))) == 1
    assert all(keys.unwrap(path) == key for path, key in made.items() if path != account)


def test_directory_destruction_that_died_half_way_is_finished_by_the_next(folder: Path) -> None:
    keys = DirectoryKeyStore(folder)
    made = tree(keys)
    person = next(path for path in made if path.person and not path.item)
    (folder / str(person.account) / "destroyed").mkdir()
    (folder / str(person.account) / "destroyed" / f"person.{person.person}").touch()
    assert not keys.exists(person) and not keys.exists(below(person))
    assert keys.destroy(person) == 3


def test_directory_destroy_is_not_confirmed_when_a_file_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = DirectoryKeyStore(folder)
    person = new_person(keys, new_account(keys))
    monkeypatch.setattr("recordings.encryption.directory.shred", lambda file: None)
    with pytest.raises(KeyStoreError, match="still there"):
        keys.destroy(person)
    assert not keys.exists(person)


def test_directory_out_of_disk_may_be_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = DirectoryKeyStore(folder)
    account = new_account(keys)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("recordings.encryption.files.os.fsync", full)
        with pytest.raises(KeyStoreUnavailable) as failed:
            keys.create(KeyPath(account, None, "x"))
    assert failed.value.retry
    keys.create(KeyPath(account, None, "x"))


def _in_another_process(folder: Path, verb: str, path: KeyPath) -> None:
    started = multiprocessing.get_context("spawn").Process(target=_call, args=(folder, verb, path))
    started.start()
    started.join(120)
    assert started.exitcode == 0


def _call(folder: Path, verb: str, path: KeyPath) -> None:
    keys = DirectoryKeyStore(folder)
    keys.rotate() if verb == "rotate" else getattr(keys, verb)(path)


def test_directory_a_key_destroyed_by_another_process_is_closed_here_at_once(folder: Path) -> None:
    keys = DirectoryKeyStore(folder)
    person = new_person(keys, new_account(keys))
    track = keys.create(below(person))
    assert keys.unwrap(below(person)) == track
    _in_another_process(folder, "rotate", person)
    assert keys.unwrap(below(person)) == track
    _in_another_process(folder, "destroy", person)
    for path in (person, below(person)):
        with pytest.raises(KeyDestroyed):
            keys.unwrap(path)


def _create_many(folder: Path, account: UUID, person: UUID, number: int) -> None:
    keys = DirectoryKeyStore(folder)
    path = KeyPath(AccountId(account), PersonId(person))
    try:
        keys.create(path)
    except KeyExists:
        pass
    for turn in range(10):
        keys.create(below(path, f"track-{number}-{turn}"))
        keys.unwrap(below(path, f"track-{number}-{turn}"))


def test_directory_two_processes_and_a_rotation_do_not_lose_keys(folder: Path) -> None:
    keys = DirectoryKeyStore(folder)
    account, person = new_account(keys), PersonId(uuid4())
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=_create_many, args=(folder, account, person, number)) for number in range(2)]
    for other in others:
        other.start()
    while any(other.is_alive() for other in others):
        keys.rotate()
        others[0].join(0.02)
    for other in others:
        other.join(120)
    assert [other.exitcode for other in others] == [0, 0]
    path = KeyPath(account, person)
    assert all(keys.exists(below(path, f"track-{number}-{turn}")) for number in range(2) for turn in range(10))
    assert keys.destroy(path) == 21
