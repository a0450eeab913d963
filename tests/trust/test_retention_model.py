"""Ten years of clocks against counting by hand (J4-21, A2-07): random policies on every level, counted from the end of
the session or from the person's last one, sessions that come later, holds, restrictions, changes and broken states; at
each moment exactly what is due would be erased, not a second before, and nothing past its date can be seen.
MODEL_ITEMS=… how many recordings, TRIAL_SEED=… where to begin.

The doors that the sweep asks and the rules it decides by are the application's; what they name is erased in sets.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select, text

from app.database import Db
from app.sessions import models as rows
from app.sessions.answering import ResponseFacts, answers_readable
from app.sessions.models import RecordingState
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import RecordingFacts, after_last, due, keep_until, readable
from app.sessions.responses import due_responses
from app.sessions.service import recording_facts
from app.studies.clocks import Kind, days_of, idle_days, shortest
from app.studies.models import Study as StudyRow
from tests.fixtures.web import Cast
from tests.hostile import trial
from tests.trust.clocks_model import (
    DAY,
    PARTS,
    TRACKS,
    YEARS,
    Item,
    Session,
    Study,
    invented,
    some_days,
    some_periods,
    take_notice,
)

ITEMS = int(os.environ.get("MODEL_ITEMS", "2500"))
MOMENTS = int(os.environ.get("MODEL_MOMENTS", "12"))
LOOKED_AT = 4_000  # of all items at each moment
BEGINNING = datetime(2027, 1, 1, tzinfo=UTC)
AT_ONCE = 5_000
AT_ONCE_SWEPT = 500  # as app.privacy.keeping.retention


def at(seconds: int | None) -> datetime | None:
    return None if seconds is None else BEGINNING + timedelta(seconds=seconds)


def moment(seconds: int) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


class Tables:
    """Rows written in sets, with the triggers off that keep what this test does not ask."""

    def __init__(self, connection: psycopg.Connection, cast: Cast) -> None:
        self.connection, self.cast = connection, cast
        connection.execute("SET session_replication_role = replica")

    def add(self, table: str, columns: str, values: Iterable[dict[str, Any]]) -> None:
        """columns: `name type, …`."""
        names = ", ".join(one.split()[0] for one in columns.split(","))
        self._each(f"INSERT INTO {table} (account_id, {names}) SELECT %(account)s, r.* FROM {{}}", columns, values)

    def change(self, table: str, columns: str, values: Iterable[dict[str, Any]]) -> None:
        """By id, which stands first in columns."""
        names = [one.split()[0] for one in columns.split(",")][1:]
        sets = ", ".join(f"{name} = r.{name}" for name in names)
        self._each(f"UPDATE {table} AS t SET {sets} FROM {{}} WHERE t.id = r.id", columns, values)

    def run(self, sql: str, ids: Collection[UUID]) -> None:
        self.connection.execute(sql.encode(), {"ids": list(ids)})

    def _each(self, sql: str, columns: str, values: Iterable[dict[str, Any]]) -> None:
        found = list(values)
        source = f"jsonb_to_recordset(%(rows)s::jsonb) AS r({columns})"
        for start in range(0, len(found), AT_ONCE):
            part = json.dumps(found[start : start + AT_ONCE], default=str)
            self.connection.execute(sql.format(source).encode(), {"rows": part, "account": self.cast.account})


def plant(tables: Tables, studies: list[Study], sessions: list[Session], items: list[Item]) -> None:
    tables.add(
        "study",
        "id uuid, title text, contact_name bytea, contact_email bytea, kinds text[], language text, "
        "retention_days integer, periods jsonb, retention_version integer",
        (
            {"id": one.id, "title": "x", "contact_name": "x", "contact_email": "x", "kinds": [], "language": "en"}
            | {"retention_days": one.days, "periods": one.periods, "retention_version": 1}
            for one in studies
        ),
    )
    tables.add(
        "session",
        'id uuid, study_id uuid, title text, time_zone text, "group" boolean, state text, recording text, '
        "created_at timestamptz, ended_at timestamptz, retention_days integer, periods jsonb",
        (
            {"id": one.id, "study_id": one.study.id, "title": "x", "time_zone": "UTC", "group": False, "state": "ended"}
            | {"recording": "off", "created_at": at(one.begun), "ended_at": at(one.ended)}
            | {"retention_days": one.days, "periods": one.periods}
            for one in sessions
        ),
    )
    recordings = [one for one in items if not one.answers]
    tables.add(
        "recording",
        "id uuid, session_id uuid, person_id uuid, person_is_member boolean, stream text, state text, "
        "interrupted boolean, last_take integer, index_generation integer, gaps jsonb, "
        "created_at timestamptz, periods jsonb",
        (
            {"id": one.id, "session_id": one.session.id, "person_id": one.person, "person_is_member": False}
            | {"stream": "camera", "state": one.state, "interrupted": False, "last_take": 1, "index_generation": 1}
            | {"gaps": [], "created_at": at(one.made), "periods": one.periods}
            for one in recordings
        ),
    )
    tables.add(
        "track",
        "id uuid, recording_id uuid, kind text, frames integer, bytes bigint, duration_ms integer",
        (
            {
                "id": part_id(one, kind),
                "recording_id": one.id,
                "kind": TRACKS[kind],
                "frames": 1,
                "bytes": 1,
                "duration_ms": 1,
            }
            for one in recordings
            for kind in one.parts
            if kind in TRACKS
        ),
    )
    tables.add(
        "transcript",
        "id uuid, recording_id uuid, track_id uuid, state text, language text, progress double precision",
        (
            {"id": part_id(one, "transcript"), "recording_id": one.id, "track_id": part_id(one, "audio")}
            | {"state": "ready", "language": "en", "progress": 1}
            for one in recordings
            if "transcript" in one.parts
        ),
    )
    tables.add(
        "response",
        "id uuid, session_id uuid, participant_id uuid, answered_at timestamptz, periods jsonb",
        (
            {"id": one.id, "session_id": one.session.id, "participant_id": one.person, "answered_at": at(one.made)}
            | {"periods": one.periods}
            for one in items
            if one.answers
        ),
    )


def part_id(item: Item, kind: str) -> UUID:
    return UUID(int=(item.id.int + 1 + PARTS.index(kind)) % 2**128)


def shake(
    rng: random.Random, tables: Tables, studies: list[Study], sessions: list[Session], items: list[Item], now: int
) -> None:
    """What people and accidents change between two moments."""
    study = rng.choice(studies)
    study.days, study.periods = some_days(rng, 0.7), some_periods(rng, 0.3, *PARTS, "answers", "idle")
    columns = "id uuid, retention_days integer, periods jsonb"
    tables.change("study", columns, [{"id": study.id, "retention_days": study.days, "periods": study.periods}])
    changed = rng.sample(sessions, max(len(sessions) // 50, 1))
    for session in changed:
        session.days, session.periods = some_days(rng, 0.2), some_periods(rng, 0.05, *PARTS, "answers", "idle")
        if session.ended is None and rng.random() < 0.5:
            session.ended = max(session.begun, now - rng.randrange(30 * DAY))
    values = [
        {"id": one.id, "retention_days": one.days, "periods": one.periods, "ended_at": at(one.ended)} for one in changed
    ]
    tables.change("session", columns + ", ended_at timestamptz", values)
    touched = [one for one in rng.sample(items, max(len(items) // 40, 1)) if not one.gone]
    for one in touched:
        _touch(rng, one, now)
    recordings = [one for one in touched if not one.answers]
    tables.change(
        "recording",
        "id uuid, state text, held_reason text, held_until timestamptz, restricted_at timestamptz, periods jsonb",
        (
            {"id": one.id, "state": one.state, "held_reason": "complaint" if one.held else None}
            | {"held_until": at(one.held_until), "restricted_at": at(now) if one.restricted else None}
            | {"periods": one.periods}
            for one in recordings
        ),
    )
    tables.change(
        "response",
        "id uuid, restricted_at timestamptz, periods jsonb",
        (
            {"id": one.id, "restricted_at": at(now) if one.restricted else None, "periods": one.periods}
            for one in touched
            if one.answers
        ),
    )
    lost = [
        (one, kind) for one in recordings for kind, there in one.parts.items() if there == "held" if rng.random() < 0.1
    ]
    for item, kind in lost:  # asked for, and the job never came back
        item.parts[kind] = "asked"
    _parts(tables, lost, "closed_at = now()", "state = 'erased'")


def _touch(rng: random.Random, one: Item, now: int) -> None:
    match rng.choice(("hold", "hold", "release", "restrict", "lift", "person", "state")):
        case "hold" if not one.answers:
            one.held, one.held_until = True, rng.choice([None, now + rng.randrange(2 * 365 * DAY)])
        case "release" if not one.answers:
            one.held, one.held_until = False, None
        case "restrict":
            one.restricted = True
        case "lift":
            one.restricted = False
        case "person":
            one.periods = some_periods(rng, 0.2, "all", *PARTS, "idle")
        case "state" if not one.answers:
            one.state = rng.choice(("capturing", "captured", "stored", "failed", "empty"))


def _parts(tables: Tables, parts: Collection[tuple[Item, str]], of_tracks: str, of_words: str) -> None:
    ids = [part_id(one, kind) for one, kind in parts]
    tables.run(f"UPDATE track SET {of_tracks} WHERE id = ANY (%(ids)s)", ids)
    tables.run(f"UPDATE transcript SET {of_words} WHERE id = ANY (%(ids)s)", ids)


def holds_of_answers(items: list[Item]) -> None:
    """Answers are held by a hold on what was recorded of the same person in the same session."""
    held = {(one.session.id, one.person): one for one in items if not one.answers and not one.gone}
    for one in items:
        if one.answers:
            recorded = held.get((one.session.id, one.person))
            one.held, one.held_until = (recorded.held, recorded.held_until) if recorded else (False, None)


async def swept(db: Db, now: datetime) -> tuple[set[UUID], set[tuple[UUID, str]], set[UUID]]:
    """What the sweep would ask to be erased: whole recordings, kinds of others, answers."""

    async def ids(function: str) -> list[UUID]:
        found = await db.execute(text(f"SELECT * FROM {function}(:now, 1000000)"), {"now": now})
        return [one for _, one in found]

    whole, parts = set(), set()
    named = {*(await ids("due_recordings")), *(await ids("due_parts"))}
    for start in range(0, len(named), AT_ONCE):
        some = sorted(named, key=str)[start : start + AT_ONCE]
        held = await held_parts(db, some)
        for row, session, study in await db.execute(
            select(rows.Recording, rows.Session, StudyRow)
            .join(rows.Session, rows.Session.id == rows.Recording.session_id)
            .join(StudyRow, StudyRow.id == rows.Session.study_id)
            .where(rows.Recording.id.in_(some))
        ):
            until = due(recording_facts(row, session), study.retention_days, now)
            if until is not None and until <= now:
                whole.add(row.id)
                continue
            dates = parts_due(row, session, study, held.get(row.id, frozenset()), now)
            if row.state != RecordingState.EMPTY:
                parts |= {(row.id, str(kind)) for kind, date in dates.items() if date <= now}
    found = await ids("due_responses")
    answers: set[UUID] = set()
    for start in range(0, len(found), AT_ONCE_SWEPT):
        answers |= {row.id for row, _ in await due_responses(db, found[start : start + AT_ONCE_SWEPT], now)}
    db.expunge_all()
    return whole, parts, answers


def nothing_past_is_readable(items: Collection[Item], now: int) -> None:
    """Nor does anything go unseen before its date. By the rules that every page asks."""
    for one in items:
        session, study = one.session, one.session.study
        days = shortest(study.days, session.days)
        kind = one.whole()
        end = one.end(kind)
        past = one.gone or (end is not None and now >= end)
        began = one.made if session.ended is None else session.ended
        idle_until = after_last(moment(began), moment(one.last), idle_days(study.periods, session.periods, one.periods))
        if one.answers:
            answered = ResponseFacts(
                answered_at=moment(one.made),
                session_ended_at=at(session.ended),
                hidden_at=None,
                erased_at=at(now) if one.gone else None,
                restricted=one.restricted,
                idle_until=idle_until,
            )
            kept = days_of(Kind.ANSWERS, days, study.periods, session.periods, one.periods)
            assert bool(answers_readable(answered, kept, moment(now))) is not (past or one.restricted)
            continue
        facts = RecordingFacts(
            state=RecordingState.ERASED if one.gone else RecordingState(one.state),
            created_at=moment(one.made),
            session_ended_at=at(session.ended),
            held_reason="complaint" if one.held else None,
            held_until=at(one.held_until),
            restricted_at=at(now) if one.restricted else None,
            session_retention_days=session.days,
            person_retention_days=one.periods.get("all"),
            idle_until=idle_until,
        )
        seen = not past and not one.restricted and one.state == "stored"
        assert bool(readable(facts, study.days, moment(now))) is seen
        for part in PARTS:
            kept = days_of(Kind(part), study.days, study.periods, session.periods, one.periods)
            until, end = keep_until(facts, kept), one.end(part)
            assert until == at(end)


@pytest.mark.timeout(3600)
async def test_j4_21_ten_years_of_clocks_against_counting_by_hand(cast: Cast, superuser_url: str) -> None:
    seed = trial.seed()
    rng = random.Random(seed)
    studies, to_begin, to_record = invented(rng, ITEMS)
    by_id = {one.id: one for one in to_record}
    sessions: list[Session] = []
    items: list[Item] = []
    erased = moved = 0
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        tables = Tables(connection, cast)
        plant(tables, studies, [], [])
        for step in range(1, MOMENTS + 1):
            now = step * YEARS // MOMENTS
            begun = [one for one in to_begin if (one.ended or one.begun) < now]
            recorded = [one for one in to_record if one.session in begun]
            plant(tables, [], begun, recorded)
            before = {one.id: one.last for one in items}
            sessions, items = sessions + begun, items + recorded
            to_begin, to_record = (
                [one for one in to_begin if one not in begun],
                [o for o in to_record if o not in recorded],
            )
            shake(rng, tables, studies, sessions, items, now)
            take_notice(items)
            moved += sum(one.last > before.get(one.id, one.last) for one in items)
            connection.execute("ANALYZE recording, session, study, response, track, transcript")
            holds_of_answers(items)
            to_come = [
                end
                for one in items
                if (end := one.end(one.whole())) is not None and now <= end < now + YEARS // MOMENTS
            ]
            exact = rng.choice(to_come) if to_come else now
            for second in (exact - 1, exact):
                expected = {one.id for one in items if not one.answers and one.due("all", second)}
                expected_parts = {(one.id, kind) for one in items for kind in one.parts_due(second)}
                expected_answers = {one.id for one in items if one.answers and one.due("answers", second)}
                async with cast.wiring.database.transaction(cast.account) as db:
                    whole, parts, answers = await swept(db, moment(second))
                assert whole == expected, f"seed {seed}, second {second}"
                assert parts == expected_parts, f"seed {seed}, second {second}"
                assert answers == expected_answers, f"seed {seed}, second {second}"
            nothing_past_is_readable(rng.sample(items, min(LOOKED_AT, len(items))), exact)
            erased += len(whole) + len(parts) + len(answers)
            # the others hang, and stay due
            gone = [by_id[one] for one in sorted((*whole, *answers)) if rng.random() < 0.9]
            for one in gone:
                one.gone = True
            tables.run(
                "UPDATE recording SET state = 'erased', erased_at = now() WHERE id = ANY (%(ids)s)",
                [one.id for one in gone if not one.answers],
            )
            tables.run(
                "UPDATE response SET erased_at = now() WHERE id = ANY (%(ids)s)",
                [one.id for one in gone if one.answers],
            )
            closed = [(by_id[one], kind) for one, kind in parts]
            for one, kind in closed:
                one.parts[kind] = "gone"
            _parts(tables, closed, "closed_at = now(), erased_at = now()", "state = 'erased', erased_at = now()")
    assert erased > ITEMS // 2
    assert moved > ITEMS // 1000  # by a session that came later
