"""One suite for the port KeyStore, run on every adapter; then what only a folder can show."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import (
    KeyDamaged,
    KeyDestroyed,
    KeyExists,
    KeyMissing,
    KeyPath,
    KeyStore,
    KeyStoreError,
    KeyStoreUnavailable,
)
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import AccountId, PersonId


@pytest.fixture(params=["memory", "directory"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return MemoryKeyStore() if request.param == "memory" else DirectoryKeyStore(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def new_account(keys: KeyStore) -> AccountId:
    account = AccountId(uuid4())
    keys.create(KeyPath(account))
    return account


def new_person(keys: KeyStore, account: AccountId) -> KeyPath:
    path = KeyPath(account, PersonId(uuid4()))
    keys.create(path)
    return path


def below(path: KeyPath, item: str = "track-1") -> KeyPath:
    return KeyPath(path.account, path.person, item)


def tree(keys: KeyStore) -> dict[KeyPath, bytes]:
    """An account with an item and two persons of two data keys each."""
    account = new_account(keys)
    paths = [KeyPath(account, None, "blind-index")]
    for _ in range(2):
        person = KeyPath(account, PersonId(uuid4()))
        paths += [person, below(person, "track-1"), below(person, "index-1")]
    return {KeyPath(account): keys.unwrap(KeyPath(account))} | {path: keys.create(path) for path in paths}


def test_every_key_is_its_own_and_comes_back(keys: KeyStore) -> None:
    made = tree(keys)
    assert {path: keys.unwrap(path) for path in made} == made
    assert len(set(made.values())) == len(made)
    assert {len(key) for key in made.values()} == {32}
    assert all(keys.exists(path) for path in made)


def test_a_key_is_made_once_and_under_a_parent(keys: KeyStore) -> None:
    account = new_account(keys)
    person = new_person(keys, account)
    for path in (KeyPath(account), person):
        with pytest.raises(KeyExists):
            keys.create(path)
    stranger = KeyPath(account, PersonId(uuid4()))
    for orphan in (
        below(stranger),
        KeyPath(AccountId(uuid4()), None, "x"),
        KeyPath(AccountId(uuid4()), PersonId(uuid4())),
    ):
        with pytest.raises(KeyMissing):
            keys.create(orphan)


def test_a_key_never_made_is_missing(keys: KeyStore) -> None:
    account = new_account(keys)
    for path in (KeyPath(AccountId(uuid4())), KeyPath(account, PersonId(uuid4())), KeyPath(account, None, "x")):
        with pytest.raises(KeyMissing):
            keys.unwrap(path)
        assert not keys.exists(path)


def test_destroying_a_track_key_leaves_the_others(keys: KeyStore) -> None:
    person = new_person(keys, new_account(keys))
    kept = keys.create(below(person, "track-2"))
    keys.create(below(person, "track-1"))
    assert keys.destroy(below(person, "track-1")) == 1
    assert keys.destroy(below(person, "track-1")) == 0
    assert keys.unwrap(below(person, "track-2")) == kept
    with pytest.raises(KeyDestroyed):
        keys.unwrap(below(person, "track-1"))


def test_destroying_a_person_takes_everything_beneath_and_nobody_else(keys: KeyStore) -> None:
    made = tree(keys)
    gone, other = [path for path in made if path.person and not path.item]
    assert keys.destroy(gone) == 3
    for path in made:
        if path.person == gone.person:
            with pytest.raises(KeyDestroyed):
                keys.unwrap(path)
            assert not keys.exists(path)
        else:
            assert keys.unwrap(path) == made[path]
    assert keys.exists(other)


def test_destroying_an_account_takes_everything(keys: KeyStore) -> None:
    made, other = tree(keys), tree(keys)
    account = next(iter(made))
    assert keys.destroy(account) == len(made)
    assert not any(keys.exists(path) for path in made)
    assert all(keys.exists(path) for path in other)
    assert keys.rotate() == 1
    with pytest.raises(KeyDestroyed):
        keys.unwrap(account)


def test_what_was_destroyed_is_never_made_again(keys: KeyStore) -> None:
    account = new_account(keys)
    person = new_person(keys, account)
    keys.create(below(person))
    keys.destroy(person)
    for path in (person, below(person), below(person, "track-2")):
        with pytest.raises(KeyDestroyed):
            keys.create(path)


def test_a_path_destroyed_before_it_was_made_stays_closed(keys: KeyStore) -> None:
    account = new_account(keys)
    person = KeyPath(account, PersonId(uuid4()))
    assert keys.destroy(person) == 0
    with pytest.raises(KeyDestroyed):
        keys.create(person)
    unknown = KeyPath(AccountId(uuid4()))
    assert keys.destroy(unknown) == 0
    with pytest.raises(KeyDestroyed):
        keys.create(unknown)


def test_keys_of_several_persons_come_at_once_without_those_destroyed(keys: KeyStore) -> None:
    account = new_account(keys)
    first, second, third = (new_person(keys, account) for _ in range(3))
    persons = [path.person for path in (first, second, third) if path.person]
    keys.create(below(first))
    assert keys.unwrap_persons(account, persons) == {p: keys.unwrap(KeyPath(account, p)) for p in persons}
    keys.destroy(below(first))
    keys.destroy(second)
    assert list(keys.unwrap_persons(account, persons)) == [first.person, third.person]
    assert keys.unwrap_persons(account, []) == {}
    keys.destroy(KeyPath(account))
    assert keys.unwrap_persons(account, persons) == {}


def test_keys_of_several_persons_need_each_to_be_made(keys: KeyStore) -> None:
    account, stranger = new_account(keys), PersonId(uuid4())
    person = new_person(keys, account).person
    assert person is not None
    with pytest.raises(KeyMissing):
        keys.unwrap_persons(account, [person, stranger])
    with pytest.raises(KeyMissing):  # an account has no keys of another one
        keys.unwrap_persons(new_account(keys), [person])
    with pytest.raises(KeyMissing):
        keys.unwrap_persons(AccountId(uuid4()), [person])


def test_rotation_changes_the_account_key_and_keeps_what_is_beneath(keys: KeyStore) -> None:
    made = tree(keys)
    account = next(iter(made))
    gone = next(path for path in made if path.person and not path.item)
    keys.destroy(gone)
    for _ in range(2):
        assert keys.rotate() == 1
    for path in made:
        if path == account:
            assert keys.unwrap(path) != made[path]
        elif path.person == gone.person:
            with pytest.raises(KeyDestroyed):
                keys.unwrap(path)
        else:
            assert keys.unwrap(path) == made[path]
    new_person(keys, account.account)


def test_rotation_begins_an_epoch_for_every_account(keys: KeyStore) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    made = [tree(keys), tree(keys)]
    accounts = [next(iter(one)) for one in made]
    assert keys.rotate() == 2
    began = keys.epoch_began()
    assert began is not None and began >= before
    for one, account in zip(made, accounts, strict=True):
        assert {path: keys.unwrap(path) for path in one if path != account} == {
            path: key for path, key in one.items() if path != account
        }


def test_rotating_an_empty_store_is_nothing(keys: KeyStore) -> None:
    assert keys.rotate() == 0


@pytest.mark.parametrize("item", ["", "../x", "a/b", "A", "a.b", "a" * 81, "ü", "a\n"])
def test_names_of_keys_cannot_leave_their_place(item: str) -> None:
    with pytest.raises(ValueError):
        KeyPath(AccountId(uuid4()), None, item)


def test_check_says_where_keys_are(keys: KeyStore) -> None:
    new_account(keys)
    assert "eys" in keys.check() and "kept in" in keys.check()


# directory


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
    started.join(30)
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
        other.join(30)
    assert [other.exitcode for other in others] == [0, 0]
    path = KeyPath(account, person)
    assert all(keys.exists(below(path, f"track-{number}-{turn}")) for number in range(2) for turn in range(10))
    assert keys.destroy(path) == 21
