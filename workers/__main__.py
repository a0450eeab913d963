"""The workers' composition root: every task of app.jobs.TASKS bound to its body, on procrastinate."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

import procrastinate
import structlog
from procrastinate import JobContext, RetryStrategy
from procrastinate.jobs import Job
from procrastinate.retry import RetryDecision

from app import metrics
from app.audit_heads import heads_of, keep_verdicts, note_heads, verify_all
from app.database import now_in
from app.invitations.reminding import remind_due
from app.jobs import TASKS, JobFailure, Queue, note_done
from app.privacy.erasing.epochs import renew_keys
from app.privacy.erasing.orphans import reap
from app.privacy.erasing.service import run_erasure
from app.privacy.keeping.closing_job import run_closing, take_up_closings
from app.privacy.keeping.retention import sweep
from app.privacy.replaying import settle
from app.room.forsaken import close_forsaken
from app.room.left_open import end_left_open
from app.room.node_client import NodeClient
from app.room.node_messages import LEASE_SECONDS
from app.room.permission import push_loop
from app.wiring import Wiring
from recordings.model import AccountId
from workers.finalise import finalise
from workers.giving_up import give_up, reason_of
from workers.mail import open_mailer, send_mail
from workers.reap import reap_jobs
from workers.speech import Transcriber
from workers.transcribe import transcribe
from workers.transcription_child import keep_transcribing

LIGHT_CONCURRENCY = 8
STAND_IN_SECONDS = LEASE_SECONDS / 2
"""A light worker stands in for a web process that is being restarted: no lease of a room runs out meanwhile."""
SWEEP_EVERY = "* * * * *"
ROTATE_EVERY = "*/10 * * * *"  # looks whether it is due
ATTEST_EVERY = "23 * * * *"
ORPHANS_EVERY = "41 */4 * * *"


class WhileItCanHelp(RetryStrategy):
    """Errors say whether another try can help (`retry`); a surprise is tried again."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if getattr(exception, "retry", True) is False:
            return None
        return super().get_retry_decision(exception=exception, job=job)


RETRY = WhileItCanHelp(max_attempts=8, wait=1, exponential_wait=2)
"""Waits of 3, 5, 9 … 257 s: long enough for a store or mail server to come back."""
GIVEN_UP = "It stopped unexpectedly, several times"

Body = Callable[..., Awaitable[None]]

log = structlog.get_logger()


def build(wiring: Wiring) -> procrastinate.App:
    """The job engine with all tasks registered; `open_async()` it before use."""
    conninfo = wiring.database.url
    engine = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": "-c search_path=jobs,public"})
    )
    for name, body in _bodies(wiring).items():
        task = TASKS[name]
        engine.task(name=name, queue=task.queue.value, retry=RETRY, pass_context=True)(_guarded(wiring, body))
    _register_periodic(engine, wiring)
    return engine


class WorkerStopped(Exception):
    """The worker stopped although nobody asked it to: it lost the database."""


async def run_light(wiring: Wiring) -> None:
    """The light worker inside the web process, with transcription as a child on demand; until cancelled.
    Raises WorkerStopped or what went wrong, and may then be started again."""
    silent_s = wiring.settings.worker_silent_s
    async with build(wiring).open_async() as engine:
        await _until_first_ends(
            _work(engine, [Queue.LIGHT], silent_s=silent_s, concurrency=LIGHT_CONCURRENCY, signals=False),
            keep_transcribing(wiring),
        )
    raise WorkerStopped  # the job engine returns quietly when its connection breaks


async def run(wiring: Wiring, queues: Sequence[str], *, until_idle: bool = False) -> None:
    """A worker process of its own. until_idle: return when no job is left."""
    chosen = [Queue(q) for q in queues]
    concurrency = LIGHT_CONCURRENCY if Queue.LIGHT in chosen else 1
    work = partial(_work, silent_s=wiring.settings.worker_silent_s, wait=not until_idle)
    async with build(wiring).open_async() as engine, _standing_in(wiring, Queue.LIGHT in chosen and not until_idle):
        if Queue.LIGHT in chosen and Queue.TRANSCRIPTION in chosen:  # a busy model must not hold up the rest
            together = asyncio.gather if until_idle else _until_first_ends  # asked to stop, the first ends both
            await together(
                work(engine, [Queue.LIGHT], concurrency=concurrency),
                work(engine, [Queue.TRANSCRIPTION], concurrency=1, signals=False),
            )
        else:
            await work(engine, chosen, concurrency=concurrency)


@asynccontextmanager
async def _standing_in(wiring: Wiring, wanted: bool) -> AsyncIterator[None]:
    """Inside, permission is pushed to the rooms from here too."""
    pushing = asyncio.create_task(_push_permission(wiring)) if wanted else None
    try:
        yield
    finally:
        if pushing is not None:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)


async def _push_permission(wiring: Wiring) -> None:
    """Until cancelled. Like the web process's own loops it may catch everything: the database may be away a while."""
    push = push_loop(NodeClient(wiring.settings), every_s=STAND_IN_SECONDS)
    while True:
        try:
            await push(wiring)
        except Exception as error:
            log.error("permission loop stopped", exception=type(error).__name__)
            await asyncio.sleep(1)


def _bodies(wiring: Wiring) -> dict[str, Body]:
    """Each task takes the ids its Task declares."""
    mailer = open_mailer(wiring.settings)
    nodes = NodeClient(wiring.settings)

    @lru_cache(maxsize=1)
    def transcriber() -> Transcriber:
        from workers.whisper import WhisperTranscriber

        return WhisperTranscriber(wiring.settings.speech_model, threads=wiring.settings.speech_threads)

    async def run_finalise(account: AccountId, recording_id: UUID) -> None:
        await finalise(wiring, account, recording_id)

    async def run_transcribe(account: AccountId, transcript_id: UUID) -> None:
        await transcribe(wiring, transcriber, account, transcript_id)

    async def run_erase(account: AccountId, erasure_id: UUID) -> None:
        await run_erasure(wiring, account, erasure_id, nodes=nodes)

    async def run_close(account: AccountId) -> None:
        await run_closing(wiring, account, nodes=nodes)

    async def run_send(account: AccountId, mail_id: UUID) -> None:
        await send_mail(wiring, mailer, account, mail_id)

    return {
        "finalise": run_finalise,
        "transcribe": run_transcribe,
        "erase": run_erase,
        "close_account": run_close,
        "send_mail": run_send,
    }


def _guarded(wiring: Wiring, body: Body) -> Callable[..., Awaitable[None]]:
    """A job of an account: ids from text, and a failure leaves its type and place, never its message."""

    async def run_job(context: JobContext, *, account_id: str, **ids: str) -> None:
        task, began = context.job.task_name, time.monotonic()
        try:
            await body(AccountId(UUID(account_id)), **{name: UUID(value) for name, value in ids.items()})
            metrics.JOBS.labels(task=task, outcome="done").inc()
        except Exception as error:
            metrics.JOBS.labels(task=task, outcome="failed").inc()
            await _note_failure(wiring, context, error)
            if RETRY.get_retry_decision(exception=error, job=context.job) is None:
                job = context.job
                await give_up(wiring, job.task_name, job.task_kwargs, reason_of(error, GIVEN_UP))
                metrics.JOBS.labels(task=task, outcome="given up").inc()
            raise
        finally:
            metrics.JOB_SECONDS.labels(task=task).observe(time.monotonic() - began)

    return run_job


async def _note_failure(wiring: Wiring, context: JobContext, error: Exception) -> None:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
    log.error("job failed", task=context.job.task_name, job=context.job.id, exception=type(error).__name__, place=place)
    async with wiring.database.transaction() as db:
        db.add(
            JobFailure(
                job_id=context.job.id or 0,
                task=context.job.task_name,
                exception=type(error).__name__,
                place=place,
            )
        )


async def _now(wiring: Wiring) -> datetime:
    """The earlier of this machine's clock and the database's: one that ran ahead alone destroys nothing."""
    async with wiring.database.transaction() as db:
        return min(await now_in(db), datetime.now(UTC))


def _register_periodic(engine: procrastinate.App, wiring: Wiring) -> None:
    light = Queue.LIGHT.value

    @engine.periodic(cron=SWEEP_EVERY)
    @engine.task(name="sweep", queue=light, queueing_lock="sweep")
    async def run_sweep(timestamp: int) -> None:
        try:
            await close_forsaken(wiring.database)
            await end_left_open(wiring.database, await _now(wiring))
        finally:  # what is due goes, whatever became of open takes
            try:
                await sweep(wiring, await _now(wiring))
            finally:
                try:
                    await take_up_closings(wiring, await _now(wiring))
                finally:
                    await remind_due(wiring, await _now(wiring))
            await note_heads(wiring.database, heads_of(wiring.settings))
        async with wiring.database.transaction() as db:
            await note_done(db, "sweep")

    @engine.periodic(cron=ROTATE_EVERY)
    @engine.task(name="rotate", queue=light, queueing_lock="rotate")
    async def run_rotate(timestamp: int) -> None:
        await renew_keys(wiring, await _now(wiring))
        await settle(wiring, NodeClient(wiring.settings))
        async with wiring.database.transaction() as db:
            await note_done(db, "rotate")

    @engine.periodic(cron=ATTEST_EVERY)
    @engine.task(name="attest", queue=light, queueing_lock="attest")
    async def run_attest(timestamp: int) -> None:
        verdicts = await verify_all(wiring.database, heads_of(wiring.settings))
        await keep_verdicts(wiring.database, verdicts)
        for account in (account for account, verdict in verdicts.items() if not verdict.intact):
            log.error("the audit log of an account is broken", account=str(account))
        async with wiring.database.transaction() as db:
            await note_done(db, "attest")

    @engine.periodic(cron=ORPHANS_EVERY)
    @engine.task(name="find_orphans", queue=light, queueing_lock="find_orphans")
    async def run_find_orphans(timestamp: int) -> None:
        await reap(wiring, await _now(wiring))
        async with wiring.database.transaction() as db:
            await note_done(db, "find_orphans")

    @engine.periodic(cron=f"* * * * * */{min(15, wiring.settings.worker_silent_s // 2)}")
    @engine.task(name="reap", queue=light, queueing_lock="reap")
    async def run_reap(timestamp: int) -> None:
        await reap_jobs(wiring, engine.job_manager)


async def _work(
    engine: procrastinate.App,
    queues: Sequence[Queue],
    *,
    silent_s: int,
    concurrency: int,
    wait: bool = True,
    signals: bool = True,
) -> None:
    options: dict[str, Any] = {
        "queues": [q.value for q in queues],
        "concurrency": concurrency,
        "wait": wait,
        "install_signal_handlers": signals,
        "update_heartbeat_interval": silent_s / 3,
        "stalled_worker_timeout": float(silent_s),
        "delete_jobs": "successful",
        "fetch_job_polling_interval": 1.0,
        "shutdown_graceful_timeout": 5.0,
    }
    await engine.run_worker_async(**options)


async def _until_first_ends(*coroutines: Awaitable[None]) -> None:
    """Both run together; when one ends or falls, the other is cancelled and waited for."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
