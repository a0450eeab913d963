"""Viewing as draft-ietf-wish-whep says it, clause by clause, over HTTP as our own page sends it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select

from app.database import Database
from app.sessions.models import Recording
from tests.app.clauses import ELSEWHERE, Clause, broken, refused_offers
from tests.app.loopback import accept, client, offer_of, offering, only, until
from tests.app.room_stage import RECORDED, as_
from tests.app.test_rfc9725 import room
from tests.app.test_whip import SDP, token_of

TRICKLE = {"content-type": "application/trickle-ice-sdpfrag", "if-match": '"x"'}
NO_VIEW = f"1.{'x' * 43}"


OF_STREAM = {"accept-post": "application/sdp", "allow": "POST, GET, OPTIONS"}
OF_VIEW = {"allow": "DELETE, GET, OPTIONS"}

CLAUSES = (
    *refused_offers("{stream}"),
    Clause(
        says="§4.2 media that cannot be sent",
        method="POST",
        path="{stream}",
        status=422,
        body=lambda offer: offer.replace("VP8/", "AV1/"),
    ),
    Clause(says="§4.8 nobody", method="POST", path="{stream}", status=404, who=""),
    Clause(says="§4.8 still waiting", method="POST", path="{stream}", status=403, who="guest"),
    Clause(says="§4.8 another origin", method="POST", path="{stream}", status=403, headers=ELSEWHERE),
    Clause(says="no such stream", method="POST", path=f"/whep/{uuid4()}", status=404),
    Clause(says="§4.1 nothing to read", method="GET", path="{stream}", status=204),
    Clause(says="§4.1 nothing to read", method="GET", path="{view}", status=204),
    Clause(says="§4.1 for nobody", method="GET", path="{stream}", status=404, who=""),
    Clause(says="§4.3 what may be posted", method="OPTIONS", path="{stream}", status=204, answered=OF_STREAM),
    Clause(says="§4.3 what may be done", method="OPTIONS", path="{view}", status=204, answered=OF_VIEW),
    Clause(says="§4.3 told to nobody", method="OPTIONS", path="{stream}", status=404, who=""),
    Clause(says="nothing to put", method="PUT", path="{stream}", status=405),
    Clause(says="nothing to post", method="POST", path="{view}", status=405),
    Clause(
        says="§4.4.1 neither trickle nor restart",
        method="PATCH",
        path="{view}",
        status=405,
        headers=TRICKLE,
        answered=OF_VIEW,
    ),
    Clause(says="§4.4.1 nobody's", method="PATCH", path="{view}", status=404, who="", headers=TRICKLE),
    Clause(says="no view of ours", method="DELETE", path="{stream}/" + "x" * 43, status=404),
    Clause(says="of no take", method="DELETE", path="{stream}/9" + NO_VIEW, status=404),
    Clause(says="with a question in it", method="DELETE", path="{view}%3Fviewer=1", status=404),
    Clause(says="§4.3 nobody", method="DELETE", path="{view}", status=404, who=""),
    Clause(says="§4.3 somebody else: not touched", method="DELETE", path="{view}", status=200, who="guest"),
)


async def test_every_clause(database: Database, tmp_path: Path) -> None:
    turn = {"turn_urls": "stun:stun.example.eu", "turn_secret": "s"}
    async with AsyncExitStack() as stack:
        scene, http = await stack.enter_async_context(room(database, tmp_path, **turn))
        cookies = {
            "": {},
            "owner": as_(scene, await scene.cookie(member=scene.owner)),
            "guest": as_(scene, await scene.cookie(participant=await scene.participant("Anna", *RECORDED))),
        }
        bearer = await token_of(http, scene, await scene.cookie(member=scene.owner))
        pc, _, _, sent = await offering()
        stack.push_async_callback(pc.close)
        published = await http.post("/whip", content=sent, headers=bearer)
        await accept(pc, published.text)
        async with database.transaction(scene.account) as db:
            stream = f"/whep/{(await db.scalars(select(Recording.id))).one()}"

        viewer = client()
        stack.push_async_callback(viewer.close)
        viewer.addTransceiver("video", direction="recvonly")
        viewer.addTransceiver("audio", direction="recvonly")
        only(viewer, "VP8")
        offer = await offer_of(viewer)
        made = await http.post(stream, content=offer, headers=cookies["owner"] | SDP)
        assert made.status_code == 201
        assert made.headers["content-type"].startswith("application/sdp")
        view = made.headers["location"]
        assert view.startswith(f"{stream}/1.") and len(view) > len(stream) + 40
        assert made.headers["etag"].startswith('"') and "accept-patch" not in made.headers, "§4.4.1"
        assert made.headers["link"] == '<stun:stun.example.eu>; rel="ice-server"'
        assert "a=sendonly" in made.text and "a=sendrecv" not in made.text, "§4.2"
        await accept(viewer, made.text)
        await until(lambda: viewer.connectionState == "connected", "the view")

        shown = {who: cookie | SDP for who, cookie in cookies.items()}
        wrong = await broken(http, CLAUSES, offer=offer, shown=shown, places={"stream": stream, "view": view})
        assert wrong == []
        assert viewer.connectionState == "connected"

        for says in ("§4.3 the end", "the end, again"):
            assert (await http.delete(view, headers=cookies["owner"])).status_code == 200, says
        await until(lambda: viewer.connectionState == "closed", "the end of the view")
        await http.delete(published.headers["location"], headers=bearer)
        async with asyncio.timeout(60):
            while (over := await http.post(stream, content=offer, headers=cookies["owner"] | SDP)).status_code != 409:
                await asyncio.sleep(0.3)
        assert int(over.headers["retry-after"]) > 0, "§4.2 not live"
