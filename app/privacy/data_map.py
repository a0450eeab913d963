"""/data-map: everything that is kept, for everybody to read, from what the program itself works by."""

from __future__ import annotations

from litestar import Router, get
from litestar.response import Template

from app.database import Db
from app.language import N_
from app.legal_basis import Purpose
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.privacy.records.inventory import INVENTORY, About
from app.privacy.records.places import PLACES

HEADS = {
    About.PARTICIPANT: N_("People who take part"),
    About.MEMBER: N_("Members of an account"),
    About.ACCOUNT: N_("The account"),
    About.OPERATOR: N_("Operators of the platform"),
    About.PLATFORM: N_("The platform itself"),
}


@get("/data-map")
async def show_data_map(request: AnyRequest, db: Db) -> Template:
    """Everybody may read it; db: whoever is signed in reads it in their language."""
    groups = [
        (
            about,
            {name: place for name, place in PLACES.items() if place.about is about},
            {name: kept for name, kept in INVENTORY.items() if kept.about is about},
        )
        for about in About
    ]
    return page("privacy/data_map.html", request, groups=groups, heads=HEADS, purposes=Purpose)


router = Router("/", route_handlers=[show_data_map], opt=FOR_PARTICIPANTS)
