"""The file under the ledger: lines are added at its end, on disk before anybody is answered; nothing else changes.

Of a line that was being written when the power went only a part is there. It had announced nothing, so it is kept
apart, in a file of the same name ending in .torn, and the next line stands where it began.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

from app.ledger_lines import Checked, check, fields_of, sealed, sum_of

_STEP_BYTES = 1 << 16

log = logging.getLogger("junier.ledger")


@dataclass(frozen=True)
class LedgerFile:
    """Safe to append to from several processes."""

    path: Path

    @property
    def torn(self) -> Path:
        """Where half-written lines are kept."""
        return self.path.with_suffix(".torn")

    def identity(self) -> UUID | None:
        """Which ledger this is; None when there is none."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            fields = fields_of(file.readline())
        try:
            return UUID(str(fields["ledger"])) if fields and "ledger" in fields else None
        except ValueError:
            return None

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def sure_size(self) -> int:
        """To the end of the last whole line, all of it on disk: no crash makes it shorter."""
        if not self.path.exists():
            return 0
        with self._locked() as file:
            last, size = _last_line(file), os.fstat(file).st_size
            os.fsync(file)
        return size if last.endswith(b"\n") else size - len(last)

    def checked(self) -> Iterator[Checked]:
        """Every whole line. One that is just being written is not there yet."""
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from check(line for line in file if line.endswith(b"\n"))

    def append(self, bodies: Sequence[bytes], *, durable: bool = True) -> list[str]:
        """Returns the checksums of the new lines. Without any the file is begun, and what was torn is kept apart."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked() as file:
            before = self._mend(file)
            if os.fstat(file).st_size == 0:
                first = {"ledger": str(uuid4()), "at": datetime.now(UTC).isoformat()}
                bodies = [json.dumps(first).encode(), *bodies]
            lines, sums = b"", []
            for body in bodies:
                line = sealed(body, before)
                before = sum_of(line)
                sums.append(before)
                lines += line
            while lines:
                lines = lines[os.write(file, lines) :]
            if durable:
                os.fsync(file)
                _sync_folder(self.path.parent)
        return sums

    @contextmanager
    def _locked(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _mend(self, file: int) -> str:
        """What the next line names as the one before it. A line without its end is completed when nothing else of it is
        missing, else kept apart."""
        last = _last_line(file)
        if last and not last.endswith(b"\n"):
            if sum_of(last + b"\n"):
                os.write(file, b"\n")
                return sum_of(last + b"\n")
            with open(os.open(self.torn, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as torn:
                torn.write(last + b"\n")
                torn.flush()
                os.fsync(torn.fileno())
            os.ftruncate(file, os.fstat(file).st_size - len(last))
            log.warning("a half-written line of the ledger was kept apart: %s bytes", len(last))
            last = _last_line(file)
        return sum_of(last) or _sum_of_all(file)


def _last_line(file: int) -> bytes:
    """With its end, if it has one."""
    size, last = os.fstat(file).st_size, b""
    while b"\n" not in last[:-1] and len(last) < size:
        start = max(0, size - len(last) - _STEP_BYTES)
        last = os.pread(file, size - len(last) - start, start) + last
    return last[last.rfind(b"\n", 0, -1) + 1 :]


def _sum_of_all(file: int) -> str:
    """Where the line before has no checksum, one is taken of all there is."""
    found, at = sha256(), 0
    while part := os.pread(file, _STEP_BYTES, at):
        found.update(part)
        at += len(part)
    return found.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
