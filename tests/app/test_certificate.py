"""Certificates: what was signed verifies anywhere, what was changed is found, what is no certificate is said so."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.privacy.erasing.certificate import (
    CertificateFacts,
    ErasedObject,
    certificate_file,
    document,
    key_fingerprint,
    public_bytes,
    sign,
    signing_key,
    verify_document,
    verify_file,
)
from app.privacy.erasing.receipts import read_receipt_token, receipt_token
from recordings.model import AccountId

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ID = UUID("00000000-0000-4000-8000-000000000001")


def facts(**instead: Any) -> CertificateFacts:
    usual: dict[str, Any] = {
        "certificate": ID,
        "erasure": ID,
        "receipt": "E-20261122-7KQ2MB",
        "installation": "Junier http://localhost:8000",
        "account": ID,
        "person": ID,
        "recordings": None,
        "kinds": None,
        "reason": "request",
        "instruction": "request of the participant",
        "asked_by": f"participant:{ID}",
        "asked_at": datetime(2026, 11, 22, 10, 0, 5, 999, tzinfo=UTC),
        "issued_at": datetime(2026, 11, 22, 10, 0, 9, tzinfo=UTC),
        "backups_until": date(2026, 12, 27),
        "objects": [ErasedObject(key="a/b/c/d", version="v2", bytes=41), ErasedObject(key="a/b", version="", bytes=1)],
        "keys": ["a/b"],
        "rows": {"recordings": 2},
        "spooled": 0,
        "verified": ["1 keys were tried again"],
        "reasons": [],
    }
    return CertificateFacts(**(usual | instead))


def saved(folder: Path, content: dict[str, Any], key: Ed25519PrivateKey = KEY) -> Path:
    path = folder / "certificate.json"
    path.write_bytes(certificate_file(content, sign(content, key), public_bytes(key)))
    return path


def test_a_certificate_counts_what_it_lists_and_verifies(tmp_path: Path) -> None:
    content = document(facts())
    assert content["state"] == "complete"
    assert content["erased"] == {"objects": 2, "bytes": 42, "keys": 1, "spooled_pieces": 0, "rows": {"recordings": 2}}
    assert [thing["key"] for thing in content["objects"]] == ["a/b", "a/b/c/d"]
    verdict = verify_file(saved(tmp_path, content))
    assert verdict.valid and "nothing was left" in verdict.sentence
    assert verdict.fingerprint == key_fingerprint(public_bytes(KEY))


def test_reasons_make_it_partial_and_are_told(tmp_path: Path) -> None:
    verdict = verify_file(saved(tmp_path, document(facts(reasons=["The store refused"], verified=[]))))
    assert verdict.valid and "Partial" in verdict.sentence and "The store refused" in verdict.sentence


def leaves(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(content, dict):
        return [leaf for name, value in content.items() for leaf in leaves(value, (*path, name))]
    if isinstance(content, list):
        return [leaf for number, value in enumerate(content) for leaf in leaves(value, (*path, number))]
    return [path]


CONTENT = document(facts(reasons=["The store refused"]))


@pytest.mark.parametrize("path", leaves(CONTENT), ids=str)
def test_any_changed_value_is_found(path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(CONTENT)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    old = place[path[-1]]
    place[path[-1]] = old + 1 if isinstance(old, int) else f"{old}x"
    assert verify_document(CONTENT, sign(CONTENT, KEY), public_bytes(KEY))
    assert not verify_document(changed, sign(CONTENT, KEY), public_bytes(KEY))


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_a_missing_or_added_part_is_found(name: str) -> None:
    less = {key: value for key, value in CONTENT.items() if key != name}
    more = CONTENT | {f"{name}2": "x"}
    signature, public = sign(CONTENT, KEY), public_bytes(KEY)
    assert not verify_document(less, signature, public) and not verify_document(more, signature, public)


def test_every_flipped_bit_of_the_signature_is_found() -> None:
    signature, public = sign(CONTENT, KEY), public_bytes(KEY)
    for bit in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify_document(CONTENT, bytes(changed), public)


def test_a_tampered_file_says_so_and_spelling_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path, CONTENT)
    parts = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(parts.items())), indent=None))
    assert verify_file(path).valid
    parts["document"]["state"] = "complete"
    path.write_text(json.dumps(parts))
    verdict = verify_file(path)
    assert not verdict.valid and "changed" in verdict.sentence


def test_another_platforms_key_is_found_when_the_fingerprint_is_known(tmp_path: Path) -> None:
    path = saved(tmp_path, CONTENT, Ed25519PrivateKey.generate())
    assert verify_file(path).valid
    assert not verify_file(path, fingerprint=key_fingerprint(public_bytes(KEY))).valid
    honest = saved(tmp_path, CONTENT)
    assert verify_file(honest, fingerprint=key_fingerprint(public_bytes(KEY)).upper()).valid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"document": 1}',
        '{"document": {"format": "else"}, "signature": "", "public_key": ""}',
        '{"document": {"format": "junier erasure certificate 1"}, "signature": "!", "public_key": "AA=="}',
        '{"document": {"format": "junier erasure certificate 1", "x": 1.5}, "signature": "AA==", "public_key": "AA=="}',
        '{"document": {"format": "junier erasure certificate 1", "x": 1, "x": 2}, "signature": "", "public_key": ""}',
        "[" * 100_000,
        "\x00\xff",
    ],
)
def test_what_is_no_certificate_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    verdict = verify_file(path)
    assert not verdict.valid and verdict.sentence


def test_a_file_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    assert "cannot be read" in verify_file(tmp_path / "nothing").sentence


def test_it_verifies_in_another_program_without_database_or_network(tmp_path: Path) -> None:
    path = saved(tmp_path, CONTENT)
    program = (
        "import pathlib, socket, sys\n"
        "socket.socket = None\n"
        "from app.privacy.erasing.certificate import verify_file\n"
        "sys.exit(0 if verify_file(pathlib.Path(sys.argv[1])).valid else 3)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0


def test_the_signing_key_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    first, second = signing_key(tmp_path / "data"), signing_key(tmp_path / "data")
    assert public_bytes(first) == public_bytes(second)
    assert (tmp_path / "data" / "certificate.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["certificate.key"]


def test_a_receipt_link_opens_its_erasure_and_no_neighbour() -> None:
    token = receipt_token(KEY, AccountId(ID), ID)
    assert read_receipt_token(KEY, token) == (ID, ID)
    assert receipt_token(KEY, AccountId(ID), ID) == token
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place in range(0, len(token) - 1, 3):
        for letter in alphabet[::7]:
            if letter != token[place]:
                assert read_receipt_token(KEY, token[:place] + letter + token[place + 1 :]) is None
    for junk in ("", "x", token[:-2], token + "AAAA", "ä", "../" * 10):
        assert read_receipt_token(KEY, junk) is None
    assert read_receipt_token(Ed25519PrivateKey.generate(), token) is None
