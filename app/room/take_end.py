"""What is left to do of a take that is over: said by the rooms of a media process, done by its ledger."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from recordings.model import TrackRef
from recordings.storage.layout import track_prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeEnd:
    """A take that is over; finished once nothing of it waits in the spool. resource: of its publication."""

    account: UUID
    recording: UUID
    number: int
    resource: str
    tracks: tuple[TrackRef, ...]
    interrupted: bool

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Begin the keys of all pieces of this take."""
        return tuple(f"{track_prefix(t)}{folder}/{self.number:05d}" for t in self.tracks for folder in ("s", "j"))
