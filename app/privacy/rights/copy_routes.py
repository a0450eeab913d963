"""Taking the copy of everything along: the participant under My data, the owner to answer a request for one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.response import Stream

from app.accounts.lasting import Still, as_asked, while_allowed
from app.accounts.login import Login, SignedIn, require_member, require_participant
from app.accounts.models import Role, Scope
from app.database import Db, now_in
from app.errors import Conflict
from app.language import Language, speaking
from app.pages import FOR_PARTICIPANTS, AnyRequest
from app.participants.models import Participant
from app.participants.service import mail_language
from app.privacy.records.models import RequestKind, RequestState
from app.privacy.rights.copying import make_copy
from app.privacy.rights.proof import may_carry_out, unproven
from app.privacy.rights.requests import NotNow, find_request
from app.privacy.rights.telling import study_of
from app.privacy.rights.zipped import Archive
from app.wiring import Wiring
from recordings.model import PersonId


class NoCopyHere(Conflict):
    """A copy is made for a request that asks for one, until it is answered."""


@get("/my-data/export.zip", opt=FOR_PARTICIPANTS)
async def take_my_copy(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Response[Any]:
    """Made on demand, as often as they like; needs the fresh code, as all of My data does."""
    person = require_participant(login, Scope.DATA)
    assert person.participant is not None
    archive = await make_copy(
        db, wiring, account=person.account, participant=person.participant, by=person.actor, for_themselves=True
    )

    async def still_theirs(_: Db, login: SignedIn) -> None:
        require_participant(login)  # a slow line may need longer than the code opens the page

    return await _send(db, archive, "my-data", as_asked(request, wiring, still_theirs))


@get("/requests/{data_request:uuid}/export.zip")
async def make_copy_for_them(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Response[Any]:
    """For a participant who asked for a copy and cannot fetch it themselves, in the participant's language."""
    owner = require_member(login, Role.OWNER)
    row = await find_request(db, data_request)
    if row.kind != RequestKind.ACCESS or row.state != RequestState.OPEN:
        raise NoCopyHere
    if not (proven := may_carry_out(unproven(row))):
        raise NotNow(proven.reason)
    person = await db.get_one(Participant, row.participant_id)
    study = await study_of(db, row.participant_id)
    with speaking(mail_language(person, study) if study else Language.EN):
        archive = await make_copy(
            db,
            wiring,
            account=owner.account,
            participant=PersonId(row.participant_id),
            by=owner.actor,
            for_themselves=False,
        )

    async def still_owner(_: Db, login: SignedIn) -> None:
        require_member(login, Role.OWNER)

    return await _send(db, archive, row.receipt, as_asked(request, wiring, still_owner))


async def _send(db: Db, archive: Archive, name: str, still: Still) -> Response[Any]:
    """The reading is in the log before a byte flows, and nothing holds a database connection meanwhile."""
    day = (await now_in(db)).date().isoformat()
    await db.commit()
    headers = {
        "content-length": str(archive.size),
        "content-disposition": f'attachment; filename="{name}-{day}.zip"',
        "cache-control": "private, no-store",
    }
    return Stream(while_allowed(archive.read(), still), media_type="application/zip", headers=headers)


router = Router("/", route_handlers=[take_my_copy, make_copy_for_them])
