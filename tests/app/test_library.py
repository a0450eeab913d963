"""The library: what was recorded is played to those who may see it, by byte range, and to nobody else."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from app.database import now_in
from app.library.transcripts import read_transcript
from app.sessions.models import Recording, Session, SessionState, Track, Transcript
from app.sessions.service import recording_ref
from app.studies.models import Study
from recordings.encryption.sealed import SealBroken
from recordings.model import RecordingId, StreamKind, TrackKind
from recordings.storage.layout import transcript_key
from tests.fixtures.stored import store_transcript, stored_recording
from tests.fixtures.web import EVERYONE, Cast
from tests.recordings.scene import play
from workers.finalise import finalise


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)


async def test_only_owner_and_researcher_of_the_account_see_media_and_words(cast: Cast, recording: RecordingId) -> None:
    seen = {}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen[who] = [
            (await browser.get(path)).status_code
            for path in (
                f"/recordings/{recording}/media",
                f"/recordings/{recording}/transcript/vtt?purpose=quality",
                f"/sessions/{cast.session}/review",
            )
        ]
    assert seen == {
        "owner": [200, 200, 200],
        "researcher": [200, 200, 200],
        "observer": [403, 403, 403],
        "other_owner": [404, 404, 404],
        "participant": [401, 401, 401],
        "other_participant": [401, 401, 401],
        "stranger": [401, 401, 401],
    }


async def test_what_is_served_plays_and_ranges_are_its_parts(cast: Cast, recording: RecordingId) -> None:
    browser, url = await cast.browser("researcher"), f"/recordings/{recording}/media"
    whole = await browser.get(url)
    assert whole.headers["content-type"] == "video/webm"
    assert int(whole.headers["content-length"]) == len(whole.content)
    assert "no-store" in whole.headers["cache-control"]
    assert {len(packets) > 80 for packets in play(whole.content).values()} == {True}
    etag, size = whole.headers["etag"], len(whole.content)
    part = await browser.get(url, headers={"range": "bytes=1000-2999"})
    assert part.status_code == 206
    assert part.content == whole.content[1000:3000]
    assert part.headers["content-range"] == f"bytes 1000-2999/{size}"
    assert (await browser.get(url, headers={"range": "bytes=-500"})).content == whole.content[-500:]
    assert (await browser.get(url, headers={"range": f"bytes={size}-"})).status_code == 416
    assert (await browser.get(url, headers={"range": "bytes=0-9", "if-range": '"older"'})).status_code == 200
    assert (await browser.get(url, headers={"if-none-match": etag})).status_code == 304
    head = await browser.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))
    assert head.headers["content-type"] == "video/webm"


async def test_past_its_date_it_is_unreadable_at_once_with_no_sweeper(cast: Cast, recording: RecordingId) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        ended = await now_in(db) - timedelta(days=8)
        await db.execute(
            update(Session).where(Session.id == cast.session).values(state=SessionState.ENDED, ended_at=ended)
        )
        await db.execute(update(Study).values(retention_days=7))
    browser = await cast.browser("owner")
    answer = await browser.get(f"/recordings/{recording}/media")
    assert answer.status_code == 404
    assert "kept until its date" in answer.text
    assert (await browser.get(f"/recordings/{recording}/transcript/txt")).status_code == 404
    assert str(recording) not in (await browser.get(f"/sessions/{cast.session}/review")).text


async def test_a_closed_track_is_not_served_though_nothing_is_erased_yet(cast: Cast, recording: RecordingId) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Track).where(Track.kind == "voice").values(closed_at=await now_in(db)))
    browser = await cast.browser("owner")
    served = await browser.get(f"/recordings/{recording}/media")
    assert len(play(served.content)) == 1
    assert (await browser.get(f"/recordings/{recording}/transcript/vtt")).status_code == 404
    assert "lamp" not in (await browser.get(f"/sessions/{cast.session}/review")).text


async def test_changed_bytes_are_refused_with_a_sentence(cast: Cast, recording: RecordingId) -> None:
    store = cast.wiring.store
    index = next(thing for thing in store.list("") if "/index-" in thing.key)
    data = bytearray(store.get(index.key))
    data[-1] ^= 1
    store.delete(store.remains(index.key))
    store.put(index.key, bytes(data))
    answer = await (await cast.browser("owner")).get(f"/recordings/{recording}/media")
    assert answer.status_code == 409
    assert "changed or damaged" in answer.text


async def test_review_shows_camera_and_screen_in_step_beside_the_words(
    cast: Cast, recording: RecordingId, tmp_path: Path
) -> None:
    person = cast.participant.participant
    screen = await stored_recording(cast, tmp_path, person=person, stream=StreamKind.SCREEN)
    page = (await (await cast.browser("researcher")).get(f"/sessions/{cast.session}/review")).text
    assert f'src="/recordings/{recording}/media"' in page
    assert f'src="/recordings/{screen}/media"' in page
    assert '1100">&lt;button&gt;</span> <span data-at="1200">&amp;</span>' in page
    assert "Anna, camera: recorded 0:00 to 0:03, no gaps" in page


GONE = {"Voice": "0:01 – 0:03", "Picture": "0:04 – 0:06"}
REVIEW_GAPS = re.compile(r"data-gaps='([^']*)'")


async def test_what_one_kind_lacks_is_told_of_that_kind_and_goes_with_it(cast: Cast, tmp_path: Path) -> None:
    """A voice lost under a picture and a picture lost over a voice: the player tells both, the transcript the voice; a
    kind that may not be seen any more tells nothing."""
    person = cast.participant.participant
    lost = {TrackKind.VOICE: (1.0, 3.0), TrackKind.CAMERA: (4.2, 6.2)}
    recording = await stored_recording(cast, tmp_path, person=person, seconds=7.0, lost=lost, transcript=True)
    browser = await cast.browser("researcher")
    voice, picture = (f"{what} missing {span}: lost on the network" for what, span in GONE.items())

    page = (await browser.get(f"/sessions/{cast.session}/review")).text
    [told] = REVIEW_GAPS.findall(page)
    assert [(words, covers) for *_, words, covers in json.loads(html.unescape(told))][:2] == [
        (voice, False),
        (picture, True),
    ]
    assert f"Anna, camera: recorded 0:00 to 0:07, {picture}" in page
    assert f"Anna, voice: recorded 0:00 to 0:07, {voice}" in page
    assert "Anna: voice missing for 2 s: lost on the network" in page and "picture missing for" not in page
    vtt = await browser.get(f"/recordings/{recording}/transcript/vtt?purpose=quality")
    assert "NOTE Anna, voice missing for 2 s: lost on the network (00:00:01.000 to 00:00:03.000)" in vtt.text
    assert "gaps: 4 s" in " ".join((await browser.get(f"/sessions/{cast.session}")).text.split())

    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Track).where(Track.kind == "voice").values(closed_at=await now_in(db)))
    page = (await browser.get(f"/sessions/{cast.session}/review")).text
    assert picture in page and "oice missing" not in page

    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Track).where(Track.kind == "voice").values(erased_at=await now_in(db)))
    await finalise(cast.wiring, cast.account, recording)
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, recording)
        assert row.gaps and {gap.get("kind") for gap in row.gaps} == {None}, "of the only kind that is left"
        await db.execute(update(Recording).values(restricted_at=await now_in(db)))
    page = (await browser.get(f"/sessions/{cast.session}/review")).text
    assert "missing" not in page and "lost on the network" not in page


async def test_what_can_be_seen_only_in_part_is_called_so_on_both_pages(cast: Cast, recording: RecordingId) -> None:
    """A take came after the film was made: what there is plays, and it is not taken for all of it."""
    browser = await cast.browser("researcher")
    pages = [f"/sessions/{cast.session}", f"/sessions/{cast.session}/review"]
    for path in pages:
        assert "still missing" not in (await browser.get(path)).text
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(state="captured"))
    for path in pages:
        page = (await browser.get(path)).text
        assert "Stored; what is still missing is being made ready" in page
    assert f"/recordings/{recording}/media" in page


async def test_the_session_page_says_what_became_of_each_recording(cast: Cast, recording: RecordingId) -> None:
    browser = await cast.browser("owner")
    page = (await browser.get(f"/sessions/{cast.session}")).text
    assert "Stored" in page
    assert "ready, 12 words; they cover all of the time somebody spoke" in page
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(state="failed", failure_reason="the disk was full"))
    assert "the disk was full" in (await browser.get(f"/sessions/{cast.session}")).text


async def test_a_transcript_is_bound_to_its_place(cast: Cast, recording: RecordingId) -> None:
    wiring = cast.wiring
    transcript = await store_transcript_again(cast, recording)
    async with wiring.database.transaction(cast.account) as db:
        ref = recording_ref(await db.get_one(Recording, recording))
    key = transcript_key(ref, transcript)
    assert read_transcript(wiring.store, wiring.keys, ref, transcript, key).cues[0].text.startswith("Hello")
    elsewhere = key[:-1] + ("0" if key[-1] != "0" else "1")
    wiring.store.put(elsewhere, wiring.store.get(key))
    with pytest.raises(SealBroken):
        read_transcript(wiring.store, wiring.keys, ref, transcript, elsewhere)


async def store_transcript_again(cast: Cast, recording: RecordingId) -> UUID:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(delete(Transcript))
    return await store_transcript(cast, recording)
