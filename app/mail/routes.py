"""The development outbox: mails that would have been sent. Exists in development only."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.response import Template
from sqlalchemy import text

from app.database import Db, set_account
from app.errors import NotThere
from app.mail.models import OutgoingMail
from app.mail.service import open_mail
from app.pages import page
from app.wiring import Wiring

SHOWN = 50


@get("/outbox")
async def show_outbox(request: Request[Any, Any, Any], db: Db, wiring: Wiring) -> Template:
    found = (await db.execute(text("SELECT * FROM newest_mails(limit_ => :limit)"), {"limit": SHOWN})).all()
    mails = []
    for row in found:
        await set_account(db, row.account_id)
        mail = await db.get_one(OutgoingMail, row.mail_id)
        mails.append({"row": mail, "content": open_mail(wiring.columns, mail)})
    return page("mail/outbox.html", request, mails=mails)


@get("/outbox/{mail:uuid}")
async def show_mail(request: Request[Any, Any, Any], db: Db, wiring: Wiring, mail: UUID) -> Template:
    """A mail as text; links in it work."""
    row = await _find(db, mail)
    return page("mail/show.html", request, row=row, content=open_mail(wiring.columns, row))


@get("/outbox/{mail:uuid}/html")
async def show_mail_html(db: Db, wiring: Wiring, mail: UUID) -> Response[str]:
    """The HTML part as a mail program shows it: no scripts, no requests, inline styles as mails have them."""
    content = open_mail(wiring.columns, await _find(db, mail))
    if content is None:
        raise NotThere
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox allow-popups"
    return Response(content.html, media_type="text/html", headers={"content-security-policy": policy})


async def _find(db: Db, mail: UUID) -> OutgoingMail:
    found = (await db.execute(text("SELECT * FROM newest_mails(limit_ => 10000)"))).all()
    for row in found:
        if row.mail_id == mail:
            await set_account(db, row.account_id)
            return await db.get_one(OutgoingMail, mail)
    raise NotThere


router = Router("/", route_handlers=[show_outbox, show_mail, show_mail_html])
"""Only for settings.development: whoever opens the outbox can sign in as anybody."""
