"""Moving keys between the stores, both ways: everything arrives, nothing stays, and it can die at every step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.directory_moving import MovableFolder
from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyMissing, KeyPath, KeyStore, KeyStoreError
from recordings.encryption.moving import KeysMoving, Mark, Movable, Moved, move
from recordings.encryption.postgres import PostgresKeyStore
from recordings.encryption.postgres_moving import MovableDatabase
from recordings.encryption.wrapping import name_of, path_of
from recordings.model import AccountId, PersonId
from tests.contracts.test_key_store import below, new_account, tree

STEPS = ("set_mark", "put", "clear", "end")
LOCKS = ("lock", "rotating")


class Place:
    """Two stores under one master key; `there` and `back` open the source and the target for use."""

    def __init__(self, to: str, folder: Path, url: str) -> None:
        self.master, self.root, self.url, self.to = folder / "secret" / "master.key", folder / "keys", url, to

    def _folder(self) -> Movable:
        return MovableFolder(self.root, self.master)

    def _database(self) -> Movable:
        return MovableDatabase(self.url, self.master)

    def ends(self) -> tuple[Movable, Movable]:
        """Opened anew, as a command does."""
        return (self._folder(), self._database()) if self.to == "database" else (self._database(), self._folder())

    def source(self) -> KeyStore:
        return self._used(self.to != "database")

    def target(self) -> KeyStore:
        return self._used(self.to == "database")

    def _used(self, database: bool) -> KeyStore:
        return PostgresKeyStore(self.url, self.master) if database else DirectoryKeyStore(self.root, self.master)

    def left(self) -> list[bytes]:
        """What the source keeps of keys, epoch keys last."""
        if self.to == "database":
            files = [*self.root.rglob("*"), *self.master.with_name("master.key.epochs").rglob("*")]
            return [one.read_bytes() for one in files if one.is_file() and one.name not in ("moving", *LOCKS)]
        with psycopg.connect(self.url) as connection:
            query = b"SELECT wrapped FROM junier_keys.wrapped UNION ALL SELECT sealed FROM junier_keys.epoch"
            return [bytes(one) for [one] in connection.execute(query)]


@pytest.fixture(params=["database", "directory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, keys_url: str) -> Place:
    return Place(request.param, tmp_path, keys_url)


def filled(keys: KeyStore) -> tuple[dict[KeyPath, bytes], list[KeyPath]]:
    """Keys that stand, and paths that were destroyed: a person, an item of another one, an account, a path never made;
    some before the last epoch began, some since."""
    made, other, closed = tree(keys), tree(keys), tree(keys)
    gone, lives = [path for path in made if path.person and not path.item]
    keys.destroy(gone)
    keys.rotate()
    never = KeyPath(gone.account, PersonId(uuid4()))
    destroyed = [gone, below(lives, "track-1"), next(iter(closed)), never]
    for path in destroyed[1:]:
        keys.destroy(path)
    made = {path: key for path, key in made.items() if path.person != gone.person and path != below(lives, "track-1")}
    destroyed += [path for path in closed if path.person]
    return made | other, destroyed


def same(keys: KeyStore, made: dict[KeyPath, bytes], destroyed: list[KeyPath]) -> None:
    for path, key in made.items():
        if path.parent is None:
            assert keys.exists(path)
        else:
            assert keys.unwrap(path) == key
    for path in destroyed:
        with pytest.raises(KeyDestroyed):
            keys.unwrap(path)
        with pytest.raises(KeyDestroyed):
            keys.create(path)


def test_names_and_paths_are_each_others_inverse() -> None:
    account, person = AccountId(uuid4()), PersonId(uuid4())
    for path in (
        KeyPath(account),
        KeyPath(account, person),
        KeyPath(account, person, "track-1"),
        KeyPath(account, None, "x"),
    ):
        assert path_of(account, name_of(path)) == path


def test_all_keys_arrive_and_none_stays(place: Place) -> None:
    made, destroyed = filled(place.source())
    assert move(*place.ends()) == Moved(accounts=3, keys=len(made))
    keys = place.target()
    same(keys, made, destroyed)
    assert place.left() == [], "the source keeps nothing that opens anything"
    with pytest.raises(KeysMoving, match="left this store"):
        place.source()
    source, _ = place.ends()
    assert not any(source.store.exists(path) for path in made)
    assert keys.rotate() == 2
    same(keys, made, destroyed)


def test_a_copy_of_the_source_opens_nothing_with_what_the_target_has(place: Place) -> None:
    """Account keys are new at the end, so wrapped keys copied before it open with nothing."""
    made, _ = filled(place.source())
    accounts = [path for path in made if path.parent is None]
    before = {path: place.source().unwrap(path) for path in accounts}
    move(*place.ends())
    keys = place.target()
    assert all(keys.unwrap(path) != before[path] for path in accounts)
    began = keys.check().epoch_began
    assert began is not None and keys.check().accounts == len(accounts)


def test_there_and_back_again(place: Place) -> None:
    made, destroyed = filled(place.source())
    move(*place.ends())
    source, target = place.ends()
    assert move(source, target) == Moved(accounts=0, keys=0), "done is done"
    source, target = place.ends()
    move(target, source)
    same(place.source(), made, destroyed)
    with pytest.raises(KeysMoving):
        place.target()


class Killed(BaseException):
    """kill -9 at this step."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> Iterator[None]:
    """The process dies before or after its step number `at`, of those that change a store."""
    count = 0

    def step(real: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == at and not after:
            raise Killed
        result = real(*arguments)
        if count == at:
            raise Killed
        return result

    with monkeypatch.context() as patched:
        for kind in (MovableFolder, MovableDatabase):
            for name in STEPS:
                real = getattr(kind, name)
                patched.setattr(kind, name, lambda *given, real=real: step(real, *given))
        for store in (DirectoryKeyStore, PostgresKeyStore):
            patched.setattr(store, "rotate", lambda self, real=store.rotate: step(partial(real, self)))
        yield


def test_it_can_die_at_every_step_and_is_run_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run gets one step further than the last; in between nothing opens either store, and nothing is lost."""
    made, destroyed = filled(place.source())
    for at in range(1, 40):
        for after in (False, True):
            try:
                with dying(monkeypatch, at, after=after):
                    move(*place.ends())
            except Killed:
                source, target = place.ends()
                for path in made:
                    assert source.store.exists(path) or target.store.exists(path), (at, after)
                if target.mark() is Mark.ARRIVING:
                    with pytest.raises(KeysMoving):
                        place.target()
                for path in destroyed:
                    assert not source.store.exists(path) and not target.store.exists(path)
            else:
                same(place.target(), made, destroyed)
                assert at > 1 and len(place.left()) <= 1, "but for an epoch key that wraps nothing"
                return
    raise AssertionError("it never came to its end")


def test_half_an_account_that_a_crash_left_in_the_folder_is_made_anew(tmp_path: Path, keys_url: str) -> None:
    place = Place("directory", tmp_path, keys_url)
    made, destroyed = filled(place.source())
    account = next(iter(made)).account
    source, target = place.ends()
    target.set_mark(Mark.ARRIVING)
    (place.root / str(account) / "epoch-00001.part").mkdir(parents=True)
    (place.root / str(account) / "epoch-00001.part" / "item.stray").write_bytes(b"half")
    (place.root / str(account) / "destroyed").mkdir()
    move(source, target)
    same(place.target(), made, destroyed)
    assert not list(place.root.rglob("*stray*"))


def test_an_account_that_a_crash_left_half_cleared_in_the_folder_is_cleared(tmp_path: Path, keys_url: str) -> None:
    place = Place("database", tmp_path, keys_url)
    made, destroyed = filled(place.source())
    account = next(iter(made)).account
    source, target = place.ends()
    target.set_mark(Mark.ARRIVING)
    target.put(source.read(account))
    [file] = (place.root / str(account)).glob("epoch-*/account")
    file.unlink()
    move(source, target)
    same(place.target(), made, destroyed)
    assert place.left() == []


def test_what_a_crash_of_an_erasure_left_lying_does_not_travel(tmp_path: Path, keys_url: str) -> None:
    place = Place("database", tmp_path, keys_url)
    keys = place.source()
    made = tree(keys)
    gone = next(path for path in made if path.person and not path.item)
    tombstone = place.root / str(gone.account) / "destroyed" / name_of(gone)
    tombstone.parent.mkdir()
    tombstone.write_bytes(b"")
    move(*place.ends())
    with psycopg.connect(keys_url) as connection:
        names = {name for [name] in connection.execute("SELECT name FROM junier_keys.wrapped").fetchall()}
    assert names and not any(str(gone.person) in name for name in names)


def test_an_erasure_in_a_store_whose_keys_have_left_is_done_where_they_are(tmp_path: Path, keys_url: str) -> None:
    """A process that still ran meanwhile closed a path in the source; the move was interrupted and is run again."""
    place = Place("database", tmp_path, keys_url)
    running = place.source()
    made = tree(running)
    person = next(path for path in made if path.person and not path.item)
    source, target = place.ends()
    target.set_mark(Mark.ARRIVING)
    target.put(source.read(person.account))
    source.clear(person.account)
    assert running.destroy(person) == 0
    with pytest.raises(KeyMissing):  # so that no certificate is written for it
        running.unwrap(KeyPath(person.account))
    move(*place.ends())
    with pytest.raises(KeyDestroyed):
        place.target().unwrap(person)


def test_a_store_with_keys_is_no_place_to_move_to(place: Place) -> None:
    made, destroyed = filled(place.source())
    other = tree(place.target())
    with pytest.raises(KeyStoreError, match="holds keys already"):
        move(*place.ends())
    same(place.source(), made, destroyed)
    assert all(place.target().unwrap(path) == key for path, key in other.items())


def test_a_damaged_account_stops_the_move_before_it_begins(tmp_path: Path, keys_url: str) -> None:
    place = Place("database", tmp_path, keys_url)
    keys = place.source()
    damaged, whole = new_account(keys), new_account(keys)
    [file] = (place.root / str(damaged)).glob("epoch-*/account")
    file.write_bytes(b"x")
    with pytest.raises(KeyDamaged):
        move(*place.ends())
    assert place.source().exists(KeyPath(whole))
    assert place.target().check().accounts == 0


def test_the_two_directions_do_not_cross(place: Place) -> None:
    filled(place.source())
    source, target = place.ends()
    target.set_mark(Mark.ARRIVING)
    with pytest.raises(KeysMoving, match="finish that move"):
        move(target, source)


def test_what_did_not_arrive_as_it_left_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made, destroyed = filled(place.source())
    source, target = place.ends()
    monkeypatch.setattr(target, "put", lambda keys: None)
    with pytest.raises(KeyStoreError, match=re.escape("did not arrive as they left")):
        move(source, target)
    source, target = place.ends()
    same(source.store, made, destroyed)
    move(source, target)
    same(place.target(), made, destroyed)
