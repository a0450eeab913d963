"""The web process's way to a media process: its internal HTTP API as functions (messages: node_messages.py)."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

import httpx
import msgspec
from litestar.params import Dependency

from app.errors import JunierError, Unavailable
from app.room.node_messages import (
    EraseAsk,
    EraseDone,
    Permission,
    Problem,
    SessionFacts,
    StreamAsk,
    StreamMade,
    ViewAsk,
    ViewMade,
)
from app.room.secret import node_secret
from app.settings import Settings

TIMEOUT_SECONDS = 5.0
_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class NodeUnreachable(Unavailable):
    """The media server cannot be reached just now. The room goes on by itself as soon as it is back."""


class NodeRefused(JunierError):
    """The media server refused this."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.status = problem.status
        self.retry_after_s = problem.retry_after_s


class NodeClient:
    """One for the web process; `url` names the media process. Close it at the end. Every method raises
    NodeUnreachable when there is no answer and NodeRefused with the media process's own words."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {node_secret(settings)}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,  # never through a proxy: the address is private
        )

    async def publish(self, url: str, ask: StreamAsk) -> StreamMade:
        return await self._ask(StreamMade, "POST", f"{url}/streams", ask)

    async def end(self, url: str, resource: str) -> None:
        await self._do("DELETE", f"{url}/streams/{resource}")

    async def view(self, url: str, resource: str, ask: ViewAsk) -> ViewMade:
        return await self._ask(ViewMade, "POST", f"{url}/streams/{resource}/views", ask)

    async def end_view(self, url: str, view: str, viewer: UUID) -> None:
        await self._do("DELETE", f"{url}/views/{view}?viewer={viewer}")

    async def permit(self, url: str, session: UUID, permission: Permission) -> None:
        await self._do("PUT", f"{url}/sessions/{session}/permission", permission)

    async def facts(self, url: str, session: UUID) -> SessionFacts:
        return await self._ask(SessionFacts, "GET", f"{url}/sessions/{session}")

    async def erase(self, url: str, prefix: str) -> EraseDone:
        """End and drop whatever the media process holds under an object prefix."""
        return await self._ask(EraseDone, "POST", f"{url}/erase", EraseAsk(prefix=prefix))

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, kind: type[_Answer], method: str, url: str, message: msgspec.Struct | None = None) -> _Answer:
        return msgspec.json.decode(await self._do(method, url, message), type=kind)

    async def _do(self, method: str, url: str, message: msgspec.Struct | None = None) -> bytes:
        body = msgspec.json.encode(message) if message is not None else None
        try:
            answer = await self._http.request(method, url, content=body)
        except httpx.HTTPError as error:
            raise NodeUnreachable() from error
        if answer.is_success:
            return answer.content
        try:
            problem = msgspec.json.decode(answer.content, type=Problem)
        except msgspec.DecodeError:
            raise NodeUnreachable() from None
        raise NodeRefused(problem)


Node = Annotated[NodeClient, Dependency(skip_validation=True)]
"""The dependency `node` of every handler."""
