"""What is due is found by turns: an account with more of it than a sweep takes keeps no other one waiting."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text, update

from app.accounts.models import Account
from app.database import Base, Db, now_in
from app.participants.models import Participant
from app.privacy.records.models import DataRequest, Erasure, ErasureReason, ErasureState, RequestKind, RequestState
from app.sessions.models import Note, Recording, RecordingState, Session, SessionState, Track
from app.sessions.response_models import Response
from app.studies.models import ConsentKind, Study
from app.studies.service import create_study
from recordings.model import AccountId
from tests.fixtures.web import Cast

LIMIT = 3
MANY = LIMIT + 2
LONG = timedelta(days=4 * 365)
DOORS = (
    "due_recordings(:now, :limit)",
    "due_parts(:now, :limit)",
    "due_notes(:now, :limit)",
    "due_responses(:now, :limit)",
    "due_contacts(:now, :limit)",
    "unfinished_erasures(:now, :limit)",
    "lifting_requests(:limit)",
    "waiting_requests(:now, :limit)",
    "old_requests(:now, :limit)",
)


class Seeds:
    """Everything that a sweep looks for, due since `at`, a second apart."""

    def __init__(self, db: Db, account: AccountId, study: UUID, at: datetime, many: int) -> None:
        self.db, self.account, self.study = db, account, study
        self.at = [at + timedelta(seconds=number) for number in range(many)]

    async def add(self, model: type[Base], **values: Any) -> list[UUID]:
        """A row for each moment; a callable is asked with its number."""
        rows = [
            {"id": uuid4(), "account_id": self.account}
            | {name: one(number) if callable(one) else one for name, one in values.items()}
            for number in range(len(self.at))
        ]
        await self.db.execute(insert(model), rows)
        return [row["id"] for row in rows]

    async def all(self) -> None:
        when = self.at.__getitem__
        ended = {"study_id": self.study, "title": "", "state": SessionState.ENDED, "ended_at": when}
        sessions = await self.add(Session, **ended)
        of_session = {"session_id": sessions.__getitem__}
        stored = {"stream": "camera", "state": RecordingState.STORED, "person_id": lambda _: uuid4()}
        recordings = await self.add(Recording, **of_session, **stored, created_at=when)
        await self.add(Track, recording_id=recordings.__getitem__, kind="camera")
        await self.add(Note, **of_session, member_id=uuid4(), at=when, text=b"x")
        answered = await self.add(Participant, created_at=when)
        await self.add(Response, **of_session, participant_id=answered.__getitem__, answered_at=when)
        await self.add(Participant, created_at=when)  # of whom nothing else is held
        asked = {"reason": ErasureReason.OWNER, "asked_by": "system", "instruction": "test", "receipt": "E-1"}
        failing = {"state": ErasureState.PARTIAL, "tries": 1, "tried_at": when, "asked_at": when}
        await self.add(Erasure, **asked, **failing, person_id=lambda _: uuid4())
        for state in (RequestState.LIFTING, RequestState.OPEN, RequestState.DONE):
            request = {"kind": RequestKind.ACCESS, "state": state, "receipt": "R-1", "due_on": self.at[0].date()}
            since = {"asked_at": when, "answered_at": when if state is RequestState.DONE else None}
            await self.add(DataRequest, **request, **since, participant_id=answered.__getitem__)


@pytest.fixture
async def crowded(cast: Cast) -> datetime:
    """One account with more of everything than a sweep takes, and another one with one of each, due later."""
    async with cast.wiring.database.transaction() as db:
        now = await now_in(db)
    for account, at, many in ((cast.account, now - LONG, MANY), (cast.other_account, now - LONG / 1.2, 1)):
        async with cast.wiring.database.transaction(account) as db:
            study = await create_study(
                db, cast.wiring.columns, account=account, title="Old", contact_name="Ada", contact_email="a@b.example",
                consent_text="We watch you.", kinds=list(ConsentKind),
            )  # fmt: skip
            await db.execute(update(Study).where(Study.id == study).values(retention_days=2, periods={"video": 1}))
            await db.execute(update(Account).values(periods={"contact": 1}))
            await Seeds(db, account, study, at, many).all()
    return now


async def test_no_account_waits_for_another_one_s_however_many_these_are(cast: Cast, crowded: datetime) -> None:
    async with cast.wiring.database.transaction() as db:
        for door in DOORS:
            values = {"limit": 1000} | ({"now": crowded} if ":now" in door else {})
            everything = [account for account, _ in await db.execute(text(f"SELECT * FROM {door}"), values)]
            assert (everything.count(cast.account), everything.count(cast.other_account)) == (MANY, 1), door
            found = [
                account for account, _ in await db.execute(text(f"SELECT * FROM {door}"), values | {"limit": LIMIT})
            ]
            assert found == [cast.account, cast.other_account, cast.account], door
