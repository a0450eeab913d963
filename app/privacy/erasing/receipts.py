"""The link to a receipt: shows the certificate of one erasure and no personal data.

    base64url( account 16 | erasure 16 | HMAC-SHA256 32 )

The database row of the person may be gone by the time it is opened, so the link carries what is
needed to find the erasure, sealed against guessing by a key derived from the certificate key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recordings.model import AccountId

_IDS = 32


def receipt_token(key: Ed25519PrivateKey, account: AccountId, erasure: UUID) -> str:
    """86 URL-safe characters; the same each time, so that asking twice shows the same receipt."""
    ids = account.bytes + erasure.bytes
    return base64.urlsafe_b64encode(ids + _mac(key, ids)).decode().rstrip("=")


def read_receipt_token(key: Ed25519PrivateKey, token: str) -> tuple[AccountId, UUID] | None:
    """Account and erasure, or None when the link was not made here."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ids, mac = data[:_IDS], data[_IDS:]
    if len(ids) != _IDS or not hmac.compare_digest(mac, _mac(key, ids)):
        return None
    return AccountId(UUID(bytes=ids[:16])), UUID(bytes=ids[16:])


def _mac(key: Ed25519PrivateKey, ids: bytes) -> bytes:
    link_key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"junier receipt link 1").derive(
        key.private_bytes_raw()
    )
    return hmac.new(link_key, ids, sha256).digest()
