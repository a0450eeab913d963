"""Epoch keys wrap account keys and are made anew on a schedule; a copy of the key store opens while they live.

    {master key}.epochs/{n:05d}     the epoch's key and the second it began, sealed by the master key

One lives; the former ones too while a rotation runs, until every account key is wrapped by the newest. They lie
beside the master key and apart from the key store: an old copy of the store, with the master key of today, opens
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from recordings.encryption import master
from recordings.encryption.epoch_key import EpochKey, opened, sealed_new
from recordings.encryption.files import PART, make_folder, put, shred
from recordings.encryption.keystore import KeyDamaged, KeyStoreError
from recordings.encryption.sealed import SealBroken, unseal

_NAME = re.compile(r"\d{5}")


class EpochKeys:
    """The epoch keys of one store. Remembered until one does not fit: what another process destroyed wraps nothing
    any more. Whoever makes or destroys them holds the store's lock."""

    def __init__(self, folder: Path, master: bytes) -> None:
        self._folder = folder
        self._master = master
        self._known: tuple[EpochKey, ...] = ()

    @classmethod
    def beside(cls, master_file: Path) -> EpochKeys:
        """Those of the master key in this file. Raises KeyStoreError, OSError."""
        return cls(master_file.with_name(f"{master_file.name}.epochs"), master.read(master_file))

    def open(self, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap an account key. Raises KeyDamaged."""
        for known in (self._known, None):
            for key in self._candidates(self._read() if known is None else known):
                try:
                    return unseal(key, wrapped, context)
                except SealBroken:
                    continue
        raise KeyDamaged()

    def newest(self) -> EpochKey | None:
        return max(self._read(), key=lambda one: one.number, default=None)

    def present(self) -> EpochKey:
        """The one to wrap with, made at the first need."""
        return self.newest() or self._make(1)

    def oldest(self) -> EpochKey | None:
        """One that a crash kept from being destroyed counts: it has not ended."""
        live = self._read()
        doomed = (self._opened(file) for file in self._files() if file.name.endswith(PART))
        former = [one for one in doomed if one is not None and live and one.number < live[0].number]
        return min((*live, *former), key=lambda one: one.number, default=None)

    def count(self) -> int:
        return len(self._read())

    def begin(self) -> None:
        """A new epoch. After a rotation that died there are three: what was copied in between must not open either."""
        self._make(max((one.number for one in self._read()), default=0) + 1)

    def finish(self) -> None:
        """Destroy all but the newest and read back that they are gone."""
        newest = self.present().number
        for file in self._files():
            if file.name.endswith(PART):
                shred(file)
            elif int(file.name) != newest:
                shred(file.rename(file.with_name(file.name + PART)))  # who reads it now must not meet random bytes
        if [file.name for file in self._files()] != [f"{newest:05d}"]:
            raise KeyStoreError("The key of an epoch that ended is still there.")
        self._read()

    def end(self) -> None:
        """Destroy all and read back that they are gone: nothing that they wrapped is wanted here any more."""
        for file in self._files():
            shred(file if file.name.endswith(PART) else file.rename(file.with_name(file.name + PART)))
        if self._files():
            raise KeyStoreError("The key of an epoch that ended is still there.")
        self._known = ()

    def _make(self, number: int) -> EpochKey:
        make_folder(self._folder)
        put(self._folder / f"{number:05d}", sealed_new(self._master, number))
        return next(one for one in self._read() if one.number == number)

    def _read(self) -> tuple[EpochKey, ...]:
        """Newest first."""
        found = []
        for file in self._files():
            if file.name.endswith(PART):
                continue
            one = self._opened(file)
            if one is not None:
                found.append(one)
            elif file.exists():  # else destroyed by another process at this moment
                raise KeyDamaged("An epoch key does not open.")
        self._known = tuple(sorted(found, key=lambda one: -one.number))
        return self._known

    def _opened(self, file: Path) -> EpochKey | None:
        try:
            return opened(self._master, int(file.name.removesuffix(PART)), file.read_bytes())
        except FileNotFoundError:
            return None

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(file for file in self._folder.iterdir() if _NAME.fullmatch(file.name.removesuffix(PART)))

    def _candidates(self, keys: tuple[EpochKey, ...]) -> Iterator[bytes]:
        """The master key last: stores made before there were epochs have account keys wrapped by it."""
        yield from (one.key for one in keys)
        yield self._master
