"""Studies and sessions by their pages: who may, what is kept when something does not fit, what versions do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from app.audit import AuditEvent
from app.privacy.keeping.keeping import Change, keep
from app.studies.models import ConsentKind, ConsentText, Study
from app.studies.retention import KeptTooLong, exceeds
from app.studies.service import change_study, create_study
from tests.fixtures.web import EVERYONE, Cast

FIELDS: dict[str, str | list[str]] = {
    "title": "Lamps",
    "contact_name": "Olga",
    "contact_email": "olga@lab.example",
    "consent_text": "We watch.\r\nYou may stop.",
    "kinds": ["video", "audio", "transcript"],
    "language": "en",
    "retention": "days",
    "retention_days": "30",
}


async def test_who_may_create_change_and_see(cast: Cast) -> None:
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.post("/studies", data=FIELDS)).status_code,
            (await browser.get(f"/studies/{cast.study}")).status_code,
            (await browser.post(f"/studies/{cast.study}/edit", data=FIELDS)).status_code,
            (
                await browser.post(
                    f"/studies/{cast.study}/sessions", data={"title": "One", "time_zone": "Europe/Berlin"}
                )
            ).status_code,
            (await browser.get(f"/sessions/{cast.session}")).status_code,
        ]
    assert seen == {
        "owner": [303, 200, 303, 303, 200],
        "researcher": [303, 200, 303, 303, 200],
        "observer": [403, 200, 403, 403, 200],
        "other_owner": [303, 404, 404, 404, 404],
        "participant": [401] * 5,
        "other_participant": [401] * 5,
        "stranger": [401] * 5,
    }


async def test_a_study_is_written_as_typed_and_its_contact_is_sealed(cast: Cast) -> None:
    browser = await cast.browser("owner")
    made = await browser.post("/studies", data=FIELDS)
    page = await browser.get(made.headers["location"])
    assert "Lamps" in page.text
    assert "30 days after each session" in page.text
    async with cast.wiring.database.transaction(cast.account) as db:
        row = (await db.scalars(select(Study).where(Study.title == "Lamps"))).one()
        assert row.kinds == ["video", "audio", "transcript"]
        assert b"Olga" not in row.contact_name
        text = (await db.scalars(select(ConsentText).where(ConsentText.study_id == row.id))).one()
        assert (text.version, text.text) == (1, "We watch.\nYou may stop.")


async def test_a_changed_consent_text_is_a_new_version_and_an_unchanged_one_is_not(cast: Cast) -> None:
    browser = await cast.browser("owner")
    for text in ("First.", "First.", "Second."):
        await browser.post(f"/studies/{cast.study}/edit", data=FIELDS | {"consent_text": text})
    async with cast.wiring.database.transaction(cast.account) as db:
        texts = (await db.scalars(select(ConsentText).where(ConsentText.study_id == cast.study))).all()
    assert sorted((text.version, text.text) for text in texts)[1:] == [(2, "First."), (3, "Second.")]


async def test_only_the_owner_changes_how_long_things_are_kept(cast: Cast) -> None:
    kept = []
    for who, days in (("researcher", "365"), ("owner", "365")):
        await (await cast.browser(who)).post(f"/studies/{cast.study}/edit", data=FIELDS | {"retention_days": days})
        async with cast.wiring.database.transaction(cast.account) as db:
            row = await db.get_one(Study, cast.study)
            kept.append((row.retention_days, row.retention_version))
    assert kept == [(180, 1), (365, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": ""}, "Please fill this in"),
        ({"title": "x" * 10_000}, "at most 200"),
        ({"title": "Lamps\r\nBcc: all@x"}, "Line breaks"),
        ({"title": "‮spmaL"}, "direction marks"),
        ({"contact_email": "olga"}, "does not look like"),
        ({"contact_email": "olga@lab.example\r\nBcc: x@y.z"}, "Line breaks"),
        ({"consent_text": ""}, "Please fill this in"),
        ({"consent_text": "a\0b"}, "Control characters"),
        ({"kinds": []}, "at least one kind"),
        ({"kinds": ["transcript"]}, "audio is needed"),
        ({"kinds": ["everything"]}, "choose from the list"),
        ({"retention": "days", "retention_days": "0"}, "whole number"),
        ({"retention": "days", "retention_days": "٣"}, "whole number"),
        ({"retention": "never"}, "choose one"),
        ({"language": "xx"}, "choose one"),
    ],
)
async def test_what_does_not_fit_is_said_by_the_field_and_nothing_typed_is_lost(
    cast: Cast, change: dict[str, str | list[str]], message: str
) -> None:
    browser = await cast.browser("owner")
    answer = await browser.post("/studies", data=FIELDS | {"contact_name": "Kept <b>me</b>"} | change)
    assert answer.status_code == 422
    assert message in answer.text
    assert "Kept &lt;b&gt;me&lt;/b&gt;" in answer.text
    async with cast.wiring.database.transaction(cast.account) as db:
        assert len((await db.scalars(select(Study))).all()) == 1


async def test_a_session_is_scheduled_in_its_own_time_zone(cast: Cast) -> None:
    browser = await cast.browser("researcher")
    made = await browser.post(
        f"/studies/{cast.study}/sessions",
        data={"title": "Pilot 3", "starts_at": "2027-05-03T14:30", "time_zone": "America/New_York"},
    )
    page = await browser.get(made.headers["location"])
    found = re.search(r'<time datetime="([^"]+)">([^<]+)</time>', page.text)
    assert found
    assert found.groups() == ("2027-05-03T18:30:00+00:00", "3 May 2027, 14:30 (America/New_York)")


@pytest.mark.parametrize(
    "typed", [{"time_zone": "Mars/Base"}, {"time_zone": "../etc"}, {"starts_at": "soon"}, {"title": ""}]
)
async def test_a_session_with_a_wrong_field_is_not_made(cast: Cast, typed: dict[str, str]) -> None:
    data = {"title": "x", "time_zone": "Europe/Berlin"} | typed
    answer = await (await cast.browser("owner")).post(f"/studies/{cast.study}/sessions", data=data)
    assert answer.status_code == 422


async def test_the_start_page_tells_a_new_account_what_it_is_for(cast: Cast) -> None:
    page = (await (await cast.browser("other_owner")).get("/")).text
    assert "Start your first study" in page
    assert "Checkout" not in page


async def test_who_closes_opens_and_reads_the_consent_texts(cast: Cast) -> None:
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.get(f"/studies/{cast.study}/close")).status_code,
            (await browser.post(f"/studies/{cast.study}/close")).status_code,
            (await browser.post(f"/studies/{cast.study}/reopen")).status_code,
            (await browser.get(f"/studies/{cast.study}/consent-texts")).status_code,
        ]
    assert seen == {
        "owner": [200, 303, 303, 200],
        "researcher": [200, 303, 303, 200],
        "observer": [403, 403, 403, 200],
        "other_owner": [404] * 4,
        "participant": [401] * 4,
        "other_participant": [401] * 4,
        "stranger": [401] * 4,
    }


@pytest.mark.parametrize(
    ("days", "longest", "too_long"),
    [(30, None, False), (None, None, False), (30, 30, False), (31, 30, True), (None, 30, True), (29, 30, False)],
)
def test_no_study_keeps_longer_than_its_account(days: int | None, longest: int | None, too_long: bool) -> None:
    assert exceeds(days, longest) is too_long


async def test_no_way_leads_past_the_longest_time_of_the_account(cast: Cast) -> None:
    """Not even one that forgets the form: making, changing and keeping ask the same rule."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await keep(db, Change(days=90), account=cast.account, by="member:x")
    typed: dict[str, Any] = {
        "title": "Long",
        "contact_name": "O",
        "contact_email": "o@lab.example",
        "consent_text": "We watch.",
        "kinds": [ConsentKind.AUDIO],
        "language": "en",
    }
    for days in (91, None):
        async with cast.wiring.database.transaction(cast.account) as db:
            with pytest.raises(KeptTooLong, match="nothing longer than 90 days"):
                await create_study(db, cast.wiring.columns, account=cast.account, retention_days=days, **typed)
            with pytest.raises(KeptTooLong):
                await change_study(db, cast.wiring.columns, study=cast.study, retention_days=days, **typed)
            with pytest.raises(KeptTooLong):
                await keep(db, Change(days=days, study=cast.study), account=cast.account, by="member:x")
    async with cast.wiring.database.transaction(cast.account) as db:
        with pytest.raises(KeptTooLong):
            await keep(db, Change(days=91, session=cast.session), account=cast.account, by="member:x")
        await keep(db, Change(days=None, session=cast.session), account=cast.account, by="member:x")  # as its study
        await create_study(db, cast.wiring.columns, account=cast.account, retention_days=90, **typed)
        kept = (await db.scalars(select(Study.retention_days))).all()
    assert kept == [90, 90]


async def test_a_form_of_a_program_is_refused_as_a_problem_with_a_reason_for_each_field(cast: Cast) -> None:
    """RFC 9457."""
    browser = await cast.browser("owner")
    wrong = FIELDS | {"title": "", "contact_email": "nowhere"}
    answer = await browser.post("/studies", data=wrong, headers={"accept": "application/json"})
    assert answer.status_code == 422 and answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["title"]) == (422, "Something does not fit")
    assert {one["field"]: one["detail"] for one in problem["errors"]} == {
        "title": "Please fill this in.",
        "contact_email": "This does not look like an e-mail address, such as anna@example.eu.",
    }
    page = await browser.post("/studies", data=wrong)
    assert page.status_code == 422 and page.headers["content-type"].startswith("text/html")


async def test_a_closed_study_takes_no_session_and_nobody_new_until_it_is_opened_again(cast: Cast) -> None:
    browser = await cast.browser("owner")
    await browser.post(f"/studies/{cast.study}/close")
    await browser.post(f"/studies/{cast.study}/close")
    page = (await browser.get(f"/studies/{cast.study}")).text
    assert "This study was closed on" in page and "sessions/new" not in page
    assert "Nothing is erased" not in page
    session = {"title": "One", "time_zone": "Europe/Berlin"}
    person = {"name": "Carl", "email": "carl@home.example"}
    invite = f"/sessions/{cast.session}/invitations"
    await browser.post(f"/studies/{cast.study}/reopen")
    made = await browser.post(f"/studies/{cast.study}/sessions", data=session | {"group": "on"})
    group = made.headers["location"]
    await browser.post(f"/studies/{cast.study}/close")
    assert (await browser.post(f"/studies/{cast.study}/sessions", data=session)).status_code == 409
    refused = await browser.post(f"{group}/invitations", data=person)
    assert refused.status_code == 409
    assert "closed" in (await browser.get(group)).text
    assert (await browser.post(invite, data=person)).status_code == 409
    await browser.post(f"/studies/{cast.study}/reopen")
    assert (await browser.post(f"{group}/invitations", data=person)).status_code == 303
    async with cast.wiring.database.transaction(cast.account) as db:
        found = select(AuditEvent.action).where(
            AuditEvent.action.in_(("studies:study:closed", "studies:study:reopened"))
        )
        actions = (await db.scalars(found.order_by(AuditEvent.number))).all()
    assert [action.rpartition(":")[2] for action in actions] == ["closed", "reopened", "closed", "reopened"]


async def test_every_version_of_the_consent_text_is_listed_with_its_date_and_writer(cast: Cast) -> None:
    await (await cast.browser("researcher")).post(
        f"/studies/{cast.study}/edit", data=FIELDS | {"consent_text": "We watch <b>you</b>."}
    )
    page = (await (await cast.browser("observer")).get(f"/studies/{cast.study}/consent-texts")).text
    assert page.index("Version 2") < page.index("Version 1")
    assert "We watch &lt;b&gt;you&lt;/b&gt;." in page and "We would like to watch you buy a lamp." in page
    assert re.search(r"</time>, Rita", page)


async def test_the_researchers_words_above_the_questions_are_kept_as_typed(cast: Cast) -> None:
    browser = await cast.browser("owner")
    words = "Thank you!\r\nThree <short> ones."
    await browser.post(f"/studies/{cast.study}/edit", data=FIELDS | {"questions_words": words})
    assert "Three &lt;short&gt; ones." in (await browser.get(f"/studies/{cast.study}/edit")).text
    long = await browser.post(f"/studies/{cast.study}/edit", data=FIELDS | {"questions_words": "x" * 10_000})
    assert long.status_code == 422 and "at most 2,000" in long.text
