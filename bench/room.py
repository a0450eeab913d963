"""A live room with consenting participants on a running platform, made with the product's own verbs; what follows goes
over HTTP like everybody's requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from app.accounts.agreement import accept_agreement
from app.accounts.login import cookie_name, start_login
from app.accounts.models import Scope
from app.accounts.service import create_account
from app.database import Db
from app.embedded import running
from app.invitations.service import accept, admit, invitation_of, invite
from app.participants.consents import give_consent
from app.participants.forms import Registration
from app.participants.service import register, study_notice
from app.room import tokens
from app.room.seat import token_key
from app.sessions.service import schedule
from app.settings import Settings
from app.studies.models import ConsentKind, Study
from app.studies.service import create_study
from app.wiring import Wiring, open_wiring
from recordings.model import AccountId, PersonId, SessionId, StreamKind

KINDS = (ConsentKind.VIDEO, ConsentKind.AUDIO)


@dataclass(frozen=True, kw_only=True)
class Room:
    """A session that is being recorded. tokens: one per participant, for publishing; owner: a signed-in browser."""

    session: SessionId
    tokens: Sequence[str]
    owner: httpx.AsyncClient

    async def lead(self, step: str) -> None:
        """open, start or end."""
        (await self.owner.post(f"/rooms/{self.session}/{step}")).raise_for_status()

    async def close(self) -> None:
        await self.owner.aclose()


async def open_room(settings: Settings, people: int) -> Room:
    """A fresh account's session with `people` admitted participants, open and recording."""
    urls = running(settings.data_dir)
    if urls is None:
        raise RuntimeError("The platform's database does not run.")
    wiring = open_wiring(settings, urls.app)
    try:
        room = await _made(wiring, people)
    finally:
        await wiring.database.close()
    await room.lead("open")
    await room.lead("start")
    return room


async def _made(wiring: Wiring, people: int) -> Room:
    settings = wiring.settings
    async with wiring.database.transaction() as db:
        account, owner = await create_account(
            db, wiring.columns, name="Bench", owner_name="Ada", owner_email=f"ada-{people}@bench.example"
        )
        await accept_agreement(db, account=account, by=owner)
        study = await create_study(
            db,
            wiring.columns,
            account=account,
            title="How much it costs",
            contact_name="Ada",
            contact_email="ada@bench.example",
            consent_text="We record what the bench publishes.",
            kinds=list(KINDS),
        )
        session = await schedule(db, account=account, study=study, title=f"{people} at once", group=True)
        row = await db.get_one(Study, study)
        persons = [await _participant(db, wiring, account, owner, row, session, number) for number in range(people)]
        cookie = await start_login(db, settings, account=account, scope=Scope.MEMBER, member=owner)
    return Room(
        session=session,
        tokens=[_token(settings, account, session, person) for person in persons],
        owner=httpx.AsyncClient(
            base_url=settings.origin,
            headers={"origin": settings.origin},
            cookies={cookie_name(settings): cookie.value or ""},
            timeout=20,
            trust_env=False,
        ),
    )


async def _participant(
    db: Db, wiring: Wiring, account: AccountId, owner: PersonId, study: Study, session: SessionId, number: int
) -> PersonId:
    """Invited, registered, consenting, admitted."""
    name, email = f"P{number}", f"p{number}@bench.example"
    person = (await invite(db, wiring, account=account, session=session, name=name, email=email, by=owner)).participant
    typed = Registration(name=name, email=email)
    await register(db, wiring.columns, account=account, participant=person, typed=typed)
    invitation = await invitation_of(db, session=session, participant=person)
    assert invitation is not None
    await accept(db, invitation=invitation)
    _, shown = await study_notice(db, wiring.columns, wiring.settings, account=account, study=study)
    for kind in KINDS:
        await give_consent(db, account=account, participant=person, session=session, kind=kind, shown=shown)
    await admit(db, session=session, participant=person)
    return person


def _token(settings: Settings, account: AccountId, session: SessionId, person: PersonId) -> str:
    token, _ = tokens.issue(
        token_key(settings),
        account=account,
        session=session,
        person=person,
        is_member=False,
        stream=StreamKind.CAMERA,
        now=datetime.now(UTC),
    )
    return token
