"""Wrapped keys: what each is called, what it is bound to, and how it opens; the same in every adapter."""

from __future__ import annotations

import os
from dataclasses import dataclass
from uuid import UUID

from recordings.encryption.keystore import KeyDamaged, KeyPath
from recordings.encryption.sealed import KEY_BYTES, SealBroken, object_context, seal, unseal
from recordings.model import AccountId, PersonId


def name_of(path: KeyPath) -> str:
    """account · person.{id} · item.{item} · person.{id}.{item}"""
    if path.person is None:
        return "account" if path.item is None else f"item.{path.item}"
    return f"person.{path.person}" if path.item is None else f"person.{path.person}.{path.item}"


def path_of(account: AccountId, name: str) -> KeyPath:
    """The path that name_of names."""
    kind, _, rest = name.partition(".")
    if kind == "person":
        person, _, item = rest.partition(".")
        return KeyPath(account, PersonId(UUID(person)), item or None)
    return KeyPath(account, None, rest) if kind == "item" else KeyPath(account)


def context_of(account: AccountId, name: str) -> bytes:
    return object_context(account, f"key {name}")


def wrapped_by(parent: bytes, content: bytes, account: AccountId, name: str) -> bytes:
    return seal(parent, content, context_of(account, name))


def unwrapped(parent: bytes, wrapped: bytes, account: AccountId, name: str) -> bytes:
    try:
        return unseal(parent, wrapped, context_of(account, name))
    except SealBroken as error:
        raise KeyDamaged() from error


def rewrapped(old: bytes, new: bytes, wrapped: bytes, account: AccountId, name: str) -> bytes:
    """What is damaged stays as it is: it opens with nothing, and keeps nobody else from their new key."""
    try:
        return wrapped_by(new, unwrapped(old, wrapped, account, name), account, name)
    except KeyDamaged:
        return wrapped


@dataclass(frozen=True)
class PersonKeys:
    """What the wrapped key of a person holds: their key, then wrapping keys, the last of which wraps what is new.

    Destroying an item adds one, and the next rotation re-wraps what remains by it and forgets the others: an old copy
    of a destroyed item opens with nothing, although its person lives.
    """

    key: bytes
    wraps: tuple[bytes, ...]

    @classmethod
    def new(cls, key: bytes) -> PersonKeys:
        return cls(key, (os.urandom(KEY_BYTES),))

    @classmethod
    def of(cls, content: bytes) -> PersonKeys:
        """Persons made before there were wrapping keys wrap by their own key."""
        key, *wraps = (content[at : at + KEY_BYTES] for at in range(0, len(content), KEY_BYTES))
        return cls(key, tuple(wraps) or (key,))

    @property
    def content(self) -> bytes:
        return b"".join((self.key, *self.wraps))

    @property
    def is_settled(self) -> bool:
        """Nothing to forget."""
        return len(self.wraps) == 1 and not self.wraps_by_own_key

    @property
    def wraps_by_own_key(self) -> bool:
        return self.wraps == (self.key,)

    def retired(self) -> PersonKeys:
        """The last wrapping key wraps nothing new any more."""
        return PersonKeys(self.key, (*self.wraps, os.urandom(KEY_BYTES)))

    def settled(self) -> PersonKeys:
        """When all that lives is wrapped by the last one."""
        return PersonKeys(self.key, self.wraps[-1:])

    def wrap(self, key: bytes, path: KeyPath) -> bytes:
        return wrapped_by(self.wraps[-1], key, path.account, name_of(path))

    def unwrap(self, wrapped: bytes, path: KeyPath) -> bytes:
        """By the newest wrapping key that fits. Raises KeyDamaged."""
        for wrap in reversed(self.wraps):
            try:
                return unwrapped(wrap, wrapped, path.account, name_of(path))
            except KeyDamaged:
                continue
        raise KeyDamaged()

    def wraps_newly(self, wrapped: bytes, path: KeyPath) -> bool:
        """Whether the last wrapping key opens it."""
        try:
            unwrapped(self.wraps[-1], wrapped, path.account, name_of(path))
        except KeyDamaged:
            return False
        return True
