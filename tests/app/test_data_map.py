"""Whatever is kept is declared, and the page that says so is for everybody."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from app.logs import ALLOWED
from app.privacy.records.inventory import INVENTORY
from app.privacy.records.places import PLACES
from app.privacy.replaying import catch_up
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast

OBJECTS = {name: re.compile(place.key) for name, place in PLACES.items() if place.key}
RECORDING = "/".join(str(uuid4()) for _ in range(4))


def declared(key: str) -> list[str]:
    return [name for name, pattern in OBJECTS.items() if pattern.fullmatch(key)]


async def test_every_object_is_declared_once(cast: Cast, tmp_path) -> None:
    await catch_up(cast.wiring, SpyNodes())
    await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    found = [declared(entry.key) for entry in cast.wiring.store.list("")]
    assert {name for names in found for name in names} == set(OBJECTS)
    assert all(len(names) == 1 for names in found)


@pytest.mark.parametrize("key", ["thumbnail.jpg", f"{RECORDING}/thumbnail", f"{RECORDING}/t/words", "exports/all.zip"])
def test_an_object_of_a_new_kind_is_declared_nowhere(key: str) -> None:
    assert declared(key) == []


def test_every_key_of_a_log_event_is_declared() -> None:
    assert {field for place in PLACES.values() for field in place.fields.split()} == ALLOWED


@pytest.mark.parametrize("who", ["stranger", "participant", "owner", "observer", "other_owner"])
async def test_everybody_reads_what_is_kept_and_until_when(cast: Cast, who: str) -> None:
    answer = await (await cast.browser(who)).get("/data-map")
    assert answer.status_code == 200
    for name in (*PLACES, *(table.replace("_", " ") for table in INVENTORY)):
        assert f"<strong>{name.capitalize()}</strong>" in answer.text, name


async def test_in_german_the_words_around_it_are_german(cast: Cast) -> None:
    page = (await (await cast.browser("stranger")).get("/data-map?language=de")).text
    assert "<h1>Alles, was gespeichert wird</h1>" in page and "Wofür" in page
