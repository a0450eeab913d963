"""What a publisher offers is answered as far as it can be recorded, or refused in words."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest
from aiortc import RTCSessionDescription

from app.room import peer
from recordings.model import StreamKind, TrackKind
from tests.app.loopback import (
    BOTH,
    Collected,
    client,
    offer_of,
    offering,
    publish,
    until,
)


async def test_a_wrong_fingerprint_never_gives_media() -> None:
    pc, _, _, offer = await offering()
    forged = re.sub(r"(a=fingerprint:\S+ )(..)", lambda found: found[1] + ("00" if found[2] != "00" else "01"), offer)
    assert forged != offer
    ends: list[peer.Ended] = []
    sink = Collected()
    publication = await publish(forged, sink=sink)
    publication.on_closed = ends.append
    await pc.setRemoteDescription(answer(publication))
    await until(lambda: ends, "its end")
    await pc.close()
    assert ends == [peer.Ended.LOST]
    assert sink.frames == []


def answer(publication: peer.Publication) -> RTCSessionDescription:
    return RTCSessionDescription(sdp=publication.answer_sdp, type="answer")


async def test_a_kind_not_agreed_to_is_refused() -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.KindRefused):
        await publish(offer, kinds=frozenset({TrackKind.VOICE}))
    await pc.close()


async def test_sound_alone_is_a_stream() -> None:
    pc = client()
    pc.addTransceiver("audio", direction="sendonly")
    publication = await publish(await offer_of(pc), kinds=frozenset({TrackKind.VOICE}))
    assert publication.kinds == {TrackKind.VOICE}
    await publication.close()
    await pc.close()


async def test_only_vp8_and_opus_are_answered() -> None:
    pc, _, _, offer = await offering()
    publication = await publish(offer)
    assert "H264" in offer
    assert set(re.findall(r"a=rtpmap:\d+ (\w+)/", publication.answer_sdp)) == {"VP8", "rtx", "opus"}
    opus = re.search(r"a=rtpmap:(\d+) opus", publication.answer_sdp)
    assert opus and f"a=rtcp-fb:{opus[1]} nack" in publication.answer_sdp
    await publication.close()
    await pc.close()


async def test_rtcp_of_reduced_size_is_agreed_to_where_it_is_offered() -> None:
    pc, _, _, offer = await offering()
    assert "rtcp-rsize" not in offer
    for said, agreed in ((offer, 0), (offer.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-rsize\r\n"), 2)):
        publication = await publish(said)
        assert publication.answer_sdp.count("a=rtcp-mux\r\na=rtcp-rsize\r\n") == agreed
        assert publication.answer_sdp.count("rtcp-rsize") == agreed
        await publication.close()
    await pc.close()


async def test_we_are_the_dtls_server_where_the_offer_leaves_it_open() -> None:
    pc, _, _, offer = await offering()
    publication = await publish(offer)
    assert set(re.findall(r"a=setup:(\w+)", publication.answer_sdp)) == {"passive"}
    await publication.close()
    await pc.close()


def without(pattern: str) -> Callable[[str], str]:
    return lambda offer: "".join(line for line in offer.splitlines(True) if not re.match(pattern, line))


def replaced(pattern: str, by: str) -> Callable[[str], str]:
    return lambda offer: re.sub(pattern, by, offer)


BAD: dict[str, Callable[[str], str]] = {
    "empty": lambda offer: "",
    "no SDP": lambda offer: "hello",
    "NUL": lambda offer: "\0" * 100,
    "cut in the middle": lambda offer: offer[: len(offer) // 2],
    "no fingerprint": without("a=fingerprint"),
    "no ICE password": without("a=ice-pwd"),
    "no setup": without("a=setup"),
    "unknown setup": replaced("a=setup:actpass", "a=setup:maybe"),
    "no rtcp-mux": without("a=rtcp-mux"),
    "no mid": without("a=mid"),
    "no bundle": without("a=group:BUNDLE"),
    "payload type of a poet": replaced(r"a=rtpmap:\d+", "a=rtpmap:one"),
    "payload types of eight bits": replaced(r"a=rtpmap:97 ", "a=rtpmap:225 "),
    "repairs of a payload type of eight bits": replaced(r"apt=97", "apt=225"),
    "repairs with a payload type of eight bits": replaced(r"a=(rtpmap|fmtp):98 ", r"a=\1:226 "),
    "repairs with a negative payload type": replaced(r"a=(rtpmap|fmtp):98 ", r"a=\1:-98 "),
    "fmtp for nothing": lambda offer: offer + "a=fmtp:55 x=1\r\n",
    "address that is none": replaced(r"c=IN IP4 \S+", "c=IN IP5 x"),
    "broken SSRC": replaced(r"a=ssrc:\d+ cname", "a=ssrc:x cname"),
    "broken m line": replaced(r"m=video \d+", "m=video x"),
    "two cameras": lambda offer: offer + "m=video" + offer.split("m=video")[1].split("m=")[0],
    "data channel": lambda offer: offer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:9\r\n",
    "receiving only": replaced("a=sendrecv|a=sendonly", "a=recvonly"),
    "5 000 candidates": lambda offer: offer + "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n" * 5_000,
    "201 candidates": lambda offer: offer + "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n" * 201,
    "too long": lambda offer: offer + "a=x\r\n" * 20_000,
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
async def test_a_bad_offer_is_refused_in_words(change: Callable[[str], str]) -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.BadOffer) as refusal:
        await publish(change(offer))
    assert str(refusal.value).endswith(".")
    await pc.close()


async def test_an_offer_without_vp8_and_h264_is_refused_in_words() -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.UnsupportedMedia, match=r"VP8 or H\.264"):
        await publish(offer.replace("VP8/", "AV1/").replace("H264/", "H265/"))
    await pc.close()


async def test_no_address_to_receive_on_can_be_tried_again() -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.NoMediaAddress) as refusal:
        await peer.publish(
            offer, kinds=BOTH, stream=StreamKind.CAMERA, offer_addresses=["192.0.2.77"], sink=Collected()
        )
    assert refusal.value.retry
    await pc.close()


async def test_nothing_is_sent_to_addresses_named_in_an_offer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.setblocking(False)
        line = f"a=candidate:1 1 udp 2130706431 127.0.0.1 {victim.getsockname()[1]} typ host\r\n"

        def lure(offer: str) -> str:
            """In every place and disguise aiortc's parser would read it from."""
            return (offer.replace("a=mid", line + "a=mid") + line).replace("a=rtcp-mux", "a=rtcp-mux\v" + line.rstrip())

        pc, _, _, offer = await offering()
        publication = await publish(lure(offer))
        await pc.setRemoteDescription(answer(publication))
        await until(lambda: publication.state is peer.PeerState.CONNECTED, "connected")
        await publication.close()
        await pc.close()
        with pytest.raises(BlockingIOError):
            victim.recv(100)


async def test_redundant_sound_is_taken_where_it_is_offered_and_carries_this_opus() -> None:
    def offering_red(carried: str) -> Callable[[str], str]:
        def change(offer: str) -> str:
            offer = re.sub(r"(m=audio \d+ \S+ .*)", r"\1 63", offer)
            return offer.replace(
                "a=rtpmap:96 opus/48000/2",
                f"a=rtpmap:96 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 {carried}",
            )

        return change

    for carried, taken in (("96/96", True), ("97/97", False), ("96/97", False)):
        pc, _, _, offer = await offering()
        opus = re.search(r"a=rtpmap:(\d+) opus", offer)
        assert opus and opus[1] == "96"
        publication = await publish(offering_red(carried)(offer))
        sound = publication.answer_sdp[publication.answer_sdp.index("m=audio") :]
        assert ("a=rtpmap:63 red/48000/2" in sound) is taken
        assert sound.splitlines()[0].split(" ")[3:5][0] == ("63" if taken else "96")
        await publication.close()
        await pc.close()
