"""What of the sent packets a recording holds: each byte for byte and in its order.

The order is that of the clip, but for what senders did when they were asked for a key frame: they went back to the last
one. So often, and not more often, may a recording go back too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import av

from app.demo.clips import Clip, ClipKind
from bench.plane.exchange import Sent
from recordings.capture.assembly import MediaPacket
from recordings.capture.rtp import read_header
from recordings.capture.vp8 import Vp8Assembly

LOOK_AHEAD = 300
"""Packets of a clip that may be missing in one place; its frames repeat, so a search must not go on for ever."""


def in_file(file: str | io.BytesIO, clips: tuple[Clip, Clip]) -> Sent:
    """Of a WebM."""
    found: dict[str, list[bytes]] = {"video": [], "audio": []}
    with av.open(file, "r") as opened:
        for packet in opened.demux():
            if packet.size:
                found[packet.stream.type].append(bytes(packet))
    return _kept(found["video"], found["audio"], clips)


def in_folder(folder: Path, clips: tuple[Clip, Clip]) -> list[Sent]:
    """Of all WebM files of a folder."""
    return [in_file(str(file), clips) for file in sorted(folder.glob("*.webm"))]


def in_janus_folder(folder: Path, clips: tuple[Clip, Clip]) -> list[Sent]:
    """Of all .mjr files of a folder, which hold a track each."""
    pictures = [list(_frames(file)) for file in sorted(folder.glob("*-video-*.mjr"))]
    sounds = [[packet.payload for packet in mjr_packets(file)] for file in sorted(folder.glob("*-audio-*.mjr"))]
    return [_kept(video, audio, clips) for video, audio in zip(pictures, sounds, strict=True)]


def matching(found: Sequence[bytes], clip: Clip) -> tuple[int, int]:
    """How many of the clip's packets were found, in order, and how often that went back to the last key frame; whatever
    else was found counts against."""
    matched = rewinds = at = key = 0
    data = [packet.data for packet in clip.packets]
    for one in found:
        if one in data[at : at + 1]:
            place = at
        elif clip.kind is ClipKind.VIDEO and at and one == data[key]:
            place = key
            rewinds += 1
        elif one in data[at : at + LOOK_AHEAD]:
            place = data.index(one, at)
        else:
            matched -= 1
            continue
        matched += 1
        at = place + 1
        if clip.kind is ClipKind.VIDEO:
            key = max(number for number in range(key, at) if clip.packets[number].is_key)
    return matched, rewinds


def missing(sent: Sent, kept: Sent) -> int:
    """Frames and packets that were not kept; going back without the senders counts as well."""
    too_often = max(0, kept.rewinds - sent.rewinds)
    return sent.frames - kept.frames + sent.audio_packets - kept.audio_packets + too_often


def total(counts: Sequence[Sent]) -> Sent:
    return Sent(
        frames=sum(one.frames for one in counts),
        audio_packets=sum(one.audio_packets for one in counts),
        rewinds=sum(one.rewinds for one in counts),
    )


def mjr_packets(file: Path) -> Iterator[MediaPacket]:
    """The packets of a .mjr file in order of writing: 8 bytes of magic, a JSON with its length in front, then again
    and again "MEET", milliseconds, a length and an RTP packet."""
    data = file.read_bytes()
    at = 10 + int.from_bytes(data[8:10], "big")
    while at + 10 <= len(data):
        end = at + 10 + int.from_bytes(data[at + 8 : at + 10], "big")
        header = read_header(data[at + 10 : end])
        if header is not None:
            yield MediaPacket(header.sequence, header.timestamp, header.marker, header.payload)
        at = end


def _frames(file: Path) -> Iterator[bytes]:
    assembly = Vp8Assembly()
    for packet in mjr_packets(file):
        frame = assembly.add(packet)
        if frame is not None:
            yield frame.data


def _kept(video: Sequence[bytes], audio: Sequence[bytes], clips: tuple[Clip, Clip]) -> Sent:
    by_kind = {clip.kind: clip for clip in clips}
    frames, rewinds = matching(video, by_kind[ClipKind.VIDEO])
    packets, _ = matching(audio, by_kind[ClipKind.AUDIO])
    return Sent(frames=frames, audio_packets=packets, rewinds=rewinds)
