"""Verbs of a study: create, change, close, write a new consent text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import exists, func, select

from app.accounts.service import member_names
from app.audit import SYSTEM, Action, AuditEvent, record
from app.database import Db, note, now_in
from app.errors import NotThere
from app.ledger_entries import KeptFor, StudyIs, StudySeenBy
from app.sealed_columns import SealedColumns
from app.studies.models import DEFAULT_RETENTION_DAYS, ConsentKind, ConsentText, Question, Reminder, Study
from app.studies.retention import limit_of_kinds, require_within_limit, shortens
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Whom participants ask about the research."""

    name: str
    email: str


@dataclass(frozen=True, kw_only=True)
class ConsentVersion:
    """One wording of the consent text. written_by: a member's name, "" where none is known any more."""

    version: int
    text: str
    created_at: datetime
    written_by: str


async def create_study(
    db: Db,
    columns: SealedColumns,
    *,
    account: AccountId,
    title: str,
    contact_name: str,
    contact_email: str,
    consent_text: str,
    kinds: Collection[ConsentKind],
    language: str = "en",
    retention_days: int | None = DEFAULT_RETENTION_DAYS,
    questions_words: str = "",
    assigned_only: bool = False,
    reminder: Reminder = Reminder.DAY,
    by: str = SYSTEM,
) -> UUID:
    """A new study with version 1 of its consent text. by: as audit names whoever does it. Raises KeptTooLong."""
    await require_within_limit(db, account, retention_days)
    study = Study(
        id=uuid4(),
        account_id=account,
        title=title,
        contact_name=columns.seal(account, None, "study.contact_name", contact_name),
        contact_email=columns.seal(account, None, "study.contact_email", contact_email),
        kinds=_in_order(kinds),
        language=language,
        retention_days=retention_days,
        periods=await limit_of_kinds(db, account),
        questions_words=questions_words,
        assigned_only=assigned_only,
        reminder=reminder,
    )
    db.add(study)
    await db.flush()
    facts = {"assigned_only": True} if assigned_only else None
    await record(db, account=account, actor=by, action=Action.STUDY_CREATED, subject=f"study:{study.id}", facts=facts)
    await new_consent_text(db, study=study.id, text=consent_text, by=by)
    return study.id


async def change_study(
    db: Db,
    columns: SealedColumns,
    *,
    study: UUID,
    title: str,
    contact_name: str,
    contact_email: str,
    consent_text: str,
    kinds: Collection[ConsentKind],
    language: str,
    retention_days: int | None,
    questions_words: str = "",
    assigned_only: bool | None = None,
    reminder: Reminder | None = None,
    by: str = SYSTEM,
) -> None:
    """Change a study. A changed consent text becomes a new version; a changed retention raises its version,
    which erasures name as the instruction they follow. assigned_only, reminder None: as they are. Raises
    KeptTooLong."""
    row = await find_study(db, study)
    account = AccountId(row.account_id)
    row.title, row.language, row.kinds = title, language, _in_order(kinds)
    row.questions_words = questions_words
    row.reminder = reminder or row.reminder
    row.contact_name = columns.seal(account, None, "study.contact_name", contact_name)
    row.contact_email = columns.seal(account, None, "study.contact_email", contact_email)
    subject = f"study:{study}"
    await record(db, account=account, actor=by, action=Action.STUDY_CHANGED, subject=subject)
    if row.retention_days != retention_days:
        await require_within_limit(db, account, retention_days)
        gives = shortens(retention_days, row.retention_days)
        row.retention_days, row.retention_version = retention_days, row.retention_version + 1
        await note_study_keeps(db, row, gives=gives)
        facts = {"days": retention_days, "version": row.retention_version}
        await record(db, account=account, actor=by, action=Action.RETENTION_CHANGED, subject=subject, facts=facts)
    if assigned_only is not None and assigned_only != row.assigned_only:
        row.assigned_only = assigned_only
        await db.flush()  # locks the row
        at, gives = await now_in(db), not assigned_only
        note(db, StudySeenBy(at=at, account=account, study=study, assigned_only=assigned_only, gives=gives))
        seen = Action.STUDY_ASSIGNED_ONLY if assigned_only else Action.STUDY_SEEN_BY_ALL
        await record(db, account=account, actor=by, action=seen, subject=subject)
    if (await newest_consent_text(db, study)).text != consent_text:
        await new_consent_text(db, study=study, text=consent_text, by=by)
    await db.flush()


async def note_study_keeps(db: Db, row: Study, *, gives: bool) -> None:
    """The ledger knows how long this study keeps; gives: something stays longer than before."""
    kept = KeptFor(
        at=await now_in(db),
        account=row.account_id,
        level="study",
        subject=row.id,
        days=row.retention_days,
        periods=dict(row.periods),
        ending=row.ending,
        gives=gives,
    )
    note(db, kept)


async def new_consent_text(db: Db, *, study: UUID, text: str, by: str = SYSTEM) -> int:
    """The next version; consents already given keep naming the one that was shown."""
    row = await find_study(db, study)
    latest = await db.scalar(select(func.max(ConsentText.version)).where(ConsentText.study_id == study))
    version = (latest or 0) + 1
    db.add(ConsentText(account_id=row.account_id, study_id=study, version=version, text=text, language=row.language))
    await db.flush()
    facts = {"version": version}
    action = Action.CONSENT_TEXT_CHANGED
    await record(db, account=row.account_id, actor=by, action=action, subject=f"study:{study}", facts=facts)
    return version


async def close_study(db: Db, *, study: UUID, by: str) -> None:
    """No new sessions and invitations; what is planned still takes place, and what was recorded is kept until
    its date. Safe to run twice. Raises NotThere."""
    row = await find_study(db, study)
    await db.refresh(row, with_for_update=True)
    if row.closed_at is None:
        row.closed_at = await now_in(db)
        note(db, StudyIs(at=row.closed_at, account=row.account_id, study=row.id, closed=True))
        await record(db, account=row.account_id, actor=by, action=Action.STUDY_CLOSED, subject=f"study:{study}")


async def reopen_study(db: Db, *, study: UUID, by: str) -> None:
    """Safe to run twice. Raises NotThere."""
    row = await find_study(db, study)
    await db.refresh(row, with_for_update=True)
    if row.closed_at is not None:
        row.closed_at = None
        note(db, StudyIs(at=await now_in(db), account=row.account_id, study=row.id, closed=False, gives=True))
        await record(db, account=row.account_id, actor=by, action=Action.STUDY_REOPENED, subject=f"study:{study}")


async def find_study(db: Db, study: UUID) -> Study:
    """The study of this account. Raises NotThere."""
    row = await db.get(Study, study)
    if row is None:
        raise NotThere
    return row


async def list_studies(db: Db, *, limit: int, offset: int = 0) -> list[Study]:
    """Newest first."""
    return list(await db.scalars(select(Study).order_by(Study.created_at.desc(), Study.id).limit(limit).offset(offset)))


async def newest_consent_text(db: Db, study: UUID) -> ConsentText:
    found = await db.scalars(
        select(ConsentText).where(ConsentText.study_id == study).order_by(ConsentText.version.desc()).limit(1)
    )
    return found.one()


async def what_is_told(db: Db, study: UUID) -> tuple[ConsentText, bool]:
    """The newest consent text, and whether the study asks something or holds answers to what it asked once: then the
    notice says so."""
    found = await db.execute(
        select(ConsentText, exists().where(Question.study_id == ConsentText.study_id))
        .where(ConsentText.study_id == study)
        .order_by(ConsentText.version.desc())
        .limit(1)
    )
    return found.one().tuple()


async def study_with_text(db: Db, study: UUID) -> tuple[Study, ConsentText]:
    """The study of this account and its newest consent text. Raises NotThere."""
    found = await db.execute(
        select(Study, ConsentText)
        .join(ConsentText, ConsentText.study_id == Study.id)
        .where(Study.id == study)
        .order_by(ConsentText.version.desc())
        .limit(1)
    )
    row = found.first()
    if row is None:
        raise NotThere
    return row.tuple()


async def consent_texts(db: Db, columns: SealedColumns, study: UUID) -> list[ConsentVersion]:
    """Every version, newest first, and who wrote it as audit recorded it."""
    texts = await db.scalars(
        select(ConsentText).where(ConsentText.study_id == study).order_by(ConsentText.version.desc())
    )
    events = await db.scalars(
        select(AuditEvent).where(
            AuditEvent.subject == f"study:{study}", AuditEvent.action == Action.CONSENT_TEXT_CHANGED
        )
    )
    writers = {event.facts["version"]: event.actor for event in events}
    names = {f"member:{member}": name for member, name in (await member_names(db, columns)).items()}
    return [
        ConsentVersion(
            version=text.version,
            text=text.text,
            created_at=text.created_at,
            written_by=names.get(writers.get(text.version, ""), ""),
        )
        for text in texts
    ]


def contact_of(columns: SealedColumns, study: Study) -> Contact:
    """The contact participants see."""
    account = AccountId(study.account_id)
    return Contact(
        name=columns.open(account, None, "study.contact_name", study.contact_name),
        email=columns.open(account, None, "study.contact_email", study.contact_email),
    )


def _in_order(kinds: Collection[ConsentKind]) -> list[str]:
    return [kind for kind in ConsentKind if kind in kinds]
