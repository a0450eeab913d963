"""enqueue(): a job on the caller's transaction (procrastinate behind it). Committing starts it, rolling back
leaves no trace. Jobs carry the account and ids, never content: the tables of jobs have no row-level security.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Db

if TYPE_CHECKING:
    from procrastinate import App


class Queue(StrEnum):
    LIGHT = "light"  # short work, on every machine
    TRANSCRIPTION = "transcription"  # minutes of CPU, few at a time


@dataclass(frozen=True, kw_only=True)
class Task:
    """Where a task runs and the ids it takes besides account_id; platform tasks take none at all."""

    queue: Queue
    ids: tuple[str, ...] = ()
    of_account: bool = True

    @property
    def arguments(self) -> frozenset[str]:
        return frozenset((("account_id",) if self.of_account else ()) + self.ids)


TASKS: Mapping[str, Task] = {
    "finalise": Task(queue=Queue.LIGHT, ids=("recording_id",)),
    "transcribe": Task(queue=Queue.TRANSCRIPTION, ids=("transcript_id",)),
    "erase": Task(queue=Queue.LIGHT, ids=("erasure_id",)),
    "close_account": Task(queue=Queue.LIGHT),
    "send_mail": Task(queue=Queue.LIGHT, ids=("mail_id",)),
    "sweep": Task(queue=Queue.LIGHT, of_account=False),
    "reap": Task(queue=Queue.LIGHT, of_account=False),
    "rotate": Task(queue=Queue.LIGHT, of_account=False),
    "attest": Task(queue=Queue.LIGHT, of_account=False),
    "find_orphans": Task(queue=Queue.LIGHT, of_account=False),
}
"""Every task by name: callers need not import the workers, and the workers register exactly these."""


class JobFailure(Base):
    """Type and place of a failed job's exception, never its message. ids only."""

    __tablename__ = "job_failure"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger)
    task: Mapped[str]
    exception: Mapped[str]
    place: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class JobInstruction(Base):
    """On whose instruction a job was begun (GDPR Art. 28(3)(a)): the study's settings, a request, a step of somebody.
    Written with the job, in one transaction. ids only."""

    __tablename__ = "job_instruction"
    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(index=True)
    task: Mapped[str]
    instruction: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class TaskDone(Base):
    """When a platform task last did its work to the end: that nobody sweeps any more must not go unnoticed."""

    __tablename__ = "task_done"
    task: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())


async def note_done(db: Db, task: str) -> None:
    """This platform task has just done its work to the end."""
    await db.execute(
        insert(TaskDone)
        .values(task=task)
        .on_conflict_do_update(index_elements=[TaskDone.task], set_={"at": func.now()})
    )


class BadJob(Exception):
    """This job does not exist or does not take these ids."""


async def enqueue(
    db: Db, task: str, *, instruction: str, key: str | None = None, run_at: datetime | None = None, **ids: UUID
) -> bool:
    """Add a job that starts once the caller commits; True when it was added.

    instruction: whose will it does, as `what:id`; see JobInstruction.
    key: while a job of this task and key waits, no second one is added (False); the waiting one is then kept
    from starting before the caller commits, so it sees what the caller wrote. A key is free again as soon as
    its job runs: what must happen once needs a UNIQUE column of its own.
    Raises BadJob.
    """
    declared = TASKS.get(task)
    if declared is None or declared.arguments != ids.keys():
        raise BadJob(f"{task} does not exist or does not take {sorted(ids)}")
    if not all(isinstance(value, UUID) for value in ids.values()):
        raise BadJob(f"{task}: jobs carry ids only")
    options: dict[str, Any] = {
        "queue": declared.queue.value,
        "schedule_at": run_at,
        "task_kwargs": {name: str(value) for name, value in ids.items()},
    }
    if key is None:
        job = await _defer(db, task, options)
    else:
        lock = f"{task}:{key}"
        while (found := await _defer_once(db, task, {**options, "queueing_lock": lock})) is None:
            if await _keep_waiting(db, lock):
                return False
        job = found
    if declared.of_account:
        db.add(JobInstruction(job_id=job, account_id=ids["account_id"], task=task, instruction=instruction))
        await db.flush()
    return True


async def _defer(db: Db, task: str, options: Mapping[str, Any]) -> int:
    # Resolved here, inside the caller's (or our) savepoint: SQLAlchemy emits SAVEPOINT only now.
    raw = (await (await db.connection()).get_raw_connection()).driver_connection
    return await _engine().configure_task(task, allow_unknown=True, connection=raw, **options).defer_async()


async def _defer_once(db: Db, task: str, options: Mapping[str, Any]) -> int | None:
    """The job; None when one with its lock waits already."""
    from procrastinate.exceptions import AlreadyEnqueued

    try:
        async with db.begin_nested():  # a collision must not abort the caller's transaction
            return await _defer(db, task, options)
    except AlreadyEnqueued:
        return None


async def _keep_waiting(db: Db, lock: str) -> bool:
    """Lock the waiting job until we commit (workers skip locked rows); False when it has just been taken."""
    statement = "SELECT id FROM jobs.procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo' FOR UPDATE"
    return (await db.execute(text(statement), {"lock": lock})).first() is not None


@lru_cache
def _engine() -> App:
    """Only builds the query; it is run on the caller's connection, so no pool is ever opened."""
    from procrastinate import App, PsycopgConnector

    return App(connector=PsycopgConnector())
