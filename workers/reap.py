"""Take over from the dead: jobs whose worker went silent, and takes whose media process never came back."""

from __future__ import annotations

from datetime import timedelta

import structlog
from procrastinate.jobs import Status
from procrastinate.manager import JobManager

log = structlog.get_logger()

HEARTBEAT_SECONDS = 10.0
STALLED_SECONDS = 30.0
POISON_ATTEMPTS = 5
NODE_SILENT = timedelta(minutes=2)


async def reap_jobs(jobs: JobManager) -> int:
    """Give stalled jobs back to the queue; a job that keeps killing its worker is parked as failed.
    Per job, so that one collision of a queueing lock never stops the others. Returns how many."""
    taken = 0
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        try:
            if job.attempts >= POISON_ATTEMPTS:
                await jobs.finish_job(job, Status.FAILED, delete_job=False)
            else:
                await jobs.retry_job(job)
            taken += 1
        except Exception as error:
            # a newer job of the same lock waits already: let the newer one win
            log.warning("reap", job=job.id, exception=type(error).__name__)
            await jobs.finish_job(job, Status.FAILED, delete_job=False)
    return taken
