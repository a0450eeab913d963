"""What everybody may ask without signing in: whether we are well, and whom to tell about a weakness (RFC 9116)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import MediaType, Request, get
from sqlalchemy.exc import SQLAlchemyError

from app.privacy.erasing.overdue import overdue
from app.settings import Settings
from app.wiring import Wiring

LIMIT_S = 2.0
LOOK_AGAIN_AFTER_S = 60.0
SECURITY_TXT_LASTS = timedelta(days=180)
"""RFC 9116 section 2.5.5: less than a year, so that a forgotten file is not believed."""


@get("/health")
async def health(request: Request[Any, Any, Any], wiring: Wiring) -> dict[str, str]:
    """That the process answers, and `"sweep": "late"` while something should have been erased more than a day ago:
    anybody may watch over that promise. Looked up once a minute; a database that does not answer changes nothing."""
    state = request.app.state
    if time.monotonic() >= state.get("sweep_look_again", 0.0):
        state.sweep_look_again = time.monotonic() + LOOK_AGAIN_AFTER_S
        try:
            late = await asyncio.wait_for(overdue(wiring.database, datetime.now(UTC)), LIMIT_S)
            state.sweep_late = late is not None
        except (SQLAlchemyError, OSError, TimeoutError):
            state.sweep_look_again = 0.0
    return {"web": "ok"} | ({"sweep": "late"} if state.get("sweep_late") else {})


@get("/.well-known/security.txt", sync_to_thread=False, media_type=MediaType.TEXT)
def security_txt(wiring: Wiring) -> str:
    """Whom to tell about a weakness."""
    return security_text(wiring.settings, datetime.now(UTC))


def security_text(settings: Settings, now: datetime) -> str:
    """RFC 9116. Without a contact of the platform (development only) it names the address that pages show."""
    expires = (now + SECURITY_TXT_LASTS).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: mailto:{settings.contact}",
        f"Expires: {expires.isoformat().replace('+00:00', 'Z')}",
        "Preferred-Languages: en, de",
        f"Canonical: {settings.origin}/.well-known/security.txt",
    ]
    return "\n".join(lines) + "\n"
