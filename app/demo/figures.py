"""What the demo proved, every figure read from outside: what was sent, what the review page serves, what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256

from app.demo.clips import SCREEN_CLIP_OFFSET
from app.demo.inspection import Inspection

LEAST_SECONDS = 35.0
MOST_OFFSET_MS = 10.0
MOST_WORD_ERRORS = 0.08


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What one person's two streams published, counted by the publisher."""

    camera_frames: int
    screen_frames: int
    audio_packets: int


@dataclass(frozen=True, kw_only=True)
class Served:
    """One recording as the review page's address served it."""

    link: str
    bytes: int
    sha256: str
    seen: Inspection

    @property
    def clip(self) -> int:
        """Which clip its pictures show; 0 when none can be read."""
        numbers = [n.clip for n in self.seen.numbers if n]
        return max(set(numbers), key=numbers.count) if numbers else 0

    @property
    def person(self) -> int:
        return self.clip - SCREEN_CLIP_OFFSET if self.clip > SCREEN_CLIP_OFFSET else self.clip


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The demo's summary; `junier demo --json` prints it as its last line."""

    recorded_seconds: float
    frames_sent: int
    frames_kept: int
    audio_packets_sent: int
    audio_packets_kept: int
    av_offset_ms: float | None
    word_error_rate: float
    words_recognised: int
    playable_after_s: float
    transcript_after_s: float
    certificate: str
    certificate_verified: bool
    erased_objects: int
    erased_unreachable: bool
    left_in_store: int
    keys_left: int
    other_participant_identical: bool

    def failures(self) -> list[str]:
        """What did not prove itself, in plain words; empty when everything did."""
        checks = {
            f"less than {LEAST_SECONDS:.0f} s were recorded": self.recorded_seconds >= LEAST_SECONDS,
            "frames are missing": self.frames_kept == self.frames_sent > 0,
            "audio packets are missing": self.audio_packets_kept == self.audio_packets_sent > 0,
            "picture and sound are apart": self.av_offset_ms is not None and abs(self.av_offset_ms) <= MOST_OFFSET_MS,
            "too many words are wrong": self.word_error_rate <= MOST_WORD_ERRORS,
            "the certificate is not complete": self.certificate == "complete",
            "the certificate does not verify": self.certificate_verified,
            "nothing was erased": self.erased_objects > 0,
            "an erased recording still answers": self.erased_unreachable,
            "the store still holds objects of the erased person": self.left_in_store == 0,
            "a key of the erased person is left": self.keys_left == 0,
            "the other participant's recordings changed": self.other_participant_identical,
        }
        return [text for text, fine in checks.items() if not fine]

    def as_json(self) -> dict[str, object]:
        return {name: round(v, 3) if isinstance(v, float) else v for name, v in asdict(self).items()}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def kept_frames(served: list[Served], sent: Mapping[int, Sent]) -> int:
    """Frames that were sent and are found, by their numbers, in what was served."""
    kept = 0
    for one in served:
        person = sent[one.person]
        frames = person.screen_frames if one.clip > SCREEN_CLIP_OFFSET else person.camera_frames
        kept += frames - len(one.seen.missing(one.clip, frames)) - one.seen.foreign(one.clip)
    return kept


def offset_ms(served: list[Served]) -> float | None:
    """Flash to beep of the camera where they are furthest apart; None when one of them shows no pair."""
    offsets = [one.seen.av_offset_ms for one in served if one.clip <= SCREEN_CLIP_OFFSET]
    known = [o for o in offsets if o is not None]
    return max(known, key=abs) if known and len(known) == len(offsets) else None


def word_error_rate(said: str, heard: str) -> float:
    """Word error rate after Whisper's English normalisation."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normal = EnglishTextNormalizer()
    return float(jiwer.wer(normal(said), normal(heard)))
