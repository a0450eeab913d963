"""J4-19c, J4-08: what was taken away or taken back after a backup stays so when that backup is restored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

import app.privacy.replaying as replaying
from app.accounts.login import SignedIn
from app.accounts.members import change_role, remove_member
from app.accounts.models import Member, Passkey, Role, Scope
from app.accounts.passkeys import remove_passkey
from app.accounts.service import add_member
from app.database import Database
from app.errors import Conflict
from app.invitations.models import Invitation
from app.invitations.service import revoke
from app.ledger import ledger_of
from app.mail.models import MailState, OutgoingMail
from app.participants.consents import standing_consents
from app.participants.service import study_notice
from app.privacy.erasing.withdrawal import withdraw
from app.privacy.records.grounds import Ground
from app.privacy.records.models import DataRequest, Erasure, RequestKind, RequestState
from app.privacy.replaying import Replayed, catch_up, settle
from app.privacy.rights.address import ask_address, confirm_address, mail_address_code
from app.privacy.rights.deciding import lift
from app.privacy.rights.lifting import lift_when_told
from app.privacy.rights.requests import ask
from app.sessions.models import Recording, Track
from app.studies.models import ConsentKind, Study
from recordings.model import PersonId
from tests.promises.drill import backed_up, restored
from tests.promises.world import Guest, World
from workers.mail import send_mail
from workers.mailer import Outbox

CORRECTED = "anna.new@people.example"


async def a_member(world: World, role: Role) -> PersonId:
    async with world.wiring.database.transaction(world.lab.account) as db:
        return await add_member(
            db, world.wiring.columns, account=world.lab.account, name=role, email=f"{role}@lab.example", role=role
        )


async def a_passkey(world: World, member: PersonId) -> Passkey:
    """Its row; nobody has the other half."""
    secret = uuid4().bytes
    row = Passkey(
        id=uuid4(),
        account_id=world.lab.account,
        member_id=member,
        credential_hash=secret,
        credential_id=secret,
        public_key=b"",
        sign_count=0,
        name=b"",
    )
    async with world.wiring.database.transaction(world.lab.account) as db:
        db.add(row)
    return row


def login_of(world: World, member: PersonId) -> SignedIn:
    """Just signed in."""
    return SignedIn(
        login_id=uuid4(),
        account=world.lab.account,
        scope=Scope.MEMBER,
        member=member,
        role=Role.RESEARCHER,
        since=datetime.now(UTC),
    )


async def test_j4_08_who_was_taken_out_after_a_backup_is_out_when_it_is_restored(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    account = world.lab.account
    rita, oscar, fresh = [await a_member(world, role) for role in (Role.RESEARCHER, Role.OBSERVER, Role.OWNER)]
    lost, kept = await a_passkey(world, fresh), await a_passkey(world, fresh)
    file = await backed_up(world, owner_url, tmp_path)
    async with world.wiring.database.transaction(account) as db:
        await remove_member(db, member=rita)
        await change_role(db, member=oscar, role=Role.OWNER)
        await change_role(db, member=oscar, role=Role.OBSERVER)  # the last word counts
        await change_role(db, member=fresh, role=Role.RESEARCHER)
        await remove_passkey(db, login=login_of(world, fresh), passkey=lost.id)
        await revoke(db, session=world.lab.session, invitation=world.ben.invitation)
        await revoke(db, session=world.lab.session, invitation=world.anna.invitation)
    await world.invite(world.lab, "Anna", world.anna.email)  # again, by another link
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(others=5)
        members = {row.id: (row.role, row.removed_at) for row in await then.rows(then.lab, Member)}
        assert members[rita][1] is not None
        assert members[oscar] == (Role.OBSERVER, None) and members[fresh] == (Role.RESEARCHER, None)
        assert [row.id for row in await then.rows(then.lab, Passkey)] == [kept.id]
        assert len([row for row in await then.rows(then.lab, Invitation) if row.revoked_at is not None]) == 2
        for guest in (world.anna, world.ben):  # the new link is lost with the database, the old one is closed
            assert (await then.browser().http.get(guest.link)).status_code == 404
        with psycopg.connect(empty_urls["owner"]) as owner:
            [(addresses,)] = owner.execute("SELECT count(*) FROM sign_in_address WHERE member = %s", (rita,)).fetchall()
        assert addresses == 0
        assert await catch_up(then.wiring, then.node) == Replayed()


async def test_j4_08_a_member_who_was_added_again_is_not_taken_out_by_an_old_line(world: World, monkeypatch):
    """Neither by the hourly look nor by a start: what the database knows better stays."""
    account = world.lab.account
    await catch_up(world.wiring, world.node)
    rita = await a_member(world, Role.RESEARCHER)
    async with world.wiring.database.transaction(account) as db:
        await remove_member(db, member=rita)
    owner = await world.member(world.lab)
    form = {"name": "Rita", "email": "researcher@lab.example", "role": "observer"}
    assert (await world.post(owner, "/members", form)).status_code == 303
    [removed, added] = ledger_of(world.settings).lines()
    assert (removed.entry.event, added.entry.event) == ("member", "member")
    with monkeypatch.context() as patched:
        patched.setattr(replaying, "SETTLED", timedelta(microseconds=-1))
        await settle(world.wiring, world.node)
    [row] = await world.rows(world.lab, Member, Member.id == rita)
    assert (row.role, row.removed_at) == (Role.OBSERVER, None)
    assert await catch_up(world.wiring, world.node) == Replayed()


async def test_j4_08_what_a_member_who_was_taken_out_signed_in_with_stays_gone_though_they_were_added_again(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """Owners do it in this order when a device was stolen."""
    rita = await a_member(world, Role.RESEARCHER)
    await a_passkey(world, rita)
    file = await backed_up(world, owner_url, tmp_path)
    async with world.wiring.database.transaction(world.lab.account) as db:
        await remove_member(db, member=rita)
    form = {"name": "Rita", "email": "researcher@lab.example", "role": "researcher"}
    assert (await world.post(await world.member(world.lab), "/members", form)).status_code == 303
    async with restored(world, file, empty_urls) as (then, replayed):
        assert await then.rows(then.lab, Passkey) == []
        [row] = await then.rows(then.lab, Member, Member.id == rita)
        assert (row.role, row.removed_at) == (Role.RESEARCHER, None)
        assert replayed == Replayed(others=1)


async def test_j4_19c_what_participants_took_back_after_a_backup_stays_taken_back(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """A consent before anything was recorded, one whose erasure had not begun, a restriction, and an address."""
    account = world.lab.account
    anna, ben = await world.registered(world.anna), await world.registered(world.ben)
    ref = await world.record(ben)
    file = await backed_up(world, owner_url, tmp_path)
    async with world.wiring.database.transaction(account) as db:
        study = await db.get_one(Study, world.lab.study)
        _, shown = await study_notice(db, world.wiring.columns, world.settings, account=account, study=study)
        for person in (anna.person, ben.person):
            await withdraw(
                db,
                account=account,
                participant=person,
                session=world.lab.session,
                kind=ConsentKind.VIDEO,
                shown=shown,
            )
        first = await ask(db, world.wiring, account=account, participant=ben.person, kind=RequestKind.RESTRICTION)
    await move(world, anna, CORRECTED)
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(asked=1, others=4)
        tracks = await then.rows(then.lab, Track, Track.recording_id == ref.recording)
        assert {row.kind for row in tracks if row.closed_at is not None} == {"camera"}
        assert {row.kind for row in tracks if row.closed_at is None} == {"voice"}
        [erasure] = await then.rows(then.lab, Erasure)  # asked for anew, for the workers that start now
        assert (erasure.recording_ids, erasure.track_kinds) == ([ref.recording], ["camera"])
        async with then.wiring.database.transaction(account) as db:
            standing = await standing_consents(db, session=then.lab.session, participant=anna.person)
        assert ConsentKind.VIDEO not in standing and ConsentKind.AUDIO in standing
        owner = await then.member(then.lab)
        [request] = await then.rows(then.lab, DataRequest, DataRequest.erasure_id.is_(None))
        assert (request.id, request.state, request.receipt) == (first.id, RequestState.IN_FORCE, first.receipt)
        assert (await owner.http.get(f"/recordings/{ref.recording}/media")).status_code in (403, 404, 409)
        await the_old_address_is_nobody(then, anna)
        assert await catch_up(then.wiring, then.node) == Replayed()
        assert len(await then.rows(then.lab, Erasure)) == 1


async def the_old_address_is_nobody(then: World, anna: Guest) -> None:
    """No code goes there; pages say so; the new one counts again once the researcher invites it."""
    before = len(await then.mail_rows(then.lab))
    guest = await then.guest(anna, Scope.ROOM)
    assert "no longer know your e-mail address" in (await guest.open("/my-data")).words
    assert (await then.post(guest, "/my-data/code")).status_code == 409
    assert len(await then.mail_rows(then.lab)) == before
    owner = await then.member(then.lab)
    words = (await owner.open(f"/sessions/{then.lab.session}")).words
    assert "ask for it and invite again" in words and anna.email not in words
    again = await then.invite(then.lab, "Anna", CORRECTED)
    assert again.person == anna.person
    assert (await then.post(guest, "/my-data/code")).status_code == 303
    assert (await then.mails(then.lab, person=anna.person))[-1].to == CORRECTED
    with pytest.raises(Conflict):
        await then.invite(then.lab, "Anna", CORRECTED)


async def move(world: World, guest: Guest, email: str) -> None:
    """The guest's address becomes `email`, as by the pages of My data."""
    account = guest.lab.account
    async with world.wiring.database.transaction(account) as db:
        asked = await ask_address(db, world.wiring, account=account, participant=guest.person, email=email)
    await mail_address_code(world.wiring, asked)
    async with world.wiring.database.transaction(account) as db:
        assert await confirm_address(
            db, world.wiring, account=account, participant=guest.person, login=uuid4(), code=asked.code
        )


async def test_j4_19b_what_was_lifted_is_not_restricted_again_by_an_old_line(world: World, monkeypatch):
    """The database that was never restored knows better; only what it does not know is done again."""
    account = world.lab.account
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    await catch_up(world.wiring, world.node)
    async with world.wiring.database.transaction(account) as db:
        asked = await ask(db, world.wiring, account=account, participant=ref.person, kind=RequestKind.RESTRICTION)
    async with world.wiring.database.transaction(account) as db:
        row = await lift(
            db, world.wiring, request=asked.id, words="Settled.", ground=Ground.SETTLED, by=world.lab.owner
        )
        mail = await db.get_one(OutgoingMail, row.mail_id)
        mail.state = MailState.SENT
        await db.flush()
        assert await lift_when_told(db, asked.id)
    assert [line.entry.event for line in ledger_of(world.settings).lines()] == ["restricted"]
    assert await catch_up(world.wiring, world.node) == Replayed()
    [recording] = await world.rows(world.lab, Recording)
    assert recording.restricted_at is None


async def test_j4_19c_a_replay_that_died_goes_on_where_it_was(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str], monkeypatch
):
    """Each line is a transaction of its own: what was done before the crash stays done."""
    ledger = ledger_of(world.settings)
    people = [await a_member(world, role) for role in (Role.RESEARCHER, Role.OBSERVER)]
    file = await backed_up(world, owner_url, tmp_path)
    async with world.wiring.database.transaction(world.lab.account) as db:
        for member in people:
            await remove_member(db, member=member)
    done: list[object] = []

    async def dies(db: object, entry: object) -> object:
        if done:
            raise KeyboardInterrupt
        done.append(entry)
        return await real(db, entry)  # type: ignore[arg-type]

    real = replaying.do_again
    with monkeypatch.context() as patched:
        patched.setattr(replaying, "do_again", dies)
        with pytest.raises(KeyboardInterrupt):
            async with restored(world, file, empty_urls):
                pass
    with psycopg.connect(empty_urls["owner"]) as owner:
        assert owner.execute("SELECT count(*) FROM member WHERE removed_at IS NOT NULL").fetchone() == (1,)
        [(position,)] = owner.execute("SELECT position FROM ledger_mark").fetchall()
    assert position < ledger.size()
    database = Database(empty_urls["app"])
    try:
        assert await catch_up(replace(world.wiring, database=database), world.node) == Replayed(others=1)
    finally:
        await database.close()


async def test_j4_19c_mails_that_waited_in_a_backup_are_not_sent_again_and_people_see_why(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    file = await backed_up(world, owner_url, tmp_path)
    async with restored(world, file, empty_urls) as (then, _):
        rows = await then.mail_rows(then.lab)
        assert {row.state for row in rows} == {MailState.NOT_SENT} and len(rows) == 2
        outbox = Outbox()
        for row in rows:
            await send_mail(then.wiring, outbox, then.lab.account, row.id)
        assert {row.state for row in await then.mail_rows(then.lab)} == {MailState.NOT_SENT}
        words = (await (await then.member(then.lab)).open(f"/sessions/{then.lab.session}")).words
        assert words.count("was not sent; withdraw and invite again") == 2
