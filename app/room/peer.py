"""Peers of the room: one publishes a stream into it, another views one.

publish: offer (WHIP, RFC 9725) -> answer; frames, sender reports and holes flow into `sink`.
view: offer (WHEP) -> answer; the publisher's RTP is passed on, rewritten and never decoded.

aiortc does SDP (answering.py), ICE and DTLS; media is taken out of its hands when DTLS connects. One connection carries
one stream, so there is no renegotiation; a peer that comes back from another network offers anew.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import inf

from aiortc import RTCDtlsTransport, RTCPeerConnection

from app.room import sdp
from app.room.answering import answered
from app.room.forward import Forwarder, Source
from app.room.negotiation import Choice, said_again
from app.room.offers import (
    BadOffer,
    KindRefused,
    NoMediaAddress,
    PeerError,
    SourceEnded,
    UnsupportedMedia,
    choices,
    incoming_formats,
    kind_of,
    outgoing_formats,
    read_offer,
)
from recordings.capture import aiortc_internals
from recordings.capture.aiortc_internals import LAST_ROUND_S, MOST_WAITING, MediaTransport
from recordings.capture.bandwidth import MAX_BITS_PER_SECOND
from recordings.capture.faults import faults
from recordings.capture.incoming_track import Sink
from recordings.capture.reception import Reception
from recordings.capture.traffic import Traffic
from recordings.model import StreamKind, TrackKind

__all__ = [
    "BadOffer",
    "Ended",
    "KindRefused",
    "NoMediaAddress",
    "Peer",
    "PeerError",
    "PeerState",
    "Publication",
    "SourceEnded",
    "UnsupportedMedia",
    "Viewing",
    "publish",
    "view",
]

CONNECT_WITHIN_S = 30.0
CLOSE_WITHIN_S = 5.0

log = logging.getLogger("junier.media")


class PeerState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class Ended(StrEnum):
    """Why a peer is gone."""

    BY_US = "ended here"
    LEFT = "left"  # the peer said goodbye (DTLS close)
    LOST = "lost"  # consent to send ran out (RFC 7675), or the handshake failed
    NEVER_CAME = "never connected"
    SOURCE_ENDED = "the stream viewed has ended"


class Peer(ABC):
    """One connection, publishing or viewing. Close it when the HTTP resource is deleted."""

    on_closed: Callable[[Ended], None] | None = None
    """Called once in the event loop, after the last frame reached the sink."""

    def __init__(self, pc: RTCPeerConnection, answer_sdp: str) -> None:
        self.answer_sdp = answer_sdp
        self._pc = pc
        self._state = PeerState.CONNECTING
        self._transport: MediaTransport | None = None
        self._closing: asyncio.Task[None] | None = None
        self._dtls: RTCDtlsTransport = pc.getTransceivers()[0].receiver.transport  # bundled: the only one
        self._dtls.on("statechange", self._dtls_changed)
        self._dtls.transport.on("statechange", self._ice_changed)
        self._deadline = asyncio.get_running_loop().call_later(CONNECT_WITHIN_S, self._end, Ended.NEVER_CAME)

    @property
    def state(self) -> PeerState:
        return self._state

    async def close(self) -> None:
        """Says goodbye and releases the sockets; safe to call twice."""
        self._end(Ended.BY_US)
        if self._closing is not None:
            await asyncio.shield(self._closing)

    @abstractmethod
    def _connected(self) -> MediaTransport:
        """Takes the media over; called in the moment DTLS is connected."""

    @abstractmethod
    def _ended(self) -> None:
        """The last thing before `on_closed`; called once."""

    def _dtls_changed(self) -> None:
        state = self._dtls.state
        if state == "connected" and self._state is PeerState.CONNECTING:
            try:
                self._transport = self._connected()
            except OSError:  # no file descriptor left
                self._end(Ended.LOST)
                return
            self._state = PeerState.CONNECTED
            self._deadline.cancel()
        elif state == "failed":
            self._end(Ended.LOST)
        elif state == "closed":
            self._end(Ended.LOST if aiortc_internals.consent_ended(self._dtls) else Ended.LEFT)

    def _ice_changed(self) -> None:
        if self._dtls.transport.state in ("failed", "closed"):
            self._end(Ended.LOST)

    def _end(self, why: Ended) -> None:
        if self._state is PeerState.CLOSED:
            return
        self._deadline.cancel()
        if self._transport is not None:
            faults.survived(self._transport.drain, LAST_ROUND_S, MOST_WAITING)  # what the peer sent before it left
        self._state = PeerState.CLOSED
        if self._transport is not None:
            self._transport.close()
        self._closing = asyncio.ensure_future(_closed(self._pc))
        faults.survived(self._ended)
        if self.on_closed is not None:
            self.on_closed(why)


class Publication(Peer):
    """A stream being received."""

    def __init__(
        self,
        pc: RTCPeerConnection,
        answer_sdp: str,
        *,
        stream: StreamKind,
        sends: Mapping[TrackKind, Choice],
        sink: Sink,
        bits_per_second: int,
    ) -> None:
        super().__init__(pc, answer_sdp)
        self.stream = stream
        self.sends = sends
        self._bits_per_second = bits_per_second
        self._formats = incoming_formats(answer_sdp, stream, list(sends.values()))
        self._sink = sink
        self._reception: Reception | None = None
        self.source = Source(self.request_key_frame, self._preface)
        self._viewings: list[Viewing] = []

    @property
    def kinds(self) -> frozenset[TrackKind]:
        """What was negotiated."""
        return frozenset(track.kind for track in self._formats)

    @property
    def traffic(self) -> Traffic:
        return self._reception.traffic if self._reception is not None else Traffic()

    def request_key_frame(self) -> None:
        """Asks the publisher for a key frame (PLI, RFC 4585 §6.3.1), at most every 0.3 s."""
        if self._reception is not None:
            self._reception.request_key_frame()

    def release(self, kinds: frozenset[TrackKind]) -> None:
        """Hands to the sink at once whatever has arrived of these kinds, waiting for nothing that was lost. Bounded by
        number alone: what stayed behind here would pass for what was sent later."""
        if self._transport is not None:
            self._transport.drain(inf, MOST_WAITING)
        if self._reception is not None:
            self._reception.release(kinds)

    def attach(self, viewing: Viewing) -> None:
        """The tap costs nothing while nobody views."""
        self._viewings.append(viewing)
        if self._reception is not None and self.source not in self._reception.taps:
            self._reception.taps.append(self.source)

    def detach(self, viewing: Viewing) -> None:
        """Safe to call twice."""
        if viewing in self._viewings:
            self._viewings.remove(viewing)
        if not self._viewings and self._reception is not None and self.source in self._reception.taps:
            self._reception.taps.remove(self.source)
            self.source.forget()

    def _connected(self) -> MediaTransport:
        reception = Reception(
            self._formats,
            self._sink,
            ssrc=secrets.randbits(32),
            bits_per_second=self._bits_per_second,
            send=lambda packet: transport.send_rtcp(packet),
            now=time.monotonic,
            utc=time.time,
        )
        transport = MediaTransport(
            self._dtls,
            on_rtp=reception.on_rtp,
            on_rtcp=reception.on_rtcp,
            on_batch=reception.settle,
            on_tick=reception.tick,
        )
        self._reception = reception
        if self._viewings:
            reception.taps.append(self.source)
        return transport

    def _ended(self) -> None:
        if self._reception is not None:
            faults.survived(self._reception.release, self.kinds)
        for viewing in tuple(self._viewings):
            viewing.source_ended()

    def _preface(self, kind: TrackKind, payload: bytes) -> Sequence[bytes]:
        return () if self._reception is None else self._reception.preface(kind, payload)


class Viewing(Peer):
    """A stream being passed on to one viewer."""

    def __init__(
        self, pc: RTCPeerConnection, answer_sdp: str, *, chosen: Sequence[Choice], publication: Publication
    ) -> None:
        super().__init__(pc, answer_sdp)
        self._formats = outgoing_formats(answer_sdp, publication.stream, chosen)
        self._publication = publication
        self._forwarder: Forwarder | None = None
        publication.attach(self)

    @property
    def traffic(self) -> Traffic:
        """What came from the viewer."""
        return self._forwarder.traffic if self._forwarder is not None else Traffic()

    def source_ended(self) -> None:
        self._end(Ended.SOURCE_ENDED)

    def _connected(self) -> MediaTransport:
        source = self._publication.source
        forwarder = Forwarder(
            self._formats,
            source=source,
            send_rtp=lambda packet: transport.send_rtp(packet),
            send_rtcp=lambda packet: transport.send_rtcp(packet),
        )
        transport = MediaTransport(
            self._dtls,
            on_rtp=forwarder.media,
            on_rtcp=forwarder.feedback,
            on_batch=lambda: None,
            on_tick=forwarder.tick,
        )
        self._forwarder = forwarder
        source.forwarders.append(forwarder)
        source.request_key_frame()
        return transport

    def _ended(self) -> None:
        if self._forwarder is not None:
            self._publication.source.forwarders.remove(self._forwarder)
        self._publication.detach(self)


async def _closed(pc: RTCPeerConnection) -> None:
    """Nobody waits for a connection that does not close."""
    try:
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await pc.close()
    except Exception as error:
        log.warning("a connection did not close: %s", type(error).__name__)


async def publish(
    offer_sdp: str,
    *,
    kinds: frozenset[TrackKind],
    stream: StreamKind,
    offer_addresses: Sequence[str],
    sink: Sink,
    bits_per_second: int = MAX_BITS_PER_SECOND,
) -> Publication:
    """Answers a publisher's offer; raises PeerError. kinds: what the person agreed to; bits_per_second: the most they
    are told to send."""
    sections = read_offer(offer_sdp, sends=True)
    for section in sections:
        if kind_of(section.kind, stream) not in kinds:
            raise KindRefused
    chosen = choices(sections, [None] * len(sections))
    pc, answer = await answered(offer_sdp, sections, chosen, ["recvonly"] * len(sections), offer_addresses)
    said = said_again(sdp.with_sound_repair(answer, offer_sdp), chosen, [None] * len(chosen))
    sends = {kind_of(section.kind, stream): choice for section, choice in zip(sections, chosen, strict=True)}
    return Publication(pc, said, stream=stream, sends=sends, sink=sink, bits_per_second=bits_per_second)


async def view(offer_sdp: str, *, source: Publication, offer_addresses: Sequence[str]) -> Viewing:
    """Answers a viewer's offer for the stream of `source`; raises PeerError.

    A track the viewer asks for and the publisher does not send is answered as inactive.
    """
    sections = read_offer(offer_sdp, sends=False)
    sent = [source.sends.get(kind_of(section.kind, source.stream)) for section in sections]
    chosen = choices(sections, sent)
    directions = ["sendonly" if one is not None else "inactive" for one in sent]
    pc, answer = await answered(offer_sdp, sections, chosen, directions, offer_addresses)
    if source.state is PeerState.CLOSED:
        await pc.close()
        raise SourceEnded
    return Viewing(pc, said_again(answer, chosen, sent), chosen=chosen, publication=source)
