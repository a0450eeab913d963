"""One filled lab and everybody who might ask it for something: what tests/promises/access.csv is tried on."""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from litestar import Litestar
from litestar.routes import WebSocketRoute

from app.accounts.assignments import assign
from app.accounts.login import start_login
from app.accounts.models import Role, Scope
from app.accounts.service import add_member
from app.demo.browser import Browser
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import REQUEST, receipt_token
from app.privacy.records.models import RequestKind, RequestWay
from app.privacy.rights.noting import Wish, note_for
from app.room.whip import SDP
from app.sessions.models import Node
from app.sessions.service import open_take, schedule
from app.studies.models import Study
from recordings.model import STREAM_TRACKS, PersonId, RecordingId, RecordingRef, StreamKind
from tests.app.support_stage import OperatorAtWork
from tests.promises.test_j4_access import filled, granted
from tests.promises.world import Guest, Lab, World, answer_after_the_session

TABLE = Path(__file__).with_name("access.csv")
ROUNDS = (
    ("stranger", "not assigned", "anna"),
    ("ben", "other owner", "observer", "anna's link"),
    ("with a grant", "assigned"),
    ("operator", "owner"),
)
"""Who asks one after the other in the same lab: nobody takes away what comes after them."""
CAST = (
    "stranger",
    "anna",
    "anna's link",
    "ben",
    "assigned",
    "not assigned",
    "observer",
    "owner",
    "other owner",
    "operator",
    "with a grant",
)
OPERATORS = ("operator", "with a grant")
WEBSOCKET = "WS"
IN_THE_ROOM = ("/rooms/", "/whip", "/take-part/", "/whep/")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One route and method; sent: the form, where an empty one is refused before it matters who asks; expected: the
    status for each of CAST."""

    route: str
    method: str
    sent: str
    expected: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


def read_table() -> list[Row]:
    with TABLE.open(newline="", encoding="utf-8") as lines:
        return [
            Row(
                route=row["route"],
                method=row["method"],
                sent=row["sent"].replace("\\n", "\r\n"),
                expected={who: row[who] for who in CAST},
            )
            for row in csv.DictReader(lines)
        ]


def routes_of(app: Litestar) -> list[tuple[str, str]]:
    """Every route and method that we answer, WebSockets too; the framework's own answer to OPTIONS is left out."""
    found = []
    for route in app.routes:
        path = re.sub(r"{(\w+)(?::\w+)?}", r"{\1}", route.path)
        if isinstance(route, WebSocketRoute):
            found.append((path, WEBSOCKET))
        for handler in getattr(route, "route_handlers", ()):
            if handler.handler_name != "options_handler":
                found += [(path, method) for method in sorted(handler.http_methods)]
    return found


@dataclass(frozen=True, kw_only=True)
class Stage:
    """ids: by the names in routes; live: in the room, which is open while the other session is over; own: in Anna's
    data; tokens: of secret links, by how their address begins."""

    world: World
    ids: Mapping[str, Any]
    live: Mapping[str, Any]
    own: Mapping[str, Any]
    tokens: Mapping[str, str]
    browsers: Mapping[str, Browser]

    def path(self, route: str) -> str:
        ids = self.live if route.startswith(IN_THE_ROOM) else self.own if route.startswith("/my-data/") else self.ids
        if route.startswith("/support/grants/"):
            ids = {**ids, "support": ids["grant"]}
        token = next((token for prefix, token in self.tokens.items() if route.startswith(prefix)), "x" * 43)
        return re.sub(r"{(\w+)}", lambda name: str(ids.get(name[1], token)), route) + self._query(route)

    def _query(self, route: str) -> str:
        if route == "/whip":
            return f"?session={self.live['session']}&stream=screen"
        return "?purpose=report" if route.endswith(("{form}", ".csv", ".zip")) else ""

    async def ask(self, who: str, row: Row) -> str:
        """The status. What the answer says about cookies is forgotten."""
        browser, path = self.browsers[who], self.path(row.route)
        if row.method == WEBSOCKET:
            return str(await self._follow(browser, path))
        cookies, headers = httpx.Cookies(browser.http.cookies), {"Origin": browser.origin}
        if row.sent:
            headers["Content-Type"] = SDP if row.sent.startswith("v=0") else "application/x-www-form-urlencoded"
        answer = await browser.http.request(row.method, path, headers=headers, content=row.sent, follow_redirects=False)
        browser.http.cookies = cookies
        return str(answer.status_code)

    async def _follow(self, browser: Browser, path: str) -> int:
        """101 when the room tells something, else the code it is closed with (RFC 6455 §7.4.2)."""
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        asked.put_nowait({"type": "websocket.connect"})
        cookie = "; ".join(f"{one.name}={one.value}" for one in browser.http.cookies.jar)
        headers = [("host", "localhost:8000"), ("origin", browser.origin), ("cookie", cookie)]
        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "subprotocols": [], "extensions": {},
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 1), "server": ("localhost", 8000), "state": {},
        }  # fmt: skip
        page = asyncio.create_task(self.world.app(scope, asked.get, told.put))  # type: ignore[arg-type]
        try:
            while (message := await asyncio.wait_for(told.get(), 240))["type"] == "websocket.accept":
                pass
            return 101 if message["type"] == "websocket.send" else int(message["code"])
        finally:
            asked.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await asyncio.wait_for(page, 240)


RESOURCE, VIEW = "r" * 43, "1." + "v" * 43


async def set_stage(world: World, people: Iterable[str]) -> Stage:
    """Two sessions of a study that is seen by those assigned alone: one is over and transcribed, one is live with Anna
    in it. Ben was in the first with her; a third person is erased. people: of CAST, those who ask."""
    await world.change(world.lab, Study, world.lab.study, assigned_only=True)
    carl = await world.invite(world.lab, "Carl", "carl@people.example")
    transcript = await world.transcribed(world.anna)
    await world.registered(world.ben)
    await answer_after_the_session(world, world.anna)
    over = RecordingRef(
        account=world.lab.account,
        session=world.lab.session,
        person=world.anna.person,
        recording=RecordingId(transcript.recording_id),
        kind=StreamKind.CAMERA,
    )
    ids = await filled(world, over, asks=world.anna.person, going=carl.person)
    await world.work()
    anna = await _live(world)
    recording = await _publishing(world, anna)
    key = signing_key(world.settings.data_dir)
    request = await _noted(world)
    ids |= {"member": await _member(world, Role.RESEARCHER, "Spare", anna.lab)}
    tokens = {
        "/i/": anna.link.rpartition("/")[2],
        "/unsubscribe/": anna.unsubscribe.rpartition("/")[2],
        "/receipt/": receipt_token(key, world.lab.account, ids["erasure"]),
        "/asked/": receipt_token(key, world.lab.account, request, REQUEST),
    }
    ids |= {"step": "pause", "path": "look.css", "mail": (await world.mail_rows(world.lab))[0].id}
    browsers = {who: await _browser(world, who, anna) for who in people if who not in OPERATORS}
    browsers |= await _operators(world, over.recording, ids)
    live = ids | {"session": anna.lab.session, "recording": recording, "resource": RESOURCE, "view_name": VIEW}
    live |= {"invitation": anna.invitation}
    own = ids | {"data_request": request}
    return Stage(world=world, ids=ids, live=live, own=own, tokens=tokens, browsers=browsers)


async def _live(world: World) -> Guest:
    """Anna's invitation to the second session, which is live."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        second = await schedule(db, account=world.lab.account, study=world.lab.study, title="Second visit", group=True)
    anna = await world.invite(replace(world.lab, session=second), "Anna", world.anna.email)
    await world.registered(anna)
    await world.go_live(anna.lab)
    return anna


async def _publishing(world: World, anna: Guest) -> UUID:
    """Anna's camera, which is on at this moment."""
    now = datetime.now(UTC)
    async with world.wiring.database.transaction(world.lab.account) as db:
        node = world.settings.node_name
        db.add(
            Node(
                name=node, url="http://127.0.0.1:9", capacity=30, started_at=now, heartbeat_at=now + timedelta(hours=1)
            )
        )
        take = await open_take(
            db,
            world.wiring.keys,
            account=world.lab.account,
            session=anna.lab.session,
            person=anna.person,
            person_is_member=False,
            stream=StreamKind.CAMERA,
            kinds=STREAM_TRACKS[StreamKind.CAMERA],
            node=node,
            resource=RESOURCE,
        )
    return take.recording.recording


async def _noted(world: World) -> UUID:
    """What the owner noted for Anna, who has to confirm it."""
    wish = Wish(
        kind=RequestKind.RECTIFICATION, way=RequestWay.PHONE, came_on=datetime.now(UTC).date(), words="She phoned."
    )
    account, owner = world.lab.account, world.lab.owner
    async with world.wiring.database.transaction(account) as db:
        [row] = await note_for(db, world.wiring, account=account, participant=world.anna.person, wish=wish, by=owner)
    return row.id


async def _member(world: World, role: Role, name: str, *labs: Lab) -> PersonId:
    """A new member, assigned to the sessions of `labs`."""
    account = world.lab.account
    async with world.wiring.database.transaction(account) as db:
        columns, email = world.wiring.columns, f"{name}@lab.example"
        person = await add_member(db, columns, account=account, name=name, email=email, role=role)
        for lab in labs:
            await assign(db, account=account, session=lab.session, member=person, by="system")
    return person


async def _browser(world: World, who: str, anna: Guest) -> Browser:
    both = (world.lab, anna.lab)
    match who:
        case "anna" | "anna's link":
            return await world.guest(anna, Scope.DATA if who == "anna" else Scope.ROOM)
        case "ben":
            return await world.guest(world.ben)
        case "owner":
            return await world.member(world.lab)
        case "other owner":
            return await world.member(world.other)
        case "assigned":
            return await _signed_in(world, await _member(world, Role.RESEARCHER, who, *both))
        case "not assigned":
            return await _signed_in(world, await _member(world, Role.RESEARCHER, "elsewhere"))
        case "observer":
            return await _signed_in(world, await _member(world, Role.OBSERVER, who, *both))
    return world.browser()


async def _operators(world: World, recording: UUID, ids: dict[str, Any]) -> dict[str, Browser]:
    """Two, of whom one has the grant that `ids` gets."""
    browsers = {who: world.browser() for who in OPERATORS}
    for who, browser in browsers.items():
        email = f"{who.replace(' ', '-')}@platform.example"
        at_work = await OperatorAtWork(world.wiring, browser.http, name=who, email=email).sign_in()
        if who == "with a grant":
            ids["grant"] = await granted(world, at_work, recording)
    return browsers


async def _signed_in(world: World, member: PersonId) -> Browser:
    async with world.wiring.database.transaction(world.lab.account) as db:
        cookie = await start_login(db, world.settings, account=world.lab.account, scope=Scope.MEMBER, member=member)
    return world.browser(cookie.value or "")
