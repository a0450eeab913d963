"""The page of the audit log, for owners."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, get
from litestar.params import Parameter
from litestar.response import Template

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.accounts.reads import Listed, note_shown
from app.audit_heads import last_check
from app.database import Db
from app.pages import AnyRequest, page
from app.privacy.rights.trail import KINDS, trail
from app.wiring import Wiring


@get("/audit")
async def show_trail(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    login: Login,
    kind: Annotated[str, Parameter(query="kind", max_length=40)] = "",
    below: Annotated[int | None, Parameter(query="below", ge=1, le=2**62)] = None,
) -> Template:
    """Fifty events; `kind` one of KINDS, anything else shows all."""
    await note_shown(db, require_member(login, Role.OWNER), Listed.AUDIT)
    kind = kind if kind in KINDS else ""
    shown = await trail(db, wiring.columns, kind=kind, below=below)
    return page(
        "privacy/trail.html",
        request,
        trail=shown,
        kinds=KINDS,
        kind=kind,
        newest=below is None,
        check=await last_check(db),
    )


router = Router("/", route_handlers=[show_trail])
