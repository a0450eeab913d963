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


RECEIPT = b"junier receipt link 1"
REQUEST = b"junier request link 1"
"""What a link is for: one of the first sort opens nothing of the second, to the same id or another."""


def receipt_token(key: Ed25519PrivateKey, account: AccountId, erasure: UUID, purpose: bytes = RECEIPT) -> str:
    """86 URL-safe characters; the same each time, so that asking twice shows the same receipt."""
    ids = account.bytes + erasure.bytes
    return base64.urlsafe_b64encode(ids + _mac(key, ids, purpose)).decode().rstrip("=")


def read_receipt_token(key: Ed25519PrivateKey, token: str, purpose: bytes = RECEIPT) -> tuple[AccountId, UUID] | None:
    """Account and erasure (or request), or None when the link was not made here for this."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ids, mac = data[:_IDS], data[_IDS:]
    if len(ids) != _IDS or not hmac.compare_digest(mac, _mac(key, ids, purpose)):
        return None
    return AccountId(UUID(bytes=ids[:16])), UUID(bytes=ids[16:])


def _mac(key: Ed25519PrivateKey, ids: bytes, purpose: bytes) -> bytes:
    link_key = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.private_bytes_raw())
    return hmac.new(link_key, ids, sha256).digest()
