"""Keys are made of ids alone, erase together what belongs together, and sort by time."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.encryption.keystore import KeyPath
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
from recordings.storage import layout

RECORDING = RecordingRef(
    account=AccountId(UUID(int=1)),
    session=SessionId(UUID(int=2)),
    person=PersonId(UUID(int=3)),
    recording=RecordingId(UUID(int=4)),
    kind=StreamKind.SCREEN,
)
TRACK = TrackRef(of=RECORDING, track=TrackId(UUID(int=5)), kind=TrackKind.SCREEN)
ZERO = "00000000-0000-0000-0000-00000000000"
PERSON = f"{ZERO}1/{ZERO}2/{ZERO}3/"


def test_the_tree_is_the_one_written_down() -> None:
    transcript = UUID(int=6)
    assert layout.person_prefix(RECORDING.account, RECORDING.session, RECORDING.person) == PERSON
    assert layout.recording_prefix(RECORDING) == f"{PERSON}{ZERO}4/"
    assert layout.track_prefix(TRACK) == f"{PERSON}{ZERO}4/{ZERO}5/"
    assert layout.segments_prefix(TRACK) == f"{PERSON}{ZERO}4/{ZERO}5/s/"
    assert layout.segment_key(TRACK, 1, 23) == f"{PERSON}{ZERO}4/{ZERO}5/s/00001-000023"
    assert layout.journals_prefix(TRACK) == f"{PERSON}{ZERO}4/{ZERO}5/j/"
    assert layout.journal_key(TRACK, 12) == f"{PERSON}{ZERO}4/{ZERO}5/j/00012"
    assert layout.index_key(RECORDING, 3) == f"{PERSON}{ZERO}4/index-00003"
    assert layout.transcript_key(RECORDING, transcript) == f"{PERSON}{ZERO}4/t/{ZERO}6"


def test_every_stored_thing_has_its_data_key_under_the_person() -> None:
    account, person = RECORDING.account, RECORDING.person
    assert layout.track_key_path(TRACK) == KeyPath(account, person, f"track-{ZERO}5")
    assert layout.index_key_path(RECORDING) == KeyPath(account, person, f"index-{ZERO}4")
    assert layout.transcript_key_path(RECORDING, UUID(int=6)) == KeyPath(account, person, f"transcript-{ZERO}6")
    assert layout.track_key_path(TRACK).parent == KeyPath(account, person)
    assert KeyPath(account, person).parent == KeyPath(account)
    assert KeyPath(account, None, "x").parent == KeyPath(account)
    assert KeyPath(account).parent is None


def test_a_prefix_of_one_never_covers_another() -> None:
    other_track = replace(TRACK, track=TrackId(UUID(int=55)))
    other_person = replace(RECORDING, person=PersonId(UUID(int=33)))
    assert not layout.segment_key(other_track, 1, 1).startswith(layout.track_prefix(TRACK))
    assert not layout.index_key(RECORDING, 1).startswith(layout.track_prefix(TRACK))
    person = layout.person_prefix(RECORDING.account, RECORDING.session, RECORDING.person)
    assert not layout.recording_prefix(other_person).startswith(person)
    assert layout.transcript_key(RECORDING, UUID(int=6)).startswith(person)


@given(
    one=st.tuples(st.integers(1, 99_999), st.integers(0, 999_999)),
    two=st.tuples(st.integers(1, 99_999), st.integers(0, 999_999)),
)
def test_key_order_is_time_order_and_numbers_come_back(one: tuple[int, int], two: tuple[int, int]) -> None:
    first, second = layout.segment_key(TRACK, *one), layout.segment_key(TRACK, *two)
    assert (first < second) == (one < two)
    assert layout.take_and_segment(first) == one
    assert layout.take_of_journal(layout.journal_key(TRACK, one[0])) == one[0]
    assert layout.checked_key(first) == first


def test_a_segment_and_the_journal_of_its_take_tell_of_the_same_take_and_track() -> None:
    segment, journal = layout.segment_key(TRACK, 12, 3), layout.journal_key(TRACK, 12)
    assert (layout.is_segment(segment), layout.is_segment(journal)) == (True, False)
    assert layout.track_of(segment) == layout.track_of(journal) == layout.track_prefix(TRACK)
    assert layout.track_and_take(segment) == layout.track_and_take(journal) == f"{layout.track_prefix(TRACK)}00012"
    assert layout.track_and_take(layout.journal_key(TRACK, 13)) != layout.track_and_take(segment)


def test_numbers_are_read_only_from_the_right_kind_of_key() -> None:
    with pytest.raises(ValueError):
        layout.take_of_journal(layout.segment_key(TRACK, 1, 1))
    with pytest.raises(ValueError):
        layout.take_and_segment(layout.journal_key(TRACK, 1))
    with pytest.raises(ValueError):
        layout.take_and_segment(layout.segment_key(TRACK, 1, 1) + "0")


def test_keys_are_made_of_ids_and_numbers_alone() -> None:
    word = "|".join(("index", "s", "j", "t"))
    allowed = re.compile(rf"({word}|[0-9a-f-]{{36}}|[0-9]+)([/-]({word}|[0-9a-f-]{{36}}|[0-9]+))*")
    for key in (layout.segment_key(TRACK, 1, 2), layout.journal_key(TRACK, 1), layout.index_key(RECORDING, 1)):
        assert allowed.fullmatch(key)


@given(text=st.text(max_size=40))
def test_a_key_that_passes_stays_inside_any_folder(text: str) -> None:
    try:
        key = layout.checked_key(text)
    except ValueError:
        return
    assert key.isascii() and not key.startswith("/")
    assert all(step and not step.startswith(".") for step in key.split("/"))
