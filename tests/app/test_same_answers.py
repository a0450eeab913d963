"""Whether an address is known shows neither in an answer nor in how long it takes: what the database is asked before
the last byte is the same for both, and what differs comes after it. No clock is read here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from app.accounts.login import start_login
from app.accounts.models import Scope
from app.database import Database
from app.sealed_columns import PLATFORM
from app.support.operators import add_operator
from tests.fixtures.web import HTML, ORIGIN, Cast
from tests.fixtures.web import mails as every_mail


@dataclass
class Course:
    """What one request asked of the database before and after its answer, and the answer."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    answer: tuple[int, str, dict[str, str]] = (0, "", {})

    @property
    def mailed_after(self) -> bool:
        assert not any("INTO outgoing_mail" in asked for asked in self.before)
        return any("INTO outgoing_mail" in asked for asked in self.after)


@contextmanager
def noted(database: Database, note: Callable[[str], None]) -> Iterator[None]:
    def asked(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", asked)
    yield
    event.remove(engine, "before_cursor_execute", asked)


async def course(cast: Cast, path: str, email: str, cookie: str = "") -> Course:
    """One form sent, with the moment of its last byte."""
    seen = Course()
    answered = False

    async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def tell(message: Any) -> None:
            nonlocal answered
            await send(message)
            answered = answered or (message["type"] == "http.response.body" and not message.get("more_body"))

        await cast.web.app(scope, receive, tell)

    def note(statement: str) -> None:
        (seen.after if answered else seen.before).append(statement)

    headers = HTML | ({"cookie": f"login={cookie}"} if cookie else {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers=headers) as browser:
        with noted(cast.wiring.database, note):
            answer = await browser.post(path, data={"email": email})
    seen.answer = answer.status_code, re.sub(r'nonce[="-][\w-]+', "", answer.text), dict(answer.headers)
    return seen


@pytest.mark.parametrize(
    ("path", "known"), [("/sign-in", "olga@lab.example"), ("/support/sign-in", "omar@platform.example")]
)
async def test_signing_in_takes_the_same_for_known_and_unknown_addresses(cast: Cast, path: str, known: str):
    async with cast.wiring.database.transaction(PLATFORM) as db:
        await add_operator(db, cast.wiring.columns, name="Omar", email="omar@platform.example")
    ours, nobodys = await course(cast, path, known), await course(cast, path, "nobody@else.example")
    assert ours.answer == nobodys.answer and ours.answer[0] == 200
    assert ours.before == nobodys.before
    assert ours.mailed_after and not nobodys.mailed_after


async def test_an_address_that_somebody_else_has_takes_the_same_as_one_that_nobody_has(cast: Cast):
    """A participant who corrects theirs learns of nobody who takes part too; only a free address gets a code."""
    anna, courses = cast.participant.participant, []
    for email in ("anna@new.example", "ben@home.example"):
        async with cast.wiring.database.transaction(cast.account) as db:
            cookie = await start_login(
                db, cast.wiring.settings, account=cast.account, scope=Scope.DATA, participant=anna, session=cast.session
            )
        courses.append(await course(cast, "/my-data/address", email, cookie.value or ""))
    free, taken = courses
    assert free.answer == taken.answer and free.answer[0] == 303
    assert free.before == taken.before
    assert free.mailed_after and not taken.mailed_after
    assert [mail.to for row, mail in await every_mail(cast.wiring) if mail and row.template == "address_code"] == [
        "anna@new.example"
    ]
