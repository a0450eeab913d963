"""What people reach: the public address, seen from this machine."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

LIMIT_S = 5.0


async def expires(url: str) -> float | None:
    """UTC seconds when the certificate of an https address ends; None when none that browsers trust is shown."""
    try:
        return await certificate_end(url)
    except (OSError, TimeoutError):  # ssl.SSLError is one of them
        return None


async def certificate_end(url: str) -> float:
    """Raises ssl.SSLCertVerificationError, or OSError or TimeoutError when nobody answers."""
    place = urlsplit(url)
    async with asyncio.timeout(LIMIT_S):
        _, writer = await asyncio.open_connection(
            place.hostname, place.port or 443, ssl=ssl.create_default_context(), server_hostname=place.hostname
        )
    shown = writer.get_extra_info("peercert")
    writer.close()
    return float(ssl.cert_time_to_seconds(shown["notAfter"]))
