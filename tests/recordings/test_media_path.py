"""docs/media-path.md and its figure name files, bounds and tests that are there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/media-path.md").read_text()
FIGURE = ROOT / "docs/pictures/media-path.svg"


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [row for row in PAGE.partition("## What holds")[2].splitlines() if row.startswith("| ") and "---" not in row]
    unproven = [row for row in rows if "`tests/" not in row and "| test |" not in row]
    assert unproven == []
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_every_bound_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([\d.]+) \| `([\w.]+)\.(\w+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) > 15
    stated = {f"{module}.{name}": float(value) for value, module, name in rows}
    assert stated == {f"{module}.{name}": bound(module, name) for _, module, name in rows}
    [reserve] = re.findall(r"`recordings.capture.spool.JOURNAL_RESERVE_BYTES` = (\d+)", PAGE)
    assert int(reserve) == bound("recordings.capture.spool", "JOURNAL_RESERVE_BYTES")


def bound(module: str, name: str) -> float:
    value = getattr(import_module(module), name)
    return float(value[True] if isinstance(value, dict) else value)  # by is_video


def test_every_file_named_on_the_page_and_in_the_figure_exists() -> None:
    folder = Path("recordings/capture")
    for name in re.findall(r"`([\w/]+\.(?:py|js))`", PAGE):
        assert (ROOT / name).is_file() or (ROOT / folder / name).is_file(), name
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    drawn = ElementTree.fromstring(FIGURE.read_text()).itertext()
    for name in re.findall(r"[\w/]+\.(?:py|js)\b", " ".join(drawn)):
        found = [root / name for root in (ROOT, ROOT / "recordings", ROOT / folder, ROOT / "app/room")]
        assert any(path.is_file() for path in found), name
