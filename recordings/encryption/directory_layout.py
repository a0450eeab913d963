"""Where things lie in the folder of a key store. Looks, and writes nothing but the mark of a move.

    {master key}                            32 bytes, mode 0600, made on the first start (master.py)
    {master key}.epochs/                    what wraps account keys (epochs.py)
    {root}/lock  {root}/rotating            flock: epoch keys · one rotation at a time
    {root}/moving                           whether keys arrive here or leave (moving.py)
    {root}/{account}/lock                   flock: shared to read, exclusive to change
    {root}/{account}/destroyed/{name}       tombstone, empty
    {root}/{account}/epoch-{n:05d}/         one account key; the highest one counts
        account                                 wrapped by the epoch key
        person.{person}   item.{item}           wrapped by the account key
    {root}/{account}/persons/{person}/{item}    wrapped by the last of the person's wrapping keys

Pages open a key for each name they show, so what reading needs is plain text and no Path: a page of fifty people spends
half of its time otherwise on putting paths together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from recordings.encryption.files import PART, locked, put, sync_folder
from recordings.encryption.keystore import KeyDestroyed, KeyMissing, KeyPath
from recordings.encryption.moving import Mark
from recordings.encryption.wrapping import name_of
from recordings.model import AccountId

_ACCOUNT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EPOCH = re.compile(r"epoch-(\d{5})")


class KeyFolder:
    """One key store's. Everything but accounts() and locked() is called locked."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def accounts(self) -> list[AccountId]:
        return [AccountId(UUID(name)) for name in sorted(os.listdir(self.root)) if _ACCOUNT.fullmatch(name)]

    def mark(self) -> Mark | None:
        try:
            return Mark((self.root / "moving").read_text())
        except FileNotFoundError:
            return None

    def set_mark(self, mark: Mark | None) -> None:
        if mark is not None:
            put(self.root / "moving", mark.encode())
        else:
            (self.root / "moving").unlink(missing_ok=True)
            sync_folder(self.root)

    @contextmanager
    def locked(self, account: AccountId, mode: int) -> Iterator[None]:
        place = self.place(account)
        if not os.path.isdir(place):
            raise KeyMissing()
        with locked(f"{place}/lock", mode):
            yield

    def place(self, account: AccountId) -> str:
        return f"{self.root}/{account}"

    def folder(self, account: AccountId) -> Path:
        return self.root / str(account)

    def items(self, path: KeyPath) -> Path:
        """The folder of the items of a person."""
        return self.folder(path.account) / "persons" / str(path.person)

    def epoch_name(self, account: AccountId) -> str:
        names = [name for name in os.listdir(self.place(account)) if _EPOCH.fullmatch(name)]
        return max(names, default="epoch-00001")

    def epoch(self, account: AccountId) -> Path:
        return self.folder(account) / self.epoch_name(account)

    def read(self, path: KeyPath, epoch: str) -> bytes:
        """The wrapped key. Raises KeyMissing."""
        try:
            with open(self._file_name(path, epoch), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise KeyMissing() from error

    def file(self, path: KeyPath) -> Path:
        return Path(self._file_name(path, self.epoch_name(path.account)))

    def files_of(self, path: KeyPath) -> Iterator[Path]:
        """Files of this key and all beneath it, itself first."""
        own = self.file(path)
        whole = (own, own.with_name(own.name + PART))
        yield from (file for file in whole if file.exists())
        if path.item is None:
            persons = self.folder(path.account) / "persons"
            beneath = persons.rglob("*") if path.person is None else self.items(path).glob("*")
            yield from (file for file in beneath if file.is_file())
        if path.parent is None:
            yield from (file for file in self.epoch(path.account).glob("*") if file not in whole)

    def tombstone(self, path: KeyPath) -> Path:
        return self.folder(path.account) / "destroyed" / name_of(path)

    def is_closed(self, path: KeyPath) -> bool:
        """By its own tombstone."""
        return os.path.exists(f"{self.place(path.account)}/destroyed/{name_of(path)}")

    def refuse_destroyed(self, path: KeyPath) -> None:
        if any(map(self.is_closed, path.line)):
            raise KeyDestroyed()

    def _file_name(self, path: KeyPath, epoch: str) -> str:
        if path.person is not None and path.item is not None:
            return f"{self.place(path.account)}/persons/{path.person}/{path.item}"
        return f"{self.place(path.account)}/{epoch}/{name_of(path)}"
