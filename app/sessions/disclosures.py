"""The register of disclosures: noting who outside was given what, what a copy needs before it may leave for them, and
what a participant may know of it. Entries are never changed; the newest of a chain of corrections counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update

from app.audit import SYSTEM, Action, Fact, record
from app.database import Db
from app.decisions import ALLOWED, Decision, refused
from app.errors import Gone, NotThere
from app.language import N_
from app.participants.models import Participant
from app.sealed_columns import SealedColumns
from app.sessions.disclosure_models import Disclosed, Disclosure, DisclosureGround, RecipientNotice, Silence
from app.sessions.models import Recording, Track
from app.sessions.purposes import PURPOSE_WORDS, DownloadPurpose
from recordings.model import AccountId, PersonId, TrackKind

RECIPIENT_FIELD = "disclosure.recipient"
CONTACT_FIELD = "disclosure.contact"
WORDS_FIELD = "disclosure.words"
UNTOLD_FIELD = "disclosure.untold"

LEAVES_FOR: Mapping[DownloadPurpose, DisclosureGround] = {
    DownloadPurpose.EMERGENCY: DisclosureGround.VITAL,
    DownloadPurpose.DUTY: DisclosureGround.LAW,
    DownloadPurpose.COMPLAINT: DisclosureGround.COMPLAINT,
    DownloadPurpose.LEGAL: DisclosureGround.CLAIM,
}
"""Copies for these go to somebody outside: none is made before it is noted who gets it."""

GROUND_WORDS: Mapping[DisclosureGround, str] = {
    **{ground: PURPOSE_WORDS[purpose] for purpose, ground in LEAVES_FOR.items()},
    DisclosureGround.CONSENT: N_("because the participant agreed to it"),
    DisclosureGround.OTHER: N_("for another reason"),
}
KIND_WORDS: Mapping[Disclosed, str] = {
    Disclosed.CONTACT: N_("name and address"),
    Disclosed.VIDEO: N_("video"),
    Disclosed.AUDIO: N_("audio"),
    Disclosed.SCREEN: N_("screen"),
    Disclosed.TRANSCRIPT: N_("transcript"),
    Disclosed.ANSWERS: N_("answers"),
    Disclosed.NOTES: N_("notes"),
}
SILENCE_WORDS: Mapping[Silence, str] = {
    Silence.ORDER: N_("A court or an authority forbids telling them."),
    Silence.INQUIRY: N_("A law allows waiting, because telling them would spoil an inquiry."),
    Silence.DANGER: N_("Telling them would put somebody in danger."),
}
KIND_OF_TRACK: Mapping[TrackKind, Disclosed] = {
    TrackKind.CAMERA: Disclosed.VIDEO,
    TrackKind.VOICE: Disclosed.AUDIO,
    TrackKind.SCREEN: Disclosed.SCREEN,
    TrackKind.SCREEN_SOUND: Disclosed.SCREEN,
}
NEEDS_WORDS = frozenset({DisclosureGround.LAW, DisclosureGround.OTHER})
"""Which law or whose order, and which other reason: nothing else says it."""
LONGEST_SILENCE = timedelta(days=366)
KEPT_YEARS = 3
"""After the person is erased, as long as requests are: somebody may ask whether their recipients were told."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a member noted. kinds empty: in a correction, nothing was given after all."""

    recipient: str
    contact: str
    kinds: frozenset[Disclosed]
    ground: DisclosureGround
    words: str
    given_on: date
    told_before: bool
    untold: str = ""
    hidden_until: date | None = None
    hidden_ground: Silence | None = None


def fits(given: Given, today: date, *, correcting: bool) -> tuple[str, Decision]:
    """The field that does not fit, and why; ("", ALLOWED) when all do. today: by the clock furthest east."""
    if not given.kinds and not correcting:
        return "kinds", refused(N_("Please tick what they were given."))
    if given.ground in NEEDS_WORDS and not given.words:
        return "words", refused(N_("Please say which law, order or reason: the entry is the proof."))
    if given.given_on > today:
        return "given_on", refused(N_("Please choose a day that has come."))
    if not given.told_before and not given.untold:
        return "untold", refused(N_("Please say why they were not told first."))
    if (given.hidden_until is None) is not (given.hidden_ground is None):
        return "hidden_until", refused(N_("Not telling them needs both: a reason and a day."))
    if given.hidden_until is not None and not today < given.hidden_until <= today + LONGEST_SILENCE:
        return "hidden_until", refused(N_("Please choose a day to come, within a year. It can be renewed then."))
    if given.hidden_until is not None and given.told_before:
        return "hidden_until", refused(N_("They were told, so there is nothing to be silent about."))
    return "", ALLOWED


def may_know(hidden_until: date | None, today: date) -> bool:
    """May the participant see this entry? From its day on they may."""
    return hidden_until is None or hidden_until <= today


def may_leave(
    purpose: DownloadPurpose, wanted: Collection[Disclosed], noted: Iterable[tuple[str, Collection[str]]]
) -> Decision:
    """May a copy of these kinds of one participant be made for this purpose? noted: ground and kinds of the entries
    that count. What is for somebody outside leaves only as far as it is noted who gets it."""
    ground = LEAVES_FOR.get(purpose)
    if ground is None:
        return ALLOWED
    covered = {kind for said, kinds in noted if said == ground for kind in kinds}
    if set(wanted) <= covered:
        return ALLOWED
    return refused("Note first who gets this copy.")


async def note_disclosure(
    db: Db,
    columns: SealedColumns,
    *,
    account: AccountId,
    session: UUID,
    participant: PersonId,
    given: Given,
    by: PersonId,
    corrects: UUID | None = None,
) -> Disclosure:
    """A new entry of the register, and its line in the log, which names neither person nor recipient. It waits for an
    erasure of the person that is being certified: this recipient is told of it, or nothing is noted. Raises Gone."""
    mine = select(Participant.erased_at).where(Participant.id == participant).with_for_update(read=True)
    if await db.scalar(mine) is not None:
        raise Gone
    row = Disclosure(
        id=uuid4(),
        account_id=account,
        session_id=session,
        participant_id=participant,
        recipient=columns.seal(account, None, RECIPIENT_FIELD, given.recipient),
        contact=columns.seal(account, None, CONTACT_FIELD, given.contact),
        kinds=[kind for kind in Disclosed if kind in given.kinds],
        ground=given.ground,
        words=columns.seal(account, participant, WORDS_FIELD, given.words) if given.words else None,
        given_on=given.given_on,
        told_before=given.told_before,
        untold=columns.seal(account, participant, UNTOLD_FIELD, given.untold) if given.untold else None,
        hidden_until=given.hidden_until,
        hidden_ground=given.hidden_ground,
        corrects=corrects,
        by=by,
    )
    db.add(row)
    await db.flush()
    facts: dict[str, Fact | UUID] = {"ground": str(given.ground), "told_before": given.told_before}
    if corrects is not None:
        facts["corrects"] = corrects
        await _take_over_notices(db, row)
    await record(
        db,
        account=account,
        actor=f"member:{by}",
        action=Action.DISCLOSURE_NOTED,
        subject=f"disclosure:{row.id}",
        facts=facts,
    )
    return row


async def _take_over_notices(db: Db, row: Disclosure) -> None:
    """Whoever is still to be told is told as this entry says it, which may name another address, or that nothing was
    given."""
    waiting = (RecipientNotice.disclosure_id == row.corrects, RecipientNotice.answered_at.is_(None))
    if row.kinds:
        await db.execute(update(RecipientNotice).where(*waiting).values(disclosure_id=row.id))
    else:
        await db.execute(delete(RecipientNotice).where(*waiting))


def counting(rows: Iterable[Disclosure]) -> list[Disclosure]:
    """Those that no other of them corrects, in their order; one that says nothing was given counts for nothing."""
    all_ = list(rows)
    corrected = {row.corrects for row in all_}
    return [row for row in all_ if row.id not in corrected]


async def disclosures_of(
    db: Db, *, participant: UUID | None = None, session: UUID | None = None
) -> Sequence[Disclosure]:
    """Every entry, corrected ones too, newest first; of one participant, of one session, or of both."""
    query = select(Disclosure).order_by(Disclosure.at.desc(), Disclosure.id)
    if participant is not None:
        query = query.where(Disclosure.participant_id == participant)
    if session is not None:
        query = query.where(Disclosure.session_id == session)
    return (await db.scalars(query)).all()


async def find_disclosure(db: Db, disclosure: UUID) -> Disclosure:
    """One that still counts, locked: two corrections of one entry would both count. Raises NotThere."""
    row = await db.get(Disclosure, disclosure, with_for_update=True)
    if row is None or await db.scalar(select(Disclosure.id).where(Disclosure.corrects == disclosure)):
        raise NotThere
    return row


async def leaves(
    db: Db, purpose: DownloadPurpose, *, session: UUID, people: Collection[UUID], wanted: Collection[Disclosed]
) -> Decision:
    """may_leave for everybody whose data is in a copy of this session."""
    if purpose not in LEAVES_FOR:
        return ALLOWED
    noted: dict[UUID, list[tuple[str, Collection[str]]]] = {}
    for row in counting(await disclosures_of(db, session=session)):
        noted.setdefault(row.participant_id, []).append((row.ground, row.kinds))
    for person in people:
        decision = may_leave(purpose, wanted, noted.get(person, ()))
        if not decision:
            return decision
    return ALLOWED


async def kinds_of_recording(db: Db, recording: Recording) -> frozenset[Disclosed]:
    """What a copy of its media shows."""
    tracks = select(Track.kind).where(Track.recording_id == recording.id, Track.erased_at.is_(None))
    return frozenset(KIND_OF_TRACK[TrackKind(kind)] for kind in await db.scalars(tracks))


async def forget_disclosures(db: Db, *, account: AccountId, disclosures: Collection[UUID]) -> int:
    """Delete these, which the door old_disclosures found past their time. Safe to run twice."""
    found = select(Disclosure.id).where(Disclosure.id.in_(disclosures)).with_for_update(skip_locked=True)
    gone = list(await db.scalars(found))
    await db.execute(delete(RecipientNotice).where(RecipientNotice.disclosure_id.in_(gone)))
    await db.execute(delete(Disclosure).where(Disclosure.id.in_(gone)))
    for one in gone:
        subject = f"disclosure:{one}"
        await record(db, account=account, actor=SYSTEM, action=Action.DISCLOSURE_FORGOTTEN, subject=subject)
    return len(gone)
