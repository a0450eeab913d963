"""KeyStore in a folder of this machine, apart from the database and never part of its backups.

    {master key}                            32 bytes, mode 0600, made on the first start
    {master key}.epochs/                    what wraps account keys (epochs.py)
    {root}/lock  {root}/rotating            flock: epoch keys · one rotation at a time
    {root}/{account}/lock                   flock: shared to read, exclusive to change
    {root}/{account}/destroyed/{name}       tombstone, empty
    {root}/{account}/epoch-{n:05d}/         one account key; the highest one counts
        account                                 wrapped by the epoch key
        person.{person}   item.{item}           wrapped by the account key
    {root}/{account}/persons/{person}/{item}    wrapped by the last of the person's wrapping keys

A wrapped key is one sealed message (sealed.py) bound to its name, so exchanged files do not open. The file of a person
holds their key and then their wrapping keys: destroying an item adds one, and the next rotation re-wraps what remains
and forgets the others, so an old copy of a destroyed item's file opens with nothing, although its person lives.
Unwrapped keys are not remembered between calls: what another process destroyed is closed here at
once. Overwriting a file proves nothing on flash or copy-on-write disks; there rotation is what holds,
because an old copy of a wrapped key opens only with an account key that is gone.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from recordings.encryption.epochs import EpochKeys
from recordings.encryption.files import PART, locked, make_folder, put, shred, sync_folder, told, write
from recordings.encryption.keystore import (
    KeyDamaged,
    KeyDestroyed,
    KeyExists,
    KeyMissing,
    KeyPath,
    KeyStoreError,
)
from recordings.encryption.sealed import KEY_BYTES, SealBroken, seal, unseal
from recordings.encryption.wrapping import context_of, name_of, opened_by, rewrapped, unwrapped
from recordings.model import AccountId, PersonId

_ACCOUNT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EPOCH = re.compile(r"epoch-(\d{5})")


Seen = dict[str, tuple[int, int]]
"""Name of a file -> its inode and the moment it was written: which of its lives was read."""


class DirectoryKeyStore:
    """Safe to use from several threads and processes on one machine."""

    def __init__(self, root: Path, master_key: Path | None = None) -> None:
        """master_key: its file, by default inside `root`. Raises KeyStoreError when it cannot be trusted."""
        self._root = root
        self._master_file = master_key or root / "master.key"
        with told():
            make_folder(root)
            make_folder(self._master_file.parent)
            with locked(root / "lock", fcntl.LOCK_EX):
                self._master = self._make_or_read_master()
        epochs = self._master_file.with_name(f"{self._master_file.name}.epochs")
        self._epochs = EpochKeys(epochs, self._master)

    def create(self, path: KeyPath) -> bytes:
        with told():
            if path.parent is None:
                make_folder(self._folder(path.account))
                with locked(self._root / "lock", fcntl.LOCK_EX):  # no rotation may pass over a key that comes now
                    return self._create(path)
            return self._create(path)

    def unwrap(self, path: KeyPath) -> bytes:
        with told(), self._locked(path.account, fcntl.LOCK_SH):
            self._refuse_destroyed(path)
            return self._open(path)

    def unwrap_persons(self, account: AccountId, persons: Iterable[PersonId]) -> dict[PersonId, bytes]:
        with told(), self._locked(account, fcntl.LOCK_SH):
            if self._is_closed(KeyPath(account)):
                return {}
            epoch, account_key = self._epoch_name(account), self._open(KeyPath(account))
            paths = [KeyPath(account, person) for person in persons]
            standing = [path for path in paths if not self._is_closed(path)]
            return {path.person: self._person(path, epoch, account_key)[0] for path in standing if path.person}

    def destroy(self, path: KeyPath) -> int:
        with told():
            tombstone = self._tombstone(path)
            make_folder(tombstone.parent)
            with self._locked(path.account, fcntl.LOCK_EX):
                put(tombstone, b"")  # first, so that a crash from here on leaves the key closed
                doomed = list(self._files_of(path))
                if path.person is not None and path.item is not None and doomed:
                    self._retire_wrap(path)
                for file in doomed:
                    shred(file)
                if list(self._files_of(path)) or not tombstone.exists():
                    raise KeyStoreError("A destroyed key is still there.")
                return sum(not file.name.endswith(PART) for file in doomed)

    def exists(self, path: KeyPath) -> bool:
        try:
            self.unwrap(path)
        except (KeyMissing, KeyDestroyed):
            return False
        return True

    def rotate(self) -> int:
        with told(), locked(self._root / "rotating", fcntl.LOCK_EX):
            with locked(self._root / "lock", fcntl.LOCK_EX):
                self._epochs.begin()
            renewed, troubles = 0, []
            for account in list(self._accounts()):
                try:
                    self._renew(account)
                    renewed += 1
                except (KeyMissing, KeyDestroyed):  # closed, or never made
                    continue
                except KeyStoreError as error:  # one damaged account keeps no other from its new key
                    troubles.append(f"{account}: {error}")
            with locked(self._root / "lock", fcntl.LOCK_EX):
                left = [account for account in self._accounts() if not self._is_renewed(account)]
                if left:
                    raise KeyStoreError(
                        "Some account keys could not be wrapped anew, so the former epoch goes on. "
                        + "; ".join(troubles or map(str, left))
                    )
                self._epochs.finish()
            return renewed

    def epoch_began(self) -> datetime | None:
        with told():
            oldest = self._epochs.oldest()
        return oldest.began if oldest else None

    def check(self) -> str:
        with told():
            if self._read_master() != self._master:
                raise KeyDamaged("The master key changed while this program runs.")
            probe = self._root / f"probe{PART}"
            write(probe, b"")
            probe.unlink(missing_ok=True)
            live = sum(self.exists(KeyPath(account)) for account in self._accounts())
            self._epochs.newest()
        return (
            f"The keys of {live} accounts are kept in the folder {self._root} of this machine, "
            f"wrapped by the master key in {self._master_file}."
        )

    def _make_or_read_master(self) -> bytes:
        """Called locked."""
        if not self._master_file.exists():
            if list(self._accounts()):
                raise KeyStoreError("The master key is missing, but keys that it wrapped are there.")
            put(self._master_file, os.urandom(KEY_BYTES))
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
        with locked(f"{folder}/lock", mode):
            if mode == fcntl.LOCK_EX:
                self._sweep(account)
            yield

    def _renew(self, account: AccountId) -> None:
        """A new account key. Re-wrapping what lies beneath takes a while, so it is done beside the store's life, and
        only what changed meanwhile is done locked. What is prepared has no account file: of a rotation that died
        nothing can be opened."""
        with self._locked(account, fcntl.LOCK_SH):
            self._refuse_destroyed(KeyPath(account))
            old, current = self._open(KeyPath(account)), self._epoch(account)
        new, following = os.urandom(KEY_BYTES), current.with_name(f"epoch-{int(current.name[-5:]) + 1:05d}")
        prepared = following.with_name(following.name + PART)
        for dead in current.parent.glob(f"epoch-*{PART}"):
            shutil.rmtree(dead)
        prepared.mkdir(mode=0o700)
        seen: Seen = {}
        self._rewrap(account, current, prepared, (old, new), seen)
        for person in self._with_retired_wraps(account, current, old):
            with self._locked(account, fcntl.LOCK_EX):
                self._settle(account, person, old)
        with self._locked(account, fcntl.LOCK_EX):
            if not (current / "account").exists():  # closed meanwhile
                shutil.rmtree(prepared)
                raise KeyDestroyed()
            self._rewrap(account, current, prepared, (old, new), seen)
            write(prepared / "account", seal(self._epochs.present().key, new, context_of(account, "account")))
            sync_folder(prepared)
            prepared.rename(following)  # from here on the new key counts
            sync_folder(following.parent)
            self._sweep(account)

    def _rewrap(
        self,
        account: AccountId,
        current: Path,
        prepared: Path,
        keys: tuple[bytes, bytes],
        seen: dict[str, tuple[int, int]],
    ) -> None:
        """Bring `prepared` up to date with `current`; seen: the file each name was made from. Safe to run again."""
        old, new = keys
        there = {entry.name: entry for entry in os.scandir(current)}
        names = [name for name in there if name != "account" and not name.endswith(PART)]
        for name in seen.keys() - set(names):
            shred(prepared / name)
            del seen[name]
        for name in names:
            try:
                facts = there[name].stat()
                mark = (facts.st_ino, facts.st_mtime_ns)
                if seen.get(name) != mark:
                    write(prepared / name, rewrapped(old, new, (current / name).read_bytes(), account, name))
                    seen[name] = mark
            except FileNotFoundError:  # destroyed at this moment; the locked turn sees to it
                continue

    def _with_retired_wraps(self, account: AccountId, current: Path, old: bytes) -> list[PersonId]:
        """Persons of whom an item was destroyed since the last rotation."""
        found = []
        for file in current.glob("person.*"):
            try:
                content = b"" if file.name.endswith(PART) else unwrapped(old, file.read_bytes(), account, file.name)
            except (FileNotFoundError, KeyDamaged):
                continue
            if content and len(content) != 2 * KEY_BYTES:
                found.append(PersonId(UUID(file.name.removeprefix("person."))))
        return found

    def _is_renewed(self, account: AccountId) -> bool:
        """Whether the account key is wrapped by the newest epoch key, or is none."""
        with self._locked(account, fcntl.LOCK_SH):
            file = self._file(KeyPath(account))
            if not file.exists():
                return True
            try:
                unseal(self._epochs.present().key, file.read_bytes(), context_of(account, "account"))
            except SealBroken:
                return False
        return True

    # Everything below is called locked.

    def _sweep(self, account: AccountId) -> None:
        """Remove what a rotation left behind, finished or not, the old account key first. Only the one that runs has
        a folder without an account key."""
        current, home = self._epoch_name(account), self._place(account)
        left = [n for n in os.listdir(home) if n.startswith("epoch-") and n != current]
        old = [Path(home, n) for n in left if not n.endswith(PART) or os.path.exists(f"{home}/{n}/account")]
        for folder in old:
            if (folder / "account").exists():
                shred(folder / "account")
            shutil.rmtree(folder)
        if old:
            sync_folder(Path(home))

    def _create(self, path: KeyPath) -> bytes:
        with self._locked(path.account, fcntl.LOCK_EX):
            self._refuse_destroyed(path)
            file = self._file(path)
            if file.exists():
                raise KeyExists()
            key = os.urandom(KEY_BYTES)
            content = key + os.urandom(KEY_BYTES) if path.person is not None and path.item is None else key
            sealed = seal(self._wrapping_key(path), content, context_of(path.account, name_of(path)))
            make_folder(file.parent)
            put(file, sealed)
            return key

    def _retire_wrap(self, path: KeyPath) -> None:
        """The wrapping key of an item that goes wraps nothing new. Where nothing opens, there is nothing to retire."""
        person = KeyPath(path.account, path.person)
        try:
            account_key = self._open(KeyPath(path.account))
            key, *wraps = self._person(person, self._epoch_name(path.account), account_key)
            unwrapped(wraps[-1], self._file(path).read_bytes(), path.account, name_of(path))
        except (KeyStoreError, FileNotFoundError):
            return
        self._put_person(person, account_key, [key, *wraps, os.urandom(KEY_BYTES)])

    def _settle(self, account: AccountId, person: PersonId, account_key: bytes) -> None:
        """Wrap a person's items by the last wrapping key and forget the others. Safe to run again after a crash."""
        path = KeyPath(account, person)
        try:
            key, *wraps = self._person(path, self._epoch_name(account), account_key)
        except KeyMissing:  # destroyed meanwhile
            return
        if wraps == [key]:  # made before persons had wrapping keys
            wraps.append(os.urandom(KEY_BYTES))
            self._put_person(path, account_key, [key, *wraps])
        folder = self._folder(account) / "persons" / str(person)
        for dead in folder.glob(f"*{PART}"):  # of a write that died
            shred(dead)
        for file in folder.glob("*"):
            item = KeyPath(account, person, file.name)
            try:
                data = opened_by(wraps, file.read_bytes(), account, name_of(item))
            except KeyDamaged:  # opens with nothing, whatever is done; reading it says so
                continue
            put(file, seal(wraps[-1], data, context_of(account, name_of(item))))
        self._put_person(path, account_key, [key, wraps[-1]])

    def _put_person(self, path: KeyPath, account_key: bytes, content: Sequence[bytes]) -> None:
        put(self._file(path), seal(account_key, b"".join(content), context_of(path.account, name_of(path))))

    def _refuse_destroyed(self, path: KeyPath) -> None:
        if any(map(self._is_closed, path.line)):
            raise KeyDestroyed()

    def _is_closed(self, path: KeyPath) -> bool:
        """By its own tombstone."""
        return os.path.exists(f"{self._place(path.account)}/destroyed/{name_of(path)}")

    def _open(self, path: KeyPath) -> bytes:
        """From the epoch key down the line. Pages open a key for each name they show, so this is plain text and no
        Path: a page of fifty people spends half of its time otherwise on putting paths together."""
        epoch = self._epoch_name(path.account)
        key = self._epochs.open(self._read(KeyPath(path.account), epoch), context_of(path.account, "account"))
        if path.person is not None:
            key, *wraps = self._person(path, epoch, key)
            return key if path.item is None else opened_by(wraps, self._read(path, epoch), path.account, name_of(path))
        return key if path.item is None else unwrapped(key, self._read(path, epoch), path.account, name_of(path))

    def _person(self, path: KeyPath, epoch: str, account_key: bytes) -> list[bytes]:
        """The person's key, then their wrapping keys, the last of which wraps what is new."""
        person = KeyPath(path.account, path.person)
        content = unwrapped(account_key, self._read(person, epoch), path.account, name_of(person))
        parts = [content[at : at + KEY_BYTES] for at in range(0, len(content), KEY_BYTES)]
        return parts if len(parts) > 1 else parts * 2

    def _read(self, path: KeyPath, epoch: str) -> bytes:
        try:
            with open(self._file_name(path, epoch), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise KeyMissing() from error

    def _wrapping_key(self, path: KeyPath) -> bytes:
        if path.parent is None:
            return self._epochs.present().key
        if path.parent.person is None:
            return self._open(path.parent)
        account_key = self._open(KeyPath(path.account))
        return self._person(path, self._epoch_name(path.account), account_key)[-1]

    def _files_of(self, path: KeyPath) -> Iterator[Path]:
        """Files of this key and all beneath it, itself first."""
        own = self._file(path)
        whole = (own, own.with_name(own.name + PART))
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
        return f"{self._place(path.account)}/{epoch}/{name_of(path)}"

    def _file(self, path: KeyPath) -> Path:
        return Path(self._file_name(path, self._epoch_name(path.account)))

    def _tombstone(self, path: KeyPath) -> Path:
        return self._folder(path.account) / "destroyed" / name_of(path)
