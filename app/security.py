"""What every answer carries and every changing request must show: security headers and our own origin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.datastructures import Cookie, MutableScopeHeaders
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Message, Scope

from app.errors import Forbidden, NotThere
from app.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ANY_ORIGIN = {"any_origin": True}
"""Handler option: answers POSTs of any origin (one-click unsubscribe, RFC 8058: no cookie, no page of ours)."""

YEAR_SECONDS = 31_536_000
LONGEST_NAME = 255


class ForeignOrigin(Forbidden):
    """This request did not come from our own pages. Please open the page again and repeat the step."""


def security_headers(settings: Settings) -> dict[str, str]:
    """Headers of every answer (ASVS 5.0 V3.4). Referrer-Policy is same-origin, not no-referrer: under
    no-referrer browsers send `Origin: null` with our own forms (Fetch standard, "append a request Origin header")."""
    socket_origin = settings.origin.replace("http", "ws", 1)
    policy = {
        "default-src": "'self'",
        "img-src": "'self' data:",
        "media-src": "'self' blob:",
        "connect-src": f"'self' {socket_origin}",
        "object-src": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }
    headers = {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=()",
    }
    if settings.secure:
        headers["strict-transport-security"] = f"max-age={YEAR_SECONDS}; includeSubDomains"
    return headers


PUBLISHERS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, DELETE, PATCH, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, if-match",
    "access-control-expose-headers": "location, etag, link, retry-after",
}
"""WHIP is open to pages of other origins, refusals included, so that they can read why (Fetch §3.2): they show a room
token. No cookie is ever accepted from another origin, and "*" tells browsers so."""


def add_headers(settings: Settings) -> Callable[[Message, Scope], Awaitable[None]]:
    """A before_send hook, so that error pages and unknown addresses carry the headers too."""
    fixed = security_headers(settings)

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = MutableScopeHeaders.from_message(message)
        for name, value in fixed.items():
            headers.setdefault(name, value)
        if f"{scope['path']}/".startswith("/whip/"):
            for name, value in (PUBLISHERS | _told_publishers(message["status"], scope["path"])).items():
                headers[name] = value  # also in place of an Allow that counts PATCH, which is there to say no
        headers.setdefault("cache-control", "no-store")  # pages hold personal data; static files say otherwise

    return before_send


def _told_publishers(status: int, path: str) -> dict[str, str]:
    """What RFC 9110 §11.6.1 and §15.5.6 want beside these refusals."""
    if status == 401:
        return {"www-authenticate": "Bearer"}
    if status == 405:
        return {"allow": "POST, OPTIONS" if path.rstrip("/") == "/whip" else "DELETE, OPTIONS"}
    return {}


def own_origin(settings: Settings) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """An app-wide guard: unsafe methods and WebSockets come from our own pages, or carry a Bearer token,
    which no other page can make a browser send."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if isinstance(connection, Request) and connection.method in SAFE_METHODS:
            return
        if handler.opt.get("any_origin") or connection.headers.get("authorization", "").startswith("Bearer "):
            return
        if not comes_from_us(connection.headers.get("origin"), connection.headers.get("sec-fetch-site"), settings):
            raise ForeignOrigin

    return guard


def plain_path(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """An app-wide guard: what neither PostgreSQL (NUL) nor a file system (long names) can look up is not there."""
    path = connection.scope["path"]
    if "\0" in path or any(len(part.encode(errors="replace")) > LONGEST_NAME for part in path.split("/")):
        raise NotThere


def comes_from_us(origin: str | None, fetch_site: str | None, settings: Settings) -> bool:
    """Origin decides; Sec-Fetch-Site (set by the browser alone) where there is no usable Origin.
    A request that shows neither is refused too: browsers always show one of them."""
    if origin is not None and origin != "null":
        return origin == settings.origin
    return fetch_site == "same-origin"


def login_cookie(settings: Settings, name: str, token: str, seconds: int) -> Cookie:
    """The cookie of a login, out of reach of scripts and other sites (RFC 6265bis §4.1.2). seconds: 0 takes it back."""
    return Cookie(
        key=name,
        value=token,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.secure,
    )
