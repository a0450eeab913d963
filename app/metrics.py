"""What a process counts, for Prometheus. Labels are words of our own code: no ids, nothing about people."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

REQUESTS = Counter("junier_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
ANSWERED_AFTER = Histogram(
    "junier_request_seconds",
    "Time until an answer begins.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
JOBS = Counter("junier_jobs", "Jobs this process worked on, by how they ended.", ["task", "outcome"], registry=REGISTRY)
JOB_SECONDS = Histogram(
    "junier_job_seconds",
    "Time a job took.",
    ["task"],
    buckets=(0.05, 0.25, 1, 5, 15, 60, 300, 1800),
    registry=REGISTRY,
)
LOOP_LAG = Histogram(
    "junier_event_loop_lag_seconds",
    "How much later than asked for the event loop woke, looked at twice a second.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(REGISTRY)
