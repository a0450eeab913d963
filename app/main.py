"""create_app: the web process. Routers are listed by hand; every handler may ask for wiring, db and login."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler, Scope

from app.accounts import routes as accounts
from app.accounts.login import SignedIn, cookie_name, find_login
from app.compression import Compression
from app.database import Db
from app.invitations import routes as invitations
from app.language import Language, Reader
from app.library import routes as library
from app.limited_routes import limited
from app.logs import place_of
from app.mail import routes as mail
from app.pages import error_answer, meet, template_config
from app.participants import routes as participants
from app.participants.models import Participant
from app.privacy import routes as privacy
from app.privacy.public_facts import health, security_txt
from app.privacy.rights.whom_to_ask import whom_to_ask
from app.room import routes as room
from app.security import add_headers, own_origin, plain_path
from app.sessions import routes as sessions
from app.static_files import send_static
from app.studies import routes as studies
from app.support import routes as support
from app.wiring import Wiring

Background = Callable[[Wiring], Awaitable[None]]
MAX_BODY_BYTES = 2_000_000

log = logging.getLogger("junier.web")


def routers(wiring: Wiring) -> list[ControllerRouterHandler]:
    """Every feature's routes, the outbox in development only."""
    listed: list[ControllerRouterHandler] = [
        health,
        security_txt,
        accounts.router,
        studies.router,
        sessions.router,
        invitations.router,
        participants.router,
        library.router,
        *room.routers,
        *privacy.routers,
        support.router,
    ]
    return [*listed, mail.router] if wiring.settings.development else listed


def create_app(wiring: Wiring, *, background: Sequence[Background] = (), node_client: Any = None) -> Litestar:
    """background: coroutines that run as long as the app does (light worker, permission push);
    node_client: how the room reaches the media process."""
    settings = wiring.settings
    return Litestar(
        route_handlers=[
            *routers(wiring),
            send_static,
        ],
        dependencies={
            "wiring": Provide(current_wiring, sync_to_thread=False),
            "node": Provide(current_node, sync_to_thread=False),
            "db": Provide(open_db),
            "login": Provide(current_login, sync_to_thread=False),
        },
        state=state_of(wiring, background, node_client),
        guards=[plain_path, own_origin(settings), limited(cookie_name(settings))],
        middleware=[Compression],
        before_request=meet,
        before_send=[add_headers(settings)],
        after_exception=[whom_to_ask],
        exception_handlers={Exception: error_answer},
        template_config=template_config(settings),
        request_max_body_size=MAX_BODY_BYTES,
        lifespan=[run_background],
        openapi_config=None,
        logging_config=None,
    )


def state_of(wiring: Wiring, background: Sequence[Background] = (), node_client: Any = None) -> State:
    """All that an application keeps, from its beginning on; the rest of it follows from the settings."""
    return State({"wiring": wiring, "background": background, "node": node_client}, deep_copy=False)


def current_wiring(scope: Scope) -> Wiring:
    wiring: Wiring = scope["litestar_app"].state.wiring
    return wiring


def current_node(scope: Scope) -> Any:
    return scope["litestar_app"].state.node


@asynccontextmanager
async def run_background(app: Litestar) -> AsyncGenerator[None, None]:
    """What runs beside the requests, for as long as the application does."""
    tasks = [asyncio.create_task(_keep_running(one, app.state.wiring)) for one in app.state.background]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def open_db(request: Request[Any, Any, Any], wiring: Wiring) -> AsyncGenerator[Db, None]:
    """One transaction per request: returning commits, raising rolls back. A valid login cookie sets the account."""
    async with wiring.database.transaction() as db:
        token = request.cookies.get(cookie_name(wiring.settings))
        login = await find_login(db, wiring.columns, token) if token else None
        request.scope["state"]["login"] = login
        if login is not None:
            await _recognise(db, login, request.scope["state"]["reader"])
            login.require_open(request.url.path)
        yield db


async def _recognise(db: Db, login: SignedIn, reader: Reader) -> None:
    """Members read English; a participant what they chose before."""
    if login.participant is None:
        reader.explicit, reader.header = Language.EN, None
    elif reader.header is not None or reader.explicit is not None:
        row = await db.get(Participant, login.participant)
        reader.stored = row.language if row else None


def current_login(request: Request[Any, Any, Any], db: Db) -> SignedIn | None:
    """Known once `db` is open."""
    login: SignedIn | None = request.scope["state"]["login"]
    return login


async def _keep_running(coroutine: Background, wiring: Wiring) -> None:
    """One of the three loops that may catch everything: a background coroutine that fell comes back after a second."""
    while True:
        try:
            await coroutine(wiring)
            return
        except Exception as error:
            log.error("background stopped: %s at %s", type(error).__name__, place_of(error))
            await asyncio.sleep(1)
