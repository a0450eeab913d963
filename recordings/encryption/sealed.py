"""Sealed messages: AES-256-GCM (NIST SP 800-38D), bound to their place by the associated data.

    message   version 0x01 | 12 random bytes, the nonce | ciphertext and 16 bytes of tag
    framed    u32 big-endian length | message | u32 length | message ...   (segments and journals)
    context   domain string ending in 0x00 | ids, 16 raw bytes each | numbers, fixed width

The context is never stored: whoever opens a message says where it was found, and a message that was
edited, cut, swapped or replayed elsewhere does not open. Nonces are random, so one key may seal
2**32 messages (SP 800-38D §8.3); at two chunks a second that is 68 years of one track.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recordings.model import AccountId, RecordingRef, TrackRef

KEY_BYTES = 32
SEAL_OVERHEAD = 29
FRAME_OVERHEAD = 4
_VERSION = b"\x01"
_NONCE_BYTES = 12
_LENGTH = struct.Struct(">I")


class SealBroken(Exception):
    """A sealed message does not open: it was changed, cut, moved or sealed with another key."""

    retry = False

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """One message, SEAL_OVERHEAD bytes longer than `plaintext`. key: 32 bytes."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, plaintext, _VERSION + context)


def unseal(key: bytes, message: bytes, context: bytes) -> bytes:
    """The plaintext of a message found at `context`. Raises SealBroken."""
    if len(message) < SEAL_OVERHEAD or message[:1] != _VERSION:
        raise SealBroken()
    nonce, sealed = message[1 : 1 + _NONCE_BYTES], message[1 + _NONCE_BYTES :]
    try:
        return _cipher(key).decrypt(nonce, sealed, _VERSION + context)
    except InvalidTag as refused:
        raise SealBroken() from refused


def chunk_context(track: TrackRef, take: int, index: int) -> bytes:
    """Place of chunk `index` of a take; counted through all segments of that take."""
    return b"junier chunk 1\0" + _track_ids(track) + struct.pack(">II", take, index)


def journal_context(track: TrackRef, take: int, index: int) -> bytes:
    """Place of record `index` in the journal of a take."""
    return b"junier journal 1\0" + _track_ids(track) + struct.pack(">II", take, index)


def index_context(ref: RecordingRef, generation: int) -> bytes:
    """Place of a recording's index."""
    return b"junier index 1\0" + _recording_ids(ref) + struct.pack(">I", generation)


def object_context(account: AccountId, name: str) -> bytes:
    """Place of anything else an account keeps sealed; `name` says which."""
    return b"junier object 1\0" + account.bytes + name.encode()


def frame_message(message: bytes) -> bytes:
    """`message` with its length in front, ready to be appended to a segment or journal."""
    return _LENGTH.pack(len(message)) + message


@dataclass(frozen=True, slots=True)
class Framed:
    """The whole messages at the start of some bytes; iterating gives (offset, message).

    offset: where the message itself begins, after its length, so that
    `data[offset : offset + len(message)] == message`.
    whole_bytes: length of the part that holds whole messages; torn: something follows it.
    """

    messages: tuple[tuple[int, bytes], ...]
    whole_bytes: int
    torn: bool

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return iter(self.messages)


def frame_messages(data: bytes) -> Framed:
    """Take framed bytes apart; a tail that is not a whole message (a write cut by a crash, or the
    zeros a file system leaves after power loss) ends the list and is told as `torn`."""
    messages: list[tuple[int, bytes]] = []
    at = 0
    while at + FRAME_OVERHEAD <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        start, end = at + FRAME_OVERHEAD, at + FRAME_OVERHEAD + length
        if length < SEAL_OVERHEAD or end > len(data):
            break
        messages.append((start, data[start:end]))
        at = end
    return Framed(tuple(messages), at, torn=at < len(data))


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:  # AESGCM would also take a 128-bit key
        raise ValueError("a key has 32 bytes")
    return AESGCM(key)


def _recording_ids(ref: RecordingRef) -> bytes:
    return b"".join(part.bytes for part in (ref.account, ref.session, ref.person, ref.recording))


def _track_ids(track: TrackRef) -> bytes:
    return _recording_ids(track.of) + track.track.bytes
