"""J4-19a: everything held about a participant, as one file they take along; complete by the schema, of nobody else."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from zipfile import ZipFile

import httpx
import pytest

from app.accounts.models import Role, Scope
from app.audit import Action, AuditEvent
from app.demo.browser import Browser
from app.models import metadata
from app.privacy.records.inventory import INVENTORY, About
from app.privacy.records.models import DataRequest
from app.privacy.rights.copy_rows import OPENERS
from app.privacy.rights.zipped import CHECKSUMS, Archive, File, text_file
from app.sessions.notes import write_note
from app.studies.models import ConsentKind
from tests.promises.sources import HEARD
from tests.promises.world import ANSWERED, World, answer_after_the_session
from tests.recordings.scene import play

MINE = "/my-data/export.zip"


async def filled(world: World) -> str:
    """Anna was recorded, written down, corrected, asked and watched; Ben too. Where Anna's words are corrected."""
    await world.record(await world.registered(world.ben, {ConsentKind.VIDEO}))
    transcript = await world.transcribed(world.anna)
    await answer_after_the_session(world, world.anna)
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    await owner.http.get(f"/recordings/{transcript.recording_id}/media")
    await world.post(guest, "/my-data/requests", {"kind": "rectification", "words": "Something small is wrong."})
    async with world.wiring.database.transaction(world.lab.account) as db:
        about = {"session": world.lab.session, "member": world.lab.owner, "writing": timedelta(0)}
        await write_note(db, world.wiring.columns, text="Ben hesitates", **about)  # type: ignore[arg-type]
    return f"/my-data/recordings/{transcript.recording_id}/transcript"


def unpacked(answer: httpx.Response) -> dict[str, bytes]:
    """What is in the file, once its checksums fit."""
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-type"] == "application/zip" and "no-store" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    sums = dict(reversed(line.split("  ")) for line in files.pop(CHECKSUMS).decode().splitlines())
    assert sums == {name: sha256(content).hexdigest() for name, content in files.items()}
    return files


async def test_j4_19a_everything_held_comes_as_one_zip(world: World):
    words = await filled(world)
    guest = await world.guest(world.anna)
    [line] = (await guest.open(words)).html.split("?line=")[1:]
    await world.post(guest, words, {"start_ms": line.partition("#")[0], "text": "turmeric"})
    files = unpacked(await guest.http.get(MINE))
    assert sorted(files) == [
        "README.txt", "answers.json", "consents.json", "data.json", "history.json",
        "recordings/1-camera.webm", "transcripts/1-camera.txt", "transcripts/1-camera.vtt", "who-has-it.json",
    ]  # fmt: skip
    assert set(play(files["recordings/1-camera.webm"])) == {"video", "audio"}
    assert b"turmeric" in files["transcripts/1-camera.vtt"] and HEARD.encode() not in files["transcripts/1-camera.txt"]
    [answers] = json.loads(files["answers.json"])
    assert answers["answers"] == [{"question": "Anything else?", "answer": ANSWERED}]
    consents = json.loads(files["consents.json"])
    assert {entry["kind"] for entry in consents} == {"video", "audio", "screen", "transcript"}
    assert all("how you cook" in entry["text"] and entry["given"] for entry in consents)
    history = json.loads(files["history.json"])
    assert [e["who"] for e in history if e["action"] == Action.RECORDING_VIEWED] == ["owner"]
    assert {e["who"] for e in history} == {"owner", "you", "the platform"}
    where = json.loads(files["who-has-it.json"])
    assert where["controller"] == ["Kitchen Lab"] and where["platform"]["contact"] == "help@platform.example"
    readme = files["README.txt"].decode()
    assert "Anna" in readme and "recordings/1-camera.webm" in readme and "data protection authority" in readme


async def test_j4_19a_the_copy_has_every_column_that_is_about_them(world: World):
    await filled(world)
    files = unpacked(await (await world.guest(world.anna)).http.get(MINE))
    data = json.loads(files["data.json"])
    assert data["participant"][0]["name"] == "Anna" and data["participant"][0]["email"] == world.anna.email
    assert data["data_request"][0]["words"] == "Something small is wrong."
    expected = {name for name, kept in INVENTORY.items() if kept.copied or kept.opened} - {"audit_event"}
    assert set(data) == expected
    for table, rows in data.items():
        columns = {*INVENTORY[table].copied.split(), *INVENTORY[table].opened.split()}
        assert all(set(row) - {"files"} == columns for row in rows), table
    filled_ones = {table for table, rows in data.items() if rows}
    assert expected - filled_ones <= {"address_change", "data_code", "suppression", "presence", "line_correction",
                                      "erasure", "certificate", "request_item", "supplement",
                                      "disclosure", "recipient_notice"}  # fmt: skip


async def test_j4_19a_the_copy_holds_nothing_of_anybody_else_and_opens_nothing(world: World):
    await filled(world)
    forwarded = await world.guest(world.anna, Scope.ROOM)
    await world.post(forwarded, "/my-data/code")
    files = unpacked(await (await world.guest(world.anna)).http.get(MINE))
    whole = b"\n".join(files.values()).decode(errors="ignore")
    written = b"\n".join(content for name, content in files.items() if not name.endswith(".webm")).decode()
    assert "Ben" not in written, "three letters, which chance may spell in a film"
    for other in (world.ben.email, str(world.ben.person), "hesitates", "Other Lab", "Otto"):
        assert other not in whole, other
    tokens = [world.anna.link.rpartition("/")[2], world.anna.unsubscribe.rpartition("/")[2]]
    code = next(line for line in (await world.mails(world.lab, person=world.anna.person))[-1].text.splitlines()
                if line.isdigit())  # fmt: skip
    for secret in (*tokens, f"\n{code}\n", f"\\n{code}\\n"):
        assert secret not in whole
    hashes = {column for kept in INVENTORY.values() for column in kept.secret.split()}
    data = json.loads(files["data.json"])
    assert not [column for rows in data.values() for row in rows for column in row if column in hashes]


async def test_j4_19a_only_whoever_proved_the_address_takes_it_and_it_is_noted(world: World):
    await filled(world)
    cast: list[tuple[Browser, int]] = [
        (world.browser(), 401),
        (await world.guest(world.anna, Scope.ROOM), 401),
        (await world.member(world.lab), 401),
        (await world.member(world.other), 401),
    ]
    for browser, status in cast:
        answer = await browser.http.get(MINE, follow_redirects=False)
        assert answer.status_code == status or answer.status_code == 303
        assert b"PK" not in answer.content[:2]
    theirs = unpacked(await (await world.guest(world.ben)).http.get(MINE))
    assert b"anna" not in b"".join(theirs.values()).lower()
    events = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.DATA_EXPORTED)
    assert [event.actor for event in events] == [f"participant:{world.ben.person}"]


async def test_j4_19a_the_owner_makes_the_copy_for_a_request_and_for_nothing_else(world: World):
    words = await filled(world)
    guest, owner = await world.guest(world.anna), await world.member(world.lab)
    [line] = (await guest.open(words)).html.split("?line=")[1:]
    await world.post(guest, words, {"start_ms": line.partition("#")[0], "text": "turmeric"})
    await world.post(guest, "/my-data/requests", {"kind": "access"})
    rows = {row.kind: f"/requests/{row.id}" for row in await world.rows(world.lab, DataRequest)}
    assert (await owner.http.get(f"{rows['rectification']}/export.zip")).status_code == 409
    path = f"{rows['access']}/export.zip"
    for role, status in ((Role.RESEARCHER, 403), (Role.OBSERVER, 403)):
        assert (await (await world.member(world.lab, role)).http.get(path)).status_code == status
    assert (await (await world.member(world.other)).http.get(path)).status_code == 404
    assert path in (await owner.open(rows["access"])).html
    files = unpacked(await owner.http.get(path))
    assert "recordings/1-camera.webm" in files and b"Ben" not in files["data.json"]
    await world.post(guest, "/my-data/restrict")  # kept, and shown to nobody but them
    for browser, where, has in ((owner, path, False), (guest, MINE, True)):
        files = unpacked(await browser.http.get(where))
        assert ("recordings/1-camera.webm" in files) is has
        assert (ANSWERED.encode() in files["answers.json"]) is (b"turmeric" in files["data.json"]) is has
        assert ("not shown: the participant asked for that" in files["README.txt"].decode()) is not has
    await world.post(owner, f"{rows['access']}/answer", {"outcome": "granted", "words": "Here it is."})
    assert (await owner.http.get(path)).status_code == 409


async def test_j4_19a_what_is_being_erased_is_in_no_copy(world: World):
    await filled(world)
    guest = await world.guest(world.anna)
    for kind in ("video", "audio"):
        await world.post(guest, f"/my-data/{world.lab.session}/withdraw", {"kind": kind})
    files = unpacked(await guest.http.get(MINE))
    assert not [name for name in files if name.startswith(("recordings/", "transcripts/"))]
    await world.post(guest, "/my-data/erase")
    assert (await guest.http.get(MINE, follow_redirects=False)).status_code in (303, 401)


def test_j4_19a_every_column_of_every_table_is_in_the_inventory_once():
    """A column that nobody has thought about fails here: say whose it is and whether it belongs in the copy."""
    declared = {table: Counter(kept.columns()) for table, kept in INVENTORY.items()}
    actual = {table.name: Counter(column.name for column in table.columns) for table in metadata.sorted_tables}
    assert declared == actual


def test_j4_19a_whatever_is_sealed_of_a_participant_can_be_opened_for_them():
    opened = {(table, column) for table, kept in INVENTORY.items() for column in kept.opened.split()}
    assert set(OPENERS) == opened
    sealed = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if INVENTORY[table.name].about is About.PARTICIPANT and str(column.type) in ("BLOB", "BYTEA")
    }
    left_out = {("recording", "held_words"), ("consent", "text_hash")}  # the owner's own words; a fingerprint
    hidden = {(t, c) for t, kept in INVENTORY.items() for c in (kept.secret + " " + kept.inner).split()}
    assert sealed - opened - hidden == left_out


def test_j4_19a_a_large_copy_is_sent_in_pieces_and_a_changed_file_ends_it():
    piece = bytes(1 << 20)

    def film() -> Iterator[bytes]:
        for _ in range(200):
            yield piece

    archive = Archive([text_file("a.txt", b"a"), File(path="film.webm", size=200 << 20, read=film)])
    tracemalloc.start()
    size = sum(len(part) for part in archive.read())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == archive.size > 200 << 20
    assert peak < 8 << 20
    short = Archive([File(path="film.webm", size=3, read=lambda: [b"ab"])])
    with pytest.raises(ValueError, match="changed"):
        list(short.read())
