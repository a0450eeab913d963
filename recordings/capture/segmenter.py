"""One track of one take: frames -> sealed chunks -> segments and journal in the spool.

The order of writing is the crash rule: a chunk is in its segment before the journal tells of it, so
a killed process loses the chunk being filled and never a place for bytes that exist.
"""

from __future__ import annotations

from recordings.capture.chunks import Chunk, ChunkBeingFilled
from recordings.capture.journal import Arrival, ChunkSealed, Coded, End, JournalWriter, Permission, Record, Size
from recordings.capture.segments import is_full
from recordings.capture.spool import Spool, SpoolFull
from recordings.encryption.sealed import FRAME_OVERHEAD, chunk_context, frame_message, seal
from recordings.model import Frame, TrackRef
from recordings.storage.layout import segment_key


class Segmenter:
    """Writes what it is given; whether it may is the recorder's business."""

    def __init__(self, track: TrackRef, take: int, spool: Spool, key: bytes) -> None:
        self.track = track
        self._take, self._spool, self._key = take, spool, key
        self._journal = JournalWriter(spool, track, take, key)
        self._filling = ChunkBeingFilled(track.kind)
        self._next_chunk = 0
        self._segment = 0
        self._segment_since: float | None = None  # arrival of the open segment's first frame
        self._size = (0, 0)
        self._arrived = self._coded = False
        self.sealed_bytes = 0

    def add(self, frame: Frame) -> None:
        """Take one frame. Raises SpoolFull when the chunk before it could not be kept."""
        if self._filling.is_over(frame):
            self.cut()
            if is_full(self._segment_since, frame.arrived_at):
                self.end_segment()
        if not self._arrived:
            self.note(Arrival(ticks=frame.ticks, at=frame.arrived_at))
            self._arrived = True
        if frame.width and (frame.width, frame.height) != self._size:
            self._size = (frame.width, frame.height)
            self.note(Size(width=frame.width, height=frame.height))
        if frame.setup is not None and not self._coded:  # key frames carry what changes later
            self._coded = True
            self.note(Coded(codec=frame.setup.codec, private=frame.setup.private))
        self._filling.add(frame)

    def tick(self, now: float) -> None:
        """Cut a chunk and a segment that have become old. Raises SpoolFull like `add`."""
        if self._filling.is_old(now):
            self.cut()
        if is_full(self._segment_since, now):
            self.end_segment()

    def cut(self) -> None:
        """Seal what has been gathered. Raises SpoolFull, and then that chunk is lost."""
        chunk = self._filling.take()
        if chunk is not None:
            self._append(chunk)

    def end_segment(self) -> None:
        """The open segment is ready to be stored."""
        if self._segment_since is None:
            return
        self._spool.close(segment_key(self.track, self._take, self._segment))
        self._segment += 1
        self._segment_since = None

    def note(self, record: Record) -> None:
        """Write a fact to the journal. Raises SpoolFull when even its reserve is used up."""
        self._journal.write(record)

    def switch(self, on: bool, at: float, why: str) -> None:
        """Note that capture may go on or has stopped, and why."""
        self.note(Permission(on=on, at=at, why=why))

    def close(self, clean: bool, at: float) -> None:
        """The take is over for this track. What no longer fits in the spool is lost, the rest is closed."""
        try:
            self.cut()
            self.note(End(clean=clean, at=at))
        except SpoolFull:
            pass  # a journal without an end says that the take was cut short, which it was
        self.end_segment()
        self._journal.close()

    def _append(self, chunk: Chunk) -> None:
        context = chunk_context(self.track, self._take, self._next_chunk)
        message = seal(self._key, chunk.plaintext(), context)
        start = self._spool.append(segment_key(self.track, self._take, self._segment), frame_message(message))
        if self._segment_since is None:
            self._segment_since = chunk.arrived_at
        entry = ChunkSealed(
            index=self._next_chunk,
            segment=self._segment,
            offset=start + FRAME_OVERHEAD,
            sealed_bytes=len(message),
            block_bytes=len(chunk.blocks),
            first_ticks=chunk.first_ticks,
            last_ticks=chunk.last_ticks,
            frames=chunk.frames,
            starts_with_key=chunk.starts_with_key,
        )
        self._next_chunk += 1
        self.sealed_bytes += len(message)
        self.note(entry)
