"""My data: opened by a code mailed to the registered address only, shows what is held, and erases it; the
receipt and the owner's pages of erasures with everybody who may not see them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, select, update

from app.accounts.models import Login, Scope
from app.mail.models import OutgoingMail
from app.mail.service import is_suppressed
from app.participants.models import DataCode, Participant
from app.privacy.erasing.certificate import verify_file
from app.privacy.erasing.service import run_erasure
from app.privacy.records.models import Erasure, ErasureReason
from app.sessions.models import Session, SessionState
from recordings.model import RecordingId
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, ORIGIN, Cast, mails

TYPED = {"name": "Anna", "email": "anna@home.example"}


async def registered(cast: Cast) -> httpx.AsyncClient:
    """The participant, come in by the link."""
    browser = await cast.browser("stranger")
    await browser.post(cast.participant.link.removeprefix(ORIGIN), data=TYPED)
    return browser


async def mailed_code(cast: Cast) -> str:
    sent = next(mail for row, mail in await mails(cast.wiring) if row.template == "data_code")
    assert sent is not None and sent.to == "anna@home.example" and "study@lab.example" in sent.text
    found = re.search(r"^([0-9]{6})$", sent.text, re.MULTILINE)
    assert found and found[1] not in sent.subject
    return found[1]


async def inside(cast: Cast) -> httpx.AsyncClient:
    """The participant, with stored data open."""
    browser = await registered(cast)
    assert (await browser.post("/my-data/code")).headers["location"] == "/my-data/code"
    answer = await browser.post("/my-data/open", data={"code": await mailed_code(cast)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/my-data")
    return browser


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)


async def test_the_code_shows_what_is_held_until_when_and_who_sees_it(cast: Cast, recording: RecordingId) -> None:
    browser = await registered(cast)
    await browser.post(f"/take-part/{cast.session}", data={"consent": ["video", "audio"]})
    assert "anna@home.example" not in (await browser.get("/my-data")).text
    await browser.post("/my-data/code")
    await browser.post("/my-data/open", data={"code": await mailed_code(cast)})
    page = (await browser.get("/my-data")).text
    for part in ("Anna", "anna@home.example", "Checkout", "1 owner and 1 researcher of Lab"):
        assert part in page
    assert "We keep this until" in page and "Camera and microphone" in page and "ready, 12 words" in page
    assert page.count(" given</th>") == 2 and "Take back video" in page and "Ben" not in page


async def test_the_browser_does_not_lose_the_room_and_closes_after_ten_minutes(cast: Cast) -> None:
    browser = await inside(cast)
    assert (await browser.get(f"/take-part/{cast.session}")).status_code == 200
    async with cast.wiring.database.transaction(cast.account) as db:
        rows = list(await db.scalars(select(Login).where(Login.participant_id == cast.participant.participant)))
        assert [row.scope for row in rows] == [Scope.ROOM], "the login before was replaced by a fresh one"
        await db.execute(update(Login).values(data_until=Login.data_until - timedelta(minutes=10)))
    assert "Send me a code" in (await browser.get("/my-data")).text
    assert (await browser.post("/my-data/erase")).status_code == 401
    assert (await browser.get(f"/take-part/{cast.session}")).status_code == 200


async def test_five_wrong_tries_end_a_code_even_for_the_right_one(cast: Cast) -> None:
    browser = await registered(cast)
    await browser.post("/my-data/code")
    code = await mailed_code(cast)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    for _ in range(5):
        answer = await browser.post("/my-data/open", data={"code": wrong})
        assert answer.status_code == 422 and "not the code" in answer.text
    answer = await browser.post("/my-data/open", data={"code": code})
    assert answer.status_code == 422 and "Too many wrong tries" in answer.text
    assert "Send me a code" in (await browser.get("/my-data")).text


async def test_a_code_works_once_ten_minutes_long_and_only_the_newest(cast: Cast) -> None:
    browser = await registered(cast)
    await browser.post("/my-data/code")
    first = await mailed_code(cast)
    await age_codes(cast, timedelta(minutes=1))
    await browser.post("/my-data/code")
    second = await mailed_code(cast)
    if first != second:
        assert (await browser.post("/my-data/open", data={"code": first})).status_code == 422
    spaced = f"{second[:3]} {second[3:]}"
    assert (await browser.post("/my-data/open", data={"code": spaced})).status_code == 303
    assert (await browser.post("/my-data/open", data={"code": second})).status_code == 422, "used"
    await age_codes(cast, timedelta(hours=1))
    await browser.post("/my-data/code")
    third = await mailed_code(cast)
    await age_codes(cast, timedelta(minutes=10))
    answer = await browser.post("/my-data/open", data={"code": third})
    assert answer.status_code == 422 and "no longer valid" in answer.text


async def age_codes(cast: Cast, by: timedelta) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(DataCode).values(expires_at=DataCode.expires_at - by))
        await db.execute(delete(OutgoingMail).where(OutgoingMail.template == "data_code"))


async def test_the_page_for_the_code_can_be_loaded_again_and_mails_nothing(cast: Cast) -> None:
    """A phone forgets a page while its owner reads the mail."""
    browser = await registered(cast)
    assert (await browser.get("/my-data/code")).headers["location"] == "/my-data", "no code was asked for"
    await browser.post("/my-data/code")
    for _ in range(2):
        assert 'name="code"' in (await browser.get("/my-data/code")).text
    await browser.post("/my-data/open", data={"code": await mailed_code(cast)})
    assert (await browser.get("/my-data/code")).headers["location"] == "/my-data", "it is open already"
    assert (await (await cast.browser("stranger")).get("/my-data/code")).status_code == 401


async def test_codes_are_few_and_go_to_the_registered_address_only(cast: Cast) -> None:
    browser = await registered(cast)
    for _ in range(5):
        await browser.post("/my-data/code", data={"email": "thief@else.example"})
    assert (await browser.post("/my-data/code")).status_code == 429
    sent = [mail for row, mail in await mails(cast.wiring) if row.template == "data_code"]
    assert len(sent) == 5 and {mail.to for mail in sent if mail} == {"anna@home.example"}


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６"])
async def test_what_is_no_code_costs_no_try(cast: Cast, code: str) -> None:
    browser = await registered(cast)
    await browser.post("/my-data/code")
    assert (await browser.post("/my-data/open", data={"code": code})).status_code == 422
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(DataCode.tries))).one() == 0


async def test_erase_everything_about_me_ends_in_a_receipt_with_a_certificate(
    cast: Cast, recording: RecordingId, tmp_path: Path
) -> None:
    browser = await inside(cast)
    assert "your recording with its transcript" in (await browser.get("/my-data/erase")).text
    answer = await browser.post("/my-data/erase")
    assert answer.status_code == 303 and answer.headers["location"].startswith("/receipt/")
    stranger = await cast.browser("stranger")
    receipt = await stranger.get(answer.headers["location"])
    assert receipt.status_code == 200 and "Being erased now" in receipt.text
    assert (await stranger.get(f"{answer.headers['location']}/certificate.json")).status_code == 404
    assert (await browser.get("/my-data")).status_code == 401, "signed out"
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = (await db.scalars(select(Erasure))).one()
    assert erasure.reason == ErasureReason.REQUEST
    await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())
    shown = (await stranger.get(answer.headers["location"])).text
    assert "Erased and verified" in shown and erasure.receipt in shown
    assert "Anna" not in shown and "anna@home.example" not in shown
    file = await stranger.get(f"{answer.headers['location']}/certificate.json")
    assert erasure.receipt in file.headers["content-disposition"]
    saved = tmp_path / "certificate.json"
    saved.write_bytes(file.content)
    assert verify_file(saved).valid and verify_file(saved).fingerprint in shown
    again = await cast.browser("stranger")
    assert (await again.post(cast.participant.link.removeprefix(ORIGIN), data=TYPED)).status_code == 404


async def test_taking_back_a_kind_here_erases_what_was_recorded_of_it(cast: Cast, recording: RecordingId) -> None:
    browser = await registered(cast)
    await browser.post(f"/take-part/{cast.session}", data={"consent": ["video", "audio"]})
    await browser.post("/my-data/code")
    await browser.post("/my-data/open", data={"code": await mailed_code(cast)})
    answer = await browser.post(f"/my-data/{cast.session}/withdraw", data={"kind": "audio"})
    assert answer.status_code == 303
    page = (await browser.get("/my-data")).text
    assert "Take back audio" not in page and "Take back video" in page and "E-" in page
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = (await db.scalars(select(Erasure))).one()
    assert erasure.reason == ErasureReason.WITHDRAWAL and set(erasure.track_kinds or ()) == {"voice", "transcript"}
    assert (await browser.post(f"/my-data/{cast.other_session}/withdraw", data={"kind": "video"})).status_code == 404


async def test_unsubscribing_here_stops_invitations(cast: Cast) -> None:
    browser = await inside(cast)
    assert (await browser.post("/my-data/unsubscribe")).status_code == 303
    assert "no more invitations" in (await browser.get("/my-data")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Participant, cast.participant.participant)
        assert row.email_index and await is_suppressed(db, address_index=row.email_index)


async def test_nobody_else_reaches_my_data(cast: Cast) -> None:
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.get("/my-data")).status_code,
            (await browser.get("/my-data/erase")).status_code,
            (await browser.post("/my-data/erase")).status_code,
            (await browser.post("/my-data/open", data={"code": "123456"})).status_code,
        ]
    asked = [200, 401, 401, 422]
    assert seen == {who: asked if who.endswith("participant") else [401] * 4 for who in EVERYONE}


async def erasure_of(cast: Cast, recording: RecordingId) -> str:
    owner = await cast.browser("owner")
    answer = await owner.post(f"/recordings/{recording}/erase")
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def test_only_the_owner_erases_and_sees_certificates(cast: Cast, recording: RecordingId) -> None:
    where = await erasure_of(cast, recording)
    await run_erasure(cast.wiring, cast.account, (await the_erasure(cast)).id, nodes=SpyNodes())
    fresh = f"/recordings/{recording}/erase"
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.get("/erasures")).status_code,
            (await browser.get(where)).status_code,
            (await browser.get(f"{where}/certificate.json")).status_code,
            (await browser.get(f"/sessions/{cast.session}/erase")).status_code,
            (await browser.post(f"/sessions/{cast.session}/erase")).status_code,
            (await browser.get(fresh)).status_code,
            (await browser.post(fresh)).status_code,
        ]
    assert seen == {
        "owner": [200, 200, 200, 200, 303, 404, 404],  # the recording is erased already
        "researcher": [403] * 7,
        "observer": [403] * 7,
        "other_owner": [200, 404, 404, 404, 404, 404, 404],
        "participant": [401] * 7,
        "other_participant": [401] * 7,
        "stranger": [401] * 7,
    }
    assert where.rsplit("/", 1)[1] not in (await (await cast.browser("other_owner")).get("/erasures")).text


async def the_erasure(cast: Cast) -> Erasure:
    async with cast.wiring.database.transaction(cast.account) as db:
        return (await db.scalars(select(Erasure))).one()


async def test_the_owner_is_told_what_goes_and_a_live_session_is_not_erased(cast: Cast, recording: RecordingId) -> None:
    owner = await cast.browser("owner")
    assert "recording of Anna?" in (await owner.get(f"/recordings/{recording}/erase")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).values(state=SessionState.LIVE))
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 409
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).values(state=SessionState.ENDED))
    assert "1 recording with its transcript" in (await owner.get(f"/sessions/{cast.session}/erase")).text
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 303
    assert (await the_erasure(cast)).recording_ids == [recording]
    assert "Anna" in (await owner.get("/erasures")).text
