"""Live status of a session as server-sent events (WHATWG HTML §9.2), each a piece of its page ready to be put in place.

    next                what to do next
    recordings          the list, when more than a percentage changed
    transcript-<id>     one cell of it: progress, often
    told                what changed, in a sentence for screen readers: once per change, never per percent
    done                nothing changes by itself any more, the login has ended, or this member is not assigned to the
                        session any more: the page may close the stream

Authorised by the login cookie like the page. Nothing here holds a database connection while it waits.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.response import Stream

from app.accounts import lasting
from app.accounts.lasting import as_asked
from app.accounts.login import Login, SignedIn, require_member
from app.database import Db
from app.language import gettext
from app.library.watching import Look, Watches, watches_of
from app.pages import render
from app.sessions.listing import RecordingLine
from app.sessions.next_step import next_step
from app.sessions.service import find_session
from app.wiring import Wiring

HEARTBEAT_SECONDS = 15.0  # a comment, so that proxies keep the connection and a dead one is noticed
WAIT_SECONDS = 2.0

PageRequest = Request[Any, Any, Any]


@get("/sessions/{session:uuid}/status")
async def follow_status(request: PageRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Stream:
    member = require_member(login)
    await find_session(db, session)
    watches = watches_of(request.app, wiring)
    watches.room_for(member.login_id)
    await db.commit()
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    events = _events(request, wiring, watches, member, session)
    return Stream(events, media_type="text/event-stream", headers=headers)


async def _events(
    request: PageRequest, wiring: Wiring, watches: Watches, member: SignedIn, session: UUID
) -> AsyncIterator[str]:
    async def still_followable(again: Db, login: SignedIn) -> None:
        require_member(login)
        await find_session(again, session)

    still = as_asked(request, wiring, still_followable, used=False)
    shown: Look | None = None
    said_at = asked_at = time.monotonic()
    yield ": here\n\n"
    with watches.counted(member.login_id):
        async with watches.follow(member.account, session) as watch:
            while True:
                look = await watch.newer(shown, WAIT_SECONDS)
                now = time.monotonic()
                if now - asked_at >= lasting.ASK_AGAIN_SECONDS:
                    asked_at = now
                    if not await still():
                        break
                if look is not None and look is not shown:
                    for name, data in changes(request, shown, look):
                        yield event(name, data)
                        said_at = now
                    shown = look
                    if not look.listing.unsettled:
                        break
                if now - said_at >= HEARTBEAT_SECONDS:
                    said_at = now
                    yield ": still here\n\n"
    yield event("done", "-")


def changes(request: PageRequest, before: Look | None, after: Look) -> Iterator[tuple[str, str]]:
    """Name and data of the events that lead a page from `before` to `after`; all of it when it shows neither."""
    parts = {"session": after.session, "listing": after.listing}
    if before is None or _step(before) != _step(after):
        yield "next", render("sessions/next.html", request, **parts, next_step=_step(after))
    if before is None or _lasting(before) != _lasting(after):
        yield "recordings", render("sessions/recordings.html", request, **parts)
    else:
        for line in _differing(before, after):
            yield f"transcript-{line.id}", render("sessions/transcript.html", request, line=line)
    if before is not None and (told := told_of(before, after)):
        yield "told", render("sessions/told.html", request, told=told)


def told_of(before: Look, after: Look) -> list[str]:
    """Anna, camera: Stored. A sentence for every recording or transcript that came into another state."""
    known = {line.id: line for line in before.listing.lines}
    told = []
    for line in after.listing.lines:
        old = known.get(line.id)
        who = f"{line.name}, {gettext(line.stream)}"
        if old is None or old.words != line.words:
            told.append(f"{who}: {line.words}.")
        if line.transcript and (old is None or old.transcript_state != line.transcript_state):
            told.append(f"{who}, {gettext('transcript')}: {line.transcript}.")
    return told


def event(name: str, data: str) -> str:
    """One event; every line of the data stands in a field of its own (§9.2.6 there)."""
    fields = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{fields}\n"


def _step(look: Look) -> str:
    return next_step(look.session, look.listing, invited=0)


def _lasting(look: Look) -> tuple[object, ...]:
    """What the list shows, but for how far a transcript has come."""
    return look.session.state, look.session.recording, *(replace(one, transcript="") for one in look.listing.lines)


def _differing(before: Look, after: Look) -> list[RecordingLine]:
    return [line for line in after.listing.lines if line not in before.listing.lines]
