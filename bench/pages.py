"""Part 5: how long the server takes for the pages people work with, in an account that has grown.

`junier serve` as people start it, asked over loopback by one reader after the other; a measurement is from the request
to the last byte. Beside it stands the processor time of the web process and of PostgreSQL, which says what a page costs
on a machine that does other things too. Three accounts beside each other say whether time grows with the account."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil

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


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one page took. times: milliseconds of each asking; web, database: processor milliseconds of an asking."""

    times: tuple[float, ...]
    web: float
    database: float


def measure(folder: Path, *, sizes: tuple[int, ...] = (SMALL, LARGE, HUGE), asked: int = 40) -> list[Figure]:
    """sizes: participants of each account, the target is that of the second; asked: how often each page."""
    platform = Platform(folder / "pages")
    platform.start()
    try:
        postgres = EmbeddedPostgres(platform.settings.data_dir)
        runs: dict[int, dict[str, Taken]] = {}
        for participants in sizes:
            wiring = open_wiring(platform.settings, postgres.urls.app)
            account = make(wiring, postgres.superuser_url, participants=participants)
            runs[participants] = {
                name: _taken(platform, path, cookie, asked) for name, (path, cookie) in _pages(account).items()
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


def _taken(platform: Platform, path: str, cookie: str, asked: int) -> Taken:
    """On one connection; what is asked first, to warm up, does not count."""
    connection = http.client.HTTPConnection("localhost", platform.settings.listen_port, timeout=30)
    headers = {"Cookie": f"{cookie_name(platform.settings)}={cookie}", "Accept": "text/html"}

    def ask() -> float:
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise PageFailed(f"{path}: {answer.status}")
        return (time.perf_counter() - began) * 1000

    for _ in range(WARM_UP):
        ask()
    web, database = [platform.web_process()], platform.database_processes()
    before = _processor_ms(web), _processor_ms(database)
    times = tuple(ask() for _ in range(asked))
    after = _processor_ms(web), _processor_ms(database)
    connection.close()
    return Taken(times=times, web=(after[0] - before[0]) / asked, database=(after[1] - before[1]) / asked)


def _processor_ms(processes: Iterable[psutil.Process]) -> float:
    """Those that have ended meanwhile count as nothing."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            total += (spent.user + spent.system) * 1000
    return total


def _figures(runs: Mapping[int, Mapping[str, Taken]], sizes: tuple[int, ...]) -> list[Figure]:
    """Each page's p95 in the account of the target, and which page grew most from the smallest to the largest."""
    small, large, huge = runs[sizes[0]], runs[sizes[1]], runs[sizes[-1]]
    more = sizes[-1] // sizes[0]
    growth = {name: median(huge[name].times) / median(small[name].times) for name in large}
    figures = [
        Figure(
            name=f"{name}, p95",
            unit="ms",
            runs=(p95(taken.times),),
            at_most=P95_MS,
            note=f"p50 {median(taken.times):.0f} ms, processor {_costs(taken)}; {more} times the people: "
            f"{growth[name]:.1f} times as long, processor {_costs(huge[name])}",
        )
        for name, taken in large.items()
    ]
    worst = max(growth.items(), key=lambda one: one[1])
    what = f"growth of the slowest grower, {sizes[0]} to {sizes[-1]} participants"
    return [*figures, Figure(name=what, unit="×", runs=(worst[1],), at_most=FLAT, note=f"{worst[0]}; by medians")]


def _costs(taken: Taken) -> str:
    return f"{taken.web:.0f} + {taken.database:.0f} ms"


def p95(times: Sequence[float]) -> float:
    return quantiles(times, n=20)[-1]
