"""`junier demo`: open the stage, play the story, print what it proved, and keep serving when asked to stay."""

from __future__ import annotations

import asyncio
import json
import signal

import httpx

from app.demo.browser import Browser, DeadEnd
from app.demo.figures import Figures
from app.demo.people import Guest, Outbox, Owner
from app.demo.publisher import PublishFailed
from app.demo.stage import Stage, StageFailed
from app.demo.story import OWNER_ADDRESS, Story, until
from app.demo.telling import Telling

GUESTS = ((1, "Mia", "mia@home.example"), (2, "Noah", "noah@home.example"))


def run(*, stay: bool, as_json: bool) -> int:
    """Exit status: 0 only if every step proved itself."""
    return asyncio.run(_run(Telling(to_stderr=as_json), stay=stay, as_json=as_json))


async def _run(telling: Telling, *, stay: bool, as_json: bool) -> int:
    try:
        with telling.step("Starting PostgreSQL, web and media from nothing"):
            stage = await Stage.open()
    except StageFailed as failed:
        telling.say(str(failed))
        return 1
    try:
        session, figures = await _play(stage, telling)
        if figures is not None:
            telling.sum_up(figures)
            if as_json:
                print(json.dumps(figures.as_json()), flush=True)
        if stay and session:
            await _keep_serving(stage, telling, session)
        return 0 if figures is not None and not figures.failures() else 1
    finally:
        await stage.close()


async def _play(stage: Stage, telling: Telling) -> tuple[str, Figures | None]:
    browsers = [Browser(stage.settings.origin) for _ in range(2 + len(GUESTS))]
    owner = Owner(browsers[0])
    guests = [
        Guest(number=n, name=name, address=address, browser=browser)
        for (n, name, address), browser in zip(GUESTS, browsers[2:], strict=True)
    ]
    story = Story(stage=stage, telling=telling, owner=owner, outbox=Outbox(browsers[1]), guests=guests)
    try:
        figures = await story.play()
        return owner.session, figures
    except (DeadEnd, PublishFailed, StageFailed, httpx.HTTPError) as stopped:
        telling.say(f"[bold]NOT PROVED[/] {stopped}")
        telling.say(f"What the platform wrote meanwhile: {stage.settings.data_dir / 'serve.log'}")
        return owner.session, None
    finally:
        for browser in browsers:
            await browser.close()


async def _keep_serving(stage: Stage, telling: Telling, session: str) -> None:
    """A fresh sign-in link of the review page, then wait for Ctrl-C."""
    browser = Browser(stage.settings.origin)
    try:
        page = await browser.open(f"/sign-in?next=/sessions/{session}/review")
        await browser.submit(page, "/sign-in", {"email": OWNER_ADDRESS})
        link = await until(lambda: Outbox(browser).link(OWNER_ADDRESS, "next="))
    finally:
        await browser.close()
    telling.say(f"\nSee and hear it (signs you in as {OWNER_ADDRESS}, once, within 10 minutes):\n  {link}")
    telling.say(f"Mails wait in {stage.settings.origin}/outbox. Serving until you press Ctrl-C.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ended = asyncio.create_task(stage.serving.wait())
    await asyncio.wait({asyncio.create_task(stop.wait()), ended}, return_when=asyncio.FIRST_COMPLETED)
