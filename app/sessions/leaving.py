"""A copy for somebody outside waits until it is noted who gets it: whoever asks for one is led to the register."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from litestar import Response
from litestar.response import Redirect

from app.database import Db
from app.sessions.disclosure_models import Disclosed
from app.sessions.disclosures import kinds_of_recording, leaves
from app.sessions.models import Recording
from app.sessions.purposes import DownloadPurpose

TICKED = 50
"""People that the register's form can have ticked by its address, which may not be as long as one likes."""


async def to_note_first(
    db: Db, purpose: DownloadPurpose, recording: UUID, wanted: Collection[Disclosed] | None = None
) -> Response[Any] | None:
    """Where to note who gets a copy of a recording, or of its transcript (wanted); None: it may be made."""
    row = await db.get_one(Recording, recording)
    people = [] if row.person_is_member else [row.person_id]  # members are the account's own
    return await note_first(db, purpose, row.session_id, people, wanted or await kinds_of_recording(db, row))


async def note_first(
    db: Db, purpose: DownloadPurpose, session: UUID, people: Collection[UUID], wanted: Collection[Disclosed]
) -> Response[Any] | None:
    """The same for a copy of these kinds of several people of a session."""
    if await leaves(db, purpose, session=session, people=people, wanted=wanted):
        return None
    who = "".join(f"&person={one}" for one in people) if len(people) <= TICKED else ""
    what = "".join(f"&kind={one}" for one in Disclosed if one in wanted)
    return Redirect(f"/sessions/{session}/disclosures?purpose={purpose}{who}{what}", status_code=303)
