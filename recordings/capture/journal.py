"""The journal: what one track did during one take, small enough to be read whole.

Sealed records, framed one after another (encryption/sealed.py), each bound to its number; the
content is a MessagePack array whose first item says the kind. Finalising reads journals only, so it
costs the same for a minute and for three hours of media. A journal without `End` is of a take that
was cut short: the process or its machine died.
"""

from __future__ import annotations

import msgspec

from recordings.capture.spool import Spool
from recordings.encryption.sealed import frame_message, frame_messages, journal_context, seal, unseal
from recordings.model import Codec, TrackRef
from recordings.storage.layout import journal_key


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """Written in field order, without names."""


class ChunkSealed(_Record, tag="c", frozen=True, array_like=True):
    """A chunk was appended to a segment; see `model.ChunkEntry`."""

    index: int
    segment: int
    offset: int
    sealed_bytes: int
    block_bytes: int
    first_ticks: int
    last_ticks: int
    frames: int
    starts_with_key: bool


class Report(_Record, tag="r", frozen=True, array_like=True):
    """A sender report; see `model.SenderReport`."""

    ntp: float
    ticks: int
    arrived_at: float


class Arrival(_Record, tag="a", frozen=True, array_like=True):
    """When a frame came, on the server's clock: the timeline of a sender without reports."""

    ticks: int
    at: float


class Lost(_Record, tag="h", frozen=True, array_like=True):
    """Frames that never came; see `model.Hole`."""

    from_ticks: int
    to_ticks: int
    places: int = 1
    kept_ticks: int = 0


class Permission(_Record, tag="p", frozen=True, array_like=True):
    """Capture was switched on or off, when, and why: consent, pause, admission, room on the disk."""

    on: bool
    at: float
    why: str


class Size(_Record, tag="s", frozen=True, array_like=True):
    """The picture has this size from here on."""

    width: int
    height: int


class Coded(_Record, tag="k", frozen=True, array_like=True):
    """How the frames of this take are encoded, if that needs saying; see `model.Setup`."""

    codec: Codec
    private: bytes


class End(_Record, tag="e", frozen=True, array_like=True):
    """The take is over; clean when the sender said so."""

    clean: bool
    at: float


Record = ChunkSealed | Report | Arrival | Lost | Permission | Size | Coded | End
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class JournalWriter:
    """Appends the records of one track and take to the spool."""

    def __init__(self, spool: Spool, track: TrackRef, take: int, key: bytes) -> None:
        self._spool, self._track, self._take, self._key = spool, track, take, key
        self._name = journal_key(track, take)
        self._next = 0

    def write(self, record: Record) -> None:
        """Raises SpoolFull; the spool keeps a reserve for journals, so that is rare."""
        context = journal_context(self._track, self._take, self._next)
        message = seal(self._key, _encoder.encode(record), context)
        self._spool.append(self._name, frame_message(message), reserve=True)
        self._next += 1

    def close(self) -> None:
        self._spool.close(self._name)


def read_journal(data: bytes, track: TrackRef, take: int, key: bytes) -> list[Record]:
    """The records of a journal; a torn tail is left out. Raises SealBroken when one was changed."""
    return [
        _decoder.decode(unseal(key, message, journal_context(track, take, index)))
        for index, (_, message) in enumerate(frame_messages(data))
    ]
