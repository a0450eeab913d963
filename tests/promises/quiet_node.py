"""The media process at its port, without media: what tests of promises put in its place."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.room.node_client import NodeClient
from app.room.node_messages import EraseDone, StreamMade


class QuietNode(NodeClient):
    """The media process at its port: takes everything and has nothing in its spool."""

    def __init__(self) -> None:
        self.published: list[Any] = []
        self.permissions: list[Any] = []
        self.erased: list[str] = []

    async def publish(self, url: str, ask: Any) -> StreamMade:
        self.published.append(ask)
        return StreamMade(resource=ask.resource, sdp="v=0\r\n")

    async def permit(self, url: str, session: UUID, permission: Any) -> None:
        self.permissions.append(permission)

    async def erase(self, url: str, prefix: str) -> EraseDone:
        self.erased.append(prefix)
        return EraseDone(streams=0, pieces=0)

    async def end(self, url: str, resource: str) -> None:
        """Ended already."""

    async def end_view(self, url: str, view: str, viewer: UUID) -> None:
        """Ended already."""
