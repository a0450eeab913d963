"""The cast of the promises: a lab with a study, a session and two guests, and another lab with its own.

Everything is real: PostgreSQL with its policies, the key and object stores in a folder, the web
application, the recorder, the jobs' own functions. Only the media process is a quiet double at its port.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from litestar import Litestar
from sqlalchemy import select, update

from app.accounts import service as accounts
from app.accounts.agreement import accept_agreement
from app.accounts.login import cookie_name, start_login
from app.accounts.models import Role, Scope
from app.database import Database
from app.demo.browser import Browser, Page
from app.invitations.models import Invitation
from app.invitations.service import accept, admit, invite
from app.mail.models import OutgoingMail
from app.mail.service import MailContent, open_mail
from app.participants.consents import give_consent, standing_consents
from app.participants.forms import Registration
from app.participants.service import register, study_notice
from app.privacy.erasing.service import run_erasure
from app.privacy.keeping.closing_job import run_closing
from app.privacy.records.models import Erasure
from app.sessions import service as sessions
from app.sessions.models import Recording, RecordingState, Session, SessionState, Transcript, TranscriptState
from app.sessions.policy import Switch, allowed_kinds
from app.settings import Settings
from app.studies.models import ConsentKind, Question, Study
from app.studies.service import create_study
from app.wiring import Wiring, open_keys, open_store
from recordings.capture.recorder import StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.model import (
    STREAM_TRACKS,
    AccountId,
    PersonId,
    RecordingRef,
    SessionId,
    StreamKind,
)
from recordings.storage.layout import track_key_path
from tests.fixtures.apps import lent_app
from tests.promises.quiet_node import QuietNode
from tests.promises.sources import Clock, Listener, store_all
from tests.recordings.scene import Played, play
from workers.finalise import finalise
from workers.transcribe import transcribe

ALL_KINDS = tuple(ConsentKind)
CONSENT_TEXT = "We watch how you cook and ask you about it."


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A customer with one study and one session."""

    account: AccountId
    name: str
    owner: PersonId
    owner_email: str
    contact_name: str
    contact_email: str
    study: UUID
    session: SessionId


@dataclass(frozen=True, kw_only=True)
class Guest:
    """Somebody who was invited; link and unsubscribe are paths of their mail."""

    lab: Lab
    person: PersonId
    invitation: UUID
    name: str
    email: str
    link: str
    unsubscribe: str


@dataclass
class World:
    wiring: Wiring
    node: QuietNode
    lab: Lab
    other: Lab
    anna: Guest
    ben: Guest
    browsers: list[Browser] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def app(self) -> Litestar:
        return self.stack.enter_context(lent_app(self.wiring, node_client=self.node))

    @property
    def settings(self) -> Settings:
        return self.wiring.settings

    def with_settings(self, **changes: Any) -> World:
        """The same world under other settings."""
        return replace(self, wiring=replace(self.wiring, settings=replace(self.settings, **changes)), browsers=[])

    def browser(self, cookie: str = "") -> Browser:
        """A browser with nothing but (maybe) a login."""
        browser = Browser(self.settings.origin)
        browser.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=self.settings.origin,
            follow_redirects=True,
            headers={"accept": "text/html"},
            cookies={cookie_name(self.settings): cookie} if cookie else None,
        )
        self.browsers.append(browser)
        return browser

    async def post(self, browser: Browser, path: str, values: Any = None) -> httpx.Response:
        """As our own page would, without having to show the form first; redirects are not followed."""
        headers = {"Origin": self.settings.origin}
        return await browser.http.post(path, data=values or {}, headers=headers, follow_redirects=False)

    async def member(self, lab: Lab, role: Role = Role.OWNER) -> Browser:
        """The lab's owner, or a fresh member with another role, signed in."""
        return self.browser(await self.member_cookie(lab, role))

    async def member_cookie(self, lab: Lab, role: Role = Role.OWNER) -> str:
        async with self.wiring.database.transaction(lab.account) as db:
            person = lab.owner
            if role is not Role.OWNER:
                person = await accounts.add_member(
                    db, self.wiring.columns, account=lab.account, name=role, email=f"{role}@lab.example", role=role
                )
            cookie = await start_login(db, self.settings, account=lab.account, scope=Scope.MEMBER, member=person)
        return cookie.value or ""

    async def guest_cookie(self, guest: Guest, scope: Scope = Scope.DATA) -> str:
        """As after the invitation (ROOM) or after the mailed code (DATA)."""
        async with self.wiring.database.transaction(guest.lab.account) as db:
            cookie = await start_login(
                db,
                self.settings,
                account=guest.lab.account,
                scope=scope,
                participant=guest.person,
                session=guest.lab.session,
            )
        return cookie.value or ""

    async def guest(self, guest: Guest, scope: Scope = Scope.DATA) -> Browser:
        return self.browser(await self.guest_cookie(guest, scope))

    async def invite(self, lab: Lab, name: str, email: str, *, session: UUID | None = None, words: str = "") -> Guest:
        async with self.wiring.database.transaction(lab.account) as db:
            made = await invite(
                db,
                self.wiring,
                account=lab.account,
                session=session or lab.session,
                name=name,
                email=email,
                by=lab.owner,
                words=words,
            )
        mail = (await self.mails(lab, person=made.participant))[-1]
        unsubscribe = mail.headers["List-Unsubscribe"].strip("<>")
        return Guest(
            lab=lab,
            person=made.participant,
            invitation=made.invitation,
            name=name,
            email=email,
            link=httpx.URL(made.link).path,
            unsubscribe=httpx.URL(unsubscribe).path,
        )

    async def mails(self, lab: Lab, *, person: UUID | None = None) -> list[MailContent]:
        """Outgoing mails, opened."""
        opened = [open_mail(self.wiring.columns, row) for row in await self.mail_rows(lab, person=person)]
        return [mail for mail in opened if mail is not None]

    async def mail_rows(self, lab: Lab, *, person: UUID | None = None) -> list[OutgoingMail]:
        return [
            row
            for row in await self.rows(lab, OutgoingMail, order=OutgoingMail.created_at)
            if person in (None, row.person_id)
        ]

    async def rows(self, lab: Lab, model: type[Any], *where: Any, order: Any = None) -> list[Any]:
        """Rows of the lab's account, as the application sees them."""
        async with self.wiring.database.transaction(lab.account) as db:
            return list(await db.scalars(select(model).where(*where).order_by(order)))

    async def change(self, lab: Lab, model: type[Any], row: UUID, **values: Any) -> None:
        """Set a fact that pages cannot set, such as a moment in the past."""
        async with self.wiring.database.transaction(lab.account) as db:
            await db.execute(update(model).where(model.id == row).values(**values))

    async def registered(self, guest: Guest, consents: Collection[ConsentKind] = ALL_KINDS) -> Guest:
        """The guest accepted, confirmed name and address, gave these consents and was let in."""
        async with self.wiring.database.transaction(guest.lab.account) as db:
            columns, account = self.wiring.columns, guest.lab.account
            typed = Registration(name=guest.name, email=guest.email)
            await register(db, columns, account=account, participant=guest.person, typed=typed)
            await accept(db, invitation=await db.get_one(Invitation, guest.invitation))
            await admit(db, session=guest.lab.session, participant=guest.person)
            study = await db.get_one(Study, guest.lab.study)
            _, shown = await study_notice(db, columns, self.settings, account=account, study=study)
            for kind in consents:
                await give_consent(
                    db,
                    account=account,
                    participant=guest.person,
                    session=guest.lab.session,
                    kind=kind,
                    shown=shown,
                )
        return guest

    async def go_live(self, lab: Lab) -> None:
        """The room is open and the researcher has started recording. Safe to call twice."""
        async with self.wiring.database.transaction(lab.account) as db:
            if (await db.get_one(Session, lab.session)).state == SessionState.SCHEDULED:
                await sessions.open_room(db, session=lab.session)
                await sessions.start_recording(db, session=lab.session)

    async def end(self, lab: Lab) -> None:
        """The session is over, and the jobs that follow have run."""
        async with self.wiring.database.transaction(lab.account) as db:
            await sessions.end(db, session=lab.session)
        await self.work(lab)

    async def work(self, lab: Lab | None = None) -> None:
        """What the light worker does with the jobs that were enqueued, mails left out."""
        lab = lab or self.lab
        await run_closing(self.wiring, lab.account, nodes=self.node)
        for erasure in await self.rows(lab, Erasure, Erasure.finished_at.is_(None)):
            await run_erasure(self.wiring, lab.account, erasure.id, nodes=self.node)
        for recording in await self.rows(lab, Recording, Recording.state == RecordingState.CAPTURED):
            await finalise(self.wiring, lab.account, recording.id)
        await run_closing(self.wiring, lab.account, nodes=self.node)  # what waited for these

    async def served(self, ref: RecordingRef) -> dict[str, list[Played]]:
        """Packets as the owner's player gets them: {"video": …, "audio": …}."""
        owner = await self.member(self.lab)
        answer = await owner.http.get(f"/recordings/{ref.recording}/media")
        assert answer.status_code == 200, answer.text
        return play(answer.content)

    async def waiting_transcript(self, guest: Guest) -> Transcript:
        """The guest was recorded, the session is over and the transcript is queued."""
        await self.record(await self.registered(guest))
        await self.end(guest.lab)
        [transcript] = await self.rows(guest.lab, Transcript)
        assert transcript.state == TranscriptState.WAITING
        return transcript  # type: ignore[no-any-return]

    async def transcribed(self, guest: Guest) -> Transcript:
        """… and has been written by a listener who always hears the same word."""
        transcript = await self.waiting_transcript(guest)
        await transcribe(self.wiring, lambda: Listener([]), guest.lab.account, transcript.id)
        [row] = await self.rows(guest.lab, Transcript)
        assert row.state == TranscriptState.READY
        return row  # type: ignore[no-any-return]

    async def record(
        self, guest: Guest, seconds: float = 2.0, *, stream: StreamKind = StreamKind.CAMERA
    ) -> RecordingRef:
        """What the guest's consents allow of one stream, recorded, stored and made playable."""
        await self.go_live(guest.lab)
        database, account = self.wiring.database, guest.lab.account
        async with database.transaction(account) as db:
            consents = await standing_consents(db, session=guest.lab.session, participant=guest.person)
            kinds = allowed_kinds(
                consents=consents, recording=Switch.ON, paused_by_participant=False, state=SessionState.LIVE
            ) & set(STREAM_TRACKS[stream])
            take = await sessions.open_take(
                db,
                self.wiring.keys,
                account=account,
                session=guest.lab.session,
                person=guest.person,
                person_is_member=False,
                stream=stream,
                kinds=kinds,
                node=self.settings.node_name,
                resource=uuid4().hex,
            )
        spool = Spool(self.settings.data_dir / "spool" / uuid4().hex, 1 << 30)
        keys = {kind: self.wiring.keys.unwrap(track_key_path(track)) for kind, track in take.tracks.items()}
        clock = Clock()
        recorder = StreamRecorder(take.recording, take.tracks, take.number, spool, keys, clock)
        recorder.permit(kinds, "consent")
        clock.send(recorder, STREAM_TRACKS[stream], seconds)
        recorder.close()
        await store_all(Uploader(spool, self.wiring.store), spool)
        async with database.transaction(account) as db:
            await sessions.close_take(db, recording=take.recording.recording, number=take.number, interrupted=False)
        await finalise(self.wiring, account, take.recording.recording)
        return take.recording

    async def transcripts(self, lab: Lab) -> list[Transcript]:
        return await self.rows(lab, Transcript)

    async def close(self) -> None:
        for browser in self.browsers:
            await browser.close()
        self.stack.close()


ANSWERED = "ingwerflammenzeppelin"  # long, as HEARD is


async def answer_after_the_session(world: World, guest: Guest) -> None:
    """The study asks one thing; the guest writes one word."""
    owner = await world.member(world.lab)
    await world.post(owner, f"/studies/{world.lab.study}/questions", {"kind": "text", "prompt": "Anything else?"})
    [question] = await world.rows(world.lab, Question)
    path = f"/take-part/{guest.lab.session}/questions"
    sent = await world.post(await world.guest(guest, Scope.ROOM), path, {f"q-{question.id}": ANSWERED})
    assert sent.status_code == 303


def text_fields(page: Page) -> set[str]:
    """Names of everything a person could fill in or tick on a page."""
    return {name for form in page.forms for name in form.offered}


async def make_world(database: Database, data_dir: Path) -> World:
    settings = Settings(data_dir=data_dir, platform_contact="help@platform.example")
    wiring = Wiring(settings=settings, database=database, keys=open_keys(settings), store=open_store(settings))
    lab = await _make_lab(wiring, "Kitchen Lab", "Olga Ostrowska", "olga@lab.example", "Kitchens of the north")
    other = await _make_lab(wiring, "Other Lab", "Otto Other", "otto@other.example", "Gardens of the south")
    world = World(wiring=wiring, node=QuietNode(), lab=lab, other=other, anna=None, ben=None)  # type: ignore[arg-type]
    world.anna = await world.invite(lab, "Anna", "anna@people.example")
    world.ben = await world.invite(lab, "Ben", "ben@people.example")
    return world


async def _make_lab(wiring: Wiring, name: str, owner: str, email: str, title: str) -> Lab:
    async with wiring.database.transaction() as db:
        account, member = await accounts.create_account(
            db, wiring.columns, name=name, owner_name=owner, owner_email=email
        )
        await accept_agreement(db, account=account, by=member)
        study = await create_study(
            db,
            wiring.columns,
            account=account,
            title=title,
            contact_name=owner,
            contact_email=email,
            consent_text=CONSENT_TEXT,
            kinds=ALL_KINDS,
        )
        session = await sessions.schedule(db, account=account, study=study, title=f"{title}: first visit", group=True)
    return Lab(
        account=account,
        name=name,
        owner=member,
        owner_email=email,
        contact_name=owner,
        contact_email=email,
        study=study,
        session=session,
    )
