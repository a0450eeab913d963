"""A new account key in a folder, made beside the store's life and put in place by one rename."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import UUID

from recordings.encryption.directory_layout import KeyFolder
from recordings.encryption.directory_tree import KeyTree
from recordings.encryption.files import PART, locked, put, shred, sync_folder, told, write
from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyMissing, KeyPath
from recordings.encryption.rotation import Standing
from recordings.encryption.sealed import KEY_BYTES, SealBroken, unseal
from recordings.encryption.wrapping import PersonKeys, context_of, rewrapped, unwrapped, wrapped_by
from recordings.model import AccountId, PersonId

Seen = dict[str, tuple[int, int]]
"""Name of a file -> its inode and the moment it was written: which of its lives was read."""


@contextmanager
def changing(folder: KeyFolder, account: AccountId) -> Iterator[None]:
    """Nobody else reads or changes the account's keys. Raises KeyMissing."""
    with folder.locked(account, fcntl.LOCK_EX):
        _sweep(folder, account)
        yield


def _sweep(folder: KeyFolder, account: AccountId) -> None:
    """Remove what a rotation left behind, finished or not, the old account key first. Only the one that runs has
    a folder without an account key."""
    current, home = folder.epoch_name(account), folder.place(account)
    left = [n for n in os.listdir(home) if n.startswith("epoch-") and n != current]
    old = [Path(home, n) for n in left if not n.endswith(PART) or os.path.exists(f"{home}/{n}/account")]
    for one in old:
        if (one / "account").exists():
            shred(one / "account")
        shutil.rmtree(one)
    if old:
        sync_folder(Path(home))


class FolderRotation:
    """rotation.Rotating for a folder. What is prepared has no account file: of a rotation that died nothing can be
    opened."""

    def __init__(self, folder: KeyFolder, tree: KeyTree) -> None:
        self._folder, self._tree, self._epochs = folder, tree, tree.epochs

    def accounts(self) -> Sequence[AccountId]:
        return self._folder.accounts()

    def standing(self, account: AccountId) -> Standing:
        with told(), self._folder.locked(account, fcntl.LOCK_SH):
            try:
                wrapped = self._folder.read(KeyPath(account), self._folder.epoch_name(account))
            except KeyMissing:
                return Standing.CLOSED
            if self._folder.is_closed(KeyPath(account)):
                return Standing.CLOSED
            self._epochs.open(wrapped, context_of(account, "account"))
            newest = self._epochs.newest()
            try:
                unseal(newest.key if newest else b"", wrapped, context_of(account, "account"))
            except (SealBroken, ValueError):
                return Standing.FORMER
            return Standing.NEWEST

    def epochs(self) -> int:
        return self._epochs.count()

    def no_new_accounts(self) -> AbstractContextManager[None]:
        return locked(self._folder.root / "lock", fcntl.LOCK_EX)

    def begin(self) -> None:
        self._epochs.begin()

    def finish(self) -> None:
        self._epochs.finish()

    def renew(self, account: AccountId) -> None:
        """Re-wrapping what lies beneath takes a while, so it is done beside the store's life, and only what changed
        meanwhile is done locked."""
        with told():
            self._renew(account)

    def _renew(self, account: AccountId) -> None:
        with self._folder.locked(account, fcntl.LOCK_SH):
            self._folder.refuse_destroyed(KeyPath(account))
            current = self._folder.epoch(account)
            old = self._tree.account(account, current.name)
        new, following = os.urandom(KEY_BYTES), current.with_name(f"epoch-{int(current.name[-5:]) + 1:05d}")
        prepared = following.with_name(following.name + PART)
        for dead in current.parent.glob(f"epoch-*{PART}"):
            shutil.rmtree(dead)
        prepared.mkdir(mode=0o700)
        seen: Seen = {}
        _rewrap(account, current, prepared, (old, new), seen)
        for person in self._not_settled(account, current, old):
            with changing(self._folder, account):
                self._settle(account, person, old)
        with changing(self._folder, account):
            if not (current / "account").exists():  # closed meanwhile
                shutil.rmtree(prepared)
                raise KeyDestroyed()
            _rewrap(account, current, prepared, (old, new), seen)
            write(prepared / "account", wrapped_by(self._epochs.present().key, new, account, "account"))
            sync_folder(prepared)
            prepared.rename(following)  # from here on the new key counts
            sync_folder(following.parent)
            _sweep(self._folder, account)

    def _not_settled(self, account: AccountId, current: Path, old: bytes) -> list[PersonId]:
        """Persons of whom an item was destroyed since the last rotation."""
        found = []
        for file in current.glob("person.*"):
            if file.name.endswith(PART):
                continue
            try:
                keys = PersonKeys.of(unwrapped(old, file.read_bytes(), account, file.name))
            except (FileNotFoundError, KeyDamaged):
                continue
            if not keys.is_settled:
                found.append(PersonId(UUID(file.name.removeprefix("person."))))
        return found

    def _settle(self, account: AccountId, person: PersonId, account_key: bytes) -> None:
        """Wrap a person's items by the last wrapping key and forget the others. Safe to run again after a crash."""
        path = KeyPath(account, person)
        try:
            keys = self._tree.person(path, self._folder.epoch_name(account), account_key)
        except KeyMissing:  # destroyed meanwhile
            return
        if keys.wraps_by_own_key:
            keys = keys.retired()
            self._tree.put_person(path, account_key, keys)
        for dead in self._folder.items(path).glob(f"*{PART}"):  # of a write that died
            shred(dead)
        for file in self._folder.items(path).glob("*"):
            item = KeyPath(account, person, file.name)
            try:
                put(file, keys.wrap(keys.unwrap(file.read_bytes(), item), item))
            except KeyDamaged:  # opens with nothing, whatever is done; reading it says so
                continue
        self._tree.put_person(path, account_key, keys.settled())


def _rewrap(account: AccountId, current: Path, prepared: Path, keys: tuple[bytes, bytes], seen: Seen) -> None:
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
