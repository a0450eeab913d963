"""A move of keys whose process is ended by SIGKILL in the middle of what changes a store, and run again."""

from __future__ import annotations

import multiprocessing
import os
import signal
from importlib import import_module
from types import ModuleType

import pytest

from recordings.encryption import directory_moving, epochs, postgres_moving
from recordings.encryption.moving import KeysMoving, move
from tests.contracts.test_moving_keys import Place, filled, place, same

__all__ = ["place"]

PATIENCE_S = 120
MIDDLE: dict[tuple[str, str], tuple[ModuleType, str]] = {
    ("put", "database"): (postgres_moving, "_forget"),  # the transaction is open
    ("put", "directory"): (directory_moving, "sync_folder"),  # all is written, nothing has its name yet
    ("clear", "directory"): (directory_moving, "shred"),  # the account's key is gone, the rest lies there
    ("clear", "database"): (postgres_moving, "_forget"),
    ("end", "directory"): (epochs, "shred"),
    ("end", "database"): (postgres_moving, "drop_epoch"),
}
"""Of each verb of a store the part after which the process dies. The verb calls it from this module."""


def moves_and_dies(place: Place, module: str, name: str) -> None:
    where = import_module(module)
    real = getattr(where, name)

    def last(*arguments: object) -> None:
        real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(where, name, last)
    move(*place.ends())


@pytest.mark.parametrize("verb", ["put", "clear", "end"])
def test_a_process_that_moves_keys_is_killed_for_real_and_the_move_is_run_again(place: Place, verb: str) -> None:
    made, destroyed = filled(place.source())
    there = place.to if verb == "put" else {"database": "directory", "directory": "database"}[place.to]
    where, name = MIDDLE[verb, there]
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may wait for one of them for ever
    other = spawn.Process(target=moves_and_dies, args=(place, where.__name__, name))
    other.start()
    other.join(PATIENCE_S)
    assert other.exitcode == -signal.SIGKILL
    source, target = place.ends()
    assert all(source.store.exists(path) or target.store.exists(path) for path in made), "nothing is lost"
    assert not any(source.store.exists(path) or target.store.exists(path) for path in destroyed)
    for opened in (place.source, place.target):
        with pytest.raises(KeysMoving):
            opened()
    move(*place.ends())
    same(place.target(), made, destroyed)
    assert place.left() == []
