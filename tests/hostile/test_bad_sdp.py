"""Offers that are broken, lie or lure, over HTTP as a participant sends them: refused in words, no row, no packet."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from app.database import Database
from app.invitations.service import admit
from app.sessions import service as sessions
from app.sessions.models import Take, Track
from app.studies.models import ConsentKind
from recordings.model import PersonId
from tests.app.loopback import accept, client, offer_of, offering, until
from tests.app.room_stage import RECORDED, Stage, as_, media, stage, web
from tests.fixtures.ports import free_ports

SDP = {"content-type": "application/sdp"}
MUTATIONS = 200
CANDIDATE = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n"

BAD: dict[str, Callable[[str], str]] = {
    "nothing": lambda offer: "",
    "blanks": lambda offer: " \r\n" * 50,
    "no SDP": lambda offer: "<html>{{ 7*7 }}</html>",
    "NUL": lambda offer: "\0" + offer,
    "NUL in a line": lambda offer: offer.replace("a=mid", "a=mi\0d"),
    "session lines only": lambda offer: offer.split("m=")[0],
    "cut in the middle": lambda offer: offer[: len(offer) // 2],
    "no ICE": lambda offer: re.sub(r"a=ice-.*\r\n", "", offer),
    "no fingerprint": lambda offer: re.sub(r"a=fingerprint.*\r\n", "", offer),
    "a fingerprint of nothing": lambda offer: re.sub(r"a=fingerprint:.*", "a=fingerprint:sha-256", offer),
    "a media line of words": lambda offer: re.sub(r"m=audio .*", "m=audio many RTP few", offer),
    "payload types of words": lambda offer: re.sub(r"a=rtpmap:\d+", "a=rtpmap:x", offer),
    "a kind that is none": lambda offer: offer.replace("m=video", "m=hologram"),
    "a data channel": lambda offer: offer.replace("m=video", "m=application"),
    "two cameras": lambda offer: offer + offer[offer.index("m=video") :],
    "5 000 candidates": lambda offer: offer + CANDIDATE * 5_000,
    "201 candidates": lambda offer: offer + CANDIDATE * 201,
    "a long line": lambda offer: offer + "a=" + "x" * 150_000 + "\r\n",
    "400 kB": lambda offer: offer + "a=x\r\n" * 80_000,
    "the wrong way": lambda offer: offer.replace("a=sendrecv", "a=recvonly"),
}
FINE_TO_WATCH = {"a media line of words", "a data channel", "two cameras", "the wrong way"}
"""What of the above does not change an offer to watch one picture, or changes it to another that is fine."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """A live room with web and media, and one participant who is in and agreed to camera, voice and screen."""

    scene: Stage
    http: httpx.AsyncClient
    anna: PersonId
    guest: dict[str, str]

    async def publish(self, offer: str | bytes, stream: str = "camera") -> httpx.Response:
        path = f"/whip?session={self.scene.session}&stream={stream}"
        return await self.http.post(path, content=offer, headers=self.guest | SDP)

    async def rows(self, kind: type[Any]) -> list[Any]:
        async with self.scene.wiring.database.transaction(self.scene.account) as db:
            return list(await db.scalars(select(kind)))


@asynccontextmanager
async def live(database: Database, folder: Path, *kinds: ConsentKind, group: bool = False) -> AsyncIterator[Live]:
    scene = await stage(database, folder, group=group)
    anna = await scene.participant("Anna", *(kinds or RECORDED))
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=anna)
    async with media(scene.wiring), web(scene) as http:
        guest = as_(scene, await scene.cookie(participant=anna))
        yield Live(scene=scene, http=http, anna=anna, guest=guest)


def told(answer: httpx.Response) -> str:
    """Why it was refused. The answer is a refusal with a sentence, not a fault."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    detail: str = answer.json()["detail"]
    assert detail.strip().endswith("."), detail
    return detail


async def test_broken_offers_are_refused_in_words(database: Database, tmp_path: Path) -> None:
    async with live(database, tmp_path) as room:
        pc, _, _, offer = await offering()
        for what, change in BAD.items():
            answer = await room.publish(change(offer))
            assert 400 <= answer.status_code < 500, (what, answer.status_code, answer.text[:200])
            told(answer)
        told(await room.publish(b"\xff\xfe" + offer.encode()))
        assert await room.rows(Take) == []
        # … and the same browser is welcome as soon as its offer is whole
        assert (await room.publish(offer)).status_code == 201
        await pc.close()


async def test_an_offer_changed_at_random_is_understood_or_refused(database: Database, tmp_path: Path) -> None:
    """aiortc's parser raises what it likes (AssertionError, StopIteration, KeyError …); none of it is a fault here."""
    chance = random.Random(3)
    async with live(database, tmp_path) as room:
        pc, _, _, offer = await offering()
        refused = 0
        for _ in range(MUTATIONS):
            answer = await room.publish(mutated(offer, chance))
            assert answer.status_code == 201 or told(answer)
            if answer.status_code == 201:
                await room.http.delete(answer.headers["location"], headers=room.guest)
            refused += answer.status_code != 201
        assert 20 < refused < MUTATIONS
        assert len(await room.rows(Take)) == MUTATIONS - refused
        await pc.close()


async def test_viewers_offers_are_looked_at_just_the_same(database: Database, tmp_path: Path) -> None:
    async with live(database, tmp_path) as room, AsyncExitStack() as stack:
        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)
        await accept(pc, (await room.publish(offer)).text)
        await until(lambda: pc.connectionState == "connected", "the connection")
        [take] = await room.rows(Take)
        owner = as_(room.scene, await room.scene.cookie(member=room.scene.owner)) | SDP
        viewer = client()
        stack.push_async_callback(viewer.close)
        viewer.addTransceiver("video", direction="recvonly")
        wanted, path = await offer_of(viewer), f"/whep/{take.recording_id}"
        for what, change in BAD.items():
            answer = await room.http.post(path, content=change(wanted), headers=owner)
            assert what in FINE_TO_WATCH or told(answer), what
        chance = random.Random(4)
        for _ in range(60):
            answer = await room.http.post(path, content=mutated(wanted, chance), headers=owner)
            assert answer.status_code == 201 or told(answer)
        assert pc.connectionState == "connected", "the stream that is watched does not mind"


async def test_a_kind_that_was_not_agreed_to_is_refused_and_named(database: Database, tmp_path: Path) -> None:
    async with live(database, tmp_path, ConsentKind.AUDIO) as room:
        pc, _, _, offer = await offering()
        assert "camera" in told(await room.publish(offer))
        assert "screen" in told(await room.publish(offer, "screen"))
        told(await room.publish(offer, "hologram"))
        assert await room.rows(Take) == await room.rows(Track) == []
        await pc.close()


async def test_addresses_in_an_offer_are_never_contacted(database: Database, tmp_path: Path) -> None:
    """Neither over UDP nor over TCP, wherever they stand in the offer, while the stream itself connects."""
    knocks: list[str] = []

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            knocks.append("udp")

    loop, (on_udp, on_tcp) = asyncio.get_running_loop(), free_ports(2)  # that were nobody's before
    udp, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", on_udp))
    tcp = await asyncio.start_server(lambda reader, writer: knocks.append("tcp"), "127.0.0.1", on_tcp)
    lures = "".join(
        f"a={name}:{number} 1 {net} 2130706431 127.0.0.1 {port} typ {kind}\r\n"
        for number, (name, net, port, kind) in enumerate(
            (
                ("candidate", "udp", on_udp, "host"),
                ("candidate", "UDP", on_udp, "srflx raddr 127.0.0.1 rport 9"),
                ("candidate", "tcp", on_tcp, "host tcptype passive"),
                ("remote-candidates", "udp", on_udp, "host"),
            )
        )
    )
    try:
        async with live(database, tmp_path) as room:
            pc, _, _, offer = await offering()
            lured = (lures + offer.replace("a=mid", lures + "a=mid") + lures).replace(lures + "v=0", "v=0", 1)
            made = await room.publish(lured)
            assert made.status_code == 201
            await accept(pc, made.text)
            await until(lambda: pc.connectionState == "connected", "the connection")
            await pc.close()
        assert knocks == []
    finally:
        udp.close()
        tcp.close()


async def test_publishing_again_ends_the_first_and_nothing_is_recorded_twice(
    database: Database, tmp_path: Path
) -> None:
    async with live(database, tmp_path) as room:
        first, _, _, offer = await offering()
        await accept(first, (await room.publish(offer)).text)
        await until(lambda: first.connectionState == "connected", "the first")
        second, _, _, offer = await offering()
        await accept(second, (await room.publish(offer)).text)
        await until(lambda: second.connectionState == "connected", "the second")
        await until(lambda: first.connectionState == "closed", "the end of the first")
        await second.close()
        async with asyncio.timeout(90):
            while not all(take.ended_at for take in await room.rows(Take)):
                await asyncio.sleep(0.05)
        one, two = sorted(await room.rows(Take), key=lambda take: take.number)
        assert one.recording_id == two.recording_id
        assert {track.kind for track in await room.rows(Track)} == {"camera", "voice"}, "no second set of tracks"


async def test_without_a_token_nothing_is_published_and_another_sessions_stream_is_not_seen(
    database: Database, tmp_path: Path
) -> None:
    async with live(database, tmp_path) as room:
        scene = room.scene
        async with database.transaction(scene.account) as db:
            elsewhere = await sessions.schedule(db, account=scene.account, study=scene.study, title="Second")
        ben = await scene.participant("Ben", *RECORDED, session=elsewhere)
        pc, _, _, offer = await offering()
        path = f"/whip?session={scene.session}&stream=camera"
        assert (await room.http.post(path, content=offer, headers=SDP)).status_code == 401
        assert (await room.http.post("/whip", content=offer, headers=SDP)).status_code in (401, 422)
        for bearer in ("x", "", "\x00", "é" * 500, "a.b.c", "." * 4000):
            asked = {"authorization": f"Bearer {bearer}".encode("latin-1", "replace")} | {
                name: value.encode() for name, value in SDP.items()
            }
            assert "Bearer" not in told(await room.http.post("/whip", content=offer, headers=asked))  # type: ignore[arg-type]
        other = Stage(
            wiring=scene.wiring, account=scene.account, owner=scene.owner, study=scene.study, session=elsewhere
        )
        ben_there = as_(scene, await other.cookie(participant=ben)) | SDP
        told(await room.http.post(path, content=offer, headers=ben_there))
        await accept(pc, (await room.publish(offer)).text)
        [take] = await room.rows(Take)
        seen = await room.http.post(f"/whep/{take.recording_id}", content=offer, headers=ben_there)
        assert seen.status_code == 404
        assert (await room.http.get(f"/rooms/{scene.session}", headers=ben_there)).status_code == 404
        await pc.close()


def mutated(offer: str, chance: random.Random) -> str:
    """A line left out, doubled, cut, moved, or with some characters exchanged."""
    lines = offer.splitlines()
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case 3:
                lines.insert(chance.randrange(len(lines)), lines.pop(at))
            case 4:
                spots = [chance.randrange(len(lines[at]) + 1) for _ in range(3)]
                for spot in spots:
                    lines[at] = lines[at][:spot] + chance.choice(" :/=-9x\0é🦉") + lines[at][spot + 1 :]
    return "\r\n".join(lines) + "\r\n"
