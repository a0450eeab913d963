"""Which requests are limited how: one table, kept by one guard before anything else is done for the request.

Generous on purpose: thirty people behind one address join together, and pages come back by themselves after a lost
network. Taking consent back, leaving, unsubscribing and erasing stand here with no limit, so that nobody, not even
somebody behind the same address, can keep a participant from them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NoReturn

from litestar.connection import ASGIConnection, WebSocket
from litestar.exceptions import WebSocketException
from litestar.handlers.base import BaseRouteHandler

from app.limits import Limit, Limited, client_address, spend
from app.wiring import Wiring

TOO_MANY = 4429  # as 429 (RFC 6585 §4), among the codes for private use (RFC 6455 §7.4.2)
MOST_REASON = 120  # bytes; RFC 6455 §5.5 leaves 123


class By(StrEnum):
    """Whose askings are counted together."""

    ADDRESS = "address"  # of the network
    LOGIN = "login"  # a cookie or token as it was shown, valid or not; without one the address
    PATH = "path"  # the secret link or the session in the path


@dataclass(frozen=True, kw_only=True)
class Rule:
    by: By
    times: int
    per: timedelta


def at_most(times: int, by: By, *, minutes: int = 1) -> Rule:
    return Rule(by=by, times=times, per=timedelta(minutes=minutes))


RULES: Mapping[str, tuple[Rule, ...]] = {
    # signing in and taking up an invitation
    "POST /sign-in": (at_most(30, By.ADDRESS, minutes=10),),
    "POST /sign-in/{token}": (at_most(60, By.ADDRESS, minutes=10),),
    "POST /sign-in/passkey/challenge": (at_most(60, By.ADDRESS, minutes=10),),
    "POST /sign-in/passkey": (at_most(60, By.ADDRESS, minutes=10),),
    "POST /support/sign-in": (at_most(30, By.ADDRESS, minutes=10),),
    "POST /support/sign-in/{token}": (at_most(60, By.ADDRESS, minutes=10),),
    "POST /support/passkey/challenge": (at_most(60, By.ADDRESS, minutes=10),),
    "POST /support/passkey": (at_most(60, By.ADDRESS, minutes=10),),
    "POST /support/requests": (at_most(30, By.ADDRESS, minutes=60),),
    "GET /support/grants/{support}/recordings/{recording}/media": (at_most(1_200, By.ADDRESS),),
    "POST /passkeys/challenge": (at_most(30, By.LOGIN, minutes=10),),
    "POST /passkeys": (at_most(30, By.LOGIN, minutes=10),),
    "POST /i/{token}": (at_most(300, By.ADDRESS, minutes=10), at_most(30, By.PATH, minutes=10)),
    "POST /asked/{token}": (at_most(60, By.ADDRESS, minutes=10), at_most(10, By.PATH, minutes=10)),
    "POST /my-data/code": (at_most(10, By.LOGIN, minutes=10),),
    "POST /my-data/open": (at_most(30, By.LOGIN, minutes=10),),
    "POST /my-data/address": (at_most(10, By.LOGIN, minutes=10),),
    "POST /my-data/address/confirm": (at_most(30, By.LOGIN, minutes=10),),
    # mails that members cause; how many an account may send at all: invitations.service
    "POST /members": (at_most(60, By.LOGIN, minutes=60),),
    "POST /sessions/{session}/invitations": (at_most(120, By.LOGIN),),
    "POST /sessions/{session}/invitations/list": (at_most(60, By.LOGIN, minutes=10),),
    # the room: a group of thirty opens 900 views when everybody comes in
    "POST /whip": (at_most(60, By.LOGIN), at_most(1_200, By.ADDRESS)),
    "PATCH /whip/{resource}": (at_most(60, By.LOGIN),),
    "DELETE /whip/{resource}": (at_most(240, By.LOGIN),),
    "POST /whep/{recording}": (at_most(300, By.LOGIN), at_most(6_000, By.ADDRESS)),
    "PATCH /whep/{recording}/{view_name}": (at_most(60, By.LOGIN),),
    "DELETE /whep/{recording}/{view_name}": (at_most(600, By.LOGIN),),
    "POST /rooms/{session}/token": (at_most(30, By.LOGIN), at_most(300, By.PATH)),
    "GET /rooms/{session}/ice": (at_most(300, By.LOGIN),),
    "WS /rooms/{session}/events": (at_most(60, By.LOGIN), at_most(1_200, By.ADDRESS)),
    "POST /sessions/{session}/notes": (at_most(120, By.LOGIN),),
    # reading: a player asks for many ranges
    "GET /recordings/{recording}/media": (at_most(1_200, By.LOGIN),),
    "GET /recordings/{recording}/transcript/{form}": (at_most(120, By.LOGIN),),
    "POST /recordings/{recording}/transcript/corrections": (at_most(120, By.LOGIN),),
    "POST /my-data/recordings/{recording}/transcript": (at_most(120, By.LOGIN),),
    # a copy reads every recording of a person
    "GET /my-data/export.zip": (at_most(20, By.LOGIN, minutes=10),),
    "GET /requests/{data_request}/export.zip": (at_most(20, By.LOGIN, minutes=10),),
}

UNLIMITED = frozenset(
    {
        "POST /take-part/{session}",
        "POST /take-part/{session}/consent",
        "POST /my-data/{session}/withdraw",
        "POST /my-data/unsubscribe",
        "POST /my-data/erase",
        "POST /my-data/{session}/answers/erase",
        "POST /my-data/requests",
        "POST /my-data/restrict",
        "POST /my-data/object",
        "POST /my-data/name",
        "POST /my-data/supplements",
        "POST /my-data/supplements/{supplement}/take-back",
        "POST /my-data/requests/{data_request}/confirm",
        "POST /my-data/requests/{data_request}/disown",
        "POST /i/{token}/data",
        "POST /unsubscribe/{token}",
        "POST /rooms/{session}/{step}",
        "POST /sign-out",
    }
)
"""Rights that no limit may ever stand before; a test keeps them out of RULES."""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


def limited(cookie: str, rules: Mapping[str, tuple[Rule, ...]] = RULES) -> Guard:
    """The guard of the whole application; it counts in a transaction of its own, so that what fails counts too."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        scope = connection.scope
        route = f"{scope.get('method', 'WS')} {scope['path_template']}"
        if route not in rules:
            return
        wiring: Wiring = connection.app.state.wiring
        async with wiring.database.transaction() as db:
            try:
                for rule in rules[route]:
                    limit = Limit(name=f"{route} {rule.by}", times=rule.times, per=rule.per)
                    await spend(db, wiring.columns, limit, asker(connection, rule.by, cookie))
            except Limited as refused:
                if isinstance(connection, WebSocket):
                    await _refuse(connection, refused)
                raise

    return guard


async def _refuse(socket: WebSocket[Any, Any, Any], refused: Limited) -> NoReturn:
    """Browsers tell a page nothing of a WebSocket that was never opened, so it is opened to be closed with a code
    (RFC 6455 §7.4.2) and the reason. Raises WebSocketException."""
    await socket.accept()
    raise WebSocketException(code=TOO_MANY, detail=refused.message[:MOST_REASON]) from refused


def asker(connection: ASGIConnection[Any, Any, Any, Any], by: By, cookie: str) -> str:
    """Who is counted. A made-up cookie counts for itself; it gets no further than the sign-in."""
    match by:
        case By.LOGIN:
            shown = connection.headers.get("authorization") or connection.cookies.get(cookie)
            return sha256(shown.encode()).hexdigest() if shown else client_address(connection)
        case By.PATH:
            return str(next(iter(connection.path_params.values())))
        case By.ADDRESS:
            return client_address(connection)
