"""The owner's pages of keeping, holds, requests and certificates in a real Chromium: readable for everyone, no wider
than a phone, and used without JavaScript from the first press to the last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import select, update

from app.accounts.login import start_login
from app.accounts.models import Scope
from app.database import now_in
from app.privacy.erasing.service import run_erasure
from app.privacy.keeping.closing_job import run_closing
from app.privacy.records.models import DataRequest, Erasure, RequestKind, RequestState, RequestWay
from app.privacy.rights.noting import Wish, note_for
from app.privacy.rights.requests import ask as ask_request
from app.room.node_client import NodeClient
from app.sessions.models import Recording, Session, SessionState
from app.sessions.service import schedule
from app.studies.clocks import Ending
from app.studies.models import Study
from app.studies.tallies import add_answer
from recordings.model import PersonId, StreamKind
from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.app.test_participant_pages_in_browser import MemberLook
from tests.fixtures.answering import ask_three
from tests.fixtures.erasing import SpyNodes, ask
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here

LONG = "The participant's lawyer has announced a claim about the picture at minute 12; see our file 12/27."


async def kept(cast: Cast, folder: Path) -> None:
    """Sessions that go in two days, in three weeks, in months, past their date, and one without a date."""
    first, second = cast.participant.participant, cast.other_participant.participant
    await stored_recording(cast, folder / "a", person=first, transcript=True, seconds=1.0)
    await stored_recording(cast, folder / "b", person=first, stream=StreamKind.SCREEN, seconds=1.0)
    await stored_recording(cast, folder / "c", person=second, session=cast.other_session, seconds=1.0)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        sessions = [cast.session, cast.other_session]
        for number in range(3):
            sessions.append(await schedule(db, account=cast.account, study=cast.study, title=f"Pilot {number + 3}"))
            camera = (await db.scalars(select(Recording).where(Recording.session_id == cast.other_session))).one()
            copied = {c.name: getattr(camera, c.name) for c in Recording.__table__.columns if c.name != "id"}
            db.add(Recording(**copied | {"session_id": sessions[-1]}))
        for session, left in zip(sessions, (2, 20, 100, 101, -1), strict=True):
            ended = now - timedelta(days=180 - left)
            state = {"state": SessionState.ENDED, "ended_at": ended}
            await db.execute(update(Session).where(Session.id == session).values(**state))
            await db.execute(update(Recording).where(Recording.session_id == session).values(created_at=ended))


async def counted(cast: Cast) -> None:
    """The study keeps counts of choices, of one question enough to be told."""
    _, choice, scale = await ask_three(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(ending=Ending.ANONYMISE))
        for number in range(9):
            await add_answer(db, account=cast.account, question=choice, chosen=["Mouse", "Touch"][: 1 + number // 5])
        await add_answer(db, account=cast.account, question=scale, chosen=["3"])


async def test_every_page_is_readable_for_everyone(cast: Cast, served: str, chromium: Browser, tmp_path: Path) -> None:
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await sign_in(page, cast, served)
    look = MemberLook(page)
    for name in ("retention", "holds", "requests", "erasures"):
        await page.goto(f"{served}/{name}")
        await look.at(f"owner-{name}-empty")
    await kept(cast, tmp_path)
    await page.goto(f"{served}/retention/account")
    await look.at("owner-retention-account")
    await page.get_by_label("A number of days after the session").check()
    await page.get_by_label("Days", exact=True).fill("90")
    await page.get_by_text("Shorter for one kind").click()
    await page.get_by_label("Camera picture (optional)").fill("60")
    await page.get_by_role("button", name="Look what that means").click()
    await look.at("owner-retention-listed")
    await page.goto(f"{served}/sessions/{cast.session}/retention")
    await page.get_by_role("link", name="Anna").click()
    await page.get_by_text("Shorter for one kind").click()
    await page.get_by_label("Answers (optional)").fill("0")
    await page.get_by_role("button", name="Look what that means").click()
    await look.at("owner-retention-person-wrong")
    await page.goto(f"{served}/studies/{cast.study}/retention")
    await page.get_by_label("A number of days after the participant's last session in the study").check()
    await page.get_by_label("Days", exact=True).fill("100")
    await page.get_by_label("keep how often each choice was taken").check()
    await look.at("owner-retention-study")
    await page.get_by_role("button", name="Look what that means").click()
    await expect(page.get_by_text("From now on: 100 days after the participant's last session")).to_be_visible()
    await look.at("owner-retention-last-session")
    await counted(cast)
    await page.goto(f"{served}/studies/{cast.study}")
    await look.at("owner-study-counts")
    await page.goto(f"{served}/sessions/{cast.session}/hold")
    await page.get_by_role("button", name="Set the hold").click()
    await look.at("owner-hold-wrong")
    await page.get_by_label("What it is about").fill(LONG)
    async with cast.wiring.database.transaction(cast.account) as db:
        soon = await now_in(db) + timedelta(days=9)
    await page.get_by_label("Review by").fill(f"{soon:%Y-%m-%d}")
    await page.get_by_role("button", name="Set the hold").click()
    await look.at("owner-session-held")
    await page.goto(f"{served}/holds")
    await look.at("owner-holds")
    await page.goto(f"{served}/retention")
    await look.at("owner-retention")
    async with cast.wiring.database.transaction(cast.account) as db:
        for kind in (RequestKind.OBJECTION, RequestKind.RECTIFICATION):
            request = await ask_request(
                db,
                cast.wiring,
                account=cast.account,
                participant=cast.other_participant.participant,
                kind=kind,
                words="My name is spelt with two t.\nPlease correct it in the notes as well.",
            )
    erasure = await ask(cast, cast.participant.participant)
    await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())
    other = await ask(cast, cast.other_participant.participant, recordings=[(await some_recording(cast))])
    await run_erasure(cast.wiring, cast.account, other.id, nodes=SpyNodes(reachable=False))
    await page.goto(f"{served}/requests")
    await look.at("owner-requests")
    await page.goto(f"{served}/requests/{request.id}")
    await page.get_by_role("button", name="Send the answer").click()
    await look.at("owner-request-wrong")
    await page.goto(f"{served}/erasures")
    await look.at("owner-erasures")
    await page.goto(f"{served}/erasures/{erasure.id}")
    await look.at("owner-erasure-held")
    await page.goto(f"{served}/account/close")
    await look.at("owner-close-requests")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(DataRequest).values(state=RequestState.DONE))
    await page.reload()
    await page.get_by_label("Name of the account").fill("Another")
    await page.get_by_role("button", name="Announce it for").click()
    await look.at("owner-close-wrong")
    await page.get_by_label("Name of the account").fill(
        (await page.get_by_role("heading", level=1).inner_text()).split("“")[1].split("”")[0]
    )
    name = await page.get_by_label("Name of the account").input_value()
    await page.get_by_role("button", name="Announce it for").click()
    await look.at("owner-close-announced")
    await page.get_by_role("link", name="Export the account").click()
    await look.at("owner-export")
    await page.get_by_role("complementary").get_by_role("button", name="Keep the account").click()
    await page.get_by_label("Name of the account").fill(name)
    await page.get_by_role("button", name="Close the account today").click()
    await look.at("owner-closed-erasures")
    await run_closing(cast.wiring, cast.account, nodes=NodeClient(cast.wiring.settings))
    async with cast.wiring.database.transaction(cast.account) as db:
        asked = list(await db.scalars(select(Erasure.id).where(Erasure.finished_at.is_(None))))
    for one in asked:
        await run_erasure(cast.wiring, cast.account, one, nodes=SpyNodes())
    await run_closing(cast.wiring, cast.account, nodes=NodeClient(cast.wiring.settings))
    await page.reload()
    await look.at("owner-closed-held")
    await page.get_by_role("link", name="at an address of its own").click()
    await look.at("account-closed")
    await page.goto(f"{served}/members")
    await look.at("owner-closed")
    await context.close()
    assert look.wrong == {}


async def test_noting_a_request_is_readable_for_everyone(cast: Cast, served: str, chromium: Browser) -> None:
    """Somebody phoned: found by the address, noted, and waiting for their word."""
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await sign_in(page, cast, served)
    look = MemberLook(page)
    await page.goto(f"{served}/requests")
    await page.get_by_role("link", name="Note a request").click()
    await page.get_by_label("E-mail address").fill("nobody@home.example")
    await page.get_by_role("button", name="Next").click()
    await look.at("owner-noting-who-wrong")
    await page.get_by_label("E-mail address").fill("ben@home.example")
    await page.get_by_role("button", name="Next").click()
    await page.get_by_role("button", name="Note the request").click()
    await look.at("owner-noting-wrong")
    await page.get_by_label("A copy of what is held").check()
    await page.get_by_label("by phone").check()
    await page.get_by_label("On which day?").fill(f"{datetime.now(UTC):%Y-%m-%d}")
    await page.get_by_role("button", name="Note the request").click()
    await look.at("owner-request-noted")
    await page.goto(f"{served}/disclosures")
    await look.at("owner-disclosures-empty")
    await page.goto(f"{served}/sessions/{cast.session}/disclosures")
    await page.get_by_label("Anna").check()
    await page.get_by_role("button", name="Note it").click()
    await look.at("session-disclosures-wrong")
    given_on = await page.get_by_label("On which day?").input_value()
    await page.get_by_label("Who got it").fill("District Court of Neukirchen")
    await page.get_by_label("How they can be told").fill("Room 7, file 12 C 7/26")
    await page.get_by_label("name and address").check()
    await page.get_by_label("Why", exact=True).select_option("because a law or an authority asks for it")
    await page.get_by_label("Which law, order or agreement").fill("Order of 2 November")
    await page.get_by_label("Yes, before it was given").check()
    await page.get_by_role("button", name="Note it").click()
    await expect(page.get_by_role("link", name="Correct the entry of District Court of Neukirchen")).to_be_visible()
    await look.at("session-disclosures")
    async with cast.wiring.database.transaction(cast.account) as db:
        anna = cast.participant.participant
        await ask_request(db, cast.wiring, account=cast.account, participant=anna, kind=RequestKind.RESTRICTION)
    await page.goto(f"{served}/disclosures")
    await page.get_by_role("button", name="Note it").click()
    await look.at("owner-disclosures")
    await page.get_by_label("Told on").fill(given_on)  # today, where the session is
    await page.get_by_role("button", name="Note it").click()
    await expect(page.get_by_text("Tell these recipients")).to_have_count(0)
    await context.close()
    assert look.wrong == {}


async def some_recording(cast: Cast) -> object:
    async with cast.wiring.database.transaction(cast.account) as db:
        return (await db.scalars(select(Recording.id).where(Recording.session_id == cast.other_session))).one()


async def test_a_shorter_time_a_hold_and_an_answer_without_javascript(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    await kept(cast, tmp_path)
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.get_by_role("link", name="Retention").click()
    await page.get_by_role("link", name="Hold Pilot 1").click()
    await page.get_by_label("What it is about").fill(LONG)
    async with cast.wiring.database.transaction(cast.account) as db:
        soon = await now_in(db) + timedelta(days=9)
    await page.get_by_label("Review by").fill(f"{soon:%Y-%m-%d}")
    await page.get_by_role("button", name="Set the hold").click()
    await page.goto(f"{served}/studies/{cast.study}/edit")
    await page.get_by_label("Days after the session").fill("90")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Keep only 90 days?")).to_be_visible()
    await expect(page.get_by_role("table").get_by_role("link", name="Pilot 2")).to_be_visible()
    await expect(page.get_by_role("table").get_by_role("link", name="Pilot 1")).to_have_count(0)
    await page.get_by_role("button", name="and keep 90 days").click()
    await page.get_by_role("link", name="Retention").click()
    await expect(page.get_by_role("rowheader", name="Past its date")).to_be_visible()
    await page.get_by_role("link", name="2 holds").click()
    await page.get_by_role("button", name="Lift the hold of Pilot 1, camera").click()
    await page.get_by_role("button", name="Lift the hold of Pilot 1, screen").click()
    await expect(page.get_by_text("Nothing is held.")).to_be_visible()
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(Study.retention_days))).one() == 90
        assert (await db.scalars(select(Erasure))).all() == []
    await context.close()


async def noted_for(cast: Cast, person: PersonId) -> str:
    """An owner wrote down that they want a copy; the link of the mail about it."""
    async with cast.wiring.database.transaction(cast.account) as db:
        wish = Wish(
            kind=RequestKind.ACCESS,
            way=RequestWay.LETTER,
            came_on=(await now_in(db)).date(),
            words="Everything, please.",
        )
        await note_for(db, cast.wiring, account=cast.account, participant=person, wish=wish, by=cast.owner)
    text = next(mail.text for row, mail in await mails(cast.wiring) if row.template == "request_noted" and mail)
    return "/asked/" + text.partition("/asked/")[2].split()[0]


async def test_what_a_participant_asks_for_without_javascript(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    """Name, restriction and an objection under My data, held and restricted recordings among them."""
    await kept(cast, tmp_path)
    person = cast.participant.participant
    async with cast.wiring.database.transaction(cast.account) as db:
        held = {"held_reason": "legal claim", "held_until": await now_in(db) + timedelta(days=30)}
        await db.execute(update(Recording).where(Recording.person_id == person).values(**held))
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=person,
            session=cast.session,
        )
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    await context.add_cookies([{"name": "login", "value": cookie.value or "", "url": served}])
    page = await context.new_page()
    look = MemberLook(page)
    await page.goto(f"{served}/my-data")
    await expect(page.get_by_text("Kept because a legal claim is being examined.").first).to_be_visible()
    await page.get_by_role("link", name="Correct my name").click()
    await page.get_by_role("button", name="Send the request").click()
    await look.at("my-requests-wrong")
    await page.get_by_label("First name").fill("Annika")
    await page.get_by_role("button", name="Correct my name").click()
    await expect(page.get_by_text("Annika")).to_be_visible()
    await page.get_by_role("link", name="Ask for a copy").click()
    await page.get_by_label("I object to the use").check()
    await page.get_by_label("Your words").fill("I do not want to be used in a training.")
    await page.get_by_role("button", name="Send the request").click()
    await expect(page.get_by_text("an answer is due by")).to_be_visible()
    await look.at("my-data-requests")
    await page.goto(f"{served}/my-data/supplements")
    await page.get_by_role("button", name="Add it").click()
    await look.at("my-supplements-wrong")
    await page.get_by_label("camera and microphone").check()
    await page.get_by_label("What is missing").fill("Before this I had explained why I was in a hurry.")
    await page.get_by_role("button", name="Add it").click()
    await look.at("my-supplements")
    path = await noted_for(cast, person)
    await page.goto(f"{served}{path}")
    await look.at("asked")
    await page.goto(f"{served}/my-data#requests")
    await look.at("my-data-asked")
    await page.get_by_role("button", name="Yes, I asked for this").click()
    await expect(page.get_by_role("button", name="Yes, I asked for this")).to_have_count(0)
    await context.close()
    assert look.wrong == {}
