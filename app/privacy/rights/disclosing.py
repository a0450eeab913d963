"""Disclosures as pages show them: the form of one entry, the owner's register, what a participant reads of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.errors import NotThere
from app.forms import Form
from app.invitations.models import Invitation
from app.language import gettext
from app.participants.models import Participant
from app.privacy.erasing.erasures import participant_names
from app.privacy.erasing.recipients import WORDS_FIELD as NOTICE_WORDS_FIELD
from app.privacy.erasing.recipients import Told, may_answer, notices_of, waiting_notices
from app.privacy.rights.noting import EAST
from app.sealed_columns import SealedColumns
from app.sessions.disclosure_models import Disclosed, Disclosure, DisclosureGround, NotTold, RecipientNotice, Silence
from app.sessions.disclosures import (
    CONTACT_FIELD,
    GROUND_WORDS,
    KIND_WORDS,
    RECIPIENT_FIELD,
    SILENCE_WORDS,
    UNTOLD_FIELD,
    WORDS_FIELD,
    Given,
    counting,
    disclosures_of,
    fits,
    may_know,
)
from recordings.model import AccountId, PersonId

WORDS_LENGTH = 2_000


@dataclass(frozen=True, kw_only=True)
class DisclosureLine:
    """One entry that counts, opened. name: of the participant, "" once erased; grounds and kinds marked for
    translation."""

    row: Disclosure
    name: str
    recipient: str
    contact: str
    kinds: Sequence[str]
    ground: str
    words: str
    untold: str
    silence: str
    notices: Sequence[NoticeLine]


@dataclass(frozen=True, kw_only=True)
class NoticeLine:
    """One recipient to be told of one change. words: why they were not."""

    row: RecipientNotice
    words: str


def today_in(now: datetime) -> date:
    """By the clock furthest east in the Union: a day begins there first."""
    return (now + EAST).astimezone(UTC).date()


def known_on(now: datetime) -> date:
    """The day that has come everywhere: what waits for a day is not told an hour early."""
    return now.astimezone(UTC).date()


def read_given(form: Form, now: datetime, *, correcting: bool, owner: bool) -> Given | None:
    """None when something does not fit; the form says what. That a participant may not be told is for owners to say."""
    kinds = form.choices("kinds", list(Disclosed))
    ground = form.choice("ground", list(DisclosureGround))
    recipient, contact = form.line("recipient"), form.text("contact", length=500)
    words = form.text("words", required=False, length=WORDS_LENGTH)
    told = form.choice("told", ("yes", "no"))
    untold = form.text("untold", required=False, length=WORDS_LENGTH)
    given_on = _day(form, "given_on")
    silence = form.values.get("hidden_ground", "")
    until = _day(form, "hidden_until") if form.values.get("hidden_until", "").strip() else None
    if silence:
        form.choice("hidden_ground", list(Silence))
    if (silence or until) and not owner:
        form.errors["hidden_ground"] = gettext("Only an owner can say that a participant may not be told.")
    if not form.fine or given_on is None:
        return None
    given = Given(
        recipient=recipient,
        contact=contact,
        kinds=frozenset() if correcting and form.ticked("nothing") else frozenset(map(Disclosed, kinds)),
        ground=DisclosureGround(ground),
        words=words,
        given_on=given_on,
        told_before=told == "yes",
        untold=untold,
        hidden_until=until,
        hidden_ground=Silence(silence) if silence else None,
    )
    field, decision = fits(given, today_in(now), correcting=correcting and form.ticked("nothing"))
    if not decision:
        form.errors[field] = gettext(decision.reason)
        return None
    return given


def read_told(form: Form, given_on: date, now: datetime) -> Told | None:
    """The answer to a notice; None when it does not fit."""
    on = _day(form, "told_on") if form.values.get("told_on", "").strip() else None
    ground = form.values.get("ground", "")
    if ground:
        form.choice("ground", list(NotTold))
    words = form.text("words", required=False, length=WORDS_LENGTH)
    if not form.fine:
        return None
    told = Told(on=on, ground=NotTold(ground) if ground else None, words=words)
    decision = may_answer(told, given_on, today_in(now))
    if not decision:
        form.errors["told_on"] = gettext(decision.reason)
        return None
    return told


def kept(columns: SealedColumns, row: Disclosure) -> Form:
    """The entry as a form shows it again, to be corrected."""
    account, person = AccountId(row.account_id), PersonId(row.participant_id)
    values = {
        "recipient": columns.open(account, None, RECIPIENT_FIELD, row.recipient),
        "contact": columns.open(account, None, CONTACT_FIELD, row.contact),
        "ground": row.ground,
        "words": columns.open(account, person, WORDS_FIELD, row.words),
        "given_on": row.given_on.isoformat(),
        "told": "yes" if row.told_before else "no",
        "untold": columns.open(account, person, UNTOLD_FIELD, row.untold),
        "hidden_ground": row.hidden_ground or "",
        "hidden_until": row.hidden_until.isoformat() if row.hidden_until else "",
    }
    return Form(values=values, lists={"kinds": row.kinds})


async def people_of(db: Db, columns: SealedColumns, session: UUID) -> dict[UUID, str]:
    """Participants of a session of whom something can be noted: invited, not erased; by id, with their names."""
    invited = select(Invitation.participant_id).where(Invitation.session_id == session)
    found = await db.scalars(select(Participant.id).where(Participant.id.in_(invited), Participant.erased_at.is_(None)))
    names = await participant_names(db, columns, set(found))
    return dict(sorted(names.items(), key=lambda one: one[1].casefold()))


async def noted_in(db: Db, columns: SealedColumns, session: UUID) -> list[DisclosureLine]:
    return await lines_of(db, columns, counting(await disclosures_of(db, session=session)))


async def lines_of(db: Db, columns: SealedColumns, rows: Sequence[Disclosure]) -> list[DisclosureLine]:
    """Entries as owners and researchers read them."""
    names = await participant_names(db, columns, {row.participant_id for row in rows}) if rows else {}
    notices = await notices_of(db, [row.id for row in rows])
    return [_line(columns, row, names.get(row.participant_id, ""), notices.get(row.id, ())) for row in rows]


async def told_to(db: Db, columns: SealedColumns, *, participant: PersonId, now: datetime) -> list[DisclosureLine]:
    """What a participant may know of: of their entries those whose day has come, as far as these were not corrected by
    one they may know."""
    seen = [
        row for row in await disclosures_of(db, participant=participant) if may_know(row.hidden_until, known_on(now))
    ]
    rows = [row for row in counting(seen) if row.kinds]
    notices = await notices_of(db, [row.id for row in rows])
    return [_line(columns, row, "", notices.get(row.id, ())) for row in rows]


async def to_tell(db: Db, columns: SealedColumns) -> list[tuple[RecipientNotice, DisclosureLine]]:
    """Recipients whom an owner still has to tell."""
    waiting = await waiting_notices(db)
    lines = await lines_of(db, columns, list({row.id: row for _, row in waiting}.values()))
    by_id = {line.row.id: line for line in lines}
    return [(notice, by_id[row.id]) for notice, row in waiting]


def count_by_year(rows: Collection[Disclosure]) -> Mapping[tuple[int, str], int]:
    """How often something was given to somebody outside, by year and ground, newest year first: what an owner can
    publish about demands of authorities."""
    counts = Counter((row.given_on.year, GROUND_WORDS[DisclosureGround(row.ground)]) for row in rows if row.kinds)
    return dict(sorted(counts.items(), key=lambda one: (-one[0][0], -one[1], one[0][1])))


async def disclosure_of_notice(db: Db, notice: UUID) -> Disclosure:
    """Raises NotThere."""
    row = await db.get(RecipientNotice, notice)
    found = await db.get(Disclosure, row.disclosure_id) if row else None
    if found is None:
        raise NotThere
    return found


def _line(columns: SealedColumns, row: Disclosure, name: str, notices: Sequence[RecipientNotice]) -> DisclosureLine:
    account, person = AccountId(row.account_id), PersonId(row.participant_id)
    return DisclosureLine(
        row=row,
        name=name,
        recipient=columns.open(account, None, RECIPIENT_FIELD, row.recipient),
        contact=columns.open(account, None, CONTACT_FIELD, row.contact),
        kinds=[KIND_WORDS[Disclosed(kind)] for kind in row.kinds],
        ground=GROUND_WORDS[DisclosureGround(row.ground)],
        words=columns.open(account, person, WORDS_FIELD, row.words),
        untold=columns.open(account, person, UNTOLD_FIELD, row.untold),
        silence=SILENCE_WORDS[Silence(row.hidden_ground)] if row.hidden_ground else "",
        notices=[
            NoticeLine(row=one, words=columns.open(account, None, NOTICE_WORDS_FIELD, one.words)) for one in notices
        ],
    )


def _day(form: Form, name: str) -> date | None:
    try:
        return date.fromisoformat(form.values.get(name, "").strip())
    except ValueError:
        form.errors[name] = gettext("Please choose a day.")
        return None
