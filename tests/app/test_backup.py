"""Backups: one sealed file that opens with this key store, until its day, or not at all."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from app.backup import BackupFailed, back_up, end_backups, key_name, read_header, restore
from app.migrations import run
from app.privacy.erasing.epochs import is_due
from recordings.encryption.memory import MemoryKeyStore
from tests.fixtures.web import Cast

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
async def file(cast: Cast, owner_url: str, tmp_path: Path) -> Path:
    return back_up(cast.wiring.keys, owner_url, tmp_path / "backups", days=35, now=NOW)


def rows(url: str, table: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return sorted(row[0] for row in connection.execute(f"SELECT t::text FROM {table} AS t".encode()))


def catalogue(url: str) -> list[str]:
    """Rights, policies, triggers and functions with their owners: what keeps accounts apart."""
    queries = (
        "SELECT relname || relrowsecurity || relforcerowsecurity || COALESCE(relacl::text, '') FROM pg_class"
        " WHERE relnamespace IN ('public'::regnamespace, 'jobs'::regnamespace) AND relkind = 'r'",
        "SELECT policyname || tablename || roles::text || qual || COALESCE(with_check, '') FROM pg_policies",
        "SELECT tgname || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT p.oid::regprocedure::text || proowner::regrole || prosecdef || COALESCE(proacl::text, '')"
        " FROM pg_proc p WHERE pronamespace = 'public'::regnamespace",
    )
    with psycopg.connect(url) as connection:
        return sorted(str(row[0]) for query in queries for row in connection.execute(query.encode()))


async def test_a_restored_database_is_the_same_with_all_rights(
    cast: Cast, file: Path, owner_url: str, empty_urls: dict[str, str]
) -> None:
    header = restore(cast.wiring.keys, file, empty_urls["owner"])
    assert header.made_at == NOW and header.opens_until == date(2026, 12, 27) and header.revision == run.head()
    for table in ("participant", "invitation", "audit_event", "member", "outgoing_mail", "jobs.procrastinate_jobs"):
        assert rows(owner_url, table) == rows(empty_urls["owner"], table) != []
    assert catalogue(owner_url) == catalogue(empty_urls["owner"])
    with psycopg.connect(empty_urls["app"]) as app:  # without an account nobody is there
        assert app.execute("SELECT count(*) FROM participant").fetchone() == (0,)


async def test_the_file_tells_nothing_and_is_the_owners_alone(cast: Cast, file: Path) -> None:
    content = file.read_bytes()
    assert b"PGDMP" not in content and b"junier_app" not in content and str(cast.account).encode() not in content
    assert file.stat().st_mode & 0o077 == 0
    assert set(json.loads(content.split(b"\n", 1)[0])) == {
        "format", "id", "made_at", "opens_until", "key", "revision",
    }  # fmt: skip
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("harm", ["a bit", "cut", "cut between messages", "twice", "another header", "no backup"])
async def test_a_changed_file_restores_nothing(cast: Cast, file: Path, empty_urls: dict[str, str], harm: str) -> None:
    content = bytearray(file.read_bytes())
    head = content.index(b"\n") + 1
    first = head + 4 + int.from_bytes(content[head : head + 4], "big")
    if harm == "a bit":
        content[len(content) // 2] ^= 1
    elif harm == "cut":
        del content[-5:]
    elif harm == "cut between messages":
        del content[first:]
    elif harm == "twice":
        content += content[head:]
    elif harm == "another header":
        content[:head] = content[:head].replace(b"2026-12-27", b"2036-12-27")
    else:
        content = bytearray(b"PGDMP" + bytes(100))
    file.write_bytes(content)
    with pytest.raises(BackupFailed):
        restore(cast.wiring.keys, file, empty_urls["owner"])
    assert run.current(empty_urls["owner"]) is None


async def test_it_opens_with_this_key_store_only(file: Path, empty_urls: dict[str, str]) -> None:
    with pytest.raises(BackupFailed, match="another installation"):
        restore(MemoryKeyStore(), file, empty_urls["owner"])


async def test_a_database_that_is_in_use_is_never_overwritten(cast: Cast, file: Path, owner_url: str) -> None:
    before = rows(owner_url, "participant")
    with pytest.raises(BackupFailed, match="not empty"):
        restore(cast.wiring.keys, file, owner_url)
    assert rows(owner_url, "participant") == before


async def test_a_backup_of_a_newer_program_is_refused(cast: Cast, file: Path, empty_urls: dict[str, str]) -> None:
    content = file.read_bytes()
    file.write_bytes(content.replace(f'"{run.head()}"'.encode(), b'"9999"', 1))
    with pytest.raises(BackupFailed, match="9999"):
        restore(cast.wiring.keys, file, empty_urls["owner"])


async def test_its_key_ends_with_the_day_it_names(cast: Cast, file: Path, empty_urls: dict[str, str]) -> None:
    keys, last = cast.wiring.keys, read_header(file).opens_until
    assert end_backups(keys, days=35, today=last) == 0
    assert end_backups(keys, days=35, today=last + timedelta(days=1)) == 1
    assert end_backups(keys, days=35, today=last + timedelta(days=1)) == 0
    with pytest.raises(BackupFailed, match="2026-12-27"):
        restore(keys, file, empty_urls["owner"])


async def test_nobody_looked_for_a_year_and_the_old_keys_end_all_the_same(cast: Cast, file: Path) -> None:
    assert end_backups(cast.wiring.keys, days=35, today=NOW.date() + timedelta(days=400)) == 1


async def test_an_empty_database_is_not_backed_up(cast: Cast, empty_urls: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="empty"):
        back_up(cast.wiring.keys, empty_urls["owner"], tmp_path / "none", days=35, now=NOW)
    assert not (tmp_path / "none").exists()


def test_a_key_is_named_by_its_day() -> None:
    assert key_name(date(2026, 1, 9)) == "backups-2026-01-09"


@pytest.mark.parametrize(
    "age, due", [(timedelta(hours=1), False), (timedelta(hours=23), False), (timedelta(hours=23.5), True)]
)
def test_an_epoch_ends_a_little_before_its_time_never_after(age: timedelta, due: bool) -> None:
    assert is_due(NOW - age, 24, NOW) is due
