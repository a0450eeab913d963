"""`make bench`: measure the numbers the product promises, on this machine, and say plainly which are met.

Everything runs in a temporary folder on loopback. A whole run takes eleven minutes and wants the machine for itself;
it writes bench/results.json, the last measured result of each part.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench import capture, memory, nodes, pages, playable, serving, soak, transcripts
from bench.figures import Figure, Part, Verdict
from bench.machine import Machine, this_machine

RESULTS = Path(__file__).parent / "results.json"
COLOURS = {Verdict.MET: "green", Verdict.MISSED: "bold red", Verdict.INFORMATION: "dim"}
PARTS = ("serving", "pages", "playable", "capture", "memory", "nodes", "transcripts")
NAMED_ONLY = ("soak",)
"""Too long for a whole run."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice(PARTS + NAMED_ONLY))
@click.option(
    "--speech",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="TEST_SPEECH_DIR",
    help="Folder with real speech and its manifest.jsonl (TEST_SPEECH_DIR); without it the demo's speech is used.",
)
@click.option(
    "--write/--no-write", default=None, help="Keep the results in bench/results.json; by default when all parts run."
)
@click.option("--minutes", default=30.0, show_default=True, help="How long the part soak records.")
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=memory.PEOPLE,
    show_default=True,
    help="How many publish in the parts memory and nodes; with fewer no target is held against them.",
)
def main(parts: Sequence[str], speech: Path | None, write: bool | None, minutes: float, people: int) -> None:
    """Measure all PARTS, or those named. The exit status is 1 when a target is missed."""
    console = Console(width=None if sys.stdout.isatty() else 170, highlight=False)
    machine = this_machine()
    console.print(machine.line(), machine.libraries_line(), sep="\n")
    measured = [_measured(name, speech, minutes, people, console) for name in parts or PARTS]
    console.print(_table(measured))
    if write or (write is None and not parts):
        RESULTS.write_text(json.dumps(_with(_written(), machine, measured), indent=2) + "\n")
    missed = [figure.name for part in measured for figure in part.figures if figure.verdict is Verdict.MISSED]
    console.print(f"Missed: {'; '.join(missed)}" if missed else "Every target is met.")
    sys.exit(1 if missed else 0)


def _measured(name: str, speech: Path | None, minutes: float, people: int, console: Console) -> Part:
    measures: dict[str, Callable[[Path], list[Figure]]] = {
        "serving": serving.measure,
        "pages": pages.measure,
        "playable": playable.measure,
        "capture": capture.measure,
        "memory": lambda folder: memory.measure(folder, people=people),
        "nodes": lambda folder: nodes.measure(folder, people=people),
        "soak": lambda folder: soak.measure(folder, minutes=minutes),
        "transcripts": lambda folder: transcripts.measure(folder, speech_dir=speech),
    }
    folder = Path(tempfile.mkdtemp(prefix=f"junier-bench-{name}-"))
    folder.chmod(0o755)  # the embedded database may run as another user
    began = time.monotonic()
    try:
        with console.status(f"Measuring {name} …"):
            figures = measures[name](folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Part(name=name, seconds=time.monotonic() - began, figures=figures)


def _table(parts: Sequence[Part]) -> Table:
    table = Table("part", "what", "measured", "target", "", "note")
    for part in parts:
        for figure in part.figures:
            table.add_row(
                part.name,
                figure.name,
                f"{_number(figure.value)} {figure.unit}",
                _target(figure),
                f"[{COLOURS[figure.verdict]}]{figure.verdict}[/]",
                "; ".join(filter(None, [_spread(figure), figure.note])),
            )
    return table


def _target(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"≥ {_number(figure.at_least)}"
    return "" if figure.at_most is None else f"≤ {_number(figure.at_most)}"


def _spread(figure: Figure) -> str:
    if len(figure.runs) == 1:
        return ""
    return f"median of {len(figure.runs)}: {_number(min(figure.runs))}–{_number(max(figure.runs))}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}" if value < 1 else f"{value:.2f}"


def _written() -> dict[str, object]:
    """Part -> its last measured result."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def _with(before: dict[str, object], machine: Machine, parts: Sequence[Part]) -> dict[str, object]:
    """Each part says when and on what it was measured; those not measured now stay as they were."""
    stamp = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": asdict(machine)}
    return before | {part.name: stamp | part.as_json() for part in parts}


if __name__ == "__main__":
    main()
