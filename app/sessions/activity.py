"""When people last took part in a study, for dates that are not those of a row as it stands."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text

from app.database import Db

Taken = tuple[UUID, UUID | None]
"""A session, and who took part in it; None: whoever of its participants was active last."""

_ASKED = text(
    "SELECT one.session, one.person, last_active(one.session, one.person) AS at "
    "FROM unnest(:sessions, :people) AS one (session, person)"
).bindparams(bindparam("sessions", type_=ARRAY(Uuid)), bindparam("people", type_=ARRAY(Uuid)))


async def last_active(db: Db, taken: Collection[Taken]) -> dict[Taken, datetime]:
    """The end of their last session in the study of that session; its beginning while it goes on. Who left no trace of
    having taken part is not there."""
    if not taken:
        return {}
    asked = list(dict.fromkeys(taken))
    values = {"sessions": [session for session, _ in asked], "people": [person for _, person in asked]}
    found = await db.execute(_ASKED, values)
    return {(session, person): at for session, person, at in found if at is not None}
