"""The audit log as the owner reads it: newest first, who did what to which thing, in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.accounts.reads import Listed
from app.accounts.service import member_names
from app.audit import SYSTEM, Action, AuditEvent
from app.database import Db
from app.language import N_, _, gettext
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.privacy.records.models import DataRequest
from app.sealed_columns import ERASED, SealedColumns
from app.sessions.models import Recording, Session
from app.studies.models import Study
from recordings.model import AccountId, PersonId

KINDS = {
    "accounts": N_("Members and signing in"),
    "studies": N_("Studies"),
    "sessions": N_("Sessions"),
    "invitations": N_("Invitations"),
    "participants": N_("Participants and consent"),
    "library": N_("Watching and reading"),
    "privacy": N_("Requests and erasures"),
    "support": N_("Support access"),
}
"""First parts of the names of actions."""

WORDS: dict[Action, str] = {
    Action.ACCOUNT_CREATED: N_("made the account"),
    Action.ACCOUNT_CLOSING: N_("announced that the account closes"),
    Action.ACCOUNT_KEPT: N_("kept the account after all"),
    Action.ACCOUNT_CLOSED: N_("closed the account"),
    Action.ACCOUNT_GONE: N_("destroyed the key of the closed account"),
    Action.ACCOUNT_EXPORTED: N_("took along everything the account holds"),
    Action.AGREEMENT_ACCEPTED: N_("accepted the processing agreement"),
    Action.MEMBER_INVITED: N_("added a member"),
    Action.MEMBER_ROLE_CHANGED: N_("changed a member's role"),
    Action.MEMBER_REMOVED: N_("removed a member"),
    Action.PASSKEY_ADDED: N_("added a passkey"),
    Action.PASSKEY_REMOVED: N_("removed a passkey"),
    Action.PASSKEY_USED: N_("showed a passkey to sign in"),
    Action.PASSKEYS_NEEDED: N_("asked owners and researchers for a passkey"),
    Action.PASSKEYS_NOT_NEEDED: N_("asked nobody for a passkey any more"),
    Action.SIGNED_IN: N_("signed in"),
    Action.SIGNED_OUT: N_("signed out"),
    Action.STUDY_CREATED: N_("made a study"),
    Action.STUDY_CHANGED: N_("changed a study"),
    Action.STUDY_CLOSED: N_("closed a study"),
    Action.STUDY_REOPENED: N_("opened a study again"),
    Action.QUESTIONS_CHANGED: N_("changed a study's questions"),
    Action.CONSENT_TEXT_CHANGED: N_("wrote a version of a consent text"),
    Action.RETENTION_CHANGED: N_("changed how long things are kept"),
    Action.STUDY_ASSIGNED_ONLY: N_("let only those assigned see a study's sessions"),
    Action.STUDY_SEEN_BY_ALL: N_("let the whole team see a study's sessions"),
    Action.SESSION_SCHEDULED: N_("scheduled a session"),
    Action.MEMBER_ASSIGNED: N_("assigned a member to a session"),
    Action.MEMBER_UNASSIGNED: N_("ended a member's assignment to a session"),
    Action.ROOM_OPENED: N_("opened the room"),
    Action.SESSION_ENDED: N_("ended the session"),
    Action.SESSION_MOVED: N_("moved the session"),
    Action.REMINDER_SWITCHED: N_("switched a session's reminder on or off"),
    Action.TOKEN_ISSUED: N_("made a token to publish without a browser"),
    Action.NOTE_WRITTEN: N_("wrote a note"),
    Action.NOTE_DELETED: N_("deleted a note"),
    Action.NOTES_ERASED: N_("erased the notes"),
    Action.ANSWERS_GIVEN: N_("answered the questions"),
    Action.ANSWERS_READ: N_("read answers"),
    Action.ANSWERS_DOWNLOADED: N_("downloaded answers"),
    Action.RECORDING_STARTED: N_("started recording"),
    Action.RECORDING_PAUSED: N_("paused recording"),
    Action.RECORDING_RESUMED: N_("resumed recording"),
    Action.MEMBER_RECORDED: N_("let themselves be recorded"),
    Action.MEMBER_NOT_RECORDED: N_("took themselves out of the recording"),
    Action.RECORDING_HELD: N_("set a hold"),
    Action.RECORDING_RELEASED: N_("lifted a hold"),
    Action.RECORDING_RESTRICTED: N_("restricted a recording"),
    Action.RECORDING_UNRESTRICTED: N_("lifted a restriction"),
    Action.INVITED: N_("invited somebody"),
    Action.INVITATION_REVOKED: N_("withdrew an invitation"),
    Action.UNSUBSCRIBED: N_("unsubscribed from invitations"),
    Action.SESSION_MAILS_SWITCHED: N_("switched mails about their sessions on or off"),
    Action.REGISTERED: N_("registered"),
    Action.ADMITTED: N_("let somebody in"),
    Action.CONSENT_GIVEN: N_("gave consent"),
    Action.CONSENT_WITHDRAWN: N_("took consent back"),
    Action.OWN_RECORDING_PAUSED: N_("paused their own recording"),
    Action.OWN_RECORDING_RESUMED: N_("resumed their own recording"),
    Action.ADDRESS_CODE_ASKED: N_("asked for a code at a new address"),
    Action.ADDRESS_CORRECTED: N_("corrected their address"),
    Action.CODE_ASKED: N_("asked for a code to see their data"),
    Action.DATA_OPENED: N_("opened their data with a code"),
    Action.DATA_SHOWN: N_("opened a page with names, addresses, words or notes"),
    Action.SESSION_REVIEWED: N_("opened a review"),
    Action.RECORDING_TRIED_AGAIN: N_("had a recording made ready again"),
    Action.TRANSCRIPT_TRIED_AGAIN: N_("had a transcript written again"),
    Action.LIVE_WATCHED: N_("watched live, as it was sent"),
    Action.RECORDING_VIEWED: N_("watched a recording"),
    Action.RECORDING_DOWNLOADED: N_("downloaded a recording"),
    Action.TRANSCRIPT_READ: N_("downloaded a transcript"),
    Action.LINE_CORRECTED: N_("corrected a line of a transcript"),
    Action.REQUEST_RECEIVED: N_("made a request"),
    Action.SUPPLEMENT_WRITTEN: N_("added what was missing"),
    Action.SUPPLEMENT_TAKEN_BACK: N_("took back what they had added"),
    Action.REQUEST_NOTED: N_("wrote down a request of a participant"),
    Action.REQUEST_CONFIRMED: N_("confirmed a request that was written down for them"),
    Action.REQUEST_DISOWNED: N_("said that a request was not theirs"),
    Action.REQUEST_ANSWERED: N_("answered a request"),
    Action.REQUEST_EXTENDED: N_("took longer for a request, with the reason"),
    Action.REQUEST_REMINDED: N_("reminded the owners of a request"),
    Action.REQUEST_ESCALATED: N_("told the platform's contact of an unanswered request"),
    Action.REQUEST_FORGOTTEN: N_("took a request off the register, three years after its answer"),
    Action.DISCLOSURE_NOTED: N_("noted who outside was given something"),
    Action.DISCLOSURE_FORGOTTEN: N_("took a disclosure off the register, three years after the person's erasure"),
    Action.RECIPIENT_TOLD: N_("told a recipient what became of the data"),
    Action.RECIPIENT_NOT_TOLD: N_("noted why a recipient was not told"),
    Action.CONTACTS_EXPORTED: N_("took along a name and an address"),
    Action.DATA_EXPORTED: N_("took along a copy of everything held"),
    Action.ERASURE_ASKED: N_("asked for an erasure"),
    Action.ERASURE_RUNNING: N_("began an erasure"),
    Action.ERASURE_COMPLETE: N_("completed an erasure"),
    Action.ERASURE_PARTIAL: N_("could not complete an erasure"),
    Action.ORPHANS_ERASED: N_("erased files that nothing belonged to any more"),
    Action.FILE_MISSED: N_("found a file missing"),
    Action.FILE_FOUND: N_("found a missing file again"),
    Action.ERASURE_HELD: N_("found an erasure stopped by a hold"),
    Action.RESTORED: N_("restored the database from a backup"),
    Action.LEDGER_LOSS_ACCEPTED: N_("went on with a damaged ledger of erasures"),
    Action.SUPPORT_ASKED: N_("asked for support access"),
    Action.SUPPORT_GRANTED: N_("granted support access"),
    Action.SUPPORT_REFUSED: N_("refused support access"),
    Action.SUPPORT_REVOKED: N_("ended support access"),
    Action.SUPPORT_READ: N_("read under support access"),
    Action.SUPPORT_RULE_CHANGED: N_("changed who may grant support access"),
    Action.OPERATOR_ADDED: N_("added an operator"),
    Action.OPERATOR_REMOVED: N_("removed an operator"),
    Action.OPERATOR_LINK_USED: N_("used a sign-in link of an operator"),
    Action.OPERATOR_SIGNED_IN: N_("signed in as an operator"),
    Action.OPERATOR_SIGNED_OUT: N_("signed out as an operator"),
    Action.OPERATOR_PASSKEY_ADDED: N_("added a passkey of an operator"),
}


LISTS = {
    Listed.REQUESTS: (N_("list of requests"), "/requests"),
    Listed.ERASURES: (N_("list of erasures"), "/erasures"),
    Listed.DISCLOSURES: (N_("register of what was given to others"), "/disclosures"),
    Listed.HOLDS: (N_("list of holds"), "/holds"),
    Listed.AUDIT: (N_("audit log"), "/audit"),
}
UNSAID = ("scope",)  # facts that say nothing to people


@dataclass(frozen=True, kw_only=True)
class TrailLine:
    """One event. who: a name, or what took its place; about: the thing, link: its page where it has one;
    more: what the event says besides."""

    number: int
    at: datetime
    who: str
    words: str
    about: str
    link: str
    more: str


@dataclass(frozen=True, kw_only=True)
class Trail:
    """older: the number to go on below, None at the beginning of the log."""

    lines: tuple[TrailLine, ...]
    older: int | None


async def trail(db: Db, columns: SealedColumns, *, kind: str = "", below: int | None = None, rows: int = 50) -> Trail:
    """Events with a number smaller than `below` (None: the newest), of one of KINDS or of all."""
    query = select(AuditEvent).order_by(AuditEvent.number.desc()).limit(rows + 1)
    if kind:
        query = query.where(AuditEvent.action.in_([one.value for one in Action if one.startswith(f"{kind}:")]))
    if below is not None:
        query = query.where(AuditEvent.number < below)
    events = (await db.scalars(query)).all()
    shown = events[:rows]
    names = await _names(db, columns, shown)
    return Trail(
        lines=tuple(_line(event, names) for event in shown),
        older=shown[-1].number if len(events) > rows else None,
    )


async def _names(db: Db, columns: SealedColumns, events: Iterable[AuditEvent]) -> dict[str, tuple[str, str]]:
    """What things are called, and their page, by subject: a query for each sort of thing, however many events."""
    ids: dict[str, set[UUID]] = {}
    for event in events:
        for said in (event.actor, event.subject, f"participant:{event.facts.get('participant', '')}"):
            sort, _colon, text = said.partition(":")
            if len(text) == 36:
                ids.setdefault(sort, set()).add(UUID(text))
    names = {
        f"member:{person}": (name, f"/members/{person}") for person, name in (await member_names(db, columns)).items()
    }
    people = await db.scalars(select(Participant).where(Participant.id.in_(ids.get("participant", ()))))
    for row in people:
        name = columns.open(AccountId(row.account_id), PersonId(row.id), NAME_FIELD, row.name)
        names[f"participant:{row.id}"] = (name if name not in ("", ERASED) else _("an erased participant"), "")
    recordings = (await db.scalars(select(Recording).where(Recording.id.in_(ids.get("recording", ()))))).all()
    wanted = ids.get("session", set()) | {row.session_id for row in recordings}
    sessions = {row.id: row for row in await db.scalars(select(Session).where(Session.id.in_(wanted)))}
    names |= {f"session:{row.id}": (row.title, f"/sessions/{row.id}") for row in sessions.values()}
    for recording in recordings:
        title = sessions[recording.session_id].title
        names[f"recording:{recording.id}"] = (
            _("recording in %(title)s", title=title),
            f"/sessions/{recording.session_id}#recordings",
        )
    studies = await db.scalars(select(Study).where(Study.id.in_(ids.get("study", ()))))
    names |= {f"study:{row.id}": (row.title, f"/studies/{row.id}") for row in studies}
    names |= {f"erasure:{one}": (_("erasure"), f"/erasures/{one}") for one in ids.get("erasure", ())}
    listed = set(await db.scalars(select(DataRequest.id).where(DataRequest.id.in_(ids.get("request", ())))))
    names |= {
        f"request:{one}": (_("request"), f"/requests/{one}" if one in listed else "") for one in ids.get("request", ())
    }
    names |= {f"disclosure:{one}": (_("disclosure"), "/disclosures") for one in ids.get("disclosure", ())}
    names |= {f"support:{one}": (_("request for support"), "/support-access") for one in ids.get("support", ())}
    names |= {
        f"operator:{one}": (_("an operator of the platform"), "/support-access") for one in ids.get("operator", ())
    }
    names |= {listed: (_(words), page) for listed, (words, page) in LISTS.items()}
    return names


def _line(event: AuditEvent, names: dict[str, tuple[str, str]]) -> TrailLine:
    unknown = "Junier" if event.actor == SYSTEM else _("somebody who is not here any more")
    who, _link = names.get(event.actor, (unknown, ""))
    about, link = names.get(event.subject, ("", ""))
    if event.subject == event.actor:
        about, link = "", ""
    if not about and "participant" in event.facts:
        about, link = names.get(f"participant:{event.facts['participant']}", ("", ""))
    return TrailLine(
        number=event.number,
        at=event.at,
        who=who,
        words=gettext(WORDS[Action(event.action)]),
        about=about,
        link=link,
        more=_more(event),
    )


def _more(event: AuditEvent) -> str:
    """Facts that are words or counts; ids and hashes stay in the log."""
    said = {
        name: str(value).replace("_", " ")
        for name, value in event.facts.items()
        if name not in UNSAID and value is not None
    }
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items() if len(value) < 32)
