"""Wrapped keys: what each is called, what it is bound to, and how it opens."""

from __future__ import annotations

from collections.abc import Sequence

from recordings.encryption.keystore import KeyDamaged, KeyPath
from recordings.encryption.sealed import SealBroken, object_context, seal, unseal
from recordings.model import AccountId


def name_of(path: KeyPath) -> str:
    """account · person.{id} · item.{item} · person.{id}.{item}"""
    if path.person is None:
        return "account" if path.item is None else f"item.{path.item}"
    return f"person.{path.person}" if path.item is None else f"person.{path.person}.{path.item}"


def context_of(account: AccountId, name: str) -> bytes:
    return object_context(account, f"key {name}")


def opened_by(wraps: Sequence[bytes], wrapped: bytes, account: AccountId, name: str) -> bytes:
    """By the newest wrapping key that fits."""
    for wrap in reversed(wraps[1:]):
        try:
            return unseal(wrap, wrapped, context_of(account, name))
        except SealBroken:
            continue
    return unwrapped(wraps[0], wrapped, account, name)


def unwrapped(parent: bytes, wrapped: bytes, account: AccountId, name: str) -> bytes:
    try:
        return unseal(parent, wrapped, context_of(account, name))
    except SealBroken as error:
        raise KeyDamaged() from error


def rewrapped(old: bytes, new: bytes, wrapped: bytes, account: AccountId, name: str) -> bytes:
    """What is damaged stays as it is: it opens with nothing, and keeps nobody else from their new key."""
    try:
        return seal(new, unwrapped(old, wrapped, account, name), context_of(account, name))
    except KeyDamaged:
        return wrapped
