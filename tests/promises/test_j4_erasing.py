"""J4-19c: erased at once, certified, and found nowhere; what goes wrong is said and completed."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, quote_plus
from uuid import uuid4

import pytest

from app.byte_scan import Hit, Scanned, find, scan_files, scan_store, scan_tables
from app.errors import JunierError
from app.jobs import TASKS, Queue
from app.ledger import ledger_of
from app.mail.models import OutgoingMail
from app.participants.consents import standing_consents
from app.privacy.erasing.certificate import verify_file
from app.privacy.erasing.epochs import is_due, renew_keys
from app.privacy.erasing.service import run_erasure
from app.privacy.records.models import Certificate, Erasure, ErasureState
from app.privacy.replaying import LedgerLost, Replayed, catch_up
from app.sessions.models import Recording, RecordingState, Track, Transcript, TranscriptState
from app.sessions.notes import write_note
from app.settings import Settings
from app.studies.models import ConsentKind
from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyPath
from recordings.model import RecordingRef
from recordings.storage.layout import person_prefix
from recordings.storage.memory import MemoryStore
from recordings.storage.store import Stored, StoreUnavailable
from tests.fixtures.weed import Weed
from tests.promises.byte_scan import database_files
from tests.promises.drill import backed_up, restored
from tests.promises.quiet_node import QuietNode
from tests.promises.sources import HEARD
from tests.promises.test_j4_rights import ask_to_be_erased
from tests.promises.world import ANSWERED, Guest, World, answer_after_the_session


async def test_j4_19c_erased_at_once_and_certified(world: World, tmp_path: Path):
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    owner = await world.member(world.lab)
    media = f"/recordings/{ref.recording}/media"
    assert (await owner.http.get(media)).status_code == 200
    receipt = await ask_to_be_erased(world, world.anna)
    assert (await owner.http.get(media)).status_code == 404  # before any worker has run
    await world.work()
    assert (await owner.http.get(media)).status_code == 404
    prefix = person_prefix(world.lab.account, world.lab.session, world.anna.person)
    assert list(world.wiring.store.remains(prefix)) == []
    with pytest.raises(KeyDestroyed):
        world.wiring.keys.unwrap(KeyPath(world.lab.account, world.anna.person))
    paper = tmp_path / "certificate.json"
    paper.write_bytes((await world.browser().http.get(f"{receipt}/certificate.json")).content)
    verdict = verify_file(paper)
    assert verdict.valid and verdict.document is not None and verdict.document["state"] == "complete"
    assert verdict.document["erased"]["objects"] > 3 and verdict.document["erased"]["keys"] >= 4
    changed = json.loads(paper.read_text())
    changed["document"]["erased"]["objects"] += 1
    paper.write_text(json.dumps(changed))
    assert not verify_file(paper).valid


async def test_j4_19c_the_others_keep_every_bit(world: World):
    first, second = [await world.record(await world.registered(guest)) for guest in (world.anna, world.ben)]
    await world.end(world.lab)
    before = await digest(world, second)
    await ask_to_be_erased(world, world.anna)
    await world.work()
    assert await digest(world, second) == before
    with pytest.raises(AssertionError):
        await digest(world, first)


async def test_j4_19c_old_links_logins_and_mails_are_dead(world: World):
    await world.registered(world.anna)
    browser = await world.guest(world.anna)
    await ask_to_be_erased(world, world.anna)
    await world.work()
    assert (await world.browser().http.get(world.anna.link)).status_code == 404
    assert (await browser.http.get("/my-data")).status_code == 401
    assert await world.mails(world.lab, person=world.anna.person) == []
    words = (await (await world.member(world.lab)).open(f"/sessions/{world.lab.session}")).words
    assert "Anna" not in words and world.anna.email not in words


def everywhere(world: World, superuser_url: str, owner_url: str, canaries: Sequence[str]) -> Scanned:
    """What `junier erasure scan` does."""
    places = [world.settings.data_dir, *database_files(superuser_url)]
    return scan_files(places, canaries) | scan_tables(owner_url, canaries) | scan_store(world.wiring.store, canaries)


CANARIES = {
    "name": "Kanarienvogel",
    "address": "carl.kanarienvogel@people.example",
    "spoken word": HEARD,
    "answer": ANSWERED,
    "correction": "muskatblütenlokomotive",
    "supplement": "birkenrindenkaleidoskop",
    "words of a request": "wacholderbeerenpendeluhr",
    "note": "quittengeleekarussell",
}
"""Everything that somebody can write or say here; no file of a participant's own is ever taken."""


@pytest.fixture
def kept_in_versions(world: World, weed: Weed) -> World:
    """The world with a real S3 bucket that keeps every version."""
    client, bucket = weed.client(), f"scan-{uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return replace(world, wiring=replace(world.wiring, store=weed.store(bucket)))


async def carl_who_left_canaries(world: World) -> tuple[Guest, bytes]:
    """He said and wrote all of them, or somebody about him. Also what his own copy and the review show of them."""
    carl = await world.invite(world.lab, CANARIES["name"], CANARIES["address"])
    transcript = await world.transcribed(carl)
    await answer_after_the_session(world, carl)
    guest, owner, columns = await world.guest(carl), await world.member(world.lab), world.wiring.columns
    about, export = f"/my-data/recordings/{transcript.recording_id}/transcript", "/my-data/export.zip"
    heard = (await guest.http.get(export)).content  # a correction stands in its place afterwards
    for path, form in (
        (about, {"start_ms": "100", "text": CANARIES["correction"]}),
        ("/my-data/supplements", {"about": str(transcript.recording_id), "words": CANARIES["supplement"]}),
        ("/my-data/requests", {"kind": "rectification", "words": CANARIES["words of a request"]}),
    ):
        assert (await world.post(guest, path, form)).status_code == 303, path
    async with world.wiring.database.transaction(world.lab.account) as db:
        session, text = world.lab.session, CANARIES["note"]
        await write_note(db, columns, session=session, member=world.lab.owner, text=text, writing=timedelta(0))
    copy = await guest.http.get(export)
    review = await owner.http.get(f"/sessions/{world.lab.session}/review")
    return carl, heard + copy.content + review.content


async def test_j4_19c_no_byte_of_it_is_left_anywhere(kept_in_versions: World, superuser_url: str, owner_url: str):
    """Everything personal is found by the same search before, in the copy that he can take; and nowhere as bytes."""
    world, canaries = kept_in_versions, tuple(CANARIES.values())
    carl, shown = await carl_who_left_canaries(world)
    assert {hit.canary for hit in find(shown, canaries)} == set(range(len(canaries)))  # the search finds what is there
    before = everywhere(world, superuser_url, owner_url, canaries)
    assert before.hits == () and before.objects > 3  # sealed from the first moment
    await ask_to_be_erased(world, carl)
    await world.work()
    looked = everywhere(world, superuser_url, owner_url, canaries)
    assert looked.hits == () and looked.unread == ()
    assert looked.files > 100 and looked.tables > 30 and looked.bytes > 10_000_000
    assert not [thing for thing in world.wiring.store.remains("") if str(carl.person) in thing.key]  # no version either
    [row] = await world.rows(world.lab, Transcript)
    assert row.state == TranscriptState.ERASED and row.words is None
    review = await (await world.member(world.lab)).http.get(f"/sessions/{world.lab.session}/review")
    assert list(find(review.content, canaries)) == []


@pytest.mark.parametrize("fault", ["the store is down", "the media process is silent", "killed while destroying"])
async def test_j4_19c_what_goes_wrong_is_said_tried_again_and_completed(world: World, monkeypatch, fault: str):
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    await ask_to_be_erased(world, world.anna)
    [erasure] = await world.rows(world.lab, Erasure)
    node = QuietNode()
    with monkeypatch.context() as broken:
        if fault == "the store is down":
            broken.setattr(world.wiring.store, "remains", unavailable)
        elif fault == "the media process is silent":
            broken.setattr(node, "erase", silent)
        else:
            broken.setattr(world.wiring.store, "delete", killed)
        if fault == "killed while destroying":
            with pytest.raises(KeyboardInterrupt):
                await run_erasure(world.wiring, world.lab.account, erasure.id, nodes=node)
        else:
            outcome = await run_erasure(world.wiring, world.lab.account, erasure.id, nodes=node)
            assert outcome.state is ErasureState.PARTIAL and outcome.reasons
    owner = await world.member(world.lab)
    assert (await owner.http.get(f"/recordings/{ref.recording}/media")).status_code == 404
    with pytest.raises(KeyDestroyed):  # whatever may still lie there opens with nothing
        world.wiring.keys.unwrap(KeyPath(world.lab.account, world.anna.person))
    outcome = await run_erasure(world.wiring, world.lab.account, erasure.id, nodes=QuietNode())
    assert outcome.state is ErasureState.COMPLETE
    assert list(world.wiring.store.remains(person_prefix(ref.account, ref.session, ref.person))) == []


async def test_j4_19c_an_old_copy_of_the_keys_is_useless_within_a_day(world: World, tmp_path: Path):
    """The job that every installation runs; the thief has yesterday's store, and the master key of today."""
    keys, settings = world.wiring.keys, world.settings
    await world.registered(world.anna)
    shutil.copytree(settings.keys_folder, tmp_path / "copy")
    person = KeyPath(world.lab.account, world.anna.person)
    await ask_to_be_erased(world, world.anna)
    await world.work()

    def stolen() -> bytes:
        shutil.rmtree(tmp_path / "thief", ignore_errors=True)
        shutil.copytree(tmp_path / "copy", tmp_path / "thief")
        return DirectoryKeyStore(tmp_path / "thief", settings.master_key_path).unwrap(person)

    assert len(stolen()) == 32  # the danger is real
    began = keys.check().epoch_began
    assert began is not None and not await renew_keys(world.wiring, began + timedelta(hours=12))
    assert len(stolen()) == 32
    assert await renew_keys(world.wiring, began + timedelta(hours=24))
    with pytest.raises(KeyDamaged):
        stolen()
    assert len(keys.unwrap(KeyPath(world.lab.account, world.ben.person))) == 32


def test_j4_19c_keys_are_renewed_by_themselves():
    assert TASKS["rotate"].queue is Queue.LIGHT
    epoch, now = Settings().key_epoch_hours, datetime(2026, 11, 22, tzinfo=UTC)
    assert epoch == 24 and is_due(now - timedelta(hours=24), epoch, now) and is_due(None, epoch, now)
    assert not is_due(now - timedelta(hours=23), epoch, now)


async def test_j4_19c_a_key_store_that_is_not_the_one_confirms_nothing(world: World, tmp_path: Path):
    """An empty folder in the place of the keys says of each key that it is not there."""
    await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    await ask_to_be_erased(world, world.anna)
    [erasure] = await world.rows(world.lab, Erasure)
    empty = replace(world.wiring, keys=DirectoryKeyStore(tmp_path / "not-mounted"))
    outcome = await run_erasure(empty, world.lab.account, erasure.id, nodes=QuietNode())
    assert outcome.state is ErasureState.PARTIAL and any("key store" in reason for reason in outcome.reasons)
    outcome = await run_erasure(world.wiring, world.lab.account, erasure.id, nodes=QuietNode())
    assert outcome.state is ErasureState.COMPLETE
    [*_, paper] = await world.rows(world.lab, Certificate, order=Certificate.issued_at)
    assert paper.document["backups_until"] == f"{paper.issued_at.date() + timedelta(days=35)}"


async def test_j4_19c_a_restored_backup_is_erased_again_before_it_serves(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """Back up, erase, restore the older backup, start: nothing of the erased person is served or left."""
    carl = await world.invite(world.lab, "Kanarienvogel", "carl.kanarienvogel@people.example")
    await world.transcribed(carl)
    await answer_after_the_session(world, carl)
    [recording] = await world.rows(world.lab, Recording)
    file = await backed_up(world, owner_url, tmp_path)
    await ask_to_be_erased(world, carl)
    await world.work()
    async with restored(world, file, empty_urls) as (then, replayed):
        assert (replayed.erasures, replayed.open) == (1, 0)
        [row] = await then.rows(then.lab, Recording)
        assert row.state == RecordingState.ERASED and row.erased_at and row.index_key is None
        owner = await then.member(then.lab)
        assert (await owner.http.get(f"/recordings/{recording.id}/media")).status_code == 404
        assert (await then.browser().http.get(carl.link)).status_code == 404
        words = (await owner.open(f"/sessions/{then.lab.session}")).words
        assert "Kanarienvogel" not in words and "Ben" in words  # the others are there
        [erasure] = await then.rows(then.lab, Erasure)
        [paper] = await then.rows(then.lab, Certificate)
        assert erasure.state == paper.state == "complete" and paper.document["asked_by"] == f"participant:{carl.person}"
        assert await then.rows(then.lab, OutgoingMail, OutgoingMail.person_id == carl.person) == []
        canaries = ("Kanarienvogel", carl.email, HEARD, ANSWERED)
        kept = [then.settings.data_dir, *database_files(empty_urls["superuser"])]
        assert (scan_files(kept, canaries) | scan_tables(empty_urls["owner"], canaries)).hits == ()
        assert await catch_up(then.wiring, then.node) == Replayed()  # the next start has nothing to do


async def test_j4_19c_what_was_withdrawn_after_the_backup_stays_withdrawn(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    ref = await world.record(await world.registered(world.anna))
    file = await backed_up(world, owner_url, tmp_path)
    guest = await world.guest(world.anna)
    gone = await world.post(guest, f"/my-data/{world.lab.session}/withdraw", {"kind": "video"})
    assert gone.status_code == 303, gone.text
    await world.end(world.lab)
    assert [row.kind for row in await world.rows(world.lab, Track, Track.erased_at.is_not(None))] == ["camera"]
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed.erasures == 1
        assert [row.kind for row in await then.rows(then.lab, Track, Track.erased_at.is_not(None))] == ["camera"]
        async with then.wiring.database.transaction(then.lab.account) as db:
            standing = await standing_consents(db, session=then.lab.session, participant=then.anna.person)
        assert ConsentKind.VIDEO not in standing and ConsentKind.AUDIO in standing
        [row] = await then.rows(then.lab, Recording, Recording.id == ref.recording)
        assert row.state != RecordingState.ERASED


@pytest.mark.parametrize("wrong", ["gone", "shorter", "another"])
async def test_j4_19c_a_restored_backup_does_not_start_without_its_ledger(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str], wrong: str
):
    ledger = ledger_of(world.settings)
    await ask_to_be_erased(world, world.ben)
    await world.work()
    file = await backed_up(world, owner_url, tmp_path)
    await ask_to_be_erased(world, world.anna)
    await world.work()
    if wrong == "shorter":
        ledger.path.write_bytes(ledger.path.read_bytes().splitlines(keepends=True)[0])
    else:
        ledger.path.unlink()
    if wrong == "another":
        ledger.start()
    with pytest.raises(LedgerLost):
        async with restored(world, file, empty_urls):
            pass


async def digest(world: World, ref: RecordingRef) -> str:
    owner = await world.member(world.lab)
    answer = await owner.http.get(f"/recordings/{ref.recording}/media")
    assert answer.status_code == 200
    return sha256(answer.content).hexdigest()


def unavailable(prefix: str) -> Iterator[Stored]:
    raise StoreUnavailable("connection refused")


def killed(things: Sequence[Stored]) -> None:
    raise KeyboardInterrupt


async def silent(url: str, prefix: str) -> None:
    raise JunierError


def test_j4_19c_the_search_finds_every_spelling():
    canary = 'carl."ä" & kanarienvogel@people.example'
    plain = canary.encode()
    hidden = {
        "plain": plain,
        "UTF-16": canary.encode("utf-16-le"),
        "UTF-16 2": canary.encode("utf-16-be"),
        "base64": base64.b64encode(plain),
        "base64 shifted once": base64.b64encode(b"x" + plain + b"rest"),
        "base64 shifted twice": base64.urlsafe_b64encode(b"xy" + plain + b"rest"),
        "URL": quote_plus(canary).encode(),
        "URL in small letters": quote(canary, safe="").replace("%22", "%22").lower().encode(),
        "JSON": json.dumps([canary]).encode(),
        "HTML": html.escape(canary).encode(),
        "hex": plain.hex().encode(),
        "gzip": gzip.compress(plain),
        "gzip in the middle": b"head" * 99 + gzip.compress(b"x" * 9999 + plain) + b"tail",
        "zlib": b"head" + zlib.compress(plain),
        "zip": zipped(canary),
        "gzip in zip": zipped(gzip.compress(json.dumps(canary).encode())),
    }
    assert {name for name, content in hidden.items() if not list(find(content, [canary]))} == set()
    assert list(find(b"nothing here" + os.urandom(100_000), [canary])) == []


def zipped(content: str | bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", content)
    return made.getvalue()


def test_j4_19c_the_scan_says_where_and_what_it_could_not_read(tmp_path: Path):
    (tmp_path / "deep" / "logs").mkdir(parents=True)
    (tmp_path / "deep" / "logs" / "web.log").write_bytes(b"x" * 1000 + b"Kanarienvogel")
    (tmp_path / "empty").touch()
    looked = scan_files([tmp_path], ["absent", "Kanarienvogel"])
    [hit] = looked.hits
    assert hit == Hit(where=str(tmp_path / "deep" / "logs" / "web.log"), canary=1, spelling="plain", at=1000)
    assert (looked.files, looked.bytes) == (2, 1013)
    store = MemoryStore()
    store.put("a/b", b"one")
    store.put("a/c", b"the Kanarienvogel")
    looked = scan_store(store, ["Kanarienvogel"])
    assert [hit.where for hit in looked.hits] == ["object a/c"] and looked.objects == 2
