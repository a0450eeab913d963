"""J4-17, J4-18: unsubscribing is one click, needs nothing, and holds for every way to invite."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.errors import Conflict
from app.invitations.models import Invitation
from app.invitations.service import revoke
from app.mail.models import MailState, Suppression
from app.mail.service import queue
from app.participants.models import Participant
from app.privacy.erasing.service import ask_erasure, run_erasure
from app.privacy.records.models import ErasureReason, ErasureState
from tests.contracts.test_mailer import Carrier
from tests.promises.drill import backed_up, restored
from tests.promises.world import Guest, World
from workers.mail import send_mail

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def unsubscribe(world: World, guest: Guest) -> httpx.Response:
    """As a mail program does it: no cookie, no Origin."""
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url=world.settings.origin) as program:
        return await program.post(guest.unsubscribe, data=ONE_CLICK)


async def suppressed(world: World, guest: Guest) -> bool:
    return len(await world.rows(guest.lab, Suppression)) == 1


async def test_j4_17_a_mail_already_queued_is_not_sent(world: World, mailtrap: Carrier):
    await unsubscribe(world, world.anna)
    for row in await world.mail_rows(world.lab):
        await send_mail(world.wiring, mailtrap.mailer, world.lab.account, row.id)
    assert [mail["to"] for mail in mailtrap.arrived] == [[world.ben.email]]


async def test_j4_17_a_mail_queued_in_the_same_moment_is_not_sent(world: World, mailtrap: Carrier):
    """Written behind the back of every check: the sender asks the list once more."""
    await unsubscribe(world, world.anna)
    async with world.wiring.database.transaction(world.lab.account) as db:
        mail = await queue(
            db,
            world.wiring.columns,
            settings=world.settings,
            account=world.lab.account,
            person=world.anna.person,
            template="invitation",
            key="a-reminder",
            optional=True,
            context={
                "account_name": "x", "study_title": "x", "contact_name": "x", "contact_email": "x@x.example",
                "notice_date": date(2026, 11, 22), "when": "", "words": "", "link": "x",
                "unsubscribe_link": "x",
            },
            to_name="Anna",
            to_email=world.anna.email,
        )  # fmt: skip
    assert mail is not None
    await send_mail(world.wiring, mailtrap.mailer, world.lab.account, mail)
    assert mailtrap.arrived == []
    assert MailState.SUPPRESSED in {row.state for row in await world.mail_rows(world.lab) if row.id == mail}


async def test_j4_17_inviting_again_is_refused_however_the_address_is_written(world: World):
    await unsubscribe(world, world.anna)
    async with world.wiring.database.transaction(world.lab.account) as db:
        await revoke(db, session=world.lab.session, invitation=world.anna.invitation)
    for spelling in (
        "anna@people.example",
        "ANNA@PEOPLE.EXAMPLE",
        " Anna@people.example ",
        "anna@people．example",
        "ａnna@people.example",
    ):
        with pytest.raises(Conflict, match="unsubscribed"):
            await world.invite(world.lab, "Anna", spelling)


async def test_j4_17_an_address_of_a_foreign_script_is_recognised_in_both_spellings(world: World):
    zoe = await world.invite(world.lab, "Zoë", "zoe@bücher.example")
    await unsubscribe(world, zoe)
    with pytest.raises(Conflict):
        await world.invite(world.lab, "Zoë", "zoe@xn--bcher-kva.example")


async def test_j4_17_the_other_owner_is_not_affected(world: World, mailtrap: Carrier):
    await unsubscribe(world, world.anna)
    there = await world.invite(world.other, "Anna", world.anna.email)
    [row] = await world.mail_rows(world.other, person=there.person)
    await send_mail(world.wiring, mailtrap.mailer, world.other.account, row.id)
    assert len(mailtrap.arrived) == 1
    assert await world.rows(world.other, Suppression) == []


async def test_j4_17_it_survives_the_erasure_of_the_profile(world: World):
    await unsubscribe(world, world.anna)
    async with world.wiring.database.transaction(world.lab.account) as db:
        erasure = await ask_erasure(
            db,
            account=world.lab.account,
            person=world.anna.person,
            reason=ErasureReason.REQUEST,
            asked_by=f"participant:{world.anna.person}",
            instruction="my data",
        )
    outcome = await run_erasure(world.wiring, world.lab.account, erasure.id, nodes=world.node)
    assert outcome.state is ErasureState.COMPLETE
    with pytest.raises(Conflict, match="unsubscribed"):
        await world.invite(world.lab, "Anna", world.anna.email)


async def test_j4_17_registering_cannot_move_a_person_to_an_address_that_is_not_blocked(world: World):
    answer = await world.post(world.browser(), world.anna.link, {"name": "Anna", "email": "anna@work.example"})
    assert answer.status_code == 422
    [row] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    assert row.registered_at is None
    assert row.email_index == world.wiring.columns.blind_index(world.lab.account, world.anna.email)


async def test_j4_17_it_survives_the_restore_of_an_older_backup(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str], mailtrap: Carrier
):
    """By the link and in my data: neither is invited again, nor mailed what the backup still has in its queue."""
    file = await backed_up(world, owner_url, tmp_path)
    await unsubscribe(world, world.anna)
    there = await world.invite(world.lab, "Carl", "carl@people.example")  # after the backup: no row knows him
    await unsubscribe(world, there)
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed.addresses == 2
        for row in await then.mail_rows(then.lab):
            await send_mail(then.wiring, mailtrap.mailer, then.lab.account, row.id)
        assert mailtrap.arrived == []  # what waited in the backup may have been sent since
        async with then.wiring.database.transaction(then.lab.account) as db:
            await revoke(db, session=then.lab.session, invitation=then.anna.invitation)
        for name, email in (("Anna", world.anna.email), ("Carl", "CARL@people.example")):
            with pytest.raises(Conflict, match="unsubscribed"):
                await then.invite(then.lab, name, email)
        await then.invite(then.other, "Anna", world.anna.email)  # the other account is not affected


async def test_j4_17_an_unsubscribing_that_cannot_be_made_to_last_is_not_confirmed(world: World, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("app.ledger_file.os.fsync", full)
        assert (await unsubscribe(world, world.anna)).status_code >= 500
    assert not await suppressed(world, world.anna)
    assert (await unsubscribe(world, world.anna)).status_code == 200
    assert await suppressed(world, world.anna)


async def test_j4_18_the_words_stand_in_both_parts_and_the_headers_are_one_click(world: World):
    [mail] = await world.mails(world.lab, person=world.anna.person)
    assert "Unsubscribe from invitations" in mail.text
    link = re.search(r'<a[^>]+href="([^"]+)"[^>]*>Unsubscribe from invitations</a>', mail.html)
    assert link and httpx.URL(link[1]).path == world.anna.unsubscribe
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<https?://[^<>,\s]+>", mail.headers["List-Unsubscribe"])


async def test_j4_18_opening_the_page_changes_nothing(world: World):
    for method in ("GET", "HEAD", "GET"):
        answer = await world.browser().http.request(method, world.anna.unsubscribe)
        assert "set-cookie" not in answer.headers
    page = await world.browser().open(world.anna.unsubscribe)
    assert "Unsubscribe from invitations" in page.words
    assert page.form("/unsubscribe/").offered == set()  # asks nothing
    assert not await suppressed(world, world.anna)


async def test_j4_18_one_post_is_enough_whatever_its_body(world: World):
    """No cookie, no Origin, no redirect (RFC 8058 §3.1)."""
    carl = await world.invite(world.lab, "Carl", "carl@people.example")
    bodies = ({"data": ONE_CLICK}, {"files": {"List-Unsubscribe": (None, "One-Click")}}, {})
    transport = httpx.ASGITransport(world.app)
    for guest, body in zip((world.anna, world.ben, carl), bodies, strict=True):
        async with httpx.AsyncClient(transport=transport, base_url=world.settings.origin) as program:
            for _ in range(2):  # and again does no harm
                answer = await program.post(guest.unsubscribe, **body)  # type: ignore[arg-type]
                assert answer.status_code == 200
                assert "set-cookie" not in answer.headers and "location" not in answer.headers
    assert len(await world.rows(world.lab, Suppression)) == 3


async def test_j4_18_it_works_from_a_page_on_another_site_and_with_the_button(world: World):
    headers = {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"}
    answer = await world.browser().http.post(world.anna.unsubscribe, data=ONE_CLICK, headers=headers)
    assert answer.status_code == 200
    browser = world.browser()
    done = await browser.submit(await browser.open(world.ben.unsubscribe), "/unsubscribe/")
    assert "You are unsubscribed" in done.words
    assert len(await world.rows(world.lab, Suppression)) == 2


async def test_j4_18_many_clicks_at_once_are_one(world: World):
    answers = await asyncio.gather(*(unsubscribe(world, world.anna) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert await suppressed(world, world.anna)


async def test_j4_18_it_works_years_later(world: World):
    long_ago = datetime.now(UTC) - timedelta(days=3650)
    await world.change(
        world.lab, Invitation, world.anna.invitation, expires_at=long_ago, created_at=long_ago, revoked_at=long_ago
    )
    assert (await unsubscribe(world, world.anna)).status_code == 200
    assert await suppressed(world, world.anna)


async def test_j4_18_an_invented_link_is_told_nothing_and_does_nothing(world: World):
    for token in ("x" * 43, world.anna.link.rpartition("/")[2], world.anna.unsubscribe.rpartition("/")[2][:-1] + "!"):
        answer = await world.browser().http.post(f"/unsubscribe/{token}", data=ONE_CLICK)
        assert answer.status_code == 404
    assert not await suppressed(world, world.anna)


async def test_j4_18_the_link_can_do_nothing_but_unsubscribe(world: World):
    token = world.anna.unsubscribe.rpartition("/")[2]
    for method, path in (("GET", f"/i/{token}"), ("POST", f"/i/{token}"), ("POST", f"/i/{token}/data")):
        headers = {"Origin": world.settings.origin}
        answer = await world.browser().http.request(method, path, headers=headers)
        assert answer.status_code == 404 and "set-cookie" not in answer.headers
    [row] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    assert row.registered_at is None
