"""The secret that web and media share, and the keys derived from it for one purpose each."""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256

from app.settings import Settings

SECRET_FILE = "node.secret"


def node_secret(settings: Settings) -> str:
    """The configured secret, else the one kept in the data folder, made on first use.
    Safe when two processes start at the same time."""
    if settings.node_secret:
        return settings.node_secret
    path = settings.data_dir / SECRET_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{SECRET_FILE}.{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_urlsafe(32).encode())
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)  # whole or not at all; the first process wins
        except FileExistsError:
            pass
        draft.unlink()
    return path.read_text().strip()


def purpose_key(secret: str, purpose: str) -> bytes:
    """A 256-bit key that can be used for `purpose` only."""
    return hmac.new(secret.encode(), purpose.encode(), sha256).digest()
