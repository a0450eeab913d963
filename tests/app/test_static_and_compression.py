"""What is sent of pages and static files: packed where that is safe, kept by browsers where it never changes."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest

from app.compression import accepts_gzip
from app.static_files import STATIC, asset, version
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, Web

GZIP = {"accept-encoding": "gzip, br"}
PLAIN = {"accept-encoding": "identity"}


async def raw(browser: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer and its body as it was sent."""
    async with browser.stream("GET", path, headers=headers) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True),
        ("br, gzip;q=0.8", True),
        ("*", True),
        ("GZIP ; q=1.0", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("xgzip", False),
        ("gzip;q=lots", False),
    ],
)
def test_what_a_browser_takes_is_what_it_says(accepted: str, taken: bool) -> None:
    assert accepts_gzip(accepted) is taken


async def test_a_page_is_packed_for_whoever_takes_it_and_is_the_same_page(cast: Cast) -> None:
    owner = await cast.browser("owner")
    packed, body = await raw(owner, "/studies/new", **GZIP)
    plain, whole = await raw(owner, "/studies/new", **PLAIN)
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert gzip.decompress(body) == whole and len(body) < len(whole) / 2
    assert int(packed.headers["content-length"]) == len(body)
    assert "accept-encoding" in packed.headers["vary"]


@pytest.mark.parametrize(
    ("site", "packed"), [("none", True), ("same-origin", True), ("same-site", False), ("cross-site", False)]
)
async def test_what_another_site_asks_for_is_not_packed(cast: Cast, site: str, packed: bool) -> None:
    """BREACH needs a browser that asks on behalf of another site."""
    owner = await cast.browser("owner")
    answer, _ = await raw(owner, "/studies/new", **GZIP, **{"sec-fetch-site": site})
    assert ("content-encoding" in answer.headers) is packed


async def test_media_and_its_ranges_are_sent_as_they_are(cast: Cast, tmp_path) -> None:  # type: ignore[no-untyped-def]
    recording = await stored_recording(cast, tmp_path, person=cast.participant.participant)
    owner = await cast.browser("owner")
    for more in ({}, {"range": "bytes=0-99"}):
        answer, body = await raw(owner, f"/recordings/{recording}/media", **GZIP, **more)
        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(body)


@pytest.mark.parametrize("name", ["look.css", "room/participant.js", "icon.svg"])
async def test_a_static_file_of_this_version_is_kept_for_ever(web: Web, name: str) -> None:
    browser = await web.browser()
    answer = await browser.get(asset(name), headers=GZIP)
    assert answer.status_code == 200 and answer.content == (STATIC / name).read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    kind = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("where", ["/static/{name}", "/static/0123456789ab/{name}"])
async def test_without_this_version_it_is_asked_for_anew_and_another_version_is_not_ours(web: Web, where: str) -> None:
    browser = await web.browser()
    answer = await browser.get(where.format(name="look.css"), headers=GZIP)
    if "0123456789ab" in where:
        assert answer.status_code == 404
        return
    assert answer.headers["cache-control"] == "public, no-cache"
    again = await browser.get("/static/look.css", headers=GZIP | {"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    other = await browser.get("/static/look.css", headers=PLAIN | {"if-none-match": answer.headers["etag"]})
    assert other.status_code == 200, "packed and plain are two representations (RFC 9110 §8.8.3)"


async def test_pages_name_files_of_this_version_only_and_modules_import_beside_themselves(web: Web) -> None:
    page = (await (await web.browser()).get("/sign-in")).text
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(named) > 3 and all(one.startswith(f"/static/{version()}/") for one in named)
    modules = [file for file in STATIC.rglob("*.js") if "vendor" not in file.parts]
    imported = [name for file in modules for name in re.findall(r'^import .* from "([^"]+)"', file.read_text(), re.M)]
    assert len(imported) > 10 and all(name.startswith(("./", "../")) for name in imported)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../main.py",
        "/static/%2e%2e/main.py",
        "/static/..%2fmain.py",
        "/static//etc/passwd",
        "/static/",
        "/static/room",
        "/static/.hidden",
        "/static/nothing.css",
        "/static/a%00b",
    ],
)
async def test_nothing_else_of_the_disk_is_sent(web: Web, path: str) -> None:
    answer = await (await web.browser()).get(path)
    assert answer.status_code in (400, 404), answer.text
    assert "create_app" not in answer.text
