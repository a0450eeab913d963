"""The questions after a session, as its participant sees them: answer, change with proof of the address, erase alone.

A forwarded invitation can be opened by somebody else, so what was answered is shown and replaced only after a code
mailed to the registered address (my_data.py), like everything that is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.response import Redirect, Template
from sqlalchemy import Select, any_, exists, func, select

from app.accounts.login import Login, SignedIn, require_participant
from app.accounts.models import Scope
from app.database import Db, now_in
from app.decisions import Decision
from app.errors import NotThere
from app.forms import Form, read_form
from app.invitations.models import Invitation
from app.language import N_, gettext
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.models import Participant
from app.participants.notice import counted_words
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import receipt_token
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import Erasure, ErasureReason
from app.privacy.rights.take_part import Invited, invited_to
from app.privacy.rights.where_invited import Place, places_of
from app.room.models import Presence
from app.room.rows import PRESENT_FOR
from app.sessions.activity import last_active
from app.sessions.answering import AnsweringFacts, ResponseFacts, answers_until, may_answer
from app.sessions.models import Recording, Session, SessionState
from app.sessions.policy import after_last
from app.sessions.response_forms import field_of, read_answers, shown_answers
from app.sessions.response_models import Response
from app.sessions.responses import (
    AnswerLine,
    QuestionsChanged,
    answers_kept_days,
    answers_of,
    questions_for,
    response_of,
    save_answers,
)
from app.studies.clocks import idle_days
from app.studies.models import Question, Study
from app.studies.questions import questions_of_study
from app.wiring import Wiring
from recordings.model import PersonId

SAVED = "saved"
PROVE = N_(
    "You have answered already. So that nobody who was forwarded your link can change it, please open My data in "
    "another tab, confirm your e-mail address with the code, and save here again."
)
NOTHING = N_("You have not answered anything yet. You need not: you can just leave this page.")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One participant before the questions of one session. shown: what they answered before, when they may see it."""

    invited: Invited
    session: Session
    study: Study
    questions: list[Question]
    response: Response | None
    shown: list[AnswerLine]
    decision: Decision

    @property
    def answered(self) -> bool:
        return self.response is not None

    @property
    def proven(self) -> bool:
        return self.invited.proven


@get("/take-part/{session:uuid}/questions")
async def show_questions(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    """The questions; thanks once they were answered; why not, when they cannot be."""
    asked = await _asked(db, wiring, require_participant(login), session)
    thanks = asked.answered and (not asked.proven or SAVED in request.query_params)
    if asked.decision and not thanks and asked.questions:
        return _form_page(request, asked, shown_answers(asked.shown))
    return await _calm_page(request, db, asked, thanks=thanks)


@post("/take-part/{session:uuid}/questions")
async def send_answers(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template | Redirect:
    """All answers as they stand on the page; one field `q-<question>` each."""
    person = require_participant(login)
    await db.get(Participant, person.participant, with_for_update=True)  # one change of a person after the other
    await db.get(Session, session, with_for_update={"read": True})  # not while what it left is being erased
    asked = await _asked(db, wiring, person, session)
    if not asked.decision:
        return await _calm_page(request, db, asked, thanks=False)
    form = await read_form(request)
    try:
        values = read_answers(form, asked.questions)
        if values is None:
            return _form_page(request, asked, form, status=422)
        if asked.answered and not asked.proven:
            return _form_page(request, asked, form, status=401, told=PROVE)
        if not values and not asked.answered:
            return _form_page(request, asked, form, status=422, told=NOTHING)
        await save_answers(
            db, wiring.columns, session=asked.session, participant=asked.invited.participant, values=values
        )
    except QuestionsChanged as error:
        return _form_page(request, asked, form, status=409, told=error.message)
    return Redirect(f"/take-part/{session}/questions?{SAVED}=yes", status_code=303)


@get("/my-data/{session:uuid}/answers/erase")
async def confirm_erase_answers(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    """Says what will go and asks once."""
    person = require_participant(login, Scope.DATA)
    invited = await invited_to(db, wiring, person, session, withdrawn_too=True)
    await _standing(db, session, invited.participant)
    return page("privacy/erase_answers.html", request, **invited.context)


@post("/my-data/{session:uuid}/answers/erase")
async def erase_answers(db: Db, wiring: Wiring, login: Login, session: UUID) -> Redirect:
    """Just these answers; the answer is the receipt."""
    person = require_participant(login, Scope.DATA)
    invited = await invited_to(db, wiring, person, session, withdrawn_too=True)
    response = await _standing(db, session, invited.participant)
    erasure = await ask_erasure(
        db,
        account=person.account,
        person=invited.participant,
        reason=ErasureReason.REQUEST,
        asked_by=person.actor,
        instruction="request of the participant for the answers to one session, address confirmed by code",
        recordings=[],
        responses=[response.id],
    )
    token = receipt_token(signing_key(wiring.settings.data_dir), person.account, erasure.id)
    return Redirect(f"/receipt/{token}", status_code=303)


async def may_answer_now(
    db: Db, person: Participant, places: Collection[Place], responses: Mapping[UUID, Response]
) -> dict[UUID, Decision]:
    """The rule over the rows as they are now, by session. responses: what this participant answered, by session."""
    now = await now_in(db)
    seen = {row.session_id: row for row in await db.execute(_seen(person.id, [one.session.id for one in places]))}
    found = {}
    for one in places:
        invitation, session, response = one.invitation, one.session, responses.get(one.session.id)
        facts = AnsweringFacts(
            state=SessionState(session.state),
            registered=person.registered_at is not None,
            admitted=invitation.admitted_at is not None and invitation.revoked_at is None,
            inside=seen[session.id].inside,
            erased=_going(response) if response is not None else bool(seen[session.id].erased),
            keep_until=await _until(db, session, one.study, response, person, now),
        )
        found[session.id] = may_answer(facts, now)
    return found


async def _asked(db: Db, wiring: Wiring, login: SignedIn, session: UUID) -> Asked:
    """Raises NotThere for somebody else's session."""
    invited = await invited_to(db, wiring, login, session)
    places = await places_of(db, participant=invited.participant, session=session)
    if not places:
        raise NotThere
    study = places[0].study
    response = await response_of(db, session=session, participant=invited.participant)
    person, lines = await db.get_one(Participant, invited.participant), []
    if response is not None and invited.proven:
        lines = (await answers_of(db, wiring.columns, [response])).get(response.id, [])
    return Asked(
        invited=invited,
        session=invited.session,
        study=study,
        questions=questions_for(await questions_of_study(db, study.id), lines),
        response=response,
        shown=lines,
        decision=(await may_answer_now(db, person, places, {session: response} if response else {}))[session],
    )


async def _standing(db: Db, session: UUID, participant: PersonId) -> Response:
    """The answers that are there to be erased. Raises NotThere."""
    response = await response_of(db, session=session, participant=participant)
    if response is None or response.erased_at is not None:
        raise NotThere
    return response


def _going(response: Response) -> bool:
    return response.hidden_at is not None or response.erased_at is not None


def _seen(person: UUID, sessions: Sequence[UUID]) -> Select[UUID, bool, bool | None]:
    """Of each session. inside: their page of the room is open; erased: every recording of this person goes or went by
    an erasure of whole recordings, None: there is none. Taking back each kind one by one is not that."""
    inside = exists().where(
        Presence.session_id == Invitation.session_id,
        Presence.person_id == Invitation.participant_id,
        Presence.seen_at > func.clock_timestamp() - PRESENT_FOR,
    )
    whole = exists().where(
        Erasure.person_id == Recording.person_id,
        Erasure.track_kinds.is_(None),
        Recording.id == any_(Erasure.recording_ids),
    )
    erased = (
        select(func.bool_and(whole))
        .where(Recording.session_id == Invitation.session_id, Recording.person_id == Invitation.participant_id)
        .scalar_subquery()
    )
    here = Invitation.participant_id == person, Invitation.session_id.in_(sessions)
    return select(Invitation.session_id, inside.label("inside"), erased.label("erased")).where(*here)


async def _until(
    db: Db, session: Session, study: Study, response: Response | None, person: Participant, now: datetime
) -> datetime | None:
    """Until when answers are kept that stand or would be given now; None: until someone asks."""
    own, at = (response.periods, response.answered_at) if response else (person.periods, now)
    idle, active = idle_days(study.periods, session.periods, own), None
    if idle is not None:
        active = (await last_active(db, [(session.id, person.id)])).get((session.id, person.id))
    return answers_until(
        ResponseFacts(
            answered_at=at,
            session_ended_at=session.ended_at,
            hidden_at=None,
            erased_at=None,
            idle_until=after_last(session.ended_at or at, active, idle),
        ),
        answers_kept_days(study, session, own),
    )


def _form_page(request: AnyRequest, asked: Asked, form: Form, *, status: int = 200, told: str = "") -> Template:
    return page(
        "privacy/questions.html",
        request,
        status=status,
        form=form,
        questions=[(question, field_of(question)) for question in asked.questions],
        words=asked.study.questions_words,
        told=gettext(told) if told else "",
        changing=asked.answered,
        counted_words=counted_words(),
        here=f"/take-part/{asked.session.id}/questions",
        **asked.invited.context,
    )


async def _calm_page(request: AnyRequest, db: Db, asked: Asked, *, thanks: bool) -> Template:
    """Nothing to fill in: thanks, nothing is asked, or why it cannot be answered."""
    person = await db.get_one(Participant, asked.invited.participant)
    refused = not asked.decision and not (thanks and asked.response and asked.response.hidden_at is None)
    return page(
        "privacy/answered.html",
        request,
        status=409 if refused and asked.questions else 200,
        thanks=thanks and not refused,
        reason=gettext(asked.decision.reason) if refused else "",
        inside=asked.session.state == SessionState.LIVE,
        until=await _until(db, asked.session, asked.study, asked.response, person, await now_in(db)),
        here=f"/take-part/{asked.session.id}/questions",
        **asked.invited.context,
    )


router = Router(
    "/",
    route_handlers=[show_questions, send_answers, confirm_erase_answers, erase_answers],
    opt=FOR_PARTICIPANTS,
)
