"""Secret links and codes: make, hash, compare. Only hashes are ever stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

TOKEN_BYTES = 32  # 256 bit, well above the 128 bit of ASVS 7.2.3
CODE_DIGITS = 6
SIGN_IN_LINK_LIFE = timedelta(minutes=10)  # ASVS 6.5.5
CODE_LIFE = timedelta(minutes=10)


def new_token() -> str:
    """43 URL-safe characters."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_code() -> str:
    """Six digits for typing; always with few tries and CODE_LIFE."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"


def token_hash(token: str, purpose: str) -> bytes:
    """SHA-256 over purpose and token: a hash stored for one purpose never matches for another."""
    return hashlib.sha256(f"{purpose}\0{token}".encode()).digest()


def same(one: bytes, other: bytes) -> bool:
    """Constant-time comparison."""
    return hmac.compare_digest(one, other)
