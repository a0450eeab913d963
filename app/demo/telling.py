"""What the demo prints: every step with its progress, the time it took and what it proved."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.demo.figures import Figures


@dataclass
class Step:
    """A step under way."""

    bar: Progress
    task: TaskID
    outcome: str = ""

    def progress(self, share: float) -> None:
        """share: 0..1 of what is to be done."""
        self.bar.update(self.task, total=1.0, completed=min(1.0, share))

    def proved(self, what: str) -> None:
        self.outcome = what


class Telling:
    """Prints for people; with `quiet_last_line` everything goes to standard error, so that JSON can stand alone."""

    def __init__(self, *, to_stderr: bool) -> None:
        self.console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        started = time.monotonic()
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as bar:
            step = Step(bar, bar.add_task(what, total=None))
            yield step
        tail = f": {step.outcome}" if step.outcome else ""
        self.console.print(f"[green]done[/] {time.monotonic() - started:6.1f} s  {what}{tail}")

    def say(self, text: str) -> None:
        self.console.print(text)

    def sum_up(self, figures: Figures) -> None:
        """The figures as a table, then what failed, if anything."""
        table = Table(show_header=False, box=None, padding=(0, 2))
        offset = "none found" if figures.av_offset_ms is None else f"{figures.av_offset_ms:+.1f} ms"
        other = "bit for bit as before" if figures.other_participant_identical else "CHANGED"
        verified = "verified by a second process" if figures.certificate_verified else "DOES NOT VERIFY"
        for name, value in (
            ("Recorded", f"{figures.recorded_seconds:.1f} s"),
            ("Frames kept", f"{figures.frames_kept} of {figures.frames_sent} sent"),
            ("Audio packets kept", f"{figures.audio_packets_kept} of {figures.audio_packets_sent} sent"),
            ("Sound against picture", offset),
            ("Playable", f"{figures.playable_after_s:.1f} s after the end"),
            ("Transcripts", f"{figures.transcript_after_s:.1f} s after the end, {figures.words_recognised} words"),
            ("Word error rate", f"{figures.word_error_rate:.1%}"),
            ("Certificate", f"{figures.certificate}, {verified}"),
            (
                "Erased",
                f"{figures.erased_objects} objects; {figures.left_in_store} left, {figures.keys_left} keys left",
            ),
            ("The other participant", other),
        ):
            table.add_row(name, value)
        self.console.print()
        self.console.print(table)
        for failure in figures.failures():
            self.console.print(f"[bold]NOT PROVED[/] {failure}")
        sys.stdout.flush()
