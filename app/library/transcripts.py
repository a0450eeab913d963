"""Transcripts: one sealed JSON object per voice, with its own key.

    {"language", "model", "cues": [{"start_ms", "end_ms", "speaker", "text", "words": [...]}], "coverage", "gaps"}

Times are milliseconds on the recording's own timeline. The speaker is known from the track, so a
transcript holds no name; whoever shows it says who spoke (lines.py, written.py). WebVTT is how it is read, not
how it is kept: cue timestamps have no end (W3C WebVTT §3.3) and coverage has no place there.
"""

from __future__ import annotations

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


NO_WORDS = "no words"


class TranscriptGap(msgspec.Struct, frozen=True, kw_only=True):
    """NO_WORDS: there was a voice, and no words were made out. Where nothing was recorded stands with the
    recording, whose index may be renewed."""

    from_ms: int
    to_ms: int
    why: str = NO_WORDS


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


def drop_unpublished(store: ObjectStore, ref: RecordingRef, transcript: UUID) -> None:
    """What was heard may not be used for now: its words go, its key stays for another run. Blocks.
    Raises StoreError."""
    store.delete(list(store.remains(transcript_key(ref, transcript))))


def erase_unpublished(store: ObjectStore, keys: KeyStore, ref: RecordingRef, transcript: UUID) -> None:
    """Consent or recording went while the model was listening: nothing of it may stay. Blocks."""
    erase(store, keys, transcript_key_path(ref, transcript), [transcript_key(ref, transcript)])
