"""Whatever is sent, to whichever address, by whomever: an answer in words, no fault of ours, and nothing half done.

Forms are taken from the pages as they are shown and routes from the application, so that what is added
tomorrow is tried as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle
from uuid import UUID

import pytest

from app.accounts.models import Scope
from app.demo.browser import Browser
from app.participants.consents import standing_consents
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import Erasure, ErasureReason
from app.sessions.notes import write_note
from tests.hostile.nasty import COOKIES, PATH_PARTS, QUERIES, TYPES, Crowd, filled, routes
from tests.promises.conftest import world  # noqa: F401
from tests.promises.test_j4_access import UUIDS
from tests.promises.world import World

ENDING = (
    "/erase",
    "/remove",
    "/cancel",
    "/revoke",
    "/delete",
    "/end",
    "/withdraw",
    "/unsubscribe",
    "/sign-out",
    "/role",
)
"""Steps after which a page has less to try; they come last."""


ENDLESS = "/status"
"""Goes on telling for as long as somebody who may know listens."""


@pytest.fixture
def crowd(superuser_url: str, world: World) -> Iterator[Crowd]:  # noqa: F811  the world stands before it is counted
    made = Crowd(superuser_url)
    yield made
    made.close()


async def ids_of(world: World) -> dict[str, UUID | str]:  # noqa: F811
    """Everything the lab has, by the names the routes use."""
    ref = await world.record(await world.registered(world.anna))
    columns, owner = world.wiring.columns, world.lab.owner
    async with world.wiring.database.transaction(world.lab.account) as db:
        erasure = await ask_erasure(
            db,
            account=world.lab.account,
            person=world.ben.person,
            reason=ErasureReason.OWNER,
            asked_by=f"member:{owner}",
            instruction="test",
        )
        note = await write_note(
            db, columns, session=world.lab.session, member=owner, text="Hesitates", writing=timedelta(0)
        )
    return {
        "study": world.lab.study,
        "session": world.lab.session,
        "session_id": world.lab.session,
        "recording": ref.recording,
        "invitation": world.anna.invitation,
        "participant": world.anna.person,
        "member": owner,
        "erasure": erasure.id,
        "note": note.id,
        "mail": (await world.mail_rows(world.lab))[0].id,
        "form": "vtt",
        "step": "pause",
        "token": "x" * 43,
        "resource": "x" * 43,
        "view_name": "x" * 43,
        "file_path": "look.css",
    }


async def everybody(world: World) -> list[Browser]:  # noqa: F811
    return [await world.member(world.lab), await world.guest(world.anna, Scope.DATA), world.browser()]


async def test_every_field_of_every_form(world: World, crowd: Crowd):  # noqa: F811
    ids = await ids_of(world)
    pages = sorted({filled(path, ids) for method, path in routes(world.app) if method == "GET"})
    secret = [world.anna.link, world.anna.unsubscribe]
    found = []
    for browser in await everybody(world):
        seen = set()
        for address in [*secret, *pages]:
            if address.endswith(("/media", "/vtt", ENDLESS)) or address.startswith(("/static", "/outbox")):
                continue
            page = await browser.open(address)
            for form in page.forms:
                key = (UUIDS.sub("", form.action), *sorted(form.offered))
                if form.method == "post" and key not in seen:
                    seen.add(key)
                    found.append((browser, page.url, form))
    found.sort(key=lambda one: one[2].action.endswith(ENDING))
    assert len(found) > 25
    crowd.watch()
    for browser, url, form in found:
        await crowd.fill(browser, url, form)
    assert not crowd.wrong, "\n".join(crowd.wrong)
    assert crowd.sent > 300


async def test_every_address_with_a_part_that_is_none(world: World, crowd: Crowd):  # noqa: F811
    ids, people = await ids_of(world), await everybody(world)
    turns, before = cycle(people), crowd.rows()
    crowd.watch()
    for method, path in routes(world.app):
        for at in range(path.count("{")):
            for part in PATH_PARTS:
                await crowd.send(next(turns), method, filled(path, ids, part, at), "part")
    assert not crowd.wrong, "\n".join(crowd.wrong)
    assert crowd.rows() == before


async def test_every_address_with_queries_cookies_and_bodies_that_are_none(world: World, crowd: Crowd):  # noqa: F811
    ids, [owner, guest, stranger] = await ids_of(world), await everybody(world)
    turns = cycle([owner, guest, owner, stranger])
    crowd.watch()
    for method, path in routes(world.app):
        address = filled(path, ids)
        if method in ("GET", "HEAD") and not address.endswith(ENDLESS):
            for query in QUERIES:
                await crowd.send(owner, method, f"{address}?{query}", "query")
        for cookie in COOKIES:
            answer = await crowd.send(stranger, method, address, "cookie", headers={"cookie": cookie.encode("latin-1")})
            assert answer.status_code not in (200, 201) or path in OPEN, f"{path} opened for {cookie[:20]}"
        if method != "GET" and not address.endswith(ENDING):
            for kind, body in TYPES:
                await crowd.send(next(turns), method, address, kind, content=body, headers={"content-type": kind})
    assert not crowd.wrong, "\n".join(crowd.wrong)


async def test_programs_are_refused_with_a_problem_detail(world: World, crowd: Crowd):  # noqa: F811
    """RFC 9457 for whoever does not ask for a page, at every address that refuses."""
    ids, stranger = await ids_of(world), world.browser()
    refused = 0
    crowd.watch()
    for method, path in routes(world.app):
        answer = await crowd.send(stranger, method, filled(path, ids), "json", headers={"accept": "application/json"})
        if answer.status_code >= 400 and method != "HEAD" and "<form" not in answer.text:
            refused += 1
            assert answer.headers["content-type"].startswith("application/problem+json"), (method, path)
            assert {"type", "title", "status", "detail"} <= set(answer.json())
    assert not crowd.wrong, "\n".join(crowd.wrong)
    assert refused > 40


OPEN = {
    "/health",
    "/.well-known/security.txt",
    "/promises",
    "/data-map",
    "/sign-in",
    "/signed-out",
    "/support/sign-in",
    "/support/sign-in/{token:str}",
    "/sign-in/passkey/challenge",
    "/static/{file_path:path}",
    "/outbox",
    "/outbox/{mail:uuid}",
    "/outbox/{mail:uuid}/html",
}
OPEN |= {"/sign-in/{token:str}", "/i/{token:str}", "/unsubscribe/{token:str}", "/receipt/{token:str}"}
"""Pages for whoever comes; those with a secret say that the link does not work."""


@pytest.mark.parametrize("kind, body", TYPES)
async def test_what_is_no_form_takes_no_consent_back(world: World, kind: str, body: bytes):  # noqa: F811
    """On the consent page a form with nothing ticked takes everything back and erases; an unreadable one does not."""
    await world.record(await world.registered(world.anna))
    browser = await world.guest(world.anna)
    headers = {"Origin": browser.origin, "content-type": kind}
    answer = await browser.http.post(f"/take-part/{world.lab.session}", content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    async with world.wiring.database.transaction(world.lab.account) as db:
        still = await standing_consents(db, session=world.lab.session, participant=world.anna.person)
    assert len(still) == 4
    assert await world.rows(world.lab, Erasure) == []
