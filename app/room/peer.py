"""Peers of the room: one publishes a stream into it, another views one (aiortc's public API lives here).

publish: offer (WHIP, RFC 9725) -> answer; frames, sender reports and holes flow into `sink`.
view: offer (WHEP) -> answer; the publisher's RTP is passed on, rewritten and never decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from recordings.model import Frame, Hole, SenderReport, StreamKind, TrackKind


class Sink(Protocol):
    """Where a published stream goes; called in the event loop, must neither raise nor block."""

    def frame(self, frame: Frame) -> None: ...

    def sender_report(self, report: SenderReport) -> None: ...

    def hole(self, hole: Hole) -> None: ...


class PeerError(Exception):
    """The connection could not be made."""

    retry = False


class BadOffer(PeerError):
    """The browser's offer could not be understood."""


class UnsupportedMedia(PeerError):
    """This connection offers no format we can record; please use a browser that sends VP8 video and Opus sound."""


class KindRefused(PeerError):
    """The connection offers something that was not agreed to."""


class NoMediaAddress(PeerError):
    """The media server has no address to receive on at the moment; please try again."""

    retry = True


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


class Peer:
    """One connection, publishing or viewing. Close it when the HTTP resource is deleted."""

    answer_sdp: str
    on_closed: Callable[[Ended], None] | None
    """Called once in the event loop, after the last frame reached the sink."""

    @property
    def state(self) -> PeerState:
        raise NotImplementedError

    async def close(self) -> None:
        """Says goodbye and releases the sockets; safe to call twice."""
        raise NotImplementedError


class Publication(Peer):
    """A stream being received."""

    def request_key_frame(self) -> None:
        """Asks the publisher for a key frame (PLI, RFC 4585 §6.3.1), at most every 0.3 s."""
        raise NotImplementedError


class Viewing(Peer):
    """A stream being passed on to one viewer."""


async def publish(
    offer_sdp: str, *, kinds: frozenset[TrackKind], stream: StreamKind, offer_addresses: Sequence[str], sink: Sink
) -> Publication:
    """Answers a publisher's offer; raises PeerError."""
    raise NotImplementedError


async def view(offer_sdp: str, *, source: Publication, offer_addresses: Sequence[str]) -> Viewing:
    """Answers a viewer's offer for the stream of `source`; raises PeerError."""
    raise NotImplementedError
