"""An offer and what was chosen of it -> a connection of aiortc and its answer.

Here aiortc is asked for SDP, ICE and DTLS, and media is kept out of its hands; what becomes of the connection: peer.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from app.room import sdp
from app.room.negotiation import Choice, shown_to_aiortc
from app.room.offers import BadOffer, NoMediaAddress
from recordings.capture import aiortc_internals


async def answered(
    offer: str,
    sections: Sequence[sdp.Section],
    chosen: Sequence[Choice],
    directions: Sequence[str],
    offer_addresses: Sequence[str],
) -> tuple[RTCPeerConnection, str]:
    """The caller has to close the connection. chosen, directions: one for each section; offer_addresses: local ones, on
    which it listens. Raises BadOffer or NoMediaAddress, and then leaves nothing open."""
    aiortc_internals.guard()
    pc = _connection(sections, chosen, directions)
    try:
        await _agree(pc, offer, chosen, offer_addresses)
        answer: str = pc.localDescription.sdp
        if not sdp.candidates(answer):
            raise NoMediaAddress
    except BaseException:
        with suppress(AttributeError):  # aiortc closes what it had not made yet; nothing listened so far
            await pc.close()
        raise
    return pc, sdp.with_reduced_rtcp(answer, offer)


def _connection(
    sections: Sequence[sdp.Section], chosen: Sequence[Choice], directions: Sequence[str]
) -> RTCPeerConnection:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    for section, choice, direction in zip(sections, chosen, directions, strict=True):
        wanted = {f"{section.kind}/{choice.codec}", f"{section.kind}/rtx"}
        capabilities = RTCRtpSender.getCapabilities(section.kind).codecs
        transceiver = pc.addTransceiver(section.kind, direction=direction)
        transceiver.setCodecPreferences([codec for codec in capabilities if codec.mimeType.lower() in wanted])
    return pc


async def _agree(pc: RTCPeerConnection, offer: str, chosen: Sequence[Choice], offer_addresses: Sequence[str]) -> None:
    """aiortc's parser raises nearly anything on bad input."""
    try:
        prepared = sdp.prepare_offer(shown_to_aiortc(offer, chosen), offer_addresses)
        await pc.setRemoteDescription(RTCSessionDescription(sdp=prepared, type="offer"))
    except Exception as broken:
        raise BadOffer from broken
    if any(one.receiver.transport is None for one in pc.getTransceivers()):
        raise BadOffer  # a section that its parser read otherwise than we did
    aiortc_internals.keep_media_out(pc)
    with aiortc_internals.gather_on(offer_addresses):
        try:
            await pc.setLocalDescription()
        except ValueError as broken:  # "media sections in answer do not match offer"
            raise BadOffer from broken
