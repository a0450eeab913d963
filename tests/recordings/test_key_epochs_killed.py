"""Killed at any step, a rotation or a destruction of keys in a folder goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from recordings.encryption.epochs import EpochKeys
from recordings.encryption.keystore import KeyDestroyed
from tests.recordings.key_folder import family, open_store, opens, without_tombstones

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


def _rotate_until_killed(place: Path, begun: Connection) -> None:
    keys = open_store(place)
    keys.rotate()
    begun.send_bytes(b"once")
    while True:
        keys.rotate()


def test_a_process_that_rotates_is_killed_for_real(place: Path) -> None:
    keys = open_store(place)
    made = family(keys)
    account = next(iter(made))
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may wait for one of them for ever
    for wait in (0.0, 0.01, 0.05):
        ours, theirs = spawn.Pipe(duplex=False)
        other = spawn.Process(target=_rotate_until_killed, args=(place, theirs))
        other.start()
        assert ours.poll(120), "it has rotated once"
        other.join(wait)
        other.kill()
        other.join(60)
        assert {path: keys.unwrap(path) for path in made if path != account} == {
            path: key for path, key in made.items() if path != account
        }
    assert keys.rotate() == 1
