"""Both key stores under the application. The drill: one that is lost opens nothing, every start and every page says so,
and put back it opens all. Damaged accounts, backups, the clock of epochs and the doctor."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from click import ClickException
from sqlalchemy import select

from app import doctor
from app.__main__ import _catch_up
from app.audit import SYSTEM, Action, record
from app.backup import back_up, restore
from app.command_line import told as told_plainly
from app.database import Database
from app.embedded_place import installed_programs
from app.findings import Broken
from app.lost_keys import Found, KeysLost, are_lost, refuse_lost_keys
from app.participants.models import Participant
from app.privacy.erasing.epochs import renew_keys
from app.settings import Settings, SettingsError
from app.wiring import Wiring, open_keys
from recordings.encryption.keystore import KeyMissing, KeyPath, KeyStore
from recordings.model import AccountId
from recordings.storage.memory import MemoryStore
from tests.fixtures.web import ORIGIN, Cast

REASON = "missing or damaged"


@dataclass(frozen=True)
class Keys:
    """The key store of an installation, and what can happen to it. copy: while nothing runs."""

    settings: Settings
    copy: Callable[[], None]
    lose: Callable[[], None]
    put_back: Callable[[], None]

    def opened(self) -> KeyStore:
        """As a process that starts now has it."""
        return open_keys(self.settings)


@pytest.fixture(params=["directory", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    settings = Settings(data_dir=tmp_path, public_url=ORIGIN, platform_contact="help@junier.example")
    if request.param == "postgres":
        return _in_database(replace(settings, keys_database_url=request.getfixturevalue("keys_url")), tmp_path)
    folder, epochs = settings.keys_folder, settings.master_key_path.with_name("master.key.epochs")

    def copy() -> None:
        shutil.copytree(folder, tmp_path / "copy" / "keys")
        shutil.copytree(epochs, tmp_path / "copy" / "epochs")

    def lose() -> None:
        shutil.rmtree(folder)

    def put_back() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(epochs, ignore_errors=True)
        shutil.copytree(tmp_path / "copy" / "keys", folder)
        shutil.copytree(tmp_path / "copy" / "epochs", epochs)

    return Keys(settings, copy, lose, put_back)


def _in_database(settings: Settings, tmp_path: Path) -> Keys:
    url, dump = settings.keys_database_url, tmp_path / "copy.sql"

    def run(program: str, *arguments: str) -> None:
        command = [str(installed_programs() / program), *arguments, url]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def lose() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS junier_keys CASCADE")

    def put_back() -> None:
        lose()
        run("psql", "--single-transaction", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}")

    return Keys(settings, lambda: run("pg_dump", f"--file={dump}"), lose, put_back)


@pytest.fixture
def wiring(kept: Keys, database: Database) -> Wiring:
    """In place of the fixture of the same name: what `cast` and `web` are made on."""
    return Wiring(settings=kept.settings, database=database, keys=kept.opened(), store=MemoryStore())


def _alone(wiring: Wiring) -> Wiring:
    """With connections of its own: for another event loop."""
    return replace(wiring, database=Database(wiring.database.url))


def pages(cast: Cast) -> list[tuple[str, str]]:
    members = (
        "/",
        "/studies",
        f"/studies/{cast.study}",
        f"/sessions/{cast.session}",
        "/account",
        "/library",
        "/retention",
    )
    own = (f"/take-part/{cast.session}", "/my-data")
    return [("owner", path) for path in members] + [("participant", path) for path in own]


async def statuses(cast: Cast) -> dict[tuple[str, str], int]:
    """Of each page; one that fails says why."""
    found = {}
    for who, path in pages(cast):
        answer = await (await cast.browser(who)).get(path, follow_redirects=True)
        found[who, path] = answer.status_code
        assert answer.status_code < 500 or (answer.status_code == 503 and REASON in answer.text), path
    return found


async def test_a_lost_key_store_opens_nothing_and_says_so_and_put_back_it_opens_all(kept: Keys, cast: Cast) -> None:
    before = await statuses(cast)
    assert list(before.values()).count(200) >= 6
    await refuse_lost_keys(cast.wiring)
    kept.copy()
    kept.lose()
    during = await statuses(cast)
    assert list(during.values()).count(503) >= 4, "what shows a name cannot be shown"
    restarted = replace(cast.wiring, keys=kept.opened())
    with pytest.raises(KeysLost, match="lost for good"):
        await refuse_lost_keys(restarted)
    with pytest.raises(ClickException, match="opens nothing of this database"):  # what the operator reads
        await asyncio.to_thread(told_plainly, lambda: asyncio.run(_catch_up(_alone(restarted))))
    restarted.columns.platform_key("limits")  # what is made anew by itself is no sign of life
    with pytest.raises(KeysLost):
        await refuse_lost_keys(restarted)
    for path in (KeyPath(cast.account), KeyPath(cast.account, cast.participant.participant)):
        with pytest.raises(KeyMissing):
            restarted.keys.unwrap(path)
    kept.put_back()
    back = replace(cast.wiring, keys=kept.opened())
    await refuse_lost_keys(back)
    async with back.database.transaction(cast.account) as db:
        person = await db.scalar(select(Participant).where(Participant.id == cast.participant.participant))
        assert person is not None
        name = back.columns.open(cast.account, cast.participant.participant, "participant.name", person.name)
    assert name


def damage(kept: Keys, account: UUID) -> None:
    if kept.settings.keys_database_url:
        with psycopg.connect(kept.settings.keys_database_url) as connection:
            query = "UPDATE junier_keys.wrapped SET wrapped = 'x' WHERE name = 'account' AND account = %s"
            connection.execute(query, [account])
    else:
        [file] = (kept.settings.keys_folder / str(account)).glob("epoch-*/account")
        file.write_bytes(b"x")


async def test_one_account_without_its_key_is_told_and_the_others_go_on(
    kept: Keys, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    damage(kept, cast.account)
    other = cast.other_account
    async with cast.wiring.database.transaction(other) as db:  # as `junier account create` does
        await record(db, account=other, actor=SYSTEM, action=Action.ACCOUNT_CREATED, subject=f"account:{other}")
    with caplog.at_level(logging.ERROR, "junier.keys"):
        await refuse_lost_keys(cast.wiring)
    assert str(cast.account) in caplog.text and str(other) not in caplog.text
    assert 503 in (await statuses(cast)).values()
    assert (await (await cast.browser("other_owner")).get("/")).status_code == 200


async def test_a_damaged_account_does_not_make_a_new_epoch_every_ten_minutes(kept: Keys, cast: Cast) -> None:
    assert not (await asyncio.to_thread(kept.opened().check)).damaged
    damage(kept, cast.account)
    now = datetime.now(UTC) + timedelta(hours=24)
    assert await renew_keys(cast.wiring, now)
    began = cast.wiring.keys.check().epoch_began
    assert began is not None and not await renew_keys(cast.wiring, began + timedelta(minutes=10))
    health = cast.wiring.keys.check()
    assert health.damaged == (cast.account,) and health.epoch_began == began
    assert str(cast.account) in str(told(Broken, kept.settings))


async def test_a_backup_of_the_database_has_no_key_in_it(
    kept: Keys, cast: Cast, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
) -> None:
    file = back_up(cast.wiring.keys, owner_url, tmp_path / "backups", days=35, now=datetime.now(UTC))
    restore(kept.opened(), file, empty_urls["owner"])
    dump = [str(installed_programs() / "pg_dump"), empty_urls["superuser"]]
    content = subprocess.run(dump, check=True, capture_output=True, timeout=60).stdout
    assert str(cast.account).encode() in content and b"junier_keys" not in content
    if kept.settings.keys_database_url:
        with psycopg.connect(kept.settings.keys_database_url) as connection:
            kinds = ("junier_keys.wrapped", "junier_keys.epoch")
            names = ("wrapped", "sealed")
            rows = [connection.execute(f"SELECT {n} FROM {k}".encode()) for k, n in zip(kinds, names, strict=True)]
            keys = [bytes(row[0]) for found in rows for row in found]
    else:
        files = [*kept.settings.keys_folder.rglob("*"), *kept.settings.data_dir.glob("master.key.epochs/*")]
        keys = [one.read_bytes() for one in files if one.is_file() and 61 <= one.stat().st_size <= 125]
    assert len(keys) > 5
    assert not any(key.hex().encode() in content for key in [*keys, kept.settings.master_key_path.read_bytes()])


def told(kind: type[Exception], settings: Settings) -> Exception:
    with pytest.raises(kind) as raised:
        doctor.check_keys(settings)
    return raised.value


def test_the_doctor_says_where_keys_are_and_what_is_wrong(kept: Keys, empty_urls: dict[str, str]) -> None:
    assert "made at the first start" in doctor.check_keys(kept.settings)
    kept.opened().create(KeyPath(AccountId(uuid4())))
    said = doctor.check_keys(kept.settings)
    assert "Keys are kept in" in said and "1 accounts" in said
    kept.settings.master_key_path.chmod(0o644)
    assert "0600" in str(told(Broken, kept.settings))
    kept.settings.master_key_path.chmod(0o600)
    unfit = replace(kept.settings, keys_database_url=empty_urls["owner"])
    assert "wal_level = minimal" in str(told(Broken, unfit))
    away = replace(kept.settings, keys_database_url="postgresql://junier_keys@127.0.0.1:1/keys")
    assert "cannot be reached" in str(told(Broken, away))


@pytest.mark.parametrize(
    ("database", "keys", "fits"),
    [
        ("postgresql://a@db:5432/junier", "postgresql://k@db/keys", False),
        ("postgresql://a@db:5432/junier", "postgresql://k@db:5433/keys", True),
        ("postgresql://a@db/junier", "postgresql://k@keys.internal/keys", True),
        ("postgresql://a@/junier?host=/run/pg", "postgresql://k@/keys?host=/run/pg", False),
        ("", "postgresql://k@db/keys", True),
    ],
)
def test_keys_have_a_server_of_their_own(database: str, keys: str, fits: bool) -> None:
    settings = {"DATABASE_URL": database, "KEYS_DATABASE_URL": keys}
    if fits:
        assert Settings.from_env(settings).keys_database_url == keys
    else:
        with pytest.raises(SettingsError, match="server of its own"):
            Settings.from_env(settings)


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        ([], False),
        ([Found.OPENS], False),
        ([Found.MISSING], True),
        ([Found.DAMAGED, Found.MISSING], True),
        ([Found.ERASED], False),
        ([Found.ERASED, Found.MISSING], False),
        ([Found.OPENS, Found.DAMAGED], False),
    ],
)
def test_a_store_that_knows_an_account_is_the_right_one(found: list[Found], lost: bool) -> None:
    accounts: dict[UUID, Found] = {uuid4(): one for one in found}
    assert are_lost(accounts) is lost
