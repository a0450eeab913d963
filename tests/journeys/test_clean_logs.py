"""Canaries in every place where a person's words, addresses and secrets come in; then every log is looked through."""

from __future__ import annotations

import json
import re
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from app.demo.browser import Browser
from app.demo.people import Guest, Owner
from app.demo.story import until
from app.logs import ALLOWED
from tests.journeys.deployment import Deployment
from tests.journeys.stage import OWNER, PARTS, Mailbox

pytestmark = pytest.mark.timeout(600)

CANARY = "Xanthippe"
ADDRESS = "xanthippe@quokka.example"
REFUSED = "nobody.at.all@refused.example"
SECRET_PATHS = ("/i/", "/unsubscribe/", "/sign-in/", "/receipt/")


async def test_no_name_address_secret_or_bad_input_is_in_any_log(
    deployment: Deployment, mailbox: tuple[Mailbox, int]
) -> None:
    box = mailbox[0]
    box.refused.add(REFUSED)
    deployment.run("migrate")
    deployment.start(*PARTS)
    await deployment.ready()
    deployment.run(
        "web", "account", "create", "--name", f"{CANARY} Ltd", "--owner-name", CANARY, "--owner-email", OWNER
    )
    origin = deployment.settings().origin
    owner = Owner(Browser(origin))
    await owner.sign_in(await until(partial(box.link, OWNER, "/sign-in/")))
    await owner.create_session(await owner.create_study())
    await owner.invite(CANARY, ADDRESS)
    await owner.invite("Otto", REFUSED)
    guest = Guest(number=1, name=CANARY, address=ADDRESS, browser=Browser(origin))
    await guest.register(await until(partial(box.link, ADDRESS, "/i/")))
    await guest.consent(owner.session)
    await owner.lead("open")
    await guest.room_token(owner.session, "camera")
    await guest.browser.open("/my-data")
    headers = {"Origin": origin}
    async with httpx.AsyncClient(base_url=origin, trust_env=False, headers=headers, timeout=60) as stranger:
        await rude(stranger, guest)
    assert await until(partial(refused_once, deployment))

    for browser in (owner.browser, guest.browser):
        await browser.close()
    deployment.stop()
    text = "".join(deployment.log(part).read_text() for part in PARTS)
    assert text.count('"event": "request"') > 20
    for secret in secrets_of(box, owner, guest):
        assert secret.lower() not in text.lower(), secret
    for line in text.splitlines():
        assert set(json.loads(line)) <= ALLOWED, line


async def rude(stranger: httpx.AsyncClient, guest: Guest) -> None:
    """What does not fit, with the canary in each place; the cookie of a guest makes some of it go deep."""
    cookies = {c.name: str(c.value) for c in guest.browser.http.cookies.jar}
    for path in (
        f"/i/{CANARY}",
        f"/{CANARY}?who={ADDRESS}",
        f"/rooms/{CANARY}",
        f"/take-part/%00{CANARY}",
        f"/static/{CANARY}",
    ):
        await stranger.get(path)
        await stranger.get(path, cookies=cookies)
    await stranger.post("/sign-in", data={"email": f"{CANARY}\r\nBcc: {ADDRESS}"})
    await stranger.post(
        "/sign-in", content=f'{{"email": "{ADDRESS}'.encode(), headers={"Content-Type": "application/json"}
    )
    await stranger.post("/my-data/open", data={"code": CANARY}, cookies=cookies)
    bearer = {"Authorization": f"Bearer {CANARY}.{CANARY}", "Content-Type": "application/sdp"}
    await stranger.post("/whip", content=f"v=0\r\ns={CANARY}\r\n", headers=bearer)
    await stranger.request(CANARY.upper(), "/")
    await stranger.get("/", headers={"User-Agent": CANARY, "X-Forwarded-For": ADDRESS, "Accept-Language": CANARY})
    await stranger.get("/", headers={"Host": f"{CANARY}.example"})


async def refused_once(deployment: Deployment) -> bool | None:
    """The mail server has refused the address, by name, and the job said so in its own words."""
    return ((await deployment.numbers("worker")).get("junier_jobs_total failed send_mail", 0) > 0) or None


def secrets_of(box: Mailbox, owner: Owner, guest: Guest) -> set[str]:
    """Names, addresses, and whatever opens something: mailed links, cookies."""
    found = {CANARY, ADDRESS, REFUSED, OWNER, "quokka", "refused.example", "bcc:"}
    for _, text in box.came:
        for link in re.findall(r"https?://\S+", text):
            path = urlsplit(link).path
            if path.startswith(SECRET_PATHS):
                found.add(path.rsplit("/", 1)[1])
    for browser in (owner.browser, guest.browser):
        found |= {str(cookie.value) for cookie in browser.http.cookies.jar}
    assert len(found) > 10
    return found - {""}
