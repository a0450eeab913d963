"""The drill: a key store that is lost opens nothing, every start and every page says so, and put back it opens all."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import select

from app.audit import SYSTEM, Action, record
from app.database import Database
from app.embedded_place import installed_programs
from app.lost_keys import Found, KeysLost, are_lost, refuse_lost_keys
from app.participants.models import Participant
from app.settings import Settings
from app.wiring import Wiring, open_keys
from recordings.encryption.keystore import KeyMissing, KeyPath, KeyStore
from recordings.storage.memory import MemoryStore
from tests.fixtures.web import ORIGIN, Cast, Web

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


async def test_one_account_without_its_key_is_told_and_the_others_go_on(
    kept: Keys, cast: Cast, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    if kept.settings.keys_database_url:
        with psycopg.connect(kept.settings.keys_database_url) as connection:
            connection.execute(
                "UPDATE junier_keys.wrapped SET wrapped = 'x' WHERE name = 'account' AND account = %s", [cast.account]
            )
    else:
        [file] = (kept.settings.keys_folder / str(cast.account)).glob("epoch-*/account")
        file.write_bytes(b"x")
    other = cast.other_account
    async with cast.wiring.database.transaction(other) as db:  # as `junier account create` does
        await record(db, account=other, actor=SYSTEM, action=Action.ACCOUNT_CREATED, subject=f"account:{other}")
    with caplog.at_level(logging.ERROR, "junier.keys"):
        await refuse_lost_keys(cast.wiring)
    assert str(cast.account) in caplog.text and str(other) not in caplog.text
    assert 503 in (await statuses(cast)).values()
    assert (await (await cast.browser("other_owner")).get("/")).status_code == 200


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
