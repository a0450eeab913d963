"""Key epochs in a folder: an old copy opens nothing that was destroyed."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from recordings.encryption.directory_rotation import FolderRotation
from recordings.encryption.files import put
from recordings.encryption.keystore import KeyDamaged, KeyPath
from recordings.encryption.sealed import seal
from recordings.encryption.wrapping import context_of
from recordings.model import PersonId
from tests.recordings.key_folder import family, open_store, opens, without_tombstones


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "here"


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
