"""What an offer must be to be answered, what it was refused for, and what an answer agreed on (pure).

One connection carries one stream: at most one video (VP8) and one sound (Opus), on one transport.
"""

from __future__ import annotations

from app.room import sdp
from app.room.forward import OutgoingFormat
from recordings.capture.loudness import LEVEL_URI
from recordings.capture.rtp import TrackFormat
from recordings.model import STREAM_TRACKS, StreamKind, TrackKind

CODECS = {"video": "vp8", "audio": "opus"}


class PeerError(Exception):
    """The connection could not be made."""

    retry = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class BadOffer(PeerError):
    """The browser's offer could not be understood."""


class UnsupportedMedia(PeerError):
    """This connection offers no format we can record; please use a browser that sends VP8 video and Opus sound."""


class KindRefused(PeerError):
    """The connection offers something that was not agreed to."""


class StreamGone(PeerError):
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
    if not kinds or len(set(kinds)) != len(kinds) or not set(kinds) <= CODECS.keys():
        raise BadOffer("One connection carries one stream: at most one video and one sound track.")
    if not sdp.bundles_all(offer, sections):
        raise BadOffer("All tracks of a stream must share one transport (BUNDLE).")
    unwanted = {"recvonly", "inactive"} if sends else {"sendonly", "inactive"}
    for section in sections:
        if not section.fingerprint:
            raise BadOffer("The browser's offer is not protected (no DTLS fingerprint).")
        if section.direction in unwanted:
            raise BadOffer("The browser's offer goes the wrong way.")
        if CODECS[section.kind] not in section.codecs.values():
            raise UnsupportedMedia
    return sections


def kind_of(media: str, stream: StreamKind) -> TrackKind:
    video, sound = STREAM_TRACKS[stream]
    return video if media == "video" else sound


def incoming_formats(answer: str, stream: StreamKind) -> list[TrackFormat]:
    formats = []
    for section in sdp.read_sections(answer):
        repairs = {apt: rtx for rtx, apt in section.repairs.items()}
        for payload_type, name in section.codecs.items():
            if name == CODECS[section.kind]:
                kind = kind_of(section.kind, stream)
                formats.append(
                    TrackFormat(
                        kind=kind,
                        payload_type=payload_type,
                        rtx_payload_type=repairs.get(payload_type),
                        red_payload_type=next((red for red, name in section.codecs.items() if name == "red"), None),
                        level_extension=section.extensions.get(LEVEL_URI) if section.kind == "audio" else None,
                    )
                )
    return formats


def outgoing_formats(answer: str, stream: StreamKind, kinds: frozenset[TrackKind]) -> dict[TrackKind, OutgoingFormat]:
    formats = {}
    for section in sdp.read_sections(answer):
        kind = kind_of(section.kind, stream)
        if section.direction != "sendonly" or kind not in kinds:
            continue
        payload_type = next(number for number, name in section.codecs.items() if name == CODECS[section.kind])
        repairs = {apt: rtx for rtx, apt in section.repairs.items()}
        ssrc, rtx_ssrc = (*section.ssrcs, None)[:2]
        if ssrc is None:
            continue
        formats[kind] = OutgoingFormat(
            ssrc=ssrc, payload_type=payload_type, rtx_ssrc=rtx_ssrc, rtx_payload_type=repairs.get(payload_type)
        )
    return formats
