"""Logs without personal data: every event is a fixed message with ids, numbers and names of our own code.

JSON on standard error in production, readable lines in development. Whatever key is not on the list is dropped; an
exception shows as type and place, because its message may carry what a person typed. Of other libraries' events only
the place they come from is kept: their text is made from values we do not know.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

ALLOWED = frozenset(
    [
        *("event", "level", "timestamp", "logger", "exception", "place", "errno", "reference"),  # of every event
        *("method", "route", "status", "ms"),  # of a request
        *("task", "job", "attempts", "faults"),  # of a job or a loop
        *("dropped", "account"),
    ]
)
"""Keys an event may have. An addition must be an id, a number or a word of our own code."""
OURS = ("junier", "app", "recordings", "workers")
"""Roots of our own loggers; of all others only warnings and errors are told."""

Event = MutableMapping[str, Any]


def start_log(*, readable: bool) -> None:
    """To be called once, first thing in a process. readable: lines for people instead of JSON."""
    both: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*both, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    rendered = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if readable else _json()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*both, structlog.stdlib.ExtraAdder(allow=ALLOWED)],
        processors=[
            without_foreign_words,
            exception_as_place,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            only_allowed,
            rendered,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def without_foreign_words(_: Any, __: str, event: Event) -> Event:
    """Another library's event says where it was logged, not what; an error of the system also its number."""
    record: logging.LogRecord = event["_record"]
    if event.get("_from_structlog") or record.name.split(".")[0] in OURS:
        return event
    error = record.msg if isinstance(record.msg, BaseException) else (record.exc_info or (None, None))[1]
    event["event"] = f"{record.name} tells something"
    event["place"] = f"{record.filename}:{record.lineno}"
    if error is not None:
        event["exception"] = type(error).__name__
    if isinstance(error, OSError) and error.errno:
        event["errno"] = os.strerror(error.errno)
    return event


def exception_as_place(_: Any, __: str, event: Event) -> Event:
    """exc_info -> type and innermost places, never the message."""
    info = event.pop("exc_info", None) or event["_record"].exc_info
    event["_record"].exc_info = event["_record"].exc_text = None
    error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else None
    if error is not None:
        event["exception"] = type(error).__name__
        event["place"] = place_of(error) or event.get("place", "")
    return event


def only_allowed(_: Any, __: str, event: Event) -> Event:
    """Drop every key that is not on the list, and say how many."""
    unknown = [key for key in event if key not in ALLOWED]
    for key in unknown:
        del event[key]
    if unknown:
        event["dropped"] = len(unknown)
    return event


def place_of(error: BaseException) -> str:
    """file:line of the innermost frames, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))


def _json() -> Any:
    return structlog.processors.JSONRenderer(sort_keys=True)


def _uncaught(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    place = place_of(error) if error is not None else ""
    structlog.get_logger("junier").error("nobody caught this", exception=kind.__name__, place=place)
