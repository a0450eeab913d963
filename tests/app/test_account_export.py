"""Everything an account holds, taken along by an owner: what is in it, who is left out, and that it lies nowhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from sqlalchemy import update

from app.accounts.models import Member, Role, Scope
from app.audit import Action, AuditEvent, verify
from app.audit_file import check
from app.demo.browser import Browser
from app.errors import Forbidden
from app.privacy.erasing.service import ask_erasure
from app.privacy.keeping.export import RESTRICTED, Export, begin_export, send_export
from app.privacy.records.models import ErasureReason, RequestKind
from app.privacy.rights.requests import ask
from app.privacy.rights.zipped import Growing, text_file
from tests.promises.conftest import world
from tests.promises.world import ANSWERED, World, answer_after_the_session

__all__ = ["world"]

EXPORT = "/account/export.zip"


def test_an_archive_that_grows_is_whole_and_lists_the_sums_of_all() -> None:
    growing = Growing()
    pieces = [*growing.add([text_file("a.txt", b"A" * 70_000)]), *growing.add([text_file("b/c.txt", b"")])]
    with ZipFile(BytesIO(b"".join((*pieces, *growing.end())))) as archive:
        assert archive.testzip() is None and archive.namelist() == ["a.txt", "b/c.txt", "checksums.sha256"]
        lines = archive.read("checksums.sha256").decode().splitlines()
        sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
        assert sums == {name: hashlib.sha256(archive.read(name)).hexdigest() for name in ("a.txt", "b/c.txt")}


async def taken(owner: Browser, purpose: str = "leaving") -> ZipFile:
    answer = await owner.http.get(f"{EXPORT}?purpose={purpose}")
    assert answer.status_code == 200 and "content-length" not in answer.headers
    archive = ZipFile(BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def read(archive: ZipFile, path: str) -> object:
    return json.loads(archive.read(path))


async def receive(world: World, made: Export, content: bytearray) -> None:
    async for piece in send_export(world.wiring, made):
        content += piece


def below(folder: Path) -> Iterator[Path]:
    return (one for one in folder.rglob("*") if one.is_file())


async def restrict(world: World) -> None:
    """Ben asks that nothing of his is used."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        account, ben = world.lab.account, world.ben.person
        await ask(db, world.wiring, account=account, participant=ben, kind=RequestKind.RESTRICTION)


async def test_everything_is_in_it_and_nothing_of_it_lies_on_a_disk(world: World) -> None:
    transcript = await world.transcribed(world.anna)
    await answer_after_the_session(world, world.anna)
    owner = await world.member(world.lab)
    await world.post(owner, f"/sessions/{world.lab.session}/notes", {"text": "Hesitates", "writing_ms": "0"})
    before = {file: file.stat().st_size for file in below(world.settings.data_dir)}
    archive = await taken(owner)
    assert {file: file.stat().st_size for file in below(world.settings.data_dir)} == before
    names, anna = set(archive.namelist()), f"participants/{world.anna.person}"
    own = {"README.txt", "data.json", "consents.json", "answers.json", "history.json", "who-has-it.json"}
    assert {f"{anna}/{name}" for name in own} <= names
    assert f"participants/{world.ben.person}/data.json" in names
    media = [name for name in names if name.startswith(f"{anna}/recordings/")]
    assert len(media) == 1 and archive.getinfo(media[0]).file_size > 10_000
    assert [name for name in names if name.startswith(f"{anna}/transcripts/") and name.endswith(".vtt")]
    assert ANSWERED in archive.read(f"{anna}/answers.json").decode() and transcript.id
    data = archive.read(f"{anna}/data.json").decode()
    assert "anna@people.example" in data and "ben@people.example" not in data
    study = archive.read(f"studies/{world.lab.study}.json").decode()
    for words in ("Kitchens of the north", "We watch how you cook", "Anything else?", "Hesitates", "first visit"):
        assert words in study
    assert "olga@lab.example" in archive.read("members.json").decode()
    assert read(archive, "left-out.json") == []
    for line in archive.read("checksums.sha256").decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(archive.read(name)).hexdigest() == digest
    words = archive.read("README.txt").decode()
    assert "Nobody, as it stood" in words and "audit log" in words
    logged = [name for name in archive.namelist() if name.startswith("audit/")]
    verdict = check(line for name in logged for line in archive.read(name).splitlines())
    assert logged == ["audit/000000001.jsonl"] and verdict.intact
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert verdict == await verify(db, world.lab.account)
    everything = b"".join(archive.read(name) for name in names)
    assert b"otto@other.example" not in everything and b"Gardens of the south" not in everything


async def test_it_asks_what_for_and_the_log_and_each_history_keep_it(world: World) -> None:
    await world.registered(world.anna)
    owner = await world.member(world.lab)
    for purpose in ("", "?purpose=", "?purpose=because", "?purpose=request"):
        answer = await owner.http.get(EXPORT + purpose)
        assert answer.status_code == 422 and "what the copy is for" in answer.text
    noted = AuditEvent.action.in_((Action.ACCOUNT_EXPORTED, Action.DATA_EXPORTED))
    assert await world.rows(world.lab, AuditEvent, noted) == []
    assert "What is the copy for?" in (await owner.open("/account/export")).words
    await taken(owner)
    first, *others = await world.rows(world.lab, AuditEvent, noted, order=AuditEvent.number)
    assert first.facts == {"purpose": "leaving", "people": 2, "left_out": 0}
    assert first.subject == f"account:{world.lab.account}" and first.actor == f"member:{world.lab.owner}"
    assert {one.subject for one in others} == {f"participant:{one.person}" for one in (world.anna, world.ben)}
    assert "took along everything" in (await owner.open("/audit")).words


async def test_only_an_owner_takes_it_along_and_of_their_own_account(world: World) -> None:
    await world.registered(world.anna)
    for browser, status in (
        (world.browser(), 401),
        (await world.member(world.lab, Role.RESEARCHER), 403),
        (await world.member(world.lab, Role.OBSERVER), 403),
        (await world.guest(world.anna), 401),
        (await world.guest(world.anna, Scope.ROOM), 401),
        (await world.guest(world.ben), 401),
    ):
        for path in ("/account/export", f"{EXPORT}?purpose=leaving"):
            answer = await browser.http.get(path, follow_redirects=False)
            assert answer.status_code in (status, 303) and "zip" not in answer.headers["content-type"]
            assert answer.status_code != 303 or answer.headers["location"].startswith("/sign-in")
    theirs = await taken(await world.member(world.other))
    everything = b"".join(theirs.read(name) for name in theirs.namelist())
    assert b"Gardens of the south" in everything and b"Anna" not in everything and b"Kitchen" not in everything


async def test_whoever_restricted_their_data_is_left_out_and_named_by_id_with_the_reason(world: World) -> None:
    """And so are notes of sessions they took part in, and who is being erased."""
    await world.registered(world.anna)
    await restrict(world)
    owner = await world.member(world.lab)
    cleo = await world.invite(world.lab, "Cleo", "cleo@people.example")
    async with world.wiring.database.transaction(world.lab.account) as db:
        await ask_erasure(
            db, account=world.lab.account, person=cleo.person, reason=ErasureReason.OWNER, asked_by="system",
            instruction="test",
        )  # fmt: skip
    await world.go_live(world.lab)
    await world.post(owner, f"/sessions/{world.lab.session}/notes", {"text": "Ben hesitates", "writing_ms": "0"})
    archive = await taken(owner)
    names = archive.namelist()
    assert [name for name in names if str(world.anna.person) in name]
    assert not [name for name in names if str(world.ben.person) in name or str(cleo.person) in name]
    everything = b"".join(archive.read(name) for name in names)
    for word in (b"ben@people", b"cleo@people", b"Ben"):
        assert word not in everything
    assert read(archive, "left-out.json") == [
        {"person": str(world.ben.person), "why": RESTRICTED},
        {"person": str(cleo.person), "why": "is being erased"},
    ]
    words = archive.read("README.txt").decode()
    assert f"{world.ben.person}: restricted" in words and f"{cleo.person}: is being erased" in words


async def test_who_restricts_while_it_is_made_is_left_out_and_who_is_no_owner_any_more_gets_no_more(
    world: World,
) -> None:
    await world.registered(world.anna)
    async with world.wiring.database.transaction(world.lab.account) as db:
        made = await begin_export(db, world.wiring, account=world.lab.account, by=world.lab.owner, purpose="leaving")
    assert set(made.people) == {world.anna.person, world.ben.person}
    await restrict(world)
    content = bytearray()
    await receive(world, made, content)
    archive = ZipFile(BytesIO(content))
    assert not [name for name in archive.namelist() if str(world.ben.person) in name]
    assert read(archive, "left-out.json") == [{"person": str(world.ben.person), "why": RESTRICTED}]
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Member).values(role=Role.RESEARCHER))
    begun = bytearray()
    with pytest.raises(Forbidden):
        await receive(world, made, begun)
    assert b"anna@people" not in begun
