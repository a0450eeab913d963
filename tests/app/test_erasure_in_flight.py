"""A stream that was being published while its person was erased: it is refused, or taken into the certificate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.database import Db
from app.errors import Gone
from app.participants.models import Participant
from app.privacy.records.models import ErasureState
from app.room.node_messages import EraseDone
from app.sessions.models import Recording, RecordingState
from app.sessions.service import TakeOpened, open_take, schedule
from recordings.encryption.keystore import KeyPath
from recordings.model import RecordingId, SessionId, StreamKind, TrackKind
from recordings.storage.layout import track_key_path
from tests.fixtures.erasing import SpyNodes, ask, newest, run
from tests.fixtures.web import Cast


async def another_session(cast: Cast) -> SessionId:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await schedule(db, account=cast.account, study=cast.study, title="Pilot 3")


async def publish(db: Db, cast: Cast, session: SessionId) -> TakeOpened:
    """What a WHIP request does once the rows have said, a moment ago, that Anna may publish."""
    return await open_take(
        db,
        cast.wiring.keys,
        account=cast.account,
        session=session,
        person=cast.participant.participant,
        person_is_member=False,
        stream=StreamKind.CAMERA,
        kinds=[TrackKind.CAMERA],
        node="media-1",
        resource=str(uuid4()),
    )


async def published(cast: Cast, session: SessionId) -> TakeOpened:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await publish(db, cast, session)


async def recordings(cast: Cast) -> list[Recording]:
    async with cast.wiring.database.transaction(cast.account) as db:
        mine = select(Recording).where(Recording.person_id == cast.participant.participant)
        return list(await db.scalars(mine))


@dataclass
class Meanwhile(SpyNodes):
    """When the plan is made and nothing is destroyed yet, something else happens, once."""

    act: Callable[[], Awaitable[object]] | None = None

    async def erase(self, url: str, prefix: str) -> EraseDone:
        act, self.act = self.act, None
        if act is not None:
            await act()
        return await super().erase(url, prefix)


async def test_a_stream_that_came_after_the_plan_is_no_row_outside_the_certificate(
    cast: Cast, anna: list[RecordingId]
) -> None:
    session, late = await another_session(cast), []

    async def act() -> None:
        late.append(await published(cast, session))

    erasure, nodes = await ask(cast, cast.participant.participant), Meanwhile(act=act)
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and outcome.again
    assert outcome.reasons == ("2 rows came while it was erased; the next try takes them in",)
    assert (await newest(cast, erasure)).state == "partial"
    [opened] = late
    assert not cast.wiring.keys.exists(track_key_path(opened.tracks[TrackKind.CAMERA])), "nothing of it opens"

    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert {row.state for row in await recordings(cast)} == {RecordingState.ERASED}
    assert (await newest(cast, erasure)).document["erased"]["rows"]["recordings"] == len(anna) + 1
    assert any(str(session) in prefix for prefix in nodes.asked), "its media process was told to stop"


@pytest.mark.parametrize("when", ["destroyed", "certified"])
async def test_a_stream_that_comes_when_the_key_is_gone_is_refused_and_leaves_no_row(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, when: str
) -> None:
    session = await another_session(cast)
    erasure = await ask(cast, cast.participant.participant)
    if when == "certified":
        assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    else:
        cast.wiring.keys.destroy(KeyPath(cast.account, cast.participant.participant))
    with pytest.raises(Gone):
        await published(cast, session)
    if when == "destroyed":
        assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert {row.session_id for row in await recordings(cast)} == {cast.session}


async def test_asking_and_certifying_wait_for_a_stream_that_is_being_published(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    """Both lock the person's row first; so the plan that follows sees what was made."""
    session, person = await another_session(cast), cast.participant.participant
    async with cast.wiring.database.transaction(cast.account) as publishing:
        await publish(publishing, cast, session)
        with pytest.raises(OperationalError, match="could not obtain lock"):
            async with cast.wiring.database.transaction(cast.account) as asking:
                await asking.get(Participant, person, with_for_update={"nowait": True})
    erasure = await ask(cast, person)
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert {row.state for row in await recordings(cast)} == {RecordingState.ERASED}
    assert len(await recordings(cast)) == len(anna) + 1
