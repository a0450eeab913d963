"""Nasty values, and a crowd that sends them: every form of every page, and every route with every wrong part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import psycopg
from litestar import Litestar
from litestar.handlers.http_handlers import HTTPRouteHandler

from app.audit import Action
from app.demo.browser import Browser, Form

TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \t ",
    "header": b"Eve\r\nBcc: all@evil.example",
    "html": b"<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "template": b"{{ settings.data_dir }}{% include 'x' %}${7*7}%s%(name)s{0}",
    "long": b"x" * 10_000,
    "right-to-left": "\u202eevE\u2067 abc".encode(),
    "nul": b"Eve\0X",
    "half a surrogate": b"Eve\xed\xa0\x80",
    "no UTF-8": b"Eve\xff\xfe",
    "formula": b"=cmd|' /C calc'!A0",
    "huge number": b"9" * 400,
    "minus": b"-1",
    "no number": b"NaN",
    "digits of another script": "\u0661\u0662\uff13".encode(),
    "no moment": b"9999-99-99T99:99",
    "year 0": b"0000-00-00T00:00",
    "last year": b"9999-12-31T23:59",
    "path": b"../../../etc/passwd",
    "combining": ("e" + "\u0301" * 400).encode(),
}
"""By what they are. Each is what a form field may hold, as bytes before they are percent-encoded."""

SAFE = {"name": "Eve", "email": "eve@people.example", "title": "Title", "contact_name": "Olga"}
"""What the other fields of a form hold while one of them is nasty."""

PATH_PARTS = ("x", "%00", "%ff%fe", "%ed%a0%80", "..%2f..%2fetc", "%0d%0aX: y", "A" * 3000, "%F0%9F%92%A9")
QUERIES = ("page=%00", "%ff=%fe", "x=" + "y" * 50_000, "&".join(f"a{n}=1" for n in range(2000)), "page=1&page=-1", "%")
COOKIES = ("login=%00", "login=" + "x" * 7000, "login", "login=\xff\xfe", 'login="; login="a;b=;;=', "login=\x01")
TYPES = (
    ("application/json", b"{"),
    ("application/json", b'["a"]'),
    ("application/x-www-form-urlencoded", b"\xff\xfe=%zz&&=&a"),
    ("application/x-www-form-urlencoded; charset=nonsense", b"name=a"),
    ("multipart/form-data", b"no boundary"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\0\xff'),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a\r\n\r\n--x--\r\n'),
    ("application/sdp", b"\xff\0"),
    ("text/\0plain;;;", b"a"),
)

BUT = {"public.audit_event": f" WHERE action <> '{Action.DATA_SHOWN}'"}
"""A form that does not fit is shown again, with the people on its page: that it was shown is logged."""


@dataclass
class Crowd:
    """Sends and looks at every answer; what is wrong is collected with its request, so that one run shows all."""

    superuser_url: str
    sent: int = 0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connection = psycopg.connect(self.superuser_url, autocommit=True)
        tables = self._connection.execute(
            "SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables WHERE relname <> 'rate'"
        ).fetchall()
        self._count = " UNION ALL ".join(
            f"SELECT '{name}', count(*) FROM {name}{BUT.get(name, '')}" for (name,) in tables
        ).encode()
        self.watch()

    def close(self) -> None:
        self._connection.close()

    def watch(self) -> None:
        """From here on rows are compared."""
        self._known, self._taken = self.rows(), False

    def rows(self) -> dict[str, int]:
        """How many rows each table of the application and its jobs has. Forgets how often somebody asked, so that
        every request is looked at and not only the first ones."""
        self._connection.execute("DELETE FROM rate")
        return dict(self._connection.execute(self._count, prepare=True).fetchall())

    async def send(self, browser: Browser, method: str, path: str, what: str, **request: object) -> httpx.Response:
        """Refused is fine, understood is fine; a fault, a stack trace, a refusal without words and one that left a
        row are not."""
        headers = {"Origin": browser.origin} | dict(request.pop("headers", {}))  # type: ignore[call-overload]
        answer = await browser.http.request(method, path, headers=headers, follow_redirects=False, **request)  # type: ignore[arg-type]
        self.sent += 1
        self._taken |= answer.status_code < 400
        seen = f"{method} {path[:120]} {what}: {answer.status_code}"
        if answer.status_code >= 500:
            self.wrong.append(seen)
        elif "Traceback (most recent" in answer.text or "<script>alert(1)" in answer.text:
            self.wrong.append(f"{seen} shows what it must not")
        elif answer.status_code >= 400 and method != "HEAD":
            self._look_at_refusal(answer, seen)
        if answer.status_code == 429:
            self.wrong.append(f"{seen} was not looked at")
        if method not in ("GET", "HEAD") or self.sent % 10 == 0:
            self._look_at_rows(answer, seen)
        return answer

    def _look_at_rows(self, answer: httpx.Response, seen: str) -> None:
        """One refused request may be among several that were looked at together, and were taken."""
        before, self._known = self._known, self.rows()
        taken, self._taken = self._taken, False
        changed = [table for table, count in self._known.items() if count != before[table]]
        if changed and not taken:
            self.wrong.append(f"{seen}, but {changed} changed")

    def _look_at_refusal(self, answer: httpx.Response, seen: str) -> None:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind == "application/problem+json":
            problem = answer.json()
            if problem["status"] != answer.status_code or not problem["detail"].strip():
                self.wrong.append(f"{seen} has a problem detail without words")
        elif kind != "text/html" and answer.content and answer.status_code != 405:
            self.wrong.append(f"{seen} is refused as {kind}")

    async def fill(self, browser: Browser, page: str, form: Form, texts: Iterable[str] = TEXTS) -> None:
        """One field after the other nasty, the rest as the page shows it."""
        for name in sorted(form.offered):
            for text in texts:
                values = [(one, value or SAFE.get(one, "")) for one, value in form.fields if one != name]
                body = urlencode([*values, (name, TEXTS[text])])
                address = str(httpx.URL(page).join(form.action))
                kind = {"content-type": "application/x-www-form-urlencoded"}
                await self.send(browser, "POST", address, f"{name}={text}", content=body, headers=kind)


def routes(app: Litestar) -> Iterator[tuple[str, str]]:
    """Every method and path the application answers."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            if isinstance(handler, HTTPRouteHandler):
                for method in sorted(handler.http_methods - {"OPTIONS"}):
                    yield method, route.path


def filled(path: str, ids: dict[str, UUID | str], nasty: str = "", at: int = -1) -> str:
    """The path with real ids in it, or with something `nasty` in its part number `at`."""
    parts = iter(range(path.count("{")))

    def value(found: re.Match[str]) -> str:
        return nasty if next(parts) == at else str(ids.get(found[1], uuid4()))

    return re.sub(r"{(\w+)(?::\w+)?}", value, path)
