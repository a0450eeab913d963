"""What the pages of keeping ask: for which place, which kinds go earlier, and for whom of a session."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Account
from app.database import Db
from app.forms import Form
from app.invitations.service import invitations_of_session
from app.language import N_
from app.library.service import names_of
from app.participants.models import Participant
from app.privacy.keeping.keeping import Change, find_participant
from app.sessions.service import find_session
from app.studies.clocks import CLOCKS, OF_A_SESSION, Kind, Periods, shortest_of
from app.studies.forms import LONGEST_DAYS
from app.studies.retention import limit_of_kinds
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a change is about, for the page. choice: the other option beside a number of days."""

    path: str
    back: str
    title: str
    name: str
    choice: str


@dataclass(frozen=True, kw_only=True)
class KindField:
    """A number of days that may be left empty. now: as it stands; listed: as it would be; limit: the account's."""

    kind: Kind
    name: str
    words: str
    now: int | None
    listed: int | None
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class People:
    """Somebody of a session, and whether they have clocks of their own."""

    id: PersonId
    name: str
    shorter: bool


def asked_kinds(change: Change) -> tuple[Kind, ...]:
    """Kinds that may go earlier; of an account also names and addresses of whom nothing else is kept."""
    return (*OF_A_SESSION, Kind.CONTACT) if change.of_account else OF_A_SESSION


async def own_periods(db: Db, change: Change, account: AccountId) -> Periods:
    """What the place itself says now of kinds. Raises NotThere."""
    if change.session is not None:
        return (await find_session(db, change.session)).periods
    if change.study is not None:
        return (await find_study(db, change.study)).periods
    if change.participant is not None:
        return (await find_participant(db, change.participant)).periods
    return (await db.get_one(Account, account)).periods


async def read_periods(db: Db, form: Form, change: Change, account: AccountId) -> dict[str, int]:
    """Of the form: empty means as the rest, and a field that was not there changes nothing. A study keeps no kind
    longer than its account; the form says where something does not fit."""
    own = await own_periods(db, change, account)
    found: dict[str, int] = {}
    for kind in asked_kinds(change):
        name = f"days_{kind}"
        if name not in form.values:
            if kind in own:
                found[kind] = own[kind]
        elif form.values[name].strip():
            found[kind] = form.number(name, at_least=1, at_most=LONGEST_DAYS)
    return shortest_of(found, await limit_of_kinds(db, account)) if change.study is not None else found


async def kinds_of(db: Db, change: Change, listed: Change | None, account: AccountId) -> list[KindField]:
    """In the order in which they are asked."""
    own = await own_periods(db, change, account)
    limits = {} if change.of_account else await limit_of_kinds(db, account)
    return [
        KindField(
            kind=kind,
            name=f"days_{kind}",
            words=CLOCKS[kind].words,
            now=own.get(kind),
            listed=listed.periods.get(kind) if listed else None,
            limit=limits.get(kind),
        )
        for kind in asked_kinds(change)
    ]


async def people_of(db: Db, wiring: Wiring, session: UUID) -> tuple[People, ...]:
    """Invited to a session and not erased."""
    invited = [one.participant_id for one in await invitations_of_session(db, session=session)]
    found = await db.scalars(select(Participant).where(Participant.id.in_(invited), Participant.erased_at.is_(None)))
    rows = found.all()
    names = await names_of(db, wiring.columns, [row.id for row in rows])
    people = [People(id=PersonId(row.id), name=names[PersonId(row.id)], shorter=bool(row.periods)) for row in rows]
    return tuple(sorted(people, key=lambda one: one.name))


async def place_of(db: Db, wiring: Wiring, change: Change) -> Place:
    """Raises NotThere."""
    if change.session is not None:
        session = await find_session(db, change.session)
        return Place(
            path=f"/sessions/{session.id}/retention",
            back=f"/sessions/{session.id}",
            title=N_("How long this session is kept"),
            name=session.title,
            choice=N_("As long as its study says"),
        )
    if change.study is not None:
        study = await find_study(db, change.study)
        return Place(
            path=f"/studies/{study.id}/retention",
            back=f"/studies/{study.id}",
            title=N_("How long this study is kept"),
            name=study.title,
            choice=N_("Until you or the participant ask"),
        )
    if change.participant is not None:
        person = PersonId((await find_participant(db, change.participant)).id)
        return Place(
            path=f"/retention/participants/{person}",
            back=f"/retention/participants/{person}",
            title=N_("How long what one person left is kept"),
            name=(await names_of(db, wiring.columns, [person]))[person],
            choice=N_("As long as the studies say"),
        )
    return Place(
        path="/retention/account",
        back="/retention",
        title=N_("How long your account keeps at most"),
        name=N_("Retention"),
        choice=N_("No limit; each study says for itself"),
    )
