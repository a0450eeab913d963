"""What our sources do not do, so that no input can ever reach it: read from the sources, nothing is run."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [file for file in (ROOT / "app/static").rglob("*.js") if "vendor" not in file.parts]
TEMPLATES = sorted((ROOT / "app/templates").rglob("*.html"))
RISKY_MODULES = {"pickle", "marshal", "shelve", "yaml", "xml", "lxml", "dill", "jsonpickle", "random"}
"""They run what they read, fetch what it names, or can be guessed."""
RISKY_CALLS = {"eval", "exec", "os.system", "os.popen", "hashlib.md5", "hashlib.sha1", "md5", "sha1"}
CIPHERS = {
    "cryptography.exceptions": {"InvalidTag", "InvalidSignature", "UnsupportedAlgorithm"},
    "cryptography.hazmat.primitives.ciphers.aead": {"AESGCM"},
    "cryptography.hazmat.primitives.asymmetric.ed25519": {"Ed25519PrivateKey", "Ed25519PublicKey"},
    "cryptography.hazmat.primitives.kdf.hkdf": {"HKDF"},
    "cryptography.hazmat.primitives.hashes": {"SHA256"},
}
"""Whatever of the cryptography library we use; docs/security.md says what for."""
SHA1_FOR_TURN = "app/room/ice.py"  # as coturn wants it, and only as an HMAC
MADE_SQL = {
    "app/database.py": "names of our own functions and arguments",
    "app/privacy/keeping/retention.py": "names of our own functions",
    "app/room/rows.py": "an id that has been read as a UUID",
}


@cache
def sources() -> dict[str, str]:
    files = [file for folder in ("app", "recordings", "workers") for file in sorted((ROOT / folder).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def found(source: str) -> set[str]:
    """What a source does that it should not."""
    risky: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                risky |= {name.name for name in names} & RISKY_MODULES
                risky |= {name.name for name in names if name.name.startswith("cryptography")}
            case ast.ImportFrom(module=str(module), names=names):
                risky |= {module} & RISKY_MODULES | {module.split(".")[0]} & RISKY_MODULES
                if module.startswith("cryptography"):
                    risky |= {name.name for name in names} - CIPHERS.get(module, set())
            case ast.Call(func=function, keywords=keywords):
                said = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
                if ast.unparse(function) in RISKY_CALLS and said.get("usedforsecurity") != "False":
                    risky.add(ast.unparse(function))
                if said.get("shell", "False") != "False":
                    risky.add("shell")
                if "False" in (said.get("verify"), said.get("validate_certs"), said.get("check_hostname")):
                    risky.add("any certificate")
            case ast.Attribute(attr="CERT_NONE" | "_create_unverified_context" | "check_hostname"):
                risky.add("any certificate")
    return risky


def test_nothing_runs_what_was_typed_trusts_any_certificate_or_uses_broken_cryptography() -> None:
    assert {place: risky for place, source in sources().items() if (risky := found(source))} == {}


def test_sha_1_is_used_where_turn_wants_it_and_nowhere_else() -> None:
    assert [place for place, source in sources().items() if re.search(r"\bsha1\b", source)] == [SHA1_FOR_TURN]


def test_sql_is_made_of_fixed_words_but_for_a_few_known_places() -> None:
    made = {
        f"{place}:{node.lineno}"
        for place, source in sources().items()
        if re.search(r"^from sqlalchemy import .*\btext\b", source, re.MULTILINE)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "text" and node.args
        if any(isinstance(part, ast.FormattedValue | ast.Mod | ast.Call) for part in ast.walk(node.args[0]))
    }
    unknown = {one for one in made if not one.startswith(tuple(MADE_SQL))}
    assert unknown == set()
    assert {known for known in MADE_SQL if not any(one.startswith(known) for one in made)} == set()


@pytest.mark.parametrize(
    ("source", "risky"),
    [
        ("eval(x)", {"eval"}),
        ("import pickle", {"pickle"}),
        ("from xml.etree import ElementTree", {"xml"}),
        ("subprocess.run(x, shell=True)", {"shell"}),
        ("hashlib.md5(x)", {"hashlib.md5"}),
        ("hashlib.md5(x, usedforsecurity=False)", set()),
        ("from cryptography.hazmat.primitives.ciphers.modes import ECB", {"ECB"}),
        ("hashlib.sha256(x)", set()),
        ("import random", {"random"}),
        ("httpx.get(x, verify=False)", {"any certificate"}),
        ("context.verify_mode = ssl.CERT_NONE", {"any certificate"}),
    ],
)
def test_this_check_sees_it(source: str, risky: set[str]) -> None:
    assert found(source) == risky


RISKY_SCRIPT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment"
    r"|postMessage|\"message\"\s*,|localStorage|indexedDB|document\.cookie|__proto__"
)


def test_scripts_write_text_never_markup_and_keep_nothing_in_the_browser() -> None:
    assert len(SCRIPTS) > 10
    assert {file.name: hit[0] for file in SCRIPTS if (hit := RISKY_SCRIPT.search(file.read_text()))} == {}
    keeping = [file.name for file in SCRIPTS if "sessionStorage" in file.read_text()]
    assert keeping == ["comeback.js"], "that a person was in the room and what was muted, until the tab is closed"


def test_templates_mark_only_their_own_words_as_safe_and_hold_no_script() -> None:
    """Data for a page's modules stands in JSON, escaped for where it stands."""
    assert len(TEMPLATES) > 30
    for file in TEMPLATES:
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"[^'\"\s]\s*\|\s*safe\b", source), file
        source = re.sub(r'<script type="application/json"[^>]*>{{ [^}]* \| tojson }}</script>', "", source)
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*[^<\s]|\son[a-z]+=[\"']|javascript:", source), file
