"""The two doubles of the consent tests, both at ports: a stream's network, and web's way to the media process."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from app.room import peer
from app.room.node_client import NodeClient, NodeUnreachable
from app.room.node_messages import EraseDone, Permission, StreamAsk, StreamMade
from app.room.node_rooms import Rooms
from recordings.capture.recorder import StreamRecorder
from recordings.capture.traffic import Traffic
from recordings.model import Frame, TrackKind


class Line:
    """One connection, as app.room.peer.Publication is used: what is sent reaches the recorder at once, or waits for
    lost packets like frames in the reorder buffer."""

    def __init__(self, kinds: frozenset[TrackKind], sink: StreamRecorder) -> None:
        self.kinds, self.sink, self.state = kinds, sink, peer.PeerState.CONNECTED
        self.traffic, self.answer_sdp = Traffic(), "v=0\r\n"
        self.on_closed: Callable[[peer.Ended], None] | None = None
        self._waiting: list[Frame] = []

    def arrive(self, frame: Frame, *, late: bool) -> None:
        self._waiting.append(frame)
        if not late:
            self.release(self.kinds)

    def release(self, kinds: frozenset[TrackKind]) -> None:
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            if frame.kind in kinds:
                self.sink.frame(frame)
            else:
                self._waiting.append(frame)

    def request_key_frame(self) -> None:
        """Every frame here is one."""

    async def close(self) -> None:
        self.end(peer.Ended.BY_US)

    def end(self, why: peer.Ended) -> None:
        if self.state is not peer.PeerState.CLOSED:
            self.release(self.kinds)
            self.state = peer.PeerState.CLOSED
            if self.on_closed:
                self.on_closed(why)


class Wire(NodeClient):
    """Straight into the rooms of the same event loop. cut: nothing gets through; pushed: every permission that did."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms, self.cut = rooms, False
        self.pushed: list[tuple[UUID, Permission]] = []

    async def publish(self, url: str, ask: StreamAsk) -> StreamMade:
        return await self.rooms.publish(ask)

    async def end(self, url: str, resource: str) -> None:
        await self.rooms.end(resource)

    async def permit(self, url: str, session: UUID, permission: Permission) -> None:
        if self.cut:
            raise NodeUnreachable
        self.rooms.permit(session, permission)
        self.pushed.append((session, permission))

    async def erase(self, url: str, prefix: str) -> EraseDone:
        return await self.rooms.erase(prefix)

    async def close(self) -> None:
        """There is nothing to close."""
