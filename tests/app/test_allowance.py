"""What goes beyond the operator's limits is refused or ended with its reason, and hurts nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.database import Database
from app.invitations.service import admit
from app.room import node_rooms
from app.room.allowance import CUT_OFF_AFTER_S, MOST_FRAMES_PER_S, Meter, TooManyStreams, check_streams
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.sessions.models import Recording, Session
from recordings.capture.bandwidth import Bandwidth
from recordings.capture.traffic import Traffic
from recordings.finalise import finalise
from recordings.gaps import SENT_TOO_MUCH
from tests.app.loopback import accept, client, offer_of, offering, only, until
from tests.app.room_stage import RECORDED, as_, media, stage, web
from tests.app.test_whip import SDP, token_of
from tests.recordings.scene import Scene

LIMIT = 1_000_000


@pytest.mark.parametrize(
    ("bits", "ended"),
    [
        ([LIMIT] * 60, False),
        ([int(1.4 * LIMIT)] * 60, False),
        ([2 * LIMIT] * 9, False),
        ([2 * LIMIT] * 11, True),
        ([2 * LIMIT, 2 * LIMIT, LIMIT] * 20, False),
        ([], False),
    ],
)
def test_a_stream_is_ended_that_sends_too_much_for_long(bits: Iterable[int], ended: bool) -> None:
    told = list(metered(Traffic(bytes=one // 8) for one in bits))
    assert any(told) is ended
    assert not any(told[: int(CUT_OFF_AFTER_S)])


@pytest.mark.parametrize(
    ("pictures", "sounds", "ended"),
    [(120, 400, False), (MOST_FRAMES_PER_S + 1, 0, True), (0, MOST_FRAMES_PER_S + 1, True), (301, 300, True)],
)
def test_a_stream_is_ended_that_sends_more_frames_than_anything_makes(pictures: int, sounds: int, ended: bool) -> None:
    told = list(metered(Traffic(bytes=10_000, pictures=pictures, sounds=sounds) for _ in range(20)))
    assert any(told) is ended
    assert not any(told[: int(CUT_OFF_AFTER_S)])


@pytest.mark.parametrize(
    ("traffic", "ended"),
    [
        (Traffic(bytes=LIMIT // 8, packets=LIMIT // 8 // 1_000 + 450, reports=20), False),
        (Traffic(bytes=LIMIT // 8, packets=1_250), False),
        (Traffic(bytes=1_251 * 12, packets=1_251), True),  # empty ones, also of another stream
        (Traffic(bytes=1_000, packets=20, reports=500), False),
        (Traffic(bytes=1_000, packets=20, reports=501), True),
    ],
)
def test_a_stream_is_ended_that_floods_with_tiny_packets_or_reports(traffic: Traffic, ended: bool) -> None:
    told = list(metered(traffic for _ in range(20)))
    assert any(told) is ended
    assert not any(told[: int(CUT_OFF_AFTER_S)])


def metered(seconds: Iterable[Traffic]) -> Iterator[bool]:
    """What came in each second."""
    meter, traffic, now = Meter(LIMIT), Traffic(), 100.0
    yield meter.is_exceeded(traffic, now)
    for new in seconds:
        now, traffic = now + 1, traffic + new
        yield meter.is_exceeded(traffic, now)


def test_senders_are_never_told_more_than_the_limit() -> None:
    bandwidth, now = Bandwidth(LIMIT), 0.0
    for _ in range(400):
        now += 0.1
        bandwidth.arrived(12_000)
        bandwidth.travelled(1, 0.01)
        bandwidth.assess(now)
        assert bandwidth.allowed <= LIMIT


def test_streams_are_counted_by_session_and_by_account() -> None:
    check_streams(1, 5, of_session=2, of_account=6)
    with pytest.raises(TooManyStreams, match="this session"):
        check_streams(2, 5, of_session=2, of_account=6)
    with pytest.raises(TooManyStreams, match="this account"):
        check_streams(1, 6, of_session=2, of_account=6)


async def test_one_more_stream_than_allowed_is_refused_and_the_same_again_is_not(
    database: Database, tmp_path: Path
) -> None:
    scene = await stage(database, tmp_path, session_streams=1)
    await scene.open("open_room")
    async with media(scene.wiring), web(scene) as http:
        cookie = await scene.cookie(member=scene.owner)
        camera, screen = [await token_of(http, scene, cookie, one) for one in ("camera", "screen")]
        pc, _, _, offer = await offering()
        for _ in range(2):
            assert (await http.post("/whip", content=offer, headers=camera)).status_code == 201
        full = await http.post("/whip", content=offer, headers=screen)
        assert full.status_code == 429
        assert "this session" in full.json()["detail"] and int(full.headers["retry-after"]) > 0
        await pc.close()


async def test_who_sends_too_much_is_ended_and_kept_out_with_the_reason_while_others_go_on(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await stage(database, tmp_path, group=True)
    anna, ben = [await scene.participant(name, *RECORDED) for name in ("Anna", "Ben")]
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        for one in (anna, ben):
            await admit(db, session=scene.session, participant=one)
    flooding: set[int] = set()
    numbers = count()
    monkeypatch.setattr(node_rooms, "Meter", lambda limit: Said(next(numbers), flooding))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(media(scene.wiring))
        http = await stack.enter_async_context(web(scene))
        seats, peers = [], []
        for person in (anna, ben):
            bearer = await token_of(http, scene, await scene.cookie(participant=person))
            pc, _, _, offer = await offering()
            stack.push_async_callback(pc.close)
            await accept(pc, (await http.post("/whip", content=offer, headers=bearer)).text)
            seats.append((bearer, offer))
            peers.append(pc)
        await until(lambda: all(pc.connectionState == "connected" for pc in peers), "both")
        flooding.add(0)
        await until(lambda: peers[0].connectionState == "closed", "the end of the first made")
        assert peers[1].connectionState == "connected"
        again = await http.post("/whip", content=seats[0][1], headers=seats[0][0])
        assert again.status_code == 429
        assert "less quality" in again.json()["detail"] and 0 < int(again.headers["retry-after"]) <= 60
        assert (await http.post("/whip", content=seats[1][1], headers=seats[1][0])).status_code == 201


class Said:
    """A meter that says when, instead of ten seconds of flood; number: the nth that was made."""

    def __init__(self, number: int, ended: set[int]) -> None:
        self._number, self._ended = number, ended

    def is_exceeded(self, traffic: Traffic, now: float) -> bool:
        return self._number in self._ended


async def test_the_gap_after_it_says_why(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for take in (1, 2):
        recorder = scene.recorder(take)
        scene.capture(recorder, 2.0)
        if take == 1:
            recorder.permit(frozenset(), SENT_TOO_MUCH)
        recorder.close()
        scene.now += 60
    await scene.store_all()
    summary = finalise(scene.store, scene.keys, scene.ref, list(scene.tracks.values()), 1)
    assert [gap.why for gap in summary.gaps] == [SENT_TOO_MUCH]


async def test_the_longest_recording_is_paused_for_all_to_see_and_not_resumed(
    database: Database, tmp_path: Path
) -> None:
    scene = await stage(database, tmp_path, recording_minutes=60)
    await scene.open("open_room", "start_recording")

    async def switch() -> str:
        async with database.transaction(scene.account) as db:
            return str(await db.scalar(select(Session.recording)))

    async def recorded_for(minutes: int) -> None:
        async with database.transaction(scene.account) as db:
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            await db.execute(update(Session).values(recording_at=at))

    async with web(scene, push=False) as http:
        owner = as_(scene, await scene.cookie(member=scene.owner))
        node = NodeClient(scene.wiring.settings)
        await recorded_for(59)
        await push_session(scene.wiring, node, account=scene.account, session=scene.session)
        assert await switch() == "on"
        await recorded_for(61)
        for _ in range(2):
            await push_session(scene.wiring, node, account=scene.account, session=scene.session)
            assert await switch() == "paused"
        refused = await http.post(f"/rooms/{scene.session}/resume", headers=owner)
        assert refused.status_code == 403
        assert "as long as it may be" in refused.json()["detail"]
        assert (await http.post(f"/rooms/{scene.session}/end", headers=owner)).status_code == 204
        await node.close()


async def test_the_fifth_window_of_one_person_takes_the_place_of_the_first(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    await scene.open("open_room")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(media(scene.wiring))
        http = await stack.enter_async_context(web(scene))
        bearer = await token_of(http, scene, await scene.cookie(member=scene.owner))
        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)
        await accept(pc, (await http.post("/whip", content=offer, headers=bearer)).text)
        owner = as_(scene, await scene.cookie(member=scene.owner))
        async with database.transaction(scene.account) as db:
            recording = (await db.scalars(select(Recording.id))).one()
        viewers = []
        for _ in range(5):
            viewer = client()
            stack.push_async_callback(viewer.close)
            viewer.addTransceiver("video", direction="recvonly")
            only(viewer, "VP8")
            seen = await http.post(f"/whep/{recording}", content=await offer_of(viewer), headers=owner | SDP)
            assert seen.status_code == 201
            await accept(viewer, seen.text)
            await until(lambda viewer=viewer: viewer.connectionState == "connected", "the view")  # type: ignore[misc]
            viewers.append(viewer)
        await until(lambda: viewers[0].connectionState == "closed", "the end of the first")
        assert [one.connectionState for one in viewers[1:]] == ["connected"] * 4
