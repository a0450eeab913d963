"""T0-25, T0-26, T0-27: what an owner gives to somebody outside is noted with its ground, the participant is told of it,
and no copy leaves for anybody outside before."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from app.accounts.models import Role, Scope
from app.audit import Action, AuditEvent
from app.demo.browser import Browser
from app.sessions.disclosure_models import Disclosure
from tests.promises.acts.story import HOLD
from tests.promises.disclosures import court, entries, given, noted, today
from tests.promises.test_j4_access import an_operator, ask, granted
from tests.promises.test_j4_copies import MINE, unpacked
from tests.promises.test_t0_assigned import browser_of, give, limit, member
from tests.promises.world import World, answer_after_the_session

DAY = timedelta(days=1)
COPIES_LEFT = ("downloaded", "transcript:read")


async def copies(world: World) -> int:
    """How many lines of the log say that a copy left."""
    return len([e for e in await world.rows(world.lab, AuditEvent) if e.action.endswith(COPIES_LEFT)])


async def test_t0_25_the_entry_says_who_what_why_and_whether_they_were_told_first(world: World, superuser_url: str):
    await world.registered(world.anna)
    assert (await noted(world, given(world.anna))).status_code == 303
    [row] = await entries(world)
    assert (row.ground, row.kinds, row.told_before) == ("vital", ["contact", "video", "audio"], False)
    for browser, where in (
        (await world.member(world.lab), f"/sessions/{world.lab.session}/disclosures"),
        (await world.member(world.lab), "/disclosures"),
        (await world.guest(world.anna), "/my-data"),
    ):
        words = (await browser.open(where)).words
        for said in ("Dr Meier", "practice@meier.example", "harm themselves", "Phoned twice", "health is in danger"):
            assert said in words, (where, said)
    [event] = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.DISCLOSURE_NOTED)
    assert event.actor == f"member:{world.lab.owner}" and event.facts == {"ground": "vital", "told_before": False}
    with psycopg.connect(superuser_url) as connection:
        [(stored,)] = connection.execute("SELECT d::text FROM disclosure d").fetchall()
    assert not any(clear.encode().hex() in stored or clear in stored for clear in ("Meier", "harm", "Phoned"))


TOO_LITTLE: list[tuple[dict[str, Any], str]] = [
    ({"untold": ""}, "untold"),
    ({"told": ""}, "told"),
    ({"kinds": []}, "kinds"),
    ({"kinds": ["everything"]}, "kinds"),
    ({"people": []}, "people"),
    ({"recipient": ""}, "recipient"),
    ({"contact": ""}, "contact"),
    ({"ground": "curiosity"}, "ground"),
    ({"ground": "law", "words": ""}, "words"),
    ({"ground": "other", "words": ""}, "words"),
    ({"given_on": "2999-01-01"}, "given_on"),
    ({"given_on": "soon"}, "given_on"),
    ({"hidden_ground": "order"}, "hidden_until"),
    ({"hidden_until": f"{today() + 9 * DAY}"}, "hidden_until"),
    ({"hidden_ground": "shame", "hidden_until": f"{today() + 9 * DAY}"}, "hidden_ground"),
    ({"hidden_ground": "order", "hidden_until": f"{today() + 500 * DAY}"}, "hidden_until"),
    ({"hidden_ground": "order", "hidden_until": f"{today() - DAY}"}, "hidden_until"),
    ({"hidden_ground": "order", "hidden_until": f"{today() + 9 * DAY}", "told": "yes"}, "hidden_until"),
]


async def test_t0_25_an_entry_that_says_too_little_or_of_somebody_else_is_refused_and_kept(
    world: World,
):
    owner, stranger = await world.member(world.lab), await world.invite(world.other, "Otto", "otto@people.example")
    others = [({"people": [str(one)]}, "people") for one in (stranger.person, uuid4(), "anna")]
    for change, field in [*TOO_LITTLE, *others]:
        answer = await noted(world, given(world.anna) | change, owner)
        assert answer.status_code == 422 and f'id="{field}-wrong"' in answer.text, change
        assert "practice@meier.example" in answer.text or field == "contact"
    assert await entries(world) == []


async def test_t0_25_no_copy_leaves_for_somebody_outside_before_it_is_noted_who_gets_it(world: World):
    transcript = await world.transcribed(world.anna)
    await answer_after_the_session(world, world.anna)
    recording, session = f"/recordings/{transcript.recording_id}", f"/sessions/{world.lab.session}"
    takes = {
        f"{recording}/media?download=true&": ["video", "audio"],
        f"{recording}/transcript/txt?": ["transcript"],
        f"{session}/answers.csv?": ["contact", "answers"],
    }
    reasons = {"emergency": "vital", "duty": "law", "complaint": "complaint", "legal": "claim"}
    for browser in (await world.member(world.lab), await world.member(world.lab, Role.RESEARCHER)):
        for path in takes:
            for purpose in reasons:
                answer = await browser.http.get(f"{path}purpose={purpose}", follow_redirects=False)
                assert answer.status_code == 303 and answer.headers["location"].startswith(f"{session}/disclosures?")
    assert await copies(world) == 0
    owner = await world.member(world.lab)
    page = await owner.open(f"{recording}/media?download=true&purpose=duty")
    assert "Nothing was downloaded" in page.words and 'value="video" checked' in page.html
    for number, (path, kinds) in enumerate(takes.items(), 1):
        await noted(world, given(world.ben, kinds=kinds))  # somebody else's entry
        await noted(world, given(world.anna, kinds=kinds[1:] or ["notes"]))  # less than the copy has in it
        await noted(world, given(world.anna, kinds=kinds, ground="complaint"))  # for another reason
        asked = await owner.http.get(f"{path}purpose=emergency", follow_redirects=False)
        assert asked.status_code == 303 and await copies(world) == number - 1
        await noted(world, given(world.anna, kinds=kinds))
        taken = await owner.http.get(f"{path}purpose=emergency", follow_redirects=False)
        assert taken.status_code == 200 and await copies(world) == number
    assert (await owner.http.get("/account/export.zip?purpose=duty")).status_code == 422
    assert (await owner.http.get(f"{recording}/media?download=true&purpose=analysis")).status_code == 200


async def test_t0_26_whoever_exports_for_a_law_names_it_and_gives_no_more_than_it_asks_for(world: World):
    """Nobody of the platform exports at all: a grant lets an operator look, and makes no copy."""
    transcript = await world.transcribed(world.anna)
    media = f"/recordings/{transcript.recording_id}/media?download=true&purpose=duty"
    operator = await an_operator(world)
    grant = await granted(world, operator, transcript.recording_id)
    for path in (media, "/account/export.zip?purpose=duty", f"/sessions/{world.lab.session}/answers.csv?purpose=duty"):
        assert (await operator.get(path)).status_code in (303, 401), path
    looked = await operator.get(f"/support/grants/{grant}/recordings/{transcript.recording_id}/media?download=true")
    assert "attachment" not in looked.headers.get("content-disposition", "")
    owner = await world.member(world.lab)
    assert (await noted(world, court(world.anna, words=""))).status_code == 422
    assert (await owner.http.get(media, follow_redirects=False)).status_code == 303
    await noted(world, court(world.anna, kinds=["transcript"]))
    assert (await owner.http.get(media, follow_redirects=False)).status_code == 303, "the order asked for the words"
    path = f"/recordings/{transcript.recording_id}/transcript/txt?purpose=duty"
    assert (await owner.http.get(path)).status_code == 200 and await copies(world) == 1


async def test_t0_26_an_owner_counts_what_was_demanded(world: World):
    path, owner = "/disclosures", await world.member(world.lab)
    assert "Nothing of any participant was given" in (await owner.open(path)).words
    await noted(world, court(world.anna, world.ben))
    await noted(world, given(world.anna))
    words = (await owner.open(path)).words
    assert "because a law or an authority asks for it: 2" in words and "health is in danger: 1" in words
    [first, *_] = [row for row in await entries(world) if row.participant_id == world.ben.person]
    form = court(nothing="yes") | {"kinds": []}
    assert (await world.post(owner, f"/disclosures/{first.id}/correct", form)).status_code == 303
    assert "because a law or an authority asks for it: 1" in (await owner.open(path)).words


async def test_t0_26_what_may_not_be_told_yet_is_told_from_its_day_on(world: World):
    transcript = await world.transcribed(world.anna)
    silent = {"hidden_ground": "order", "hidden_until": f"{today() + 9 * DAY}", "untold": "The order forbids it."}
    await noted(world, court(world.anna, kinds=["video", "audio"], **silent))
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    taken = await owner.http.get(f"/recordings/{transcript.recording_id}/media?download=true&purpose=duty")
    assert taken.status_code == 200
    secret = ("District Court", "12 C 7", '"purpose": "duty"', "disclosure:noted", 'hidden_until": "2')
    assert "District Court" in (await owner.open("/disclosures")).words

    async def what_they_get() -> str:
        files = unpacked(await guest.http.get(MINE))
        pages = [(await guest.open(path)).html for path in ("/my-data", "/my-data/erase")]
        return "".join([*pages, *(files[name].decode() for name in files if name.endswith(".json"))])

    hidden = await what_they_get()
    assert [word for word in secret if word in hidden] == []
    [row] = await entries(world)
    await world.change(world.lab, Disclosure, row.id, hidden_until=today())
    shown = await what_they_get()
    assert [word for word in secret if word not in shown] == []


async def test_t0_26_only_owners_keep_silent_and_others_correct_nothing_that_is_hidden(world: World):
    researcher = await world.member(world.lab, Role.RESEARCHER)
    silent = {"hidden_ground": "order", "hidden_until": f"{today() + 9 * DAY}"}
    answer = await noted(world, court(world.anna, **silent), researcher)
    assert answer.status_code == 422 and "Only an owner" in answer.text and await entries(world) == []
    await noted(world, court(world.anna, **silent))
    [row] = await entries(world)
    answer = await world.post(researcher, f"/disclosures/{row.id}/correct", court())
    assert answer.status_code == 422 and len(await entries(world)) == 1


async def test_t0_26_entries_are_corrected_by_later_ones_and_never_changed(world: World):
    owner = await world.member(world.lab)
    await noted(world, court(world.anna))
    [first] = await entries(world)
    path = f"/disclosures/{first.id}/correct"
    assert 'value="District Court"' in (await owner.open(path)).html
    assert (await world.post(owner, path, court(recipient="Regional Court"))).status_code == 303
    before, after = await entries(world)
    assert before.recipient == first.recipient and after.corrects == first.id
    assert (await world.post(owner, path, court())).status_code == 404, "one entry is corrected once"
    words = (await owner.open("/disclosures")).words
    assert "Regional Court" in words and "District Court" not in words
    data = json.loads(unpacked(await (await world.guest(world.anna)).http.get(MINE))["data.json"])
    assert [one["recipient"] for one in data["disclosure"]] == ["District Court", "Regional Court"]


async def test_t0_26_who_notes_and_who_reads(world: World):
    """The whole cast: owners and researchers note, owners read the register, observers and everybody else nothing."""
    await world.registered(world.anna)
    await noted(world, court(world.anna))
    [row] = await entries(world)
    session, fix = f"/sessions/{world.lab.session}/disclosures", f"/disclosures/{row.id}/correct"
    notice = f"/disclosures/notices/{uuid4()}"
    cast = {
        "owner": (await world.member(world.lab), [200, 200, 200, 422, 422, 404]),
        "researcher": (await world.member(world.lab, Role.RESEARCHER), [403, 200, 200, 422, 422, 403]),
        "observer": (await world.member(world.lab, Role.OBSERVER), [403] * 6),
        "other account": (await world.member(world.other), [200, 404, 404, 404, 404, 404]),
        "participant": (await world.guest(world.anna), [401] * 6),
        "other participant": (await world.guest(world.ben, Scope.ROOM), [401] * 6),
        "stranger": (world.browser(), [401] * 6),
    }
    seen = {}
    for who, (browser, _expected) in cast.items():
        got = [await ask(browser, "GET", path) for path in ("/disclosures", session, fix)]
        seen[who] = [*got, *[(await ask_with_form(world, browser, path)) for path in (session, fix, notice)]]
    assert seen == {who: expected for who, (_, expected) in cast.items()}
    assert "District" not in (await (await world.member(world.other)).open("/disclosures")).words
    assert "District" not in (await (await world.guest(world.ben)).open("/my-data")).words


async def ask_with_form(world: World, browser: Browser, path: str) -> int:
    answer = await world.post(browser, path, {"kinds": "nonsense"})
    return 401 if answer.headers.get("location", "").startswith("/sign-in") else answer.status_code


async def test_t0_26_whoever_is_not_assigned_reads_and_notes_nothing(world: World):
    await noted(world, court(world.anna))
    [row] = await entries(world)
    person = await member(world, Role.RESEARCHER, "rosa")
    await limit(world)
    browser = await browser_of(world, person)
    paths = (f"/sessions/{world.lab.session}/disclosures", f"/disclosures/{row.id}/correct")
    assert [await ask(browser, "GET", path) for path in paths] == [404, 404]
    assert (await noted(world, court(world.anna), browser)).status_code == 404
    await give(world, person, world.lab.session)
    assert [await ask(browser, "GET", path) for path in paths] == [200, 200]
    assert (await noted(world, court(world.anna), browser)).status_code == 303


async def test_t0_27_what_a_complaint_needs_is_held_shared_and_told(world: World):
    """A hold keeps it, an entry says who looks at it, the participant reads both."""
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    owner, guest = await world.member(world.lab), await world.guest(world.anna)
    media = f"/recordings/{ref.recording}/media?download=true&purpose=complaint"
    assert (await owner.http.get(media, follow_redirects=False)).status_code == 303 and await copies(world) == 0
    await world.post(owner, f"/recordings/{ref.recording}/hold", HOLD)
    board = {"recipient": "Ethics board", "words": "Complaint 7 of May", "ground": "complaint", "told": "yes"}
    assert (await noted(world, given(world.anna, **board, kinds=["video", "audio", "notes"]))).status_code == 303
    assert (await owner.http.get(media, follow_redirects=False)).status_code == 200 and await copies(world) == 1
    words = (await guest.open("/my-data")).words
    assert "Ethics board" in words and "to look into a complaint" in words and "You were told before." in words
    assert "That is looked at again by" in words
