"""J4-07 and J4-19e: nothing is recorded or written down without a consent that stands at that moment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy
import pytest
from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.dialects.postgresql import ARRAY

from app.accounts.models import Scope
from app.models import metadata
from app.participants.consents import standing_consents
from app.participants.models import Consent
from app.privacy.records.inventory import INVENTORY
from app.room.peer import KindRefused, publish
from app.sessions.models import Node, Recording, SessionState, Track, TranscriptState
from app.sessions.policy import CONSENT_TRACKS, Switch, allowed_kinds
from app.studies.models import ConsentKind
from recordings.model import StreamKind, TrackKind
from tests.app.loopback import client
from tests.promises.sources import Listener
from tests.promises.world import ALL_KINDS, Guest, World
from tests.recordings.scene import BOTH, CAMERA, VOICE, Scene, play
from workers.speech import Samples
from workers.transcribe import transcribe

SEALED = {
    "address_change.address", "line_correction.text", "data_request.extension",
    "supplement.text",
    "disclosure.recipient", "disclosure.contact", "disclosure.words", "disclosure.untold", "recipient_notice.words",
    "passkey.name",
    "answer.value", "member.name", "member.email", "note.text", "outgoing_mail.content", "recording.held_words",
    "data_request.words", "data_request.answer", "participant.name", "participant.email",
    "study.contact_name", "study.contact_email",
    "operator.name", "operator.email", "support_request.operator_name", "support_request.reason",
}  # fmt: skip
"""What is collected of people in the database: name, address, mails to them, what they answer, and notes of members
about a session; always sealed, under a key of theirs or, for notes, the account's."""
KEYED = {
    "member.email_index", "participant.email_index", "suppression.address_index", "sign_in_address.address_hash",
    "invitation.token_hash", "invitation.unsubscribe_hash", "login.token_hash", "sign_in_link.token_hash",
    "data_code.code_hash", "address_change.code_hash",
    "passkey.credential_hash", "passkey.credential_id", "passkey.public_key", "passkey_challenge.challenge_hash",
    "operator.email_index", "operator_link.token_hash", "operator_login.token_hash", "operator_login.challenge_hash",
    "operator_passkey.credential_hash", "operator_passkey.credential_id", "operator_passkey.public_key",
    "consent.text_hash", "audit_event.hash", "audit_event.previous_hash",
    "rate.key",
    "account_certificate.signature", "account_certificate.public_key",
    "certificate.signature", "certificate.public_key",
}  # fmt: skip
CHOSEN = {"participant.language"}
"""One of the languages we speak, chosen by the participant: shown under My data, gone with their name."""
TECHNICAL = {
    "account.closing_asked_by", "account_certificate.document", "account_certificate.state",
    "account.name", "audit_event.action", "audit_event.actor", "audit_event.facts", "audit_event.subject",
    "certificate.document", "certificate.state", "consent.kind", "consent.language", "consent.purpose",
    "consent_text.language", "consent_text.text", "data_request.kind", "data_request.receipt", "data_request.state",
    "disclosure.kinds", "disclosure.ground", "disclosure.hidden_ground",
    "recipient_notice.change", "recipient_notice.ground", "recipient_notice.receipt",
    "data_request.way", "data_request.outcome", "data_request.ground", "request_item.sort", "request_item.ground",
    "erasure.asked_by", "erasure.found", "erasure.instruction", "erasure.reason", "erasure.receipt", "erasure.state",
    "erasure.track_kinds", "job_failure.exception", "job_failure.place", "job_failure.task",
    "line_correction.by", "login.scope", "node.country", "recording.place",
    "job_instruction.instruction", "job_instruction.task",
    "login.way", "member.role", "node.name", "node.url", "orphan.kind", "orphan.place", "outgoing_mail.key",
    "outgoing_mail.state", "outgoing_mail.template",
    "presence.role", "question.highest_label", "question.kind", "question.lowest_label", "question.options",
    "question.prompt", "recording.failure_reason", "recording.gaps", "recording.held_reason", "recording.index_key",
    "recording.state", "recording.stream", "session.node", "session.recording", "session.state", "session.time_zone",
    "session.title", "support_request.answered_by", "support_request.object_kind", "support_request.revoked_by",
    "support_rule.set_by", "study.kinds", "study.language", "study.questions_words", "study.title", "take.node",
    "take.resource", "task_done.task", "track.kind", "transcript.failure_reason", "transcript.language",
    "transcript.model", "transcript.object_key", "transcript.state",
    "account.periods", "study.periods", "session.periods", "participant.periods", "recording.periods",
    "response.periods", "study.ending", "study.reminder", "tally.counts",
}  # fmt: skip
"""Texts of the account itself, ids, states and reasons: nothing a participant gives us."""


def collected() -> Iterator[str]:
    """Every column that could carry something about a person: texts, bytes and free structures."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            kind = column.type.item_type if isinstance(column.type, ARRAY) else column.type
            if isinstance(kind, String | LargeBinary | JSON):
                yield f"{table.name}.{column.name}"


def test_j4_07_what_is_collected_is_known_column_by_column():
    """A new column that could hold personal data fails here until somebody has said what it holds."""
    assert set(collected()) == SEALED | KEYED | CHOSEN | TECHNICAL


def test_j4_07_every_column_declares_purpose_retention_export_and_erasure():
    """In the inventory, which the copy of a participant is made from (app.privacy.records.inventory)."""
    declared = {f"{table}.{column}" for table, kept in INVENTORY.items() for column in kept.columns()}
    assert declared == {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns}
    for table, kept in INVENTORY.items():
        assert all((kept.about, kept.purpose, kept.until, kept.goes)), table
        copied = {f"{table}.{column}" for column in f"{kept.copied} {kept.opened}".split()}
        assert not copied & KEYED - {"consent.text_hash"}, table
        assert {f"{table}.{column}" for column in kept.opened.split()} <= SEALED, table


async def test_j4_07_the_database_holds_no_personal_value_in_clear(world: World, superuser_url: str):
    import psycopg

    await world.registered(world.anna)
    with psycopg.connect(superuser_url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema IN ('public', 'jobs') AND table_type = 'BASE TABLE'"
        ).fetchall()
        for schema, table in tables:
            rows = connection.execute(f'SELECT t::text FROM {schema}."{table}" t').fetchall()  # type: ignore[arg-type]
            for (row,) in rows:
                for canary in ("Anna", "anna@", "Olga", "olga@lab"):
                    assert canary not in row, f"{schema}.{table}"
                    assert canary.encode().hex() not in row, f"{schema}.{table}"


async def test_j4_07_each_kind_has_its_own_switch_and_none_is_set(world: World):
    browser = await world.guest(world.anna, Scope.ROOM)
    html = (await browser.open(f"/take-part/{world.lab.session}")).html
    switches = re.findall(r"<input[^>]*type=\"checkbox\"[^>]*>", html)
    assert sorted(re.search(r'value="(\w+)"', one)[1] for one in switches) == sorted(ALL_KINDS)  # type: ignore[index]
    assert not any("checked" in one for one in switches)


async def test_j4_07_one_switch_allows_its_own_kind_only(world: World):
    await world.registered(world.anna, consents=[])
    browser = await world.guest(world.anna, Scope.ROOM)
    for kind in ConsentKind:
        await world.post(browser, f"/take-part/{world.lab.session}", {"consent": [kind]})
        async with world.wiring.database.transaction(world.lab.account) as db:
            given = await standing_consents(db, session=world.lab.session, participant=world.anna.person)
        assert given == {kind}
        allowed = allowed_kinds(
            consents=given, recording=Switch.ON, paused_by_participant=False, state=SessionState.LIVE
        )
        assert allowed == CONSENT_TRACKS[kind]


async def test_j4_07_an_invented_kind_stores_no_consent(world: World):
    await world.registered(world.anna, consents=[])
    browser = await world.guest(world.anna)
    for values in (
        {"consent": "everything"}, {"consent": ["audio", "marketing"]}, {"video": "on"}, {"kind": "video"},
    ):  # fmt: skip
        answer = await world.post(browser, f"/take-part/{world.lab.session}", values)
        assert answer.status_code == 422, values
    assert await world.rows(world.lab, Consent) == []


async def test_j4_07_registering_alone_records_nothing(world: World):
    await world.post(world.browser(), world.anna.link, {"name": "Anna", "email": world.anna.email})
    assert await world.rows(world.lab, Consent) == []
    await world.record(world.anna)
    assert await world.rows(world.lab, Track) == []  # nothing to write to, and nothing written
    assert not [thing for thing in world.wiring.store.list(f"{world.lab.account}/") if "/s/" in thing.key]


async def offer(*, video: bool, audio: bool) -> str:
    """What a browser would send."""
    peer = client()
    for kind, wanted in (("audio", audio), ("video", video)):
        if wanted:
            peer.addTransceiver(kind, direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp: str = peer.localDescription.sdp
    await peer.close()
    return sdp


async def whip(world: World, guest: Guest, sdp: str) -> int:
    await world.go_live(guest.lab)
    now = datetime.now(UTC)
    async with world.wiring.database.transaction() as db:
        if await db.get(Node, "media-1") is None:
            beats = now + timedelta(minutes=5)  # for as long as a busy machine may need
            db.add(Node(name="media-1", url="http://127.0.0.1:1", capacity=5, started_at=now, heartbeat_at=beats))
    browser = await world.guest(guest, Scope.ROOM)
    answer = await browser.http.post(
        f"/whip?session={guest.lab.session}&stream=camera",
        content=sdp,
        headers={"content-type": "application/sdp", "origin": world.settings.origin, "accept": "*/*"},
    )
    return answer.status_code


async def test_j4_07_a_stream_without_consent_is_refused_at_signalling(world: World):
    video, audio = ConsentKind.VIDEO, ConsentKind.AUDIO
    picture, both = await offer(video=True, audio=False), await offer(video=True, audio=True)
    sound = await offer(video=False, audio=True)
    for number, (consents, sdp, status) in enumerate(
        [
            ([video], both, 403),
            ([audio], picture, 403),
            ([ConsentKind.TRANSCRIPT], sound, 403),
            ([], both, 403),
            ([video], picture, 201),
            ([video, audio], both, 201),
        ]
    ):
        guest = await world.invite(world.lab, "Guest", f"guest{number}@people.example")
        await world.registered(guest, consents=consents)
        before = len(world.node.published)
        assert await whip(world, guest, sdp) == status, consents
        recorded = await world.rows(world.lab, Recording, Recording.person_id == guest.person)
        assert len(recorded) == len(world.node.published) - before == (1 if status == 201 else 0)


async def test_j4_07_the_media_process_refuses_it_too():
    class Nothing:
        def frame(self, frame: object) -> None: ...
        def sender_report(self, report: object) -> None: ...
        def hole(self, hole: object) -> None: ...

    with pytest.raises(KindRefused):
        await publish(
            await offer(video=True, audio=True),
            kinds=frozenset({TrackKind.CAMERA}),
            stream=StreamKind.CAMERA,
            offer_addresses=["127.0.0.1"],
            sink=Nothing(),  # type: ignore[arg-type]
        )


async def test_j4_07_what_is_forced_in_without_consent_never_reaches_the_disk(tmp_path):
    scene = Scene(tmp_path)
    recorder = scene.recorder(permit=frozenset({CAMERA}))
    sent = scene.capture(recorder, 3.0)
    recorder.close()
    await scene.store_all()
    played = play(b"".join(scene.view(scene.finalise()).read()))
    assert any(frame.kind is VOICE for frame in sent)
    assert set(played) == {"video"}
    assert not any(str(scene.tracks[VOICE].track) in key and "/s/" in key for key in scene.stored)


def received(scene: Scene, click: float, kinds: frozenset[TrackKind]) -> dict[str, list[float]]:
    """Play what is stored; times in seconds after START."""
    played = play(b"".join(scene.view(scene.finalise()).read()))
    return {kind: [packet.at_ms / 1000 for packet in packets] for kind, packets in played.items()}


@pytest.mark.parametrize("seed", range(8))
async def test_j4_19e_capture_of_the_kind_stops_with_the_click_and_the_others_go_on(tmp_path, seed: int):
    """The permission push takes at most 0.5 s; what comes in the same chunk as the click is cut right there."""
    click = float(numpy.random.default_rng(seed).uniform(0.4, 3.5))
    scene = Scene(tmp_path)
    recorder = scene.recorder()
    withdrawn = False

    def each(at: float) -> None:
        nonlocal withdrawn
        if at >= click and not withdrawn:
            withdrawn = True
            recorder.permit(frozenset({CAMERA}), "consent withdrawn")

    scene.capture(recorder, 4.0, each=each)
    recorder.close()
    await scene.store_all()
    played = received(scene, click, BOTH)
    assert click - 0.2 <= played["audio"][-1] <= click + 0.05
    assert played["video"][-1] > 3.8


async def test_j4_19e_taking_back_is_one_click_and_reaches_the_media_process_at_once(world: World):
    await world.registered(world.anna)
    assert await whip(world, world.anna, await offer(video=True, audio=True)) == 201
    browser = await world.guest(world.anna, Scope.ROOM)
    path = f"/take-part/{world.lab.session}/consent"
    await world.post(browser, path, {"kind": "audio", "given": "no"})
    last = world.node.permissions[-1]
    [recording] = await world.rows(world.lab, Recording)
    assert set(last.streams[recording.id]) == {TrackKind.CAMERA}  # sound is out, the picture goes on
    [voice] = await world.rows(world.lab, Track, Track.kind == "voice")
    [camera] = await world.rows(world.lab, Track, Track.kind == "camera")
    assert voice.closed_at is not None and camera.closed_at is None
    giving = await world.post(browser, path, {"kind": "audio", "given": "yes"})
    assert giving.status_code in (200, 303)  # no harder to take back than to give
    assert TrackKind.VOICE not in world.node.permissions[-1].streams[recording.id]  # never into the closed track


async def test_j4_19e_what_was_recorded_of_the_kind_is_erased_and_the_rest_plays_on(world: World):
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    before = await world.served(ref)
    assert set(before) == {"audio", "video"}
    browser = await world.guest(world.anna)
    await world.post(browser, f"/my-data/{world.lab.session}/withdraw", {"kind": "audio"})
    await world.work()
    after = await world.served(ref)
    assert set(after) == {"video"}
    assert [packet.data for packet in after["video"]] == [packet.data for packet in before["video"]]


async def test_j4_19e_queued_transcription_is_cancelled(world: World):
    transcript = await world.waiting_transcript(world.anna)
    browser = await world.guest(world.anna)
    await world.post(browser, f"/my-data/{world.lab.session}/withdraw", {"kind": "transcript"})
    heard: list[Samples] = []
    await transcribe(world.wiring, lambda: Listener(heard), world.lab.account, transcript.id)
    [row] = await world.transcripts(world.lab)
    assert heard == [] and row.state == TranscriptState.ERASED and row.object_key is None


async def test_j4_19e_a_transcript_being_written_is_thrown_away(world: World):
    """Taken back while the model listens: no word of it is kept."""
    transcript = await world.waiting_transcript(world.anna)
    browser = await world.guest(world.anna)
    heard: list[Samples] = []

    loop = asyncio.get_running_loop()

    def meanwhile() -> None:
        taking_back = world.post(browser, f"/my-data/{world.lab.session}/withdraw", {"kind": "transcript"})
        asyncio.run_coroutine_threadsafe(taking_back, loop).result(60)

    await transcribe(world.wiring, lambda: Listener(heard, meanwhile), world.lab.account, transcript.id)
    [row] = await world.transcripts(world.lab)
    assert len(heard) == 1 and row.state == TranscriptState.ERASED and row.object_key is None
    assert not [thing for thing in world.wiring.store.list(f"{world.lab.account}/") if "/t/" in thing.key]


async def test_j4_19e_what_was_lawful_before_is_still_shown(world: World):
    await world.registered(world.anna)
    browser = await world.guest(world.anna)
    await world.post(browser, f"/my-data/{world.lab.session}/withdraw", {"kind": "video"})
    log = await world.rows(world.lab, Consent, Consent.kind == "video", order=Consent.number)
    assert [row.given for row in log] == [True, False]
    words = (await browser.open("/my-data")).words
    assert "Video given" in words and "Video taken back" in words


async def test_j4_19e_nobody_takes_back_the_consent_of_somebody_else(world: World):
    await world.registered(world.anna)
    await world.registered(world.ben)
    await world.post(await world.guest(world.ben), f"/my-data/{world.lab.session}/withdraw", {"kind": "video"})
    assert [row.given for row in await world.rows(world.lab, Consent, Consent.participant_id == world.anna.person)] == [
        True
    ] * len(ALL_KINDS)
    for role in ("owner", "stranger"):
        browser = await world.member(world.lab) if role == "owner" else world.browser()
        path = f"/take-part/{world.lab.session}/consent"
        assert (await world.post(browser, path, {"kind": "video", "given": "yes"})).status_code in (401, 303, 403, 404)
    assert len(await world.rows(world.lab, Consent)) == 2 * len(ALL_KINDS) + 1
