"""Tables for spreadsheets, in which nothing that people wrote is run."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A cell that begins so is run as a formula by spreadsheets (OWASP, CSV injection)."""


def as_csv(rows: Iterable[Iterable[str]]) -> bytes:
    """CSV (RFC 4180) in UTF-8 with a byte order mark, so that spreadsheets read every script."""
    file = StringIO()
    csv.writer(file).writerows(map(safe_cell, row) for row in rows)
    return file.getvalue().encode("utf-8-sig")


def safe_cell(text: str) -> str:
    """Never a formula: what a participant writes must not run on a researcher's machine."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) or text.startswith(_FORMULA) else text
