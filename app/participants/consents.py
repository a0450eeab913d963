"""The consent log: give and withdraw, and what stands of it now.

An entry names the hash of the text that was shown. It allows recording only while that text still stands: when the
consent text or a fact of the notice changed, the participant is asked again before anything more is recorded
(GDPR Art. 4(11): consent is informed). What was recorded before stays covered by the consent it was recorded under.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from app.audit import Action, record
from app.database import Db
from app.participants.models import Consent, ConsentPurpose, Participant
from app.participants.notice import Notice
from app.participants.policy import ConsentEntry, current, standing
from app.studies.models import ConsentKind
from recordings.model import AccountId, PersonId, SessionId


async def give_consent(
    db: Db,
    *,
    account: AccountId,
    participant: PersonId,
    session: SessionId,
    kind: ConsentKind,
    shown: Notice,
    purpose: ConsentPurpose = ConsentPurpose.RESEARCH,
) -> bool:
    """Write that `kind` is allowed for this purpose, with the text shown; False when exactly that stands already."""
    return await _log(db, account, participant, session, kind, True, shown, purpose)


async def withdraw_consent(
    db: Db,
    *,
    account: AccountId,
    participant: PersonId,
    session: SessionId,
    kind: ConsentKind,
    shown: Notice,
    by: str | None = None,
) -> bool:
    """Write that `kind` is no longer allowed; False when it was not allowed anyway. Stopping the capture
    and erasing what was recorded follow in privacy.withdrawal. by: a member who writes it down for them."""
    if kind not in await standing_consents(db, session=session, participant=participant):
        return False
    return await _log(db, account, participant, session, kind, False, shown, ConsentPurpose.RESEARCH, by)


async def current_consents(
    db: Db, *, session: SessionId, participant: PersonId, texts: Mapping[str, bytes]
) -> frozenset[ConsentKind]:
    """The kinds that may be recorded of this participant at this moment; texts: service.texts_now."""
    return current(await entries(db, session=session, participant=participant), texts)


async def standing_consents(
    db: Db, *, session: SessionId, participant: PersonId, purpose: ConsentPurpose = ConsentPurpose.RESEARCH
) -> frozenset[ConsentKind]:
    """The kinds this participant agreed to for this purpose and has not taken back, whichever text they were shown."""
    return standing_in(await consent_log(db, session=session, participant=participant, purpose=purpose))


def standing_in(log: Iterable[Consent]) -> frozenset[ConsentKind]:
    """The kinds that a log of one session and purpose, oldest first, leaves agreed to."""
    return standing(_entry(row) for row in log)


async def entries(db: Db, *, session: SessionId, participant: PersonId) -> list[ConsentEntry]:
    """The log of one session, oldest first, as the rules read it."""
    return [_entry(row) for row in await consent_log(db, session=session, participant=participant)]


async def entries_of_session(db: Db, *, session: SessionId) -> dict[PersonId, list[ConsentEntry]]:
    """The last word of everybody on each kind."""
    latest = await db.scalars(
        select(Consent)
        .distinct(Consent.participant_id, Consent.kind)
        .where(Consent.session_id == session, Consent.purpose == ConsentPurpose.RESEARCH)
        .order_by(Consent.participant_id, Consent.kind, Consent.number.desc())
    )
    found: dict[PersonId, list[ConsentEntry]] = {}
    for row in latest:
        found.setdefault(PersonId(row.participant_id), []).append(_entry(row))
    return found


async def consent_log(
    db: Db,
    *,
    participant: PersonId,
    session: SessionId | None = None,
    purpose: ConsentPurpose = ConsentPurpose.RESEARCH,
) -> list[Consent]:
    """All entries for a purpose, oldest first; of one session, or of all."""
    query = select(Consent).where(Consent.participant_id == participant, Consent.purpose == purpose)
    if session is not None:
        query = query.where(Consent.session_id == session)
    return list(await db.scalars(query.order_by(Consent.number)))


def _entry(row: Consent) -> ConsentEntry:
    return ConsentEntry(kind=ConsentKind(row.kind), given=row.given, text_hash=row.text_hash, language=row.language)


async def _log(
    db: Db,
    account: AccountId,
    participant: PersonId,
    session: SessionId,
    kind: ConsentKind,
    given: bool,
    shown: Notice,
    purpose: ConsentPurpose,
    by: str | None = None,
) -> bool:
    await db.get(Participant, participant, with_for_update=True)  # one change of a person after the other
    log = await consent_log(db, session=session, participant=participant, purpose=purpose)
    before = [entry for entry in log if entry.kind == kind]
    if before and before[-1].given == given and before[-1].text_hash == shown.hash:
        return False
    db.add(
        Consent(
            account_id=account,
            participant_id=participant,
            session_id=session,
            kind=kind,
            purpose=purpose,
            given=given,
            text_version=shown.consent_version,
            text_hash=shown.hash,
            language=shown.language,
        )
    )
    await db.flush()
    await record(
        db,
        account=account,
        actor=by or f"participant:{participant}",
        action=Action.CONSENT_GIVEN if given else Action.CONSENT_WITHDRAWN,
        subject=f"session:{session}",
        facts={
            "kind": str(kind),
            "purpose": str(purpose),
            "text_version": shown.consent_version,
            "text": shown.fingerprint,
        },
    )
    return True
