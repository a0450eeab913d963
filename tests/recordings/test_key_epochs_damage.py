"""What is damaged, strange or away ends no key epoch whose key is still needed, and keeps none of the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from recordings.encryption.directory_rotation import FolderRotation
from recordings.encryption.keystore import KeyDamaged, KeyPath, KeyStoreError
from recordings.model import AccountId
from tests.recordings.key_folder import epoch_keys, family, open_store, opens


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "here"


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
