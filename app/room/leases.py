"""Permission as a media process holds it: a lease for each session, which runs out by itself (pure: `now` comes in).

What was last pushed holds for LEASE_SECONDS; a session nobody pushes permission for is forsaken in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from app.room.node_messages import LEASE_SECONDS, Permission
from recordings.model import TrackKind, TrackRef

FORSAKEN_SECONDS = 60.0
"""Then its streams are ended, so that their takes are finished."""


@dataclass(frozen=True, slots=True)
class _Lease:
    permission: Permission
    at: float


class Leases:
    """Those of one media process. now: monotonic seconds."""

    def __init__(self) -> None:
        self._leases: dict[UUID, _Lease] = {}

    def renew(self, session: UUID, permission: Permission, now: float) -> bool:
        """False if a newer permission is known, which stays."""
        known = self._leases.get(session)
        if known is not None and permission.as_of < known.permission.as_of:
            return False
        self._leases[session] = _Lease(permission, now)
        return True

    def permission(self, session: UUID, now: float) -> Permission | None:
        """What holds at this moment; None without a lease, or with one that has run out."""
        lease = self._leases.get(session)
        return lease.permission if lease is not None and now - lease.at <= LEASE_SECONDS else None

    def take_forsaken(self, now: float) -> list[UUID]:
        """The sessions that nobody has pushed permission for; they are forgotten."""
        forsaken = [session for session, lease in self._leases.items() if now - lease.at > FORSAKEN_SECONDS]
        for session in forsaken:
            del self._leases[session]
        return forsaken


def granted(
    permission: Permission, *, recording: UUID, take: int, tracks: Mapping[TrackKind, TrackRef]
) -> frozenset[TrackKind]:
    """The kinds of this take that may be captured: only the very take and tracks that are named may be written."""
    is_current = permission.live and permission.takes.get(recording) == take
    named = permission.streams.get(recording, {}) if is_current else {}
    return frozenset(kind for kind, track in tracks.items() if named.get(kind) == track.track)
