"""Erasure certificates: what was erased, what was checked afterwards, signed so that nobody can improve it later.

    file   {"algorithm": …, "document": {…}, "public_key": base64url, "signature": base64url}

The signature is Ed25519 (RFC 8032) over the canonical form (RFC 8785) of `document`. Checking one
needs this module and the file, no server and no database.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "junier erasure certificate 1"
ACCOUNT_FORMAT = "junier account certificate 1"
ALGORITHM = "Ed25519 (RFC 8032) over canonical JSON (RFC 8785)"
KEY_FILE = "certificate.key"
MAX_FILE_BYTES = 50_000_000

Document = dict[str, Any]
"""JSON: strings, whole numbers, booleans, lists and objects of these."""


class NotACertificate(Exception):
    """This file is not an erasure certificate."""


@dataclass(frozen=True, kw_only=True)
class ErasedObject:
    """One thing the store held: key of random ids, version ("" where there are none), sealed bytes."""

    key: str
    version: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """All that a certificate says. recordings None: the whole person; responses: answers beside the recordings named;
    kinds None: whole recordings; notes: sessions of which the notes went along.

    recipients: how many outside the account had been given some of it and are told (GDPR Art. 19), never who, and none
    of whom the participant may not know yet.
    backups_until: the last day on which a backup made before can still be opened; what was erased stays sealed in it.
    verified: what was looked at again and found gone; reasons: what could not be verified, in plain
    words (then the certificate is partial)."""

    certificate: UUID
    erasure: UUID
    receipt: str
    installation: str
    account: UUID
    person: UUID
    recordings: Sequence[UUID] | None
    responses: Sequence[UUID] | None = None
    kinds: Sequence[str] | None
    notes: Sequence[UUID] | None = None
    reason: str
    instruction: str
    asked_by: str
    asked_at: datetime
    issued_at: datetime
    backups_until: date
    objects: Sequence[ErasedObject]
    keys: Sequence[str]
    rows: Mapping[str, int]
    spooled: int
    verified: Sequence[str]
    reasons: Sequence[str]
    recipients: int = 0

    @property
    def state(self) -> str:
        return "partial" if self.reasons else "complete"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What checking a file told: valid, the sentence for people, and who signed (fingerprint of the key)."""

    valid: bool
    sentence: str
    fingerprint: str = ""
    document: Document | None = None


def document(facts: CertificateFacts) -> Document:
    """The certificate as JSON. Ids, counts, times and technical reasons only: it outlives the person's data."""
    return {
        "format": FORMAT,
        "certificate": str(facts.certificate),
        "installation": facts.installation,
        "erasure": str(facts.erasure),
        "receipt": facts.receipt,
        "state": facts.state,
        "reason": facts.reason,
        "instruction": facts.instruction,
        "asked_by": facts.asked_by,
        "asked_at": written_time(facts.asked_at),
        "issued_at": written_time(facts.issued_at),
        "backups_until": facts.backups_until.isoformat(),
        "scope": {
            "account": str(facts.account),
            "person": str(facts.person),
            "recordings": None if facts.recordings is None else sorted(str(r) for r in facts.recordings),
            "responses": None if facts.responses is None else sorted(str(r) for r in facts.responses),
            "kinds": None if facts.kinds is None else sorted(facts.kinds),
            "notes": None if facts.notes is None else sorted(str(one) for one in facts.notes),
        },
        "erased": {
            "objects": len(facts.objects),
            "bytes": sum(thing.bytes for thing in facts.objects),
            "keys": len(facts.keys),
            "spooled_pieces": facts.spooled,
            "rows": dict(facts.rows),
        },
        "objects": [
            {
                "key": thing.key,
                "key_sha256": sha256(thing.key.encode()).hexdigest(),
                "version": thing.version,
                "bytes": thing.bytes,
            }
            for thing in sorted(facts.objects, key=lambda thing: (thing.key, thing.version))
        ],
        "keys": sorted(facts.keys),
        "recipients_to_tell": facts.recipients,
        "verified": list(facts.verified),
        "not_verified": list(facts.reasons),
    }


def sign(content: Document, key: Ed25519PrivateKey) -> bytes:
    """64 bytes of signature."""
    return key.sign(rfc8785.dumps(content))


def verify_document(content: Document, signature: bytes, public_key: bytes) -> bool:
    """True when exactly this content was signed with the key whose public half (32 bytes) is given."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, rfc8785.dumps(content))
    except (InvalidSignature, ValueError, rfc8785.CanonicalizationError):
        return False
    return True


def certificate_file(content: Document, signature: bytes, public_key: bytes) -> bytes:
    """The file people download; indented, since the signature does not depend on the spelling."""
    return json.dumps(
        {
            "algorithm": ALGORITHM,
            "document": content,
            "public_key": _encode(public_key),
            "signature": _encode(signature),
        },
        indent=2,
        ensure_ascii=False,
    ).encode()


def verify_file(path: Path, *, fingerprint: str | None = None) -> Verdict:
    """Check a downloaded certificate offline. `fingerprint`: of the key the platform is known by;
    without it the verdict says which key signed and leaves the comparison to the reader."""
    try:
        content, signature, public_key = _read(path)
    except NotACertificate as refused:
        return Verdict(valid=False, sentence=str(refused))
    signer = key_fingerprint(public_key)
    if not verify_document(content, signature, public_key):
        return Verdict(
            valid=False,
            sentence="The signature does not fit: this certificate was changed after it was issued.",
            fingerprint=signer,
        )
    if fingerprint is not None and fingerprint.replace(":", "").strip().lower() != signer:
        return Verdict(
            valid=False, sentence="It was signed with another key than the one you named.", fingerprint=signer
        )
    try:
        sentence = summary(content)
    except (KeyError, TypeError):  # signed by somebody else's key, and not what a certificate says
        return Verdict(valid=False, sentence=str(NotACertificate.__doc__), fingerprint=signer)
    return Verdict(valid=True, sentence=sentence, fingerprint=signer, document=content)


def summary(content: Document) -> str:
    """One sentence for people."""
    if content["format"] == ACCOUNT_FORMAT:
        return _account_summary(content)
    erased = content["erased"]
    counts = f"{erased['objects']} stored objects ({erased['bytes']} bytes) and {erased['keys']} keys"
    if content["state"] == "complete":
        return f"Valid. Complete: {counts} were erased and looked for again; nothing was left."
    return f"Valid. Partial: {counts} were erased, but this could not be verified: {'; '.join(content['not_verified'])}"


def _account_summary(content: Document) -> str:
    counts = f"{len(content['persons'])} certificates of persons and {len(content['members_removed'])} removed members"
    if content["state"] == "complete":
        return f"Valid. Complete: the account is closed, with {counts}, and its own key was destroyed."
    return f"Valid. Partial: the account is closed, with {counts}, but: {'; '.join(content['not_verified'])}"


def key_fingerprint(public_key: bytes) -> str:
    """SHA-256 of the public key in hex, as shown on the certificate page."""
    return sha256(public_key).hexdigest()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """The platform's key, made on first use (mode 0600). Safe when two processes start at once."""
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{KEY_FILE}.{os.getpid()}.{os.urandom(4).hex()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, Ed25519PrivateKey.generate().private_bytes_raw())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(fresh, path)  # whole or not at all, and never over a key that is already there
        except FileExistsError:
            pass
        fresh.unlink()
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def _read(path: Path) -> tuple[Document, bytes, bytes]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise NotACertificate("This file is too large for a certificate.")
        parts = json.loads(path.read_bytes(), object_pairs_hook=_no_repeats)
        content = parts["document"]
        if not isinstance(content, dict) or content["format"] not in (FORMAT, ACCOUNT_FORMAT):
            raise NotACertificate(NotACertificate.__doc__)
        return content, _decode(parts["signature"]), _decode(parts["public_key"])
    except OSError as error:
        raise NotACertificate(f"The file cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotACertificate(NotACertificate.__doc__) from error


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name written twice could show a reader something else than what was signed."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def written_time(moment: datetime) -> str:
    """UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
