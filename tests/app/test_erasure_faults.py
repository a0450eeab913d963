"""Erasing while something fails: a crash at any step is made good, a late piece does not stay, and a certificate
never claims what was not seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from app.ledger import ledger_of
from app.privacy.erasing import service
from app.privacy.erasing.destroying import destroy
from app.privacy.erasing.scope import Plan, Target
from app.privacy.records.models import Certificate, ErasureState
from app.sessions.models import Recording, RecordingState
from recordings.encryption.keystore import KeyPath, KeyStoreUnavailable
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import AccountId, PersonId, RecordingId
from recordings.storage.memory import MemoryStore
from recordings.storage.store import Stored, StoreRefused, StoreUnavailable
from tests.fixtures.erasing import SpyNodes, ask, newest, run, served, store_of
from tests.fixtures.web import Cast
from workers.finalise import finalise


class Crash(BaseException):
    """kill -9: nothing after it runs, and nothing catches it."""


COMMITS = 3
"""Of one erasure."""
STEPS: list[str] = ["_stop_capture", "_note", "destroy", "certify"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_made_good_and_leaves_no_finished_certificate_behind(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    person = cast.participant.participant
    everything = len([key for key in store_of(cast).objects if str(person) in key])
    erasure = await ask(cast, person)
    monkeypatch.setattr(service, step, dying(getattr(service, step), when))
    with pytest.raises(Crash):
        await run(cast, erasure, nodes)
    monkeypatch.undo()
    left = [key for key in store_of(cast).objects if str(person) in key]
    paper = await newest(cast, erasure)
    assert paper is None or not left, "a certificate stands while something is left"
    assert [(await served(cast, one))[0] for one in anna] == [404, 404]

    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    paper = await newest(cast, erasure)
    assert len(paper.document["objects"]) == everything, "what was there before the crash is still counted"
    assert len(paper.document["keys"]) == 8
    events = [entry.event for entry in ledger_of(cast.wiring.settings).entries()]
    assert events[:2] == ["asked", "begun"]
    assert events[-1] == "complete", "said before it was committed, so that no crash comes between"


def dying(original: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The step, cut short just before or just after it."""

    async def waits(*args: Any) -> Any:
        if when == "after":
            await original(*args)
        raise Crash

    def blocks(*args: Any) -> Any:
        if when == "after":
            original(*args)
        raise Crash

    return blocks if original.__name__ == "destroy" else waits


@pytest.mark.parametrize("cut", ["key", "object", "before a commit", "after a commit"])
async def test_killed_at_every_single_step_and_again_it_still_completes(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """Each run gets one step further than the one before: one more key destroyed (that of a person takes all beneath
    it), one more object deleted, one more COMMIT. No cut leaves a finished certificate beside something that can be
    read, and the last run counts it all."""
    person, cuts = cast.participant.participant, 0
    everything = len([key for key in store_of(cast).objects if str(person) in key])
    erasure = await ask(cast, person)
    gone: set[object] = set()
    while True:
        with monkeypatch.context() as patch:
            cut_short(patch, cast, cut, gone, cuts)
            try:
                outcome = await run(cast, erasure, nodes)
            except Crash:
                cuts += 1
                assert cuts < 60
            else:
                break
        left = [key for key in store_of(cast).objects if str(person) in key]
        paper = await newest(cast, erasure)
        assert paper is None or not (left or cast.wiring.keys.exists(KeyPath(cast.account, person)))
        async with cast.wiring.database.transaction(cast.account) as db:
            assert (await db.get_one(Recording, anna[0])).hidden_at is not None
    assert cuts >= {"key": 1, "object": everything}.get(cut, COMMITS)
    assert outcome.state is ErasureState.COMPLETE
    paper = await newest(cast, erasure)
    assert len(paper.document["objects"]) == everything and len(paper.document["keys"]) == 8
    assert [(await served(cast, one))[0] for one in anna] == [404, 404]


def cut_short(patch: pytest.MonkeyPatch, cast: Cast, cut: str, gone: set[object], cuts: int) -> None:
    """Dies after the first key or object that is not in `gone`, else before or after the COMMIT of that number."""
    keys, store, dialect = cast.wiring.keys, store_of(cast), cast.wiring.database.engine.sync_engine.dialect
    destroy_key, delete, commit, done = keys.destroy, store.delete, dialect.do_commit, 0

    def another(thing: object) -> None:
        if thing not in gone:
            gone.add(thing)
            raise Crash

    def one_key(path: KeyPath) -> int:
        found = destroy_key(path)
        another(path)
        return found

    def one_by_one(things: Iterable[Stored]) -> Sequence[tuple[Stored, str]]:
        refused: list[tuple[Stored, str]] = []
        for thing in things:
            refused += delete([thing])
            another(thing.key)
        return refused

    def commits(connection: Any) -> None:
        nonlocal done
        done += 1
        if done > cuts and cut.startswith("before"):
            raise Crash
        commit(connection)
        if done > cuts:
            raise Crash

    if cut == "key":
        patch.setattr(keys, "destroy", one_key)
    elif cut == "object":
        patch.setattr(store, "delete", one_by_one)
    else:
        patch.setattr(dialect, "do_commit", commits)


@pytest.mark.parametrize("verb", ["delete", "remains"])
async def test_a_store_that_refuses_makes_it_partial_and_a_later_run_completes_it(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, verb: str
) -> None:
    person, store = cast.participant.participant, store_of(cast)
    erasure = await ask(cast, person)
    error = StoreRefused("Access denied") if verb == "delete" else StoreUnavailable("It does not answer")

    def fault(asked: str, key: str) -> None:
        if asked == verb and str(person) in key:
            raise error

    store.fault = fault
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and outcome.again
    paper = await newest(cast, erasure)
    assert paper.state == "partial" and paper.document["verified"] == []
    assert any(str(error) in reason for reason in paper.document["not_verified"])
    assert paper.document["objects"] == [], "what is still there is not called erased"
    assert len(paper.document["keys"]) == 8
    assert not cast.wiring.keys.exists(KeyPath(cast.account, person)), "the key goes even when the store is down"
    await run(cast, erasure, nodes)
    async with cast.wiring.database.transaction(cast.account) as db:
        papers = select(func.count()).where(Certificate.erasure_id == erasure.id)
        assert await db.scalar(papers) == 1, "the same findings are not certified twice"

    store.fault = lambda asked, key: None
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert (await newest(cast, erasure)).state == "complete"
    assert [key for key in store.objects if str(person) in key] == []


async def test_while_a_key_cannot_be_destroyed_nothing_is_called_erased(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    erasure = await ask(cast, cast.participant.participant)

    def refuse(path: KeyPath) -> int:
        raise KeyStoreUnavailable("The key folder does not answer")

    monkeypatch.setattr(cast.wiring.keys, "destroy", refuse)
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and "A key can still be unwrapped" in outcome.reasons
    assert (await newest(cast, erasure)).document["erased"]["keys"] == 0
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, anna[0])
        assert row.state == RecordingState.STORED and row.hidden_at and not row.erased_at
    assert (await served(cast, anna[0]))[0] == 404, "unreadable all the same"
    monkeypatch.undo()
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE


async def test_a_media_process_that_does_not_answer_makes_it_partial(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    erasure = await ask(cast, cast.participant.participant)
    nodes.reachable = False
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and "media-1" in outcome.reasons[0]
    nodes.reachable = True
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE


@pytest.mark.parametrize("kinds", [None, ["voice"]])
async def test_an_index_that_arrives_after_the_last_look_does_not_stay(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, kinds: list[str] | None
) -> None:
    """Finalising has read the keys and the journals, and stores its index when everything was looked at again."""
    store, on_its_way, go_on = store_of(cast), threading.Event(), threading.Event()

    def fault(verb: str, key: str) -> None:
        if verb == "put" and key.endswith("index-00002"):
            on_its_way.set()
            assert go_on.wait(60)

    store.fault = fault
    late = asyncio.create_task(finalise(cast.wiring, cast.account, anna[0]))
    assert await asyncio.to_thread(on_its_way.wait, 60)
    erasure = await ask(cast, cast.participant.participant, recordings=[anna[0]], kinds=kinds)
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    if kinds:
        await finalise(cast.wiring, cast.account, anna[0])  # what plays on has its new index already
    go_on.set()
    await late
    assert [key for key in store.objects if str(anna[0]) in key and key.endswith("index-00002")] == []
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, anna[0])
        assert row.state == (RecordingState.STORED if kinds else RecordingState.ERASED)


def test_what_arrives_before_the_very_last_look_makes_it_partial() -> None:
    account, person = AccountId(uuid4()), PersonId(uuid4())
    keys, looks = MemoryKeyStore(), 0
    for path in (KeyPath(account), KeyPath(account, person)):
        keys.create(path)
    prefix = f"{account}/{uuid4()}/{person}/"

    def fault(verb: str, key: str) -> None:
        nonlocal looks
        looks += verb == "remains"
        if looks == 3:  # deleted, looked again, and now the last look
            store.objects[prefix + "late"] = b"late"

    store = MemoryStore(fault)
    target = Target(key=KeyPath(account, person), prefixes=(prefix,))
    nothing: dict[str, Any] = dict.fromkeys(
        ("stop", "nodes", "indexes", "recordings", "tracks", "transcripts", "reindex", "responses", "held"), ()
    ) | {"held_responses": (), "leaving": True, "requested": True}
    plan = Plan(account=account, person=person, whole_person=True, targets=(target,), keys=(target.key,), **nothing)
    assert destroy(store, keys, plan).reasons == (f"The object {prefix}late is still in the store",)
    assert destroy(store, keys, plan).reasons == ()
