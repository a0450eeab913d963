"""The import rules of the architecture, read from the source: who may know whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = ("recordings", "app", "workers")
"""Each may import itself and those before it; only app/__main__.py may import workers."""

LEVELS: dict[str, int] = {
    "mail": 1,
    "accounts": 2,
    "studies": 3,
    "participants": 4,
    "sessions": 5,
    "invitations": 6,
    "library": 7,
    "room": 7,
    "privacy": 8,
    "support": 9,
    "demo": 9,
}
"""Folders of app; single files are level 0. A folder imports lower levels only, never its own level."""

ROOMS = {"records": 0, "erasing": 1, "rights": 2, "keeping": 3}
"""Folders of app.privacy: what is declared and written down, the one way out, what people may ask for, and the clocks.
The files beside them join the rooms: no room imports those."""

COMPOSITION = {
    "app/__main__.py",
    "app/main.py",
    "app/models.py",
    "app/doctor.py",
    "app/doctor_running.py",
    "app/parent.py",
    "app/account_commands.py",
    "app/breach_command.py",
    "app/command_line.py",
    "app/ledger_commands.py",
    "app/key_commands.py",
    "app/operator_commands.py",
    "app/restoring.py",
}
"""Files that put the parts together; no feature imports them."""

HOMES: dict[str, tuple[str, ...]] = {
    "boto3": ("recordings/storage/s3.py",),
    "botocore": ("recordings/storage/s3.py",),
    "aiortc": (
        "app/room/answering.py",
        "app/room/peer.py",
        "app/demo/",
        "bench/",
        "recordings/capture/aiortc_internals.py",
    ),
    "aioice": ("recordings/capture/aiortc_internals.py",),
    "pylibsrtp": ("recordings/capture/aiortc_internals.py",),
    "av": ("recordings/samples.py", "app/demo/", "bench/"),
    "faster_whisper": ("workers/whisper.py",),
    "mailtrap": ("workers/mailtrap.py",),
    "icalendar": ("app/invitations/calendar_file.py",),
    "aiosmtplib": ("workers/smtp.py",),
    "procrastinate": ("app/jobs.py", "workers/__main__.py", "workers/reap.py"),
    "alembic": ("app/migrations/",),
    "babel": ("app/language.py", "app/messages.py"),
    "psutil": ("app/embedded.py", "bench/"),
}
"""Each outside library has one home, so that replacing it is one file's matter."""

PURE = ("sqlalchemy", "litestar", "uvicorn", "httpx", "psycopg")
"""What recordings/ must not know: it has no SQL, no web, no accounts. One adapter keeps its keys in a database."""
KEYS_IN_A_DATABASE = "recordings/encryption/postgres"


def sources(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module, *, path: str) -> Iterator[str]:
    """Full names of imported modules; `from app import errors` gives app.errors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


ALL = [(path, sorted(set(imports(tree, path=path)))) for path, tree in sources("recordings", "app", "workers", "bench")]


def offenders(wrong) -> list[str]:
    return [f"{path} imports {name}" for path, names in ALL for name in names if wrong(path, name)]


def top(name: str) -> str:
    return name.split(".")[0]


def test_the_rules_see_the_sources():
    assert len(ALL) > 50
    assert ("app/jobs.py", True) in [(path, "procrastinate" in names) for path, names in ALL]


def test_layers_point_one_way():
    def wrong(path: str, name: str) -> bool:
        layer = path.split("/")[0]
        if layer not in LAYERS or top(name) not in (*LAYERS, "bench", "tests"):
            return False
        if path == "app/__main__.py" and top(name) == "workers":
            return False
        return top(name) not in LAYERS[: LAYERS.index(layer) + 1]

    assert offenders(wrong) == []


def test_recordings_know_neither_database_nor_web():
    def wrong(path: str, name: str) -> bool:
        adapter = top(name) == "psycopg" and path.startswith(KEYS_IN_A_DATABASE)
        return path.startswith("recordings/") and top(name) in PURE and not adapter

    assert offenders(wrong) == []


def test_nobody_imports_a_command():
    assert offenders(lambda path, name: name.endswith(".__main__") and path != "app/__main__.py") == []


def place(path_or_name: str) -> tuple[str, int]:
    """The folder of app and its level: ("mail", 1), or ("", 0) for a single file."""
    parts = path_or_name.removesuffix(".py").replace(".", "/").split("/")
    folder = parts[1] if len(parts) > 2 or (len(parts) == 2 and parts[1] in LEVELS) else ""
    return (folder, LEVELS[folder]) if folder in LEVELS else ("", 0)


def test_every_folder_of_app_has_a_level():
    folders = {p.name for p in (ROOT / "app").iterdir() if p.is_dir() and any(p.glob("*.py"))}
    assert folders == {*LEVELS, "migrations"}


def test_features_import_downwards_only():
    def wrong(path: str, name: str) -> bool:
        if not path.startswith("app/") or top(name) != "app" or path in COMPOSITION or "/migrations/" in path:
            return False
        (here, level), (there, lower) = place(path), place(name)
        return there not in ("", here) and lower >= level

    assert offenders(wrong) == []


def test_rooms_of_privacy_import_downwards_only():
    """Of the folder's own files a room knows none; whatever joins rooms stands beside them."""

    def wrong(path: str, name: str) -> bool:
        here, there = path.split("/"), name.split(".")
        if here[:2] != ["app", "privacy"] or there[:2] != ["app", "privacy"] or here[2] not in ROOMS or len(there) < 3:
            return False
        return there[2] != here[2] and (there[2] not in ROOMS or ROOMS[there[2]] >= ROOMS[here[2]])

    assert offenders(wrong) == []
    assert {path.parent.name for path in (ROOT / "app" / "privacy").glob("*/*.py")} == set(ROOMS)


def test_features_do_not_import_the_composition():
    def wrong(path: str, name: str) -> bool:
        modules = {file.removesuffix(".py").replace("/", ".") for file in COMPOSITION}
        named = modules & {name, name.rpartition(".")[0]}
        return bool(named) and path not in COMPOSITION and "/migrations/" not in path

    assert offenders(lambda path, name: path.startswith("app/") and wrong(path, name)) == []


@pytest.mark.parametrize("library", sorted(HOMES))
def test_each_outside_library_has_one_home(library):
    def wrong(path: str, name: str) -> bool:
        return top(name) == library and not any(
            path == h or (h[-1] == "/" and path.startswith(h)) for h in HOMES[library]
        )

    assert offenders(wrong) == []


def test_private_names_of_the_webrtc_libraries_have_one_home():
    def private(name: str) -> bool:
        return top(name) in ("aiortc", "aioice") and any(part.startswith("_") for part in name.split("."))

    assert offenders(lambda path, name: private(name) and path != "recordings/capture/aiortc_internals.py") == []


def test_nothing_else_on_the_media_path_reaches_into_what_is_not_its_own():
    """A private name of these libraries is reached through an object as well as by an import."""
    webrtc = {path for path, names in ALL if {top(name) for name in names} & {"aiortc", "aioice", "pylibsrtp"}}
    reached = []
    for path, tree in sources("recordings", "app", "bench"):
        if path not in webrtc and not path.startswith(("recordings/capture/", "app/room/")):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not re.match(r"_[^_]", node.attr):
                continue
            if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                reached.append(f"{path}: {ast.unparse(node)}")
    assert any(found.startswith("recordings/capture/aiortc_internals.py") for found in reached), "it is seen"
    assert [found for found in reached if not found.startswith("recordings/capture/aiortc_internals.py")] == []


def test_the_environment_is_read_in_settings_only():
    readers = []
    for path, tree in sources("recordings", "app", "workers"):
        for node in ast.walk(tree):
            reads = isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv")
            if reads and isinstance(node.value, ast.Name) and node.value.id == "os":
                readers.append(path)
    assert set(readers) == {"app/settings.py"}


def test_slow_libraries_are_imported_where_they_are_used():
    """`junier serve` is ready in seconds because nobody imports these at the top of a file it loads."""
    slow = {"boto3", "av", "alembic", "mailtrap", "faster_whisper"}
    early = []
    for path, tree in sources("recordings", "app"):
        if path.startswith(("app/demo/", "app/migrations/")):
            continue
        heads = ast.Module(body=[n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], type_ignores=[])
        early += [f"{path}: {name}" for name in imports(heads, path=path) if top(name) in slow]
    assert early == []
