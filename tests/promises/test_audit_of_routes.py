"""Whatever changes something leaves a line in the audit log: the routes are asked of the application itself, and each
is called once with success, or stands in a short list with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update

from app.accounts.ceremonies import site_of
from app.accounts.models import Account, Login, Member, Passkey, Scope
from app.accounts.service import make_link
from app.audit import AuditEvent, verify
from app.demo.browser import Browser
from app.invitations.models import Invitation
from app.participants.models import AddressChange, DataCode
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import REQUEST, receipt_token
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from app.privacy.rights.requests import UNANSWERED
from app.sessions.disclosure_models import Disclosure, RecipientNotice
from app.sessions.models import Note, Recording, RecordingState, Transcript
from app.sessions.response_models import Supplement
from app.studies.models import Question
from app.support.models import SupportRequest
from app.tokens import token_hash
from tests.app.support_stage import OperatorAtWork
from tests.fixtures.authenticator import Authenticator
from tests.promises.sources import Listener
from tests.promises.test_j4_access import pages
from tests.promises.world import World
from workers.transcribe import transcribe

SAFE = {"GET", "HEAD", "OPTIONS"}
WITHOUT: Mapping[str, str] = {
    "POST /sign-in": "nobody is known yet, and the answer is the same for everybody; using the link is logged",
    "POST /sign-in/passkey/challenge": "nobody is known yet; signing in with the answer is logged",
    "POST /passkeys/challenge": "something to sign, which ends by itself; adding the passkey is logged",
    "POST /support/sign-in": "as POST /sign-in; what operators do to sign in is in the platform's own log",
    "POST /support/sign-in/{token}": "in the platform's own log (tests/app/test_support_operators.py)",
    "POST /support/sign-out": "in the platform's own log",
    "POST /support/passkey/challenge": "something to sign, which ends by itself",
    "POST /support/passkey": "in the platform's own log",
    "POST /requests/new": "looks up whom it is about; noting the request is logged",
    "POST /language": "a choice of how pages read",
    "POST /studies/{study}/questions/{question}/move": "the order of questions; what they ask is logged",
    "POST /whip": "the take says who published what, when and where; starting to record is logged",
    "DELETE /whip/{resource}": "the take says when it ended",
    "PATCH /whip/{resource}": "changes nothing and says so",
    "POST /whep/{recording}": "who of the team watches is logged (tests/app/test_whip.py), and letting in is",
    "DELETE /whep/{recording}/{view_name}": "ends what was carried",
}


def changing(world: World) -> set[str]:
    """Every route that may change something, as `METHOD /path/{name}`."""
    found = pages(world.app)
    return {f"{method} {re.sub(r':[a-z]+}', '}', path)}" for method, path in found if method not in SAFE}


@dataclass
class Story:
    """One call of each route, in an order in which each succeeds. ids: for the names in paths."""

    world: World
    ids: dict[str, Any]
    done: dict[str, list[str]]

    async def call(self, browser: Browser, route: str, form: Any = None) -> str:
        """Where it redirects to, or the text of the answer."""
        before = await self._number()
        path = route.partition(" ")[2].format(**self.ids)
        answer = await self.world.post(browser, path, form)
        assert answer.status_code < 400, f"{route}: {answer.status_code} {answer.text[:1500]}"
        events = await self.world.rows(self.world.lab, AuditEvent, AuditEvent.number > before, order=AuditEvent.number)
        self.done.setdefault(route, []).extend(event.action for event in events)
        return answer.headers.get("location", answer.text)

    async def confirmed(self, browser: Browser, route: str, form: dict[str, str]) -> None:
        """A change that shows what it would do before it does it."""
        shown = await self.call(browser, route, form)
        seen = re.search(r'name="seen" value="([^"]+)"', shown)
        assert seen is not None, route
        self.done.pop(route)
        await self.call(browser, route, form | {"seen": seen[1]})

    async def newest(self, model: Any, *where: Any, order: Any) -> UUID:
        return (await self.world.rows(self.world.lab, model, *where, order=order))[-1].id  # type: ignore[no-any-return]

    async def _number(self) -> int:
        events = await self.world.rows(self.world.lab, AuditEvent, order=AuditEvent.number)
        return events[-1].number if events else 0


STUDY = {
    "title": "Kettles",
    "contact_name": "Olga",
    "contact_email": "olga@lab.example",
    "consent_text": "We watch you make tea.",
    "kinds": ["video", "audio", "screen", "transcript"],
    "language": "en",
    "retention": "days",
    "retention_days": "90",
}
HOLD = {
    "reason": "complaint",
    "words": "a complaint is open",
    "review": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}",
}


async def test_j4_09_every_change_leaves_a_line(world: World) -> None:
    story = Story(world=world, ids={}, done={})
    for act in (
        signing_in,
        passkeys,
        members,
        studies,
        sessions,
        taking_part,
        live,
        afterwards,
        corrected,
        support,
        given_to_others,
        erased_by_the_owner,
        requests,
        erasing,
        closing,
    ):
        await act(story)
    silent = [route for route, actions in story.done.items() if not actions]
    assert silent == []
    assert set(story.done) & set(WITHOUT) == set()
    assert changing(world) == set(story.done) | set(WITHOUT), "a new route: call it here, or say why it leaves no line"
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert (await verify(db, world.lab.account)).intact


async def signing_in(story: Story) -> None:
    world, lab = story.world, story.world.lab
    async with world.wiring.database.transaction(lab.account) as db:
        link = await make_link(db, world.settings, account=lab.account, member=lab.owner)
    story.ids["token"] = link.rpartition("/")[2]
    await story.call(world.browser(), "POST /sign-in/{token}")
    await story.call(await world.member(lab), "POST /sign-out")


async def passkeys(story: Story) -> None:
    world, site = story.world, site_of(story.world.settings)
    assert site is not None
    device = Authenticator(origin=site.origin, host=site.host)
    owner, stranger = await world.member(world.lab), world.browser()
    for browser, challenge, route, answer in (
        (owner, "/passkeys/challenge", "POST /passkeys", device.make),
        (stranger, "/sign-in/passkey/challenge", "POST /sign-in/passkey", device.show),
    ):
        asked = (await world.post(browser, challenge)).json()
        await story.call(browser, route, {"name": "Laptop", "credential": answer(asked)})
    story.ids["passkey"] = await story.newest(Passkey, order=Passkey.created_at)
    await story.call(owner, "POST /members/passkeys", {"needed": "yes"})
    await story.call(owner, "POST /members/passkeys", {"needed": "no"})
    await story.call(owner, "POST /passkeys/{passkey}/remove")
    for route in ("POST /logins/{other}/end", "POST /logins/others/end"):
        await world.member(world.lab)
        story.ids["other"] = await story.newest(Login, order=Login.created_at)
        await story.call(owner, route)


async def members(story: Story) -> None:
    owner = await story.world.member(story.world.lab)
    async with story.world.wiring.database.transaction(story.world.lab.account) as db:
        await db.execute(update(Account).values(agreement_dated=None))  # accepted when the lab was made
    await story.call(owner, "POST /agreement")
    await story.call(owner, "POST /members", {"name": "Nina", "email": "nina@lab.example", "role": "observer"})
    story.ids["member"] = await story.newest(Member, order=Member.created_at)
    await story.call(owner, "POST /members/{member}/role", {"role": "researcher"})
    await story.call(owner, "POST /members/{member}/remove")


async def studies(story: Story) -> None:
    owner = await story.world.member(story.world.lab)
    story.ids["study"] = (await story.call(owner, "POST /studies", STUDY)).rpartition("/")[2]
    await story.call(owner, "POST /studies/{study}/edit", STUDY | {"title": "Pots", "consent_text": "New words."})
    await story.call(owner, "POST /studies/{study}/questions", {"kind": "text", "prompt": "How was it?"})
    story.ids["question"] = await story.newest(Question, order=Question.created_at)
    asked = {"kind": "text", "prompt": "How did you like it?"}
    await story.call(owner, "POST /studies/{study}/questions/{question}/edit", asked)
    story.ids["question"] = await story.newest(Question, order=Question.created_at)
    await story.call(owner, "POST /studies/{study}/questions/{question}/remove")
    await story.call(owner, "POST /studies/{study}/close")
    await story.call(owner, "POST /studies/{study}/reopen")
    await story.call(owner, "POST /studies/{study}/retention", {"keep": "days", "days": "100"})
    await story.call(owner, "POST /retention/default", {"default": "120"})
    await story.confirmed(owner, "POST /retention/account", {"keep": "days", "days": "3000"})


async def sessions(story: Story) -> None:
    owner = await story.world.member(story.world.lab)
    form = {"title": "Pilot", "time_zone": "Europe/Berlin", "group": "on"}
    story.ids["session"] = (await story.call(owner, "POST /studies/{study}/sessions", form)).rpartition("/")[2]
    await story.confirmed(owner, "POST /sessions/{session}/retention", {"keep": "days", "days": "30"})
    await story.call(
        owner, "POST /sessions/{session}/invitations", {"name": "Cem", "email": "cem@people.example", "words": ""}
    )
    story.ids["invitation"] = await story.newest(Invitation, order=Invitation.created_at)
    await story.call(owner, "POST /sessions/{session}/invitations/{invitation}/revoke")
    await story.call(owner, "POST /members", {"name": "Rosa", "email": "rosa@lab.example", "role": "researcher"})
    story.ids["member"] = await story.newest(Member, order=Member.created_at)
    await story.call(owner, "POST /sessions/{session}/team", {"member": str(story.ids["member"])})
    await story.call(owner, "POST /sessions/{session}/team/{member}/end")
    await story.call(owner, "POST /sessions/{session}/team/{member}/earlier")
    people = {"people": "Dora;dora@people.example"}
    shown = await story.call(owner, "POST /sessions/{session}/invitations/list", people)
    seen = re.search(r'name="seen" value="(\w+)"', shown)
    assert seen is not None
    await story.call(owner, "POST /sessions/{session}/invitations/list", people | {"step": "invite", "seen": seen[1]})
    year = datetime.now(UTC).year + 1
    moment = {"starts_at": f"{year}-05-03T14:30", "time_zone": "Europe/Berlin"}
    await story.call(owner, "POST /sessions/{session}/moment", moment)
    await story.call(owner, "POST /sessions/{session}/reminder", {"on": "no"})
    await story.call(owner, "POST /sessions/{session}/cancel")


async def taking_part(story: Story) -> None:
    world, anna = story.world, story.world.anna
    story.ids |= {"session": anna.lab.session, "token": anna.link.rpartition("/")[2], "participant": anna.person}
    await story.call(world.browser(), "POST /i/{token}", {"name": anna.name, "email": anna.email})
    await story.call(world.browser(), "POST /i/{token}/data")
    owner, shorter = await world.member(world.lab), {"keep": "days", "days": "20", "days_video": "10"}
    await story.confirmed(owner, "POST /retention/participants/{participant}", shorter)
    guest = await world.guest(anna, Scope.ROOM)
    kinds = ["video", "audio", "screen", "transcript"]
    await story.call(guest, "POST /take-part/{session}", {"consent": kinds})
    await story.call(guest, "POST /take-part/{session}/consent", {"kind": "screen", "given": "no"})
    await story.call(guest, "POST /take-part/{session}/mails", {"wanted": "no"})
    await story.call(guest, "POST /my-data/code")
    [code] = await world.rows(anna.lab, DataCode)
    await world.change(anna.lab, DataCode, code.id, code_hash=token_hash("123456", f"data-code:{anna.person}"))
    await story.call(guest, "POST /my-data/open", {"code": "123456"})
    story.ids["token"] = world.ben.unsubscribe.rpartition("/")[2]
    await story.call(world.browser(), "POST /unsubscribe/{token}/sessions")
    await story.call(world.browser(), "POST /unsubscribe/{token}")


async def live(story: Story) -> None:
    world = story.world
    owner, guest = await world.member(world.lab), await world.guest(world.anna, Scope.ROOM)
    await story.call(owner, "POST /rooms/{session}/admit/{participant}")
    await story.call(owner, "POST /rooms/{session}/token", {"stream": "camera"})
    for browser, step in (
        (owner, "open"),
        (owner, "start"),
        (owner, "pause"),
        (owner, "resume"),
        (guest, "pause-mine"),
        (guest, "resume-mine"),
    ):
        story.ids["step"] = step
        await story.call(browser, "POST /rooms/{session}/{step}")
    await story.call(owner, "POST /sessions/{session}/notes", {"text": "Hesitates", "writing_ms": "0"})
    story.ids["note"] = await story.newest(Note, order=Note.at)
    await story.call(owner, "POST /sessions/{session}/notes/{note}/delete")
    await story.call(owner, "POST /sessions/{session}/notes", {"text": "Stays", "writing_ms": "0"})
    story.ids["recording"] = (await world.record(world.anna)).recording
    story.ids["step"] = "end"
    await story.call(owner, "POST /rooms/{session}/{step}")


async def afterwards(story: Story) -> None:
    world = story.world
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    await world.work()
    await story.call(owner, "POST /recordings/{recording}/hold", HOLD)
    await story.call(owner, "POST /recordings/{recording}/release")
    await story.call(owner, "POST /sessions/{session}/hold", HOLD)
    await story.call(owner, "POST /sessions/{session}/release")
    await world.change(world.lab, Recording, story.ids["recording"], state=RecordingState.FAILED)
    await story.call(owner, "POST /recordings/{recording}/again")
    await world.work()
    study = story.ids["study"]
    story.ids["study"] = world.lab.study
    await story.call(owner, "POST /studies/{study}/questions", {"kind": "text", "prompt": "How was it?"})
    question = await story.newest(Question, order=Question.created_at)
    story.ids["study"] = study
    await story.call(guest, "POST /take-part/{session}/questions", {f"q-{question}": "Calm."})
    await story.call(guest, "POST /my-data/{session}/answers/erase")


async def corrected(story: Story) -> None:
    """A line of the transcript by either side, and the address by a code."""
    world = story.world
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    [transcript] = await world.rows(world.lab, Transcript)
    await transcribe(world.wiring, lambda: Listener([]), world.lab.account, transcript.id)
    found = await owner.open(f"/recordings/{transcript.recording_id}/transcript/corrections")
    line = re.search(r"\?line=(\d+)", found.html)
    assert line is not None
    said = {"start_ms": line[1], "text": "thyme"}
    await story.call(owner, "POST /recordings/{recording}/transcript/corrections", said)
    await story.call(guest, "POST /my-data/recordings/{recording}/transcript", said)
    await story.call(guest, "POST /my-data/address", {"email": "anne@elsewhere.example"})
    [change] = await world.rows(world.lab, AddressChange)
    known = token_hash("123456", f"address-code:{world.anna.person}")
    await world.change(world.lab, AddressChange, change.id, code_hash=known)
    await story.call(guest, "POST /my-data/address/confirm", {"code": "123456"})


async def support(story: Story) -> None:
    """Two operators and the owner: a grant of the second operator is given back, one of the owner's is ended."""
    world, owner = story.world, await story.world.member(story.world.lab)
    at_work = []
    for name in ("Omar", "Oda"):
        browser = world.browser()
        at_work.append(browser)
        await OperatorAtWork(world.wiring, browser.http, name, f"{name.lower()}@platform.example").sign_in()
    omar, oda = at_work
    form = {"account": str(world.lab.account), "kind": "session", "object": str(world.lab.session)}
    await story.call(owner, "POST /support-access/second-operator", {"second_operator": "yes"})
    for browser, steps in (
        (oda, ("POST /support/requests/{support}/refuse",)),
        (oda, ("POST /support/requests/{support}/grant", "POST /support/grants/{support}/end")),
        (owner, ("POST /support-access/{support}/refuse",)),
        (owner, ("POST /support-access/{support}/grant", "POST /support-access/{support}/revoke")),
    ):
        await story.call(omar, "POST /support/requests", form | {"reason": "Ticket 17: no picture."})
        story.ids["support"] = await story.newest(SupportRequest, order=SupportRequest.asked_at)
        for step in steps:
            await story.call(omar if step.endswith("/end") else browser, step, {"minutes": "15"})


async def given_to_others(story: Story) -> None:
    owner = await story.world.member(story.world.lab)
    given = {
        "people": [str(story.world.anna.person)], "recipient": "District Court", "contact": "Room 7",
        "kinds": ["contact"], "ground": "law", "words": "Order 4", "told": "yes",
        "given_on": f"{datetime.now(UTC):%Y-%m-%d}",
    }  # fmt: skip
    await story.call(owner, "POST /sessions/{session}/disclosures", given)
    story.ids["disclosure"] = await story.newest(Disclosure, order=Disclosure.at)
    await story.call(owner, "POST /disclosures/{disclosure}/correct", given | {"recipient": "Regional Court"})
    await story.call(await story.world.guest(story.world.anna), "POST /my-data/name", {"name": "Anke"})
    story.ids["notice"] = await story.newest(RecipientNotice, order=RecipientNotice.made_at)
    told = {"told_on": given["given_on"]}
    await story.call(owner, "POST /disclosures/notices/{notice}", told)


async def erased_by_the_owner(story: Story) -> None:
    owner = await story.world.member(story.world.lab)
    guest = await story.world.guest(story.world.anna)
    await story.call(guest, "POST /my-data/supplements", {"about": story.ids["recording"], "words": "It was cut off."})
    story.ids["supplement"] = await story.newest(Supplement, order=Supplement.at)
    await story.call(guest, "POST /my-data/supplements/{supplement}/take-back")
    await story.call(owner, "POST /recordings/{recording}/erase")
    await story.call(owner, "POST /sessions/{session}/erase")


async def requests(story: Story) -> None:
    world = story.world
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    await story.call(guest, "POST /my-data/name", {"name": "Anne"})
    await story.call(guest, "POST /my-data/requests", {"kind": "rectification", "words": "My town is wrong."})
    story.ids["data_request"] = await story.newest(
        DataRequest, DataRequest.kind == RequestKind.RECTIFICATION, order=DataRequest.asked_at
    )
    await story.call(owner, "POST /requests/{data_request}/extend", {"why": "The town has to be asked."})
    await story.call(owner, "POST /requests/{data_request}/answer", {"outcome": "granted", "words": "Mended."})
    await noted_requests(story, owner, guest)
    await story.call(guest, "POST /my-data/object", {"words": "I would rather not."})
    await story.call(guest, "POST /my-data/restrict")
    story.ids["data_request"] = await story.newest(
        DataRequest, DataRequest.kind == RequestKind.RESTRICTION, order=DataRequest.asked_at
    )
    await story.call(owner, "POST /requests/{data_request}/lift", {"words": "It is settled.", "ground": "settled"})


async def noted_requests(story: Story, owner: Browser, guest: Browser) -> None:
    world = story.world
    for kind, word in ((RequestKind.ACCESS, "confirm"), (RequestKind.RECTIFICATION, "disown")):
        form = {"kind": str(kind), "way": "phone", "came_on": f"{datetime.now(UTC):%Y-%m-%d}", "words": "She phoned."}
        await story.call(owner, "POST /requests/for/{participant}", form)
        story.ids["data_request"] = await story.newest(
            DataRequest, DataRequest.kind == kind, DataRequest.way.is_not(None), order=DataRequest.asked_at
        )
        key = signing_key(world.settings.data_dir)
        story.ids["token"] = receipt_token(key, world.lab.account, story.ids["data_request"], REQUEST)
        await story.call(guest, f"POST /my-data/requests/{{data_request}}/{word}")
        if kind is RequestKind.ACCESS:
            await story.call(world.browser(), "POST /asked/{token}")


async def erasing(story: Story) -> None:
    world = story.world
    guest = await world.guest(world.anna)
    await story.call(guest, "POST /my-data/{session}/withdraw", {"kind": "audio"})
    await story.call(guest, "POST /my-data/unsubscribe")
    await story.call(guest, "POST /my-data/erase")


async def closing(story: Story) -> None:
    world = story.world
    owner = await world.member(world.lab)
    for request in await world.rows(world.lab, DataRequest, DataRequest.state.in_(UNANSWERED)):
        await world.change(world.lab, DataRequest, request.id, state=RequestState.DONE)
    assert (await owner.http.get("/account/export.zip?purpose=leaving")).status_code == 200
    await story.call(owner, "POST /account/close", {"name": world.lab.name})
    await story.call(owner, "POST /account/keep")
    await story.call(owner, "POST /account/close/today", {"name": world.lab.name})
