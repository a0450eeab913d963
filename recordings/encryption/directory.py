"""KeyStore in a folder of this machine, apart from the database and never part of its backups.

    {master key}                            32 bytes, mode 0600, made on the first start
    {root}/{account}/lock                   flock: shared to read, exclusive to change
    {root}/{account}/destroyed/{name}       tombstone, empty
    {root}/{account}/epoch-{n:05d}/         one rotation of the account key; the highest one counts
        account                                 wrapped by the master key
        person.{person}   item.{item}           wrapped by the account key
    {root}/{account}/persons/{person}/{item}    wrapped by the person's key

A wrapped key is one sealed message (sealed.py) bound to its name, so exchanged files do not open.
Unwrapped keys are not remembered between calls: what another process destroyed is closed here at
once. Overwriting a file proves nothing on flash or copy-on-write disks; there rotation is what holds,
because an old copy of a wrapped key opens only with an account key that is gone.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from recordings.encryption.keystore import (
    KeyDamaged,
    KeyDestroyed,
    KeyExists,
    KeyMissing,
    KeyPath,
    KeyStoreError,
    KeyStoreUnavailable,
)
from recordings.encryption.sealed import KEY_BYTES, SealBroken, object_context, seal, unseal
from recordings.model import AccountId

_ACCOUNT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EPOCH = re.compile(r"epoch-(\d{5})")
_PART = ".part"


class DirectoryKeyStore:
    """Safe to use from several threads and processes on one machine."""

    def __init__(self, root: Path, master_key: Path | None = None) -> None:
        """master_key: its file, by default inside `root`. Raises KeyStoreError when it cannot be trusted."""
        self._root = root
        self._master_file = master_key or root / "master.key"
        with _told():
            _make_folder(root)
            _make_folder(self._master_file.parent)
            with _flock(root / "lock", fcntl.LOCK_EX):
                self._master = self._make_or_read_master()

    def create(self, path: KeyPath) -> bytes:
        with _told():
            if path.parent is None:
                _make_folder(self._folder(path.account))
            with self._locked(path.account, fcntl.LOCK_EX):
                self._refuse_destroyed(path)
                file = self._file(path)
                if file.exists():
                    raise KeyExists()
                key = os.urandom(KEY_BYTES)
                sealed = seal(self._parent_key(path), key, _context(path.account, _name(path)))
                _make_folder(file.parent)
                _put(file, sealed)
                return key

    def unwrap(self, path: KeyPath) -> bytes:
        with _told(), self._locked(path.account, fcntl.LOCK_SH):
            self._refuse_destroyed(path)
            return self._open(path)

    def destroy(self, path: KeyPath) -> int:
        with _told():
            tombstone = self._tombstone(path)
            _make_folder(tombstone.parent)
            with self._locked(path.account, fcntl.LOCK_EX):
                _put(tombstone, b"")  # first, so that a crash from here on leaves the key closed
                doomed = list(self._files_of(path))
                for file in doomed:
                    _shred(file)
                if list(self._files_of(path)) or not tombstone.exists():
                    raise KeyStoreError("A destroyed key is still there.")
                return sum(not file.name.endswith(_PART) for file in doomed)

    def exists(self, path: KeyPath) -> bool:
        try:
            self.unwrap(path)
        except (KeyMissing, KeyDestroyed):
            return False
        return True

    def rotate(self, account: AccountId) -> None:
        with _told(), self._locked(account, fcntl.LOCK_EX):
            self._refuse_destroyed(KeyPath(account))
            old, new = self._open(KeyPath(account)), os.urandom(KEY_BYTES)
            current = self._epoch(account)
            following = current.with_name(f"epoch-{int(current.name[-5:]) + 1:05d}")
            unfinished = following.with_name(following.name + _PART)
            unfinished.mkdir(mode=0o700)
            for file in current.iterdir():
                if file.name != "account" and not file.name.endswith(_PART):
                    key = _unwrapped(old, file.read_bytes(), account, file.name)
                    _write(unfinished / file.name, seal(new, key, _context(account, file.name)))
            _write(unfinished / "account", seal(self._master, new, _context(account, "account")))
            _sync_folder(unfinished)
            unfinished.rename(following)  # from here on the new key counts
            _sync_folder(following.parent)
            self._sweep(account)

    def check(self) -> str:
        with _told():
            if self._read_master() != self._master:
                raise KeyDamaged("The master key changed while this program runs.")
            probe = self._root / f"probe{_PART}"
            _write(probe, b"")
            probe.unlink(missing_ok=True)
            live = sum(self.exists(KeyPath(account)) for account in self._accounts())
        return (
            f"The keys of {live} accounts are kept in the folder {self._root} of this machine, "
            f"wrapped by the master key in {self._master_file}."
        )

    def _make_or_read_master(self) -> bytes:
        """Called locked."""
        if not self._master_file.exists():
            if list(self._accounts()):
                raise KeyStoreError("The master key is missing, but keys that it wrapped are there.")
            _put(self._master_file, os.urandom(KEY_BYTES))
        return self._read_master()

    def _read_master(self) -> bytes:
        if self._master_file.stat().st_mode & 0o077:
            raise KeyStoreError("The file of the master key may be readable by its owner only (mode 0600).")
        key = self._master_file.read_bytes()
        if len(key) != KEY_BYTES:
            raise KeyStoreError("The file of the master key does not hold 32 bytes.")
        return key

    def _accounts(self) -> Iterator[AccountId]:
        return (AccountId(UUID(name)) for name in sorted(os.listdir(self._root)) if _ACCOUNT.fullmatch(name))

    @contextmanager
    def _locked(self, account: AccountId, mode: int) -> Iterator[None]:
        folder = self._place(account)
        if not os.path.isdir(folder):
            raise KeyMissing()
        with _flock(f"{folder}/lock", mode):
            if mode == fcntl.LOCK_EX:
                self._sweep(account)
            yield

    # Everything below is called locked.

    def _sweep(self, account: AccountId) -> None:
        """Remove what a rotation left behind, finished or not, the old account key first."""
        current = self._epoch(account)
        old = [folder for folder in self._folder(account).glob("epoch-*") if folder != current]
        for folder in old:
            if (folder / "account").exists():
                _shred(folder / "account")
            shutil.rmtree(folder)
        if old:
            _sync_folder(self._folder(account))

    def _refuse_destroyed(self, path: KeyPath) -> None:
        destroyed = f"{self._place(path.account)}/destroyed"
        if any(os.path.exists(f"{destroyed}/{_name(above)}") for above in path.line):
            raise KeyDestroyed()

    def _open(self, path: KeyPath) -> bytes:
        """From the master key down the line. Pages open a key for each name they show, so this is plain text and no
        Path: a page of fifty people spends half of its time otherwise on putting paths together."""
        epoch, key = self._epoch_name(path.account), self._master
        for above in reversed(path.line):
            try:
                with open(self._file_name(above, epoch), "rb") as file:
                    wrapped = file.read()
            except FileNotFoundError as error:
                raise KeyMissing() from error
            key = _unwrapped(key, wrapped, path.account, _name(above))
        return key

    def _parent_key(self, path: KeyPath) -> bytes:
        return self._open(path.parent) if path.parent else self._master

    def _files_of(self, path: KeyPath) -> Iterator[Path]:
        """Files of this key and all beneath it, itself first."""
        own = self._file(path)
        whole = (own, own.with_name(own.name + _PART))
        yield from (file for file in whole if file.exists())
        if path.item is None:
            persons = self._folder(path.account) / "persons"
            beneath = persons.rglob("*") if path.person is None else (persons / str(path.person)).glob("*")
            yield from (file for file in beneath if file.is_file())
        if path.parent is None:
            yield from (file for file in self._epoch(path.account).glob("*") if file not in whole)

    def _place(self, account: AccountId) -> str:
        return f"{self._root}/{account}"

    def _folder(self, account: AccountId) -> Path:
        return self._root / str(account)

    def _epoch_name(self, account: AccountId) -> str:
        names = [name for name in os.listdir(self._place(account)) if _EPOCH.fullmatch(name)]
        return max(names, default="epoch-00001")

    def _epoch(self, account: AccountId) -> Path:
        return self._folder(account) / self._epoch_name(account)

    def _file_name(self, path: KeyPath, epoch: str) -> str:
        if path.person is not None and path.item is not None:
            return f"{self._place(path.account)}/persons/{path.person}/{path.item}"
        return f"{self._place(path.account)}/{epoch}/{_name(path)}"

    def _file(self, path: KeyPath) -> Path:
        return Path(self._file_name(path, self._epoch_name(path.account)))

    def _tombstone(self, path: KeyPath) -> Path:
        return self._folder(path.account) / "destroyed" / _name(path)


def _name(path: KeyPath) -> str:
    """account · person.{id} · item.{item} · person.{id}.{item}"""
    if path.person is None:
        return "account" if path.item is None else f"item.{path.item}"
    return f"person.{path.person}" if path.item is None else f"person.{path.person}.{path.item}"


def _context(account: AccountId, name: str) -> bytes:
    return object_context(account, f"key {name}")


def _unwrapped(parent: bytes, wrapped: bytes, account: AccountId, name: str) -> bytes:
    try:
        return unseal(parent, wrapped, _context(account, name))
    except SealBroken as error:
        raise KeyDamaged() from error


@contextmanager
def _flock(file: Path | str, mode: int) -> Iterator[None]:
    """Each call opens the file anew, so threads of one process exclude each other as well."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)


def _put(file: Path, data: bytes) -> None:
    """All of `data` under that name, or nothing; on disk when this returns."""
    part = file.with_name(file.name + _PART)
    _write(part, data)
    part.rename(file)
    _sync_folder(file.parent)


def _write(file: Path, data: bytes) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _shred(file: Path) -> None:
    with open(file, "r+b") as opened:
        opened.write(os.urandom(file.stat().st_size))
        opened.flush()
        os.fsync(opened.fileno())
    file.unlink()
    _sync_folder(file.parent)


def _make_folder(folder: Path) -> None:
    """Like mkdir -p, for the owner only, with every new name on disk."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the file system says into an error of the port."""
    try:
        yield
    except OSError as error:
        raise KeyStoreUnavailable(error.strerror or "") from error
