"""Lines of the ledger, as bytes: each has a checksum of itself and names the line before it. Nothing here reads a disk.

    {…,"after":"<checksum of the line before>","sum":"<SHA-256 of all bytes of this line before this comma>"}

Both in hex. So a changed line shows by itself, and one that was taken out shows in the next. Lines of older programs
have neither: the first that has names the SHA-256 of all bytes before it. Who can write the file can compute it anew;
this is against accidents, as the keys lie in the same folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

_SUM = b',"sum":"'
_AFTER = b',"after":"'
_HEX = 64
_END = _HEX + len(b'"}\n')


class Damage(StrEnum):
    """What is wrong at a line."""

    CHANGED = "it was changed or cut, and cannot be believed"
    MISSING = "one or more lines before it are gone or were changed"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A whole line: its number from 1, where it begins and ends in bytes, and what is wrong with it. sum: "" where it
    has none."""

    number: int
    at: int
    raw: bytes
    sum: str
    damage: Damage | None

    @property
    def end(self) -> int:
        return self.at + len(self.raw)

    @property
    def mark(self) -> str:
        """Names this very damage, so that accepting it accepts nothing else."""
        return sha256(f"{self.damage}:{self.at}:".encode() + self.raw).hexdigest()[:16]


def sealed(body: bytes, after: str) -> bytes:
    """body: a JSON object; after: the checksum of the line before."""
    head = body[:-1] + _AFTER + after.encode() + b'"'
    return head + _SUM + sha256(head).hexdigest().encode() + b'"}\n'


def sum_of(raw: bytes) -> str:
    """The checksum a whole line has, when it is right; else ""."""
    head, said = raw[: -_END - len(_SUM)], raw[-_END:-3]
    fits = raw[-_END - len(_SUM) : -_END] == _SUM and raw[-3:] == b'"}\n'
    return said.decode() if fits and said == sha256(head).hexdigest().encode() else ""


def check(lines: Iterable[bytes]) -> Iterator[Checked]:
    """All whole lines of a ledger, from its first one on."""
    before, begun, at = sha256(), False, 0
    previous: str | None = ""  # None: not known, because that line is damaged
    for number, raw in enumerate(lines, 1):
        own, damage = sum_of(raw), None
        if own:
            expected = previous if begun else before.hexdigest()
            if previous is not None and _after(raw) != expected:
                damage = Damage.MISSING
            begun, previous = True, own
        elif begun or _SUM in raw or (raw.strip() and fields_of(raw) is None):
            damage, previous = Damage.CHANGED, None
        if not begun:
            before.update(raw)
        yield Checked(number=number, at=at, raw=raw, sum=own, damage=damage)
        at += len(raw)


def fields_of(raw: bytes) -> Mapping[str, Any] | None:
    """None: this is no JSON object."""
    try:
        fields = json.loads(raw)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _after(raw: bytes) -> str:
    return str((fields_of(raw) or {}).get("after", ""))
