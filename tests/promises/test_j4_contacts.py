"""J4-05, J4-06, J4-22 and J4-23: who decides, and whom to ask."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import product
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import update

from app.accounts import agreement
from app.accounts.agreement import AGREEMENT_DATED
from app.accounts.models import Account, Role, Scope
from app.audit import Action, AuditEvent
from app.demo.browser import Browser
from app.errors import JunierError
from app.invitations.models import Invitation
from app.invitations.session_mail_policy import SessionMail
from app.language import Language, speaking
from app.mail.render import FOLDER, render
from app.participants.models import Participant
from app.participants.notice import StudyFacts, notice
from app.sessions.models import Session
from app.sessions.policy import Switch
from app.sessions.service import open_room
from app.settings import Mode, Settings, SettingsError
from app.studies.models import ConsentKind, Study
from tests.promises.world import CONSENT_TEXT, World

FACTS = StudyFacts(
    account_name="Kitchen Lab",
    title="Kitchens of the north",
    contact_name="Olga Ostrowska",
    contact_email="olga@lab.example",
    kinds=tuple(ConsentKind),
    retention_days=180,
    consent_text=CONSENT_TEXT,
    consent_version=1,
    consent_dated=date(2026, 11, 1),
)
EVERYWHERE = Settings(
    object_store="s3",
    s3_endpoint="https://s3.fr-par.scw.cloud",
    s3_region="fr-par",
    mail="mailtrap",
    turn_urls="turns:turn.example:443",
    platform_contact="help@platform.example",
)
FOR_MEMBERS = {"account_closing", "account_closing_ids", "member_added", "retention_reminder", "sign_in"}
FOR_MEMBERS |= {"recipients_to_tell", "request_received", "request_unanswered", "request_waiting"}
FOR_MEMBERS |= {"operator_sign_in", "support_answered", "support_asked", "support_granted", "support_used"}
MAIL_CONTEXT = {
    "settings": EVERYWHERE, "to_name": "Anna", "account_name": "Kitchen Lab", "study_title": "Kitchens",
    "contact_name": "Olga Ostrowska", "contact_email": "olga@lab.example", "notice_date": date(2026, 11, 22),
    "when": "", "words": "", "link": "https://x.example/i/1", "unsubscribe_link": "https://x.example/u/1",
    "stop_link": "https://x.example/u/1/sessions",
    "code": "123456", "minutes": 10, "receipt": "E-1", "certificate_link": "https://x.example/c/1",
    "kind": "objection", "outcome": "refused", "due_on": date(2027, 1, 22),
    "ground": "", "items": [], "way": "phone", "came_on": date(2026, 11, 20), "receipts": "E-1", "proof": True,
}  # fmt: skip
STUDY_FORM = {
    "title": "Gardens", "contact_name": "Olga", "contact_email": "olga@lab.example", "consent_text": "We ask.",
    "kinds": ["audio"], "language": "en", "retention": "days", "retention_days": "30",
}  # fmt: skip


async def participant_pages(world: World, language: Language = Language.EN) -> dict[str, str]:
    """Every page a participant meets: address -> HTML."""
    carl = await world.invite(world.lab, "Carl", "carl@people.example")
    await world.registered(world.anna)
    await world.go_live(world.lab)
    await world.change(world.lab, Participant, world.anna.person, language=language)
    browser = await world.guest(world.anna)
    browser.http.headers["accept-language"] = language
    session = world.lab.session
    pages = {}
    for path in (
        carl.link,
        world.anna.link,
        world.anna.unsubscribe,
        f"/take-part/{session}",
        f"/take-part/{session}/notice",
        f"/rooms/{session}",
        "/my-data",
        "/my-data/erase",
        "/my-data/requests",
    ):
        page = await browser.open(path)
        assert page.status == 200, path
        pages[path] = page.html
    leaving = await world.guest(world.anna)
    leaving.http.headers["accept-language"] = language
    pages["signed out"] = (await world.post(leaving, "/sign-out")).text
    asking = await world.guest(world.anna, Scope.ROOM)
    asking.http.headers["accept-language"] = language
    pages["code"] = (await asking.open("/my-data")).html
    pages |= await refused(world, browser, asking)
    await world.change(world.lab, Invitation, carl.invitation, expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    pages["expired"] = (await browser.open(carl.link)).html
    receipt = (await world.post(browser, "/my-data/erase")).headers["location"]
    stranger = world.browser()
    stranger.http.headers["accept-language"] = language
    pages["receipt"] = (await stranger.open(receipt)).html
    return pages


async def refused(world: World, browser: Browser, asking: Browser) -> dict[str, str]:
    """What a participant sees when something does not fit, is not there or is not allowed."""
    questions = f"/take-part/{world.lab.session}/questions"
    pages = {}
    for who, path, values, status in (
        (asking, "/my-data/open", {"code": "12"}, 422),
        (asking, "/my-data/erase", {}, 401),
        (browser, "/my-data/requests", {}, 422),
        (browser, "/language", {"language": "xx"}, 422),
        (browser, "/my-data", {}, 405),
        (browser, questions, {}, 422),
    ):
        answer = await world.post(who, path, values)
        assert answer.status_code == status, path
        pages[f"POST {path}"] = answer.text
    for path in ("/nothing-here", f"/take-part/{world.other.session}", "/my-data/code/none", "/sessions", questions):
        pages[f"GET {path}"] = (await browser.open(path)).html
    return pages


def test_j4_05_the_notice_says_who_decides_and_who_follows_instructions():
    said = " ".join(p for section in notice(EVERYWHERE, FACTS).sections for p in section.paragraphs)
    assert "Kitchen Lab runs the study" in said and "(the controller)" in said
    assert "on their instructions" in said


@pytest.mark.parametrize("dated", [None, AGREEMENT_DATED - timedelta(days=1)], ids=["never", "an older text"])
async def test_j4_05_nobody_invites_before_the_processing_agreement_is_accepted(world: World, dated: date | None):
    """Neither one by one nor by a list; a researcher reads it, an owner accepts it, and the log says who and when."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Account).values(agreement_dated=dated))
    people = {"name": "Carl", "email": "carl@people.example"}
    path = f"/sessions/{world.lab.session}/invitations"
    owner = await world.member(world.lab)
    answer = await world.post(owner, path, people)
    assert answer.status_code == 403 and "processing agreement" in answer.text
    assert "Read the agreement" in (await owner.open(f"/sessions/{world.lab.session}")).words
    assert len(await world.rows(world.lab, Invitation)) == 2
    researcher = await world.member(world.lab, Role.RESEARCHER)
    page = await researcher.open("/agreement")
    assert "Not accepted yet" in page.words and "Accept the agreement" not in page.words
    assert (await world.post(researcher, "/agreement")).status_code == 403
    assert (await world.post(await world.guest(world.anna), "/agreement")).status_code == 401
    assert (await world.post(world.browser(), "/agreement")).status_code == 401
    await world.post(await world.member(world.other), "/agreement")  # of an account of its own
    assert (await world.post(owner, path, people)).status_code == 403
    assert (await world.post(owner, "/agreement")).status_code == 303
    assert (await world.post(owner, path, people)).status_code != 403
    [account] = await world.rows(world.lab, Account)
    assert (account.agreement_dated, account.agreement_accepted_by) == (AGREEMENT_DATED, world.lab.owner)
    events = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.AGREEMENT_ACCEPTED)
    assert events[-1].actor == f"member:{world.lab.owner}" and events[-1].facts == {"dated": str(AGREEMENT_DATED)}


async def test_j4_05_nothing_is_recorded_before_the_processing_agreement_is_accepted(world: World):
    """A room can be open, and neither starts nor resumes recording; who may not lead it is told nothing new."""
    await world.registered(world.anna)
    async with world.wiring.database.transaction(world.lab.account) as db:
        await open_room(db, session=world.lab.session)
        await db.execute(update(Account).values(agreement_dated=None))
    room = f"/rooms/{world.lab.session}"
    owner, researcher = await world.member(world.lab), await world.member(world.lab, Role.RESEARCHER)
    observer, guest = await world.member(world.lab, Role.OBSERVER), await world.guest(world.anna, Scope.ROOM)
    for leads in (owner, researcher):
        answer = await world.post(leads, f"{room}/start")
        assert answer.status_code == 403 and "processing agreement" in answer.text
    words = "processing agreement needs your yes", "an owner of your account accepts the processing agreement"
    for who, said in ((owner, words[0]), (researcher, words[1]), (observer, ""), (guest, "")):
        page = await who.http.get(room)
        assert said in page.text if said else "processing agreement" not in page.text, said
        assert ('href="/agreement"' in page.text) == bool(said)
    for who, status in ((observer, 403), (guest, 403), (await world.member(world.other), 404), (world.browser(), 401)):
        answer = await world.post(who, f"{room}/start")
        assert answer.status_code == status and "agreement" not in answer.text
    [session] = await world.rows(world.lab, Session)
    assert session.recording == Switch.OFF
    await world.post(owner, "/agreement")
    assert (await world.post(researcher, f"{room}/start")).status_code == 204
    assert (await world.post(researcher, f"{room}/pause")).status_code == 204
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Account).values(agreement_dated=AGREEMENT_DATED - timedelta(days=1)))
    assert (await world.post(researcher, f"{room}/resume")).status_code == 403
    assert (await world.post(researcher, f"{room}/end")).status_code == 204  # ending needs nobody's yes


def test_j4_05_a_changed_agreement_is_a_new_one():
    """Its date moves with its words: owners who accepted the older text are asked again."""
    text = Path(agreement.__file__).parents[1] / "templates/accounts/agreement_text.html"
    assert (sha256(text.read_bytes()).hexdigest()[:16], AGREEMENT_DATED) == ("3573e741e4570f70", date(2026, 11, 22))


def test_j4_05_no_role_of_the_platform_reads_content(superuser_url):
    """There is no analytics role, and the doors that look across accounts cannot read one sealed column."""
    with psycopg.connect(superuser_url) as connection:
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'junier%'")}
        readable = {
            f"{table}.{column}"
            for table, column in connection.execute(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
                "AND data_type = 'bytea' AND has_column_privilege('junier_doors', "
                "('public.' || quote_ident(table_name))::regclass, column_name, 'select')"
            )
        }
    assert roles == {"junier_app", "junier_doors", "junier_owner"}
    assert readable <= {
        "audit_event.hash",
        "invitation.token_hash",
        "invitation.unsubscribe_hash",
        "login.token_hash",
        "passkey.credential_hash",
        "sign_in_address.address_hash",
        "sign_in_link.token_hash",
    }


async def test_j4_06_every_page_of_a_participant_shows_whom_to_ask(world: World):
    for path, html in (await participant_pages(world)).items():
        assert world.lab.contact_name in html, path
        assert f"mailto:{world.lab.contact_email}" in html, path


async def test_j4_06_a_study_without_a_contact_cannot_be_saved(world: World):
    owner = await world.member(world.lab)
    for path in ("/studies", f"/studies/{world.lab.study}/edit"):
        for empty in ("contact_name", "contact_email"):
            for nothing in ("", "   "):
                answer = await world.post(owner, path, STUDY_FORM | {empty: nothing})
                assert answer.status_code == 422
    assert len(await world.rows(world.lab, Study)) == 1


async def test_j4_06_without_a_contact_nobody_is_invited(world: World):
    [study] = await world.rows(world.lab, Study)
    for gone in ("contact_name", "contact_email"):
        empty = world.wiring.columns.seal(world.lab.account, None, f"study.{gone}", "")
        await world.change(world.lab, Study, world.lab.study, **{gone: empty})
        with pytest.raises(JunierError, match="contact"):
            await world.invite(world.lab, "Carl", "carl@people.example")
        await world.change(world.lab, Study, world.lab.study, **{gone: getattr(study, gone)})
    assert len(await world.mail_rows(world.lab)) == 2


async def test_j4_22_every_page_shows_the_platforms_address(world: World):
    pages = await participant_pages(world)
    owner = await world.member(world.lab)
    session, study = world.lab.session, world.lab.study
    for path in ("/", f"/studies/{study}", "/studies/new", f"/sessions/{session}", f"/sessions/{session}/review"):
        pages[path] = (await owner.open(path)).html
    stranger = world.browser()
    for path in ("/sign-in", "/nothing-here", "/i/" + "x" * 43):
        pages[path] = (await stranger.open(path)).html
    for path, html in pages.items():
        assert "mailto:help@platform.example" in html, path


def test_j4_22_production_does_not_start_without_an_address():
    with pytest.raises(SettingsError, match="JUNIER_PLATFORM_CONTACT"):
        Settings.from_env(
            {}, mode=Mode.PRODUCTION, public_url="https://x.example", mail="smtp", mail_from="x@x.example"
        )


async def test_j4_22_security_txt_names_the_address(world: World):
    """RFC 9116: plain text, these fields, and an end less than a year away."""
    answer = await world.browser().http.get("/.well-known/security.txt")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/plain; charset=utf-8"
    told = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert set(told) == {"Contact", "Expires", "Preferred-Languages", "Canonical"}
    assert told["Contact"] == "mailto:help@platform.example"
    assert told["Canonical"] == f"{world.settings.origin}/.well-known/security.txt"
    left = datetime.fromisoformat(told["Expires"]) - datetime.now(UTC)
    assert timedelta(days=90) < left < timedelta(days=365)


def test_j4_23_every_mail_to_a_participant_names_the_owners_contact():
    names = {folder.name for folder in FOLDER.iterdir() if folder.is_dir()}
    assert names >= {"invitation", "data_code"}
    for name, language, about in product(names - FOR_MEMBERS, Language, SessionMail):
        with speaking(language):
            mail = render(name, MAIL_CONTEXT | {"mail": about})
        for part in (mail.text, mail.html):
            assert "Olga Ostrowska" in part and "olga@lab.example" in part, name
            assert "help@platform.example" in part, name
            assert {"en": "22 November 2026", "de": "22. November 2026"}[language] in part, "the notice's date"
        assert f'<html lang="{language}">' in mail.html
    unsubscribe = {Language.EN: "Unsubscribe from invitations", Language.DE: "Von Einladungen abmelden"}
    for language, words in unsubscribe.items():
        with speaking(language):
            mail = render("invitation", MAIL_CONTEXT)
        assert words in mail.text and words in mail.html


async def test_j4_23_an_answer_to_an_invitation_reaches_the_owner(world: World):
    [mail] = await world.mails(world.lab, person=world.anna.person)
    assert mail.headers["Reply-To"] == world.lab.contact_email
