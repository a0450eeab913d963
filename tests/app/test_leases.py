"""What a media process holds of permission: how long, which of two, and for which tracks."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.room.leases import FORSAKEN_SECONDS, Leases, granted
from app.room.node_messages import LEASE_SECONDS, Permission
from recordings.model import TrackId, TrackKind, TrackRef
from tests.recordings.scene import recording_ref

SESSION, RECORDING, TAKE = UUID(int=2), UUID(int=4), 3
VOICE = TrackRef(of=recording_ref(), track=TrackId(UUID(int=7)), kind=TrackKind.VOICE)
CAMERA = TrackRef(of=recording_ref(), track=TrackId(UUID(int=8)), kind=TrackKind.CAMERA)


def said(as_of: float = 1.0, *, live: bool = True, take: int = TAKE, track: UUID = VOICE.track) -> Permission:
    """The voice alone may be captured."""
    return Permission(
        as_of=as_of,
        live=live,
        streams={RECORDING: {TrackKind.VOICE: track}},
        takes={RECORDING: take},
        inside=[],
    )


def test_a_permission_holds_for_its_lease_and_no_longer() -> None:
    leases = Leases()
    assert leases.permission(SESSION, 100.0) is None
    assert leases.renew(SESSION, said(), 100.0)
    assert leases.permission(SESSION, 100.0 + LEASE_SECONDS) == said()
    assert leases.permission(SESSION, 100.1 + LEASE_SECONDS) is None
    assert leases.permission(UUID(int=99), 100.0) is None


def test_an_older_permission_neither_replaces_nor_prolongs_a_newer_one() -> None:
    leases = Leases()
    leases.renew(SESSION, said(2.0), 100.0)
    assert not leases.renew(SESSION, said(1.0), 101.0)
    assert leases.permission(SESSION, 101.0) == said(2.0)
    assert leases.permission(SESSION, 100.1 + LEASE_SECONDS) is None
    assert leases.renew(SESSION, said(2.0), 200.0), "the same once more"


def test_a_session_without_news_is_forsaken_once() -> None:
    leases = Leases()
    leases.renew(SESSION, said(), 100.0)
    assert leases.take_forsaken(100.0 + FORSAKEN_SECONDS) == []
    assert leases.take_forsaken(100.1 + FORSAKEN_SECONDS) == [SESSION]
    assert leases.take_forsaken(100.2 + FORSAKEN_SECONDS) == []


@pytest.mark.parametrize(
    "permission, kinds",
    [
        (said(), {TrackKind.VOICE}),
        (said(live=False), set()),
        (said(take=TAKE - 1), set()),
        (said(take=TAKE + 1), set()),
        (said(track=UUID(int=99)), set()),
        (said(track=CAMERA.track), set()),
        (Permission(as_of=1.0, live=True, streams={}, takes={RECORDING: TAKE}, inside=[]), set()),
    ],
)
def test_only_the_very_take_and_tracks_that_are_named_may_be_captured(
    permission: Permission, kinds: set[TrackKind]
) -> None:
    tracks = {one.kind: one for one in (VOICE, CAMERA)}
    assert granted(permission, recording=RECORDING, take=TAKE, tracks=tracks) == kinds
