"""Room tokens: what a publisher that is no browser shows (WHIP, RFC 9725 §4.2: Bearer).

A token names account, session, person, stream and expiry and is sealed by an HMAC of this
installation; it opens the publishing of that one stream and nothing else. Admission, consent and
the session's state are looked up again at every use, so a token outlives none of them.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec

from app.errors import SignInNeeded
from recordings.model import StreamKind

LIFE = timedelta(hours=4)
PURPOSE = "room-token-1"


class BadRoomToken(SignInNeeded):
    """This room token is not valid, or no longer."""


class RoomToken(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a token says. expires_at: UTC seconds."""

    account: UUID
    session: UUID
    person: UUID
    is_member: bool
    stream: StreamKind
    expires_at: int


def issue(
    key: bytes, *, account: UUID, session: UUID, person: UUID, is_member: bool, stream: StreamKind, now: datetime
) -> tuple[str, datetime]:
    """The token and when it expires. key: secret.purpose_key(…, PURPOSE)."""
    expires_at = (now + LIFE).replace(microsecond=0)
    claims = RoomToken(
        account=account,
        session=session,
        person=person,
        is_member=is_member,
        stream=stream,
        expires_at=int(expires_at.timestamp()),
    )
    body = _text(msgspec.msgpack.encode(claims))
    return f"{body}.{_text(_seal(key, body))}", expires_at


def read(key: bytes, token: str, now: datetime) -> RoomToken:
    """What the token says. Raises BadRoomToken for any other, altered or expired one."""
    body, _, seal = token.partition(".")
    if not token.isascii() or not hmac.compare_digest(_text(_seal(key, body)), seal):
        raise BadRoomToken()
    claims = msgspec.msgpack.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=RoomToken)
    if claims.expires_at <= now.timestamp():
        raise BadRoomToken()
    return claims


def _seal(key: bytes, body: str) -> bytes:
    return hmac.new(key, body.encode(), sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
