"""A person's browser without pictures: follows links, fills in the forms that pages really show, keeps cookies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

TIMEOUT_SECONDS = 30


class DeadEnd(Exception):
    """A page did not offer what a person would need at this point."""


@dataclass
class Form:
    """One form as the page shows it; `fields` are the values it would send untouched."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    offered: set[str] = field(default_factory=set)  # every field a person could fill in or tick


@dataclass
class Page:
    """What came back: its address after redirects, status, words and forms."""

    url: str
    status: int
    html: str
    forms: list[Form]
    links: list[str]
    words: str

    def form(self, action: str, fields: Collection[str] = ()) -> Form:
        """The first form whose action contains `action` and that has all `fields`. Raises DeadEnd."""
        for form in self.forms:
            if action in form.action and form.offered.issuperset(fields):
                return form
        asked = f"form for {action!r} with {', '.join(sorted(fields))}"
        raise DeadEnd(f"{self.url} (status {self.status}) shows no {asked}: {self.words[:300]!r}")

    def link(self, part: str) -> str:
        """The first link containing `part`. Raises DeadEnd."""
        for link in self.links:
            if part in link:
                return link
        raise DeadEnd(f"{self.url} (status {self.status}) shows no link to {part!r}: {self.words[:300]!r}")


class Browser:
    """One person's browser with its own cookies, on one site."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = httpx.AsyncClient(base_url=origin, follow_redirects=True, timeout=TIMEOUT_SECONDS)

    async def close(self) -> None:
        await self.http.aclose()

    async def open(self, url: str) -> Page:
        return _read(await self.http.get(url))

    async def submit(self, page: Page, action: str, values: Mapping[str, str | Sequence[str]] | None = None) -> Page:
        """Fill in `values` and press the button, as a browser sends it (Origin included).
        Raises DeadEnd for a field the form does not offer or an answer that is an error."""
        values = values or {}
        form = page.form(action, values)
        sent: dict[str, list[str]] = {}
        for name, value in form.fields:
            if name not in values:
                sent.setdefault(name, []).append(value)
        for name, given in values.items():
            sent[name] = [given] if isinstance(given, str) else list(given)
        url = urljoin(page.url, form.action)
        answer = _read(await self.http.request("POST", url, data=sent, headers={"Origin": self.origin}))
        if answer.status >= 400:
            raise DeadEnd(f"{form.action} answered {answer.status}: {answer.words[:300]!r}")
        return answer


def _read(response: httpx.Response) -> Page:
    reader = _Reader()
    if "html" in response.headers.get("content-type", ""):
        reader.feed(response.text)
    return Page(
        url=str(response.url),
        status=response.status_code,
        html=response.text if reader.words else "",
        forms=reader.forms,
        links=reader.links,
        words=" ".join(" ".join(reader.words).split()),
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self._select: str | None = None
        self._option_taken = False
        self._area: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        attrs = {name: value or "" for name, value in attributes}
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        elif tag == "form":
            self.forms.append(Form(action=attrs.get("action", ""), method=attrs.get("method", "get").lower()))
        elif self.forms and tag in ("input", "select", "textarea", "button") and "name" in attrs:
            self._field(tag, attrs)
        elif self._select and self.forms and tag == "option" and ("selected" in attrs or not self._option_taken):
            form = self.forms[-1]
            form.fields = [f for f in form.fields if f[0] != self._select]
            form.fields.append((self._select, attrs.get("value", "")))
            self._option_taken = True

    def _field(self, tag: str, attrs: dict[str, str]) -> None:
        form, name, kind = self.forms[-1], attrs["name"], attrs.get("type", "text")
        form.offered.add(name)
        if tag == "select":
            self._select, self._option_taken = name, False
        elif tag == "textarea":
            self._area = name
            form.fields.append((name, ""))
        elif tag == "input" and (kind not in ("checkbox", "radio") or "checked" in attrs):
            form.fields.append((name, attrs.get("value", "on" if kind in ("checkbox", "radio") else "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area and self.forms:
            fields = self.forms[-1].fields
            fields[-1] = (self._area, fields[-1][1] + data)
        elif data.strip():
            self.words.append(data)
