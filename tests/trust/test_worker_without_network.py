"""Transcription workers need no network: a real one speaks to the database and the object store, and to nobody else."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from app.database import Database
from app.demo.clips import speech, speech_text
from app.library.transcripts import read_transcript
from app.sessions.models import Recording, Transcript, TranscriptState
from app.sessions.service import recording_ref
from app.settings import child_environment
from app.wiring import open_store
from tests.fixtures.weed import Weed
from tests.promises import sources
from tests.promises.world import make_world
from tests.trust.watched import CannotWatch, Peer, Watched, watched

pytestmark = pytest.mark.timeout(600)

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody
NAMES = Peer(where="/var/run/nscd/socket")  # glibc asks there for names of users first, on this machine
SECONDS = 12


def watch(command: list[str], *, allowed: Callable[[Peer], bool], env: dict[str, str] | None = None) -> Watched:
    try:
        return watched(command, allowed=allowed, env=env, limit_s=400)
    except CannotWatch as error:
        pytest.skip(f"this kernel lets nobody watch connections: {error}")


async def test_a_worker_that_transcribes_opens_no_connection_but_to_database_and_store(
    database: Database, app_url: str, data_dir: Path, weed: Weed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "sounds", lambda: tuple(packet.data for packet in speech(1).packets))
    world = await make_world(database, data_dir)
    settings = replace(
        world.settings,
        object_store="s3",
        s3_endpoint=weed.endpoint,
        s3_region=weed.region,
        s3_bucket=weed.bucket,
        s3_access_key=weed.access_key,
        s3_secret_key=weed.secret,
    )
    world = replace(world, wiring=replace(world.wiring, settings=settings, store=open_store(settings)))
    ref = await world.record(await world.registered(world.anna), SECONDS)
    await world.end(world.lab)

    store = Peer(where="127.0.0.1", port=urlsplit(weed.endpoint).port or 0)
    places = {store, database_place(app_url)}
    ran = watch(
        [sys.executable, "-m", "app", "worker", "--queues", "transcription", "--until-idle"],
        allowed=(places | {NAMES}).__contains__,
        env=child_environment(settings, DATABASE_URL=app_url, JUNIER_METRICS_PORT="0"),
    )
    assert ran.returncode == 0, ran.said
    assert ran.refused == set(), ran.said
    assert ran.opened - {NAMES} == places

    [row] = await world.transcripts(world.lab)
    assert row.state == TranscriptState.READY, row.failure_reason
    async with database.transaction(world.lab.account) as db:
        recording = await db.get_one(Recording, ref.recording)
        heard = await db.get_one(Transcript, row.id)
    assert heard.object_key
    text = read_transcript(world.wiring.store, world.wiring.keys, recording_ref(recording), row.id, heard.object_key)
    said = set(speech_text(1).lower().split()[:20])
    assert len(said & set(" ".join(cue.text for cue in text.cues).lower().split())) > len(said) / 2
    await world.close()


def database_place(url: str) -> Peer:
    """As libpq reaches it."""
    with psycopg.connect(url) as connection:
        host, port = connection.info.host, connection.info.port
    return Peer(where=f"{host}/.s.PGSQL.{port}") if host.startswith("/") else Peer(where=host, port=port)


PYTHON = f"import socket; socket.create_connection(('{ELSEWHERE}', 443), 5)"


@pytest.mark.parametrize(
    "command, port",
    [
        ([sys.executable, "-c", PYTHON], 443),
        (["bash", "-c", f"exec 3<>/dev/tcp/{ELSEWHERE}/443"], 443),
        ([sys.executable, "-c", f"import os; os.system({shlex.join(['true'])!r}); {PYTHON}"], 443),
        (
            [
                sys.executable,
                "-c",
                f"import socket, threading\nt = threading.Thread(target=lambda: "
                f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'word', ('{ELSEWHERE}', 53)))\nt.start(); t.join()",
            ],
            53,
        ),
    ],
    ids=["in Python", "in C", "after a child", "a datagram of a thread"],
)
def test_the_watch_notices_whoever_else_is_spoken_to(command: list[str], port: int) -> None:
    """And nothing of it leaves the machine."""
    ran = watch(command, allowed=lambda peer: peer.where != ELSEWHERE, env=dict(os.environ))
    assert ran.refused == {Peer(where=ELSEWHERE, port=port)}
    assert "ermission denied" in ran.said
