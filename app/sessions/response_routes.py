"""What participants answered, for owners and researchers: a page, and a table for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.response import Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.audit import Action, record
from app.database import Db
from app.pages import page
from app.sessions.answering import in_words
from app.sessions.disclosure_models import Disclosed
from app.sessions.leaving import note_first
from app.sessions.models import Session
from app.sessions.purposes import PURPOSE_WORDS, Asked, DownloadPurpose, read_purpose
from app.sessions.responses import Answered, answers_of_session
from app.sessions.service import find_session
from app.sessions.supplements import supplements_to_answers
from app.spreadsheets import as_csv
from app.studies.models import Question
from app.studies.questions import questions_of_study
from app.studies.service import find_study
from app.wiring import Wiring

SAME_READING = timedelta(minutes=10)


@get("/sessions/{session:uuid}/answers")
async def show_answers(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, session: UUID
) -> Template:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_session(db, session)
    study = await find_study(db, row.study_id)
    added = await supplements_to_answers(db, wiring.columns, session=session)
    answered = await answers_of_session(db, wiring.columns, session=row, study=study)
    asks = bool(await questions_of_study(db, study.id))
    if answered or added:
        await _note(db, member, Action.ANSWERS_READ, row)
    return page(
        "sessions/answers.html",
        request,
        session=row,
        study=study,
        answered=answered,
        added=added,
        asks=asks,
        purposes=PURPOSE_WORDS,
    )


@get("/sessions/{session:uuid}/answers.csv")
async def download_answers(
    db: Db, wiring: Wiring, login: Login, session: UUID, purpose: Asked = None
) -> Response[bytes]:
    """One row a participant, one column a wording; what is not readable is left out. It says what it is for."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_session(db, session)
    study = await find_study(db, row.study_id)
    answered = await answers_of_session(db, wiring.columns, session=row, study=study)
    wanted, people = read_purpose(purpose), [one.participant for one in answered if not one.reason]
    if (first := await note_first(db, wanted, session, people, {Disclosed.CONTACT, Disclosed.ANSWERS})) is not None:
        return first
    await _note(db, member, Action.ANSWERS_DOWNLOADED, row, wanted)
    return Response(
        answers_table(answered),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="answers-{session}.csv"', "cache-control": "no-store"},
    )


def answers_table(answered: Sequence[Answered]) -> bytes:
    """One row a participant, one column a wording."""
    questions = _questions(answered)
    rows = [["Name", "Answered (UTC)", *(question.prompt for question in questions)]]
    for one in answered:
        if one.reason:
            continue
        values = {line.question.id: in_words(line.value) for line in one.lines}
        when = (one.changed_at or one.answered_at).astimezone(UTC).isoformat(sep=" ", timespec="minutes")
        rows.append([one.name, when[:16], *(values.get(q.id, "") for q in questions)])
    return as_csv(rows)


def _questions(answered: Iterable[Answered]) -> list[Question]:
    found = {line.question.id: line.question for one in answered for line in one.lines}
    return sorted(found.values(), key=lambda one: (one.position, one.created_at))


async def _note(
    db: Db, member: SignedIn, action: Action, session: Session, purpose: DownloadPurpose | None = None
) -> None:
    """Committed before anything is shown: what cannot be logged is not read."""
    await record(
        db,
        account=member.account,
        actor=member.actor,
        action=action,
        subject=f"session:{session.id}",
        facts={"login": member.login_id} | ({"purpose": str(purpose)} if purpose else {}),
        once_within=SAME_READING if action is Action.ANSWERS_READ else None,
    )
    await db.commit()


handlers = [show_answers, download_answers]
