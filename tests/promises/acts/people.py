"""What participants do: take part, correct, ask and have erased."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from app.accounts.models import Scope
from app.demo.browser import Browser
from app.participants.models import AddressChange, DataCode
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import REQUEST, receipt_token
from app.privacy.records.models import DataRequest, RequestKind
from app.sessions.models import Transcript
from app.tokens import token_hash
from tests.promises.acts.story import Story
from tests.promises.sources import Listener
from workers.transcribe import transcribe


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
