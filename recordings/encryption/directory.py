"""KeyStore in a folder of this machine, apart from the database and never part of its backups.

A wrapped key is one sealed message (sealed.py) bound to its name, so exchanged files do not open. Unwrapped keys are
not remembered between calls: what another process destroyed is closed here at once. Overwriting a file proves nothing
on flash or copy-on-write disks; there rotation is what holds, because an old copy of a wrapped key opens only with an
account key that is gone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from recordings.encryption import master
from recordings.encryption.directory_layout import KeyFolder
from recordings.encryption.directory_rotation import FolderRotation, changing
from recordings.encryption.directory_tree import KeyTree
from recordings.encryption.epochs import EpochKeys
from recordings.encryption.files import PART, locked, make_folder, put, shred, told, write
from recordings.encryption.keystore import (
    KeyDamaged,
    KeyExists,
    KeyHealth,
    KeyPath,
    KeyStore,
    KeyStoreError,
    found,
)
from recordings.encryption.moving import refuse_moving
from recordings.encryption.rotation import rotate
from recordings.encryption.sealed import KEY_BYTES
from recordings.model import AccountId, PersonId


class DirectoryKeyStore(KeyStore):
    """Safe to use from several threads and processes on one machine."""

    def __init__(self, root: Path, master_key: Path | None = None, *, moving: bool = False) -> None:
        """master_key: its file, by default inside `root`. moving: opened by a move of its keys. Raises KeyStoreError
        when it cannot be trusted."""
        self._master_file = master_key or root / "master.key"
        self._folder = KeyFolder(root)
        with told():
            refuse_moving(None if moving else self._folder.mark())
            make_folder(root)
            make_folder(self._master_file.parent)
            with locked(self._lock, fcntl.LOCK_EX):
                self._master = master.make_or_read(self._master_file, has_wrapped=bool(self._folder.accounts()))
            self._identity = self._lock.stat().st_ino
            self._epochs = EpochKeys.beside(self._master_file)
        self._tree = KeyTree(self._folder, self._epochs)

    def create(self, path: KeyPath) -> bytes:
        with told():
            if path.parent is None:
                make_folder(self._folder.folder(path.account))
                with locked(self._lock, fcntl.LOCK_EX):  # no rotation may pass over a key that comes now
                    return self._create(path)
            return self._create(path)

    def unwrap(self, path: KeyPath) -> bytes:
        with told(), self._folder.locked(path.account, fcntl.LOCK_SH):
            self._folder.refuse_destroyed(path)
            return self._tree.open(path)

    def unwrap_persons(self, account: AccountId, persons: Iterable[PersonId]) -> dict[PersonId, bytes]:
        with told(), self._folder.locked(account, fcntl.LOCK_SH):
            if self._folder.is_closed(KeyPath(account)):
                return {}
            epoch = self._folder.epoch_name(account)
            account_key = self._tree.account(account, epoch)
            paths = [KeyPath(account, person) for person in persons]
            standing = [path for path in paths if not self._folder.is_closed(path)]
            return {path.person: self._tree.person(path, epoch, account_key).key for path in standing if path.person}

    def destroy(self, path: KeyPath) -> int:
        with told():
            tombstone = self._folder.tombstone(path)
            make_folder(tombstone.parent)
            with changing(self._folder, path.account):
                put(tombstone, b"")  # first, so that a crash from here on leaves the key closed
                doomed = list(self._folder.files_of(path))
                if path.person is not None and path.item is not None and doomed:
                    self._retire_wrap(path)
                for file in doomed:
                    shred(file)
            with self._folder.locked(path.account, fcntl.LOCK_SH):  # read back, from the names on the disk
                if list(self._folder.files_of(path)) or not tombstone.exists():
                    raise KeyStoreError("A destroyed key is still there.")
            return sum(not file.name.endswith(PART) for file in doomed)

    def rotate(self) -> int:
        with told(), locked(self._folder.root / "rotating", fcntl.LOCK_EX):
            self._refuse_another_folder()
            return rotate(FolderRotation(self._folder, self._tree))

    def check(self) -> KeyHealth:
        with told():
            if master.read(self._master_file) != self._master:
                raise KeyDamaged("The master key changed while this program runs.")
            self._refuse_another_folder()
            probe = self._folder.root / f"probe{PART}"
            write(probe, b"")
            probe.unlink(missing_ok=True)
            oldest = self._epochs.oldest()
            health = found(
                self,
                f"Keys are kept in the folder {self._folder.root} of this machine, wrapped by the master key in "
                f"{self._master_file}.",
                self._folder.accounts(),
                oldest.began if oldest else None,
            )
        return health

    @property
    def _lock(self) -> Path:
        return self._folder.root / "lock"

    def _refuse_another_folder(self) -> None:
        """A disk that went away leaves the folder it was mounted on: empty, and with keys of other epochs at best."""
        if not self._lock.exists() or self._lock.stat().st_ino != self._identity:
            raise KeyStoreError(f"{self._folder.root} is not the folder it was when this program started.")

    def _create(self, path: KeyPath) -> bytes:
        with changing(self._folder, path.account):
            self._folder.refuse_destroyed(path)
            file = self._folder.file(path)
            if file.exists():
                raise KeyExists()
            key = os.urandom(KEY_BYTES)
            wrapped = self._tree.wrap(key, path)
            make_folder(file.parent)
            put(file, wrapped)
            return key

    def _retire_wrap(self, path: KeyPath) -> None:
        """The wrapping key of an item that goes wraps nothing new. Where nothing opens, there is nothing to retire."""
        epoch = self._folder.epoch_name(path.account)
        try:
            account_key = self._tree.account(path.account, epoch)
            keys = self._tree.person(path, epoch, account_key)
            if not keys.wraps_newly(self._folder.read(path, epoch), path):
                return
        except KeyStoreError:
            return
        self._tree.put_person(path, account_key, keys.retired())
