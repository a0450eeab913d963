"""Where media listens and what peers are told: every address of the machine, chosen ones, or a router's."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from app.room import addresses, sdp
from app.room.addresses import MediaAddresses
from app.settings import Settings, SettingsError
from recordings.capture.aiortc_internals import machine_addresses
from recordings.model import TrackKind
from tests.app.loopback import HERE, accept, offering, until
from tests.app.node_scene import rooms
from tests.app.room_stage import allow

PUBLIC = "203.0.113.7"  # TEST-NET-3 (RFC 5737): the router's


@pytest.mark.parametrize("announced", [(), (PUBLIC,)], ids=["told as it is", "behind 1:1 NAT"])
async def test_media_comes_through_the_address_that_is_told(announced: tuple[str, ...], tmp_path: Path) -> None:
    async with rooms(tmp_path, addresses=MediaAddresses(chosen=HERE, announced=announced)) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        made = await scene.rooms.publish(ask)
        assert told(made.sdp) == set(announced or HERE)
        await accept(pc, made.sdp.replace(PUBLIC, *HERE))  # what the router does with each datagram
        scene.rooms.permit(ask.session, allow(ask))
        await until(lambda: scene.kept(ask, TrackKind.CAMERA) and scene.kept(ask, TrackKind.VOICE), "frames of both")
        await pc.close()


async def test_without_a_choice_it_is_every_address_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `make run` begins. Machines of tests may have none but loopback, so it stands for theirs here."""
    monkeypatch.setattr(addresses, "machine_addresses", lambda: tuple(HERE))
    async with rooms(tmp_path, addresses=MediaAddresses()) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        made = await scene.rooms.publish(ask)
        await accept(pc, made.sdp)
        await until(lambda: scene.stream(ask).connected, "the connection")
        await pc.close()


def test_addresses_of_the_machine_can_be_reached_by_others() -> None:
    found = [ip_address(address) for address in machine_addresses()]
    assert not any(address.is_loopback or address.is_link_local for address in found)
    assert tuple(MediaAddresses().listening) == machine_addresses()
    assert MediaAddresses(chosen=HERE).listening == HERE


def test_only_the_addresses_of_candidates_and_connection_lines_change() -> None:
    answer = (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=video 41000 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 10.0.0.5\r\n"
        "a=x-note:10.0.0.5\r\na=candidate:1 1 udp 2130706431 10.0.0.5 41000 typ host\r\n"
        "a=candidate:2 1 udp 2130706430 2001:db8::5 41001 typ host\r\n"
    )
    changed = sdp.with_addresses(answer, {"10.0.0.5": PUBLIC})
    assert changed == answer.replace("IP4 10.0.0.5", f"IP4 {PUBLIC}").replace("31 10.0.0.5 ", f"31 {PUBLIC} ")
    assert sdp.with_addresses(answer, {}) == answer


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"JUNIER_MEDIA_ADDRESSES": "media.example.eu"}, "JUNIER_MEDIA_ADDRESSES"),
        ({"JUNIER_MEDIA_ADDRESSES": "10.0.0.5", "JUNIER_MEDIA_ANNOUNCED": "eu"}, "JUNIER_MEDIA_ANNOUNCED"),
        ({"JUNIER_MEDIA_ADDRESSES": "10.0.0.5", "JUNIER_MEDIA_ANNOUNCED": f"{PUBLIC},{PUBLIC}"}, "one for each"),
        ({"JUNIER_MEDIA_ANNOUNCED": PUBLIC}, "one for each"),
    ],
)
def test_addresses_that_do_not_fit_stop_the_start(env: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_env(env)
    assert Settings.from_env({"JUNIER_MEDIA_ADDRESSES": "10.0.0.5, 2001:db8::5"}).offer_addresses[1] == "2001:db8::5"


def told(answer: str) -> set[str]:
    lines = [sdp.attribute(line) for line in answer.splitlines()]
    return {value.split(" ")[4] for name, value in lines if name == "candidate"}
