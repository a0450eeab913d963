"""The lines of a transcript as the review shows them: text, not a template. A long transcript has 15 000 words, and a
loop in a template takes five times as long for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from app.language import _
from app.library.gaps import Gap
from app.library.lines import Line, Spoken
from app.pages import clock


def lines_markup(lines: Iterable[Line]) -> Markup:
    """Items of a list, every word with its moment. One costs as few characters as may be."""
    return Markup("\n".join(_gap(line) if isinstance(line, Gap) else _spoken(line) for line in lines))  # noqa: S704


def _spoken(line: Spoken) -> str:
    words = "".join(
        [f'<span data-at="{at_ms}">{_escaped(text)}</span>{_escaped(after)}' for text, after, at_ms in line.pieces]
    )
    return (
        f'<li data-start="{line.start_ms}" data-end="{line.end_ms}">'
        f'<button type="button" class="at" disabled>{clock(line.start_ms)}</button> '
        f'<b>{_escaped(line.speaker)}</b> <span class="said">{words}</span>{_corrected(line)}</li>'
    )


def _corrected(line: Spoken) -> str:
    if not line.heard:
        return ""
    said = _("Corrected by %(who)s", who=line.corrected_by) if line.corrected_by else _("Corrected")
    return f' <small class="quiet">{_escaped(said)}</small>'


def _gap(gap: Gap) -> str:
    return (
        f'<li class="gap" data-start="{gap.from_ms}" data-end="{gap.to_ms}">'
        f'<span class="at">{clock(gap.from_ms)}</span> {_escaped(gap.name)}: {_escaped(gap.told)}</li>'
    )


_TO_ESCAPE = re.compile("[&<>'\"]")


def _escaped(text: str) -> str:
    """Most words have nothing to escape, and looking costs less than wrapping them."""
    return str(escape(text)) if _TO_ESCAPE.search(text) else text
