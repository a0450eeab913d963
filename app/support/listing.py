"""Requests as pages show them: to the owner with everything that was read, to operators what they may know of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import TextClause, select, text

from app.accounts.service import member_names
from app.audit import Action, AuditEvent
from app.database import Db, now_in, set_account
from app.language import _
from app.sealed_columns import PLATFORM, SealedColumns
from app.sessions.models import Recording, Session
from app.support.login import SignedInOperator
from app.support.models import ObjectKind, SupportRequest
from app.support.policy import Standing, standing
from app.support.requests import REASON_FIELD, facts_of, operator_name
from recordings.model import AccountId, PersonId

SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One line of the log."""

    at: datetime
    what: str  # page, media or transcript
    recording: UUID | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A request. title: of the session; link: its page; both for the owner alone. answered_by: a member's name, or ""
    for a second operator."""

    id: UUID
    account: UUID
    operator: str
    kind: str
    object_id: UUID
    reason: str
    asked_at: datetime
    standing: Standing
    answered_at: datetime | None
    answered_by: str
    ends_at: datetime | None
    revoked_at: datetime | None
    title: str = ""
    link: str = ""
    readings: tuple[Reading, ...] = ()


async def for_owner(db: Db, columns: SealedColumns) -> list[Line]:
    """The newest of the account that is set, with everything that was read under each."""
    found = select(SupportRequest).order_by(SupportRequest.asked_at.desc(), SupportRequest.id).limit(SHOWN)
    rows = (await db.scalars(found)).all()
    now, names = await now_in(db), await member_names(db, columns)
    sessions, recordings = await _objects(db, rows)
    readings = await _readings(db, rows, recordings)

    def line(row: SupportRequest) -> Line:
        of_session = _session_of(row, recordings)
        session = sessions.get(of_session) if of_session else None
        return _line(
            columns,
            row,
            now,
            names,
            title=session.title if session else "",
            link=f"/sessions/{session.id}#recordings" if session else "",
            readings=tuple(readings.get(str(row.id), ())),
        )

    return [line(row) for row in rows]


_OWN = text("SELECT * FROM support_requests_of(:operator, :limit)")
_OTHERS = text("SELECT * FROM support_requests_to_answer(:operator, :limit)")


async def for_operator(db: Db, columns: SealedColumns, operator: SignedInOperator) -> tuple[list[Line], list[Line]]:
    """What they asked for, and what others asked for that they may answer. The platform's account is set, and is again
    when this returns."""
    own = await _through(db, columns, _OWN, operator)
    others = await _through(db, columns, _OTHERS, operator)
    return own, [line for line in others if line.standing is Standing.WAITING]


async def _through(db: Db, columns: SealedColumns, door: TextClause, operator: SignedInOperator) -> list[Line]:
    """One question for each account, and no more of it than the requests themselves."""
    values = {"operator": operator.operator, "limit": SHOWN}
    by_account: dict[UUID, list[UUID]] = defaultdict(list)
    for account, request in await db.execute(door, values):
        by_account[account].append(request)
    now, lines = await now_in(db), []
    for account, ids in by_account.items():
        await set_account(db, account)
        rows = await db.scalars(select(SupportRequest).where(SupportRequest.id.in_(ids)))
        lines += [_line(columns, row, now, {}) for row in rows]
    await set_account(db, PLATFORM)
    return sorted(lines, key=lambda line: (line.asked_at, line.id), reverse=True)


def _line(
    columns: SealedColumns,
    row: SupportRequest,
    now: datetime,
    names: Mapping[PersonId, str],
    *,
    title: str = "",
    link: str = "",
    readings: tuple[Reading, ...] = (),
) -> Line:
    who, _colon, answered = (row.answered_by or "").partition(":")
    by = names.get(PersonId(UUID(answered)), _("an owner")) if who == "member" else ""
    return Line(
        id=row.id,
        account=row.account_id,
        operator=operator_name(columns, row),
        kind=row.object_kind,
        object_id=row.object_id,
        reason=columns.open(AccountId(row.account_id), None, REASON_FIELD, row.reason),
        asked_at=row.asked_at,
        standing=standing(facts_of(row), now),
        answered_at=row.answered_at,
        answered_by=by,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
        title=title,
        link=link,
        readings=readings,
    )


async def _objects(db: Db, rows: Iterable[SupportRequest]) -> tuple[dict[UUID, Session], dict[UUID, UUID]]:
    """Sessions by id, and the session of each recording that is an object or belongs to one."""
    ids: dict[str, set[UUID]] = defaultdict(set)
    for row in rows:
        ids[row.object_kind].add(row.object_id)
    whole, single = ids[ObjectKind.SESSION], ids[ObjectKind.RECORDING]
    found = await db.execute(
        select(Recording.id, Recording.session_id).where(Recording.id.in_(single) | Recording.session_id.in_(whole))
    )
    recordings = {row.id: row.session_id for row in found}
    wanted = Session.id.in_({*whole, *recordings.values()})
    return {row.id: row for row in await db.scalars(select(Session).where(wanted))}, recordings


async def _readings(
    db: Db, rows: Iterable[SupportRequest], recordings: Mapping[UUID, UUID]
) -> dict[str, list[Reading]]:
    """By grant, in the order they were made; by subject, which the log is indexed by."""
    subjects = {f"{row.object_kind}:{row.object_id}" for row in rows} | {f"recording:{one}" for one in recordings}
    events = await db.scalars(
        select(AuditEvent)
        .where(AuditEvent.subject.in_(subjects), AuditEvent.action == Action.SUPPORT_READ)
        .order_by(AuditEvent.number)
    )
    readings: dict[str, list[Reading]] = defaultdict(list)
    for event in events:
        sort, _colon, one = event.subject.partition(":")
        recording = UUID(one) if sort == "recording" else None
        readings[event.facts["grant"]].append(Reading(at=event.at, what=event.facts["what"], recording=recording))
    return readings


def _session_of(row: SupportRequest, recordings: Mapping[UUID, UUID]) -> UUID | None:
    return row.object_id if row.object_kind == ObjectKind.SESSION else recordings.get(row.object_id)
