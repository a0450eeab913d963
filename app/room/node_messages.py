"""What web and media say to each other on the internal HTTP API (node_api.py, node_client.py): JSON, msgspec structs.

    POST   /streams                         StreamAsk   -> 201 StreamMade
    DELETE /streams/{resource}                          -> 204
    POST   /streams/{resource}/views        ViewAsk     -> 201 ViewMade
    DELETE /views/{view}?viewer=…                       -> 204
    PUT    /sessions/{session}/permission   Permission  -> 204
    GET    /sessions/{session}                          -> SessionFacts
    POST   /erase                           EraseAsk    -> EraseDone
    GET    /health                                      -> Health

Every request carries `Authorization: Bearer <node secret>`; every refusal is a Problem.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from app.room.health import Why, Word
from recordings.model import (
    STREAM_TRACKS,
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

LEASE_SECONDS = 2.0
"""Permission older than this permits nothing."""
PUSH_SECONDS = 0.5
"""How often permission is pushed while a room is live."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class TrackAsk(_Message, frozen=True, kw_only=True):
    """A track that this take may write, and the kind it carries."""

    kind: TrackKind
    track: UUID


class StreamAsk(_Message, frozen=True, kw_only=True):
    """Publish a stream. kinds: what the offer may contain; resource: the take's unguessable name."""

    account: UUID
    session: UUID
    person: UUID
    recording: UUID
    stream: StreamKind
    take: int
    resource: str
    tracks: list[TrackAsk]
    kinds: list[TrackKind]
    sdp: str

    @property
    def recording_ref(self) -> RecordingRef:
        return RecordingRef(
            account=AccountId(self.account),
            session=SessionId(self.session),
            person=PersonId(self.person),
            recording=RecordingId(self.recording),
            kind=self.stream,
        )

    @property
    def track_refs(self) -> dict[TrackKind, TrackRef]:
        """Raises ValueError for a kind that does not belong to the stream."""
        if any(track.kind not in STREAM_TRACKS[self.stream] for track in self.tracks):
            raise ValueError("a track that does not belong to this stream")
        return {
            track.kind: TrackRef(of=self.recording_ref, track=TrackId(track.track), kind=track.kind)
            for track in self.tracks
        }


class StreamMade(_Message, frozen=True, kw_only=True):
    resource: str
    sdp: str


class ViewAsk(_Message, frozen=True, kw_only=True):
    """View a stream; only the same viewer may end the view. login: of a member, with which it ends."""

    sdp: str
    viewer: UUID
    login: UUID | None = None


class ViewMade(_Message, frozen=True, kw_only=True):
    view: str
    sdp: str


class Permission(_Message, frozen=True, kw_only=True):
    """What may be captured in a session now; whatever is not named is not permitted.

    as_of: the database's clock when the facts were read; an older one is ignored.
    streams: recording -> kind -> the track it may be written to. A track that has been closed is
    never named again, so a withdrawn consent that is given anew cannot reopen it.
    takes: recording -> its only take that may be captured, since one that was never committed has a number
    that is given again. inside: everybody who may be in the room; streams and views of others end.
    logins: of members, those that stand; views asked for with others end. None: not said.
    live False: the session is over and its streams end.
    """

    as_of: float
    live: bool
    streams: dict[UUID, dict[TrackKind, UUID]]
    takes: dict[UUID, int]
    inside: list[UUID]
    logins: list[UUID] | None = None
    why: str = ""


class TrackFacts(_Message, frozen=True, kw_only=True):
    """One line of a live stream. capturing: permitted, and a frame was kept a moment ago; bytes: sealed."""

    kind: TrackKind
    permitted: bool
    capturing: bool
    frames: int
    bytes: int
    fps: float


class HealthFacts(_Message, frozen=True, kw_only=True):
    """How well a stream arrives and is stored (health.py), over the last seconds. lost: share of packets that could not
    be repaired; fps: whole pictures that arrived; level: of the sound in dBov, None when it cannot be known;
    silent_s: for how long nothing has been heard from the microphone."""

    word: Word
    why: list[Why]
    bits_per_second: int
    lost: float
    fps: float
    level: int | None
    silent_s: int


class StreamFacts(_Message, frozen=True, kw_only=True):
    """A live stream. state: idle | waiting | recording | full | closed (capture.recorder.CaptureState);
    stored_up_to: UTC seconds up to which everything captured is in the object store; health: None from a node that
    is older than the web process."""

    recording: UUID
    take: int
    person: UUID
    stream: StreamKind
    connected: bool
    state: str
    tracks: list[TrackFacts]
    stored_up_to: float | None
    views: int
    health: HealthFacts | None = None


class SessionFacts(_Message, frozen=True, kw_only=True):
    """leased: permission is fresh; waiting_s: age of the oldest piece of the node not stored yet;
    failing: what the object store complains of, None when it answers; stored_up_to: of all its live streams, and of
    what still waits of those that have ended."""

    leased: bool
    waiting_s: float
    failing: str | None
    streams: list[StreamFacts]
    stored_up_to: float | None = None


class EraseAsk(_Message, frozen=True, kw_only=True):
    """Everything under this object prefix (of a person, a recording or a track) must go."""

    prefix: str


class EraseDone(_Message, frozen=True, kw_only=True):
    streams: int
    pieces: int


class Health(_Message, frozen=True, kw_only=True):
    """load: in streams, views included, of `capacity`; storing_trouble: what the object store complains of;
    without_room: streams that stopped for want of disk."""

    name: str
    streams: int
    load: float
    capacity: int
    spool_bytes: int
    waiting_s: float
    storing_trouble: str | None = None
    without_room: int = 0


class Problem(_Message, frozen=True, kw_only=True):
    """A refusal. reason: plain words that may be shown to people."""

    status: int
    reason: str
    retry_after_s: int | None = None
