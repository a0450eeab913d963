"""The dates that PostgreSQL keeps for the retention overview say what the rules say, whatever changes them."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import delete, select, text, update

from app.database import Db, now_in
from app.privacy.keeping.beside import as_kept, beside_recordings
from app.privacy.keeping.held_in_sql import KEPT
from app.privacy.records.models import SessionDue
from app.sessions.models import Note, Recording, RecordingState, Session, Track, Transcript, TranscriptState
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import due
from app.sessions.response_models import Response
from app.sessions.service import recording_facts
from app.studies.clocks import OF_A_SESSION, Kind
from app.studies.models import Study
from tests.fixtures.web import Cast

R = TypeVar("R", Study, Session, Recording, Note, Response, Track, Transcript)

SEED = 21
SESSIONS = 150


def periods(rng: random.Random, *kinds: Kind) -> dict[str, int]:
    """Mostly nothing, as in life."""
    return {kind: rng.choice([1, 20, 200]) for kind in kinds if rng.random() < 0.15}


async def plant(db: Db, cast: Cast, now: datetime, rng: random.Random, *, sessions: int = SESSIONS) -> None:
    """Sessions ended and going on, under every mix of clocks, holds, restrictions and states; notes beside them."""

    def known() -> UUID:
        return UUID(int=rng.getrandbits(128))

    def about(days: int) -> datetime:
        return now + timedelta(seconds=rng.randrange(-86_400 * days, 86_400 * days))

    study = await db.get_one(Study, cast.study)
    columns = [c.name for c in Study.__table__.columns if c.name not in ("id", "retention_days", "periods")]
    names = ", ".join(columns)
    for days in (None, 1, 30, 365):
        for shorter in ({}, {"video": 20, "transcript": 10}):
            made = (
                f"INSERT INTO study (id, retention_days, periods, {names}) "
                f"SELECT :id, :days, CAST(:shorter AS jsonb), {names} FROM study WHERE id = :old"
            )
            values = {"id": known(), "days": days, "shorter": json.dumps(shorter), "old": study.id}
            await db.execute(text(made), values)
    studies = list(await db.scalars(select(Study.id).where(Study.id != study.id).order_by(Study.id)))
    for _ in range(sessions):
        session = Session(
            id=known(),
            account_id=cast.account,
            study_id=rng.choice(studies),
            title="x",
            ended_at=rng.choice([None, about(400)]),
            retention_days=rng.choice([None, None, 7, 90, 1000]),
            periods=periods(rng, *OF_A_SESSION),
        )
        db.add(session)
        await db.flush()
        for stream in ("camera", "screen"):
            held = rng.choice([None, None, "complaint"])
            recording = known()
            db.add(
                Recording(
                    id=recording,
                    account_id=cast.account,
                    session_id=session.id,
                    person_id=rng.choice([known(), cast.participant.participant]),
                    stream=stream,
                    state=rng.choice(list(RecordingState)),
                    created_at=about(400),
                    held_reason=held,
                    held_until=rng.choice([None, now, about(400), about(2)]) if held else None,
                    restricted_at=rng.choice([None, None, None, about(9)]),
                    erased_at=rng.choice([None, None, None, about(9)]),
                    periods=periods(rng, Kind.ALL, *OF_A_SESSION),
                )
            )
            await db.flush()
            plant_parts(db, cast, recording, stream, now, known, rng)
        if rng.random() < 0.4:
            db.add(
                Response(
                    id=known(),
                    account_id=cast.account,
                    session_id=session.id,
                    participant_id=cast.participant.participant,
                    answered_at=about(400),
                    restricted_at=rng.choice([None, None, about(9)]),
                    erased_at=rng.choice([None, None, about(9)]),
                    periods=periods(rng, Kind.ALL, Kind.ANSWERS),
                )
            )
        if rng.random() < 0.4:
            db.add(
                Note(
                    id=known(),
                    account_id=cast.account,
                    session_id=session.id,
                    member_id=cast.owner,
                    at=about(400),
                    text=b"x",
                )
            )
    await db.flush()


def plant_parts(
    db: Db, cast: Cast, recording: UUID, stream: str, now: datetime, known: Callable[[], UUID], rng: random.Random
) -> None:
    """Tracks that stand, are being erased and were; of a voice perhaps its words."""
    for kind in ("camera", "voice") if stream == "camera" else ("screen", "screen_sound"):
        closed, erased = rng.choice([(None, None), (None, None), (now, None), (now, now)])
        track = known()
        given = {"id": track, "account_id": cast.account, "recording_id": recording}
        db.add(Track(kind=kind, closed_at=closed, erased_at=erased, **given))
        if kind == "voice":
            state = rng.choice(list(TranscriptState))
            gone = now if state is TranscriptState.ERASED and rng.random() < 0.5 else None
            db.add(Transcript(**given | {"id": known()}, track_id=track, state=state, language="en", erased_at=gone))


async def by_the_rules(db: Db, now: datetime) -> dict[UUID, datetime | None]:
    """The first date of each session of which something is held."""
    dates: dict[UUID, list[datetime | None]] = defaultdict(list)
    pairs = [
        (row[0], row[1]) for row in await db.execute(select(Session, Study).join(Study, Study.id == Session.study_id))
    ]
    of_session = {session.id: (session, study) for session, study in pairs}
    rows = (await db.scalars(select(Recording).where(Recording.state.not_in(KEPT)))).all()
    held = await held_parts(db, [row.id for row in rows])
    for recording in rows:
        session, study = of_session[recording.session_id]
        dates[session.id].append(due(recording_facts(recording, session), study.retention_days, now))
        dates[session.id] += parts_due(recording, session, study, held.get(recording.id, ()), now).values()
    for session_id, beside in (await beside_recordings(db, pairs, now, as_kept)).items():
        if beside.notes or beside.answers:
            dates[session_id] += [*beside.notes, *beside.answers]
    return {session: min((one for one in those if one is not None), default=None) for session, those in dates.items()}


async def kept_says_what_the_rules_say(cast: Cast, *moments: timedelta) -> dict[UUID, datetime | None]:
    """Date by date; in the past it is enough that both are past. Returns what is kept."""
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        kept = {row.session_id: row.due for row in await db.scalars(select(SessionDue))}
        for moment in (now, *(now + one for one in moments)):
            said = await by_the_rules(db, moment)
            assert kept.keys() == said.keys()
            for session, date in said.items():
                one = kept[session]
                assert one == date or (one is not None and date is not None and max(one, date) <= moment)
    return kept


async def test_the_dates_kept_are_those_of_the_rules(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await plant(db, cast, await now_in(db), random.Random(SEED))
    kept = await kept_says_what_the_rules_say(cast, timedelta(days=1), timedelta(days=-200), timedelta(days=200))
    assert len(kept) > 100 and sum(one is None for one in kept.values()) > 10


async def change(db: Db, cast: Cast, now: datetime, rng: random.Random) -> str:
    """One of all the changes that move a date; ORM and bulk statements both. Returns which."""

    def about(days: int) -> datetime:
        return now + timedelta(seconds=rng.randrange(-86_400 * days, 86_400 * days))

    study, session, row = await one_of(db, rng, Study), await one_of(db, rng, Session), await one_of(db, rng, Recording)
    note, response = await one_of(db, rng, Note), await one_of(db, rng, Response)
    days = rng.choice([None, 1, 30, 365, 2000])
    changes = ["study", "session", "end", "hold", "release", "restrict", "erase", "empty", "again", "bulk"]
    what = rng.choice([*changes, "kinds", "kinds of a session", "kinds of a person", "part", "words"])
    match what:
        case "study":
            study.retention_days = days
        case "session":
            session.retention_days = days
        case "kinds":
            study.periods = periods(rng, *OF_A_SESSION) or {"audio": 3}
        case "kinds of a session":
            session.periods = periods(rng, *OF_A_SESSION)
        case "kinds of a person":
            row.periods = response.periods = periods(rng, Kind.ALL, *OF_A_SESSION)
        case "part":
            track = await one_of(db, rng, Track)
            track.closed_at, track.erased_at = rng.choice([(None, None), (now, None), (now, now)])
        case "words":
            (await one_of(db, rng, Transcript)).state = rng.choice(list(TranscriptState))
        case "end":
            session.ended_at = rng.choice([None, about(400)])
        case "hold":
            row.held_reason, row.held_until = "complaint", rng.choice([None, about(400), about(2)])
        case "release":
            row.held_reason = row.held_until = None
        case "restrict":
            row.restricted_at = response.restricted_at = rng.choice([None, now])
            db.add(Note(account_id=cast.account, session_id=session.id, member_id=cast.owner, at=now, text=b"x"))
        case "erase":
            row.state, row.erased_at, response.erased_at = RecordingState.ERASED, now, rng.choice([None, now])
            await db.delete(note)
        case "empty":
            row.state = RecordingState.EMPTY
        case "again":
            row.state, row.erased_at = RecordingState.CAPTURING, None
            db.add(Note(account_id=cast.account, session_id=row.session_id, member_id=cast.owner, at=now, text=b"x"))
        case "bulk":
            await db.execute(update(Recording).where(Recording.stream == "screen").values(held_until=about(30)))
    return what


async def one_of(db: Db, rng: random.Random, table: type[R]) -> R:
    return rng.choice(list(await db.scalars(select(table).order_by(table.id))))


async def test_whatever_changes_moves_the_dates(cast: Cast) -> None:
    rng = random.Random(SEED + 1)
    async with cast.wiring.database.transaction(cast.account) as db:
        await plant(db, cast, await now_in(db), rng, sessions=24)
    seen = set()
    for _ in range(90):
        async with cast.wiring.database.transaction(cast.account) as db:
            seen.add(await change(db, cast, await now_in(db), rng))
        await kept_says_what_the_rules_say(cast, timedelta(days=20))
    assert len(seen) == 15


async def test_nothing_is_left_of_a_session_that_is_gone(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await plant(db, cast, await now_in(db), random.Random(SEED), sessions=3)
    assert await kept_says_what_the_rules_say(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        for table in (Transcript, Track, Response, Recording, Note):
            await db.execute(delete(table))
        await db.execute(delete(Session).where(Session.id.not_in([cast.session, cast.other_session])))
    assert await kept_says_what_the_rules_say(cast) == {}


async def test_two_who_change_one_session_at_once_are_both_heard(cast: Cast) -> None:
    """Each sees the other's rows only after its commit; the one that commits last writes for both."""
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        await plant(db, cast, now, random.Random(SEED), sessions=1)
    database = cast.wiring.database
    async with database.transaction(cast.account) as one, database.transaction(cast.account) as other:
        first = (await one.scalars(select(Recording).order_by(Recording.stream))).first()
        assert first is not None
        first.state, first.erased_at = RecordingState.STORED, None
        first.held_reason, first.held_until = "complaint", now + timedelta(days=3000)
        await one.flush()
        await other.execute(update(Study).values(retention_days=10))
    await kept_says_what_the_rules_say(cast)


async def test_a_change_that_is_taken_back_moves_nothing(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await plant(db, cast, await now_in(db), random.Random(SEED))
    before = await kept_says_what_the_rules_say(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(retention_days=1))
        await db.rollback()
    assert await kept_says_what_the_rules_say(cast) == before


async def test_another_account_sees_none_of_them(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await plant(db, cast, await now_in(db), random.Random(SEED), sessions=3)
    async with cast.wiring.database.transaction(cast.other_account) as db:
        assert not (await db.scalars(select(SessionDue))).all()


async def test_the_door_of_reminders_names_what_the_rule_says(cast: Cast) -> None:
    """A superset would do; it is exact, so that a digest never hangs on what is not meant."""
    rng = random.Random(SEED + 2)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        await plant(db, cast, now, rng)
        soon = now + timedelta(days=30)
        found = await db.execute(
            select(Recording, Session, Study)
            .join(Session, Session.id == Recording.session_id)
            .join(Study, Study.id == Session.study_id)
            .where(Recording.state.not_in(KEPT), Recording.erased_at.is_(None))
        )
        rows = found.all()
        held = await held_parts(db, [recording.id for recording, _, _ in rows])
        expected = set()
        for recording, session, study in rows:
            dates = [due(recording_facts(recording, session), study.retention_days, now)]
            dates += parts_due(recording, session, study, held.get(recording.id, ()), now).values()
            if any(at is not None and now < at <= soon for at in dates):
                expected.add(recording.id)
        await db.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))  # first dates are told now, not at the end
        asked = {"now": now, "until": soon}
        found = await db.execute(text("SELECT * FROM recordings_due_soon(:now, :until, 1000)"), asked)
        told = {row.recording_id for row in found}
        erased = set(await db.scalars(select(Recording.id).where(Recording.erased_at.is_not(None))))
    assert expected and told - erased == expected
