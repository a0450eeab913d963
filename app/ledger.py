"""Ledger: what must survive the restore of an older backup; append-only JSON lines beside the keys.

A database restored from a backup knows nothing of what was asked, erased, taken back or taken away since; the ledger
does. Ids, times, technical words and keyed hashes only.

    {"ledger": id, "at": time, …}                                    the first line
    {"event": tag, "at": time, "account": id, …}                     a class of app.ledger_entries
    {"event": "done" | "not done", "of": [checksum, …], …}           how the transaction of earlier lines ended
    {"event": "damage accepted", "of": [mark, …], …}                 what the operator goes on without

A line is on disk before its transaction is committed (app.database) or, of an erasure, before the first key is
destroyed. How lines are bound to each other stands in app.ledger_lines; how each kind is done again in
app.privacy.replays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from app.errors import JunierError
from app.ledger_entries import DamageAccepted, Done, Entry, Erased, NotDone, said_in
from app.ledger_file import LedgerFile
from app.ledger_lines import Checked
from app.settings import Settings


class LedgerDamaged(JunierError):
    """The ledger of erasures was damaged, so nobody knows all that must not come back, and nothing is served. See
    what: junier ledger check. Put back the folder ledger/ of the key store from a copy that is whole; where there is
    none, junier ledger check --accept-loss goes on without these lines."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """An entry and where it ends in the file, in bytes. counts: what it says happened, or has to be taken for it."""

    entry: Entry
    end: int
    counts: bool


def counts(entry: Entry, *, done: bool, not_done: bool) -> bool:
    """Nobody knows of a transaction that died in its last moment: then what takes away counts, what gives does not."""
    return not not_done and (done or not entry.gives)


@dataclass(frozen=True)
class Ledger:
    """The ledger of one installation. Safe to append to from several processes."""

    path: Path

    @property
    def file(self) -> LedgerFile:
        return LedgerFile(self.path)

    async def note(self, entry: Entry) -> None:
        """As append(), while others go on. What a transaction does is said by app.database.note."""
        await asyncio.to_thread(self.append, entry)

    def append(self, *entries: Entry) -> list[str]:
        """Durable when it returns; the checksums of the lines."""
        return self.file.append([msgspec.json.encode(entry) for entry in entries])

    def close(self, lines: Sequence[str], *, done: bool) -> None:
        """Say how the transaction of these lines ended. Losing it in a crash only leaves that open."""
        said = (Done if done else NotDone)(at=datetime.now(UTC), of=list(lines))
        self.file.append([msgspec.json.encode(said)], durable=False)

    def identity(self) -> UUID | None:
        """Which ledger this is; None when there is none."""
        return self.file.identity()

    def start(self) -> UUID:
        """The identity of this ledger, begun if there is none."""
        if self.identity() is None:
            self.file.append([])
        found = self.identity()
        assert found is not None, "the first line of the ledger was changed"
        return found

    def mend(self) -> None:
        """What a loss of power left half-written is kept apart, and told."""
        self.file.append([])

    def size(self) -> int:
        return self.file.size()

    def lines(self, after: int = 0) -> Sequence[Line]:
        """What is said in lines that begin at or after byte `after`, oldest first. Raises LedgerDamaged, wherever it
        is damaged, and LedgerUnread for a line that a newer program wrote."""
        whole = list(self.file.checked())
        if self._not_accepted(whole):
            raise LedgerDamaged
        read = [(one, said_in(one.raw)) for one in whole if one.sum or one.damage is None]
        done = {line for _, said in read if isinstance(said, Done) for line in said.of}
        not_done = {line for _, said in read if isinstance(said, NotDone) for line in said.of}
        return [
            Line(
                entry=said,
                end=one.end,
                counts=counts(said, done=one.sum in done, not_done=one.sum in not_done),
            )
            for one, said in read
            if isinstance(said, Entry) and one.at >= after
        ]

    def entries(self) -> Iterator[Erased]:
        """The erasures."""
        return (line.entry for line in self.lines() if isinstance(line.entry, Erased))

    def damage(self) -> Sequence[Checked]:
        """Lines that are damaged, and not accepted yet."""
        return self._not_accepted(list(self.file.checked()))

    def accept(self, damage: Collection[Checked]) -> None:
        """From now on this damage stops nothing."""
        accepted = DamageAccepted(at=datetime.now(UTC), of=[one.mark for one in damage])
        self.file.append([msgspec.json.encode(accepted)])

    def _not_accepted(self, whole: Sequence[Checked]) -> Sequence[Checked]:
        if not any(one.damage for one in whole):
            return []
        said = [said_in(one.raw) for one in whole if one.sum and b'"damage accepted"' in one.raw]
        accepted = {mark for one in said if isinstance(one, DamageAccepted) for mark in one.of}
        return [one for one in whole if one.damage and one.mark not in accepted]


def ledger_of(settings: Settings) -> Ledger:
    """It lies with the keys: every process that erases reaches them, and whoever kept one has kept the other."""
    return Ledger(settings.keys_folder / "ledger" / "erasures.jsonl")
