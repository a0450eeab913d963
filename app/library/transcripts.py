"""Transcripts: one sealed JSON object per voice, with its own key, and what people read of it.

    {"language", "model", "cues": [{"start_ms", "end_ms", "speaker", "text", "words": [...]}], "coverage", "gaps"}

Times are milliseconds on the recording's own timeline. The speaker is known from the track, so a
transcript holds no name; whoever shows it says who spoke.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from recordings.encryption.keystore import KeyExists, KeyStore
from recordings.encryption.sealed import SealBroken, object_context, seal, unseal
from recordings.erase import erase, stays_erased
from recordings.model import RecordingRef
from recordings.storage.layout import transcript_key, transcript_key_path
from recordings.storage.store import ObjectExists, ObjectStore


class TranscriptWord(msgspec.Struct, frozen=True, kw_only=True):
    start_ms: int
    end_ms: int
    text: str


class TranscriptCue(msgspec.Struct, frozen=True, kw_only=True):
    """speaker: "" in storage; filled in for reading."""

    start_ms: int
    end_ms: int
    text: str
    speaker: str = ""
    words: list[TranscriptWord] = []


class TranscriptGap(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was recorded here, so nothing could be heard."""

    from_ms: int
    to_ms: int
    why: str = ""


class TranscriptText(msgspec.Struct, frozen=True, kw_only=True):
    """coverage: seconds covered by words / seconds of speech found, None when no speech was found."""

    language: str
    model: str
    cues: list[TranscriptCue]
    coverage: float | None = None
    gaps: list[TranscriptGap] = []


def write_transcript(
    store: ObjectStore, keys: KeyStore, ref: RecordingRef, transcript: UUID, text: TranscriptText
) -> str:
    """Seal and store; returns the object's key. A finished object of an earlier, interrupted run is kept.
    Blocks. Raises KeyDestroyed once erased, StoreError."""
    path = transcript_key_path(ref, transcript)
    try:
        key = keys.create(path)
    except KeyExists:
        key = keys.unwrap(path)
    name = transcript_key(ref, transcript)
    try:
        store.put(name, seal(key, msgspec.json.encode(text), object_context(ref.account, name)))
    except ObjectExists:  # objects are never overwritten, and both runs heard the same voice
        pass
    stays_erased(store, keys, path, name)
    return name


def read_transcript(
    store: ObjectStore, keys: KeyStore, ref: RecordingRef, transcript: UUID, object_key: str
) -> TranscriptText:
    """Blocks. Raises KeyDestroyed, SealBroken when it was changed or moved, StoreError."""
    key = keys.unwrap(transcript_key_path(ref, transcript))
    opened = unseal(key, store.get(object_key), object_context(ref.account, object_key))
    try:
        return msgspec.json.decode(opened, type=TranscriptText)
    except msgspec.DecodeError as error:
        raise SealBroken from error


def erase_unpublished(store: ObjectStore, keys: KeyStore, ref: RecordingRef, transcript: UUID) -> None:
    """Consent or recording went while the model was listening: nothing of it may stay. Blocks."""
    erase(store, keys, transcript_key_path(ref, transcript), [transcript_key(ref, transcript)])


def to_vtt(cues: Iterable[TranscriptCue]) -> str:
    """WebVTT (W3C Candidate Recommendation 4 April 2019), speakers as voice spans (§5.2 there)."""
    blocks = ["WEBVTT"]
    for cue in cues:
        voice = f"<v {_vtt_text(cue.speaker)}>" if cue.speaker else ""
        span = f"{_stamp(cue.start_ms, '.')} --> {_stamp(max(cue.end_ms, cue.start_ms + 1), '.')}"
        blocks.append(f"{span}\n{voice}{_vtt_text(cue.text)}")
    return "\n\n".join(blocks) + "\n"


def to_srt(cues: Iterable[TranscriptCue]) -> str:
    """SubRip, as players read it."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        said = f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text
        span = f"{_stamp(cue.start_ms, ',')} --> {_stamp(cue.end_ms, ',')}"
        blocks.append(f"{number}\n{span}\n{_one_line(said)}\n")
    return "\n".join(blocks)


def to_txt(cues: Sequence[TranscriptCue]) -> str:
    """For reading: a paragraph per turn, with the time and name it begins with."""
    lines: list[str] = []
    speaker = None
    for cue in cues:
        if cue.speaker != speaker or not lines:
            speaker = cue.speaker
            said_by = f" {cue.speaker}" if cue.speaker else ""
            lines.append(f"[{_stamp(cue.start_ms, '.')[:8]}]{said_by}\n{_one_line(cue.text)}")
        else:
            lines[-1] += " " + _one_line(cue.text)
    return "\n\n".join(lines) + "\n"


def _stamp(milliseconds: int, point: str) -> str:
    """hh:mm:ss.mmm"""
    seconds, rest = divmod(max(0, milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{rest:03d}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _vtt_text(text: str) -> str:
    return _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
