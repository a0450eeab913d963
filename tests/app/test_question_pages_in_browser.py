"""Questions and answers in a real Chromium: asked and answered without JavaScript and by keyboard alone, readable for
everyone (axe, WCAG 2.2 AA) and never wider than a phone."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.app.test_participant_pages_in_browser import Look
from tests.fixtures.answering import SAID, answered, ask_three, proven, took_part
from tests.fixtures.web import Cast

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here


async def come_in(page: Page, cast: Cast) -> None:
    """By the mailed link, registered already."""
    await page.goto(cast.participant.link)
    await page.get_by_role("button", name="Continue").click()


async def with_login(page: Page, served: str, cast: Cast) -> None:
    """As after the mailed code."""
    cookie = (await proven(cast)).headers["cookie"].partition("=")[2]
    await page.context.add_cookies([{"name": "login", "value": cookie, "url": served}])


async def add(page: Page, kind: str, fields: dict[str, str]) -> None:
    await page.get_by_role("link", name=kind, exact=True).click()
    for label, text in fields.items():
        await page.get_by_label(label).fill(text)
    await page.get_by_role("button", name="Add the question").click()


async def test_a_researcher_asks_and_a_participant_answers_without_javascript(
    cast: Cast, served: str, chromium: Browser
) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/studies/{cast.study}")
    await add(page, "in their own words", {"Question": "What annoyed you?"})
    await page.get_by_role("link", name="by choosing", exact=True).click()
    await page.get_by_label("Question").fill("Which did you use?")
    await page.get_by_label("Options").fill("Mouse")
    await page.get_by_role("button", name="Add the question").click()
    await expect(page.get_by_text("2 to 12 options")).to_be_visible()
    assert await page.get_by_label("Question").input_value() == "Which did you use?"
    await page.get_by_label("Options").fill("Mouse\nTouch")
    await page.get_by_label("Several of them").check()
    await page.get_by_role("button", name="Add the question").click()
    await add(page, "on a scale", {"Question": "How easy was it?", "What the lowest means": "Hard"})
    await page.get_by_role("button", name="Move up: How easy was it?").click()
    await expect(page.locator(".asked .prompt")).to_have_text(
        ["What annoyed you?", "How easy was it?", "Which did you use?"]
    )
    await page.get_by_role("button", name="Remove: What annoyed you?").click()
    await page.get_by_role("link", name="Change: Which did you use?").click()
    await page.get_by_label("Question").fill("What did you use?")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".asked .prompt")).to_have_text(["How easy was it?", "What did you use?"])
    await took_part(cast)
    person = await chromium.new_context(java_script_enabled=False)
    theirs = await person.new_page()
    await come_in(theirs, cast)
    await theirs.goto(f"{served}/take-part/{cast.session}/questions")
    await theirs.get_by_role("button", name="Send my answers").click()
    await expect(theirs.get_by_role("alert")).to_contain_text("not answered anything")
    await theirs.get_by_label("4", exact=True).check()
    await theirs.get_by_label("Touch").check()
    await theirs.get_by_role("button", name="Send my answers").click()
    await expect(theirs.get_by_role("heading", name="Thank you for your answers")).to_be_visible()
    await page.goto(f"{served}/sessions/{cast.session}/answers")
    await expect(page.get_by_text("Touch")).to_be_visible()
    await context.close()
    await person.close()


async def test_the_questions_are_answered_by_keyboard_alone(cast: Cast, served: str, chromium: Browser) -> None:
    await ask_three(cast)
    await took_part(cast)
    context = await chromium.new_context()
    page = await context.new_page()
    await come_in(page, cast)
    await page.goto(f"{served}/take-part/{cast.session}/questions")
    await page.get_by_label("What annoyed you?").focus()
    keyboard = page.keyboard
    await keyboard.type("Nothing")
    await keyboard.press("Tab")
    await expect(page.get_by_label("Mouse")).to_be_focused()
    await keyboard.press("Space")
    for _ in range(3):
        await keyboard.press("Tab")
    await expect(page.get_by_label("1 Hard")).to_be_focused()
    await keyboard.press("ArrowDown")
    await keyboard.press("ArrowDown")
    await expect(page.get_by_label("3", exact=True)).to_be_checked()
    await keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Send my answers")).to_be_focused()
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Thank you for your answers")).to_be_visible()
    await context.close()


async def test_every_page_of_questions_is_readable_for_everyone(cast: Cast, served: str, chromium: Browser) -> None:
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    look = Look(await context.new_page())
    await researchers_pages(look, cast, served)
    await participants_pages(look, cast, served)
    await context.close()
    assert look.wrong == {}


async def researchers_pages(look: Look, cast: Cast, served: str) -> None:
    page = look.page
    await sign_in(page, cast, served)
    study, session = f"{served}/studies/{cast.study}", f"{served}/sessions/{cast.session}"
    await page.goto(f"{study}/questions/new?kind=choice")
    await look.at("question-first")
    await page.get_by_role("button", name="Add the question").click()
    await look.at("question-wrong")
    await page.goto(f"{session}/answers")
    await look.at("answers-nothing-asked")
    asked = await ask_three(cast)
    for name, path in {
        "study-with-questions": study,
        "question-scale": f"{study}/questions/new?kind=scale",
        "question-change": f"{study}/questions/{asked[1].id}/edit",
        "consent-texts": f"{study}/consent-texts",
        "study-close": f"{study}/close",
        "study-edit": f"{study}/edit",
        "answers-none": f"{session}/answers",
    }.items():
        await page.goto(path)
        await look.at(name)
    await page.goto(f"{study}/close")
    await page.get_by_role("button", name="Close this study").click()
    await look.at("study-closed")
    await answered(cast, "other_participant", text=f"{SAID}.\n\n" + "Averylongwordwithoutanyspace" * 12)
    await page.goto(f"{served}/sessions/{cast.other_session}/answers")
    await look.at("answers")
    await page.goto(f"{served}/sessions/{cast.other_session}/erase")
    await look.at("erase-session-with-answers")


async def participants_pages(look: Look, cast: Cast, served: str) -> None:
    page = look.page
    await page.context.clear_cookies()
    await took_part(cast)
    await come_in(page, cast)
    questions = f"{served}/take-part/{cast.session}/questions"
    await page.goto(questions)
    await look.at("questions")
    await page.get_by_label("What annoyed you?").fill("x" * 6000)
    await page.get_by_role("button", name="Send my answers").click()
    await look.at("questions-wrong")
    await answered(cast)
    await page.goto(questions)
    await look.at("questions-thanks")
    await with_login(page, served, cast)
    await page.goto(questions)
    await expect(page.get_by_label("What annoyed you?")).to_have_value(SAID)
    await look.at("questions-changing")
    await page.goto(f"{served}/my-data")
    await look.at("my-data-with-answers")
    await page.get_by_role("button", name="Erase my answers").click()
    await look.at("erase-answers")
    await page.get_by_role("button", name="Erase my answers").click()
    await page.wait_for_url(f"{served}/receipt/*")
    await page.goto(questions)
    await look.at("questions-refused")
