"""Offers and answers as text (RFC 8866, RFC 8829): what is read from them and what is changed in them (pure).

Lines are split exactly as aiortc splits them (str.splitlines), so nothing can hide from the filter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from recordings.model import STREAM_TRACKS, StreamKind, TrackKind

MAX_OFFER_BYTES = 65_536
MAX_CANDIDATES = 200
DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_OF_CANDIDATES = frozenset({"candidate", "end-of-candidates", "remote-candidates"})
_MEDIA = re.compile(r"m=(audio|video) (\d+) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One m= section. codecs: payload type -> encoding name in lower case; parameters: payload type ->
    names in lower case and values of its fmtp; repairs: RTX payload type -> the one it repairs (RFC 4588 apt);
    extensions: URI -> id of a header extension (RFC 8285 §5).

    ssrcs: in the order they stand; the second of a FID group sends the repairs of the first (RFC 5576 §4.2).
    """

    kind: str
    mid: str | None
    direction: str | None
    codecs: dict[int, str]
    parameters: dict[int, dict[str, str]]
    repairs: dict[int, int]
    ssrcs: tuple[int, ...]
    fingerprint: bool
    extensions: dict[str, int]


def attribute(line: str) -> tuple[str, str]:
    """`a=name:value` -> (name, value); ("", "") for other lines."""
    if not line.startswith("a="):
        return "", ""
    name, _, value = line[2:].partition(":")
    return name, value


def split(sdp: str) -> tuple[list[str], list[list[str]]]:
    """Session lines and the lines of each section."""
    session: list[str] = []
    sections: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([line])
        elif line:
            (sections[-1] if sections else session).append(line)
    return session, sections


def join(session: list[str], sections: list[list[str]]) -> str:
    return "".join(f"{line}\r\n" for line in [*session, *(line for lines in sections for line in lines)])


def read_sections(sdp: str) -> list[Section]:
    """Raises ValueError or IndexError on numbers that are none, or no payload types."""
    session, sections = split(sdp)
    signed = any(attribute(line)[0] == "fingerprint" for line in session)
    return [_read_section(lines, signed) for lines in sections]


def _read_section(lines: list[str], signed: bool) -> Section:
    mid = direction = None
    codecs: dict[int, str] = {}
    parameters: dict[int, dict[str, str]] = {}
    ssrcs: dict[int, None] = {}
    extensions: dict[str, int] = {}
    for line in lines[1:]:
        name, value = attribute(line)
        if name == "mid":
            mid = value
        elif name in DIRECTIONS:
            direction = name
        elif name == "rtpmap":
            payload_type, encoding = value.split(" ", 1)
            codecs[_payload_type(payload_type)] = encoding.split("/")[0].lower()
        elif name == "fmtp":
            payload_type, words = value.split(" ", 1)
            parameters[_payload_type(payload_type)] = _parameters(words)
        elif name == "ssrc":
            ssrcs[int(value.split(" ", 1)[0])] = None
        elif name == "extmap":
            number, uri, *_ = value.split(" ")
            extensions[uri] = int(number.split("/")[0])
        elif name == "fingerprint":
            signed = True
    return Section(
        kind=lines[0][2:].split(" ", 1)[0],
        mid=mid,
        direction=direction,
        codecs=codecs,
        parameters=parameters,
        repairs={number: _payload_type(words["apt"]) for number, words in parameters.items() if "apt" in words},
        ssrcs=tuple(ssrcs),
        fingerprint=signed,
        extensions=extensions,
    )


def _payload_type(word: str) -> int:
    """Seven bits (RFC 3550 §5.1)."""
    number = int(word)
    if not 0 <= number <= 127:
        raise ValueError("no payload type")
    return number


def _parameters(words: str) -> dict[str, str]:
    """`a=1;b=2` as most codecs write it (RFC 8866 §6.15)."""
    pairs = (word.strip().partition("=") for word in words.split(";"))
    return {name.lower(): value for name, sign, value in pairs if sign}


def offered_kinds(sdp: str, stream: StreamKind) -> frozenset[TrackKind]:
    """What an offer wants to send, by its media lines (RFC 8866 §5.14). Port 0 is a line switched off, unless it only
    says that it shares the port of another (bundle-only, RFC 9143 §6), as Firefox does."""
    video, sound = STREAM_TRACKS[stream]
    kinds = set()
    for lines in split(sdp)[1]:
        found = _MEDIA.match(lines[0])
        if found and (found[2] != "0" or "a=bundle-only" in lines):
            kinds.add(video if found[1] == "video" else sound)
    return frozenset(kinds)


def candidates(sdp: str) -> int:
    return sum(attribute(line)[0] == "candidate" for line in sdp.splitlines())


def bundles_all(sdp: str, sections: Sequence[Section]) -> bool:
    """True if every section goes over one transport (RFC 9143, max-bundle as RFC 9725 §4.4.1 asks)."""
    bundled = {mid for line in split(sdp)[0] if line.startswith("a=group:BUNDLE ") for mid in line.split()[1:]}
    return all(section.mid is not None and section.mid in bundled for section in sections)


def placeholders(offer_addresses: Sequence[str]) -> list[str]:
    """One candidate for each address family we listen on. It makes aiortc start ICE and is never answered: port 9 of
    loopback. The peer's own address is learned from its connectivity check (peer-reflexive, RFC 8445 §7.3.1.3)."""
    families = sorted({ip_address(address).version for address in offer_addresses})
    return [
        f"a=candidate:{version} 1 udp 1 {'127.0.0.1' if version == 4 else '::1'} 9 typ host" for version in families
    ]


def prepare_offer(sdp: str, offer_addresses: Sequence[str]) -> str:
    """The offer aiortc gets to see.

    Its candidates are taken out: with them a participant could make the server send to any address.
    A peer that leaves the DTLS role to us becomes the client, because GStreamer's RSA certificate cannot serve
    aiortc's client ciphers.
    """
    session, sections = split(sdp)
    session = [_client_role(line) for line in session if attribute(line)[0] not in _OF_CANDIDATES]
    prepared = []
    for lines in sections:
        kept = [_client_role(line) for line in lines if attribute(line)[0] not in _OF_CANDIDATES]
        if not any(attribute(line)[0] in DIRECTIONS for line in kept):
            kept.append("a=sendrecv")  # RFC 8866 §6.7: the default
        prepared.append([*kept, *placeholders(offer_addresses), "a=end-of-candidates"])
    return join(session, prepared)


def with_addresses(sdp: str, announced: Mapping[str, str]) -> str:
    """Candidates (RFC 8839 §5.1) and connection lines (RFC 8866 §5.7) with other addresses in them."""
    if not announced:
        return sdp
    return "".join(f"{_readdressed(line, announced)}\r\n" for line in sdp.splitlines())


def _readdressed(line: str, announced: Mapping[str, str]) -> str:
    """The fifth word of a candidate, the third of c=."""
    words = line.split(" ")
    place = 4 if line.startswith("a=candidate:") else 2 if line.startswith("c=") else len(words)
    if place < len(words):
        words[place] = announced.get(words[place], words[place])
    return " ".join(words)


def _client_role(line: str) -> str:
    return "a=setup:active" if line.rstrip() == "a=setup:actpass" else line


def with_sound_repair(answer: str, offer: str) -> str:
    """What aiortc does not answer for Opus: NACK (RFC 4585 §4.2; who does not know it ignores it), and redundancy
    (RED, RFC 2198) first where the sender offers it."""
    session, sections = split(answer)
    for lines in sections:
        place = next((i for i, line in enumerate(lines) if _is_opus(line)), None)
        if place is None:
            continue
        opus = attribute(lines[place])[1].split(" ", 1)[0]
        red = offered_red(offer, opus)
        added = [f"a=rtcp-fb:{opus} nack"]
        if red is not None:
            media, port, protocol, *formats = lines[0].split(" ")
            lines[0] = " ".join([media, port, protocol, red, *formats])
            added += [f"a=rtpmap:{red} red/48000/2", f"a=fmtp:{red} {opus}/{opus}", f"a=rtcp-fb:{red} nack"]
        lines[place + 1 : place + 1] = added
    return join(session, sections)


def with_reduced_rtcp(answer: str, offer: str) -> str:
    """Says yes, where it is offered, to RTCP of reduced size (RFC 5506 §5): our NACK and PLI come without a report in
    front, and who views may do the same."""
    session, sections = split(answer)
    for lines, offered in zip(sections, split(offer)[1], strict=False):
        if "a=rtcp-rsize" in offered and "a=rtcp-mux" in lines:
            lines.insert(lines.index("a=rtcp-mux") + 1, "a=rtcp-rsize")
    return join(session, sections)


def _is_opus(line: str) -> bool:
    name, value = attribute(line)
    return name == "rtpmap" and " opus/" in value.lower()


def offered_red(offer: str, opus: str) -> str | None:
    """The payload type of RED that carries nothing but this Opus, if the offer has one."""
    lines = [attribute(line) for line in offer.splitlines()]
    reds = {value.split(" ", 1)[0] for name, value in lines if name == "rtpmap" and " red/48000/2" in value.lower()}
    for name, value in lines:
        payload_type, _, carried = value.partition(" ")
        if name == "fmtp" and payload_type in reds and set(carried.strip().split("/")) == {opus}:
            return payload_type
    return None
