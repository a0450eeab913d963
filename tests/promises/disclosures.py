"""What an owner gives to somebody outside and notes: to a doctor, or to a court."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx

from app.demo.browser import Browser
from app.sessions.disclosure_models import Disclosure
from tests.promises.world import Guest, World


def today() -> date:
    return datetime.now(UTC).date()


def given(*people: Guest, **more: Any) -> dict[str, Any]:
    """What an owner fills in: a GP who was told because of a severe risk, without time to ask."""
    return {
        "people": [str(one.person) for one in people],
        "recipient": "Dr Meier",
        "contact": "practice@meier.example, phone 030 1234",
        "kinds": ["contact", "video", "audio"],
        "ground": "vital",
        "words": "They said that they would harm themselves.",
        "given_on": f"{today()}",
        "told": "no",
        "untold": "Phoned twice, nobody answered.",
        **more,
    }


def court(*people: Guest, **more: Any) -> dict[str, Any]:
    words = {"recipient": "District Court", "contact": "file 12 C 7/26", "words": "Order of 2 November, 12 C 7/26"}
    return given(*people, ground="law", **words) | more


async def noted(world: World, form: dict[str, Any], browser: Browser | None = None) -> httpx.Response:
    path = f"/sessions/{world.lab.session}/disclosures"
    return await world.post(browser or await world.member(world.lab), path, form)


async def entries(world: World) -> list[Disclosure]:
    return await world.rows(world.lab, Disclosure, order=Disclosure.at)
