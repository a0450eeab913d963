"""Invitations: one mail to one person, a link that introduces, revoking and unsubscribing that work at once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.accounts.models import Login
from app.database import now_in
from app.invitations.models import Invitation
from app.invitations.service import CannotInvite, LinkClosed, LinkUnknown, admit, find_by_token, invite
from app.mail.models import MailState, OutgoingMail
from app.mail.service import MailContent
from app.participants.models import Participant
from app.sessions.service import end, schedule
from tests.fixtures.web import EVERYONE, ORIGIN, Cast, mails

CARL = {"name": "Carl", "email": "carl@home.example"}


async def mail_to(cast: Cast, address: str) -> tuple[OutgoingMail, MailContent]:
    for row, content in await mails(cast.wiring):
        if content and content.to == address:
            return row, content
    raise AssertionError("no such mail")


def unsubscribe_path(content: MailContent) -> str:
    return content.headers["List-Unsubscribe"].removeprefix(f"<{ORIGIN}").removesuffix(">")


async def test_the_mail_says_who_asks_where_to_go_and_how_to_stop_it(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        session = await schedule(db, account=cast.account, study=cast.study, title="Pilot 4")
    words = "I saw you in the shop.\nTell <me> more & {{ 7*7 }}"
    browser = await cast.browser("researcher")
    answer = await browser.post(f"/sessions/{session}/invitations", data=CARL | {"words": words})
    assert answer.status_code == 303
    row, content = await mail_to(cast, "carl@home.example")
    assert row.optional
    assert content.subject == "Lab invites you: Checkout"
    for text in (content.text, content.html):
        for part in (
            "Carl",
            "Olga Lab",
            "study@lab.example",
            "help@junier.example",
            "Unsubscribe from invitations",
            "Privacy notice",
            f"{ORIGIN}/i/",
            f"{ORIGIN}/unsubscribe/",
            "{{ 7*7 }}",
        ):
            assert part in text
        assert re.search(r"\d{1,2} \w+ 20\d\d", text)
    assert words in content.text
    assert "Tell &lt;me&gt; more &amp;" in content.html
    assert "<img" not in content.html
    assert content.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(rf"<{ORIGIN}/unsubscribe/[\w-]{{43}}>", content.headers["List-Unsubscribe"])


async def test_who_may_invite_and_revoke(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        group = await schedule(db, account=cast.account, study=cast.study, title="Group", group=True)
        invited = await invite(
            db, cast.wiring, account=cast.account, session=group, name="D", email="d@home.example", by=cast.owner
        )
    expected = {"owner": 303, "researcher": 303, "observer": 403, "other_owner": 404}
    for who in EVERYONE:
        browser = await cast.browser(who)
        typed = {"name": who, "email": f"{who}@home.example"}
        answers = [
            await browser.post(f"/sessions/{group}/invitations", data=typed),
            await browser.post(f"/sessions/{group}/invitations/{invited.invitation}/revoke"),
        ]
        assert {answer.status_code for answer in answers} == {expected.get(who, 401)}


async def test_an_invitation_of_another_session_cannot_be_revoked_through_this_one(cast: Cast) -> None:
    browser = await cast.browser("owner")
    path = f"/sessions/{cast.session}/invitations/{cast.other_participant.invitation}/revoke"
    assert (await browser.post(path)).status_code == 404


async def test_a_session_for_one_takes_one_and_the_same_person_only_once(cast: Cast) -> None:
    browser = await cast.browser("owner")
    second = await browser.post(f"/sessions/{cast.session}/invitations", data=CARL)
    assert second.status_code == 409
    assert "one participant" in second.text
    assert 'value="carl@home.example"' in second.text
    twice = await browser.post(
        f"/sessions/{cast.session}/invitations", data={"name": "Anna", "email": "ANNA@home.example"}
    )
    assert "already" in twice.text


async def test_the_same_address_is_the_same_person_in_another_session(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        session = await schedule(db, account=cast.account, study=cast.study, title="Again")
        again = await invite(
            db,
            cast.wiring,
            account=cast.account,
            session=session,
            name="Anna",
            email="Anna@HOME.example",
            by=cast.owner,
        )
        assert again.participant == cast.participant.participant
        row = await db.get_one(Participant, again.participant)
        assert b"Anna" not in (row.name or b"")


async def test_nobody_is_invited_to_a_session_that_has_ended(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await end(db, session=cast.session)
    with pytest.raises(CannotInvite, match="ended"):
        async with cast.wiring.database.transaction(cast.account) as db:
            await invite(db, cast.wiring, account=cast.account, session=cast.session, by=cast.owner, **CARL)


def token(cast: Cast) -> str:
    return cast.participant.link.rpartition("/")[2]


async def test_a_link_opens_its_own_invitation_and_only_its_hash_is_stored(cast: Cast) -> None:
    async with cast.wiring.database.transaction() as db:
        invitation = await find_by_token(db, token(cast))
        assert invitation.id == cast.participant.invitation
        assert token(cast).encode() not in invitation.token_hash
    with pytest.raises(LinkUnknown):
        async with cast.wiring.database.transaction() as db:
            await find_by_token(db, "made-up")


async def test_an_expired_link_still_leads_to_the_data_but_not_to_the_session(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Invitation).values(expires_at=await now_in(db) - timedelta(seconds=1)))
    with pytest.raises(LinkClosed, match="expired"):
        async with cast.wiring.database.transaction() as db:
            await find_by_token(db, token(cast))
    async with cast.wiring.database.transaction() as db:
        assert await find_by_token(db, token(cast), for_data=True)


async def test_revoking_closes_link_login_and_the_mail_still_waiting(cast: Cast) -> None:
    await cast.browser("participant")
    browser = await cast.browser("owner")
    path = f"/sessions/{cast.session}/invitations/{cast.participant.invitation}/revoke"
    assert {(await browser.post(path)).status_code for _ in range(2)} == {303}
    with pytest.raises(LinkClosed, match="withdrawn"):
        async with cast.wiring.database.transaction() as db:
            await find_by_token(db, token(cast))
    async with cast.wiring.database.transaction(cast.account) as db:
        person = cast.participant.participant
        assert (await db.scalars(select(Login).where(Login.participant_id == person))).all() == []
        with pytest.raises(Exception, match="not exist"):
            await admit(db, session=cast.session, participant=person)
    row, _ = await mail_to(cast, "anna@home.example")
    assert row.state == MailState.SUPPRESSED


async def test_a_revoked_person_can_be_invited_again_with_a_new_link(cast: Cast) -> None:
    browser = await cast.browser("owner")
    await browser.post(f"/sessions/{cast.session}/invitations/{cast.participant.invitation}/revoke")
    typed = {"name": "Anna", "email": "anna@home.example"}
    assert (await browser.post(f"/sessions/{cast.session}/invitations", data=typed)).status_code == 303
    with pytest.raises(LinkUnknown):
        async with cast.wiring.database.transaction() as db:
            await find_by_token(db, token(cast))
    assert sum(c is not None and c.to == "anna@home.example" for _, c in await mails(cast.wiring)) == 2


async def test_unsubscribe_get_shows_and_changes_nothing(cast: Cast) -> None:
    row, content = await mail_to(cast, "anna@home.example")
    scanner = await cast.browser("stranger")
    page = await scanner.get(unsubscribe_path(content))
    assert page.status_code == 200
    assert "Unsubscribe from invitations" in page.text
    assert "study@lab.example" in page.text
    assert "anna@home.example" not in page.text
    row, _ = await mail_to(cast, "anna@home.example")
    assert row.state == MailState.WAITING


@pytest.mark.parametrize(
    "body", [{"data": {"List-Unsubscribe": "One-Click"}}, {"files": {"List-Unsubscribe": (None, "One-Click")}}, {}]
)
async def test_one_click_unsubscribe_needs_no_cookie_origin_or_redirect(cast: Cast, body: dict[str, Any]) -> None:
    _, content = await mail_to(cast, "anna@home.example")
    mail_program = await cast.browser("stranger")
    del mail_program.headers["origin"]
    for _ in range(2):
        answer = await mail_program.post(unsubscribe_path(content), **body)
        assert answer.status_code == 200
    row, _ = await mail_to(cast, "anna@home.example")
    assert row.state == MailState.SUPPRESSED
    async with cast.wiring.database.transaction(cast.account) as db:
        session = await schedule(db, account=cast.account, study=cast.study, title="Later")
        with pytest.raises(CannotInvite, match="unsubscribed"):
            await invite(
                db,
                cast.wiring,
                account=cast.account,
                session=session,
                name="Anna",
                email="ANNA@home.example",
                by=cast.owner,
            )


async def test_an_unsubscribe_link_can_do_nothing_else_and_a_made_up_one_nothing(cast: Cast) -> None:
    _, content = await mail_to(cast, "anna@home.example")
    secret = unsubscribe_path(content).rpartition("/")[2]
    with pytest.raises(LinkUnknown):
        async with cast.wiring.database.transaction() as db:
            await find_by_token(db, secret)
    browser = await cast.browser("stranger")
    assert (await browser.get("/unsubscribe/made-up")).status_code == 404
    assert (await browser.post("/unsubscribe/made-up")).status_code == 404
    assert (await browser.get(f"/unsubscribe/{token(cast)}")).status_code == 404
