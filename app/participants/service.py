"""Verbs of a participant: register, read the notice, prove the registered address by a code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from sqlalchemy import delete, func, select

from app.accounts.models import Account
from app.audit import Action, record
from app.database import Db, note, now_in
from app.decisions import Decision, refused
from app.errors import BadInput, Conflict, NotThere, TooManyTries
from app.language import Language, choose, spoken
from app.ledger_entries import SessionMails
from app.mail.service import queue
from app.participants.forms import Registration
from app.participants.models import DataCode, Participant
from app.participants.notice import Notice, StudyFacts, hashes, notice
from app.participants.policy import CODE_WINDOW, CodeFacts, may_ask_code, may_try_code
from app.sealed_columns import SealedColumns
from app.settings import Settings
from app.studies.clocks import Ending
from app.studies.models import ConsentKind, Study
from app.studies.service import Contact, contact_of, what_is_told
from app.tokens import CODE_LIFE, new_code, same, token_hash
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

NAME_FIELD = "participant.name"
EMAIL_FIELD = "participant.email"
ADDRESS_FIELD = "address_change.address"


class AddressLost(Conflict):
    """Since a backup of this platform was restored we no longer know your e-mail address, so we cannot send a code.
    Please write to the contact named below from the address you want us to use."""


class OtherAddress(BadInput):
    """Please use the e-mail address that the invitation was sent to."""


async def register(
    db: Db, columns: SealedColumns, *, account: AccountId, participant: PersonId, typed: Registration
) -> bool:
    """Confirm the invited person's address and take the name they go by; False when that was done before.

    The address stays the invited one and later names change nothing: whoever was forwarded the link must
    not move the address that the codes for stored data go to. Safe to run twice. Raises OtherAddress."""
    row = await db.get(Participant, participant, with_for_update=True)
    if row is None or row.erased_at is not None:
        raise NotThere
    if row.registered_at is not None:
        return False
    if columns.blind_index(account, typed.email) != row.email_index:
        raise OtherAddress
    if row.email is None:  # lost with a restored backup, but for its keyed hash
        row.email = columns.seal(account, participant, EMAIL_FIELD, typed.email)
    row.name = columns.seal(account, participant, NAME_FIELD, typed.name)
    row.registered_at = await now_in(db)
    row.language = row.language or spoken()
    actor = f"participant:{participant}"
    await record(db, account=account, actor=actor, action=Action.REGISTERED, subject=actor)
    return True


async def study_facts(db: Db, columns: SealedColumns, *, account: AccountId, study: Study) -> StudyFacts:
    """What the notice tells about a study: its newest consent text, its contact, its kinds and retention."""
    text, asks = await what_is_told(db, study.id)
    contact = _contact(columns, account, study.contact_name, study.contact_email)
    owner = await db.get_one(Account, account)
    return StudyFacts(
        account_name=owner.name,
        title=study.title,
        contact_name=contact.name,
        contact_email=contact.email,
        kinds=tuple(kind for kind in ConsentKind if kind in study.kinds),
        retention_days=study.retention_days,
        consent_text=text.text,
        consent_version=text.version,
        consent_dated=text.created_at.date(),
        consent_language=text.language,
        has_questions=asks,
        periods=tuple(sorted(study.periods.items())),
        assigned_only=study.assigned_only,
        counted=study.ending == Ending.ANONYMISE,
    )


@lru_cache(maxsize=1000)
def _contact(columns: SealedColumns, account: AccountId, name: bytes, email: bytes) -> Contact:
    """Opened once per sealed value, which is new with every change: permission asks for it twice a second."""
    return contact_of(columns, Study(account_id=account, contact_name=name, contact_email=email))


async def study_notice(
    db: Db, columns: SealedColumns, settings: Settings, *, account: AccountId, study: Study
) -> tuple[StudyFacts, Notice]:
    """The notice as it stands now, in the language spoken."""
    facts = await study_facts(db, columns, account=account, study=study)
    return facts, notice(settings, facts, spoken())


@dataclass(frozen=True, kw_only=True)
class Foot:
    """What stands in the foot of every participant's page and mail: whom to ask, and the date of the notice."""

    contact: Contact
    notice_date: date


async def foot(db: Db, wiring: Wiring, *, account: AccountId, study: Study) -> Foot:
    """The foot of whatever is about this study."""
    facts, shown = await study_notice(db, wiring.columns, wiring.settings, account=account, study=study)
    return Foot(contact=Contact(name=facts.contact_name, email=facts.contact_email), notice_date=shown.dated)


async def texts_now(
    db: Db, columns: SealedColumns, settings: Settings, *, account: AccountId, study: Study
) -> dict[str, bytes]:
    """The hash of consent text and notice as they stand now, by language: what a consent must have been given to."""
    return hashes(settings, await study_facts(db, columns, account=account, study=study))


async def keep_language(db: Db, *, participant: PersonId, language: Language) -> None:
    """The language this participant reads from now on, on pages and in mails."""
    row = await db.get(Participant, participant)
    if row is not None and row.erased_at is None and row.language != language:
        row.language = language


async def wants_session_mails(db: Db, *, participant: PersonId) -> bool:
    mine = select(Participant.no_session_mails_at).where(Participant.id == participant)
    return await db.scalar(mine) is None


async def want_session_mails(db: Db, *, participant: PersonId, wanted: bool) -> None:
    """Whether this participant is written to about the sessions they accepted. Safe to run twice. Raises NotThere."""
    row = await db.get(Participant, participant, with_for_update=True)
    if row is None or row.erased_at is not None:
        raise NotThere
    if (row.no_session_mails_at is None) != wanted:
        at = await now_in(db)
        row.no_session_mails_at = None if wanted else at
        note(db, SessionMails(at=at, account=row.account_id, person=participant, wanted=wanted, gives=wanted))
        actor, action = f"participant:{participant}", Action.SESSION_MAILS_SWITCHED
        await record(db, account=row.account_id, actor=actor, action=action, subject=actor, facts={"wanted": wanted})


def mail_language(participant: Participant, study: Study) -> Language:
    """What they chose or registered in, else the study's language."""
    return choose(None, None, participant.language, study.language)


async def ask_code(db: Db, wiring: Wiring, *, account: AccountId, participant: PersonId, study: Study) -> None:
    """Mail a fresh code to the registered address; codes mailed before stop working. Raises TooManyTries,
    AddressLost.

    study: whose contact and notice the mail names, as every mail does."""
    row = await db.get(Participant, participant, with_for_update=True)
    if row is None or row.erased_at is not None:
        raise NotThere
    if row.email is None:
        raise AddressLost
    now = await now_in(db)
    asked = await db.scalar(
        select(func.count()).where(
            DataCode.participant_id == participant, DataCode.expires_at > now + CODE_LIFE - CODE_WINDOW
        )
    )
    decision = may_ask_code(asked or 0)
    if not decision:
        raise TooManyTries(decision.reason)
    await db.execute(
        delete(DataCode).where(
            DataCode.participant_id == participant, DataCode.expires_at <= now + CODE_LIFE - CODE_WINDOW
        )
    )
    code = new_code()
    entry = DataCode(
        account_id=account,
        participant_id=participant,
        code_hash=_code_hash(participant, code),
        expires_at=now + CODE_LIFE,
    )
    db.add(entry)
    await db.flush()
    columns = wiring.columns
    about = await foot(db, wiring, account=account, study=study)
    await queue(
        db,
        columns,
        settings=wiring.settings,
        account=account,
        person=participant,
        template="data_code",
        key=f"data-code-{entry.id}",
        optional=False,
        language=mail_language(row, study),
        context={
            "code": code,
            "minutes": int(CODE_LIFE.total_seconds() // 60),
            "contact_name": about.contact.name,
            "contact_email": about.contact.email,
            "notice_date": about.notice_date,
        },
        to_name=columns.open(account, participant, NAME_FIELD, row.name),
        to_email=columns.open(account, participant, EMAIL_FIELD, row.email),
    )


async def code_waits(db: Db, *, participant: PersonId) -> bool:
    """A code was mailed that can still be typed."""
    return bool((await _newest_code(db, participant))[1])


async def check_code(db: Db, *, participant: PersonId, code: str) -> Decision:
    """Compare a typed code with the newest one; every wrong one counts. Never raises, so that counting is kept."""
    newest, decision = await _newest_code(db, participant)
    if newest is None or not decision:
        return decision
    newest.tries += 1
    if not same(newest.code_hash, _code_hash(participant, code)):
        return refused("This is not the code we mailed. Please look again.")
    newest.used_at = await now_in(db)
    return decision


async def _newest_code(db: Db, participant: PersonId) -> tuple[DataCode | None, Decision]:
    """The newest code, locked, and whether it can still be tried."""
    codes = select(DataCode).where(DataCode.participant_id == participant).order_by(DataCode.expires_at.desc())
    newest = await db.scalar(codes.limit(1).with_for_update())
    now: datetime = await now_in(db)
    if newest is None:
        return None, may_try_code(None, now)
    facts = CodeFacts(expires_at=newest.expires_at, tries=newest.tries, used=newest.used_at is not None)
    return newest, may_try_code(facts, now)


def _code_hash(participant: PersonId, code: str) -> bytes:
    return token_hash(code, f"data-code:{participant}")
