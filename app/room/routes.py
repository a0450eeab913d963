"""The room's pages and commands. Media goes through whip.py and whep.py, news through events.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import Router, get, post
from litestar.response import Template
from sqlalchemy import delete, select

from app.accounts.agreement import agreement_stands, require_agreement
from app.accounts.login import Login
from app.accounts.reads import note_shown
from app.audit import Action, Fact, record
from app.database import Db, now_in
from app.errors import BadInput, Forbidden, NotThere
from app.forms import read_form
from app.invitations import service as invitations
from app.invitations.models import Invitation
from app.invitations.noted import Noted, notes_shown
from app.invitations.session_mail_policy import SessionMail
from app.invitations.session_mails import tell_participants
from app.language import N_, gettext
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.service import study_notice
from app.room import tokens, whep, whip
from app.room.allowance import RecordedLongest, is_overlong
from app.room.events import events
from app.room.ice import ice_servers
from app.room.models import Presence
from app.room.node_client import Node as NodePort
from app.room.permission import push_session
from app.room.room import OBSERVER
from app.room.seat import Seat, require_guest, require_host, seat_of, token_key
from app.room.watch import watches_of
from app.sessions import recorded_members, service
from app.sessions.models import Session
from app.sessions.policy import CONSENT_TRACKS
from app.sessions.responses import count_questions
from app.studies.models import ConsentKind, Study
from app.third_parties import Purpose, require_reviewed
from app.wiring import Wiring
from recordings.model import PersonId, StreamKind

STEPS = {
    "open": service.open_room,
    "start": service.start_recording,
    "pause": service.pause_recording,
    "resume": service.resume_recording,
    "end": service.end,
}
SELF = {"record-me": True, "do-not-record-me": False}
CONSENT_NAMES = {
    ConsentKind.VIDEO: N_("the picture of your camera"),
    ConsentKind.AUDIO: N_("your voice"),
    ConsentKind.SCREEN: N_("your screen and its sound"),
    ConsentKind.TRANSCRIPT: N_("the transcript of what you say"),
}


@get("/rooms/{session:uuid}")
async def show(request: AnyRequest, wiring: Wiring, db: Db, login: Login, session: UUID) -> Template:
    """The room as this person sees it."""
    seat = await seat_of(db, wiring, login, session)
    row = await db.get_one(Session, session)
    study = await db.get_one(Study, row.study_id)
    if seat.person.is_member:
        noted = Noted()
        if login is not None:
            await note_shown(db, login, f"session:{session}")
        if seat.person.role != OBSERVER:
            noted = await notes_shown(db, wiring.columns, session=row, study=study)
        return page(
            "room/member.html",
            request,
            session=row,
            study=study,
            role=seat.person.role,
            agreed=await agreement_stands(db),
            records_self=seat.person.records_self,
            noted=noted,
        )
    again = seat.person.asked_again
    facts, notice = await study_notice(db, wiring.columns, wiring.settings, account=seat.account, study=study)
    return page(
        "room/participant.html",
        request,
        questions=await count_questions(db, study=study.id, session=session, participant=seat.person.person),
        session=row,
        study=study,
        name=wiring.columns.open(seat.account, seat.person.person, "participant.name", seat.person.name),
        kinds=sorted(kind for consent in seat.person.consents for kind in CONSENT_TRACKS[consent]),
        consents=[(kind, gettext(CONSENT_NAMES[kind])) for kind in ConsentKind if kind in seat.person.consents | again],
        asked_again=bool(again),
        consent_path=f"/take-part/{session}/consent",
        notice_link=f"/take-part/{session}/notice",
        contact={"name": facts.contact_name, "email": facts.contact_email},
        notice_date=notice.dated,
    )


@get("/rooms/{session:uuid}/ice")
async def tell_ice(wiring: Wiring, db: Db, login: Login, session: UUID) -> dict[str, Any]:
    """RTCConfiguration for the next connection; credentials live ten minutes."""
    seat = await seat_of(db, wiring, login, session)
    servers = ice_servers(wiring.settings, session=seat.facts.session, now=datetime.now(UTC))
    policy = "relay" if wiring.settings.turn_only else "all"
    return {"iceServers": [server.as_dict() for server in servers], "iceTransportPolicy": policy}


@post("/rooms/{session:uuid}/token", status_code=201)
async def make_token(request: AnyRequest, wiring: Wiring, db: Db, login: Login, session: UUID) -> dict[str, str]:
    """A room token for a publisher that is no browser; form field `stream`: camera or screen."""
    seat = await seat_of(db, wiring, login, session)
    stream = (await read_form(request)).values.get("stream", "")
    if stream not in set(StreamKind):
        raise BadInput("Please name the stream: camera or screen.")
    if seat.person.role == OBSERVER:
        raise Forbidden("Observers watch; they do not send sound or pictures.")
    token, expires_at = tokens.issue(
        token_key(wiring.settings),
        account=seat.account,
        session=session,
        person=seat.person.person,
        is_member=seat.person.is_member,
        stream=StreamKind(stream),
        now=datetime.now(UTC),
    )
    await _note(db, seat, Action.TOKEN_ISSUED, {"stream": stream})
    return {"token": token, "whip": f"{wiring.settings.origin}/whip", "expires": expires_at.isoformat()}


@post("/rooms/{session:uuid}/{step:str}", status_code=204)
async def lead(
    request: AnyRequest, wiring: Wiring, node: NodePort, db: Db, login: Login, session: UUID, step: str
) -> None:
    """open, start, pause, resume and end by a researcher, and whether they are recorded themselves; pause-mine
    and resume-mine by a participant."""
    seat = await seat_of(db, wiring, login, session)
    if step in STEPS:
        require_host(seat)
        if step in ("start", "resume"):
            await require_agreement(db)
        if step == "start":
            require_reviewed(wiring.settings, Purpose.STORAGE, (await now_in(db)).date())
        if step == "resume" and is_overlong(seat.facts, wiring.settings.recording_minutes):
            raise RecordedLongest
        await STEPS[step](db, session=session, by=seat.actor)
        if step == "end":
            await db.execute(delete(Presence).where(Presence.session_id == session))
            await tell_participants(db, wiring, session=session, mail=SessionMail.CANCELLED)  # if it never was opened
    elif step in SELF:
        require_host(seat)
        await recorded_members.switch_self(db, session=session, member=seat.person.person, recorded=SELF[step])
    elif step in ("pause-mine", "resume-mine"):
        require_guest(seat)
        invitation = await _invitation(db, session, seat.person.person)
        pausing = step == "pause-mine"
        invitation.paused_at = await now_in(db) if pausing else None
        await _note(db, seat, Action.OWN_RECORDING_PAUSED if pausing else Action.OWN_RECORDING_RESUMED)
    else:
        raise NotThere
    await _committed(request, wiring, node, db, seat)


@post("/rooms/{session:uuid}/admit/{participant:uuid}", status_code=204)
async def admit(
    request: AnyRequest, wiring: Wiring, node: NodePort, db: Db, login: Login, session: UUID, participant: UUID
) -> None:
    """Let a participant in from the waiting room. Safe to run twice."""
    seat = await seat_of(db, wiring, login, session)
    require_host(seat)
    await invitations.admit(db, session=session, participant=PersonId(participant), by=seat.actor)
    await _committed(request, wiring, node, db, seat)


async def _committed(request: AnyRequest, wiring: Wiring, node: NodePort, db: Db, seat: Seat) -> None:
    """Commit, then let it take effect at once: the media process first, the open pages next."""
    await db.commit()
    await push_session(wiring, node, account=seat.account, session=seat.facts.session)
    watches_of(request.app, wiring, node).poke(seat.facts.session)


async def _note(db: Db, seat: Seat, action: Action, facts: dict[str, Fact] | None = None) -> None:
    subject = f"session:{seat.facts.session}"
    await record(db, account=seat.account, actor=seat.actor, action=action, subject=subject, facts=facts)


async def _invitation(db: Db, session: UUID, participant: UUID) -> Invitation:
    found = await db.execute(
        select(Invitation)
        .where(Invitation.session_id == session, Invitation.participant_id == participant)
        .with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise NotThere
    return row


router = Router(path="/", route_handlers=[show, tell_ice, make_token, lead, admit, events], opt=FOR_PARTICIPANTS)
routers = [router, whip.router, whep.router]
