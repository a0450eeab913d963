"""The ledger: what was written is read, a torn line spoils no other, and it is known which ledger it is."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

import app.privacy.replaying as replaying
from app.database import note
from app.ledger import Ledger, LedgerDamaged, ledger_of
from app.ledger_entries import Erased, ErasureBegun, ErasureComplete, LedgerUnread, PasskeysNeeded, Suppressed
from app.mail.service import is_suppressed, unsubscribe_address
from app.privacy.records.models import LedgerMark
from app.privacy.replaying import LedgerLost, Replayed, catch_up, settle
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.web import Cast

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger" / "erasures.jsonl")


def erased(event: type[Erased] = ErasureBegun, **instead: object) -> Erased:
    usual = {
        "at": NOW,
        "erasure": uuid4(),
        "account": uuid4(),
        "person": uuid4(),
        "recordings": [uuid4()],
        "responses": None,
        "kinds": ["camera"],
        "reason": "withdrawal",
        "asked_by": "participant:x",
        "asked_at": NOW,
        "instruction": "consent to video withdrawn",
        "receipt": "E-1",
    }
    return event(**(usual | instead))  # type: ignore[arg-type]


def suppressed(at: datetime = NOW) -> Suppressed:
    return Suppressed(at=at, account=UUID(int=1), address=bytes(range(32)).hex())


def test_what_was_written_is_read(ledger: Ledger) -> None:
    entries = [erased(), suppressed(), erased(ErasureComplete, recordings=None, kinds=None)]
    for entry in entries:
        ledger.append(entry)
    lines = list(ledger.lines())
    assert [line.entry for line in lines] == entries
    assert [line.entry for line in ledger.lines(lines[0].end)] == entries[1:]
    assert lines[-1].end == ledger.size()
    assert ledger.path.stat().st_mode & 0o077 == 0


def test_it_is_one_ledger_for_good(ledger: Ledger) -> None:
    assert ledger.identity() is None and ledger.size() == 0
    first = ledger.start()
    ledger.append(suppressed())
    assert ledger.start() == ledger.identity() == first
    ledger.path.unlink()
    assert ledger.start() != first


def test_a_torn_line_is_left_out_and_spoils_no_other(ledger: Ledger) -> None:
    ledger.append(suppressed())
    with ledger.path.open("ab") as file:
        file.write(b'{"at": "2026-')
    assert len(list(ledger.lines())) == 1
    entry = erased()
    ledger.append(entry)
    assert [line.entry for line in ledger.lines()] == [suppressed(), entry]


@pytest.mark.parametrize("torn", [b"", b'{"ledger": "0b2'])
def test_one_that_a_crash_tore_at_its_very_first_line_begins_anew(ledger: Ledger, torn: bytes) -> None:
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(torn)
    assert ledger.start() == ledger.identity()
    ledger.append(suppressed())
    assert [line.entry for line in ledger.lines()] == [suppressed()]


async def test_old_lines_are_settled_and_young_ones_looked_at_again(cast: Cast, nodes: SpyNodes) -> None:
    """A line is written before its transaction is committed, so a young one may still be on its way."""
    ledger = ledger_of(cast.wiring.settings)
    await catch_up(cast.wiring, nodes)
    old = Suppressed(at=datetime.now(UTC) - timedelta(hours=1), account=cast.account, address=bytes(32).hex())
    young = Suppressed(at=datetime.now(UTC), account=cast.account, address=(bytes([1]) * 32).hex())
    for entry in (old, young):
        ledger.append(entry)
    await settle(cast.wiring, nodes)
    async with cast.wiring.database.transaction() as db:
        mark = await db.get_one(LedgerMark, 1)
        assert [line.entry for line in ledger.lines(mark.position)] == [young]
    assert await catch_up(cast.wiring, nodes) == Replayed(addresses=1)
    assert await catch_up(cast.wiring, nodes) == Replayed()


async def test_a_database_restored_under_a_running_program_learns_it_before_the_mark_moves_on(
    cast: Cast, nodes: SpyNodes
) -> None:
    """Otherwise the next start would begin behind the lines that the database forgot."""
    await catch_up(cast.wiring, nodes)
    forgotten = Suppressed(
        at=datetime.now(UTC) - timedelta(hours=1), account=cast.account, address=(bytes([2]) * 32).hex()
    )
    ledger_of(cast.wiring.settings).append(forgotten)
    await settle(cast.wiring, nodes)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await is_suppressed(db, address_index=bytes.fromhex(forgotten.address))


async def test_what_belongs_to_an_account_the_database_does_not_know_is_left(cast: Cast, nodes: SpyNodes) -> None:
    await catch_up(cast.wiring, nodes)
    ledger = ledger_of(cast.wiring.settings)
    for entry in (suppressed(), erased(ErasureComplete)):
        ledger.append(entry)
    assert await catch_up(cast.wiring, nodes) == Replayed()


@pytest.mark.parametrize("line", [b'{"event": "of tomorrow", "at": "2026-11-22T08:00:00Z"}', b'{"event": "begun"}'])
async def test_a_line_that_says_nothing_known_stops_the_start_in_words(
    cast: Cast, nodes: SpyNodes, line: bytes
) -> None:
    """It may be what was erased; whoever starts the program reads what to do, not where it fell."""
    await catch_up(cast.wiring, nodes)
    ledger_of(cast.wiring.settings).file.append([line])
    with pytest.raises(LedgerUnread):
        await catch_up(cast.wiring, nodes)


@pytest.mark.parametrize("first", [b'{"ledger": "none"}', b'{"ledger": 5}', b'{"ledger": null}'])
async def test_a_first_line_that_was_changed_is_another_ledger(cast: Cast, nodes: SpyNodes, first: bytes) -> None:
    await catch_up(cast.wiring, nodes)
    ledger = ledger_of(cast.wiring.settings)
    ledger.path.write_bytes(first.ljust(ledger.size() - 1) + b"\n")
    with pytest.raises(LedgerLost):
        await catch_up(cast.wiring, nodes)


async def test_a_ledger_of_another_installation_stops_the_start(cast: Cast, nodes: SpyNodes) -> None:
    await catch_up(cast.wiring, nodes)
    ledger_of(cast.wiring.settings).path.unlink()
    ledger_of(cast.wiring.settings).start()
    with pytest.raises(LedgerLost):
        await catch_up(cast.wiring, nodes)
    await settle(cast.wiring, nodes)  # and nobody makes it fit by the way
    with pytest.raises(LedgerLost):
        await catch_up(cast.wiring, nodes)


async def test_what_was_rolled_back_leaves_no_line(cast: Cast) -> None:
    ledger = ledger_of(cast.wiring.settings)
    with suppress(ZeroDivisionError):
        async with cast.wiring.database.transaction(cast.account) as db:
            await unsubscribe_address(db, account=cast.account, address_index=bytes(32))
            raise ZeroDivisionError
    assert list(ledger.lines()) == []


async def test_what_the_database_refuses_at_the_very_end_is_noted_as_not_done(
    cast: Cast, nodes: SpyNodes, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deferred constraint is looked at in COMMIT, when the line is on disk."""
    ledger = ledger_of(cast.wiring.settings)
    await catch_up(cast.wiring, nodes)
    with psycopg.connect(owner_url) as owner:
        owner.execute("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        owner.execute("GRANT INSERT ON late TO junier_app")
    with suppress(IntegrityError):
        async with cast.wiring.database.transaction(cast.account) as db:
            await unsubscribe_address(db, account=cast.account, address_index=bytes(32))
            await db.execute(text("INSERT INTO late VALUES (1), (1)"))
    [line] = ledger.lines()
    assert isinstance(line.entry, Suppressed) and not line.counts
    monkeypatch.setattr(replaying, "SETTLED", timedelta(microseconds=-1))
    await settle(cast.wiring, nodes)
    assert await catch_up(cast.wiring, nodes) == Replayed()
    async with cast.wiring.database.transaction(cast.account) as db:
        assert not await is_suppressed(db, address_index=bytes(32))


async def test_what_gives_counts_once_it_is_known_to_be_committed_also_by_a_commit_of_its_own(cast: Cast) -> None:
    """Pages that tell the media process commit before they answer."""
    ledger, said = (
        ledger_of(cast.wiring.settings),
        PasskeysNeeded(at=NOW, account=cast.account, needed=False, gives=True),
    )
    async with cast.wiring.database.transaction(cast.account) as db:
        note(db, said)
        await db.commit()
        assert [line.counts for line in ledger.lines()] == [True]
    assert [line.counts for line in ledger.lines()] == [True]
    assert [line.counts for line in ledger.lines(after=ledger.size())] == []
    ledger.append(said)  # and the program died
    assert [line.counts for line in ledger.lines()] == [True, False]


async def test_a_savepoint_says_nothing_since_it_may_be_rolled_back_alone(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db, db.begin_nested():
        with pytest.raises(AssertionError):
            note(db, suppressed())


async def test_damage_anywhere_stops_the_start_until_it_is_accepted(cast: Cast, nodes: SpyNodes) -> None:
    """Also of a line the database knows already: the next restore would need it."""
    ledger = ledger_of(cast.wiring.settings)
    for number in range(3):
        ledger.append(Suppressed(at=NOW, account=cast.account, address=f"{number:064x}"))
    await catch_up(cast.wiring, nodes)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(f"{1:064x}".encode(), f"{7:064x}".encode()))
    with pytest.raises(LedgerDamaged, match="junier ledger check"):
        await catch_up(cast.wiring, nodes)
    ledger.accept(ledger.damage())
    assert await catch_up(cast.wiring, nodes) == Replayed()
