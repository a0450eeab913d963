"""The internal address of the media process."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import httpx
import msgspec

from app.room.node_api import MAX_BODY_BYTES, NodeApi
from app.room.node_messages import Health
from app.room.node_rooms import StreamGone
from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId, PersonId
from tests.app.node_scene import rooms


async def test_the_internal_address_answers_the_web_process_only(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        api = NodeApi(
            scene.rooms, "shared", lambda: Health(name="m", streams=0, load=0, capacity=5, spool_bytes=0, waiting_s=0)
        )
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://media") as http:
            for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "shared"}):
                assert (await http.get("/health", headers=headers)).status_code == 401
            http.headers["authorization"] = "Bearer shared"
            assert (await http.get("/health")).json()["name"] == "m"
            assert (await http.get("/elsewhere")).status_code == 404
            assert (await http.post("/streams", content="{}")).status_code == 400
            assert (await http.post("/streams", content="x" * (MAX_BODY_BYTES + 1))).status_code == 422
            assert (await http.post("/erase", json={"prefix": ""})).status_code == 422
            assert (await http.post("/erase", json={"prefix": "a/"})).status_code == 422
            assert (await http.delete(f"/streams/{'x' * 43}")).status_code == 204
            view = await http.post(f"/streams/{'x' * 43}/views", json={"sdp": "v=0", "viewer": str(uuid4())})
            assert (view.status_code, view.json()["reason"]) == (404, StreamGone().message)
            assert (await http.put("/sessions/no-id/permission", json={})).status_code == 404
            ask = scene.ask("no offer")
            refused = await http.post("/streams", content=msgspec.json.encode(ask))
            assert refused.status_code == 400
            scene.keys.destroy(KeyPath(AccountId(ask.account), PersonId(ask.person)))
            gone = await http.post("/streams", content=msgspec.json.encode(ask))
            assert (gone.status_code, gone.json()["reason"]) == (404, "This has been erased.")
        assert scene.rooms.count == 0
