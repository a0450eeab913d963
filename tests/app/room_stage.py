"""A room for tests: an account, a study, a session, its people, and web and media as they really are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import uvicorn

from app.accounts.agreement import accept_agreement
from app.accounts.login import cookie_name, start_login
from app.accounts.models import Role, Scope
from app.accounts.service import add_member, create_account
from app.database import Database
from app.invitations.service import invite
from app.main import create_app
from app.participants.consents import give_consent, withdraw_consent
from app.participants.forms import Registration
from app.participants.service import register, study_notice
from app.room import node
from app.room.node_client import NodeClient
from app.room.node_messages import Permission, StreamAsk
from app.room.permission import push_loop
from app.sessions import service as sessions
from app.settings import Settings
from app.studies.models import ConsentKind, Study
from app.studies.service import create_study
from app.wiring import Wiring
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import AccountId, PersonId, SessionId, TrackKind
from recordings.storage.memory import MemoryStore
from tests.app.loopback import BOTH
from tests.fixtures.ports import free_port

RECORDED = (ConsentKind.VIDEO, ConsentKind.AUDIO, ConsentKind.SCREEN)


def allow(
    ask: StreamAsk,
    *kinds: TrackKind,
    as_of: float = 1.0,
    live: bool = True,
    streams: dict[UUID, dict[TrackKind, UUID]] | None = None,
    take: int | None = None,
    inside: Sequence[UUID] | None = None,
) -> Permission:
    tracks = {track.kind: track.track for track in ask.tracks if track.kind in (kinds or BOTH)}
    return Permission(
        as_of=as_of,
        live=live,
        streams={ask.recording: tracks} if streams is None else streams,
        takes={ask.recording: take or ask.take},
        inside=[ask.person] if inside is None else list(inside),
        why="test",
    )


def wiring_on(database: Database, data_dir: Path, **more: object) -> Wiring:
    settings = Settings.from_env(
        {},
        data_dir=data_dir,
        public_url=f"http://localhost:{free_port()}",
        node_url=f"http://127.0.0.1:{free_port()}",
        node_secret="shared",
        media_addresses="127.0.0.1",
        **more,
    )
    return Wiring(settings=settings, database=database, keys=MemoryKeyStore(), store=MemoryStore())


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What stands before a test begins; cookies by who they belong to."""

    wiring: Wiring
    account: AccountId
    owner: PersonId
    study: UUID
    session: SessionId

    async def participant(self, name: str, *kinds: ConsentKind, session: SessionId | None = None) -> PersonId:
        """Invited, registered, agreed to `kinds`."""
        email = f"{name.lower()}@example.eu"
        columns = self.wiring.columns
        async with self.wiring.database.transaction(self.account) as db:
            invited = await invite(
                db,
                self.wiring,
                account=self.account,
                session=session or self.session,
                name=name,
                email=email,
                by=self.owner,
            )
            person = invited.participant
            await register(
                db, columns, account=self.account, participant=person, typed=Registration(name=name, email=email)
            )
        await self.consent(person, kinds, session=session)
        return person

    async def consent(
        self, person: PersonId, kinds: Collection[ConsentKind], *, given: bool = True, session: SessionId | None = None
    ) -> None:
        async with self.wiring.database.transaction(self.account) as db:
            study = await db.get_one(Study, self.study)
            _, shown = await study_notice(
                db, self.wiring.columns, self.wiring.settings, account=self.account, study=study
            )
            for kind in kinds:
                verb = give_consent if given else withdraw_consent
                await verb(
                    db,
                    account=self.account,
                    participant=person,
                    session=session or self.session,
                    kind=kind,
                    shown=shown,
                )

    async def member(self, role: Role) -> PersonId:
        async with self.wiring.database.transaction(self.account) as db:
            return await add_member(
                db, self.wiring.columns, account=self.account, name="Olga", email=f"{role}@example.eu", role=role
            )

    async def cookie(self, *, member: PersonId | None = None, participant: PersonId | None = None) -> str:
        """The value of a login cookie."""
        async with self.wiring.database.transaction(self.account) as db:
            cookie = await start_login(
                db,
                self.wiring.settings,
                account=self.account,
                scope=Scope.MEMBER if member else Scope.ROOM,
                member=member,
                participant=participant,
                session=self.session if participant else None,
            )
        return str(cookie.value)

    async def open(self, *steps: str) -> None:
        """Take steps of the session: open_room, start_recording, …"""
        async with self.wiring.database.transaction(self.account) as db:
            for step in steps:
                await getattr(sessions, step)(db, session=self.session)


async def stage(database: Database, data_dir: Path, *, group: bool = False, **settings: object) -> Stage:
    """A scheduled session of a study that records everything."""
    wiring = wiring_on(database, data_dir, **settings)
    async with database.transaction() as db:
        account, owner = await create_account(
            db, wiring.columns, name="Lab", owner_name="Ada", owner_email="ada@example.eu"
        )
        await accept_agreement(db, account=account, by=owner)
        study = await create_study(
            db,
            wiring.columns,
            account=account,
            title="How people cook",
            contact_name="Ada",
            contact_email="ada@example.eu",
            consent_text="We ask you to cook.",
            kinds=list(ConsentKind),
        )
        session = await sessions.schedule(db, account=account, study=study, title="First", group=group)
    return Stage(wiring=wiring, account=account, owner=owner, study=study, session=session)


@asynccontextmanager
async def media(on: Wiring, *, capacity: int = 20) -> AsyncIterator[None]:
    """The media process, in this event loop, reachable at its own address."""
    ready = asyncio.Event()
    running = asyncio.create_task(node.run(on, capacity=capacity, started=ready.set))
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({running, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        assert ready.is_set()
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def patient(settings: Settings) -> NodeClient:
    """On a busy machine a media process that is there may answer late."""
    client = NodeClient(settings)
    client._http.timeout = httpx.Timeout(60)
    return client


@asynccontextmanager
async def web(stage: Stage, *, push: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """The web application without a socket; requests come from our own origin."""
    client = patient(stage.wiring.settings)
    app = create_app(stage.wiring, background=[push_loop(client)] if push else [], node_client=client)
    origin = stage.wiring.settings.origin
    async with (
        app.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=cast(Any, app)), base_url=origin, headers={"origin": origin}, timeout=60
        ) as http,
    ):
        yield http
    await client.close()


@asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[None]:
    """The web process at its public address."""
    settings = stage.wiring.settings
    client = patient(settings)
    app = create_app(stage.wiring, background=[push_loop(client)], node_client=client)
    port = int(settings.public_url.rpartition(":")[2])
    server = uvicorn.Server(
        uvicorn.Config(cast(Any, app), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)
    )
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        await running
        await client.close()


def as_(stage: Stage, cookie: str) -> dict[str, str]:
    """Headers of a signed-in browser."""
    return {"cookie": f"{cookie_name(stage.wiring.settings)}={cookie}"}
