"""Every answer carries the headers, and nothing changes by a foreign page's request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.security import comes_from_us, security_headers
from app.settings import Settings
from tests.fixtures.web import ORIGIN, Cast

SETTINGS = Settings(public_url=ORIGIN)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/no-such-page", "/health", "/studies/new", "/static/look.css"])
async def test_headers_stand_on_pages_errors_and_files(cast: Cast, path: str) -> None:
    answer = await (await cast.browser("stranger")).get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for closed in ("frame-ancestors", "object-src", "base-uri"):
        assert f"{closed} 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert ("no-store" in answer.headers["cache-control"]) == (not path.startswith("/static"))


def test_https_brings_hsts_and_a_host_bound_cookie() -> None:
    secure = replace(SETTINGS, public_url="https://sessions.example.eu")
    assert security_headers(secure)["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert "strict-transport-security" not in security_headers(SETTINGS)
    assert "wss://sessions.example.eu" in security_headers(secure)["content-security-policy"]


@pytest.mark.parametrize("path", ["/sign-in", "/no-such-page", "/static/look.css", "/static/room/participant.js"])
async def test_texts_name_their_encoding(cast: Cast, path: str) -> None:
    answer = await (await cast.browser("stranger")).get(path)
    assert answer.headers["content-type"].replace(" ", "").endswith(";charset=utf-8")


@pytest.mark.parametrize(
    "path", ["/schema", "/schema/openapi.json", "/metrics", "/health/ready", "/.git/config", "/.env"]
)
async def test_what_is_for_operators_or_for_nobody_is_not_there(cast: Cast, path: str) -> None:
    assert (await (await cast.browser("owner")).get(path)).status_code == 404


async def test_no_request_is_mirrored(cast: Cast) -> None:
    answer = await (await cast.browser("owner")).request("TRACE", "/", headers={"x-secret": "mirror"})
    assert answer.status_code == 405 and "mirror" not in answer.text
    assert "GET" in answer.headers["allow"], "RFC 9110 §15.5.6"


async def test_an_unexpected_error_tells_a_reference_and_nothing_else(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("SELECT secret FROM keys")

    assert not cast.web.app.debug
    monkeypatch.setattr("app.accounts.routes.page", fail)
    browser = await cast.browser("stranger")
    for accept in ("text/html", "application/json"):
        answer = await browser.get("/sign-in", headers={"accept": accept})
        assert answer.status_code == 500
        assert not any(word in answer.text for word in ("SELECT", "RuntimeError", "Traceback", "routes.py"))
        [*_, failed] = [one[2] for one in caplog.record_tuples if one[0].startswith("junier")]
        assert failed.rpartition("reference ")[2] in answer.text


async def test_signing_out_clears_what_the_browser_kept(cast: Cast) -> None:
    answer = await (await cast.browser("owner")).post("/sign-out")
    assert '"cache"' in answer.headers["clear-site-data"]
    assert "max-age=0" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("origin", "fetch_site", "ours"),
    [
        (ORIGIN, None, True),
        (ORIGIN, "cross-site", True),
        (None, "same-origin", True),
        ("null", "same-origin", True),
        ("https://evil.example", "same-origin", False),
        ("http://localhost:8001", None, False),
        ("null", None, False),
        ("null", "cross-site", False),
        (None, "same-site", False),
        (None, "none", False),
        (None, None, False),
    ],
)
def test_whose_page_sent_it(origin: str | None, fetch_site: str | None, ours: bool) -> None:
    assert comes_from_us(origin, fetch_site, SETTINGS) is ours


async def test_a_foreign_page_cannot_change_anything(cast: Cast) -> None:
    browser = await cast.browser("owner")
    browser.headers["origin"] = "https://evil.example"
    refused = await browser.post("/sign-out")
    assert refused.status_code == 403
    browser.headers["origin"] = ORIGIN
    assert (await browser.get("/studies/new")).status_code == 200


async def test_programs_get_problem_details_and_people_a_page(cast: Cast) -> None:
    browser = await cast.browser("stranger")
    page = await browser.get("/no-such-page")
    assert page.status_code == 404
    assert "<h1>" in page.text
    problem = await browser.get("/no-such-page", headers={"accept": "application/json"})
    assert problem.headers["content-type"].startswith("application/problem+json")
    assert problem.json()["status"] == 404
