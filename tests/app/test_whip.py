"""Signalling of the room over HTTP: who may publish and view what, and what everybody else is told."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from app.accounts.models import Role
from app.accounts.service import create_account
from app.audit import Action, AuditEvent
from app.database import Database
from app.invitations.service import invitation_of, revoke
from app.participants.models import Participant
from app.room import ice, tokens
from app.room.secret import node_secret, purpose_key
from app.room.tokens import BadRoomToken
from app.sessions.models import Recording, Session, Take, Track
from app.settings import Settings
from app.studies.models import ConsentKind
from recordings.model import PersonId, StreamKind
from tests.app.loopback import accept, client, offer_of, offering, until
from tests.app.room_stage import RECORDED, Stage, as_, media, stage, web
from tests.app.test_node_load import waits_for_a_lock

SDP = {"content-type": "application/sdp"}
NOW = datetime(2026, 5, 3, tzinfo=UTC)


async def token_of(http: httpx.AsyncClient, scene: Stage, cookie: str, stream: str = "camera") -> dict[str, str]:
    answer = await http.post(f"/rooms/{scene.session}/token", data={"stream": stream}, headers=as_(scene, cookie))
    assert answer.status_code == 201
    return {"authorization": f"Bearer {answer.json()['token']}"} | SDP


async def takes(scene: Stage) -> list[Take]:
    async with scene.wiring.database.transaction(scene.account) as db:
        return list(await db.scalars(select(Take).order_by(Take.started_at)))


async def test_a_stream_comes_and_goes_with_one_exchange_each(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    await scene.open("open_room")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(media(scene.wiring))
        http = await stack.enter_async_context(web(scene))
        owner = as_(scene, await scene.cookie(member=scene.owner))
        bearer = await token_of(http, scene, await scene.cookie(participant=anna))
        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)

        refused = await http.post("/whip", content=offer, headers=bearer)
        assert refused.status_code == 403
        assert "let in" in refused.json()["detail"]
        assert (await http.post(f"/rooms/{scene.session}/admit/{anna}", headers=owner)).status_code == 204
        async with database.transaction(scene.account) as erasing:  # it locks her first, and then her sessions
            await erasing.get_one(Participant, anna, with_for_update=True)
            coming = asyncio.create_task(http.post("/whip", content=offer, headers=bearer))
            await waits_for_a_lock(database)
            await erasing.get_one(Session, scene.session, with_for_update={"key_share": True, "nowait": True})
        made = await coming
        assert made.status_code == 201
        assert made.headers["content-type"].startswith("application/sdp")
        place = made.headers["location"]
        assert re.fullmatch(r"/whip/[\w-]{43}", place)
        await accept(pc, made.text)
        await until(lambda: pc.connectionState == "connected", "the connection")

        # the address alone opens nothing
        assert (await http.delete(place)).status_code == 401
        assert (await http.delete(place, headers=owner)).status_code == 404
        ben_session = await scene.cookie(member=await scene.member(Role.OBSERVER))
        assert (await http.delete(place, headers=as_(scene, ben_session))).status_code == 404
        assert (await http.patch(place)).status_code == 401
        patched = await http.patch(place, headers=bearer)
        assert (patched.status_code, patched.headers["allow"]) == (405, "DELETE, OPTIONS")
        screen = await token_of(http, scene, await scene.cookie(participant=anna), "screen")
        assert (await http.delete(place, headers=screen)).status_code == 404

        assert (await http.delete(place, headers=bearer)).status_code == 200
        assert (await http.delete(place, headers=bearer)).status_code == 200
        await until(lambda: pc.connectionState == "closed", "the goodbye")
    assert [take.ended_at is not None and not take.interrupted for take in await takes(scene)] == [True]


async def test_what_was_not_agreed_to_is_refused_and_leaves_no_row(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", ConsentKind.AUDIO)
    await scene.open("open_room")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(media(scene.wiring))
        http = await stack.enter_async_context(web(scene, push=False))
        owner, guest = await scene.cookie(member=scene.owner), await scene.cookie(participant=anna)
        await http.post(f"/rooms/{scene.session}/admit/{anna}", headers=as_(scene, owner))
        bearer = await token_of(http, scene, guest)
        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)

        refused = await http.post("/whip", content=offer, headers=bearer)
        assert refused.status_code == 403
        assert refused.json()["detail"] == "There is no consent to this kind: camera."
        await scene.consent(anna, [ConsentKind.VIDEO])
        strange = await http.post(
            "/whip", content=offer.replace("VP8/", "AV1/").replace("H264/", "H265/"), headers=bearer
        )
        assert strange.status_code == 422
        assert "VP8 or H.264" in strange.json()["detail"]
        broken = await http.post("/whip", content="v=0\r\nm=audio 9 x\r\n", headers=bearer)
        assert broken.status_code == 400
        plain = bearer | {"content-type": "text/plain"}
        assert (await http.post("/whip", content=offer, headers=plain)).status_code == 415
        assert (await http.post("/whip", content=b"\xff\xfe" + offer.encode(), headers=bearer)).status_code == 400
        assert await takes(scene) == []

        observer = as_(scene, await scene.cookie(member=await scene.member(Role.OBSERVER))) | SDP
        watching = f"/whip?session={scene.session}&stream=camera"
        assert (await http.post(watching, content=offer, headers=observer)).status_code == 403
        wanted = f"/rooms/{scene.session}/token"
        del observer["content-type"]
        assert (await http.post(wanted, data={"stream": "camera"}, headers=observer)).status_code == 403
        assert (await http.post(wanted, data={"stream": "both"}, headers=as_(scene, guest))).status_code == 422
        assert (await http.post(watching, content=offer, headers=SDP)).status_code == 401
        foreign = as_(scene, guest) | SDP | {"origin": "https://elsewhere.example"}
        assert (await http.post(watching, content=offer, headers=foreign)).status_code == 403
        assert await takes(scene) == []

        await scene.open("end")
        ended = await http.post("/whip", content=offer, headers=bearer)
        assert (ended.status_code, ended.json()["detail"]) == (403, "This session has ended.")


async def test_without_a_place_at_a_media_process_the_answer_is_try_again(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    await scene.open("open_room")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(web(scene, push=False))
        bearer = await token_of(http, scene, await scene.cookie(member=scene.owner))
        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)
        nowhere = await http.post("/whip", content=offer, headers=bearer)
        assert nowhere.status_code == 503
        assert int(nowhere.headers["retry-after"]) > 0
        async with media(scene.wiring, capacity=1):
            assert (await http.post("/whip", content=offer, headers=bearer)).status_code == 201
            # the same stream again takes its own place; another stream finds none
            assert (await http.post("/whip", content=offer, headers=bearer)).status_code == 201
            screen = await token_of(http, scene, await scene.cookie(member=scene.owner), "screen")
            full = await http.post("/whip", content=offer, headers=screen)
            assert full.status_code == 503
            assert int(full.headers["retry-after"]) > 0
            owner = as_(scene, await scene.cookie(member=scene.owner))
            async with database.transaction(scene.account) as db:
                recording = (await db.scalars(select(Recording.id))).one()
            viewer = client()
            stack.push_async_callback(viewer.close)
            viewer.addTransceiver("video", direction="recvonly")
            unseen = await http.post(f"/whep/{recording}", content=await offer_of(viewer), headers=owner | SDP)
            assert unseen.status_code == 503
            assert "no place left for this picture" in unseen.json()["detail"]
            assert int(unseen.headers["retry-after"]) > 0
    ended = [take.number for take in await takes(scene)]
    assert ended == [1, 2]


async def test_a_token_outlives_neither_its_person_nor_its_stream(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    await scene.open("open_room")
    async with web(scene, push=False) as http:
        bearer = await token_of(http, scene, await scene.cookie(participant=anna))
        described = await http.options("/whip", headers=bearer)
        assert described.status_code == 204
        assert described.headers["accept-post"] == "application/sdp"
        assert "location" in described.headers["access-control-expose-headers"]
        async with scene.wiring.database.transaction(scene.account) as db:
            invitation = await invitation_of(db, session=scene.session, participant=anna)
            assert invitation is not None
            await revoke(db, session=scene.session, invitation=invitation.id)
        assert (await http.post("/whip", content="v=0", headers=bearer)).status_code == 401
        said = bearer["authorization"]
        altered = bearer | {"authorization": said[:-9] + ("x" if said[-9] != "x" else "y") + said[-8:]}
        assert (await http.post("/whip", content="v=0", headers=altered)).status_code == 401
        cookie = as_(scene, await scene.cookie(member=scene.owner))
        assert (await http.post("/whip", content="v=0", headers=cookie | altered)).status_code == 401


async def test_views_are_for_those_inside_and_ended_by_their_viewer_only(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path, group=True)
    anna = await scene.participant("Anna", *RECORDED)
    ben = await scene.participant("Ben", ConsentKind.AUDIO)
    await scene.open("open_room")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(media(scene.wiring))
        http = await stack.enter_async_context(web(scene))
        owner = as_(scene, await scene.cookie(member=scene.owner))
        guest = as_(scene, await scene.cookie(participant=ben))
        await http.post(f"/rooms/{scene.session}/admit/{anna}", headers=owner)
        bearer = await token_of(http, scene, await scene.cookie(participant=anna))
        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)
        made = await http.post("/whip", content=offer, headers=bearer)
        await accept(pc, made.text)
        async with database.transaction(scene.account) as db:
            recording = (await db.scalars(select(Recording.id))).one()

        viewer = client()
        stack.push_async_callback(viewer.close)
        viewer.addTransceiver("video", direction="recvonly")
        wanted = await offer_of(viewer)
        assert (await http.post(f"/whep/{recording}", content=wanted, headers=SDP)).status_code == 404
        waiting = await http.post(f"/whep/{recording}", content=wanted, headers=guest | SDP)
        assert waiting.status_code == 403
        assert (await http.post(f"/whep/{uuid4()}", content=wanted, headers=owner | SDP)).status_code == 404
        viewed = await http.post(f"/whep/{recording}", content=wanted, headers=owner | SDP)
        assert viewed.status_code == 201
        await accept(viewer, viewed.text)
        await until(lambda: viewer.connectionState == "connected", "the view")
        await http.post(f"/rooms/{scene.session}/admit/{ben}", headers=owner)
        assert (await http.delete(viewed.headers["location"], headers=guest)).status_code == 200
        assert viewer.connectionState == "connected"  # somebody else's view is not touched
        assert (await http.delete(viewed.headers["location"], headers=owner)).status_code == 200
        await until(lambda: viewer.connectionState == "closed", "the end of the view")
        assert await watched(scene) == [(f"member:{scene.owner}", f"recording:{recording}", {"stream": "camera"})]
        await http.delete(made.headers["location"], headers=bearer)
        async with database.transaction(scene.account) as db:
            assert {track.kind for track in await db.scalars(select(Track))} == {"camera", "voice"}


async def watched(scene: Stage) -> list[tuple[str, str, dict[str, str]]]:
    """What audit says of live views: refused ones and a participant's leave nothing."""
    async with scene.wiring.database.transaction(scene.account) as db:
        events = await db.scalars(select(AuditEvent).where(AuditEvent.action == Action.LIVE_WATCHED))
        return [(event.actor, event.subject, event.facts) for event in events]


async def test_another_account_finds_nothing(database: Database, tmp_path: Path) -> None:
    scene, other = await stage(database, tmp_path), None
    await scene.open("open_room")
    async with web(scene, push=False) as http, database.transaction() as db:
        account, stranger = await create_account(
            db, scene.wiring.columns, name="Other", owner_name="Eve", owner_email="eve@example.eu"
        )
        await db.commit()
        other = Stage(wiring=scene.wiring, account=account, owner=stranger, study=scene.study, session=scene.session)
        cookie = as_(scene, await other.cookie(member=stranger))
        for path in (f"/rooms/{scene.session}/start", f"/rooms/{scene.session}/admit/{uuid4()}"):
            assert (await http.post(path, headers=cookie)).status_code == 404
        assert (await http.get(f"/rooms/{scene.session}", headers=cookie)).status_code == 404
        assert (await http.get(f"/rooms/{scene.session}/ice", headers=cookie)).status_code == 404


async def test_only_those_who_lead_may_lead(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    async with web(scene, push=False) as http:
        observer = as_(scene, await scene.cookie(member=await scene.member(Role.OBSERVER)))
        guest = as_(scene, await scene.cookie(participant=anna))
        owner = as_(scene, await scene.cookie(member=scene.owner))
        for step in ("open", "start", "pause", "resume", "end", f"admit/{anna}"):
            for other in (observer, guest):
                assert (await http.post(f"/rooms/{scene.session}/{step}", headers=other)).status_code == 403
        assert (await http.post(f"/rooms/{scene.session}/start", headers=owner)).status_code == 409
        assert (await http.post(f"/rooms/{scene.session}/open", headers=owner)).status_code == 204
        assert (await http.post(f"/rooms/{scene.session}/start", headers=owner)).status_code == 204
        assert (await http.post(f"/rooms/{scene.session}/pause-mine", headers=owner)).status_code == 403
        assert (await http.post(f"/rooms/{scene.session}/pause-mine", headers=guest)).status_code == 204
        assert (await http.post(f"/rooms/{scene.session}/dance", headers=owner)).status_code == 404
        for who in (owner, observer, guest):
            assert (await http.get(f"/rooms/{scene.session}", headers=who)).status_code == 200
        assert (await http.get(f"/rooms/{scene.session}")).status_code == 401
        assert (await http.post(f"/rooms/{scene.session}/end", headers=owner)).status_code == 204
        assert (await http.post(f"/rooms/{scene.session}/end", headers=owner)).status_code == 409


def issued(now: datetime = NOW) -> str:
    return tokens.issue(
        b"k" * 32,
        account=uuid4(),
        session=uuid4(),
        person=PersonId(uuid4()),
        is_member=False,
        stream=StreamKind.CAMERA,
        now=now,
    )[0]


def test_a_token_is_read_until_it_expires_and_by_its_own_key_only() -> None:
    token = issued()
    assert tokens.read(b"k" * 32, token, NOW).stream is StreamKind.CAMERA
    for key, shown, at in (
        (b"k" * 32, token, NOW + tokens.LIFE),
        (b"o" * 32, token, NOW),
        (b"k" * 32, token[:-1], NOW),
        (b"k" * 32, "é" + token, NOW),
        (b"k" * 32, "", NOW),
        (b"k" * 32, token.replace(".", ""), NOW),
    ):
        with pytest.raises(BadRoomToken):
            tokens.read(key, shown, at)


def test_turn_credentials_live_ten_minutes_and_name_nobody() -> None:
    settings = Settings(turn_urls="stun:stun.example.eu, turns:turn.example.eu:443?transport=tcp", turn_secret="s")
    session = uuid4()
    stun, turn = ice.ice_servers(settings, session=session, now=NOW)
    assert stun.as_dict() == {"urls": "stun:stun.example.eu"}
    expiry, _, name = turn.username.partition(":")
    assert int(expiry) - NOW.timestamp() <= timedelta(minutes=10).total_seconds()
    assert name == str(session)
    assert turn.as_link().startswith('<turns:turn.example.eu:443?transport=tcp>; rel="ice-server"; username="')
    assert ice.ice_servers(Settings(), session=session, now=NOW) == []


def test_web_and_media_find_the_same_secret(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new")
    made = node_secret(settings)
    assert len(made) >= 43
    assert node_secret(settings) == made
    assert (tmp_path / "new" / "node.secret").stat().st_mode & 0o077 == 0
    assert node_secret(Settings(node_secret="given")) == "given"
    assert purpose_key(made, "one") != purpose_key(made, "other")
