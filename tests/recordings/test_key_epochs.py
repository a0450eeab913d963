"""Key epochs in a folder: an old copy opens nothing that was destroyed, and a crash anywhere does no harm."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.directory_rotation import FolderRotation
from recordings.encryption.epochs import EpochKeys
from recordings.encryption.files import put
from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyPath, KeyStoreError
from recordings.encryption.sealed import seal
from recordings.encryption.wrapping import context_of
from recordings.model import AccountId, PersonId

DYING = ("fsync", "rename", "unlink", "mkdir", "rmdir")
"""What changes the disk, or makes a change last."""


class Killed(BaseException):
    """As kill -9: nothing catches it, nothing is put in order."""


@contextmanager
def killed_before(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Dies before change number `step` of the disk; tells how many there were."""
    done = [0]

    def guarded(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def act(*arguments: object, **named: object) -> object:
            done[0] += 1
            if done[0] == step:
                raise Killed
            return real(*arguments, **named)

        return act

    with monkeypatch.context() as patched:
        for name in DYING:
            patched.setattr(os, name, guarded(name))
        yield done


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "here"


def open_store(place: Path) -> DirectoryKeyStore:
    """The store and the master key in folders of their own, as on a server."""
    return DirectoryKeyStore(place / "keys", place / "secret" / "master.key")


def family(keys: DirectoryKeyStore) -> dict[KeyPath, bytes]:
    account = AccountId(uuid4())
    made = {KeyPath(account): keys.create(KeyPath(account))}
    paths = [KeyPath(account, None, "columns")]
    for _ in range(2):
        person = PersonId(uuid4())
        paths += [KeyPath(account, person), *(KeyPath(account, person, f"track-{n}") for n in range(2))]
    return made | {path: keys.create(path) for path in paths}


def opens(keys: DirectoryKeyStore, path: KeyPath) -> bool:
    try:
        keys.unwrap(path)
    except KeyStoreError:
        return False
    return True


def without_tombstones(folder: Path) -> None:
    """Whoever has a copy does not ask tombstones."""
    for destroyed in folder.glob("*/destroyed"):
        shutil.rmtree(destroyed)


@pytest.mark.parametrize("what", ["person", "track"])
@pytest.mark.parametrize("copied", ["the whole store", "the file of the key", "the files of the person"])
def test_a_copy_of_the_store_opens_nothing_destroyed_after_the_rotation(place: Path, what: str, copied: str) -> None:
    """The thief has the copy, and everything that is there today."""
    keys = open_store(place)
    made = family(keys)
    person = next(path for path in made if path.person and not path.item)
    track = next(path for path in made if path.person == person.person and path.item)
    shutil.copytree(place / "keys", place / "copy")
    keys.destroy(person if what == "person" else track)
    assert keys.rotate() == 1
    thief = place / "thief"
    shutil.copytree(place / "secret", thief / "secret")
    if copied == "the whole store":
        shutil.copytree(place / "copy", thief / "keys")
    else:
        shutil.copytree(place / "keys", thief / "keys")
        home, old = thief / "keys" / str(person.account), place / "copy" / str(person.account)
        shutil.copytree(old / "persons" / str(person.person), home / "persons" / str(person.person), dirs_exist_ok=True)
        if copied == "the files of the person":
            shutil.copy(old / "epoch-00001" / f"person.{person.person}", home / "epoch-00002")
    without_tombstones(thief / "keys")
    stolen = open_store(thief)
    assert not opens(stolen, track)
    if what == "person":
        assert not opens(stolen, person)


def test_before_the_rotation_the_copy_would_have_opened(place: Path) -> None:
    """So that the test above tests something."""
    keys = open_store(place)
    made = family(keys)
    track = next(path for path in made if path.person and path.item)
    shutil.copytree(place, place.parent / "thief")
    keys.destroy(track)
    without_tombstones(place.parent / "thief" / "keys")
    assert opens(open_store(place.parent / "thief"), track)


def test_a_track_made_on_the_day_it_was_destroyed_is_gone_too(place: Path) -> None:
    """The second one was wrapped by a wrapping key that was new that day."""
    keys = open_store(place)
    made = family(keys)
    person = next(path for path in made if path.person and not path.item)
    keys.destroy(KeyPath(person.account, person.person, "track-0"))
    late = KeyPath(person.account, person.person, "track-late")
    keys.create(late)
    shutil.copytree(place / "keys" / str(person.account) / "persons", place / "copy")
    keys.destroy(late)
    keys.rotate()
    shutil.copytree(place / "copy", place / "keys" / str(person.account) / "persons", dirs_exist_ok=True)
    without_tombstones(place / "keys")
    with pytest.raises(KeyDamaged):
        keys.unwrap(late)
    assert keys.unwrap(person) == made[person]


def test_the_key_of_an_ended_epoch_is_gone_from_the_disk(place: Path) -> None:
    keys = open_store(place)
    family(keys)
    [first] = (place / "secret" / "master.key.epochs").iterdir()
    keys.rotate()
    [second] = (place / "secret" / "master.key.epochs").iterdir()
    assert (first.name, second.name) == ("00001", "00002")


def test_an_epoch_that_a_crash_kept_from_ending_is_due_at_once(tmp_path: Path) -> None:
    """It died between renaming the former key and overwriting it: nothing uses that key, but it opens old copies."""
    epochs = EpochKeys(tmp_path / "epochs", bytes(32))
    first = epochs.present()
    epochs.begin()
    (tmp_path / "epochs" / "00001").rename(tmp_path / "epochs" / "00001.part")
    (tmp_path / "epochs" / "00003.part").write_bytes(b"of a beginning that died")
    assert epochs.oldest() == first and [one.number for one in (epochs.newest(), epochs.present()) if one] == [2, 2]
    epochs.finish()
    assert epochs.oldest() == epochs.newest() and [f.name for f in (tmp_path / "epochs").iterdir()] == ["00002"]


def test_a_rotation_killed_at_any_step_is_resumed(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = open_store(place)
    made = family(keys)
    accounts = [path for path in made if path.parent is None]
    gone = next(path for path in made if path.person and path.item)
    keys.destroy(gone)
    step, steps = 0, 1
    while step < steps:
        step += 1
        here = tmp_path / f"run-{step}"
        shutil.copytree(place, here)
        with killed_before(step, monkeypatch) as done:
            try:
                open_store(here).rotate()
            except Killed:
                steps = step + 1
        again = open_store(here)
        for path, key in made.items():
            if path == gone:
                with pytest.raises(KeyDestroyed):
                    again.unwrap(path)
            elif path not in accounts:
                assert again.unwrap(path) == key, f"after step {step} of {done}"
        victim = next(path for path in made if path.person and not path.item and path.person != gone.person)
        again.destroy(victim)  # what comes next is not confused by what was left
        copy = tmp_path / "copy"
        shutil.copytree(here / "keys", copy / "keys")
        again.rotate()
        assert [len(list(home.glob("epoch-*"))) for home in (here / "keys").glob("*-*-*")] == [1]
        assert len(list((here / "secret" / "master.key.epochs").iterdir())) == 1
        shutil.copytree(here / "secret", copy / "secret")
        without_tombstones(copy / "keys")
        assert not any(opens(open_store(copy), path) for path in made), "an old copy opens nothing"
        shutil.rmtree(copy)
        shutil.rmtree(here)
    assert steps > 25


def test_destroying_a_track_killed_at_any_step_is_resumed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = open_store(place)
    made = family(keys)
    track = next(path for path in made if path.person and path.item)
    step, steps = 0, 1
    while step < steps:
        step += 1
        here = tmp_path / f"run-{step}"
        shutil.copytree(place, here)
        with killed_before(step, monkeypatch):
            try:
                open_store(here).destroy(track)
            except Killed:
                steps = step + 1
        copy = tmp_path / "copy"
        shutil.copytree(here / "keys", copy)
        again = open_store(here)
        again.destroy(track)
        again.rotate()
        assert {path: again.unwrap(path) for path in made if path.item and path != track} == {
            path: key for path, key in made.items() if path.item and path != track
        }
        person = f"{track.account}/persons/{track.person}"
        shutil.copytree(copy / person, here / "keys" / person, dirs_exist_ok=True)
        without_tombstones(here / "keys")
        assert not opens(again, track)
        shutil.rmtree(copy)
        shutil.rmtree(here)
    assert steps > 8


def test_a_person_destroyed_while_a_rotation_runs_does_not_come_back(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = open_store(place)
    made = family(keys)
    one, other = [path for path in made if path.person and not path.item]
    real = FolderRotation._not_settled

    def meanwhile(self: FolderRotation, *arguments: object) -> object:
        keys.destroy(one)
        late.append(KeyPath(one.account, PersonId(uuid4())))
        made[late[0]] = keys.create(late[0])
        keys.destroy(KeyPath(other.account, other.person, "track-0"))
        return real(self, *arguments)  # type: ignore[arg-type]

    late: list[KeyPath] = []
    with monkeypatch.context() as patched:
        patched.setattr(FolderRotation, "_not_settled", meanwhile)
        keys.rotate()
    without_tombstones(place / "keys")
    assert not opens(keys, one) and not opens(keys, KeyPath(other.account, other.person, "track-0"))
    kept = [late[0], other, KeyPath(other.account, other.person, "track-1")]
    assert [keys.unwrap(path) for path in kept] == [made[path] for path in kept]


def epoch_keys(place: Path) -> list[str]:
    return sorted(file.name for file in (place / "secret" / "master.key.epochs").iterdir())


def test_a_damaged_key_keeps_no_epoch_from_ending_and_makes_none(place: Path) -> None:
    keys = open_store(place)
    made, other = family(keys), family(keys)
    person = next(path for path in made if path.person and not path.item)
    home = place / "keys" / str(person.account)
    (home / "epoch-00001" / f"person.{person.person}").write_bytes(b"x" * 93)
    assert keys.rotate() == 2
    assert not opens(keys, person)
    (home / "epoch-00002" / "account").write_bytes(b"x" * 61)
    assert epoch_keys(place) == ["00002"]
    for ended in ("00003", "00004"):
        assert keys.rotate() == 1
        assert epoch_keys(place) == [ended], "the former one is gone"
    assert keys.check().damaged == (person.account,) and keys.check().accounts == 1
    assert all(keys.unwrap(path) == key for path, key in other.items() if path.parent)
    with pytest.raises(KeyDamaged):
        keys.unwrap(KeyPath(person.account))
    assert keys.destroy(KeyPath(person.account)) == len(made), "what is damaged can be erased"
    assert keys.check().damaged == ()


def test_an_account_that_cannot_be_read_now_keeps_the_former_epoch_and_breeds_no_others(place: Path) -> None:
    keys = open_store(place)
    made, other = family(keys), family(keys)
    account = next(iter(made)).account
    file = place / "keys" / str(account) / "epoch-00001" / "account"
    file.rename(file.with_name("aside"))
    file.mkdir()  # reading it is an error of the disk
    for _ in range(5):
        with pytest.raises(KeyStoreError, match=str(account)):
            keys.rotate()
    assert epoch_keys(place) == ["00001", "00002", "00003"]
    assert all(keys.unwrap(path) == key for path, key in other.items() if path.parent)
    file.rmdir()
    file.with_name("aside").rename(file)
    assert keys.rotate() == 2
    assert epoch_keys(place) == ["00003"]
    assert all(keys.unwrap(path) == key for path, key in made.items() if path.parent)


def test_a_store_of_which_nothing_opens_ends_no_epoch(place: Path) -> None:
    """Another key folder beside these epoch keys: what theirs wrapped must still open when it is back."""
    keys = open_store(place)
    made = family(keys)
    (place / "keys").rename(place / "true")
    strange = open_store(place.parent / "strange")
    family(strange)
    shutil.copytree(place.parent / "strange" / "keys", place / "keys")
    for store in (keys, open_store(place)):
        with pytest.raises(KeyStoreError):
            store.rotate()
    assert epoch_keys(place) == ["00001"]
    shutil.rmtree(place / "keys")
    (place / "true").rename(place / "keys")
    assert {path: open_store(place).unwrap(path) for path in made} == made


@pytest.mark.parametrize("closed", [False, True])
def test_a_store_of_which_nothing_opens_ends_no_epoch_though_accounts_of_it_are_closed(
    place: Path, closed: bool
) -> None:
    """An account that was erased in the strange folder, or left a folder without a key, vouches for nothing."""
    keys = open_store(place)
    made = family(keys)
    (place / "keys").rename(place / "true")
    strange = open_store(place.parent / "strange")
    family(strange)
    gone = KeyPath(AccountId(uuid4()))
    if closed:
        strange.create(gone)
        strange.destroy(gone)
    else:
        (place.parent / "strange" / "keys" / str(gone.account)).mkdir()
    shutil.copytree(place.parent / "strange" / "keys", place / "keys")
    with pytest.raises(KeyStoreError):
        open_store(place).rotate()
    assert epoch_keys(place) == ["00001"]
    shutil.rmtree(place / "keys")
    (place / "true").rename(place / "keys")
    assert {path: open_store(place).unwrap(path) for path in made} == made


def test_a_folder_that_went_away_while_the_program_runs_ends_no_epoch(place: Path) -> None:
    keys = open_store(place)
    family(keys)
    (place / "keys").rename(place / "true")
    (place / "keys").mkdir()
    for verb in (keys.check, keys.rotate):
        with pytest.raises(KeyStoreError, match="not the folder"):
            verb()
    assert open_store(place).rotate() == 0, "an empty folder has nothing to make anew"
    assert epoch_keys(place) == ["00001"]


@pytest.mark.parametrize("after", [0, 1])
def test_a_folder_that_goes_away_while_a_rotation_runs_ends_no_epoch(
    place: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk is unmounted after so many accounts: the empty folder beneath it has no account that waits."""
    keys = open_store(place)
    made = family(keys) | family(keys)
    renew, turns = FolderRotation.renew, []

    def and_away(self: FolderRotation, account: AccountId) -> None:
        if len(turns) == after:
            (place / "keys").rename(place / "true")
            (place / "keys").mkdir()
        turns.append(account)
        renew(self, account)

    with monkeypatch.context() as patched:
        patched.setattr(FolderRotation, "renew", and_away)
        with pytest.raises(KeyStoreError):
            keys.rotate()
    assert epoch_keys(place) == ["00001", "00002"]
    shutil.rmtree(place / "keys")
    (place / "true").rename(place / "keys")
    again = open_store(place)
    assert {path: again.unwrap(path) for path in made if path.parent} == {p: k for p, k in made.items() if p.parent}


def test_a_store_from_before_epochs_is_taken_along(place: Path) -> None:
    """Its account keys were wrapped by the master key, its items by the key of their person."""
    keys = open_store(place)
    made = family(keys)
    master = (place / "secret" / "master.key").read_bytes()
    account = next(iter(made))
    home = place / "keys" / str(account.account)
    put(home / "epoch-00001" / "account", seal(master, made[account], context_of(account.account, "account")))
    for path, key in made.items():
        if path.person and not path.item:
            name = f"person.{path.person}"
            put(home / "epoch-00001" / name, seal(made[account], key, context_of(account.account, name)))
        elif path.person:
            name = f"person.{path.person}.{path.item}"
            parent = made[KeyPath(path.account, path.person)]
            put(home / "persons" / str(path.person) / str(path.item), seal(parent, key, context_of(path.account, name)))
    shutil.rmtree(place / "secret" / "master.key.epochs")
    old = open_store(place)
    assert {path: old.unwrap(path) for path in made} == made
    shutil.copytree(place / "keys", place / "copy")
    track = next(path for path in made if path.person and path.item)
    old.destroy(track)
    old.rotate()
    old.rotate()
    persons = f"{account.account}/persons"
    shutil.copytree(place / "copy" / persons, place / "keys" / persons, dirs_exist_ok=True)
    without_tombstones(place / "keys")
    assert not opens(old, track)
    assert all(old.unwrap(path) == key for path, key in made.items() if path.person and not path.item)


def _rotate_until_killed(place: Path) -> None:
    keys = open_store(place)
    while True:
        keys.rotate()


def test_a_process_that_rotates_is_killed_for_real(place: Path) -> None:
    keys = open_store(place)
    made = family(keys)
    account = next(iter(made))
    for wait in (0.0, 0.01, 0.05):
        other = multiprocessing.get_context("fork").Process(target=_rotate_until_killed, args=(place,))
        other.start()
        while keys.check().epoch_began is None:
            other.join(0.01)
        other.join(wait)
        other.kill()
        other.join(10)
        assert {path: keys.unwrap(path) for path in made if path != account} == {
            path: key for path, key in made.items() if path != account
        }
    assert keys.rotate() == 1
