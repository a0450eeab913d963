"""A damaged ledger is never read as if it were whole; a half-written last line is ordinary, and kept apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from app.ledger import Ledger, LedgerDamaged, counts
from app.ledger_entries import MemberIs, Suppressed
from app.ledger_lines import Damage, check, sealed, sum_of

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Five entries after the first line."""
    found = Ledger(tmp_path / "ledger" / "erasures.jsonl")
    for number in range(5):
        found.append(suppressed(number))
    return found


def suppressed(number: int) -> Suppressed:
    return Suppressed(at=NOW, account=UUID(int=1), address=bytes([number] * 32).hex())


def harmed(ledger: Ledger, line: int, harm: str) -> None:
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    one = bytearray(lines[line])
    if harm == "a bit":
        one[len(one) // 3] ^= 1
    elif harm == "a bit of the checksum":
        one[-5] ^= 1
    elif harm == "cut":
        del one[len(one) // 2 : -1]
    elif harm == "its end":
        one[-1] ^= 1
    elif harm == "zeros":
        one[:-1] = bytes(len(one) - 1)
    elif harm == "an older form":
        fields = json.loads(one)
        one = bytearray(json.dumps({k: v for k, v in fields.items() if k not in ("after", "sum")}).encode() + b"\n")
    lines[line : line + 1] = [] if harm == "gone" else [bytes(one)]
    ledger.path.write_bytes(b"".join(lines))


HARMS = ("a bit", "a bit of the checksum", "cut", "its end", "zeros", "an older form", "gone")


@pytest.mark.parametrize("line", [0, 2, 4])
@pytest.mark.parametrize("harm", HARMS)
def test_damage_anywhere_before_the_end_is_seen_named_and_never_skipped(ledger: Ledger, harm: str, line: int) -> None:
    harmed(ledger, line, harm)
    with pytest.raises(LedgerDamaged):
        ledger.lines()
    [damage] = ledger.damage()
    if harm == "an older form" and line == 0:  # those have no checksum: the next one tells
        assert (damage.number, damage.damage) == (2, Damage.MISSING)
    else:
        assert damage.number == line + 1
        assert damage.damage is (Damage.MISSING if harm == "gone" else Damage.CHANGED)


@pytest.mark.parametrize("harm", HARMS)
def test_what_was_accepted_stops_nothing_any_more_and_the_next_damage_does(ledger: Ledger, harm: str) -> None:
    harmed(ledger, 2, harm)
    ledger.accept(ledger.damage())
    assert ledger.damage() == []
    lost = 2 if harm == "its end" else 1
    assert len(ledger.lines()) == 5 - lost
    ledger.append(suppressed(9))
    assert ledger.lines()[-1].entry == suppressed(9)
    harmed(ledger, -2, "a bit")
    with pytest.raises(LedgerDamaged):
        ledger.lines()


@pytest.mark.parametrize("left", [1, 40, 200])
def test_a_half_written_last_line_is_kept_apart_and_told(
    ledger: Ledger, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole.splitlines()[-1][:left])
    assert len(ledger.lines()) == 5 and ledger.damage() == []
    assert ledger.file.sure_size() == len(whole)
    ledger.mend()
    assert ledger.path.read_bytes() == whole
    assert ledger.file.torn.read_bytes() == whole.splitlines()[-1][:left] + b"\n"
    assert "half-written" in caplog.text


def test_a_last_line_that_lacks_its_end_alone_is_whole(ledger: Ledger) -> None:
    ledger.path.write_bytes(ledger.path.read_bytes()[:-1])
    ledger.append(suppressed(7))
    assert [line.entry for line in ledger.lines()][-2:] == [suppressed(4), suppressed(7)]
    assert not ledger.file.torn.exists()


def test_lines_of_an_older_program_are_read_and_bound_by_the_first_new_one(tmp_path: Path) -> None:
    found = Ledger(tmp_path / "erasures.jsonl")
    old = [{"ledger": str(UUID(int=2)), "at": NOW.isoformat()}]
    old += [
        {"event": "suppressed", "at": NOW.isoformat(), "account": str(UUID(int=1)), "address": f"{n:064x}"}
        for n in range(3)
    ]
    found.path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in old))
    assert len(found.lines()) == 3
    found.append(suppressed(1))
    assert len(found.lines()) == 4
    found.path.write_bytes(found.path.read_bytes().replace(b"0001", b"0002", 1))
    [damage] = found.damage()
    assert (damage.number, damage.damage) == (5, Damage.MISSING)


def test_a_line_holds_its_own_checksum_and_the_one_before() -> None:
    first = sealed(b'{"a":1}', "")
    assert json.loads(first)["sum"] == sum_of(first) != ""
    lines = [first, sealed(b'{"b":2}', sum_of(first))]
    assert [one.damage for one in check(lines)] == [Damage.MISSING, None]  # the first names nothing before it


@pytest.mark.parametrize(
    "gives, done, not_done, expected",
    [
        (False, False, False, True),  # nobody knows how it ended: who was removed stays out
        (True, False, False, False),  # … and who was to be an owner is not made one
        (True, True, False, True),
        (False, False, True, False),
        (True, False, True, False),
    ],
)
def test_what_a_transaction_said_counts_by_how_it_ended(
    gives: bool, done: bool, not_done: bool, expected: bool
) -> None:
    entry = MemberIs(at=NOW, account=UUID(int=1), member=UUID(int=2), role="owner", gives=gives)
    assert counts(entry, done=done, not_done=not_done) is expected


def test_how_a_transaction_ended_is_known_of_exactly_its_lines(ledger: Ledger) -> None:
    member = MemberIs(at=NOW, account=UUID(int=1), member=UUID(int=2), role="owner", gives=True)
    _open, second, third = (ledger.append(member) for _ in range(3))
    ledger.close(second, done=True)
    ledger.close(third, done=False)
    assert [line.counts for line in ledger.lines()][-3:] == [False, True, False]
