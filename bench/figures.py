"""What the bench measures, as values: a figure is the median of its runs beside the target it has to meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    INFORMATION = "-"  # no target is set for it


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number. runs: every single measurement; at_most, at_least: the target, None for information;
    facts: what belongs to it and is a number, for those who read the JSON."""

    name: str
    unit: str
    runs: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def verdict(self) -> Verdict:
        if self.at_most is None and self.at_least is None:
            return Verdict.INFORMATION
        low_enough = self.at_most is None or self.value <= self.at_most
        high_enough = self.at_least is None or self.value >= self.at_least
        return Verdict.MET if low_enough and high_enough else Verdict.MISSED

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "runs": [_short(run) for run in self.runs],
            "at_most": self.at_most,
            "at_least": self.at_least,
            "verdict": self.verdict,
            "note": self.note,
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, kw_only=True)
class Part:
    """The outcome of one part of the bench."""

    name: str
    seconds: float
    figures: Sequence[Figure]

    def as_json(self) -> dict[str, object]:
        return {"seconds": round(self.seconds), "figures": [figure.as_json() for figure in self.figures]}


def _short(number: float) -> float:
    return float(f"{number:.4g}")
