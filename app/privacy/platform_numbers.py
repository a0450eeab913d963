"""Numbers about the whole platform, asked from the database just before Prometheus reads them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.jobs import TASKS
from app.mail.models import MailState
from app.metrics import REGISTRY
from app.privacy.erasing.orphans import Kind
from app.privacy.erasing.overdue import overdue
from app.privacy.records.models import ErasureState
from app.public_address import expires
from app.sessions.models import RecordingState
from app.wiring import Wiring

LIMIT_S = 5.0
AGAIN_AFTER_S = 10.0
"""Two monitoring systems that ask at once must not double the work of the database."""
CERTIFICATE_AGAIN_AFTER_S = 3600.0

DATABASE = Gauge("junier_database_up", "1 when the database answered this scrape.", registry=REGISTRY)
RECORDINGS = Gauge("junier_recordings", "Recordings by state.", ["state"], registry=REGISTRY)
MAILS = Gauge("junier_mails", "Mails by state, those sent left out.", ["state"], registry=REGISTRY)
MAIL_WAITS = Gauge("junier_mail_oldest_waiting_seconds", "Age of the oldest mail not sent.", registry=REGISTRY)
ERASURES = Gauge("junier_erasures", "Erasures by state.", ["state"], registry=REGISTRY)
WAITING = Gauge("junier_jobs_waiting", "Jobs that wait and may start.", ["task"], registry=REGISTRY)
JOB_WAITS = Gauge("junier_job_oldest_waiting_seconds", "Age of the oldest of them.", ["task"], registry=REGISTRY)
PARKED = Gauge("junier_jobs_given_up", "Jobs that failed for good.", ["task"], registry=REGISTRY)
FAILURES = Gauge("junier_job_failures_last_hour", "Failed tries in the last hour.", ["task"], registry=REGISTRY)
SWEPT = Gauge("junier_sweep_last_run_timestamp_seconds", "When the sweep last ended well; 0: never.", registry=REGISTRY)
OVERDUE = Gauge("junier_erasure_overdue_seconds", "How late the latest erasure is; 0: none.", registry=REGISTRY)
ORPHANS = Gauge(
    "junier_orphans", "Objects without a row and rows without objects, by the last look.", ["kind"], registry=REGISTRY
)
CERTIFICATE = Gauge(
    "junier_certificate_expires_timestamp_seconds", "Of the public address; 0: not seen.", registry=REGISTRY
)
DISK_FREE = Gauge("junier_disk_free_bytes", "Free where the data folder lies.", registry=REGISTRY)
DISK_SIZE = Gauge("junier_disk_size_bytes", "Size of that disk.", registry=REGISTRY)

COUNTS = "SELECT what, state, count AS number, oldest FROM platform_counts()"
FAILED = "SELECT task, count(*) AS failures FROM job_failure WHERE at > now() - interval '1 hour' GROUP BY task"
ALONE = "SELECT kind, count(*) AS number FROM orphan GROUP BY kind"
JOBS = """
    SELECT task_name, count(*) FILTER (WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())),
           COALESCE(EXTRACT(epoch FROM now() - min(COALESCE(j.scheduled_at, e.at))
               FILTER (WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))), 0),
           count(*) FILTER (WHERE status = 'failed')
    FROM jobs.procrastinate_jobs AS j
    LEFT JOIN LATERAL (SELECT min(at) AS at FROM jobs.procrastinate_events WHERE job_id = j.id) AS e ON true
    GROUP BY task_name
"""


def read_disk(wiring: Wiring) -> None:
    """The folder may not be there before the first start."""
    folder = wiring.settings.data_dir
    if folder.exists():
        usage = shutil.disk_usage(folder)
        DISK_FREE.set(usage.free)
        DISK_SIZE.set(usage.total)


class PlatformNumbers:
    """Call it before each scrape. Bounded: a database that hangs leaves the old numbers and says so."""

    def __init__(self, wiring: Wiring, clock: Callable[[], float] = time.monotonic) -> None:
        self._wiring, self._clock = wiring, clock
        self._again_at = self._certificate_again_at = float("-inf")

    async def __call__(self) -> None:
        now = self._clock()
        if now < self._again_at:
            return
        self._again_at = now + AGAIN_AFTER_S
        read_disk(self._wiring)
        try:
            await asyncio.wait_for(self._ask_database(), LIMIT_S)
            DATABASE.set(1)
        except (SQLAlchemyError, OSError, TimeoutError):
            DATABASE.set(0)
        if self._wiring.settings.secure and now >= self._certificate_again_at:
            self._certificate_again_at = now + CERTIFICATE_AGAIN_AFTER_S
            CERTIFICATE.set(await expires(self._wiring.settings.public_url) or 0)

    async def _ask_database(self) -> None:
        now = datetime.now(UTC)
        async with self._wiring.database.transaction() as db:
            counted = (await db.execute(text(COUNTS))).all()
            jobs = (await db.execute(text(JOBS))).all()
            failures = (await db.execute(text(FAILED))).all()
            alone = {row.kind: row.number for row in await db.execute(text(ALONE))}
            swept = await db.scalar(text("SELECT at FROM task_done WHERE task = 'sweep'"))
        for what, gauge, states in (
            ("recording", RECORDINGS, RecordingState),
            ("mail", MAILS, MailState),
            ("erasure", ERASURES, ErasureState),
        ):
            counts = {row.state: row.number for row in counted if row.what == what}
            for state in states:
                gauge.labels(state=state.value).set(counts.get(state.value, 0))
        waiting = [row.oldest for row in counted if (row.what, row.state) == ("mail", MailState.WAITING)]
        MAIL_WAITS.set((now - waiting[0]).total_seconds() if waiting else 0)
        by_task = {task: (count, age, parked) for task, count, age, parked in jobs}
        failed: dict[str, int] = {row.task: row.failures for row in failures}
        for task in TASKS:
            count, age, parked = by_task.get(task, (0, 0, 0))
            WAITING.labels(task=task).set(count)
            JOB_WAITS.labels(task=task).set(max(0.0, float(age)))
            PARKED.labels(task=task).set(parked)
            FAILURES.labels(task=task).set(failed.get(task, 0))
        SWEPT.set(swept.timestamp() if swept else 0)
        for one in Kind:
            ORPHANS.labels(kind=one.value).set(alone.get(one.value, 0))
        late = await overdue(self._wiring.database, now)
        OVERDUE.set(late.total_seconds() if late else 0)
