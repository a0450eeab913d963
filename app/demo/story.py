"""The whole story with two synthetic participants: invited, recorded, transcribed, reviewed, one of them erased.

Everything goes through the same pages, WHIP and media path as with people; nothing is looked up inside
the platform except the proof that nothing is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from app.demo import clips
from app.demo.browser import DeadEnd
from app.demo.figures import Figures, Sent, Served, digest, kept_frames, offset_ms, word_error_rate
from app.demo.inspection import inspect
from app.demo.people import Guest, Outbox, Owner
from app.demo.publisher import Publication, publish
from app.demo.remains import Remains
from app.demo.stage import Stage
from app.demo.telling import Telling

OWNER_ADDRESS = "ada@studio.example"
WAIT_SECONDS = 120
LOOK_SECONDS = 0.2
_Found = TypeVar("_Found")


@dataclass
class Story:
    """What is known so far; each step adds to it."""

    stage: Stage
    telling: Telling
    owner: Owner
    outbox: Outbox
    guests: list[Guest]
    sent: dict[int, Sent] = field(default_factory=dict)
    served: list[Served] = field(default_factory=list)
    heard: dict[int, str] = field(default_factory=dict)
    playable_after_s: float = 0.0
    transcript_after_s: float = 0.0

    async def play(self) -> Figures:
        """All steps in order. Raises DeadEnd when a page does not offer what a person would need."""
        await self._set_up()
        await self._invite()
        await self._record()
        await self._finish()
        remains = await self._erase()
        return await self._prove(remains)

    async def _set_up(self) -> None:
        with self.telling.step("An owner signs in by mailed link, makes a study and a session"):
            await self.stage.command(
                "account", "create", "--name", "Studio Ada", "--owner-name", "Ada Owner", "--owner-email", OWNER_ADDRESS
            )
            page = await self.owner.browser.open("/sign-in")
            await self.owner.browser.submit(page, "/sign-in", {"email": OWNER_ADDRESS})
            link = await until(lambda: self.outbox.link(OWNER_ADDRESS, "/sign-in/"))
            await self.owner.sign_in(link)
            await self.owner.create_session(await self.owner.create_study())

    async def _invite(self) -> None:
        names = " and ".join(g.name for g in self.guests)
        with self.telling.step(f"{names} are invited by mail, follow their links, register and consent"):
            for guest in self.guests:
                await self.owner.invite(guest.name, guest.address)
                await guest.register(await until(partial(self.outbox.link, guest.address, "/i/")))
                await guest.consent(self.owner.session)

    async def _record(self) -> None:
        seconds = max(clips.camera(g.number).seconds for g in self.guests)
        with self.telling.step(f"Both join and are recorded for {seconds:.0f} s: camera, voice and screen") as step:
            await self.owner.lead("open")
            for guest in self.guests:
                await self.owner.lead(f"admit/{await self.owner.person(guest.name)}")
            await self.owner.lead("start")
            async with self._published() as publications:
                started = time.monotonic()
                everything = [p for pair in publications.values() for p in pair]
                while not all(p.done.is_set() for p in everything):
                    step.progress((time.monotonic() - started) / seconds)
                    await asyncio.sleep(LOOK_SECONDS)
                for number, (camera, screen) in publications.items():
                    self.sent[number] = Sent(
                        camera_frames=camera.frames_sent,
                        screen_frames=screen.frames_sent,
                        audio_packets=camera.audio_packets_sent,
                    )
            step.proved(f"{sum(s.camera_frames + s.screen_frames for s in self.sent.values())} frames sent")

    async def _finish(self) -> None:
        with self.telling.step("The session ends; the recordings are made playable") as step:
            await self.owner.lead("end")
            ended = time.monotonic()
            links = await until(self._all_playable)
            self.playable_after_s = time.monotonic() - ended
            step.proved(f"first playable {self.playable_after_s:.1f} s after the end")
        with self.telling.step("A worker on this machine transcribes both voices") as step:
            self.heard = await until(self._all_heard)
            self.transcript_after_s = time.monotonic() - ended
            step.proved(f"{sum(len(t.split()) for t in self.heard.values())} words")
        with self.telling.step("The review page's media are read back frame by frame") as step:
            self.served = [await self._serve(link) for link in links]
            step.proved(
                f"{sum(s.seen.frames for s in self.served)} frames, {sum(s.bytes for s in self.served):,} bytes"
            )

    async def _erase(self) -> Remains:
        leaving = self.guests[1]
        with self.telling.step(f"{leaving.name} proves the address by code and asks to erase everything") as step:
            one = next(s for s in self.served if s.person == leaving.number)
            remains = Remains.of(self.stage.settings, one.link.split("/")[2])
            receipt = await leaving.erase_everything(lambda: until(lambda: self.outbox.code(leaving.address)))
            state = await until(lambda: remains.certificate(leaving.browser, receipt))
            step.proved(f"certificate {state}, {remains.erased_objects} objects erased")
        return remains

    async def _prove(self, remains: Remains) -> Figures:
        with self.telling.step("Everything is looked at again from outside"):
            kept = [s for s in self.served if s.person == self.guests[0].number]
            gone = [s for s in self.served if s.person == self.guests[1].number]
            again = [digest((await self.owner.browser.http.get(s.link)).content) == s.sha256 for s in kept]
            answers = [(await self.owner.browser.http.get(s.link)).status_code for s in gone]
            rates = [word_error_rate(clips.speech_text(n), text) for n, text in self.heard.items()]
            return Figures(
                recorded_seconds=min(s.seen.seconds for s in self.served),
                frames_sent=sum(s.camera_frames + s.screen_frames for s in self.sent.values()),
                frames_kept=kept_frames(self.served, self.sent),
                audio_packets_sent=sum(s.audio_packets for s in self.sent.values()),
                audio_packets_kept=sum(s.seen.audio_packets for s in self.served),
                av_offset_ms=offset_ms(self.served),
                word_error_rate=max(rates),
                words_recognised=sum(len(text.split()) for text in self.heard.values()),
                playable_after_s=self.playable_after_s,
                transcript_after_s=self.transcript_after_s,
                certificate=remains.state,
                certificate_verified=await remains.verified(self.stage),
                erased_objects=remains.erased_objects,
                erased_unreachable=bool(answers) and all(a == 404 for a in answers),
                left_in_store=remains.objects_left(),
                keys_left=remains.keys_left(),
                other_participant_identical=bool(again) and all(again),
            )

    @asynccontextmanager
    async def _published(self) -> AsyncIterator[dict[int, tuple[Publication, Publication]]]:
        """Everybody's camera with voice, and screen; ended properly on the way out."""
        opened: list[Publication] = []

        async def one(guest: Guest, stream: str, video: clips.Clip, audio: clips.Clip | None) -> Publication:
            whip, token = await guest.room_token(self.owner.session, stream)
            publication = await publish(guest.browser.http, whip, token, video, audio)
            opened.append(publication)
            return publication

        try:
            yield {
                g.number: (
                    await one(g, "camera", clips.camera(g.number), clips.speech(g.number)),
                    await one(g, "screen", clips.screen(g.number), None),
                )
                for g in self.guests
            }
        finally:
            await asyncio.gather(*(p.close() for p in opened))

    async def _all_playable(self) -> list[str] | None:
        links = await self.owner.media_links()
        if len(links) < 2 * len(self.guests):
            return None
        for link in links:
            if (await self.owner.browser.http.get(link, headers={"Range": "bytes=0-99"})).status_code != 206:
                return None
        return links

    async def _all_heard(self) -> dict[int, str] | None:
        heard: dict[int, str] = {}
        for guest in self.guests:
            text = await self.owner.transcript(guest.name)
            if text is None:
                return None
            heard[guest.number] = text
        return heard

    async def _serve(self, link: str) -> Served:
        data = (await self.owner.browser.http.get(link)).content
        return Served(link=link, bytes=len(data), sha256=digest(data), seen=await asyncio.to_thread(inspect, data))


async def until(look: Callable[[], Awaitable[_Found | None]]) -> _Found:
    """Look again until there is an answer. Raises DeadEnd after WAIT_SECONDS with the last reason."""
    deadline = time.monotonic() + WAIT_SECONDS
    reason = "nothing came"
    while time.monotonic() < deadline:
        try:
            found = await look()
        except DeadEnd as dead_end:
            reason, found = str(dead_end), None
        if found is not None:
            return found
        await asyncio.sleep(LOOK_SECONDS)
    raise DeadEnd(reason)
