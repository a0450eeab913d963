"""Verbs of a research session: schedule, open, record, end; and of what is published in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import insert

from app.accounts.assignments import add_assignment
from app.accounts.closing import require_staying
from app.audit import SYSTEM, Action, record
from app.database import Columns, Db, now_in
from app.decisions import Decision
from app.errors import Conflict, Gone, NotThere, Unavailable
from app.jobs import enqueue
from app.participants.models import Participant
from app.sessions.models import Node, Recording, RecordingState, Session, SessionState, Take, Track
from app.sessions.node_load import Place, emptiest
from app.sessions.policy import RecordingFacts, Standing, Step, Switch, next_standing
from app.settings import EU_COUNTRIES
from app.studies.clocks import Kind
from app.studies.models import Study
from recordings.encryption.keystore import KeyDestroyed, KeyExists, KeyStore
from recordings.model import (
    AccountId,
    PersonId,
    RecordingId,
    RecordingRef,
    SessionId,
    StreamKind,
    TrackId,
    TrackKind,
    TrackRef,
)
from recordings.storage.layout import track_key_path

NODE_SILENT_AFTER = timedelta(seconds=10)
STEP_ACTIONS = {
    Step.OPEN: Action.ROOM_OPENED,
    Step.START: Action.RECORDING_STARTED,
    Step.PAUSE: Action.RECORDING_PAUSED,
    Step.RESUME: Action.RECORDING_RESUMED,
    Step.END: Action.SESSION_ENDED,
}


class NoNode(Unavailable):
    """The media server is not running just now, so the room cannot carry sound and pictures. Please try again soon."""


class NotNow(Conflict):
    """This cannot be done in the session's present state."""


@dataclass(frozen=True, kw_only=True)
class TakeOpened:
    """A publication that may now be captured; the keys of all `tracks` exist."""

    recording: RecordingRef
    tracks: Mapping[TrackKind, TrackRef]
    number: int


async def schedule(
    db: Db,
    *,
    account: AccountId,
    study: UUID,
    title: str,
    starts_at: datetime | None = None,
    time_zone: str = "Europe/Berlin",
    group: bool = False,
    by: str = SYSTEM,
) -> SessionId:
    """A new session of a study. by: as audit names whoever does it; a member is assigned to it, which the event says.
    Raises NotThere, Conflict for a closed study."""
    await require_staying(db)
    row = await db.get(Study, study)
    if row is None:
        raise NotThere
    if row.closed_at is not None:
        raise Conflict("This study is closed.")
    session = Session(
        id=uuid4(),
        account_id=account,
        study_id=study,
        title=title,
        starts_at=starts_at,
        time_zone=time_zone,
        group=group,
    )
    role, _, member = by.partition(":")
    if role == "member":  # first, so that whoever makes it may see what they made
        await add_assignment(db, account=account, session=session.id, member=UUID(member))
    db.add(session)
    await db.flush()
    await _note(db, session, Action.SESSION_SCHEDULED, by)
    return SessionId(session.id)


async def find_session(db: Db, session: UUID) -> Session:
    """The session of this account. Raises NotThere."""
    row = await db.get(Session, session)
    if row is None:
        raise NotThere
    return row


async def session_with_study(db: Db, session: UUID) -> tuple[Session, Study]:
    """Both in one question. Raises NotThere."""
    of_study = select(Session, Study).join(Study, Study.id == Session.study_id).where(Session.id == session)
    found = (await db.execute(of_study)).tuples().first()
    if found is None:
        raise NotThere
    return found


async def open_room(db: Db, *, session: UUID, by: str = SYSTEM) -> Session:
    """People may come in from now on. Raises NotNow, AccountCloses."""
    await require_staying(db)
    row = await _step(db, session, Step.OPEN, by)
    row.started_at = await now_in(db)
    return row


async def start_recording(db: Db, *, session: UUID, by: str = SYSTEM) -> Session:
    await require_staying(db)
    row = await _step(db, session, Step.START, by)
    row.recording_at = await now_in(db)
    return row


async def pause_recording(db: Db, *, session: UUID, by: str = SYSTEM) -> Session:
    return await _step(db, session, Step.PAUSE, by)


async def resume_recording(db: Db, *, session: UUID, by: str = SYSTEM) -> Session:
    return await _step(db, session, Step.RESUME, by)


async def end(db: Db, *, session: UUID, by: str = SYSTEM) -> Session:
    """Nobody publishes any more. What is complete is finalised now, what is still open when its take closes."""
    row = await _step(db, session, Step.END, by)
    row.ended_at = await now_in(db)
    left = (
        await db.scalars(
            select(Recording)
            .where(Recording.session_id == session, Recording.erased_at.is_(None))
            .order_by(Recording.id)
            .with_for_update()  # a take that closes at this moment is seen as closed, or sees the session ended
        )
    ).all()
    for recording in left:
        if not await _has_open_take(db, recording.id):
            await _captured(db, recording)
    return row


async def node_of(db: Db, session: Session, *, eu_only: bool = True) -> Node:
    """The media process a live room lives on; chosen at the first need, and again only when it fell silent. Whoever
    chooses locks the session and looks again, so that people who come at once get the same one. Raises NoNode."""
    alive = await _alive(db, eu_only)
    if session.node not in alive:
        await db.refresh(session, with_for_update={"key_share": True})  # rows that only name the session need not wait
        alive = await _alive(db, eu_only)
    if session.node not in alive:
        places = [Place(name=one.name, load=one.streams, capacity=one.capacity) for one in alive.values()]
        session.node = emptiest(places)
        if session.node is None:
            raise NoNode
    return alive[session.node]


async def _alive(db: Db, eu_only: bool) -> dict[str | None, Node]:
    """Media processes whose heart beats, by name."""
    # A process that does not say where it is runs beside this one: in production it does not start without saying.
    where = Node.country.in_(["", *EU_COUNTRIES]) if eu_only else true()
    beating = select(Node).where(Node.heartbeat_at >= func.clock_timestamp() - NODE_SILENT_AFTER, where)
    return {node.name: node for node in await db.scalars(beating.execution_options(populate_existing=True))}


async def open_take(
    db: Db,
    keys: KeyStore,
    *,
    account: AccountId,
    session: SessionId,
    person: PersonId,
    person_is_member: bool,
    stream: StreamKind,
    kinds: Collection[TrackKind],
    node: str,
    resource: str,
) -> TakeOpened:
    """Rows and keys for one publication: the recording (one per person and stream, however often they come
    back), an open track for each of `kinds`, and the take. Of somebody who asked that nothing of theirs is used, what
    is recorded now is not, either (GDPR Art. 18). Raises Gone when the recording is or will be erased, and when the
    person was."""
    own = await _own(db, person)
    recording = await _recording(db, account, session, person, person_is_member, stream, own)
    if recording.erased_at is not None or recording.hidden_at is not None:
        raise Gone
    recording.last_take += 1
    recording.state = RecordingState.CAPTURING
    db.add(
        Take(account_id=account, recording_id=recording.id, number=recording.last_take, node=node, resource=resource)
    )
    ref = recording_ref(recording)
    tracks = {kind: track_ref(ref, await _open_track(db, recording, kind)) for kind in sorted(kinds)}
    await db.flush()
    for track in tracks.values():
        try:
            keys.create(track_key_path(track))
        except KeyExists:  # a track that goes on over several takes
            pass
        except KeyDestroyed:  # all of the person goes at this moment
            raise Gone from None
    return TakeOpened(recording=ref, tracks=tracks, number=recording.last_take)


async def close_take(
    db: Db, *, recording: RecordingId, number: int, interrupted: bool, resource: str | None = None
) -> None:
    """Everything of this take is stored. After the last one the recording is finalised. Safe to run twice. resource: a
    publication of which no row was written does not close the take that got its number."""
    row = await db.get(Recording, recording, with_for_update=True)
    take = await db.scalar(select(Take).where(Take.recording_id == recording, Take.number == number))
    if row is None or take is None or take.ended_at is not None or resource not in (None, take.resource):
        return
    take.ended_at, take.interrupted = await now_in(db), interrupted
    row.interrupted = row.interrupted or interrupted
    await db.flush()
    if row.erased_at is None and not await _has_open_take(db, recording):
        await _captured(db, row)


def recording_ref(row: Recording) -> RecordingRef:
    """Where the recording of this row lives."""
    return RecordingRef(
        account=AccountId(row.account_id),
        session=SessionId(row.session_id),
        person=PersonId(row.person_id),
        recording=RecordingId(row.id),
        kind=StreamKind(row.stream),
    )


def track_ref(recording: RecordingRef, row: Track) -> TrackRef:
    return TrackRef(of=recording, track=TrackId(row.id), kind=TrackKind(row.kind))


def recording_facts(row: Recording | Columns, session: Session | Columns) -> RecordingFacts:
    """What the rules readable() and due() look at. Both: or columns of one, by their names."""
    return RecordingFacts(
        state=RecordingState(row.state),
        created_at=row.created_at,
        indexed=row.index_key is not None,
        session_ended_at=session.ended_at,
        held_reason=row.held_reason,
        held_until=row.held_until,
        restricted_at=row.restricted_at,
        hidden_at=row.hidden_at,
        erased_at=row.erased_at,
        session_retention_days=session.retention_days,
        person_retention_days=row.periods.get(Kind.ALL),
        idle_until=row.idle_until,
    )


def standing(row: Session) -> Standing:
    return Standing(state=SessionState(row.state), recording=Switch(row.recording))


async def _step(db: Db, session: UUID, step: Step, by: str) -> Session:
    row = await db.get(Session, session, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotThere
    following = next_standing(step, standing(row))
    if isinstance(following, Decision):
        raise NotNow(following.reason)
    row.state, row.recording = following.state, following.recording
    await db.flush()
    await _note(db, row, STEP_ACTIONS[step], by)
    return row


async def _note(db: Db, row: Session, action: Action, by: str) -> None:
    await record(db, account=row.account_id, actor=by, action=action, subject=f"session:{row.id}")


async def _captured(db: Db, recording: Recording) -> None:
    """All takes ended: the index can be written."""
    if recording.last_take == 0:
        return
    recording.state = RecordingState.CAPTURED
    session = f"session:{recording.session_id}"
    await enqueue(db, "finalise", instruction=session, account_id=recording.account_id, recording_id=recording.id)


async def _has_open_take(db: Db, recording: UUID) -> bool:
    return await db.scalar(select(Take.id).where(Take.recording_id == recording, Take.ended_at.is_(None))) is not None


async def _recording(
    db: Db,
    account: AccountId,
    session: SessionId,
    person: PersonId,
    person_is_member: bool,
    stream: StreamKind,
    own: _Own,
) -> Recording:
    made = await db.scalar(
        insert(Recording)
        .values(
            id=uuid4(),
            account_id=account,
            session_id=session,
            person_id=person,
            person_is_member=person_is_member,
            stream=stream,
            state=RecordingState.CAPTURING,
            interrupted=False,
            last_take=0,
            index_generation=0,
            gaps=[],
            periods=own.periods,
            restricted_at=own.restricted_at,
        )
        .on_conflict_do_nothing(index_elements=[Recording.session_id, Recording.person_id, Recording.stream])
        .returning(Recording.id)
    )
    if made is not None and own.restricted_at is not None:
        await record(db, account=account, actor=SYSTEM, action=Action.RECORDING_RESTRICTED, subject=f"recording:{made}")
    found = await db.scalars(
        select(Recording)
        .where(Recording.session_id == session, Recording.person_id == person, Recording.stream == stream)
        .with_for_update()
    )
    return found.one()


@dataclass(frozen=True, kw_only=True)
class _Own:
    """What a person's row says of all that is recorded of them."""

    periods: dict[str, int]
    restricted_at: datetime | None = None


async def _own(db: Db, person: PersonId) -> _Own:
    """What is kept shorter of this person, and whether it is used; of members nothing is said. It waits for a change
    of it to be over, and for their erasure to be asked or certified: each of these locks their row first, so that it
    sees what is made here, or is seen. Raises Gone."""
    mine = select(Participant.periods, Participant.restricted_at, Participant.erased_at)
    found = (await db.execute(mine.where(Participant.id == person).with_for_update(read=True))).tuples().one_or_none()
    if found is None:
        return _Own(periods={})
    periods, restricted_at, erased_at = found
    if erased_at is not None:
        raise Gone
    return _Own(periods=periods, restricted_at=restricted_at)


async def _open_track(db: Db, recording: Recording, kind: TrackKind) -> Track:
    found = await db.scalars(
        select(Track).where(
            Track.recording_id == recording.id,
            Track.kind == kind,
            Track.closed_at.is_(None),
            Track.erased_at.is_(None),
        )
    )
    track = found.first()
    if track is None:
        track = Track(id=uuid4(), account_id=recording.account_id, recording_id=recording.id, kind=kind)
        db.add(track)
    return track
