"""The wrapped keys of a folder, opened from the epoch key down. Everything here is called locked."""

from __future__ import annotations

from dataclasses import dataclass

from recordings.encryption.directory_layout import KeyFolder
from recordings.encryption.epochs import EpochKeys
from recordings.encryption.files import put
from recordings.encryption.keystore import KeyPath
from recordings.encryption.wrapping import PersonKeys, context_of, name_of, unwrapped, wrapped_by
from recordings.model import AccountId


@dataclass(frozen=True)
class KeyTree:
    """folder and epochs: of one store. Raises KeyMissing and KeyDamaged."""

    folder: KeyFolder
    epochs: EpochKeys

    def account(self, account: AccountId, epoch: str) -> bytes:
        return self.epochs.open(self.folder.read(KeyPath(account), epoch), context_of(account, "account"))

    def person(self, path: KeyPath, epoch: str, account_key: bytes) -> PersonKeys:
        """Of whoever the path leads through."""
        person = KeyPath(path.account, path.person)
        wrapped = self.folder.read(person, epoch)
        return PersonKeys.of(unwrapped(account_key, wrapped, path.account, name_of(person)))

    def put_person(self, path: KeyPath, account_key: bytes, keys: PersonKeys) -> None:
        name = name_of(KeyPath(path.account, path.person))
        put(self.folder.file(KeyPath(path.account, path.person)), self._wrapped(account_key, keys.content, path, name))

    def open(self, path: KeyPath) -> bytes:
        epoch = self.folder.epoch_name(path.account)
        key = self.account(path.account, epoch)
        if path.person is not None:
            keys = self.person(path, epoch, key)
            return keys.key if path.item is None else keys.unwrap(self.folder.read(path, epoch), path)
        return key if path.item is None else self._unwrapped(key, path, epoch)

    def wrap(self, key: bytes, path: KeyPath) -> bytes:
        """A new key, as its file holds it."""
        if path.parent is None:
            return self._wrapped(self.epochs.present().key, key, path, "account")
        epoch = self.folder.epoch_name(path.account)
        account_key = self.account(path.account, epoch)
        if path.person is not None and path.item is not None:
            return self.person(path, epoch, account_key).wrap(key, path)
        content = PersonKeys.new(key).content if path.person is not None else key
        return self._wrapped(account_key, content, path, name_of(path))

    def _unwrapped(self, parent: bytes, path: KeyPath, epoch: str) -> bytes:
        return unwrapped(parent, self.folder.read(path, epoch), path.account, name_of(path))

    def _wrapped(self, parent: bytes, content: bytes, path: KeyPath, name: str) -> bytes:
        return wrapped_by(parent, content, path.account, name)
