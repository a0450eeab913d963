"""Take over from the dead: jobs whose worker went silent go back to the queue."""

from __future__ import annotations

import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from app.wiring import Wiring
from workers.giving_up import CRASHED, give_up

POISON_ATTEMPTS = 5

log = structlog.get_logger()


async def reap_jobs(wiring: Wiring, jobs: JobManager) -> int:
    """Give stalled jobs back to the queue; one that keeps killing its worker is parked as failed, and what it
    was for says so. Per job, so that one surprise never stops the others. Returns how many were taken over."""
    taken = 0
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=wiring.settings.worker_silent_s):
        try:
            if job.attempts >= POISON_ATTEMPTS:
                await _park(wiring, jobs, job)
            else:
                await _hand_over(jobs, job)
                taken += 1
        except ConnectorException as error:  # its worker is alive after all and has just finished it
            log.warning("not taken over", job=job.id, task=job.task_name, exception=type(error).__name__)
    return taken


async def _park(wiring: Wiring, jobs: JobManager, job: Job) -> None:
    log.error("poison job parked", job=job.id, task=job.task_name, attempts=job.attempts)
    await jobs.finish_job(job, Status.FAILED, delete_job=False)
    await give_up(wiring, job.task_name, job.task_kwargs, CRASHED)


async def _hand_over(jobs: JobManager, job: Job) -> None:
    try:
        await jobs.retry_job(job)
    except ConnectorException:
        if job.queueing_lock is None:
            raise
        # a newer job of the same lock waits already and does the same: let it win
        await jobs.finish_job(job, Status.FAILED, delete_job=False)
