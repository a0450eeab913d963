"""Which offered codec a stream uses, and how offer and answer say so (RFC 8829 §5.3.1, RFC 6184 §8.2.2) (pure).

VP8 where it is offered, else H.264. aiortc knows two profiles and one packetisation mode of H.264, which does not
matter to who never decodes: it is shown the chosen payload type alone, in words it knows, and the answer repeats what
was offered.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.room import sdp
from recordings.model import Codec

PREFERRED: dict[str, tuple[Codec, ...]] = {"video": (Codec.VP8, Codec.H264), "audio": (Codec.OPUS,)}
_MODES = ("1", "0")  # packetization-mode (RFC 6184 §6.2); 2 interleaves, and nobody offers it
_KNOWN_TO_AIORTC = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
_REPEATED = ("level-asymmetry-allowed", "packetization-mode", "profile-level-id")
_MOST_SETS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One payload type of one section. parameters: of its fmtp line, names in lower case."""

    codec: Codec
    payload_type: int
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        return self.parameters.get("packetization-mode", "0")

    @property
    def profile(self) -> str:
        """The profile of `profile-level-id`; absent it is Baseline (RFC 6184 §8.1)."""
        return self.parameters.get("profile-level-id", "42")[:2].lower()

    @property
    def sets(self) -> tuple[bytes, ...]:
        """The NAL units of `sprop-parameter-sets` (RFC 6184 §8.1); what is no base64 is left out."""
        units = []
        for text in self.parameters.get("sprop-parameter-sets", "").split(",")[:_MOST_SETS]:
            try:
                units.append(base64.b64decode(text.strip(), validate=True))
            except (binascii.Error, ValueError):
                continue
        return tuple(unit for unit in units if unit)


def choose(section: sdp.Section, like: Choice | None = None) -> Choice | None:
    """What a section is answered with; None if it offers nothing that can be recorded, or nothing that could carry
    packets made for `like`."""
    wanted = PREFERRED.get(section.kind, ()) if like is None else (like.codec,)
    for codec in wanted:
        found = [
            Choice(codec=codec, payload_type=number, parameters=section.parameters.get(number, {}))
            for number, name in section.codecs.items()
            if name == codec
        ]
        if codec is Codec.H264:
            modes = _MODES if like is None or like.mode == "0" else _MODES[:1]
            found = [one for mode in modes for one in found if one.mode == mode]
            if like is not None:
                found.sort(key=lambda one: one.profile != like.profile)
        if found:
            return found[0]
    return None


def shown_to_aiortc(offer: str, choices: Sequence[Choice]) -> str:
    """The offer with nothing but the chosen payload type, and its repairs, in each section of H.264."""
    session, sections = sdp.split(offer)
    return sdp.join(session, [_narrowed(lines, choice) for lines, choice in zip(sections, choices, strict=True)])


def said_again(answer: str, choices: Sequence[Choice], sent: Sequence[Choice | None]) -> str:
    """aiortc's answer with the offered parameters of H.264. sent: what a viewer will get, by section."""
    session, sections = sdp.split(answer)
    said = [_said(lines, choice, of) for lines, choice, of in zip(sections, choices, sent, strict=True)]
    return sdp.join(session, said)


def _narrowed(lines: list[str], choice: Choice) -> list[str]:
    if choice.codec is not Codec.H264:
        return lines
    chosen = str(choice.payload_type)
    kept = {chosen}
    for line in lines:
        name, value = sdp.attribute(line)
        payload_type, _, parameters = value.partition(" ")
        if name == "fmtp" and parameters.replace(" ", "").split(";")[0] == f"apt={chosen}":
            kept.add(payload_type)
    media, port, protocol, *formats = lines[0].split()
    narrowed = [" ".join([media, port, protocol, *(one for one in formats if one in kept)])]
    for line in lines[1:]:
        name, value = sdp.attribute(line)
        payload_type = value.partition(" ")[0]
        if name in ("rtpmap", "fmtp", "rtcp-fb") and payload_type not in kept | {"*"}:
            continue
        if name == "fmtp" and payload_type == chosen:
            continue
        narrowed.append(line)
        if name == "rtpmap" and payload_type == chosen:
            narrowed.append(f"a=fmtp:{chosen} {_KNOWN_TO_AIORTC}")
    return narrowed


def _said(lines: list[str], choice: Choice, sent: Choice | None) -> list[str]:
    if choice.codec is not Codec.H264:
        return lines
    words = [f"{name}={choice.parameters[name]}" for name in _REPEATED if name in choice.parameters]
    if sent is not None and "sprop-parameter-sets" in sent.parameters:
        sets = ",".join(base64.b64encode(unit).decode() for unit in sent.sets)
        words.append(f"sprop-parameter-sets={sets}")
    said = []
    for line in lines:
        if not line.startswith(f"a=fmtp:{choice.payload_type} "):
            said.append(line)
        elif words:
            said.append(f"a=fmtp:{choice.payload_type} {';'.join(words)}")
    return said
