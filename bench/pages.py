"""Part 5: how long the server takes for the pages people work with, in an account that has grown.

`junier serve` as people start it, asked over loopback by one reader after the other; a measurement is from the request
to the last byte. Three accounts beside each other say whether time grows with the account."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median, quantiles

from app.accounts.login import cookie_name
from app.embedded import EmbeddedPostgres
from app.wiring import open_wiring
from bench.account import BigAccount, make
from bench.figures import Figure
from bench.platform import Platform

SMALL, LARGE, HUGE = 1_000, 10_000, 100_000
P95_MS = 40.0
FLAT = 1.5  # times as slow with a hundred times the people counts as flat
WARM_UP = 5


class PageFailed(Exception):
    """A page that is measured did not answer 200."""


def measure(folder: Path, *, sizes: tuple[int, ...] = (SMALL, LARGE, HUGE), asked: int = 40) -> list[Figure]:
    """sizes: participants of each account, the target is that of the second; asked: how often each page."""
    platform = Platform(folder / "pages")
    platform.start()
    try:
        postgres = EmbeddedPostgres(platform.settings.data_dir)
        runs: dict[int, dict[str, list[float]]] = {}
        for participants in sizes:
            wiring = open_wiring(platform.settings, postgres.urls.app)
            account = make(wiring, postgres.superuser_url, participants=participants)
            runs[participants] = {
                name: _times(platform, path, cookie, asked) for name, (path, cookie) in _pages(account).items()
            }
    finally:
        platform.stop()
    return _figures(runs, sizes)


def _pages(account: BigAccount) -> Mapping[str, tuple[str, str]]:
    owner = account.owner
    return {
        "start page": ("/", owner),
        "study with its sessions": (f"/studies/{account.study}", owner),
        "session of fifty people": (f"/sessions/{account.crowded}", owner),
        "review": (f"/sessions/{account.reviewed}/review", owner),
        "members": ("/members", owner),
        "retention": ("/retention", owner),
        "requests": ("/requests", owner),
        "holds": ("/holds", owner),
        "audit": ("/audit", owner),
        "my data": ("/my-data", account.participant),
    }


def _times(platform: Platform, path: str, cookie: str, asked: int) -> list[float]:
    """Milliseconds of each asking, on one connection."""
    connection = http.client.HTTPConnection("localhost", platform.settings.listen_port, timeout=30)
    headers = {"Cookie": f"{cookie_name(platform.settings)}={cookie}", "Accept": "text/html"}
    found: list[float] = []
    for _ in range(WARM_UP + asked):
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        found.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise PageFailed(f"{path}: {answer.status}")
    connection.close()
    return found[WARM_UP:]


def _figures(runs: Mapping[int, Mapping[str, list[float]]], sizes: tuple[int, ...]) -> list[Figure]:
    """Each page's p95 in the account of the target, and which page grew most from the smallest to the largest."""
    small, large, huge = runs[sizes[0]], runs[sizes[1]], runs[sizes[-1]]
    more = sizes[-1] // sizes[0]
    growth = {name: median(huge[name]) / median(small[name]) for name in large}
    figures = [
        Figure(
            name=f"{name}, p95",
            unit="ms",
            runs=(p95(times),),
            at_most=P95_MS,
            note=f"p50 {median(times):.0f} ms; {more} times the people, {growth[name]:.1f} times as long",
        )
        for name, times in large.items()
    ]
    worst = max(growth.items(), key=lambda one: one[1])
    what = f"growth of the slowest grower, {sizes[0]} to {sizes[-1]} participants"
    return [*figures, Figure(name=what, unit="×", runs=(worst[1],), at_most=FLAT, note=f"{worst[0]}; by medians")]


def p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]
