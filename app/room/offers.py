"""What an offer must be to be answered, what it was refused for, and what an answer agreed on (pure).

One connection carries one stream: at most one video and one sound, on one transport.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.room import sdp
from app.room.forward import OutgoingFormat
from app.room.negotiation import PREFERRED, Choice, choose
from recordings.capture.incoming_track import TrackFormat
from recordings.capture.loudness import LEVEL_URI
from recordings.model import STREAM_TRACKS, StreamKind, TrackKind


class PeerError(Exception):
    """The connection could not be made."""

    retry = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class BadOffer(PeerError):
    """The browser's offer could not be understood."""


class UnsupportedMedia(PeerError):
    """This connection offers no format we can record; please use one that sends VP8 or H.264 video and Opus sound."""


class UnsupportedView(UnsupportedMedia):
    """This picture is sent as H.264, which this browser does not take; it is recorded all the same. Please use another
    browser to watch it live."""


class KindRefused(PeerError):
    """The connection offers something that was not agreed to."""


class SourceEnded(PeerError):
    """The stream has ended; please look again."""

    retry = True


class NoMediaAddress(PeerError):
    """The media server has no address to receive on at the moment; please try again."""

    retry = True


def read_offer(offer: str, *, sends: bool) -> list[sdp.Section]:
    """What the offer asks for, if it is something we answer: at most one video and one audio, on one transport."""
    if len(offer) > sdp.MAX_OFFER_BYTES or sdp.candidates(offer) > sdp.MAX_CANDIDATES:
        raise BadOffer("The browser's offer is too long.")
    if not offer.startswith("v=0") or "\0" in offer:  # RFC 8866 §5.1, §9: what follows is no SDP
        raise BadOffer
    try:
        sections = sdp.read_sections(offer)
    except (ValueError, IndexError) as broken:
        raise BadOffer from broken
    kinds = [section.kind for section in sections]
    if not kinds or len(set(kinds)) != len(kinds) or not set(kinds) <= PREFERRED.keys():
        raise BadOffer("One connection carries one stream: at most one video and one sound track.")
    if not sdp.bundles_all(offer, sections):
        raise BadOffer("All tracks of a stream must share one transport (BUNDLE).")
    unwanted = {"recvonly", "inactive"} if sends else {"sendonly", "inactive"}
    for section in sections:
        if not section.fingerprint:
            raise BadOffer("The browser's offer is not protected (no DTLS fingerprint).")
        if section.direction in unwanted:
            raise BadOffer("The browser's offer goes the wrong way.")
    return sections


def choices(sections: Sequence[sdp.Section], sent: Sequence[Choice | None]) -> list[Choice]:
    """One for each section. sent: what a viewer will get there, None where any will do. Raises UnsupportedMedia."""
    found = []
    for section, like in zip(sections, sent, strict=True):
        choice = choose(section, like)
        if choice is None:
            raise UnsupportedMedia if like is None else UnsupportedView
        found.append(choice)
    return found


def kind_of(media: str, stream: StreamKind) -> TrackKind:
    video, sound = STREAM_TRACKS[stream]
    return video if media == "video" else sound


def incoming_formats(answer: str, stream: StreamKind, chosen: Sequence[Choice]) -> list[TrackFormat]:
    """What a publisher will send. chosen: one for each section."""
    formats = []
    for section, choice in zip(sdp.read_sections(answer), chosen, strict=True):
        repairs = {apt: rtx for rtx, apt in section.repairs.items()}
        for payload_type, name in section.codecs.items():
            if name == choice.codec:
                formats.append(
                    TrackFormat(
                        kind=kind_of(section.kind, stream),
                        codec=choice.codec,
                        payload_type=payload_type,
                        rtx_payload_type=repairs.get(payload_type),
                        red_payload_type=next((red for red, name in section.codecs.items() if name == "red"), None),
                        level_extension=section.extensions.get(LEVEL_URI) if section.kind == "audio" else None,
                        sets=choice.sets,
                    )
                )
    return formats


def outgoing_formats(answer: str, stream: StreamKind, chosen: Sequence[Choice]) -> dict[TrackKind, OutgoingFormat]:
    """What a viewer will get. chosen: one for each section."""
    formats = {}
    for section, choice in zip(sdp.read_sections(answer), chosen, strict=True):
        if section.direction != "sendonly":
            continue
        payload_type = next(number for number, name in section.codecs.items() if name == choice.codec)
        repairs = {apt: rtx for rtx, apt in section.repairs.items()}
        ssrc, rtx_ssrc = (*section.ssrcs, None)[:2]
        if ssrc is None:
            continue
        formats[kind_of(section.kind, stream)] = OutgoingFormat(
            codec=choice.codec,
            ssrc=ssrc,
            payload_type=payload_type,
            rtx_ssrc=rtx_ssrc,
            rtx_payload_type=repairs.get(payload_type),
        )
    return formats
