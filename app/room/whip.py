"""WHIP (RFC 9725): publish one stream into the room with one HTTP exchange.

    POST    /whip                       offer, application/sdp -> 201, answer, Location, ETag, Link rel="ice-server"
    POST    /whip?session=…&stream=…    the same from our own page, by its login cookie
    OPTIONS /whip                       what is accepted; with a token also the ICE servers
    DELETE  /whip/{resource}            the stream ends -> 200
    PATCH   /whip/{resource}            405: neither trickle ICE nor ICE restart (RFC 9725 §4.3.1), so no Accept-Patch
                                        either; offer anew, the stream goes on in the same recording

A room token (Bearer) already names session and stream. The Location is unguessable and opens nothing by
itself: whoever uses it is authorised again. The ETag names the ICE session (§4.3.1), the only one this resource ever
has. So it never changes, and If-Match decides nothing: DELETE must not look at it, and what PATCH is refused for comes
before any precondition (RFC 9110 §13.2.1). What other origins may read: app/security.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from litestar import Response, Router, delete, patch, post, route
from litestar.exceptions import ClientException
from sqlalchemy import func, select

from app.accounts.login import Login
from app.database import Db, set_reader
from app.errors import BadInput, Forbidden, JunierError, NotThere, SignInNeeded
from app.pages import FOR_PARTICIPANTS, AnyRequest
from app.participants.models import Participant
from app.room.allowance import check_streams
from app.room.ice import ice_servers, links
from app.room.node_client import Node as NodePort
from app.room.node_messages import StreamAsk, TrackAsk
from app.room.permission import push_session
from app.room.room import may_send, publishable
from app.room.sdp import MAX_OFFER_BYTES, offered_kinds
from app.room.seat import Seat, bearer, seat_of, seat_of_token
from app.sessions.models import Node, Recording, Take
from app.sessions.recorded_members import join_as_before
from app.sessions.service import find_session, node_of, open_take
from app.settings import Settings
from app.tokens import new_token
from app.wiring import Wiring
from recordings.model import PersonId, SessionId, StreamKind

SDP = "application/sdp"
METHODS = "POST, OPTIONS"


class NotAnOffer(JunierError):
    """Please send an SDP offer as application/sdp."""

    status = 415


class OfferTooLong(JunierError):
    """This offer is too long."""

    status = 413


@post("/", status_code=201)
async def publish(
    request: AnyRequest,
    wiring: Wiring,
    node: NodePort,
    db: Db,
    login: Login,
    session: UUID | None = None,
    stream: str | None = None,
) -> Response[str]:
    """Receive a stream. A second one of the same person and stream ends the first."""
    seat, kind = await _publisher(request, wiring, db, login, session, stream)
    offer = await read_offer(request)
    offered = offered_kinds(offer, kind)
    allowed = may_send(seat.facts, seat.person, kind, offered)
    if not allowed:
        raise Forbidden(allowed.reason)
    await _check_limits(db, wiring.settings, seat, kind)
    own = select(Participant.id).where(Participant.id == seat.person.person)
    await db.execute(own.with_for_update(read=True))  # the person before the session, as whoever is erased locks them
    place = await node_of(db, await find_session(db, seat.facts.session), eu_only=wiring.settings.eu_only)
    resource = new_token()
    take = await open_take(
        db,
        wiring.keys,
        account=seat.account,
        session=SessionId(seat.facts.session),
        person=PersonId(seat.person.person),
        person_is_member=seat.person.is_member,
        stream=kind,
        kinds=offered,
        node=place.name,
        resource=resource,
    )
    # Still uncommitted: what the media process refuses leaves no row, and without rows nothing may be captured.
    made = await node.publish(
        place.url,
        StreamAsk(
            account=seat.account,
            session=seat.facts.session,
            person=seat.person.person,
            recording=take.recording.recording,
            stream=kind,
            take=take.number,
            resource=resource,
            tracks=[TrackAsk(kind=one, track=track.track) for one, track in take.tracks.items()],
            kinds=sorted(offered & publishable(seat.person)),
            sdp=offer,
        ),
    )
    if seat.person.is_member:
        await join_as_before(db, account=seat.account, session=seat.facts.session, member=seat.person.person)
    await db.commit()
    await push_session(wiring, node, account=seat.account, session=seat.facts.session)
    return answered(wiring.settings, seat, made.sdp, f"/whip/{resource}")


@route("/", http_method=["OPTIONS"], status_code=204)
async def describe(
    request: AnyRequest, wiring: Wiring, db: Db, login: Login, session: UUID | None = None
) -> Response[None]:
    """What may be posted; the ICE servers only for those who may be in the room (RFC 9725 §4.6)."""
    headers = {"accept-post": SDP, "allow": METHODS}
    token = bearer(request, wiring.settings)
    if token is not None or (login is not None and session is not None):
        seat = await (seat_of_token(db, wiring, token) if token else seat_of(db, wiring, login, session or UUID(int=0)))
        headers |= ice_link(wiring.settings, seat)
    return Response(None, status_code=204, headers=headers)


@delete("/{resource:str}", status_code=200)
async def end(
    request: AnyRequest, wiring: Wiring, node: NodePort, db: Db, login: Login, resource: str
) -> Response[None]:
    """The publisher ends the stream. Safe to call twice."""
    place = await _place(request, wiring, db, login, resource)
    if place is not None:
        await node.end(place, resource)
    return Response(None, status_code=200)


@patch("/{resource:str}", status_code=405)
async def change(request: AnyRequest, wiring: Wiring, db: Db, login: Login, resource: str) -> Response[None]:
    """Nothing can be changed; said only to the publisher."""
    await _place(request, wiring, db, login, resource)
    return Response(None, status_code=405, headers={"allow": "DELETE, OPTIONS"})


async def read_offer(request: AnyRequest) -> str:
    """The offer in the body. Raises NotAnOffer, OfferTooLong."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != SDP:
        raise NotAnOffer
    body = await request.body()
    if len(body) > MAX_OFFER_BYTES:
        raise OfferTooLong
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ClientException(detail="This offer is not text.") from None


def answered(settings: Settings, seat: Seat, sdp: str, location: str) -> Response[str]:
    """201 with the answer (RFC 9725 §4.2)."""
    headers = {"location": location, "etag": _ice_session(location)} | ice_link(settings, seat)
    return Response(sdp, status_code=201, media_type=SDP, headers=headers)


def ice_link(settings: Settings, seat: Seat) -> dict[str, str]:
    link = links(ice_servers(settings, session=seat.facts.session, now=datetime.now(UTC)))
    return {"link": link} if link else {}


def _ice_session(location: str) -> str:
    """Its strong entity tag (RFC 9110 §8.8.3), of which the address is not to be had."""
    return f'"{sha256(location.encode()).hexdigest()[:32]}"'


async def _check_limits(db: Db, settings: Settings, seat: Seat, stream: StreamKind) -> None:
    """Raises TooManyStreams; the same stream again takes its own place."""
    await set_reader(db, None)  # sessions that this person does not see count too
    own = (Recording.session_id == seat.facts.session) & (Recording.person_id == seat.person.person)
    here = Recording.session_id == seat.facts.session
    counted = select(func.count().filter(here), func.count()).select_from(Take).join(Recording)
    live = counted.where(Take.ended_at.is_(None), ~(own & (Recording.stream == stream)))
    in_session, in_account = (await db.execute(live)).one()
    check_streams(in_session, in_account, of_session=settings.session_streams, of_account=settings.account_streams)


async def _publisher(
    request: AnyRequest, wiring: Wiring, db: Db, login: Login, session: UUID | None, stream: str | None
) -> tuple[Seat, StreamKind]:
    """Who publishes what: from the room token, else from the login and the address."""
    token = bearer(request, wiring.settings)
    if token is not None:
        return await seat_of_token(db, wiring, token), token.stream
    if session is None or stream not in set(StreamKind):
        raise BadInput("Please name the session and the stream (camera or screen).")
    return await seat_of(db, wiring, login, session), StreamKind(stream)


async def _place(request: AnyRequest, wiring: Wiring, db: Db, login: Login, resource: str) -> str | None:
    """URL of the media process of this person's own stream. Raises NotThere for anybody else's."""
    token = bearer(request, wiring.settings)
    if token is not None:
        await seat_of_token(db, wiring, token)
    elif login is None:
        raise SignInNeeded
    found = (
        await db.execute(
            select(Recording, Node.url)
            .join(Take, Take.recording_id == Recording.id)
            .outerjoin(Node, Node.name == Take.node)
            .where(Take.resource == resource)
        )
    ).one_or_none()
    if found is None:
        raise NotThere
    recording, url = found
    if token is not None:
        is_own = (recording.session_id, recording.person_id, recording.stream) == (
            token.session,
            token.person,
            token.stream,
        )
    else:
        is_own = recording.person_id == (await seat_of(db, wiring, login, recording.session_id)).person.person
    if not is_own:
        raise NotThere
    place: str | None = url
    return place


# describe first: Litestar adds an OPTIONS of its own to a path that has none when its next handler is registered
router = Router(path="/whip", route_handlers=[describe, publish, end, change], opt=FOR_PARTICIPANTS)
