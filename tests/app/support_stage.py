"""Operators and what they do, over HTTP, for the tests of support access."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select

from app.mail.models import OutgoingMail
from app.mail.service import MailContent, open_mail
from app.sealed_columns import PLATFORM
from app.support.models import SupportRequest
from app.support.operators import AlreadyOperator, add_operator
from app.wiring import Wiring
from recordings.model import AccountId
from tests.fixtures.authenticator import Authenticator

REASON = "Ticket 17: the picture stands still, we look for the gap."


@dataclass
class OperatorAtWork:
    """One operator with a browser and a passkey of their own. http: a client that knows no cookie yet."""

    wiring: Wiring
    http: httpx.AsyncClient
    name: str = "Omar"
    email: str = "omar@platform.example"
    device: Authenticator = field(default_factory=Authenticator)

    async def post(self, path: str, form: Any = None) -> httpx.Response:
        headers = {"Origin": self.wiring.settings.origin}
        return await self.http.post(path, data=form or {}, headers=headers, follow_redirects=False)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers, follow_redirects=False)

    async def added(self) -> None:
        async with self.wiring.database.transaction() as db:
            with suppress(AlreadyOperator):
                await add_operator(db, self.wiring.columns, name=self.name, email=self.email)

    async def follow_link(self) -> httpx.Response:
        """Asks for a link, and uses the one that was mailed."""
        return await self.post(await self.link())

    async def link(self) -> str:
        assert (await self.post("/support/sign-in", {"email": self.email})).status_code == 200
        link = re.search(r"/support/sign-in/[\w-]+", (await self._mails("operator_sign_in"))[-1].text)
        assert link is not None
        return link[0]

    async def mailed(self, template: str) -> list[str]:
        """Subjects of the mails to this operator, in order."""
        return [mail.subject for mail in await self._mails(template)]

    async def _mails(self, template: str) -> list[MailContent]:
        async with self.wiring.database.transaction(PLATFORM) as db:
            found = select(OutgoingMail).where(OutgoingMail.template == template).order_by(OutgoingMail.created_at)
            mails = [open_mail(self.wiring.columns, row) for row in await db.scalars(found)]
        return [mail for mail in mails if mail is not None and mail.to == self.email]

    async def show_passkey(self) -> httpx.Response:
        """Makes the first one, shows it from then on."""
        asked = (await self.post("/support/passkey/challenge")).json()
        answer = self.device.make(asked) if "user" in asked else self.device.show(asked)
        return await self.post("/support/passkey", {"credential": answer})

    async def sign_in(self) -> OperatorAtWork:
        await self.added()
        assert (await self.follow_link()).status_code == 303
        answer = await self.show_passkey()
        assert (answer.status_code, answer.headers["location"]) == (303, "/support"), answer.text
        return self

    async def ask(self, account: AccountId, kind: str, object_id: UUID, reason: str = REASON) -> httpx.Response:
        form = {"account": str(account), "kind": kind, "object": str(object_id), "reason": reason}
        return await self.post("/support/requests", form)

    async def newest(self, account: AccountId) -> UUID:
        """The newest request of the account."""
        async with self.wiring.database.transaction(account) as db:
            found = select(SupportRequest.id).order_by(SupportRequest.asked_at.desc()).limit(1)
            return (await db.scalars(found)).one()
