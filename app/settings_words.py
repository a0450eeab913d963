"""What settings of several parts mean (pure). Whatever does not fit is a ValueError that says what was expected."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit


def addresses(text: str) -> tuple[str, ...]:
    """Of machines, comma-separated."""
    return tuple(str(ip_address(part)) for part in _parts(text))


def networks(text: str) -> tuple[str, ...]:
    """Comma-separated. Never everyone: whoever is believed names the address that limits are counted for."""
    named = _parts(text)
    if any(ip_network(one, strict=False).prefixlen == 0 for one in named):
        raise ValueError("that is everyone; name the proxy")
    return named


def ports(text: str) -> range:
    """The first and the last one."""
    first, _, last = text.partition("-")
    found = range(int(first), int(last) + 1) if first.isdigit() and last.isdigit() else range(0)
    if not found or found[0] < 1024 or found[-1] > 65535:
        raise ValueError("expected two ports from 1024 to 65535, such as 40000-41999")
    return found


def database_server(url: str) -> tuple[str | None, int, str]:
    """Which server a database address leads to: host, port and the rest that may name a socket."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or 5432, parts.query if not parts.hostname else ""


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
