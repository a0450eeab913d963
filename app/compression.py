"""Pages are sent as gzip (RFC 1952), with BREACH in mind.

BREACH reads a secret out of the length of compressed answers: another site makes the browser ask again and again for a
page that shows the secret beside what the asker put into the address. Three things stand against it:
- a request that another site caused is answered uncompressed, as browsers say it in Sec-Fetch-Site;
- pages that carry a secret (a link's token in a form's address, the receipts on My data) show nothing beside it that
  came with the request, and what opens them is that same secret or a SameSite cookie;
- there is no CSRF token to steal: the origin of a request is looked at instead (security.py).
Only whole texts are compressed: media, ranges and streams of events go as they are.
"""

from __future__ import annotations

import gzip
import re
from typing import Any

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

AT_LEAST_BYTES = 800
LEVEL = 5  # nine saves two percent more for twice the time
TEXTS = ("text/", "application/json", "application/problem+json", "image/svg+xml")
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q\s*=\s*(?P<q>[01](?:\.\d{0,3})?)\s*)?(?:,|$)", re.IGNORECASE)


class Compression:
    """ASGI around a route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers.from_scope(scope)
        ours = headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        if scope["type"] != ScopeType.HTTP or not ours or not accepts_gzip(headers.get("accept-encoding", "")):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def pack(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                begun, start = start, None
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    message = _packed(begun, message)
                await send(begun)
            await send(message)

        await self._app(scope, receive, pack)


def accepts_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding takes gzip (RFC 9110 §12.5.3)."""
    found = _GZIP.search(accepted)
    return found is not None and float(found["q"] or 1) > 0


def _packed(start: Any, message: Any) -> Any:
    """The body as gzip where that is allowed and worth it; changes the headers of `start`."""
    headers = MutableScopeHeaders.from_message(start)
    kind, body = headers.get("content-type", ""), message.get("body", b"")
    if not kind.startswith(TEXTS) or kind.startswith("text/event-stream"):
        return message
    if "content-encoding" in headers or "content-range" in headers or len(body) < AT_LEAST_BYTES:
        return message
    body = gzip.compress(body, LEVEL, mtime=0)
    headers["content-encoding"] = "gzip"
    headers["content-length"] = str(len(body))
    headers["vary"] = ", ".join(filter(None, [headers.get("vary"), "accept-encoding, sec-fetch-site"]))
    return {**message, "body": body}
