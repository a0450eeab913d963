"""The owner's page to take everything along, the archive itself, and what is taken along when the account is closed."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, get
from litestar.response import Stream, Template

from app.accounts.agreement import account_row
from app.accounts.lasting import as_asked, while_allowed
from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.database import Db, now_in
from app.errors import Forbidden
from app.language import N_
from app.pages import AnyRequest, page
from app.privacy.erasing.account_papers import account_of_link
from app.privacy.keeping.export import all_certificates, begin_export, send_export
from app.privacy.rights.zipped import Archive
from app.sessions.disclosures import LEAVES_FOR
from app.sessions.purposes import PURPOSE_WORDS, Asked, DownloadPurpose, PurposeMissing
from app.wiring import Wiring

LEAVING = "leaving"
PURPOSES = {
    LEAVING: N_("to keep it when the account is closed, or somewhere else"),
    **{
        purpose.value: words
        for purpose, words in PURPOSE_WORDS.items()
        if purpose is not DownloadPurpose.REQUEST and purpose not in LEAVES_FOR
    },
}
"""What goes to somebody outside is taken out session by session, as far as it is noted who gets it."""


@get("/account/export")
async def show_export(request: AnyRequest, db: Db, login: Login) -> Template:
    owner = require_member(login, Role.OWNER)
    return page(
        "accounts/export.html", request, name=(await account_row(db)).name, purposes=PURPOSES, closes=owner.closes_at
    )


@get("/account/export.zip")
async def export(request: AnyRequest, db: Db, wiring: Wiring, login: Login, purpose: Asked = None) -> Response[Any]:
    """For a purpose, which the log keeps. Its length is not known before, since it is made while it is sent."""
    owner = require_member(login, Role.OWNER)
    if purpose not in PURPOSES:
        raise PurposeMissing
    made = await begin_export(db, wiring, account=owner.account, by=owner.as_member, purpose=purpose)
    day = (await now_in(db)).date().isoformat()
    await db.commit()
    headers = {
        "content-disposition": f'attachment; filename="account-{day}.zip"',
        "cache-control": "private, no-store",
    }

    async def still_owner(_: Db, login: SignedIn) -> None:
        require_member(login, Role.OWNER)

    still = as_asked(request, wiring, still_owner)

    async def or_cut() -> bool:
        """Its length was not announced: an end that looks like one would pass for all of it."""
        if not await still():
            raise Forbidden
        return True

    pieces = while_allowed(send_export(wiring, made), or_cut)
    return Stream(pieces, media_type="application/zip", headers=headers)


@get("/closed/{token:str}/persons.zip")
async def take_certificates(db: Db, wiring: Wiring, token: str) -> Response[Any]:
    """Of a closed account, for whoever holds the link to its own: those of the persons, which it names by digest."""
    row = await account_of_link(db, wiring, token)
    archive = Archive(await all_certificates(db))
    headers = {
        "content-length": str(archive.size),
        "content-disposition": f'attachment; filename="certificates-{row.account_id}.zip"',
    }
    await db.commit()
    return Stream(archive.read(), media_type="application/zip", headers=headers)


router = Router("/", route_handlers=[show_export, export, take_certificates])
