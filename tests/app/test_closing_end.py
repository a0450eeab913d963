"""The end of a closed account: its certificate beside those of its persons, its own key, and that no name of anybody is
left: not of people, not of members removed long ago, not of owners."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zipfile import ZipFile

import httpx
from sqlalchemy import update

from app.accounts.members import remove_member
from app.accounts.models import Account, Login, Member, Role, SignInAddress
from app.accounts.service import ask_sign_in
from app.audit import Action, AuditEvent, verify
from app.byte_scan import scan_tables
from app.ledger import ledger_of
from app.ledger_entries import AccountGone
from app.mail.models import MailState, OutgoingMail, Suppression
from app.privacy.erasing.account_certificate import digest
from app.privacy.erasing.account_papers import closed_path
from app.privacy.erasing.certificate import (
    ACCOUNT_FORMAT,
    certificate_file,
    public_bytes,
    sign,
    signing_key,
    verify_file,
)
from app.privacy.erasing.receipts import receipt_token
from app.privacy.keeping.closing_job import run_closing
from app.privacy.records.models import AccountCertificate, Certificate, Erasure, ErasureState
from app.sessions.models import Recording
from app.studies.models import ConsentText, QuestionKind, Tally
from app.studies.questions import QuestionInput, add_question
from app.studies.tallies import add_answer
from recordings.encryption.keystore import KeyPath, KeyStoreUnavailable
from recordings.model import PersonId
from tests.app.test_closing_grace import NAME, TODAY, account
from tests.promises.conftest import world
from tests.promises.drill import backed_up, restored
from tests.promises.world import Lab, World

__all__ = ["world"]

WORDS = ("Kitchen Lab", "Kitchens of the north")
CHOICE = "By gas, never by wood"
NAMES = (
    *("Olga Ostrowska", "olga@lab.example", "Rufus Gone", "rufus@lab.example", "researcher@lab.example"),
    *("anna@people.example", "ben@people.example", "Hesitates"),
)
LATER, LONG_AGO = datetime.now(UTC) + timedelta(days=30), datetime.now(UTC) - timedelta(days=1)


async def mails_arrive(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(OutgoingMail).values(state=MailState.SENT))


async def closed(world: World) -> None:
    """Today, and all that follows but the last mails."""
    assert (await world.post(await world.member(world.lab), TODAY, NAME)).status_code == 303
    await world.work()


async def gone(world: World) -> None:
    await closed(world)
    await mails_arrive(world)
    await run_closing(world.wiring, world.lab.account, nodes=world.node)


async def papers(world: World) -> list[AccountCertificate]:
    return await world.rows(world.lab, AccountCertificate, order=AccountCertificate.issued_at)


async def lived_in(world: World) -> UUID:
    """Somebody was recorded, a note was written, a member was removed long ago. Returns who that was."""
    await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    owner, rufus = await world.member(world.lab), {"name": "Rufus Gone", "email": "rufus@lab.example"}
    assert (await world.post(owner, "/members", {**rufus, "role": "researcher"})).status_code == 303
    [row] = await world.rows(world.lab, Member, Member.role == Role.RESEARCHER)
    async with world.wiring.database.transaction(world.lab.account) as db:
        await remove_member(db, member=row.id)
    await world.member(world.lab, Role.RESEARCHER)
    await world.post(owner, f"/sessions/{world.lab.session}/notes", {"text": "Hesitates", "writing_ms": "0"})
    await world.post(world.browser(), world.ben.unsubscribe)
    return row.id  # type: ignore[no-any-return]


async def counted(world: World, lab: Lab, choice: str) -> None:
    """Of answers long gone it stays how often this was chosen."""
    options = (choice, "Not at all")
    asked = QuestionInput(kind=QuestionKind.CHOICE, prompt="How do you cook?", required=False, options=options)
    async with world.wiring.database.transaction(lab.account) as db:
        question = await add_question(db, study=lab.study, asked=asked, by="system")
        await add_answer(db, account=lab.account, question=question, chosen=[choice])


async def test_the_last_mail_arrives_before_the_key_goes_and_its_link_outlives_the_account(world: World) -> None:
    await lived_in(world)
    await closed(world)
    assert (await account(world)).gone_at is None  # the mail with the link waits still
    assert await papers(world) == []
    told = [mail for mail in await world.mails(world.lab) if "closed and erased" in mail.subject]
    assert {mail.to for mail in told} == {"olga@lab.example", "help@platform.example"}
    link = closed_path(world.settings, world.lab.account)
    assert all(link in mail.text for mail in told)
    [to_contact] = [mail for mail in told if mail.to == "help@platform.example"]
    assert "Kitchen Lab" not in to_contact.subject + to_contact.text
    owner = await world.member(world.lab)
    assert link in (await owner.open("/erasures")).html
    await mails_arrive(world)
    await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert (await account(world)).gone_at is not None
    assert (await owner.http.get("/erasures")).status_code == 401
    async with world.wiring.database.transaction() as db:
        await ask_sign_in(db, world.wiring, email=world.lab.owner_email)  # no link: nobody is there
    assert await world.mail_rows(world.lab) == []
    page = await world.browser().open(link)
    assert "closed and erased" in page.words and "2" in page.words
    for word in (*NAMES, *WORDS):
        assert word not in page.html
    wrong = link[:-2] + ("AA" if not link.endswith("AA") else "BB")
    for path in (wrong, f"/closed/{uuid4()}", closed_path(world.settings, world.other.account)):
        assert (await world.browser().http.get(path)).status_code == 404
        assert (await world.browser().http.get(f"{path}/certificate.json")).status_code == 404


async def test_one_certificate_names_those_of_the_persons_by_digest_and_is_checked_without_us(
    world: World, tmp_path: Path
) -> None:
    rufus = await lived_in(world)
    researcher = (await world.rows(world.lab, Member, Member.email_index.is_not(None), Member.removed_at.is_(None)))[0]
    members = {str(row.id) for row in await world.rows(world.lab, Member)}
    await gone(world)
    link = closed_path(world.settings, world.lab.account)
    file = tmp_path / "account.json"
    file.write_bytes((await world.browser().http.get(f"{link}/certificate.json")).content)
    verdict = verify_file(file)
    assert verdict.valid and "Complete: the account is closed" in verdict.sentence
    content = verdict.document
    assert content is not None and content["state"] == "complete" and content["not_verified"] == []
    by_person = {one["person"]: one for one in content["persons"]}
    assert set(by_person) == {str(world.anna.person), str(world.ben.person)}
    newest: dict[str, Certificate] = {}
    for paper in await world.rows(world.lab, Certificate, order=Certificate.issued_at):
        newest[str(paper.document["scope"]["person"])] = paper
    for person, one in by_person.items():
        assert one["certificate"] == str(newest[person].id) and one["state"] == "complete"
        assert one["sha256"] == digest(newest[person].document)
    answer = await world.browser().http.get(f"{link}/persons.zip")
    with ZipFile(BytesIO(answer.content)) as archive:
        for one in content["persons"]:
            beside = json.loads(archive.read(f"certificates/{one['receipt']}.json"))
            assert digest(beside["document"]) == one["sha256"]
    assert set(content["members_removed"]) == members and {str(rufus), str(researcher.id)} <= members
    assert str(world.lab.account) in content["keys"]
    assert {f"{world.lab.account}/{member}" for member in members} <= set(content["keys"])
    assert any("audit log" in one["what"] for one in content["stays"]) and any(
        "ledger" in one["what"] for one in content["stays"]
    )
    text = file.read_text()
    assert not [word for word in (*NAMES, *WORDS) if word in text]
    changed = json.loads(text)
    changed["document"]["members_removed"] = []
    file.write_text(json.dumps(changed))
    assert not verify_file(file).valid


async def test_no_name_and_no_word_of_it_stays_but_ids_and_the_ledger_do(world: World, owner_url: str) -> None:
    """Names lie sealed before: what would open them is destroyed, and the rows that held them are gone."""
    rufus = await lived_in(world)
    await counted(world, world.lab, CHOICE)
    await counted(world, world.other, "By wood")
    seen = {hit.canary for hit in scan_tables(owner_url, (*WORDS, CHOICE)).hits}
    assert seen == {0, 1, 2}  # the scan sees what is there
    people = [row.id for row in await world.rows(world.lab, Member)] + [world.anna.person, world.ben.person]
    assert all(world.wiring.keys.exists(KeyPath(world.lab.account, PersonId(one))) for one in people)
    await gone(world)
    assert scan_tables(owner_url, (*WORDS, *NAMES, CHOICE)).hits == ()
    assert await world.rows(world.lab, Tally) == [] and len(await world.rows(world.other, Tally)) == 1
    assert {row.text for row in await world.rows(world.lab, ConsentText)} == {""}
    for model in (Member, OutgoingMail, Suppression, Login):
        assert await world.rows(world.lab, model) == []
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert await db.get(SignInAddress, (b"", world.lab.account)) is None
        assert (await verify(db, world.lab.account)).intact
    keys = world.wiring.keys
    assert not any(keys.exists(KeyPath(world.lab.account, PersonId(one))) for one in people)
    assert not keys.exists(KeyPath(world.lab.account))
    assert list(world.wiring.store.remains(f"{world.lab.account}/")) == []
    subjects = {event.subject for event in await world.rows(world.lab, AuditEvent)}
    assert {f"member:{rufus}", f"member:{world.lab.owner}", f"account:{world.lab.account}"} <= subjects
    lines = [one.entry for one in ledger_of(world.settings).lines() if one.entry.account == world.lab.account]
    assert isinstance(lines[-1], AccountGone) and len(lines) > 4
    raw = ledger_of(world.settings).path.read_text()
    assert not [word for word in (*NAMES, *WORDS) if word in raw]
    theirs = await world.member(world.other)  # the other account lives on
    assert "Otto Other" in (await theirs.open("/members")).words


async def test_the_certificate_is_partial_while_a_hold_keeps_something_and_then_complete(world: World) -> None:
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    await world.change(world.lab, Recording, ref.recording, held_reason="complaint", held_until=LATER)
    await closed(world)
    [paper] = await papers(world)
    assert paper.state == "partial" and paper.document["keys"] == []
    [reason] = paper.document["not_verified"]
    assert "not complete (held)" in reason and "A hold keeps recording" in reason
    told = [mail for mail in await world.mails(world.lab) if "not erased yet" in mail.subject]
    assert [mail.to for mail in told] == ["olga@lab.example"]
    owner = await world.member(world.lab)
    assert "1 of 2 erasures are complete. 1 person is left" in (await owner.open("/erasures")).words
    page = await world.browser().open(closed_path(world.settings, world.lab.account))
    assert "A hold keeps recording" in page.words and "1 person is not erased yet" in page.words
    await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert len(await papers(world)) == 1 and (await account(world)).gone_at is None  # nothing new is said
    assert world.wiring.keys.exists(KeyPath(world.lab.account))
    await world.change(world.lab, Recording, ref.recording, held_until=LONG_AGO)
    await world.work()
    await mails_arrive(world)
    await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert [one.state for one in await papers(world)] == ["partial", "complete"]
    assert {one.state for one in await world.rows(world.lab, Erasure)} == {ErasureState.COMPLETE}


def test_a_signed_file_that_says_too_little_is_no_certificate(tmp_path: Path) -> None:
    key, file = signing_key(tmp_path), tmp_path / "file.json"
    for content in ({"format": ACCOUNT_FORMAT}, {"format": ACCOUNT_FORMAT, "persons": 3, "state": "complete"}):
        file.write_bytes(certificate_file(content, sign(content, key), public_bytes(key)))
        verdict = verify_file(file)
        assert not verdict.valid and "not an erasure certificate" in verdict.sentence


class Silent:
    """A key store that cannot say whether the account's key is gone."""

    def __init__(self, keys: Any) -> None:
        self.keys = keys

    def __getattr__(self, name: str) -> Any:
        return getattr(self.keys, name)

    def destroy(self, path: KeyPath) -> int:
        raise KeyStoreUnavailable


async def test_a_key_store_that_does_not_confirm_makes_it_partial_and_it_is_tried_again(world: World) -> None:
    await closed(world)
    await mails_arrive(world)
    deaf = replace(world.wiring, keys=Silent(world.wiring.keys))
    await run_closing(deaf, world.lab.account, nodes=world.node)
    assert (await account(world)).gone_at is None
    [paper] = await papers(world)
    assert paper.state == "partial"
    assert any("did not confirm" in reason for reason in paper.document["not_verified"])
    assert any("can still be unwrapped" in reason for reason in paper.document["not_verified"])
    await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert (await account(world)).gone_at is not None
    assert [one.state for one in await papers(world)] == ["partial", "complete"]
    of_the_end = AuditEvent.action == Action.ACCOUNT_GONE
    done = await world.rows(world.lab, AuditEvent, of_the_end, order=AuditEvent.number)
    assert [event.facts["state"] for event in done] == ["partial", "complete"]


async def test_receipts_of_its_persons_open_when_it_is_gone(world: World) -> None:
    await world.registered(world.anna)
    await gone(world)
    [one] = await world.rows(world.lab, Erasure, Erasure.person_id == world.anna.person)
    token = receipt_token(signing_key(world.settings.data_dir), world.lab.account, one.id)
    answer: httpx.Response = await world.browser().http.get(f"/receipt/{token}")
    assert answer.status_code == 200 and "(erased)" not in answer.text
    assert (await world.browser().http.get(world.anna.link)).status_code == 404


async def test_a_backup_from_before_comes_back_closed_and_signs_nobody_in(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
) -> None:
    await world.record(await world.registered(world.anna))
    cookie = await world.member_cookie(world.lab)
    file = await backed_up(world, owner_url, tmp_path)
    await gone(world)
    async with restored(world, file, empty_urls) as (then, _):
        row = await account(then)
        assert row.closed_at is not None
        assert (await then.browser(cookie).http.get("/erasures")).status_code == 401
        assert (await then.browser().http.get(world.anna.link)).status_code == 404
        await then.work()
        assert (await account(then)).gone_at is not None
        assert await then.rows(then.lab, Member) == []
        assert scan_tables(empty_urls["owner"], (*WORDS, *NAMES)).hits == ()
        [paper] = await papers(then)
        assert paper.state == "complete"
        assert (await then.rows(then.other, Account))[0].name == "Other Lab"
