"""Every field that takes text, against every text that does not fit: said in words beside the field, what else was
typed is kept, nobody is mailed and nothing is stored. What fits stays text wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from markupsafe import escape as markup
from sqlalchemy import func, select

from app.accounts.models import Member
from app.invitations.models import Invitation
from app.mail.models import OutgoingMail
from app.participants.models import Participant
from app.sessions.models import Note, Session
from app.studies.models import Study
from tests.fixtures.web import Cast, mails

STUDY = {
    "title": "Lamps",
    "contact_name": "Olga",
    "contact_email": "olga@lab.example",
    "consent_text": "We watch.",
    "kinds": "audio",
    "language": "en",
    "retention": "days",
    "retention_days": "30",
}
REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "Please fill this in"),
    "blanks": (" \t\u00a0 ", "Please fill this in"),
    "long": ("x" * 10_001, "at most"),
    "CR LF": ("Eve\r\nBcc: all@evil.example", "do not work here"),
    "NUL": ("Eve\0X", "do not work here"),
    "right-to-left": ("\u202eevE", "do not work here"),
    "isolate": ("Eve\u2067x", "do not work here"),
    "line separator": ("Eve\u2028x", "do not work here"),
}
KEPT = ("<script>alert(1)</script>", "{{ 7*7 }}{% raw %}", "=cmd|' /C calc'!A0", "Zoë 👩‍🔬 שלום", "%s {0} ${x}")


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where one field of a form is sent. may_be: which texts of REFUSED this field takes."""

    form: str
    name: str
    path: str
    rest: dict[str, str]
    who: str = "owner"
    may_be: tuple[str, ...] = ()


MANY = ("CR LF",)
"""Fields of several lines."""


def fields() -> Iterator[Field]:
    guest = {"name": "Eve", "email": "eve@home.example", "words": "Please"}
    member = {"name": "Max", "email": "max@lab.example", "role": "observer"}
    for name in ("name", "email"):
        yield Field(form="invitation", name=name, path="/sessions/{other}/invitations", rest=guest)
        yield Field(form="member", name=name, path="/members", rest=member)
        yield Field(form="registration", name=name, path="{link}", rest={"name": "Anna", "email": "anna@home.example"})
    words = ("nothing", "blanks", *MANY)
    yield Field(form="invitation", name="words", path="/sessions/{other}/invitations", rest=guest, may_be=words)
    for name in ("title", "contact_name", "contact_email"):
        yield Field(form="study", name=name, path="/studies", rest=STUDY)
        yield Field(form="study changed", name=name, path="/studies/{study}/edit", rest=STUDY)
    yield Field(form="study", name="consent_text", path="/studies", rest=STUDY, may_be=MANY)
    session = {"title": "First", "starts_at": f"{datetime.now(UTC).year + 1}-05-03T14:30", "time_zone": "Europe/Berlin"}
    yield Field(form="session", name="title", path="/studies/{study}/sessions", rest=session)
    yield Field(form="note", name="text", path="/sessions/{session}/notes", rest={}, may_be=MANY)
    yield Field(form="code", name="code", path="/my-data/open", rest={}, who="participant")
    yield Field(form="sign-in", name="email", path="/sign-in", rest={}, who="stranger")


async def rows(cast: Cast) -> dict[str, int]:
    kinds: tuple[type[Any], ...] = (Participant, Invitation, Member, Study, Session, Note, OutgoingMail)
    async with cast.wiring.database.transaction(cast.account) as db:
        return {kind.__name__: await db.scalar(select(func.count()).select_from(kind)) or 0 for kind in kinds}


def address(cast: Cast, path: str) -> str:
    return path.format(
        session=cast.session,
        other=cast.other_session,
        study=cast.study,
        link=cast.participant.link.removeprefix("http://localhost:8000"),
    )


@pytest.mark.parametrize("field", [pytest.param(one, id=f"{one.form}: {one.name}") for one in fields()])
async def test_it_is_refused_in_words_and_the_rest_is_kept(cast: Cast, field: Field) -> None:
    browser = await cast.browser(field.who)
    if field.form == "invitation":  # the session is for one, who was invited already
        listed = f"/sessions/{cast.other_session}/invitations"
        await (await cast.browser("owner")).post(f"{listed}/{cast.other_participant.invitation}/revoke")
    before = await rows(cast)
    for what, (typed, told) in REFUSED.items():
        if what in field.may_be:
            continue
        answer = await browser.post(address(cast, field.path), data=field.rest | {field.name: typed})
        assert answer.status_code in (409, 422), (what, answer.text)
        if field.form not in ("code", "note"):  # a note needs a session that runs; a code is six digits
            assert told in answer.text, what
        for name, value in field.rest.items():
            if name != field.name and len(value) > 4:
                assert str(markup(value)) in answer.text, f"{name} was lost"
    assert await rows(cast) == before


@pytest.mark.parametrize("typed", KEPT)
async def test_what_fits_stays_text_on_every_page_and_in_every_mail(cast: Cast, typed: str) -> None:
    owner, guest = await cast.browser("owner"), await cast.browser("participant")
    study = await owner.post("/studies", data=STUDY | {"title": typed, "contact_name": typed, "consent_text": typed})
    made = await owner.post(f"{study.headers['location']}/sessions", data={"title": typed, "time_zone": "UTC"})
    session = made.headers["location"]
    invited = await owner.post(
        f"{session}/invitations", data={"name": typed, "email": "eve@home.example", "words": typed}
    )
    await owner.post("/members", data={"name": typed, "email": "max@lab.example", "role": "observer"})
    assert [study.status_code, made.status_code, invited.status_code] == [303, 303, 303]
    sent = [content for _, content in await mails(cast.wiring) if content and content.to.startswith("eve@")]
    link = next(word for word in sent[0].text.split() if "/i/" in word).removeprefix("http://localhost:8000")
    await guest.post(link, data={"name": typed, "email": "eve@home.example"})
    pages = ["/", study.headers["location"], f"{study.headers['location']}/edit", session, "/members", "/outbox"]
    for browser, path in [(owner, one) for one in pages] + [(guest, link)]:
        shown = await browser.get(path)
        assert shown.status_code == 200
        assert "<script>alert" not in shown.text
    assert str(markup(typed)) in (await owner.get(session)).text
    assert typed in sent[0].text
    assert "<script>" not in sent[0].html
    assert all("\n" not in value for value in (sent[0].subject, *sent[0].headers.values()))


async def test_a_list_of_all_of_them_invites_nobody_and_names_each_line(cast: Cast) -> None:
    """Pasted and as a file, in one go: the errors of every line are told at once, and nothing is half done."""
    owner = await cast.browser("owner")
    made = await owner.post(f"/studies/{cast.study}/sessions", data={"title": "G", "time_zone": "UTC", "group": "on"})
    session = made.headers["location"]
    people = (
        ("", "a@home.example"),
        ("Eve", ""),
        ("E" * 10_000, "b@home.example"),
        ("\u202eEve", "c@home.example"),
        ("=1+1", "d@home.example"),
        ("Eve", "e@home.example, f@home.example"),
        ('"Eve\nBcc: x"', "g@home.example"),
    )
    text = "\n".join(f"{name};{email}" for name, email in [("Fine", "fine@home.example"), *people])
    before = await rows(cast)
    for sent in (
        {"data": {"people": text, "step": "look"}},
        {"data": {"people": "", "step": "look"}, "files": {"file": ("p.csv", text.encode("utf-16"), "text/csv")}},
    ):
        answer = await owner.post(f"{session}/invitations/list", **sent)  # type: ignore[arg-type]
        assert answer.status_code == 422
        assert f"{len(people)} lines do not fit yet, so nobody was invited" in answer.text
        assert "fine@home.example" in answer.text
    assert await rows(cast) == before


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("wrong columns", b"street;town\nMain;Berlin"),
        ("no columns", b"anna bob carla"),
        ("one column", b"First name\nAnna"),
        ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20),
        ("NULs", b"\0\0\0;\0\0"),
        ("half of UTF-16", "Anna;anna@home.example".encode("utf-16")[:-1]),
        ("an open quote", b'"Anna;anna@home.example\n' + b"x" * 5000),
        ("a very long cell", b"Anna;" + b"x" * 190_000),
        ("nothing", b""),
    ],
)
async def test_a_file_that_is_no_list_is_told_and_the_words_are_kept(cast: Cast, name: str, data: bytes) -> None:
    owner = await cast.browser("owner")
    made = await owner.post(f"/studies/{cast.study}/sessions", data={"title": "G", "time_zone": "UTC", "group": "on"})
    before = await rows(cast)
    answer = await owner.post(
        f"{made.headers['location']}/invitations/list",
        data={"people": "", "step": "look", "words": "Please come <3"},
        files={"file": (f"../{name}\r\n.csv", data, "text/csv")},
    )
    assert answer.status_code == 422, answer.text[-500:]
    assert "Please come &lt;3" in answer.text
    assert await rows(cast) == before
