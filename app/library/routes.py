"""The library: the review page, media by byte range, transcripts, trying again. Live status: status.py."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.handlers import head
from litestar.params import Parameter
from litestar.response import Redirect, Stream, Template

from app.accounts.lasting import Still, as_asked, while_allowed
from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.audit import Action
from app.database import Db
from app.errors import NotThere
from app.invitations.noted import notes_shown
from app.library import correcting
from app.library.lifeline import lifeline, placed
from app.library.lines_page import lines_markup
from app.library.ranges import NotSatisfiable, asked_range
from app.library.reads import note_read
from app.library.service import Media, find_media, recording_lines, review
from app.library.status import follow_status
from app.library.watching import look_at
from app.library.written import FORMATS
from app.pages import page
from app.sessions.again import try_again
from app.sessions.disclosure_models import Disclosed
from app.sessions.leaving import to_note_first
from app.sessions.purposes import PURPOSE_WORDS, Asked, read_purpose
from app.sessions.service import session_with_study
from app.sessions.supplements import supplements_to
from app.wiring import Wiring
from recordings.playback import View

REVIEWERS = (Role.OWNER, Role.RESEARCHER)


@get("/sessions/{session:uuid}/review")
async def show_review(request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    member = require_member(login, *REVIEWERS)
    row, study = await session_with_study(db, session)
    await note_read(db, member, Action.SESSION_REVIEWED, f"session:{session}")
    look = await look_at(db, wiring, session)
    shown = await review(db, wiring, row, study, look.names)
    added = await supplements_to(db, wiring.columns, session=session)
    noted = await notes_shown(db, wiring.columns, session=row, study=study)
    return page(
        "library/review.html",
        request,
        session=row,
        study=study,
        review=shown,
        lines=lines_markup(shown.lines),
        listing=look.listing,
        supplements=[(line, one) for line in look.listing.lines if line.readable for one in added.get(line.id, ())],
        silent=[
            line
            for line in look.listing.lines
            if not line.readable or line.in_part or line.erased_tracks or line.missing
        ],
        lifeline=lifeline(shown),
        notes=placed(noted.lines, shown),
        notes_kept_back=noted.why,
        purposes=PURPOSE_WORDS,
    )


@get("/recordings/{recording:uuid}/media")
async def show_media(
    request: Request[Any, Any, Any],
    db: Db,
    wiring: Wiring,
    login: Login,
    recording: UUID,
    download: Annotated[bool, Parameter(query="download")] = False,
    purpose: Asked = None,
) -> Response[Any]:
    """The recording as one WebM, or the range asked for (RFC 9110 §14); 206, 304 and 416 as players expect.
    A download says what it is for."""
    member = require_member(login, *REVIEWERS)
    media = await find_media(db, recording=recording)
    if download:
        wanted = read_purpose(purpose)
        if (first := await to_note_first(db, wanted, recording)) is not None:
            return first
        await note_read(db, member, Action.RECORDING_DOWNLOADED, f"recording:{recording}", wanted)
    else:
        await note_read(db, member, Action.RECORDING_VIEWED, f"recording:{recording}")
    await db.commit()  # the reading is in the log, and nothing holds a database connection while the bytes flow

    async def still_readable(again: Db, login: SignedIn) -> None:
        require_member(login, *REVIEWERS)
        await find_media(again, recording=recording)

    return await media_answer(request, wiring, media, as_asked(request, wiring, still_readable), download=download)


@head("/recordings/{recording:uuid}/media")
async def show_media_head(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, recording: UUID
) -> Response[None]:
    require_member(login, *REVIEWERS)
    media = await find_media(db, recording=recording)
    view = await asyncio.to_thread(media.open, wiring)
    described = {"content-length": str(view.size), "content-type": view.content_type}
    return Response(None, media_type="text/plain", headers=_headers(view, media, download=False) | described)


@get("/recordings/{recording:uuid}/transcript/{form:str}")
async def show_transcript(
    db: Db, wiring: Wiring, login: Login, recording: UUID, form: str, purpose: Asked = None
) -> Response[Any]:
    """VTT, SRT or TXT of one recording, as it was corrected, for a purpose."""
    member = require_member(login, *REVIEWERS)
    if form not in FORMATS:
        raise NotThere
    media_type, write = FORMATS[form]
    text, wanted = write(await recording_lines(db, wiring, recording=recording)), read_purpose(purpose)
    if (first := await to_note_first(db, wanted, recording, {Disclosed.TRANSCRIPT})) is not None:
        return first
    await note_read(db, member, Action.TRANSCRIPT_READ, f"recording:{recording}", wanted)
    disposition = f'attachment; filename="transcript-{recording}.{form}"'
    return Response(text, media_type=media_type, headers={"content-disposition": disposition})


@post("/recordings/{recording:uuid}/again")
async def ask_again(db: Db, login: Login, recording: UUID) -> Redirect:
    """Queue what failed of it once more."""
    member = require_member(login, *REVIEWERS)
    session = await try_again(db, recording=recording, by=member.actor)
    return Redirect(f"/sessions/{session}#recordings", status_code=303)


async def media_answer(
    request: Request[Any, Any, Any], wiring: Wiring, media: Media, still: Still, *, download: bool = False
) -> Response[Any]:
    """The answer to a GET of media; whoever calls it has checked that this person may read it, and `still` says whether
    they may while it flows."""
    view = await asyncio.to_thread(media.open, wiring)
    headers = _headers(view, media, download=download)
    if request.headers.get("if-none-match") == view.etag:
        return Response(None, status_code=304, headers=headers)
    try:
        part = asked_range(request.headers.get("range"), request.headers.get("if-range"), view.etag, view.size)
    except NotSatisfiable:
        return Response(None, status_code=416, headers=headers | {"content-range": f"bytes */{view.size}"})
    if part is None:
        headers["content-length"] = str(view.size)
        return Stream(while_allowed(view.read(), still), media_type=view.content_type, headers=headers)
    headers["content-length"] = str(part.length)
    headers["content-range"] = f"bytes {part.start}-{part.start + part.length - 1}/{view.size}"
    pieces = while_allowed(view.read(part.start, part.length), still)
    return Stream(pieces, media_type=view.content_type, status_code=206, headers=headers)


def _headers(view: View, media: Media, *, download: bool) -> dict[str, str]:
    """private, no-store: a copy in a cache would outlive its erasure."""
    kind = "attachment" if download else "inline"
    return {
        "accept-ranges": "bytes",
        "etag": view.etag,
        "cache-control": "private, no-store",
        "content-disposition": f'{kind}; filename="recording-{media.ref.recording}-{media.ref.kind}.{view.suffix}"',
    }


router = Router(
    "/",
    route_handlers=[
        follow_status,
        show_review,
        show_media,
        show_media_head,
        show_transcript,
        ask_again,
        *correcting.handlers,
    ],
)
