"""Form: validated input of plain HTML forms, one message per field, input kept for showing again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar import Request

from app.errors import JunierError
from app.language import _

FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
LINE_LENGTH = 200
TEXT_LENGTH = 10_000
ADDRESS_LENGTH = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@(?:[^\s@<>()\[\],;:\\\".]+\.)*[^\s@<>()\[\],;:\\\".]+")
_BIDI = {chr(c) for c in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class NotAForm(JunierError):
    """This could not be read as a form. Nothing was changed. Please go back and try again."""

    status = 415


@dataclass
class Form:
    """`values` as sent; each reader returns the clean value and, where it does not fit, notes an error.

    Ask `form.fine` after reading everything; templates show `form.values` and `form.errors`.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return not self.errors

    def line(self, name: str, *, required: bool = True, length: int = LINE_LENGTH) -> str:
        """One line without control characters or invisible direction marks (they forge mail headers and names)."""
        text = unicodedata.normalize("NFC", self.values.get(name, "")).strip()
        if not text and required:
            self.errors[name] = _("Please fill this in.")
        elif len(text) > length:
            self.errors[name] = _("Please use at most %(count)s characters.", count=length)
        elif not is_one_line(text):
            self.errors[name] = _("Line breaks, control characters and direction marks do not work here.")
        return text

    def text(self, name: str, *, required: bool = True, length: int = TEXT_LENGTH) -> str:
        """Several lines; line ends become \\n."""
        text = unicodedata.normalize("NFC", self.values.get(name, "")).replace("\r\n", "\n").replace("\r", "\n").strip()
        if not text and required:
            self.errors[name] = _("Please fill this in.")
        elif len(text) > length:
            self.errors[name] = _("Please use at most %(count)s characters.", count=f"{length:,}")
        elif not all(is_one_line(line.replace("\t", " ")) for line in text.split("\n")):
            self.errors[name] = _("Control characters and direction marks do not work here.")
        return text

    def email(self, name: str) -> str:
        """An e-mail address."""
        text = self.line(name, length=ADDRESS_LENGTH)
        if name not in self.errors and not is_address(text):
            self.errors[name] = _("This does not look like an e-mail address, such as anna@example.eu.")
        return text

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        """One of a fixed set."""
        value = self.values.get(name, "")
        if value not in set(allowed):
            self.errors[name] = _("Please choose one of the list.")
        return value

    def choices(self, name: str, allowed: Iterable[str]) -> list[str]:
        """Any of a fixed set, in the set's order."""
        chosen = set(self.lists.get(name, ()))
        known = list(allowed)
        if chosen - set(known):
            self.errors[name] = _("Please choose from the list.")
        return [value for value in known if value in chosen]

    def number(self, name: str, *, at_least: int, at_most: int) -> int:
        """A whole number."""
        text = self.values.get(name, "").strip()
        if not re.fullmatch(r"[0-9]{1,9}", text) or not at_least <= int(text) <= at_most:
            self.errors[name] = _(
                "Please enter a whole number from %(least)s to %(most)s.", least=at_least, most=at_most
            )
            return at_least
        return int(text)

    def ticked(self, name: str) -> bool:
        return self.values.get(name, "") not in ("", "off", "no", "0")


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """The form of a POST (urlencoded or multipart; files are ignored). A body that is none is refused, not read as
    an empty form: on the consent page that would take everything back. Raises NotAForm."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORM_TYPES and (kind or body):
        raise NotAForm
    data = await request.form()
    if body and not data:
        raise NotAForm
    lists = {name: [v for v in data.getall(name) if isinstance(v, str)] for name in set(data.keys())}
    return Form(values={name: texts[-1] for name, texts in lists.items() if texts}, lists=lists)


def is_one_line(text: str) -> bool:
    """No CR, LF, NUL, other control or bidirectional marks."""
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI for c in text)


def is_address(text: str) -> bool:
    """Looks like one mailbox (RFC 5321, without quoted and literal forms)."""
    return len(text) <= ADDRESS_LENGTH and is_one_line(text) and _ADDRESS.fullmatch(text) is not None
