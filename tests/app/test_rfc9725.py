"""WHIP as RFC 9725 says it, clause by clause, over HTTP as a publisher of another origin sends it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.database import Database
from tests.app.clauses import ELSEWHERE, Clause, broken, refused_offers
from tests.app.loopback import offering
from tests.app.room_stage import Stage, media, stage, web
from tests.app.test_whip import SDP, token_of

EXPOSED = {"access-control-allow-origin": "*", "access-control-expose-headers": "location, etag, link, retry-after"}
PREFLIGHT = {"access-control-request-method": "DELETE", "access-control-request-headers": "authorization"}

CLAUSES = (
    *refused_offers("/whip"),
    Clause(
        says="§4.2 media that cannot be recorded",
        method="POST",
        path="/whip",
        status=422,
        body=lambda offer: offer.replace("VP8/", "AV1/").replace("H264/", "H265/"),
    ),
    Clause(
        says="§4.5 who is asking",
        method="POST",
        path="/whip",
        status=401,
        who="",
        headers={"authorization": "Bearer nobody"},
        answered={"www-authenticate": "Bearer"} | EXPOSED,
    ),
    Clause(says="no token", method="POST", path="/whip", status=403, who=""),
    Clause(says="§4.2 nothing to get", method="GET", path="/whip", status=405),
    Clause(says="§4.2 nothing to put", method="PUT", path="/whip", status=405),
    Clause(says="§4.2 nothing to get", method="GET", path="{session}", status=405, answered=EXPOSED),
    Clause(says="§4.2 nothing to put", method="PUT", path="{session}", status=405),
    Clause(says="§4.2 nothing to post", method="POST", path="{session}", status=405),
    *(
        Clause(
            says=f"§4.3.1 neither trickle nor restart, RFC 9110 §13.2.1 before any precondition: {precondition}",
            method="PATCH",
            path="{session}",
            status=405,
            headers={"content-type": "application/trickle-ice-sdpfrag"} | precondition,
            answered={"allow": "DELETE, OPTIONS"} | EXPOSED,
        )
        for precondition in ({}, {"if-match": "*"}, {"if-match": '"x"'}, {"if-match": "{etag}"})
    ),
    Clause(says="somebody else's", method="DELETE", path="/whip/" + "x" * 43, status=404, answered=EXPOSED),
    Clause(
        says="Fetch §3.2 before DELETE",
        method="OPTIONS",
        path="{session}",
        status=204,
        who="",
        headers=PREFLIGHT,
        answered={
            "access-control-allow-methods": "POST, DELETE, PATCH, OPTIONS",
            "access-control-allow-headers": "authorization, content-type, if-match",
        }
        | EXPOSED,
    ),
    Clause(
        says="§4.2 what may be posted",
        method="OPTIONS",
        path="/whip",
        status=204,
        who="",
        answered={"accept-post": "application/sdp"} | EXPOSED,
    ),
    Clause(
        says="§4.2 the end, §4.3.1 whatever its precondition",
        method="DELETE",
        path="{session}",
        status=200,
        headers={"if-match": '"x"'},
        answered=EXPOSED,
    ),
    Clause(says="the end, again", method="DELETE", path="{session}", status=200),
)


@asynccontextmanager
async def room(database: Database, folder: Path, **settings: Any) -> AsyncIterator[tuple[Stage, httpx.AsyncClient]]:
    scene = await stage(database, folder, **settings)
    await scene.open("open_room")
    async with media(scene.wiring), web(scene) as http:
        yield scene, http


async def test_every_clause(database: Database, tmp_path: Path) -> None:
    turn = {"turn_urls": "stun:stun.example.eu, turn:turn.example.eu", "turn_secret": "s"}
    async with room(database, tmp_path, **turn) as (scene, http):
        bearer = await token_of(http, scene, await scene.cookie(member=scene.owner))
        pc, _, _, offer = await offering()
        made = await http.post("/whip", content=offer, headers=bearer | ELSEWHERE)
        assert made.status_code == 201
        assert made.headers["content-type"].startswith("application/sdp") and made.text.startswith("v=0")
        assert made.headers["location"].startswith("/whip/") and len(made.headers["location"]) > 40
        tag = made.headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]{32}"', tag), "§4.3.1: strong, of the ICE session"
        assert "accept-patch" not in made.headers, "§4.3.1: it would promise PATCH"
        assert EXPOSED.items() <= dict(made.headers).items()
        for headers in (made.headers, (await http.options("/whip", headers=bearer)).headers):
            stun, turn_server = headers["link"].split(", ")
            assert stun == '<stun:stun.example.eu>; rel="ice-server"'
            assert turn_server.startswith('<turn:turn.example.eu>; rel="ice-server"; username="')
            assert turn_server.endswith('"; credential-type="password"')
        shown = {"owner": bearer | ELSEWHERE, "": SDP | ELSEWHERE}
        places = {"etag": tag, "session": made.headers["location"]}
        wrong = await broken(http, CLAUSES, offer=offer, shown=shown, places=places)
        assert wrong == []
        await pc.close()
        pc, _, _, offer = await offering()
        anew = await http.post("/whip", content=offer, headers=bearer)
        assert anew.status_code == 201 and anew.headers["etag"] != tag, "§4.3.1: unique"
        await pc.close()
