"""The platform as people start it, for being killed part by part, and one room in it that records a synthetic guest."""

from __future__ import annotations

import asyncio
import bisect
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psutil
import psycopg

from app.demo import clips
from app.demo.browser import Browser
from app.demo.clips import Clip
from app.demo.inspection import Inspection, inspect
from app.demo.people import Guest, Outbox, Owner
from app.demo.publisher import Publication, PublishFailed, publish
from app.demo.story import until
from app.embedded import EmbeddedPostgres, end_leftover
from app.embedded_place import find_place
from app.room.node_client import NodeClient, NodeUnreachable
from app.room.node_messages import StreamFacts
from app.room.node_rooms import NO_PUSH
from app.settings import Settings, child_environment
from recordings.capture.chunks import CHUNK_S
from recordings.model import TrackKind
from tests.fixtures.ports import free_ports
from tests.journeys.finished import playable

LIMIT_SECONDS = 120


@dataclass
class Platform:
    """`junier serve` on its own folder."""

    settings: Settings
    serving: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.settings.data_dir / "serve.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "app", "serve"]
            self.serving = subprocess.Popen(command, env=child_environment(self.settings), stdout=log, stderr=log)

    async def ready(self) -> None:
        """All processes are there, web answers with what is in the database, and media answers."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not all(self.has(word) for word in ("web", "media", "postgres")):
                await asyncio.sleep(0.05)
        unknown = f"{self.settings.public_url}/i/{'x' * 43}"  # only the database knows that it leads nowhere
        addresses = unknown, f"{self.settings.node_url}/health"
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http, asyncio.timeout(LIMIT_SECONDS):
            for address in addresses:
                while not await _answers(http, address):
                    await asyncio.sleep(0.05)

    def process(self, word: str) -> psutil.Process:
        """web, media, postgres, worker (the transcription child) or serve (the parent)."""
        assert self.serving is not None
        parent = psutil.Process(self.serving.pid)
        if word == "serve":
            return parent
        for one in parent.children(recursive=word == "worker"):
            with suppress(psutil.Error):
                words = " ".join(one.cmdline()[:4])
                is_ours = word == "postgres" or "postgres" not in words  # which has workers of its own
                if word in words and is_ours and one.status() != psutil.STATUS_ZOMBIE:
                    return one
        raise LookupError(word)

    def has(self, word: str) -> bool:
        try:
            return self.process(word).is_running()
        except (LookupError, psutil.Error):
            return False

    def kill(self, word: str) -> float:
        """kill -9; returns the moment on the event loop's clock once the process is gone."""
        process = self.process(word)
        at = asyncio.get_running_loop().time()
        process.send_signal(signal.SIGKILL)
        if word == "serve" and self.serving is not None:
            self.serving.wait(LIMIT_SECONDS)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            psutil.wait_procs([process], timeout=0.01)
        return at

    def command(self, *words: str) -> None:
        command = [sys.executable, "-m", "app", *words]
        environment = child_environment(self.settings)
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=LIMIT_SECONDS)

    @property
    def app_url(self) -> str:
        """The database as the application sees it."""
        return EmbeddedPostgres(self.settings.data_dir).urls.app

    def superuser(self) -> psycopg.Connection:
        """To look, and to hold a row, behind everybody's back."""
        return psycopg.connect(_on_junier(EmbeddedPostgres(self.settings.data_dir).superuser_url), autocommit=True)

    def stop(self) -> None:
        if self.serving is not None and self.serving.poll() is None:
            self.serving.terminate()
            try:
                self.serving.wait(LIMIT_SECONDS / 2)
            except subprocess.TimeoutExpired:
                self.serving.kill()
                self.serving.wait()
        end_leftover(find_place(self.settings.data_dir).cluster)


@contextmanager
def platform(folder: Path, **fixed: object) -> Iterator[Platform]:
    """Started; `await ready()` next."""
    web, media = free_ports(2)
    settings = Settings.from_env(
        {},
        public_url=f"http://localhost:{web}",
        listen_port=web,
        node_url=f"http://127.0.0.1:{media}",
        data_dir=folder,
        media_addresses="127.0.0.1",
        **fixed,
    )
    made = Platform(settings)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        print(made.log.read_text(errors="replace")[-8000:])  # shown when the test fails


@dataclass
class Sending:
    """One publication, and how much of it had been sent at each moment."""

    publication: Publication
    picture: Clip
    moments: list[tuple[float, int, int]] = field(default_factory=list)

    async def lasts(self, seconds: float) -> None:
        """Until so much more of the clip is on the wire."""
        frames = self.publication.frames_sent + 30 * seconds
        async with asyncio.timeout(LIMIT_SECONDS):
            while self.publication.frames_sent < frames:
                await asyncio.sleep(0.02)

    async def watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self.moments.append((clock(), self.publication.frames_sent, self.publication.audio_packets_sent))
            await asyncio.sleep(0.05)

    def sent_at(self, moment: float) -> tuple[int, int]:
        """(frames, audio packets) on the wire by then."""
        index = bisect.bisect_right([at for at, _, _ in self.moments], moment) - 1
        return self.moments[index][1:] if index >= 0 else (0, 0)


@dataclass
class Room:
    """A session that records one guest."""

    platform: Platform
    owner: Owner
    guest: Guest
    outbox: Outbox

    @asynccontextmanager
    async def sending(self, clip: int, seconds: float = 40.0) -> AsyncIterator[Sending]:
        """The guest's camera and voice; tried until the platform takes them, as a browser does."""
        picture = (
            clips.camera(clip) if clip < clips.SCREEN_CLIP_OFFSET else clips.screen(clip - clips.SCREEN_CLIP_OFFSET)
        )
        picture, voice = first_seconds(picture, seconds), first_seconds(clips.speech(1), seconds)
        whip, token = await self.guest.room_token(self.owner.session, "camera")
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                try:
                    publication = await publish(
                        self.guest.browser.http, whip, token, picture, voice, ready=self.is_connected
                    )
                    break
                except (PublishFailed, httpx.TransportError) as failed:
                    if isinstance(failed, PublishFailed) and not failed.retry:
                        raise
                    await asyncio.sleep(0.2)
        sending = Sending(publication, picture)
        watching = asyncio.create_task(sending.watch())
        try:
            yield sending
        finally:
            await publication.close()
            watching.cancel()

    async def live(self) -> StreamFacts | None:
        """The live take, as the media process says itself; None without one."""
        client = NodeClient(self.platform.settings)
        try:
            facts = await client.facts(self.platform.settings.node_url, UUID(self.owner.session))
        except NodeUnreachable:
            return None
        finally:
            await client.close()
        return max(facts.streams, key=lambda stream: stream.take, default=None)

    async def is_connected(self) -> None:
        """Until the media process takes in what is sent: what comes sooner is lost, as in a call, and what comes before
        permission does is not recorded."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not ((take := await self.live()) and take.connected and all(one.permitted for one in take.tracks)):
                await asyncio.sleep(0.05)

    async def acknowledged(self, sending: Sending) -> tuple[int, int]:
        """(pictures, packets of sound) of the live take that no kill takes any more: all that the media process has
        but the chunk being filled, which is half a second of the stream at most, however slow the machine is. Waits
        until there are some of both."""
        filled = CHUNK_S * len(sending.picture.packets) / sending.picture.seconds
        unsealed = {TrackKind.CAMERA: ceil(filled) + 1, TrackKind.VOICE: ceil(CHUNK_S * 50) + 1}
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                take = await self.live()
                kept = {track.kind: track.frames - unsealed[track.kind] for track in take.tracks} if take else {}
                if kept and min(kept.values()) > 0:
                    return kept[TrackKind.CAMERA], kept[TrackKind.VOICE]
                await asyncio.sleep(0.05)

    async def frames_kept(self) -> int:
        """Of the live take, by all its tracks; 0 without one."""
        take = await self.live()
        return sum(track.frames for track in take.tracks) if take else 0

    async def goes_on(self, more: int = 240) -> None:
        """Capture adds frames, 80 a second, for longer than a permission lasts and than what a busy machine has not
        read yet: one has come since."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (before := await self.frames_kept()):
                await asyncio.sleep(0.1)
            while await self.frames_kept() < before + more:
                await asyncio.sleep(0.1)

    async def end(self) -> None:
        await self.owner.lead("end")

    async def recordings(self) -> str:
        """The words of the list of recordings."""
        page = await self.owner.browser.open(f"/sessions/{self.owner.session}")
        assert page.status == 200, page.status
        return page.words

    async def played(self) -> Inspection:
        """The recording as the researcher gets it, once all of it is there: fetched before, it may lack a take."""

        link = await until(partial(playable, self.owner))
        return await asyncio.to_thread(inspect, (await self.owner.browser.http.get(link)).content)

    def lapses(self) -> list[tuple[float, float]]:
        """Where in the recording, in seconds, it says itself that permission did not arrive: nothing is recorded
        without, also on a machine that merely stood still for as long."""
        query = (
            "SELECT (gap->>'from_ms')::float / 1000, (gap->>'to_ms')::float / 1000"
            " FROM recording, jsonb_array_elements(gaps) AS gap WHERE session_id = %s AND gap->>'why' = %s"
        )
        with self.platform.superuser() as looking:
            return looking.execute(query, (self.owner.session, NO_PUSH)).fetchall()


def shown(seen: Inspection, clip: int) -> dict[int, float]:
    """When each picture of that clip is in the recording."""
    pairs = zip(seen.numbers, seen.pictures_at, strict=True)
    return {number.frame: at for number, at in pairs if number and number.clip == clip}


def lost(frames: int, there: Mapping[int, float], lapses: Sequence[tuple[float, float]]) -> list[int]:
    """Of the frames 0 to frames-1 those that are not there, and not in a lapse either."""

    def lapsed(frame: int) -> bool:
        before = max((at for one, at in there.items() if one < frame), default=-inf)
        after = min((at for one, at in there.items() if one > frame), default=inf)
        return any(start < after and end > before for start, end in lapses)

    return [frame for frame in range(frames) if frame not in there and not lapsed(frame)]


@asynccontextmanager
async def room(on: Platform) -> AsyncIterator[Room]:
    """An owner, a session that is being recorded, and a guest who was let in."""
    browsers = [Browser(on.settings.origin) for _ in range(3)]
    address = f"ada-{uuid4().hex[:8]}@studio.example"
    owner, outbox = Owner(browsers[0]), Outbox(browsers[1])
    guest = Guest(number=1, name="Mia", address="mia@home.example", browser=browsers[2])
    await asyncio.to_thread(
        on.command, "account", "create", "--name", "Ada", "--owner-name", "Ada", "--owner-email", address
    )
    page = await owner.browser.open("/sign-in")
    await owner.browser.submit(page, "/sign-in", {"email": address})
    await owner.sign_in(await until(lambda: outbox.link(address, "/sign-in/")))
    await owner.create_session(await owner.create_study())
    await owner.invite(guest.name, guest.address)
    await guest.register(await until(lambda: outbox.link(guest.address, "/i/")))
    await guest.consent(owner.session)
    await owner.lead("open")
    await owner.lead(f"admit/{await owner.person(guest.name)}")
    await owner.lead("start")
    try:
        yield Room(platform=on, owner=owner, guest=guest, outbox=outbox)
    finally:
        for browser in browsers:
            await browser.close()


def first_seconds(clip: Clip, seconds: float) -> Clip:
    return replace(clip, packets=tuple(p for p in clip.packets if p.ticks < seconds * clip.clock_hz))


async def _answers(http: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(address)).status_code < 500
    except httpx.TransportError:
        return False


def _on_junier(url: str) -> str:
    return url.replace("@/postgres?", "@/junier?")
