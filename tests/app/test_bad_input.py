"""Bad input to the pages of members: a sentence and a status, never a stack trace, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.forms import Form, is_address
from app.mail.render import UnsafeHeader, header_safe, render
from app.main import create_app
from tests.fixtures.web import Cast, Web, mails

NAMES = [
    ("", "Please fill this in"),
    ("   ", "Please fill this in"),
    ("Eve\r\nBcc: all@evil.example", "Line breaks"),
    ("Eve\nX", "Line breaks"),
    ("Eve\0", "Line breaks"),
    ("‮Eve", "direction marks"),
    ("E" * 10_000, "at most 100"),
]


@pytest.mark.parametrize(("name", "message"), NAMES)
async def test_a_name_that_cannot_stand_in_a_mail_is_refused_and_the_rest_is_kept(
    cast: Cast, name: str, message: str
) -> None:
    before = len(await mails(cast.wiring))
    browser = await cast.browser("owner")
    await browser.post(f"/sessions/{cast.session}/invitations/{cast.participant.invitation}/revoke")
    typed = {"name": name, "email": "eve@home.example", "words": "Please come <3"}
    answer = await browser.post(f"/sessions/{cast.session}/invitations", data=typed)
    assert answer.status_code == 422
    assert message in answer.text
    assert 'value="eve@home.example"' in answer.text
    assert "Please come &lt;3" in answer.text
    assert len(await mails(cast.wiring)) == before


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{ settings }}", "{% raw %}", "=cmd|' /C calc'!A0", "Zoë 👩‍🔬"]
)
async def test_markup_template_syntax_and_formulas_stay_text(cast: Cast, name: str) -> None:
    browser = await cast.browser("owner")
    await browser.post(f"/sessions/{cast.session}/invitations/{cast.participant.invitation}/revoke")
    typed = {"name": name, "email": "eve@home.example"}
    answer = await browser.post(f"/sessions/{cast.session}/invitations", data=typed)
    assert answer.status_code == 303
    assert "<script>alert" not in (await browser.get(f"/sessions/{cast.session}")).text
    content = next(c for _, c in await mails(cast.wiring) if c and c.to == "eve@home.example")
    assert f"Hello {name}," in content.text
    assert "<script>" not in content.html


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("anna@home.example", True),
        ("anna+lab@sub.home.example", True),
        ("änna@hömе.example", True),
        ("anna@localhost", True),
        ("anna", False),
        ("@home.example", False),
        ("anna@", False),
        ("a b@home.example", False),
        ("anna@home.example, eve@evil.example", False),
        ("Anna <anna@home.example>", False),
        ("anna@home..example", False),
        ("a" * 65 + "@home.example", False),
        ("a@" + "b" * 300, False),
        ("anna@home.example\r\nBcc: x@y.z", False),
    ],
)
def test_one_mailbox_and_nothing_else_is_an_address(address: str, fits: bool) -> None:
    assert is_address(address) is fits


@pytest.mark.parametrize(
    "path",
    [
        "/studies/not-an-id",
        "/sessions/00000000-0000-0000-0000-000000000000",
        "/sessions/00000000-0000-0000-0000-000000000000/review",
        "/recordings/00000000-0000-0000-0000-000000000000/media",
        "/recordings/x/media",
        "/unsubscribe/%00",
        "/sign-in/..%2f..%2fetc",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
    ],
)
async def test_addresses_that_lead_nowhere_say_so(cast: Cast, path: str) -> None:
    answer = await (await cast.browser("owner")).get(path)
    assert answer.status_code in (200, 404)
    assert "Traceback" not in answer.text
    assert "class Settings" not in answer.text
    assert answer.status_code == 404 or path.startswith("/sign-in/")


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=99999999999999999999"])
async def test_a_page_number_that_is_none_is_a_bad_request(cast: Cast, query: str) -> None:
    assert (await (await cast.browser("owner")).get(f"/?{query}")).status_code == 400


async def test_bodies_that_are_no_form_or_too_large(cast: Cast) -> None:
    browser = await cast.browser("owner")
    garbage = await browser.post(
        "/studies", content=b"\xff\xfe--x", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert garbage.status_code in (400, 422)
    js = await browser.post("/studies", content=b"{", headers={"content-type": "application/json"})
    assert js.status_code in (400, 415, 422)
    large = await browser.post("/studies", data={"title": "x" * 3_000_000})
    assert large.status_code == 413
    wrong = await browser.post(
        "/studies", content=b"title=%ff%fe", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert wrong.status_code == 422


async def test_the_outbox_exists_in_development_only(cast: Cast) -> None:
    assert (await (await cast.browser("stranger")).get("/outbox")).status_code == 200
    settings = replace(cast.wiring.settings, mode="production", mail="smtp")  # type: ignore[arg-type]
    web = Web(create_app(replace(cast.wiring, settings=settings)))
    async with web.stack:
        assert (await (await web.browser()).get("/outbox")).status_code == 404


async def test_the_outbox_shows_mails_with_their_links_and_no_script_runs_in_them(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    listed = await browser.get("/outbox")
    assert "anna@home.example" in listed.text
    row, _ = (await mails(cast.wiring))[0]
    shown = await browser.get(f"/outbox/{row.id}")
    assert "/i/" in shown.text
    html = await browser.get(f"/outbox/{row.id}/html")
    assert "default-src 'none'" in html.headers["content-security-policy"]
    assert (await browser.get("/outbox/00000000-0000-0000-0000-000000000000")).status_code == 404


def test_mail_headers_are_one_line() -> None:
    for bad in ("a\r\nb", "a\nb", "a\0b", "a\u202eb", "a\u2028b"):
        with pytest.raises(UnsafeHeader):
            header_safe(bad)


def test_a_template_that_misses_a_value_fails_loudly() -> None:
    with pytest.raises(Exception, match="undefined"):
        render("sign_in", {})


def test_numbers_are_plain_digits() -> None:
    for text in ("", "-1", "1e3", "0x1", "１", "9" * 40):
        form = Form(values={"days": text})
        form.number("days", at_least=1, at_most=10)
        assert "days" in form.errors
