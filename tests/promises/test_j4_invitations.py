"""J4-01 to J4-04: inviting and registering take a name and an address, and nothing else."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.accounts.models import Login, Member
from app.invitations.models import Invitation
from app.mail.models import MailState, OutgoingMail
from app.participants.models import Participant
from app.room.models import Presence
from app.settings import Settings, SettingsError
from app.third_parties import third_parties
from tests.contracts.test_mailer import Carrier
from tests.promises.world import Guest, World, text_fields
from workers.mail import send_mail

TYPED = {"name": "Anna", "email": "anna@people.example"}


async def nothing_stored(world: World, guest: Guest) -> bool:
    [row] = await world.rows(guest.lab, Participant, Participant.id == guest.person)
    logins = await world.rows(guest.lab, Login, Login.participant_id == guest.person)
    return row.registered_at is None and logins == []


async def test_j4_01_accepting_asks_for_exactly_name_and_address(world: World):
    page = await world.browser().open(world.anna.link)
    assert page.status == 200
    assert text_fields(page) == {"name", "email"}
    assert all(value == "" for form in page.forms for _, value in form.fields)  # a forwarded mail tells no name


async def test_j4_01_both_are_stored_sealed(world: World):
    browser = world.browser()
    page = await browser.open(world.anna.link)
    await browser.submit(page, world.anna.link, {"name": "Ann", "email": "Anna@People.example"})
    [row] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    columns, account = world.wiring.columns, world.lab.account
    assert columns.open(account, world.anna.person, "participant.name", row.name) == "Ann"
    assert columns.open(account, world.anna.person, "participant.email", row.email).casefold() == world.anna.email
    assert row.registered_at is not None
    assert b"Ann" not in row.name and b"nna" not in row.email


async def test_j4_01_more_fields_than_asked_for_are_refused(world: World):
    for extra in ("role", "account_id", "phone", "registered_at", "consent"):
        answer = await world.post(world.browser(), world.anna.link, TYPED | {extra: "owner"})
        assert answer.status_code == 422, extra
        assert "set-cookie" not in answer.headers
    assert await nothing_stored(world, world.anna)


async def test_j4_01_half_a_form_stores_nothing(world: World):
    for typed in ({}, {"name": "Anna"}, {"email": TYPED["email"]}, TYPED | {"email": "anna at home"}):
        answer = await world.post(world.browser(), world.anna.link, typed)
        assert answer.status_code == 422, typed
    assert await nothing_stored(world, world.anna)


async def test_j4_01_a_mail_scanner_that_opens_the_link_spends_nothing(world: World):
    scanner = world.browser()
    for method in ("GET", "HEAD", "GET", "OPTIONS"):
        answer = await scanner.http.request(method, world.anna.link)
        assert "set-cookie" not in answer.headers
    assert await nothing_stored(world, world.anna)
    assert (await world.post(world.browser(), world.anna.link, TYPED)).status_code == 303


async def test_j4_01_links_that_do_not_work_show_one_page_and_store_nothing(world: World):
    """Expired or withdrawn, nobody learns which: both name whom to ask. Invented, changed by one letter or of somebody
    erased: nobody learns that there was anything."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    carl = await world.invite(world.lab, "Carl", "carl@people.example")
    await world.change(world.lab, Invitation, world.anna.invitation, expires_at=past)
    await world.change(world.lab, Invitation, world.ben.invitation, revoked_at=past)
    await world.change(world.lab, Participant, carl.person, erased_at=past)
    other = await world.invite(world.other, "Anna", world.anna.email)
    changed = other.link[:-2] + ("AA" if other.link[-2:] != "AA" else "BB")
    pages: dict[str, set[str]] = {}
    for link in (world.anna.link, world.ben.link, carl.link, "/i/" + "x" * 43, changed):
        for answer in (
            await world.browser().http.get(link),
            await world.post(world.browser(), link, TYPED),
        ):
            assert answer.status_code == 404
            assert "set-cookie" not in answer.headers
            pages.setdefault(answer.text.replace(link.rpartition("/")[2], "TOKEN"), set()).add(link)
    [known, unknown] = sorted(pages.values(), key=len)
    assert (known, len(unknown)) == ({world.anna.link, world.ben.link}, 3)
    for guest in (world.anna, world.ben, other):
        assert await nothing_stored(world, guest)


async def test_j4_01_a_link_passed_on_later_cannot_change_the_address(world: World):
    await world.registered(world.anna)
    await world.post(world.browser(), world.anna.link, {"name": "Mallory", "email": "mallory@evil.example"})
    [row] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    kept = world.wiring.columns.open(world.lab.account, world.anna.person, "participant.email", row.email)
    assert kept == world.anna.email


async def test_j4_02_accepting_makes_one_profile_for_the_owner_who_invited(world: World):
    await world.post(world.browser(), world.anna.link, TYPED)
    rows = await world.rows(world.lab, Participant, Participant.registered_at.is_not(None))
    assert [(row.id, row.account_id) for row in rows] == [(world.anna.person, world.lab.account)]


async def test_j4_02_pressing_twice_or_coming_again_makes_no_second_profile(world: World):
    for _ in range(3):
        assert (await world.post(world.browser(), world.anna.link, TYPED)).status_code == 303
    again = await world.invite(world.lab, "Anna", "ANNA@people.example", session=await second_session(world))
    assert again.person == world.anna.person
    assert len(await world.rows(world.lab, Participant)) == 2  # anna and ben


async def test_j4_02_two_owners_who_invite_one_address_have_two_unlinked_profiles(world: World):
    there = await world.invite(world.other, "Anna", world.anna.email)
    await world.registered(world.anna)
    await world.registered(there)
    [ours] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    [theirs] = await world.rows(world.other, Participant)
    assert ours.id != theirs.id
    assert ours.email_index != theirs.email_index
    assert ours.email != theirs.email
    assert await world.rows(world.other, Participant, Participant.email_index == ours.email_index) == []


async def test_j4_02_the_other_owner_finds_nothing_of_ours_even_without_a_where(world: World):
    await world.registered(world.anna)
    for model in (Participant, Invitation, OutgoingMail, Member, Presence):
        for row in await world.rows(world.other, model):
            assert row.account_id == world.other.account
    assert await world.rows(world.other, Participant) == []


async def test_j4_03_each_invitation_is_one_call_to_mailtrap(world: World, mailtrap: Carrier):
    for row in await world.mail_rows(world.lab):
        for _ in range(2):  # a job may run twice
            await send_mail(world.wiring, mailtrap.mailer, world.lab.account, row.id)
    assert [mail["to"] for mail in mailtrap.arrived] == [[world.anna.email], [world.ben.email]]
    assert all(mail["payload"]["category"] for mail in mailtrap.arrived)
    assert {row.state for row in await world.mail_rows(world.lab)} == {MailState.SENT}


async def test_j4_03_nobody_else_is_contacted_while_inviting(world: World, mailtrap: Carrier, monkeypatch):
    contacted: list[object] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: object) -> None:
        contacted.append(address)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", watched)
    carl = await world.invite(world.lab, "Carl", "carl@people.example")
    [row] = await world.mail_rows(world.lab, person=carl.person)
    await send_mail(world.wiring, mailtrap.mailer, world.lab.account, row.id)
    assert len(mailtrap.arrived) == 1
    port = int(mailtrap.mailer._client.api_host.rpartition(":")[2])  # type: ignore[attr-defined]
    assert {address for address in contacted if isinstance(address, tuple)} == {("127.0.0.1", port)}


def test_j4_03_whoever_sends_mail_stands_in_the_list_of_third_parties():
    named = {party.name for party in third_parties(Settings(mail="mailtrap"))}
    assert any("Mailtrap" in name for name in named)
    assert {party.name for party in third_parties(Settings(mail="smtp", smtp_host="mail.example"))} == {"mail.example"}
    with pytest.raises(SettingsError, match="JUNIER_MAIL"):
        Settings.from_env({"JUNIER_MAIL": "somebody-else", "JUNIER_MAIL_FROM": "x@x.example"})


async def test_j4_04_an_invitation_carries_name_address_and_links_and_nothing_more(world: World, mailtrap: Carrier):
    carl = await world.invite(world.lab, "Carl", "carl@people.example", words="Bring your favourite pan.")
    [row] = await world.mail_rows(world.lab, person=carl.person)
    await send_mail(world.wiring, mailtrap.mailer, world.lab.account, row.id)
    [mail] = mailtrap.arrived
    payload = mail["payload"]
    assert set(payload) == {"from", "to", "subject", "text", "html", "category", "headers"}
    assert payload["to"] == [{"email": "carl@people.example", "name": "Carl"}]
    everything = str(payload)
    for link in (carl.link, carl.unsubscribe):  # chance may spell a short name
        everything = everything.replace(link.rpartition("/")[2], "TOKEN")
    assert "Bring your favourite pan." in everything and "Kitchens of the north" in everything
    for not_theirs in ("Anna", "anna@", "Ben", "ben@", "first visit", "127.0.0.1", str(world.lab.account)):
        assert not_theirs not in everything
    assert set(payload["headers"]) == {
        "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "Reply-To", "Auto-Submitted",
    }  # fmt: skip


async def test_j4_04_nothing_in_the_mail_reports_opening_or_clicking(world: World):
    [mail] = await world.mails(world.lab, person=world.anna.person)
    assert not re.search(r"<(img|script|iframe|link|object)\b|url\(", mail.html, re.IGNORECASE)
    addresses = re.findall(r"https?://[^\s\"'<>]+", mail.text + mail.html)
    assert addresses
    assert {httpx.URL(address).host for address in addresses} == {"localhost"}


async def test_j4_04_what_stands_in_a_name_stays_words(world: World):
    for number, name in enumerate(["<b onclick=x>Zoë</b>", "{{ 7 * 7 }}{% raw %}", "A;,&\"' B", "=cmd()|x"]):
        zoe = await world.invite(world.lab, name, f"zoe{number}@people.example")
        [mail] = await world.mails(world.lab, person=zoe.person)
        assert name in mail.text and mail.name == name
        assert "49" not in mail.subject
        assert "<b onclick" not in mail.html


async def test_j4_04_a_name_that_would_forge_a_header_is_refused(world: World):
    owner = await world.member(world.lab)
    path = f"/sessions/{world.lab.session}/invitations"
    for name in ("Eve\r\nBcc: all@people.example", "Eve\nEve", "E\x00ve", "\u202eevE", "Eve\u2028x"):
        answer = await world.post(owner, path, {"name": name, "email": "eve@people.example"})
        assert answer.status_code == 422, name
    assert len(await world.mail_rows(world.lab)) == 2


async def test_j4_04_an_owner_invites_with_first_name_and_address_only(world: World):
    owner = await world.member(world.lab)
    page = await owner.open(f"/sessions/{world.lab.session}")
    [inviting] = [form for form in page.forms if form.action.endswith("/invitations")]
    assert inviting.offered == {"name", "email", "words"}


async def second_session(world: World):
    from app.sessions.service import schedule

    async with world.wiring.database.transaction(world.lab.account) as db:
        return await schedule(db, account=world.lab.account, study=world.lab.study, title="Second visit", group=True)
