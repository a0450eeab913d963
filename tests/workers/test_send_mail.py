"""One waiting mail: claimed before it is sent, asked about at that moment, tried again, and given up visibly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select

from app.mail.models import MailState, OutgoingMail
from app.mail.service import stop_waiting, suppress
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import ErasureReason
from app.sealed_columns import ERASED
from recordings.encryption.keystore import KeyPath
from recordings.model import PersonId
from tests.fixtures.web import Cast
from workers.mail import GIVE_UP_AFTER, send_mail
from workers.mailer import Mail, MailError


@dataclass
class Carrier:
    """A mailer at its port; `meanwhile` runs while a mail is on its way."""

    refuses: MailError | None = None
    meanwhile: Callable[[], object] = lambda: None
    sent: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        seen = self.meanwhile()
        if seen is not None:
            await seen  # type: ignore[misc]
        if self.refuses:
            raise self.refuses
        self.sent.append(mail)


BUSY = MailError("The mail server answered 451", retry=True)
REFUSED = MailError("The mail server refused the address", retry=False)


async def row_of(cast: Cast, mail: UUID) -> OutgoingMail:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.get_one(OutgoingMail, mail)


async def invitation_of(cast: Cast, person: PersonId | None = None) -> UUID:
    """The invitation mail that waits for the participant."""
    async with cast.wiring.database.transaction(cast.account) as db:
        person = person or cast.participant.participant
        return (await db.scalars(select(OutgoingMail.id).where(OutgoingMail.person_id == person))).one()


async def unsubscribe(cast: Cast, address: str) -> None:
    """The list alone is written: what stopped waiting mails elsewhere plays no part."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await suppress(db, account=cast.account, address_index=cast.wiring.columns.blind_index(cast.account, address))


async def test_a_mail_is_claimed_before_it_is_sent_and_sent_once(cast: Cast) -> None:
    mail, seen = await invitation_of(cast), []

    async def look() -> None:
        row = await row_of(cast, mail)
        seen.append((row.state, row.tries))

    carrier = Carrier(meanwhile=look)
    await send_mail(cast.wiring, carrier, cast.account, mail)
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert seen == [(MailState.SENDING, 1)]
    assert [sent.to_address for sent in carrier.sent] == ["anna@home.example"]
    row = await row_of(cast, mail)
    assert (row.state, row.sent_at is not None) == (MailState.SENT, True)


async def test_a_worker_that_died_while_sending_leaves_a_mail_that_goes_out_under_the_same_id(cast: Cast) -> None:
    mail = await invitation_of(cast)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await send_mail(cast.wiring, Carrier(meanwhile=die), cast.account, mail)
    assert (await row_of(cast, mail)).state == MailState.SENDING
    carrier = Carrier()
    await send_mail(cast.wiring, carrier, cast.account, mail)
    [sent] = carrier.sent
    assert sent.message_id == f"<{mail}@localhost>"
    assert (await row_of(cast, mail)).tries == 2


async def test_whoever_unsubscribed_after_the_mail_was_queued_gets_none(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier()
    await unsubscribe(cast, "Anna@Home.example")
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert carrier.sent == []
    assert (await row_of(cast, mail)).state == MailState.SUPPRESSED


async def test_whoever_unsubscribed_between_two_tries_gets_no_second_one(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier(refuses=BUSY)
    with pytest.raises(MailError):
        await send_mail(cast.wiring, carrier, cast.account, mail)
    await unsubscribe(cast, "anna@home.example")
    carrier.refuses = None
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert carrier.sent == []
    assert (await row_of(cast, mail)).state == MailState.SUPPRESSED


async def test_what_must_reach_a_person_is_not_stopped_by_unsubscribing(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier()
    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(OutgoingMail, mail)).optional = False  # such as the code that opens their data
    await unsubscribe(cast, "anna@home.example")
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert len(carrier.sent) == 1


async def test_another_lab_s_list_stops_nothing_here(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier()
    async with cast.wiring.database.transaction(cast.other_account) as db:
        index = cast.wiring.columns.blind_index(cast.other_account, "anna@home.example")
        await suppress(db, account=cast.other_account, address_index=index)
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert len(carrier.sent) == 1


async def test_a_busy_carrier_is_asked_again_and_in_the_end_given_up(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier(refuses=BUSY)
    for number in range(1, GIVE_UP_AFTER):
        with pytest.raises(MailError):  # the job engine spaces the tries out
            await send_mail(cast.wiring, carrier, cast.account, mail)
        row = await row_of(cast, mail)
        assert (row.state, row.tries) == (MailState.WAITING, number)
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert (await row_of(cast, mail)).state == MailState.FAILED
    carrier.refuses = None
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert carrier.sent == []


async def test_a_refused_address_is_not_tried_again_and_the_owner_sees_it(cast: Cast) -> None:
    owner = await cast.browser("owner")
    assert "could not be delivered" not in (await owner.get(f"/sessions/{cast.session}")).text
    mail = await invitation_of(cast)
    await send_mail(cast.wiring, Carrier(refuses=REFUSED), cast.account, mail)
    assert (await row_of(cast, mail)).state == MailState.FAILED
    assert (
        "the mail could not be delivered; withdraw and invite again"
        in (await owner.get(f"/sessions/{cast.session}")).text
    )
    assert "could not be delivered" not in (await owner.get(f"/sessions/{cast.other_session}")).text


async def test_an_erased_person_is_never_written_to(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier()
    person = cast.participant.participant
    cast.wiring.keys.destroy(KeyPath(cast.account, person))
    await send_mail(cast.wiring, carrier, cast.account, mail)
    row = await row_of(cast, mail)
    assert cast.wiring.columns.open(cast.account, person, "mail", row.content) == ERASED
    assert (carrier.sent, row.state) == ([], MailState.SUPPRESSED)


async def test_whoever_asked_for_erasure_is_not_written_to_while_it_is_running(cast: Cast) -> None:
    mail, carrier = await invitation_of(cast), Carrier()
    async with cast.wiring.database.transaction(cast.account) as db:
        await ask_erasure(
            db,
            account=cast.account,
            person=cast.participant.participant,
            reason=ErasureReason.REQUEST,
            asked_by="participant",
            instruction="my data",
        )
    await send_mail(cast.wiring, carrier, cast.account, mail)
    assert carrier.sent == []


@pytest.mark.parametrize("refuses", [None, BUSY])
async def test_a_mail_stopped_while_it_is_on_its_way_is_not_tried_again(cast: Cast, refuses: MailError | None) -> None:
    async def stop() -> None:
        async with cast.wiring.database.transaction(cast.account) as db:
            await stop_waiting(db, person=cast.participant.participant)

    mail = await invitation_of(cast)
    await send_mail(cast.wiring, Carrier(meanwhile=stop, refuses=refuses), cast.account, mail)
    assert (await row_of(cast, mail)).state == (MailState.SUPPRESSED if refuses else MailState.SENT)
    again = Carrier()
    await send_mail(cast.wiring, again, cast.account, mail)
    assert again.sent == []


@pytest.mark.parametrize("refuses", [None, BUSY])
async def test_a_person_erased_while_a_mail_is_on_its_way_ends_the_job(cast: Cast, refuses: MailError | None) -> None:
    async def erase() -> None:
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(delete(OutgoingMail).where(OutgoingMail.id == mail))

    mail = await invitation_of(cast)
    await send_mail(cast.wiring, Carrier(meanwhile=erase, refuses=refuses), cast.account, mail)


async def test_a_mail_that_is_not_there_or_belongs_to_another_account_sends_nothing(cast: Cast) -> None:
    carrier = Carrier()
    await send_mail(cast.wiring, carrier, cast.account, uuid4())
    await send_mail(cast.wiring, carrier, cast.other_account, await invitation_of(cast))
    assert carrier.sent == []
