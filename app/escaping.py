"""Values as text of a page. MarkupSafe's escape() makes an object of every value, and a long page has thousands."""

from __future__ import annotations

import re
from uuid import UUID

from markupsafe import Markup, escape

_TO_ESCAPE = re.compile(r"[&<>'\"]").search


def as_text(value: object) -> str:
    """What escape() says, for text that is only put together with other text: it may be a plain str."""
    if type(value) is Markup:
        return value
    if type(value) is str:
        return escape(value) if _TO_ESCAPE(value) else value
    if type(value) is int or type(value) is UUID:
        return str(value)
    return escape(value)
