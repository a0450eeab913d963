"""The media process's internal HTTP API: a plain ASGI application over Rooms (messages: node_messages.py).

Reached by the web process only, on loopback or a private address, with the shared secret. It needs
no framework: eight routes, JSON in and out, every refusal a Problem with plain words.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from app.errors import BadInput, JunierError, NotThere, SignInNeeded, Unavailable
from app.room import peer
from app.room.node_messages import EraseAsk, Health, Permission, Problem, StreamAsk, ViewAsk
from app.room.node_rooms import Rooms
from app.store_check import NothingIsStored
from recordings.encryption.keystore import KeyDestroyed, KeyStoreError

MAX_BODY_BYTES = 256 * 1024  # the longest offer, as JSON; a permission of hundreds of people
RETRY_AFTER_S = 2

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, msgspec.Struct | None]
_Ask = TypeVar("_Ask", bound=msgspec.Struct)

_PEER_STATUS: dict[type[peer.PeerError], int] = {
    peer.BadOffer: 400,
    peer.KindRefused: 403,
    peer.UnsupportedMedia: 422,
    peer.NoMediaAddress: 503,
    peer.SourceEnded: 404,
}


class NodeApi:
    """ASGI. health: what GET /health answers; refusal: why nothing may be stored just now, "" when it may."""

    def __init__(
        self, rooms: Rooms, secret: str, health: Callable[[], Health], refusal: Callable[[], str] = lambda: ""
    ) -> None:
        self._rooms, self._health, self._refusal = rooms, health, refusal
        self._expected = f"Bearer {secret}".encode()
        self._routes: tuple[tuple[str, re.Pattern[str], Callable[[_Request], Awaitable[Answer]]], ...] = (
            ("POST", re.compile(r"/streams"), self._publish),
            ("DELETE", re.compile(r"/streams/(?P<resource>[\w-]{20,100})"), self._end),
            ("POST", re.compile(r"/streams/(?P<resource>[\w-]{20,100})/views"), self._view),
            ("DELETE", re.compile(r"/views/(?P<view>[\w-]{20,100})"), self._end_view),
            ("PUT", re.compile(r"/sessions/(?P<session>[0-9a-f-]{36})/permission"), self._permit),
            ("GET", re.compile(r"/sessions/(?P<session>[0-9a-f-]{36})"), self._facts),
            ("POST", re.compile(r"/erase"), self._erase),
            ("GET", re.compile(r"/health"), self._tell_health),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, content = await self._answer(scope, receive)
        body = msgspec.json.encode(content) if content is not None else b""
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        try:
            self._authorise(dict(scope["headers"]).get(b"authorization", b""))
            for method, pattern, step in self._routes:
                found = pattern.fullmatch(scope["path"])
                if found and method == scope["method"]:
                    return await step(_Request(found.groupdict(), scope["query_string"], await _body(receive)))
            raise NotThere()
        except JunierError as refusal:
            return _problem(refusal.status, refusal.message, getattr(refusal, "retry_after_s", None))
        except peer.PeerError as refusal:
            status = next((code for kind, code in _PEER_STATUS.items() if isinstance(refusal, kind)), 400)
            return _problem(status, str(refusal) or (type(refusal).__doc__ or ""))
        except KeyDestroyed:
            return _problem(404, "This has been erased.")
        except KeyStoreError as refusal:
            return _problem(503, Unavailable().message if refusal.retry else "The keys of this stream are missing.")
        except (msgspec.DecodeError, ValueError) as refusal:
            return _problem(400, str(refusal))

    def _authorise(self, given: bytes) -> None:
        if not hmac.compare_digest(given, self._expected):
            raise SignInNeeded("This address is for the web process only.")

    async def _publish(self, request: _Request) -> Answer:
        if self._refusal():
            raise NothingIsStored
        return 201, await self._rooms.publish(request.read(StreamAsk))

    async def _end(self, request: _Request) -> Answer:
        await self._rooms.end(request.names["resource"])
        return 204, None

    async def _view(self, request: _Request) -> Answer:
        return 201, await self._rooms.view(request.names["resource"], request.read(ViewAsk))

    async def _end_view(self, request: _Request) -> Answer:
        await self._rooms.end_view(request.names["view"], UUID(request.query("viewer")))
        return 204, None

    async def _permit(self, request: _Request) -> Answer:
        self._rooms.permit(UUID(request.names["session"]), request.read(Permission))
        return 204, None

    async def _facts(self, request: _Request) -> Answer:
        return 200, self._rooms.facts(UUID(request.names["session"]))

    async def _erase(self, request: _Request) -> Answer:
        prefix = request.read(EraseAsk).prefix
        if not prefix.endswith("/") or prefix.count("/") < 3:
            raise BadInput("Only a person, a recording or a track can be erased.")
        return 200, await self._rooms.erase(prefix)

    async def _tell_health(self, request: _Request) -> Answer:
        return 200, self._health()


class _Request:
    """What a step needs of a request. names: the named parts of its path."""

    def __init__(self, names: dict[str, str], query: bytes, body: bytes) -> None:
        self.names, self._query, self._body = names, query, body

    def read(self, kind: type[_Ask]) -> _Ask:
        return msgspec.json.decode(self._body, type=kind)

    def query(self, name: str) -> str:
        return parse_qs(self._query.decode("ascii", "replace")).get(name, [""])[0]


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BadInput("This is too long.")
        more = message.get("more_body", False)
    return body


def _problem(status: int, reason: str, retry_after_s: int | None = None) -> Answer:
    if status == 503 and retry_after_s is None:
        retry_after_s = RETRY_AFTER_S
    return status, Problem(status=status, reason=reason, retry_after_s=retry_after_s)
