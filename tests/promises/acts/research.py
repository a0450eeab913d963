"""What the team does: studies, sessions, the room, and what is kept, given and erased afterwards."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from app.accounts.models import Member, Scope
from app.invitations.models import Invitation
from app.sessions.disclosure_models import Disclosure, RecipientNotice
from app.sessions.models import Note, Recording, RecordingState
from app.sessions.response_models import Supplement
from app.studies.models import Question
from tests.promises.acts.story import HOLD, Story

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
