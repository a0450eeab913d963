"""Personal text columns: sealed under a person's (or the account's) key, looked up by blind index.

PostgreSQL keeps deleted values in pages, WAL and statistics, so names and addresses never reach it
in clear. A sealed value is bound to its key path and field: moved to another row it does not open.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from recordings.encryption.keystore import KeyDestroyed, KeyExists, KeyMissing, KeyPath, KeyStore
from recordings.encryption.sealed import seal, unseal
from recordings.model import AccountId, PersonId

PLATFORM = AccountId(UUID(int=0))
"""Where the key store keeps what belongs to the whole installation."""
ERASED = "(erased)"
COLUMNS_ITEM = "columns"  # the account's own texts: study contact, notes of members
INDEX_ITEM = "blind-index"


@dataclass(frozen=True)
class SealedColumns:
    """Seals and opens text; needs nothing but the key store."""

    keys: KeyStore

    def make_account_keys(self, account: AccountId) -> None:
        """Keys of a new account. Safe to run twice."""
        for path in (KeyPath(account), KeyPath(account, None, COLUMNS_ITEM), KeyPath(account, None, INDEX_ITEM)):
            self._ensure(path)

    def make_person_key(self, account: AccountId, person: PersonId) -> None:
        """The key under which everything of this person is sealed. Safe to run twice."""
        self._ensure(KeyPath(account, person))

    def make_item_key(self, account: AccountId, person: PersonId, item: str) -> None:
        """A key beneath the person's, for texts that are erased on their own. Safe to run twice.
        Raises KeyDestroyed once the person or the item was erased."""
        self._ensure(KeyPath(account, person, item))

    def seal(
        self, account: AccountId, person: PersonId | None, field: str, text: str, *, item: str | None = None
    ) -> bytes:
        """Seal `text` under the person's key (the account's own when person is None), or under `item` beneath it."""
        return seal(self.keys.unwrap(_path(account, person, item)), text.encode(), _context(account, person, field))

    def open(
        self,
        account: AccountId,
        person: PersonId | None,
        field: str,
        sealed: bytes | None,
        *,
        item: str | None = None,
    ) -> str:
        """The text, "" for NULL, ERASED once the key is destroyed. Raises SealBroken when altered."""
        if sealed is None:
            return ""
        try:
            key = self.keys.unwrap(_path(account, person, item))
        except KeyDestroyed:
            return ERASED
        return unseal(key, sealed, _context(account, person, field)).decode()

    def open_rows(
        self, account: AccountId, rows: Mapping[PersonId, Mapping[str, bytes | None]]
    ) -> dict[PersonId, dict[str, str]]:
        """Several fields of each of these persons as open() gives them, for one look at the key store."""
        keys = self.keys.unwrap_persons(account, [person for person, row in rows.items() if any(row.values())])

        def opened(person: PersonId, field: str, sealed: bytes | None) -> str:
            if sealed is None:
                return ""
            key = keys.get(person)
            return ERASED if key is None else unseal(key, sealed, _context(account, person, field)).decode()

        return {person: {field: opened(person, field, row[field]) for field in row} for person, row in rows.items()}

    def blind_index(self, account: AccountId, address: str) -> bytes:
        """Keyed hash of a normalised e-mail address: finds equal ones, tells nothing else."""
        key = self.keys.unwrap(KeyPath(account, None, INDEX_ITEM))
        return hmac.new(key, normalise_address(address).encode(), sha256).digest()

    def platform_key(self, item: str) -> bytes:
        """A key of the whole installation, made at the first need; nothing of a person is sealed under it."""
        path = KeyPath(PLATFORM, None, item)
        try:
            return self.keys.unwrap(path)
        except KeyMissing:
            for missing in (KeyPath(PLATFORM), path):
                self._ensure(missing)
            return self.keys.unwrap(path)

    def _ensure(self, path: KeyPath) -> None:
        try:
            self.keys.unwrap(path)
        except KeyMissing:
            try:
                self.keys.create(path)
            except KeyExists:  # another process was faster
                pass


def normalise_address(address: str) -> str:
    """One spelling per mailbox: NFKC, case folded, IDNA domain, so a variant cannot slip past a block."""
    local, _, domain = unicodedata.normalize("NFKC", address).strip().casefold().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        pass
    return f"{local}@{domain}"


def _path(account: AccountId, person: PersonId | None, item: str | None) -> KeyPath:
    return KeyPath(account, person, item) if person is not None else KeyPath(account, None, COLUMNS_ITEM)


def _context(account: AccountId, person: PersonId | None, field: str) -> bytes:
    return b"junier-column-1" + account.bytes + (person.bytes if person else bytes(16)) + field.encode()
