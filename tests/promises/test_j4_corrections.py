"""J4-19b: what a participant corrects: name, address and words, alone and at once."""

from __future__ import annotations

import json
import re
from io import BytesIO
from zipfile import ZipFile

from app.accounts.models import Role, Scope
from app.audit import Action, AuditEvent
from app.library.corrections import open_correction
from app.library.models import LineCorrection
from app.mail.models import Suppression
from app.participants.models import AddressChange, Participant
from app.privacy.records.models import DataRequest
from app.sealed_columns import ERASED
from tests.promises.sources import HEARD
from tests.promises.test_j4_rights import mailed_code
from tests.promises.world import Guest, World
from workers.mail import send_mail
from workers.mailer import Outbox


async def test_j4_19b_a_participant_corrects_their_name(world: World):
    """At once and everywhere, without the owner's help; the old one can be read nowhere."""
    await world.registered(world.anna)
    guest = await world.guest(world.anna)
    assert (await world.post(guest, "/my-data/name", {"name": "Annika"})).status_code == 303
    [row] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    assert world.wiring.columns.open(world.lab.account, world.anna.person, "participant.name", row.name) == "Annika"
    owner = await world.member(world.lab)
    for browser, page in ((owner, f"/sessions/{world.lab.session}"), (owner, "/requests"), (guest, "/my-data")):
        words = (await browser.open(page)).words
        assert "Annika" in words and "Anna " not in words and "Anna)" not in words
    [request] = await world.rows(world.lab, DataRequest)
    assert (request.kind, request.state) == ("rectification", "done")


NEW = "annika@elsewhere.example"


async def code_to(world: World, address: str) -> str:
    """The code of the newest mail to this very address."""
    mail = [mail for mail in await world.mails(world.lab, person=world.anna.person) if mail.to == address][-1]
    found = re.search(r"^\d{6}$", mail.text, re.MULTILINE)
    assert found, mail.subject
    return found[0]


async def test_j4_19b_a_participant_corrects_their_address(world: World):
    """By a code to the new one; the old one is told and opens nothing any more, and can be read nowhere."""
    await world.registered(world.anna)
    guest, forwarded = await world.guest(world.anna), await world.guest(world.anna, Scope.ROOM)
    elsewhere = await world.guest(world.anna)  # whoever reads the old mailbox may have opened their data already
    await world.post(forwarded, "/my-data/code")
    old_code = await mailed_code(world, world.anna)
    assert (await world.post(guest, "/my-data/address", {"email": NEW})).status_code == 303
    assert world.anna.email in (await guest.open("/my-data")).words  # nothing changes before the code
    code = await code_to(world, NEW)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert (await world.post(guest, "/my-data/address/confirm", {"code": wrong})).status_code == 422
    assert (await world.post(guest, "/my-data/address/confirm", {"code": code})).status_code == 303
    assert (await world.post(guest, "/my-data/address/confirm", {"code": code})).status_code == 422  # once only
    assert (await world.post(elsewhere, "/my-data/address", {"email": "thief@elsewhere.example"})).status_code == 401
    owner = await world.member(world.lab)
    for browser, page in ((guest, "/my-data"), (owner, f"/sessions/{world.lab.session}")):
        words = (await browser.open(page)).words
        assert NEW in words and world.anna.email not in words
    assert (await world.post(forwarded, "/my-data/open", {"code": old_code})).status_code == 422
    await world.post(forwarded, "/my-data/code")
    last, fresh = (await world.mails(world.lab, person=world.anna.person))[-2:]
    assert last.to == world.anna.email and NEW not in last.text and "another e-mail address" in last.text
    assert fresh.to == NEW
    [row] = [row for row in await world.mail_rows(world.lab) if row.template == "address_changed"]
    await send_mail(world.wiring, Outbox(), world.lab.account, row.id)
    assert world.anna.email not in {mail.to for mail in await world.mails(world.lab, person=world.anna.person)}
    [request] = await world.rows(world.lab, DataRequest)
    assert (request.kind, request.state) == ("rectification", "done")
    found = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    assert found[0].email_index == world.wiring.columns.blind_index(world.lab.account, NEW.upper())


async def test_j4_19b_an_address_is_not_taken_from_anybody_and_nobody_is_told_who_has_it(world: World):
    await world.registered(world.anna)
    guest = await world.guest(world.anna)
    before = len(await world.mails(world.lab))
    same = await world.post(guest, "/my-data/address", {"email": world.ben.email})
    shown = (await guest.open("/my-data/address")).words
    other = await world.post(guest, "/my-data/address", {"email": "nobody@elsewhere.example"})
    assert (same.status_code, same.headers["location"]) == (other.status_code, other.headers["location"])
    also = (await guest.open("/my-data/address")).words
    assert shown.replace(world.ben.email, "") == also.replace("nobody@elsewhere.example", "")
    assert len(await world.mails(world.lab)) == before + 1  # nobody's mailbox but the free one gets a code
    for wrong in (world.anna.email.upper(), "anna", "", "a@b@c.example", "x" * 300 + "@a.example"):
        assert (await world.post(guest, "/my-data/address", {"email": wrong})).status_code == 422
    for _ in range(3):
        await world.post(guest, "/my-data/address", {"email": "nobody@elsewhere.example"})
    answer = await world.post(guest, "/my-data/address", {"email": "flood@elsewhere.example"})
    assert answer.status_code == 429  # an hour brings five codes at most
    await world.invite(world.lab, "Nora", "nobody@elsewhere.example")  # meanwhile somebody else has it
    code = await code_to(world, "nobody@elsewhere.example")
    refused = await world.post(guest, "/my-data/address/confirm", {"code": code})
    assert refused.status_code == 422 and "cannot be used" in refused.text
    assert world.anna.email in (await guest.open("/my-data")).words


async def test_j4_19b_only_who_proved_the_old_address_moves_it_and_an_unsubscription_moves_along(world: World):
    await world.registered(world.anna)
    for browser in (world.browser(), await world.guest(world.anna, Scope.ROOM), await world.member(world.lab)):
        for path in ("/my-data/address", "/my-data/address/confirm"):
            answer = await world.post(browser, path, {"email": NEW, "code": "123456"})
            assert answer.status_code == 401 or answer.status_code == 303
    assert await world.rows(world.lab, AddressChange) == []
    guest = await world.guest(world.anna)
    await world.post(guest, "/my-data/unsubscribe")
    await world.post(guest, "/my-data/address", {"email": NEW})
    await world.post(guest, "/my-data/address/confirm", {"code": await code_to(world, NEW)})
    assert "no more invitations" in (await guest.open("/my-data")).words
    blocked = {row.address_index for row in await world.rows(world.lab, Suppression)}
    columns = world.wiring.columns
    assert blocked == {columns.blind_index(world.lab.account, one) for one in (world.anna.email, NEW)}
    assert await world.rows(world.lab, AddressChange) == []


async def test_j4_19b_five_wrong_codes_end_a_correction_of_the_address(world: World):
    await world.registered(world.anna)
    guest = await world.guest(world.anna)
    await world.post(guest, "/my-data/address", {"email": NEW})
    code = await code_to(world, NEW)
    for number in range(1, 6):
        wrong = f"{(int(code) + number) % 1_000_000:06d}"
        assert (await world.post(guest, "/my-data/address/confirm", {"code": wrong})).status_code == 422
    assert (await world.post(guest, "/my-data/address/confirm", {"code": code})).status_code == 422
    [change] = await world.rows(world.lab, AddressChange)
    assert NEW.encode() not in change.address


async def corrections(world: World, guest: Guest) -> tuple[str, str, int]:
    """Where members and where the speaker correct the transcript, and where its one line begins."""
    transcript = await world.transcribed(guest)
    ours = f"/recordings/{transcript.recording_id}/transcript/corrections"
    [line] = re.findall(r"\?line=(\d+)", (await (await world.member(world.lab)).open(ours)).html)
    return ours, f"/my-data/recordings/{transcript.recording_id}/transcript", int(line)


async def test_j4_19b_a_wrong_word_of_a_transcript_is_corrected(world: World):
    """By either side, at once and wherever it is read; what was heard, who corrected it and when stays beside it."""
    ours, mine, line = await corrections(world, world.anna)
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    sent = await world.post(owner, ours, {"start_ms": str(line), "text": "turmeric and thyme"})
    assert sent.status_code == 303
    assert "turmeric and thyme" in (await guest.open(mine)).words
    with ZipFile(BytesIO((await guest.http.get("/my-data/export.zip")).content)) as copy:
        data = json.loads(copy.read("data.json"))
    assert [row["by"] for row in data["line_correction"]] == ["owner"]  # a member's own id is theirs
    assert str(world.lab.owner) not in json.dumps(data["line_correction"])
    assert (await world.post(guest, mine, {"start_ms": str(line), "text": "saffron and thyme"})).status_code == 303
    for browser, page in ((owner, ours), (guest, mine)):
        words = (await browser.open(page)).words
        assert "saffron and thyme" in words and "turmeric" not in words
        assert "Corrected by Anna" in words and f"Heard by the computer: {HEARD}" in words
    review = (await owner.open(f"/sessions/{world.lab.session}/review")).words
    assert "saffron and thyme" in review and "Corrected by Anna" in review
    for form in ("vtt", "srt", "txt"):
        copy = await owner.http.get(f"{ours.removesuffix('/corrections')}/{form}?purpose=report")
        said = re.sub(r"<[\d:.]+>", "", copy.text)
        assert "saffron and thyme" in said and HEARD not in said
    await world.post(guest, mine, {"start_ms": str(line), "text": HEARD})  # said again, what was heard is no correction
    assert "Corrected" not in (await guest.open(mine)).words
    events = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.LINE_CORRECTED)
    assert len(events) == 3 and not any("saffron" in str(event.facts) for event in events)


async def test_j4_19b_nobody_else_corrects_a_transcript_and_no_line_is_made_up(world: World):
    ours, mine, line = await corrections(world, world.anna)
    await world.registered(world.ben)
    said = {"start_ms": str(line), "text": "pepper"}
    cast = [
        (world.browser(), 401, 401),
        (await world.member(world.other), 404, 401),
        (await world.member(world.lab, Role.OBSERVER), 403, 401),
        (await world.guest(world.ben), 401, 404),
        (await world.guest(world.anna, Scope.ROOM), 401, 401),
    ]
    for browser, to_ours, to_mine in cast:
        for path, refused in ((ours, to_ours), (mine, to_mine)):
            answer = await world.post(browser, path, said)
            assert answer.status_code == refused or "/sign-in" in answer.headers.get("location", ""), path
    guest = await world.guest(world.anna)
    wrong = [
        ("7", "pepper", 404),
        (str(line), "", 422),
        (str(line), "x" * 2_001, 422),
        ("-1", "a", 422),
        ("x", "a", 422),
    ]
    for start_ms, text, status in wrong:
        assert (await world.post(guest, mine, {"start_ms": start_ms, "text": text})).status_code == status
    assert await world.rows(world.lab, LineCorrection) == []


async def test_j4_19b_a_correction_goes_with_its_transcript_and_is_sealed_until_then(world: World):
    ours, mine, line = await corrections(world, world.anna)
    guest = await world.guest(world.anna)
    await world.post(guest, mine, {"start_ms": str(line), "text": "kurkumazeppelin"})
    await world.post(guest, "/my-data/restrict")
    assert "kurkumazeppelin" in (await guest.open(mine)).words  # theirs to read, and nobody else's
    assert (await (await world.member(world.lab)).http.get(ours)).status_code == 404
    [row] = await world.rows(world.lab, LineCorrection)
    assert b"kurkuma" not in row.text
    await world.post(guest, f"/my-data/{world.lab.session}/withdraw", {"kind": "transcript"})
    assert (await guest.http.get(mine)).status_code == 404
    await world.work()
    assert await world.rows(world.lab, LineCorrection) == []
    assert open_correction(world.wiring.columns, row, world.anna.person) == ERASED  # an old copy of the row, too


async def test_j4_19b_what_replaces_a_name_leaves_no_old_one_behind(world: World):
    """Registering replaces the name the owner typed: the old one can be read nowhere."""
    await world.post(world.browser(), world.anna.link, {"name": "Annika", "email": world.anna.email})
    owner = await world.member(world.lab)
    words = (await owner.open(f"/sessions/{world.lab.session}")).words
    assert "Annika" in words and "Anna " not in words
