"""Members: the owner adds, changes and removes them; whoever is removed is out at once, and one owner always stays."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.accounts.members import LastOwner, change_role, remove_member
from app.accounts.models import Login, Member, Role, SignInAddress, SignInLink
from app.accounts.policy import may_stop_being
from app.audit import AuditEvent
from app.errors import NotThere
from tests.fixtures.web import EVERYONE, ORIGIN, Cast, mails

NINA = {"name": "Nina", "email": "nina@lab.example", "role": "researcher"}
OWNERS_ONLY = {"owner": 200, "researcher": 403, "observer": 403}


async def rows(cast: Cast, table: Any, *conditions: Any) -> list[Any]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(table).where(*conditions)))


async def add_nina(cast: Cast) -> UUID:
    assert (await (await cast.browser("owner")).post("/members", data=NINA)).status_code == 303
    before = {cast.owner, cast.researcher, cast.observer}
    found: UUID = next(row.id for row in await rows(cast, Member) if row.id not in before)
    return found


async def test_only_the_owner_of_this_account_sees_and_changes_members(cast: Cast) -> None:
    for who in EVERYONE:
        browser = await cast.browser(who)
        looks = [(await browser.get(path)).status_code for path in ("/members", f"/members/{cast.researcher}")]
        expected = OWNERS_ONLY.get(who, 401)
        assert looks == ([200, 404] if who == "other_owner" else [expected, expected]), who
        if who != "owner":
            changes = [
                await browser.post(f"/members/{cast.researcher}/role", data={"role": "owner"}),
                await browser.post(f"/members/{cast.researcher}/remove"),
            ]
            assert {answer.status_code for answer in changes} == {404 if who == "other_owner" else expected}, who
        if who not in ("owner", "other_owner"):
            assert (await browser.post("/members", data=NINA)).status_code == expected
    assert {row.id: row.role for row in await rows(cast, Member)} == {
        cast.owner: "owner",
        cast.researcher: "researcher",
        cast.observer: "observer",
    }
    other = await (await cast.browser("other_owner")).get("/members")
    assert "Otto" in other.text
    assert "Olga" not in other.text


async def test_who_is_added_gets_a_mail_and_signs_in_by_a_mailed_link(cast: Cast) -> None:
    await add_nina(cast)
    row, content = (await mails(cast.wiring))[0]
    assert content
    assert (row.template, row.optional, content.to) == ("member_added", False, "nina@lab.example")
    assert content.subject == "Olga added you to Lab"
    for text in (content.text, content.html):
        for part in ("Nina", "Lab", "researcher", f"{ORIGIN}/sign-in", "nina@lab.example", "help@junier.example"):
            assert part in text
    browser = await cast.browser("stranger")
    await browser.post("/sign-in", data={"email": "Nina@LAB.example"})
    link = re.search(
        r"/sign-in/\S+", next(c.text for m, c in await mails(cast.wiring) if c and m.template == "sign_in")
    )
    assert link
    assert (await browser.post(link[0])).status_code == 303
    assert (await browser.get("/studies/new")).status_code == 200
    assert (await browser.get("/members")).status_code == 403


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"name": ""}, "fill this in"),
        ({"name": "Ni\r\nBcc: x"}, "Line breaks"),
        ({"name": "N" * 101}, "at most 100"),
        ({"email": "nobody"}, "does not look like an e-mail address"),
        ({"role": "root"}, "choose one of the list"),
    ],
)
async def test_what_does_not_fit_is_told_beside_the_field_and_adds_nobody(
    cast: Cast, typed: dict[str, str], told: str
) -> None:
    before = len(await mails(cast.wiring))
    answer = await (await cast.browser("owner")).post("/members", data=NINA | typed)
    assert answer.status_code == 422
    assert told in answer.text
    assert len(await rows(cast, Member)) == 3
    assert len(await mails(cast.wiring)) == before


async def test_a_name_is_data_on_the_page_and_in_the_mail(cast: Cast) -> None:
    name = "<b>{{ 7*7 }}</b>"
    await (await cast.browser("owner")).post("/members", data=NINA | {"name": name})
    assert "&lt;b&gt;{{ 7*7 }}&lt;/b&gt;" in (await (await cast.browser("owner")).get("/members")).text
    content = (await mails(cast.wiring))[0][1]
    assert content
    assert name in content.text
    assert name not in content.html


async def test_an_address_is_a_member_once(cast: Cast) -> None:
    answer = await (await cast.browser("owner")).post("/members", data=NINA | {"email": "RITA@lab.example"})
    assert answer.status_code == 409
    assert "already belongs" in answer.text
    assert 'value="Nina"' in answer.text


async def test_a_double_click_adds_one_member_and_fails_for_nobody(cast: Cast) -> None:
    browser = await cast.browser("owner")
    answers = await asyncio.gather(*(browser.post("/members", data=NINA) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [303, 409]


async def test_a_changed_role_counts_from_the_next_request(cast: Cast) -> None:
    observer, owner = await cast.browser("observer"), await cast.browser("owner")
    assert (await observer.get("/studies/new")).status_code == 403
    path = f"/members/{cast.observer}/role"
    assert (await owner.post(path, data={"role": "researcher"})).status_code == 303
    assert (await observer.get("/studies/new")).status_code == 200
    assert (await owner.post(path, data={"role": "root"})).status_code == 422


async def test_who_is_removed_is_out_at_once_and_no_link_brings_them_back(cast: Cast) -> None:
    researcher, owner = await cast.browser("researcher"), await cast.browser("owner")
    await researcher.post("/sign-in", data={"email": "rita@lab.example"})
    link = next(c.text for m, c in await mails(cast.wiring) if c and m.template == "sign_in")
    link = re.search(r"/sign-in/\S+", link)[0]  # type: ignore[index]
    assert (await researcher.get("/studies/new")).status_code == 200
    assert (await owner.post(f"/members/{cast.researcher}/remove")).status_code == 303
    assert (await researcher.get("/studies/new")).status_code == 401
    assert (await researcher.post(link)).status_code == 404
    sent = len(await mails(cast.wiring))
    await researcher.post("/sign-in", data={"email": "rita@lab.example"})
    assert len(await mails(cast.wiring)) == sent
    assert await rows(cast, Login, Login.member_id == cast.researcher) == []
    assert await rows(cast, SignInLink, SignInLink.member_id == cast.researcher) == []
    assert await rows(cast, SignInAddress, SignInAddress.member == cast.researcher) == []
    assert "Rita" not in (await owner.get("/members")).text
    assert (await owner.get(f"/members/{cast.researcher}")).status_code == 404
    assert (await owner.post(f"/members/{cast.researcher}/remove")).status_code == 404


async def test_a_removed_person_can_be_added_again_and_is_the_same_one(cast: Cast) -> None:
    owner = await cast.browser("owner")
    old = await cast.browser("researcher")
    await owner.post(f"/members/{cast.researcher}/remove")
    again = {"name": "Rita B", "email": "rita@lab.example", "role": "observer"}
    assert (await owner.post("/members", data=again)).status_code == 303
    [row] = await rows(cast, Member, Member.id == cast.researcher)
    assert (row.role, row.removed_at) == ("observer", None)
    assert "Rita B" in (await owner.get("/members")).text
    assert (await old.get("/studies/new")).status_code == 401


async def test_the_last_owner_stays(cast: Cast) -> None:
    owner = await cast.browser("owner")
    refused = [
        await owner.post(f"/members/{cast.owner}/remove"),
        await owner.post(f"/members/{cast.owner}/role", data={"role": "observer"}),
    ]
    assert [answer.status_code for answer in refused] == [409, 409]
    assert all("only owner" in answer.text for answer in refused)
    assert (await owner.get("/members")).status_code == 200
    await owner.post(f"/members/{cast.researcher}/role", data={"role": "owner"})
    assert (await owner.post(f"/members/{cast.owner}/remove")).headers["location"] == "/sign-in"
    assert (await owner.get("/members")).status_code == 401
    assert (await (await cast.browser("researcher")).get("/members")).status_code == 200


async def test_two_owners_who_remove_each_other_at_once_leave_one(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await change_role(db, member=cast.researcher, role=Role.OWNER)

    async def remove(member: UUID) -> bool:
        try:
            async with cast.wiring.database.transaction(cast.account) as db:
                await remove_member(db, member=member)
        except LastOwner:
            return False
        return True

    assert sorted(await asyncio.gather(remove(cast.owner), remove(cast.researcher))) == [False, True]


async def test_each_change_is_in_the_audit_log_by_ids(cast: Cast) -> None:
    nina = await add_nina(cast)
    owner = await cast.browser("owner")
    await owner.post(f"/members/{nina}/role", data={"role": "observer"})
    await owner.post(f"/members/{nina}/remove")
    by, whom = f"member:{cast.owner}", f"member:{nina}"
    found = await rows(cast, AuditEvent, AuditEvent.subject == whom)
    events = [(e.action, e.actor, e.subject, e.facts) for e in sorted(found, key=lambda event: event.number)]
    assert events == [
        ("accounts:member:invited", by, whom, {"role": "researcher"}),
        ("accounts:member:role_changed", by, whom, {"role": "observer"}),
        ("accounts:member:removed", by, whom, {}),
    ]


async def test_another_accounts_member_does_not_exist_here(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        with pytest.raises(NotThere):
            await remove_member(db, member=cast.other_owner)


@pytest.mark.parametrize(
    ("role", "owners", "allowed"),
    [(Role.OWNER, 1, False), (Role.OWNER, 2, True), (Role.RESEARCHER, 1, True), (Role.OBSERVER, 1, True)],
)
def test_may_stop_being(role: Role, owners: int, allowed: bool) -> None:
    assert bool(may_stop_being(role, owners)) is allowed
