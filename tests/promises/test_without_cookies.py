"""T0-49: with cookies refused, the invitation, registering, unsubscribing and asking for one's rights work; for the
rest a person is told why it does not, and what to do instead."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.demo.browser import Browser
from app.mail.models import Suppression
from app.participants.models import Consent, Participant
from app.privacy.records.models import DataRequest, Erasure, RequestKind
from app.sessions.models import Recording
from tests.promises.world import World

REFUSED = {"en": "your browser refuses cookies", "de": "lehnt Ihr Browser Cookies ab"}


def refusing(world: World) -> Browser:
    """A browser that keeps no cookie of any answer."""
    browser = world.browser()

    async def forget(_answer: object) -> None:
        browser.http.cookies.clear()

    browser.http.event_hooks["response"] = [forget]
    return browser


async def test_t0_49_the_invitation_is_read_and_registering_is_kept(world: World):
    browser = refusing(world)
    page = await browser.open(world.anna.link)
    assert page.status == 200 and "Privacy notice" in page.words
    answer = await world.post(browser, world.anna.link, {"name": "Anna", "email": world.anna.email})
    assert answer.status_code == 303 and "set-cookie" in answer.headers
    after = await browser.open(answer.headers["location"])
    assert after.status == 401 and REFUSED["en"] in after.words
    [row] = await world.rows(world.lab, Participant, Participant.id == world.anna.person)
    assert row.registered_at is not None
    assert await world.rows(world.lab, Consent) == [] == await world.rows(world.lab, Recording)


@pytest.mark.parametrize("language", sorted(REFUSED))
async def test_t0_49_what_needs_the_cookie_says_so_and_names_another_way(world: World, language: str):
    """Never a way round in circles from the link to "open the link"; with the cookie nothing of it is said."""
    lab = world.lab
    for path in (f"/take-part/{lab.session}", f"/take-part/{lab.session}/notice", "/my-data", "/my-data/requests"):
        shown = await refusing(world).open(f"{path}?language={language}")
        assert shown.status == 401 and REFUSED[language] in shown.words, path
        for private in (world.anna.name, world.anna.email, lab.session, "Kitchens"):
            assert str(private) not in shown.words, path
    allowing = world.browser()
    await world.post(allowing, world.anna.link, {"name": "Anna", "email": world.anna.email})
    come_in = await allowing.open(f"/take-part/{lab.session}?language={language}")
    assert come_in.status == 200 and REFUSED[language] not in come_in.words
    stranger = await world.browser().open("/members")
    assert REFUSED["en"] not in stranger.words, "members sign in by another link"


async def test_t0_49_unsubscribing_needs_no_cookie(world: World):
    browser = refusing(world)
    page = await browser.open(world.anna.unsubscribe)
    assert page.status == 200
    done = await browser.submit(page, world.anna.unsubscribe)
    assert done.status == 200 and "set-cookie" not in done.html
    assert len(await world.rows(world.lab, Suppression)) == 1


async def test_t0_49_rights_are_asked_for_by_answering_the_mail(world: World):
    """The answer reaches the owner (J4-23), who notes it: it counts from the day it came, and what protects the person
    is done at once, with no cookie of theirs."""
    await world.registered(world.anna)
    [mail] = await world.mails(world.lab, person=world.anna.person)
    assert mail.headers["Reply-To"] == world.lab.contact_email
    owner = await world.member(world.lab)
    noted = {"kind": "erasure", "way": "e-mail", "came_on": f"{datetime.now(UTC):%Y-%m-%d}"}
    answer = await world.post(owner, f"/requests/for/{world.anna.person}", noted)
    assert answer.status_code == 303
    [request] = await world.rows(world.lab, DataRequest)
    assert request.kind == RequestKind.ERASURE and request.participant_id == world.anna.person
    assert len(await world.rows(world.lab, Erasure)) == 1
    told = (await world.mails(world.lab, person=world.anna.person))[-1]
    assert request.receipt in told.text, "and they hear of it"
