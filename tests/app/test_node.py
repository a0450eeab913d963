"""The media process: permission is a lease, one stream is recorded once, nothing acknowledged is lost."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from app.room import peer
from app.room.allowance import KEPT_OUT_S, SentTooMuch
from app.room.leases import FORSAKEN_SECONDS
from app.room.node_messages import HealthFacts, StreamAsk, ViewAsk
from app.room.node_rooms import NodeFull
from recordings.capture.faults import faults
from recordings.capture.recorder import CaptureState
from recordings.capture.traffic import Traffic
from recordings.model import TrackKind
from recordings.storage.layout import recording_prefix, track_prefix
from tests.app.loopback import BOTH, accept, client, offer_of, offering, until
from tests.app.node_scene import rooms
from tests.app.room_stage import allow


async def test_capture_lasts_as_long_as_permission_keeps_arriving(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        made = await scene.rooms.publish(ask)
        await accept(pc, made.sdp)
        await until(lambda: scene.stream(ask).connected, "the connection")
        assert scene.permitted(ask) == set()  # nothing before the first push

        scene.rooms.permit(ask.session, allow(ask))
        await until(lambda: scene.kept(ask, TrackKind.CAMERA) and scene.kept(ask, TrackKind.VOICE), "frames of both")
        scene.rooms.permit(ask.session, allow(ask, TrackKind.CAMERA, as_of=3.0))
        assert scene.permitted(ask) == {TrackKind.CAMERA}  # at once, not at the next chunk
        scene.rooms.permit(ask.session, allow(ask, as_of=2.0))
        assert scene.permitted(ask) == {TrackKind.CAMERA}  # an older reading changes nothing
        voice = scene.kept(ask, TrackKind.VOICE)

        scene.clock += 1.9
        scene.rooms.tick()
        assert scene.permitted(ask) == {TrackKind.CAMERA}
        scene.clock += 0.2
        scene.rooms.tick()
        assert scene.permitted(ask) == set()
        assert not scene.rooms.facts(ask.session).leased
        scene.rooms.permit(ask.session, allow(ask, as_of=4.0))
        assert scene.permitted(ask) == BOTH
        await until(lambda: scene.kept(ask, TrackKind.VOICE) > voice, "voice again")
        await pc.close()


async def test_a_publisher_is_felt_once_a_second_with_the_level_of_its_microphone(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        made = await scene.rooms.publish(ask)
        assert "urn:ietf:params:rtp-hdrext:ssrc-audio-level" in made.sdp, "RFC 6464 is negotiated"
        await accept(pc, made.sdp)

        def felt() -> HealthFacts:
            scene.clock += 0.2  # nothing pushes permission: felt all the same, before anything is recorded
            health = scene.stream(ask).health
            assert health is not None
            return health

        await until(lambda: felt().level is not None and felt().fps > 0, "level and pictures")
        health = felt()
        assert health.bits_per_second > 0
        assert health.level is not None and -60 < health.level <= 0
        assert health.silent_s == 0
        assert scene.rooms.facts(ask.session).stored_up_to is None
        await pc.close()


async def test_a_track_that_is_not_named_is_not_written(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        other = {TrackKind.VOICE: uuid4(), TrackKind.CAMERA: ask.track_refs[TrackKind.CAMERA].track}
        scene.rooms.permit(ask.session, allow(ask, streams={ask.recording: dict(other)}))
        assert scene.permitted(ask) == {TrackKind.CAMERA}
        scene.rooms.permit(ask.session, allow(ask, streams={uuid4(): dict(other)}))
        assert scene.permitted(ask) == set()
        await pc.close()


async def test_publishing_again_ends_the_first_and_records_once(tmp_path: Path) -> None:
    async with rooms(tmp_path, capacity=1) as scene:
        first_pc, _, _, offer = await offering()
        first = scene.ask(offer)
        scene.rooms.permit(first.session, allow(first))
        await accept(first_pc, (await scene.rooms.publish(first)).sdp)
        await until(lambda: scene.kept(first, TrackKind.CAMERA), "frames of the first")

        broken = scene.ask("v=0", like=first, take=2)
        with pytest.raises(peer.BadOffer):
            await scene.rooms.publish(broken)
        assert scene.stream(first).connected  # a bad offer ends nothing

        second_pc, _, _, offer = await offering()
        second = scene.ask(offer, like=first, take=2)
        await accept(second_pc, (await scene.rooms.publish(second)).sdp)
        assert [(take.number, take.interrupted) for take in scene.ended] == [(1, False)]
        assert [stream.take for stream in scene.rooms.facts(first.session).streams] == [2]
        assert scene.permitted(second) == set(), "a take that is not committed is not captured"
        scene.rooms.permit(second.session, allow(second, as_of=2.0))
        await until(lambda: scene.kept(second, TrackKind.CAMERA), "frames of the second")
        with pytest.raises(NodeFull):
            await scene.rooms.publish(scene.ask(offer))
        await first_pc.close()
        await second_pc.close()


async def test_a_publication_of_which_no_row_was_written_does_not_end_the_one_that_got_its_number(
    tmp_path: Path,
) -> None:
    """The answer came too late for the web process, whose next try begins anew."""
    async with rooms(tmp_path) as scene:
        (lost_pc, _, _, lost_offer), (pc, _, _, offer) = await offering(), await offering()
        lost = scene.ask(lost_offer)
        await scene.rooms.publish(lost)
        again = msgspec.structs.replace(scene.ask(offer, like=lost), resource="s" * 43)
        await accept(pc, (await scene.rooms.publish(again)).sdp)
        scene.rooms.permit(again.session, allow(again))
        await until(lambda: scene.kept(again, TrackKind.CAMERA), "frames of the second")
        assert len(scene.rooms.streams) == 1
        assert scene.ended == [], "the take that is being recorded"
        await scene.rooms.end(again.resource)
        assert [take.number for take in scene.ended] == [1]
        await lost_pc.close()
        await pc.close()


async def test_a_session_that_is_over_or_forsaken_ends_its_streams(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        for is_live in (False, True):
            pc, _, _, offer = await offering()
            ask = scene.ask(offer)
            await scene.rooms.publish(ask)
            scene.rooms.permit(ask.session, allow(ask, live=is_live))
            scene.clock += FORSAKEN_SECONDS + 1
            await until(lambda: scene.ended, "the end")
            scene.ended.clear()
            assert scene.rooms.facts(ask.session).streams == []
            await pc.close()


async def test_a_view_ends_with_the_login_it_was_asked_for_with(tmp_path: Path) -> None:
    """The same member still watches in another browser; a participant's view knows no login."""
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask, member, participant, out, stays = scene.ask(offer), uuid4(), uuid4(), uuid4(), uuid4()
        inside = [ask.person, member, participant]
        scene.rooms.permit(ask.session, msgspec.structs.replace(allow(ask, inside=inside), logins=[out, stays]))
        await scene.rooms.publish(ask)
        for viewer, login in ((member, out), (member, stays), (participant, None)):
            watcher = client()
            watcher.addTransceiver("video", direction="recvonly")
            await scene.rooms.view(ask.resource, ViewAsk(sdp=await offer_of(watcher), viewer=viewer, login=login))
            await watcher.close()
        for as_of, logins in ((2.0, None), (3.0, [out, stays])):
            scene.rooms.permit(
                ask.session, msgspec.structs.replace(allow(ask, inside=inside, as_of=as_of), logins=logins)
            )
            assert scene.stream(ask).views == 3
        scene.rooms.permit(ask.session, msgspec.structs.replace(allow(ask, inside=inside, as_of=4.0), logins=[stays]))
        await until(lambda: scene.stream(ask).views == 2, "the end of the view of the browser that is signed out")
        assert {one.login for one in scene.rooms.streams[0].views.values()} == {stays, None}
        await pc.close()


async def test_whoever_may_not_be_in_the_room_any_more_neither_sends_nor_receives(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask, member, removed = scene.ask(offer), uuid4(), uuid4()
        everybody = [ask.person, member, removed]
        scene.rooms.permit(ask.session, allow(ask, inside=everybody))
        await accept(pc, (await scene.rooms.publish(ask)).sdp)
        await until(lambda: scene.stream(ask).connected, "the connection")
        for viewer in (member, removed):
            watcher = client()
            watcher.addTransceiver("video", direction="recvonly")
            await scene.rooms.view(ask.resource, ViewAsk(sdp=await offer_of(watcher), viewer=viewer))
            await watcher.close()
        assert scene.stream(ask).views == 2

        scene.rooms.permit(ask.session, allow(ask, as_of=2.0, inside=[ask.person, member]))
        await until(lambda: scene.stream(ask).views == 1, "the end of the removed member's view")
        scene.rooms.permit(ask.session, allow(ask, as_of=1.5, inside=everybody))
        assert scene.stream(ask).views == 1
        scene.rooms.permit(ask.session, allow(ask, as_of=3.0, inside=[member]))
        await until(lambda: scene.ended, "the end of the stream of the one who was shown out")
        assert scene.rooms.facts(ask.session).streams == []
        await pc.close()


@pytest.mark.parametrize("flood", [Traffic(packets=5_000), Traffic(packets=600, reports=600)])
async def test_a_viewer_who_floods_is_ended_and_kept_out_for_a_while_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flood: Traffic
) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        asks = []
        for viewer in (uuid4(), uuid4()):
            watcher = client()
            watcher.addTransceiver("video", direction="recvonly")
            asks.append(ViewAsk(sdp=await offer_of(watcher), viewer=viewer))
            await scene.rooms.view(ask.resource, asks[-1])
            await watcher.close()
        views = scene.rooms.streams[0].views
        flooding = next(one.viewing for one in views.values() if one.viewer == asks[0].viewer)
        came = dict.fromkeys((one.viewing for one in views.values()), Traffic())
        monkeypatch.setattr(peer.Viewing, "traffic", property(came.__getitem__))
        for _ in range(12):
            came[flooding] += flood
            scene.clock += 1
            scene.rooms.tick()
        await until(lambda: len(views) == 1, "the end of the flooding view")
        assert [one.viewer for one in views.values()] == [asks[1].viewer]
        with pytest.raises(SentTooMuch) as refusal:
            await scene.rooms.view(ask.resource, asks[0])
        assert 0 < (refusal.value.retry_after_s or 0) <= KEPT_OUT_S
        scene.clock += KEPT_OUT_S
        await scene.rooms.view(ask.resource, asks[0])
        await pc.close()


async def test_until_when_tracks_are_stored_is_forgotten_with_their_streams(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        prefix = track_prefix(next(iter(ask.track_refs.values())))
        for of in (prefix, "an/ended/track/"):
            scene.uploader._stored_up_to[of] = 1.0
        scene.clock += 1
        scene.rooms.tick()
        assert scene.uploader._stored_up_to == {prefix: 1.0}
        await scene.rooms.end(ask.resource)
        scene.clock += 1
        scene.rooms.tick()
        assert scene.uploader._stored_up_to == {}
        await pc.close()


async def test_what_was_said_before_permission_came_is_let_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets wait up to a second behind a lost one; those of a pause must not come out after it."""
    released: list[set[TrackKind]] = []
    of: list[frozenset[TrackKind]] = []

    def release(self: peer.Publication, kinds: frozenset[TrackKind]) -> None:
        released.append(scene.permitted(ask))
        of.append(kinds)

    monkeypatch.setattr(peer.Publication, "release", release)
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        scene.rooms.permit(ask.session, allow(ask, TrackKind.CAMERA))
        scene.rooms.permit(ask.session, allow(ask, TrackKind.CAMERA, as_of=2.0))
        scene.rooms.permit(ask.session, allow(ask, as_of=3.0))
        scene.rooms.permit(ask.session, allow(ask, TrackKind.VOICE, as_of=4.0))
        assert released == [set(), {TrackKind.CAMERA}], "before each widening, and only then"
        assert of == [{TrackKind.CAMERA}, {TrackKind.VOICE}], "what was permitted goes on waiting for its repairs"
        await pc.close()


async def test_a_fault_in_one_stream_ends_that_one_and_every_other_keeps_to_its_permission(tmp_path: Path) -> None:
    """In applying a permission, in letting a lease run out, and in what is done by time."""
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(rooms(tmp_path))
        asks: list[StreamAsk] = []
        for take in (1, 2, 3):
            pc, _, _, offer = await offering()
            stack.push_async_callback(pc.close)
            ask = scene.ask(offer, take=take)
            asks.append(msgspec.structs.replace(ask, session=asks[0].session if asks else ask.session))
            await scene.rooms.publish(asks[-1])
        streams = {stream.ask.recording: stream for stream in scene.rooms.streams}

        def broken(*_: object) -> None:
            raise LookupError("ours")

        before = faults.count
        streams[asks[0].recording].recorder.permit = broken  # type: ignore[method-assign, assignment]
        streams[asks[1].recording].recorder.tick = broken  # type: ignore[method-assign, assignment]
        every = [allow(ask) for ask in asks]
        everything = msgspec.structs.replace(
            every[0],
            streams={key: value for one in every for key, value in one.streams.items()},
            takes={key: value for one in every for key, value in one.takes.items()},
            inside=[person for one in every for person in one.inside],
        )
        scene.rooms.permit(asks[0].session, everything)
        assert streams[asks[0].recording].recorder.health().state is CaptureState.CLOSED
        assert all(streams[ask.recording].recorder.permitted == BOTH for ask in asks[1:])
        await until(lambda: len(scene.ended) == 1, "the end of the faulty one")
        assert scene.ended[0].recording == asks[0].recording and scene.ended[0].interrupted
        streams[asks[1].recording].recorder.permit = broken  # type: ignore[method-assign, assignment]
        scene.clock += 2.5
        scene.rooms.tick()
        assert streams[asks[2].recording].recorder.permitted == frozenset()
        assert streams[asks[1].recording].recorder.health().state is CaptureState.CLOSED
        await until(lambda: len(scene.ended) == 2, "the end of the second")
        assert [stream.ask for stream in scene.rooms.streams] == [asks[2]]
        assert faults.count >= before + 3


async def test_erasing_while_recording_leaves_nothing_and_lets_nothing_in(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        scene.rooms.permit(ask.session, allow(ask))
        await accept(pc, (await scene.rooms.publish(ask)).sdp)
        await until(lambda: all(scene.kept(ask, kind) for kind in BOTH), "frames of both")
        voice = track_prefix(ask.track_refs[TrackKind.VOICE])
        done = await scene.rooms.erase(voice)
        assert done.streams == 0
        assert {track.kind for track in scene.stream(ask).tracks} == {TrackKind.CAMERA}
        seen = scene.kept(ask, TrackKind.CAMERA)
        await until(lambda: scene.kept(ask, TrackKind.CAMERA) > seen + 10, "the camera going on")
        assert scene.spool.waiting(voice).bytes == 0

        done = await scene.rooms.erase(recording_prefix(ask.recording_ref))
        assert done.streams == 1
        assert scene.spool.waiting(recording_prefix(ask.recording_ref)).bytes == 0
        assert len(scene.ended) == 1
        await scene.uploader.round()
        assert list(scene.store.list("")) == []
        assert (await scene.rooms.erase(recording_prefix(ask.recording_ref))).streams == 0
        await pc.close()
