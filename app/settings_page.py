"""`python -m app.settings_page` writes docs/operators/settings.md from the settings themselves."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from app.settings import Settings

PAGE = Path(__file__).parents[1] / "docs/operators/settings.md"
START = """# Settings

Every setting is an environment variable, read once at start; nothing else is read. A value that cannot be right stops
the start with a sentence that names the variable. `junier doctor` looks at what they lead to.

Written by `python -m app.settings_page` from `app/settings.py`.
"""
HEADINGS = {  # the first setting of each part
    "mode": "The installation",
    "data_dir": "This machine's folder and the database",
    "keys_dir": "Keys",
    "object_store": "Where recordings are kept",
    "mail": "Mail",
    "speech_model": "Transcription",
    "node_name": "Media and the room",
    "worker_in_web": "Workers",
    "metrics_port": "Monitoring",
}


def text() -> str:
    """The whole page. A variable without explanation is a fault of ours and raises KeyError."""
    lines = [START.rstrip()]
    for field in fields(Settings):
        if field.name in HEADINGS:
            lines += ["", f"## {HEADINGS[field.name]}", "", "| variable | default | what it does |", "|---|---|---|"]
        lines.append(f"| `{field.metadata['variable']}` | {_shown(field.default)} | {field.metadata['text']} |")
    return "\n".join(lines) + "\n"


def _shown(default: object) -> str:
    value = str(default).lower() if isinstance(default, bool) else str(default or "")
    return f"`{value}`" if value else "empty"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text())
    print(f"Written: {PAGE}")
