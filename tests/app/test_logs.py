"""Logs hold fixed events, ids and numbers: whatever is logged, a person's words are not in it."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.logs import ALLOWED

ROOT = Path(__file__).parents[2]
CANARY = "mia.vandenberg@home.example"
PROGRAM = """
    import asyncio, logging, sys, threading, warnings
    import structlog
    from app.logs import start_log
    start_log(readable={readable})
    canary = "{canary}"
    ours, theirs = logging.getLogger("junier.web"), logging.getLogger("somebody.else")
    ours.info("started: %d things", 3)
    structlog.get_logger("workers.mail").warning("sent", job=7, address=canary, name=canary)
    try:
        raise ValueError(canary)
    except ValueError:
        ours.exception("a stream failed", extra={{"faults": 2, "who": canary}})
        structlog.get_logger("workers.mail").exception("job failed", job=8)
        theirs.error("could not do it for %s", canary, exc_info=True)
    theirs.warning(f"hello {{canary}}")
    theirs.info("nobody needs this")
    theirs.error(OSError(98, canary))
    warnings.warn(canary)
    async def falls():
        raise LookupError(canary)
    async def main():
        task = asyncio.create_task(falls())
        await asyncio.sleep(0)
        del task
    asyncio.run(main())
    thread = threading.Thread(target=lambda: int(canary))
    thread.start(); thread.join()
    class Bad:
        def __del__(self):
            raise RuntimeError(canary)
    Bad()
    raise KeyError(canary)
"""


def written(*, readable: bool) -> str:
    program = textwrap.dedent(PROGRAM).format(readable=readable, canary=CANARY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("readable", [False, True])
def test_no_message_of_an_exception_and_no_key_that_is_not_listed_gets_into_the_log(readable: bool) -> None:
    text = written(readable=readable)
    assert CANARY not in text and "vandenberg" not in text
    for kept in ("started: 3 things", "ValueError", "LookupError", "RuntimeError", "KeyError", "OSError"):
        assert kept in text, kept


def test_in_production_every_line_is_one_json_object_with_listed_keys_only() -> None:
    events = [json.loads(line) for line in written(readable=False).splitlines()]
    assert {key for event in events for key in event} <= ALLOWED
    [sent] = [event for event in events if event["event"] == "sent"]
    assert (sent["job"], sent["dropped"], sent["level"]) == (7, 2, "warning")
    [failed] = [event for event in events if event["event"] == "a stream failed"]
    assert failed["exception"] == "ValueError" and failed["faults"] == 2 and failed["place"]
    [bound] = [event for event in events if event.get("errno")]
    assert bound["errno"] == "Address already in use"
    foreign = [event for event in events if event["logger"] == "somebody.else"]
    assert len(foreign) == 3 and all(event["event"] == "somebody.else tells something" for event in foreign)
    assert events[-1] == events[-1] | {"event": "nobody caught this", "exception": "KeyError"}


SAFE_CALLS = {"type", "place_of", "len", "round"}
SAFE_NAMES = {
    "reference",  # random
    "accounts", "addresses", "asked", "ended", "erasures", "leftovers", "others", "unfinished",  # numbers
    "faults", "fell", "returncode", "attempts",
    "account", "damaged", "place", "session",  # ids, and prefixes of object keys made of them
    "kind", "since",  # of what stands alone
    "reasons",  # of a store, with object keys
    "trouble", "why",  # a type, or words of our own
    "name",  # of a child process
    "data_dir", "folder", "orphan",  # where the operator put the data
}  # fmt: skip


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for folder in ("app", "recordings", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "log"
                    and hasattr(logging.Logger, node.func.attr)
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_the_rule_sees_the_calls() -> None:
    assert len(list(log_calls())) > 12


@pytest.mark.parametrize("call", [pytest.param(call, id=place) for place, call in log_calls()])
def test_our_own_events_are_fixed_words_with_types_places_and_numbers(call: ast.Call) -> None:
    """%s takes what is known to be safe, never a value of a row or a form; keys are on the list."""
    message, *values = [arg for arg in call.args if not _is_level(arg)]
    assert isinstance(message, ast.Constant) and isinstance(message.value, str), "an event is a fixed text"
    for value in values:
        assert _safe(value), ast.unparse(value)
    assert {keyword.arg for keyword in call.keywords} <= ALLOWED | {"extra", "exc_info"}


def _is_level(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "level"


def _safe(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name in SAFE_CALLS
        case ast.Attribute(value=inner, attr="__name__"):
            return isinstance(inner, ast.Call) and _safe(inner)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in SAFE_NAMES
    return False
