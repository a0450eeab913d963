"""Sealed messages open only where they were sealed, whole and unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.encryption.sealed import (
    FRAME_OVERHEAD,
    SEAL_OVERHEAD,
    SealBroken,
    chunk_context,
    frame_message,
    frame_messages,
    index_context,
    journal_context,
    object_context,
    seal,
    unseal,
)
from recordings.model import (
    AccountId,
    PersonId,
    RecordingId,
    RecordingRef,
    SessionId,
    StreamKind,
    TrackId,
    TrackKind,
    TrackRef,
)

KEY = bytes(range(32))
RECORDING = RecordingRef(
    account=AccountId(uuid4()),
    session=SessionId(uuid4()),
    person=PersonId(uuid4()),
    recording=RecordingId(uuid4()),
    kind=StreamKind.CAMERA,
)
TRACK = TrackRef(of=RECORDING, track=TrackId(uuid4()), kind=TrackKind.CAMERA)


@given(plaintext=st.binary(max_size=300), context=st.binary(max_size=80))
def test_a_message_opens_to_what_was_sealed(plaintext: bytes, context: bytes) -> None:
    message = seal(KEY, plaintext, context)
    assert len(message) == len(plaintext) + SEAL_OVERHEAD
    assert unseal(KEY, message, context) == plaintext


@given(plaintext=st.binary(max_size=60), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_message_with_one_bit_changed_anywhere_is_refused(plaintext: bytes, place: int, bit: int) -> None:
    message = bytearray(seal(KEY, plaintext, b"here"))
    message[place % len(message)] ^= 1 << bit
    with pytest.raises(SealBroken, match="does not open"):
        unseal(KEY, bytes(message), b"here")


@given(plaintext=st.binary(max_size=60), cut=st.integers(0, 10_000), more=st.binary(min_size=1, max_size=20))
def test_a_message_cut_or_lengthened_is_refused(plaintext: bytes, cut: int, more: bytes) -> None:
    message = seal(KEY, plaintext, b"here")
    for changed in (message[: cut % len(message)], message[1 + cut % len(message) :], message + more):
        with pytest.raises(SealBroken):
            unseal(KEY, changed, b"here")


def test_the_same_plaintext_never_seals_to_the_same_message() -> None:
    messages = {seal(KEY, b"silence", b"here") for _ in range(200)}
    assert len({message[1:13] for message in messages}) == 200


def test_another_key_is_refused() -> None:
    with pytest.raises(SealBroken):
        unseal(bytes(32), seal(KEY, b"x", b"here"), b"here")


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_keys_of_other_lengths_are_a_mistake(length: int) -> None:
    with pytest.raises(ValueError):
        seal(bytes(length), b"x", b"")
    with pytest.raises(ValueError):
        unseal(bytes(length), seal(KEY, b"x", b""), b"")


def test_chunks_swapped_within_a_take_are_refused() -> None:
    first, second = (seal(KEY, text, chunk_context(TRACK, 1, index)) for index, text in enumerate((b"one", b"two")))
    with pytest.raises(SealBroken):
        unseal(KEY, second, chunk_context(TRACK, 1, 0))
    with pytest.raises(SealBroken):
        unseal(KEY, first, chunk_context(TRACK, 1, 1))


OTHERS: list[Callable[[], TrackRef]] = [
    lambda: replace(TRACK, track=TrackId(uuid4())),
    lambda: replace(TRACK, of=replace(RECORDING, recording=RecordingId(uuid4()))),
    lambda: replace(TRACK, of=replace(RECORDING, person=PersonId(uuid4()))),
    lambda: replace(TRACK, of=replace(RECORDING, session=SessionId(uuid4()))),
    lambda: replace(TRACK, of=replace(RECORDING, account=AccountId(uuid4()))),
]


@pytest.mark.parametrize("other", OTHERS, ids=["track", "recording", "person", "session", "account"])
def test_a_chunk_replayed_in_another_place_is_refused_even_under_the_same_key(other: Callable[[], TrackRef]) -> None:
    message = seal(KEY, b"x", chunk_context(TRACK, 1, 7))
    assert unseal(KEY, message, chunk_context(TRACK, 1, 7)) == b"x"
    with pytest.raises(SealBroken):
        unseal(KEY, message, chunk_context(other(), 1, 7))


def test_a_chunk_of_another_take_and_a_journal_record_in_its_place_are_refused() -> None:
    for context in (chunk_context(TRACK, 2, 7), journal_context(TRACK, 1, 7)):
        with pytest.raises(SealBroken):
            unseal(KEY, seal(KEY, b"x", context), chunk_context(TRACK, 1, 7))


@given(take=st.integers(0, 2**32 - 1), index=st.integers(0, 2**32 - 1), name=st.text(max_size=60))
def test_contexts_of_different_things_are_never_equal(take: int, index: int, name: str) -> None:
    contexts = [
        chunk_context(TRACK, take, index),
        journal_context(TRACK, take, index),
        index_context(RECORDING, take),
        object_context(RECORDING.account, name),
        object_context(RECORDING.account, f"{name}x"),
    ]
    assert len(set(contexts)) == len(contexts)
    if take != index:
        assert chunk_context(TRACK, take, index) != chunk_context(TRACK, index, take)


def test_an_older_index_does_not_pass_for_a_newer_one() -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, b"x", index_context(RECORDING, 1)), index_context(RECORDING, 2))


MESSAGES = st.lists(st.binary(max_size=50), max_size=6).map(lambda texts: [seal(KEY, text, b"") for text in texts])


@given(messages=MESSAGES)
def test_framed_messages_come_apart_where_they_say(messages: list[bytes]) -> None:
    data = b"".join(map(frame_message, messages))
    framed = frame_messages(data)
    assert [message for _, message in framed] == messages
    assert all(data[offset : offset + len(message)] == message for offset, message in framed)
    assert (framed.torn, framed.whole_bytes) == (False, len(data))
    assert len(data) == sum(len(message) + FRAME_OVERHEAD for message in messages)


@given(messages=MESSAGES.filter(bool), cut=st.integers(1, 10_000))
def test_a_torn_tail_is_left_out_and_told(messages: list[bytes], cut: int) -> None:
    whole = b"".join(map(frame_message, messages[:-1]))
    last = frame_message(messages[-1])
    framed = frame_messages(whole + last[: cut % (len(last) - 1) + 1])
    assert [message for _, message in framed] == messages[:-1]
    assert (framed.torn, framed.whole_bytes) == (True, len(whole))


@given(tail=st.binary(min_size=1, max_size=100))
def test_any_bytes_can_be_taken_apart(tail: bytes) -> None:
    framed = frame_messages(frame_message(seal(KEY, b"x", b"")) + tail)
    assert len(framed.messages) >= 1
    assert framed.torn or framed.whole_bytes == SEAL_OVERHEAD + FRAME_OVERHEAD + 1 + len(tail)


def test_zeros_left_by_a_power_cut_are_a_torn_tail() -> None:
    data = frame_message(seal(KEY, b"x", b""))
    framed = frame_messages(data + bytes(4096))
    assert (len(framed.messages), framed.torn, framed.whole_bytes) == (1, True, len(data))
