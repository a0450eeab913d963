"""Keeping a note in the room, and deleting one in review."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.response import Redirect

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.database import Db
from app.errors import BadInput
from app.forms import read_form
from app.sessions.forms import read_note
from app.sessions.notes import delete_note, write_note
from app.wiring import Wiring


@post("/sessions/{session:uuid}/notes")
async def create_note(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, session: UUID
) -> Redirect | Response[dict[str, str]]:
    """Form fields `text`, and `writing_ms` since the writing began. Programs get 201 with the moment kept."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    assert member.member is not None
    form = await read_form(request)
    typed = read_note(form)
    if typed is None:
        raise BadInput(next(iter(form.errors.values())))
    note = await write_note(
        db, wiring.columns, session=session, member=member.member, text=typed.text, writing=typed.writing
    )
    if "text/html" in request.headers.get("accept", ""):
        return Redirect(f"/rooms/{session}#notes", status_code=303)
    kept = {"id": str(note.id), "at": note.at.astimezone(UTC).isoformat(), "name": member.name}
    return Response(kept, status_code=201)


@post("/sessions/{session:uuid}/notes/{note:uuid}/delete")
async def remove_note(db: Db, login: Login, session: UUID, note: UUID) -> Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    assert member.member is not None
    await delete_note(db, session=session, note=note, member=member.member, owner=member.role is Role.OWNER)
    return Redirect(f"/sessions/{session}/review#notes", status_code=303)


handlers = [create_note, remove_note]
