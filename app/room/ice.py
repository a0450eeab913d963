"""STUN and TURN servers for one person in one room, with credentials that live ten minutes.

coturn's `use-auth-secret`: the user name is "<unix expiry>:<anything>", the password an HMAC-SHA1 of
it (draft-uberti-behave-turn-rest-00), so nothing is stored and nothing has to be revoked.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1
from uuid import UUID

from app.settings import Settings
from app.third_parties import Purpose, overdue, relay_allowed

CREDENTIAL_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class IceServer:
    """One server as RTCIceServer (W3C WebRTC §4.2.4); user name and password for TURN only."""

    url: str
    username: str = ""
    credential: str = ""

    def as_link(self) -> str:
        """A Link header's value (RFC 9725 §4.6)."""
        link = f'<{self.url}>; rel="ice-server"'
        if self.username:
            link += f'; username="{self.username}"; credential="{self.credential}"; credential-type="password"'
        return link

    def as_dict(self) -> dict[str, str]:
        """For RTCPeerConnection."""
        if not self.username:
            return {"urls": self.url}
        return {"urls": self.url, "username": self.username, "credential": self.credential}


def ice_servers(settings: Settings, *, session: UUID, now: datetime) -> list[IceServer]:
    """The configured servers, when they may be used; a name that says nothing about the person is used."""
    if not relay_allowed(settings) or overdue(settings, Purpose.RELAY, now.date()):
        return []
    urls = [url.strip() for url in settings.turn_urls.split(",") if url.strip()]
    username = f"{int((now + CREDENTIAL_LIFE).timestamp())}:{session}"
    password = base64.b64encode(hmac.new(settings.turn_secret.encode(), username.encode(), sha1).digest()).decode()
    return [
        IceServer(url=url, username=username, credential=password)
        if url.startswith(("turn:", "turns:")) and settings.turn_secret
        else IceServer(url=url)
        for url in urls
    ]


def links(servers: list[IceServer]) -> str:
    """One Link header for all of them; empty without any."""
    return ", ".join(server.as_link() for server in servers)
