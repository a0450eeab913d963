"""The account: who signs in, who belongs to it, who of the platform may look, and its end."""

from __future__ import annotations

from sqlalchemy import update

from app.accounts.ceremonies import site_of
from app.accounts.models import Account, Login, Member, Passkey
from app.accounts.service import make_link
from app.privacy.records.models import DataRequest, RequestState
from app.privacy.rights.requests import UNANSWERED
from app.support.models import SupportRequest
from tests.app.support_stage import OperatorAtWork
from tests.fixtures.authenticator import Authenticator
from tests.promises.acts.story import Story


async def signing_in(story: Story) -> None:
    world, lab = story.world, story.world.lab
    async with world.wiring.database.transaction(lab.account) as db:
        link = await make_link(db, world.settings, account=lab.account, member=lab.owner)
    story.ids["token"] = link.rpartition("/")[2]
    await story.call(world.browser(), "POST /sign-in/{token}")
    await story.call(await world.member(lab), "POST /sign-out")


async def passkeys(story: Story) -> None:
    world, site = story.world, site_of(story.world.settings)
    assert site is not None
    device = Authenticator(origin=site.origin, host=site.host)
    owner, stranger = await world.member(world.lab), world.browser()
    for browser, challenge, route, answer in (
        (owner, "/passkeys/challenge", "POST /passkeys", device.make),
        (stranger, "/sign-in/passkey/challenge", "POST /sign-in/passkey", device.show),
    ):
        asked = (await world.post(browser, challenge)).json()
        await story.call(browser, route, {"name": "Laptop", "credential": answer(asked)})
    story.ids["passkey"] = await story.newest(Passkey, order=Passkey.created_at)
    await story.call(owner, "POST /members/passkeys", {"needed": "yes"})
    await story.call(owner, "POST /members/passkeys", {"needed": "no"})
    await story.call(owner, "POST /passkeys/{passkey}/remove")
    for route in ("POST /logins/{other}/end", "POST /logins/others/end"):
        await world.member(world.lab)
        story.ids["other"] = await story.newest(Login, order=Login.created_at)
        await story.call(owner, route)


async def members(story: Story) -> None:
    owner = await story.world.member(story.world.lab)
    async with story.world.wiring.database.transaction(story.world.lab.account) as db:
        await db.execute(update(Account).values(agreement_dated=None))  # accepted when the lab was made
    await story.call(owner, "POST /agreement")
    await story.call(owner, "POST /members", {"name": "Nina", "email": "nina@lab.example", "role": "observer"})
    story.ids["member"] = await story.newest(Member, order=Member.created_at)
    await story.call(owner, "POST /members/{member}/role", {"role": "researcher"})
    await story.call(owner, "POST /members/{member}/remove")


async def support(story: Story) -> None:
    """Two operators and the owner: a grant of the second operator is given back, one of the owner's is ended."""
    world, owner = story.world, await story.world.member(story.world.lab)
    at_work = []
    for name in ("Omar", "Oda"):
        browser = world.browser()
        at_work.append(browser)
        await OperatorAtWork(world.wiring, browser.http, name, f"{name.lower()}@platform.example").sign_in()
    omar, oda = at_work
    form = {"account": str(world.lab.account), "kind": "session", "object": str(world.lab.session)}
    await story.call(owner, "POST /support-access/second-operator", {"second_operator": "yes"})
    for browser, steps in (
        (oda, ("POST /support/requests/{support}/refuse",)),
        (oda, ("POST /support/requests/{support}/grant", "POST /support/grants/{support}/end")),
        (owner, ("POST /support-access/{support}/refuse",)),
        (owner, ("POST /support-access/{support}/grant", "POST /support-access/{support}/revoke")),
    ):
        await story.call(omar, "POST /support/requests", form | {"reason": "Ticket 17: no picture."})
        story.ids["support"] = await story.newest(SupportRequest, order=SupportRequest.asked_at)
        for step in steps:
            await story.call(omar if step.endswith("/end") else browser, step, {"minutes": "15"})


async def closing(story: Story) -> None:
    world = story.world
    owner = await world.member(world.lab)
    for request in await world.rows(world.lab, DataRequest, DataRequest.state.in_(UNANSWERED)):
        await world.change(world.lab, DataRequest, request.id, state=RequestState.DONE)
    assert (await owner.http.get("/account/export.zip?purpose=leaving")).status_code == 200
    await story.call(owner, "POST /account/close", {"name": world.lab.name})
    await story.call(owner, "POST /account/keep")
    await story.call(owner, "POST /account/close/today", {"name": world.lab.name})
