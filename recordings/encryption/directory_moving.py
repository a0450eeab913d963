"""moving.Movable for a folder."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.directory_layout import KeyFolder
from recordings.encryption.directory_rotation import changing
from recordings.encryption.directory_tree import KeyTree
from recordings.encryption.epochs import EpochKeys
from recordings.encryption.files import PART, locked, make_folder, shred, sync_folder, told, write
from recordings.encryption.keystore import KeyMissing, KeyPath, KeyStoreError
from recordings.encryption.moving import AccountKeys, Mark
from recordings.encryption.wrapping import path_of, wrapped_by
from recordings.model import AccountId


class MovableFolder:
    """Beside a store of its own, which may be marked."""

    def __init__(self, root: Path, master_key: Path) -> None:
        """Raises KeyStoreError."""
        self.store = DirectoryKeyStore(root, master_key, moving=True)
        self._folder, self._epochs = KeyFolder(root), EpochKeys.beside(master_key)
        self._tree = KeyTree(self._folder, self._epochs)

    def mark(self) -> Mark | None:
        return self._folder.mark()

    def set_mark(self, mark: Mark | None) -> None:
        with told():
            self._folder.set_mark(mark)

    def accounts(self) -> Sequence[AccountId]:
        with told():
            return self._folder.accounts()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with told():
            root = self._folder.root
            with locked(root / "rotating", fcntl.LOCK_EX), locked(root / "lock", fcntl.LOCK_EX):
                yield

    def locked(self, account: AccountId) -> AbstractContextManager[None]:
        return changing(self._folder, account)

    def read(self, account: AccountId) -> AccountKeys:
        with told():
            place = self._folder.folder(account)
            if not place.is_dir():
                return AccountKeys(account=account)
            key = None
            with suppress(KeyMissing):
                key = self._tree.account(account, self._folder.epoch_name(account))
            current = self._folder.epoch(account)
            beneath = {one.name: one for one in current.glob("*") if one.name != "account"}
            beneath |= {f"person.{one.parent.name}.{one.name}": one for one in place.glob("persons/*/*")}
            wrapped = {name: one.read_bytes() for name, one in beneath.items() if not name.endswith(PART)}
            closed = frozenset(one.name for one in place.glob("destroyed/*") if not one.name.endswith(PART))
            return AccountKeys.of(account, key, wrapped, closed)

    def put(self, keys: AccountKeys) -> None:
        with told():
            place = self._folder.folder(keys.account)
            if place.exists():  # of a move that died
                shutil.rmtree(place)
            prepared = place / f"epoch-00001{PART}"
            make_folder(prepared)
            for name in keys.closed:
                _write(place / "destroyed" / name, b"")
            for name, wrapped in keys.wrapped.items():
                path = path_of(keys.account, name)
                items = path.person is not None and path.item is not None
                _write(self._folder.file(path) if items else prepared / name, wrapped)
            for folder, _, _ in os.walk(place):
                sync_folder(Path(folder))
            if keys.key is not None:
                epoch = self._epochs.present().key
                write(prepared / "account", wrapped_by(epoch, keys.key, keys.account, "account"))
                sync_folder(prepared)
                prepared.rename(prepared.with_name("epoch-00001"))  # from here on it opens
            sync_folder(place)

    def clear(self, account: AccountId) -> None:
        with told():
            own = self._folder.file(KeyPath(account))
            if own.exists():
                shred(own)
            shutil.rmtree(self._folder.folder(account))
            sync_folder(self._folder.root)
            if account in self._folder.accounts():
                raise KeyStoreError("The keys of an account that was moved are still there.")

    def end(self) -> None:
        with told():
            self._epochs.end()


def _write(file: Path, data: bytes) -> None:
    make_folder(file.parent)
    write(file, data)
