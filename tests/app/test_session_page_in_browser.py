"""The page of a session in every state it can be in: what to do next stands at the top, readable for everyone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import update

from app.sessions.models import Recording, RecordingState, Session, SessionState, Track, Transcript, TranscriptState
from recordings.model import StreamKind
from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.app.test_participant_pages_in_browser import MemberLook
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here


async def change(cast: Cast, model: Any, *where: Any, **values: object) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(model).where(*where).values(**values))


async def test_every_state_says_what_to_do_next(cast: Cast, served: str, chromium: Browser, tmp_path: Path) -> None:
    anna, now = cast.participant.participant, datetime.now(UTC)
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await sign_in(page, cast, served)
    look, path, this = MemberLook(page), f"{served}/sessions/{cast.session}", Session.id == cast.session

    async def seen(name: str, step: str) -> None:
        await page.goto(path)
        await expect(page.locator(".next a.button")).to_have_text(step)
        await look.at(f"session-{name}")

    await seen("scheduled", "Go to the room")
    await change(cast, Session, this, state=SessionState.LIVE, recording="on", started_at=now, recording_at=now)
    await seen("live", "Go to the room")
    recording = await stored_recording(cast, tmp_path, person=anna, paused_s=2.0, transcript=True)
    await stored_recording(cast, tmp_path, person=anna, stream=StreamKind.SCREEN)
    await stored_recording(cast, tmp_path, person=cast.researcher)
    await change(cast, Session, this, state=SessionState.ENDED, recording="off", ended_at=now)
    began = now - timedelta(minutes=3)
    await change(cast, Transcript, state=TranscriptState.RUNNING, progress=0.6, began_at=began)
    await seen("making", "Review")
    await change(cast, Recording, Recording.stream == "screen", state=RecordingState.FAILED, failure_reason="Disk full")
    await change(cast, Transcript, state=TranscriptState.FAILED, failure_reason="The speech model is not installed")
    await change(cast, Track, Track.kind == "camera", Track.recording_id == recording, frames=0)
    await seen("failed", "Review")
    await page.get_by_role("button", name="Try again: Anna, screen").click()
    await change(cast, Recording, state=RecordingState.STORED, failure_reason=None)
    await change(cast, Transcript, state=TranscriptState.READY, words=0, coverage=None)
    await seen("ready", "Review")
    await expect(page.get_by_text("nobody spoke")).to_be_visible()
    await page.goto(f"{served}/sessions")
    await look.at("sessions")
    await context.close()
    assert look.wrong == {}


async def test_six_people_with_their_screens_have_room(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    anna, ben = cast.participant.participant, cast.other_participant.participant
    for person in (anna, ben, cast.owner, cast.researcher):
        for stream in StreamKind:
            await stored_recording(cast, tmp_path, person=person, stream=stream, seconds=1.0)
    await change(cast, Recording, Recording.person_id == ben, Recording.stream == "screen", hidden_at=datetime.now(UTC))
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/sessions/{cast.session}/review")
    await expect(page.locator("figure")).to_have_count(7)
    await expect(page.locator("figure.large")).to_have_count(1)
    await expect(page.locator(".absent")).to_contain_text("Ben, screen: This recording is not shown any more")
    look = MemberLook(page)
    await look.at("review-group")
    await context.close()
    assert look.wrong == {}
