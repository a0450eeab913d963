"""One suite for the port KeyStore, run on every adapter; what only one can show: recordings/test_key_*.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import (
    KeyDestroyed,
    KeyExists,
    KeyMissing,
    KeyPath,
    KeyStore,
)
from recordings.encryption.memory import MemoryKeyStore
from recordings.encryption.postgres import PostgresKeyStore
from recordings.model import AccountId, PersonId


@pytest.fixture(params=["memory", "directory", "postgres"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    if request.param == "postgres":
        return PostgresKeyStore(request.getfixturevalue("keys_url"), tmp_path / "master.key")
    return MemoryKeyStore() if request.param == "memory" else DirectoryKeyStore(tmp_path / "keys")


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
    began = keys.check().epoch_began
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
    health = keys.check()
    assert "eys are kept in" in health.where and (health.accounts, health.damaged) == (1, ())
