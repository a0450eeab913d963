"""The audit log that an owner took along is checked without us; whatever was changed in it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from app import audit_file
from app.audit import SYSTEM, Action, Fact, record, verify
from app.audit_file import NotAnAuditLog, check, events_after, written
from app.database import Database
from app.operator_commands import audit
from recordings.model import AccountId

Change = Callable[[list[dict[str, Any]]], object]


async def portions(database: Database, account: AccountId) -> list[bytes]:
    """As files of an export: two events each."""
    async with database.transaction(account) as db:
        for number in range(5):
            facts: dict[str, Fact | UUID] = {"purpose": "Zürich – 1/5", "number": number, "none": None, "yes": True}
            subject = f"study:{uuid4()}"
            await record(db, account=account, actor=SYSTEM, action=Action.STUDY_CHANGED, subject=subject, facts=facts)
    files, number = [], 0
    async with database.transaction(account) as db:
        while events := await events_after(db, number):
            files.append(written(events))
            number = events[-1].number
    return files


@pytest.fixture
async def files(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    monkeypatch.setattr(audit_file, "PORTION", 2)
    account = AccountId(uuid4())
    await portions(database, AccountId(uuid4()))  # of somebody else
    found = await portions(database, account)
    async with database.transaction(account) as db:
        verdict = await verify(db, account)
    assert [file.count(b"\n") for file in found] == [2, 2, 1]
    assert check(b"".join(found).splitlines()) == verdict and verdict.intact
    return found


@pytest.mark.parametrize(
    "change, broken_at",
    [
        (lambda lines: lines[1].update(subject="study:1"), 2),
        (lambda lines: lines[2].update(actor="member:1"), 3),
        (lambda lines: lines[0]["facts"].update(number=7), 1),
        (lambda lines: lines[4].update(at="2026-05-03T00:00:00.000000+00:00"), 5),
        (lambda lines: lines[3].update(hash="00" * 32), 4),
        (lambda lines: [line.update(account=str(uuid4())) for line in lines[3:4]], 4),
        (lambda lines: lines.pop(0), 1),
        (lambda lines: lines.pop(2), 3),
        (lambda lines: lines.reverse(), 1),
    ],
)
async def test_whatever_is_changed_shows(files: list[bytes], change: Change, broken_at: int) -> None:
    lines = [json.loads(line) for line in b"".join(files).splitlines()]
    change(lines)
    verdict = check(json.dumps(line).encode() for line in lines)
    assert (verdict.intact, verdict.broken_at, verdict.events) == (False, broken_at, broken_at - 1)


@pytest.mark.parametrize("line", [b"", b"7", b"[]", b"{}", b'{"account": 7}', b"\xff", b'{"number": 1'])
def test_what_is_no_line_of_a_log_is_told(line: bytes) -> None:
    with pytest.raises(NotAnAuditLog):
        check([line])


async def test_the_command_needs_no_database_and_tells_by_its_exit_status(files: list[bytes], tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jsonl" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)

    def run(*given: Path) -> tuple[int, str]:
        done = CliRunner().invoke(audit, ["verify", *map(str, given)])
        return done.exit_code, done.output

    last = check(b"".join(files).splitlines()).last.hex()
    assert run(*reversed(paths)) == (0, f"Unbroken: 5 events, the last of hash {last}.\n")
    assert run(paths[0], paths[2]) == (1, "Broken at event 3.\n")
    paths[1].write_bytes(b"nothing")
    assert run(*paths)[0] == 1 and "no audit log" in run(*paths)[1]
