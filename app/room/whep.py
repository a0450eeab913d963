"""Viewing, the twin of WHIP (draft-ietf-wish-whep): receive one stream of the room with one HTTP exchange.

    POST    /whep/{recording}          offer, application/sdp -> 201, answer, Location, ETag, Link rel="ice-server"
    OPTIONS /whep/{recording}          what is accepted
    DELETE  /whep/{recording}/{view}   the view ends -> 200
    PATCH   /whep/{recording}/{view}   405: neither trickle ICE nor ICE restart; offer anew
    GET     either                     204: there is nothing to be read (§4.1)

By login cookie only, so pages of other origins see nothing. A view names the take it shows, and so the media process
it is on: a room may live on another one by the time its viewer leaves.
"""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

from litestar import Response, Router, delete, patch, post, route
from sqlalchemy import select

from app.accounts.login import Login
from app.audit import Action, record
from app.database import Db
from app.errors import Conflict, Forbidden, NotThere
from app.pages import FOR_PARTICIPANTS, AnyRequest
from app.room.node_client import Node as NodePort
from app.room.node_messages import ViewAsk
from app.room.room import may_see
from app.room.seat import Seat, seat_of
from app.room.whip import SDP, answered, read_offer
from app.sessions.models import Node, Recording, Take
from app.wiring import Wiring
from recordings.model import PersonId

WATCHED_ONCE_WITHIN = timedelta(minutes=10)
OF_STREAM = "POST, GET, OPTIONS"
OF_VIEW = "DELETE, GET, OPTIONS"
_VIEW = re.compile(r"(\d{1,9})\.([\w-]{20,100})", re.ASCII)
"""The number of the take, and the view as its media process names it."""


class NotLive(Conflict):
    """This stream is not in the room at this moment."""

    retry_after_s = 1  # §4.2


@post("/{recording:uuid}", status_code=201)
async def view(
    request: AnyRequest, wiring: Wiring, node: NodePort, db: Db, login: Login, recording: UUID
) -> Response[str]:
    """Receive a stream of a session one is in. Raises NotLive, which is worth trying again."""
    row, seat = await _seat(db, wiring, login, recording)
    allowed = may_see(seat.facts, seat.person, seat.facts.people.get(PersonId(row.person_id)))
    if not allowed:
        raise Forbidden(allowed.reason)
    found = (
        await db.execute(
            select(Take.resource, Node.url)
            .join(Node, Node.name == Take.node)
            .where(Take.recording_id == recording, Take.number == row.last_take, Take.ended_at.is_(None))
        )
    ).one_or_none()
    if found is None:
        raise NotLive
    offer = await read_offer(request)
    if seat.person.is_member:
        await _tell_watched(db, seat, row)
    await db.commit()
    with_login = login.login_id if login is not None and seat.person.is_member else None
    ask = ViewAsk(sdp=offer, viewer=seat.person.person, login=with_login)
    made = await node.view(found.url, found.resource, ask)
    return answered(wiring.settings, seat, made.sdp, f"/whep/{recording}/{row.last_take}.{made.view}")


@delete("/{recording:uuid}/{view_name:str}", status_code=200)
async def end_view(
    wiring: Wiring, node: NodePort, db: Db, login: Login, recording: UUID, view_name: str
) -> Response[None]:
    """The viewer leaves. Safe to call twice."""
    _, seat = await _seat(db, wiring, login, recording)
    found = _VIEW.fullmatch(view_name)
    if found is None:
        raise NotThere
    take = select(Take.node).where(Take.recording_id == recording, Take.number == int(found[1]))
    url = await db.scalar(select(Node.url).where(Node.name == take.scalar_subquery()))
    if url is None:
        raise NotThere
    await node.end_view(url, found[2], seat.person.person)
    return Response(None, status_code=200)


@patch("/{recording:uuid}/{view_name:str}", status_code=405)
async def change_view(wiring: Wiring, db: Db, login: Login, recording: UUID) -> Response[None]:
    """Nothing can be changed; said only to those who may be in the room."""
    await _seat(db, wiring, login, recording)
    return Response(None, status_code=405, headers={"allow": OF_VIEW})


@route(["/{recording:uuid}", "/{recording:uuid}/{view_name:str}"], http_method=["GET", "OPTIONS"], status_code=204)
async def describe(request: AnyRequest, wiring: Wiring, db: Db, login: Login, recording: UUID) -> Response[None]:
    """What may be done here; said only to those who may be in the room."""
    await _seat(db, wiring, login, recording)
    allow = OF_VIEW if "view_name" in request.path_params else OF_STREAM
    return Response(None, status_code=204, headers={"accept-post": SDP, "allow": allow})


async def _tell_watched(db: Db, seat: Seat, row: Recording) -> None:
    """Who of the team saw and heard whom while it happened, observers too; a lost network tells it once."""
    await record(
        db,
        account=seat.account,
        actor=seat.actor,
        action=Action.LIVE_WATCHED,
        subject=f"recording:{row.id}",
        facts={"stream": row.stream},
        once_within=WATCHED_ONCE_WITHIN,
    )


async def _seat(db: Db, wiring: Wiring, login: Login, recording: UUID) -> tuple[Recording, Seat]:
    row = await db.get(Recording, recording) if login is not None else None
    if row is None or row.erased_at is not None:
        raise NotThere
    return row, await seat_of(db, wiring, login, row.session_id)


# describe first, as in whip.py
router = Router(path="/whep", route_handlers=[describe, view, end_view, change_view], opt=FOR_PARTICIPANTS)
