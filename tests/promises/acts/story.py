"""The story of one lab, told in acts (the files beside this one): each calls routes that change something."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.audit import AuditEvent
from app.demo.browser import Browser
from tests.promises.world import World

HOLD = {
    "reason": "complaint",
    "words": "a complaint is open",
    "review": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}",
}


@dataclass
class Story:
    """One call of each route, in an order in which each succeeds. ids: for the names in paths."""

    world: World
    ids: dict[str, Any]
    done: dict[str, list[str]]

    async def call(self, browser: Browser, route: str, form: Any = None) -> str:
        """Where it redirects to, or the text of the answer."""
        before = await self._number()
        path = route.partition(" ")[2].format(**self.ids)
        answer = await self.world.post(browser, path, form)
        assert answer.status_code < 400, f"{route}: {answer.status_code} {answer.text[:1500]}"
        events = await self.world.rows(self.world.lab, AuditEvent, AuditEvent.number > before, order=AuditEvent.number)
        self.done.setdefault(route, []).extend(event.action for event in events)
        return answer.headers.get("location", answer.text)

    async def confirmed(self, browser: Browser, route: str, form: dict[str, str]) -> None:
        """A change that shows what it would do before it does it."""
        shown = await self.call(browser, route, form)
        seen = re.search(r'name="seen" value="([^"]+)"', shown)
        assert seen is not None, route
        self.done.pop(route)
        await self.call(browser, route, form | {"seen": seen[1]})

    async def newest(self, model: Any, *where: Any, order: Any) -> UUID:
        return (await self.world.rows(self.world.lab, model, *where, order=order))[-1].id  # type: ignore[no-any-return]

    async def _number(self) -> int:
        events = await self.world.rows(self.world.lab, AuditEvent, order=AuditEvent.number)
        return events[-1].number if events else 0
