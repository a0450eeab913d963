"""Rotation: the order of its steps, the same in every adapter that keeps wrapped keys.

A copy made before it must open nothing that was destroyed before it, so the former epoch ends as soon as every account
key that opens is wrapped by the new one. A damaged account key opens with nothing, whichever epoch lives: it is left as
it is and holds up nobody. A store of which no account key opens is not the one its epoch keys belong to (another
folder is mounted, another master key set): ending their epoch would close the true one for good, so nothing begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyMissing, KeyStoreError
from recordings.model import AccountId

MOST_EPOCHS = 3
"""Living at once: the former, the one of a rotation that died, and the one that takes it up. What keeps an epoch from
ending for long does not make further ones."""


class Standing(StrEnum):
    NEWEST = "wrapped by the newest epoch key"
    FORMER = "wrapped by a former epoch key"
    CLOSED = "closed, or never made"
    DAMAGED = "opens with nothing"
    UNREADABLE = "cannot be read now"


OPENS = {Standing.NEWEST, Standing.FORMER}


class Rotating(Protocol):
    """What an adapter does for it."""

    def accounts(self) -> Sequence[AccountId]: ...

    def standing(self, account: AccountId) -> Standing:
        """NEWEST, FORMER or CLOSED. Raises KeyDamaged, KeyStoreUnavailable."""

    def epochs(self) -> int:
        """How many live. Raises KeyDamaged when one does not open."""

    def no_new_accounts(self) -> AbstractContextManager[None]: ...

    def begin(self) -> None:
        """A new epoch key. Called while no account can be made."""

    def renew(self, account: AccountId) -> None:
        """A new account key, wrapped by the newest epoch key. Raises KeyMissing, KeyDestroyed, KeyDamaged."""

    def finish(self) -> None:
        """Destroy all epoch keys but the newest and read back. Called while no account can be made."""


def rotate(store: Rotating) -> int:
    """How many accounts have a new key. Raises KeyStoreError when the former epoch has to go on."""
    with store.no_new_accounts():
        before = store.accounts()
        found = {_standing(store, account) for account in before}
        if not found:  # nothing was ever kept here
            return 0
        if not found & OPENS and found - {Standing.CLOSED}:  # closed accounts vouch for nothing: anybody's would do
            raise KeyDamaged("No account key opens, so this is not the store of these epoch keys; nothing was changed.")
        if store.epochs() < MOST_EPOCHS:
            store.begin()
    renewed, troubles = 0, []
    for account in store.accounts():
        try:
            store.renew(account)
            renewed += 1
        except (KeyMissing, KeyDestroyed, KeyDamaged):
            continue
        except KeyStoreError as error:  # one account keeps no other from its new key
            troubles.append(f"{account}: {error}")
    with store.no_new_accounts():
        waiting = {Standing.FORMER, Standing.UNREADABLE}
        known = dict.fromkeys((*before, *store.accounts()))  # one that is not listed any more may be away, not gone
        left = [account for account in known if _standing(store, account) in waiting]
        if left:
            raise KeyStoreError(
                "Some account keys could not be wrapped anew, so the former epoch goes on. "
                + "; ".join(troubles or map(str, left))
            )
        store.finish()
    return renewed


def _standing(store: Rotating, account: AccountId) -> Standing:
    try:
        return store.standing(account)
    except KeyDamaged:
        return Standing.DAMAGED
    except KeyStoreError:
        return Standing.UNREADABLE
