"""Checks of what runs already: the public address, UDP, disk, clock, and whether the work that is due gets done."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import shutil
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.ownership import ownerless
from app.database import Database
from app.findings import Broken, Note
from app.ledger import ledger_of
from app.privacy.erasing.overdue import overdue
from app.public_address import certificate_end
from app.settings import LOOPBACK_HOSTS, Settings

LIMIT_S = 5.0
CERTIFICATE_DAYS = 10
FEW_PORTS = 200
LEAST_FREE_BYTES = 1_000_000_000
CLOCK_NOTE_S, CLOCK_BROKEN_S = 2.0, 60.0
SWEPT_WITHIN_S = 900
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
NOTHING_YET = "nothing to look at before the first start"
GIVEN_UP_JOBS = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE status = 'failed'"
REFUSED_MAILS = "SELECT sum(count) FROM platform_counts() WHERE what = 'mail' AND state = 'failed'"
_Found = TypeVar("_Found")


def check_public_address(settings: Settings) -> str:
    url = settings.public_url
    if urlsplit(url).hostname in LOOPBACK_HOSTS:
        if settings.development:
            return f"{url}, for this machine only"
        raise Note(f"{url} is for this machine only", "set JUNIER_PUBLIC_URL to the https address that people open")
    if not settings.secure:
        raise Broken(f"{url} is not https: browsers give no camera", "set JUNIER_PUBLIC_URL to an https address")
    try:
        left_days = (asyncio.run(certificate_end(url)) - time.time()) / 86400
    except ssl.SSLCertVerificationError as refused:
        raise Broken(
            f"{url} shows no certificate that browsers trust ({refused.verify_message})",
            "let ports 80 and 443 in, let the name lead to this machine, and read: docker compose logs proxy",
        ) from None
    except (OSError, TimeoutError) as silent:
        raise Note(
            f"{url} does not answer this machine ({type(silent).__name__})",
            "check the DNS name, the proxy and ports 80 and 443; some networks let no machine reach its own address",
        ) from None
    if left_days < CERTIFICATE_DAYS:
        raise Broken(f"the certificate ends in {left_days:.0f} days", "read: docker compose logs proxy")
    if not _answers_as_we(url):
        raise Broken(f"{url} is answered, but not by this platform", "check the proxy, and that web runs")
    return f"{url} answers, its certificate lasts {left_days:.0f} days"


def _answers_as_we(url: str) -> bool:
    import httpx

    try:
        answer = httpx.get(f"{url}/health", timeout=LIMIT_S, trust_env=False, verify=ssl.create_default_context())
        return answer.status_code == 200 and answer.json().get("web") == "ok"
    except (httpx.HTTPError, ValueError):
        return False


def check_udp(settings: Settings) -> str:
    """What can be seen from inside: the addresses are ours, the ports are free, and a datagram comes through."""
    ports = settings.udp_ports
    for address in settings.offer_addresses:
        _udp_comes_through(address, ports)
    reached = settings.announced_addresses or settings.offer_addresses
    addresses = ", ".join(reached)
    if settings.development:
        return f"media offers {addresses or 'all addresses of this machine'}"
    if not addresses:
        raise Note(
            "media offers every address of this machine, also private ones",
            "set JUNIER_MEDIA_ADDRESSES to the public one",
        )
    if all(not ip_address(address).is_global for address in reached):
        raise Note(
            f"{addresses} is no address of the internet: people outside this network connect through TURN only",
            "set JUNIER_MEDIA_ADDRESSES to a public address of the machine, or, where a router or cloud passes one on, "
            "JUNIER_MEDIA_ANNOUNCED to that one; or run TURN",
        )
    if ports is None:
        raise Note("media takes any free port", "set JUNIER_MEDIA_PORTS, and let exactly these in")
    if len(ports) < FEW_PORTS:
        raise Note(
            f"{len(ports)} ports are few: each stream somebody sends or sees takes one", "widen JUNIER_MEDIA_PORTS"
        )
    return (
        f"{addresses}, ports {settings.media_ports}, free and open on this machine; whether the firewall before it "
        "lets them in shows only from outside: join a session from a phone without Wi-Fi"
    )


def _udp_comes_through(address: str, ports: range | None) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as here, socket.socket(family, socket.SOCK_DGRAM) as there:
        for port in ports or (0,):
            try:
                here.bind((address, port))
                break
            except OSError as refused:
                if refused.errno != errno.EADDRINUSE:
                    raise Broken(
                        f"{address} is not an address of this machine ({refused.strerror})",
                        "set JUNIER_MEDIA_ADDRESSES to one that `ip address` shows; the public one of a 1:1 NAT goes "
                        "into JUNIER_MEDIA_ANNOUNCED",
                    ) from None
        else:
            raise Broken("every port of JUNIER_MEDIA_PORTS is taken", "widen JUNIER_MEDIA_PORTS, or end what has them")
        here.settimeout(1.0)
        try:
            there.sendto(b"junier", here.getsockname()[:2])
            here.recv(16)
        except OSError:
            raise Broken(
                f"a datagram to {address}:{here.getsockname()[1]} does not arrive, not even from this machine",
                f"let UDP {_named(ports)} in",
            ) from None


def _named(ports: range | None) -> str:
    return f"{ports[0]}-{ports[-1]}" if ports else "from everywhere"


def check_disk(settings: Settings) -> str:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    free = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free at {folder}"
    mend = "make room: recordings of the built-in stores, PostgreSQL and the spool lie on this machine"
    if usage.free < LEAST_FREE_BYTES:
        raise Broken(free, mend)
    if usage.free < usage.total / 10 or usage.free < settings.spool_quota_mb << 20:
        raise Note(f"{free}, less than a tenth of it or than the spool may take", mend)
    return free


def check_clock(settings: Settings) -> str:
    """Against the database and the object store where they are elsewhere; and what the system says of itself."""
    differences = {"the database": _database_ahead(settings), "the object store": _store_ahead(settings)}
    for who, ahead in differences.items():
        if ahead is not None and abs(ahead) > CLOCK_NOTE_S:
            wrong = Broken if abs(ahead) > CLOCK_BROKEN_S else Note
            direction = "behind" if ahead > 0 else "ahead of"
            raise wrong(f"{abs(ahead):.0f} s {direction} {who}", "set both by NTP: timedatectl set-ntp true")
    if ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) == TIME_ERROR:
        raise Note("nobody sets this machine's clock", "run an NTP client: timedatectl set-ntp true")
    return "set by NTP"


def _database_ahead(settings: Settings) -> float | None:
    if not settings.database_url:
        return None
    try:
        with psycopg.connect(settings.database_url, connect_timeout=int(LIMIT_S)) as connection:
            row = connection.execute("SELECT EXTRACT(epoch FROM clock_timestamp())::float8").fetchone()
            return None if row is None else float(row[0]) - time.time()
    except psycopg.Error:
        return None


def _store_ahead(settings: Settings) -> float | None:
    import httpx

    if settings.object_store != "s3":
        return None
    asked = time.time()
    try:
        told = httpx.head(settings.s3_endpoint, timeout=LIMIT_S, trust_env=False).headers.get("date", "")
        moment = datetime.strptime(told, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        # It tells whole seconds, of a moment between asking and hearing: one that is slow is not wrong.
        return moment.timestamp() + 0.5 - (asked + time.time()) / 2
    except (httpx.HTTPError, ValueError):
        return None


def check_erasing(settings: Settings) -> str:
    """Whether everything that is due is gone, and somebody looks for what is due."""
    if _never_started(settings):
        return NOTHING_YET
    late = _ask(settings, lambda database: overdue(database, datetime.now(UTC)))
    if late is not None:
        raise Broken(
            f"something should have been erased {late.days} days ago",
            "let a worker run (junier worker --queues light); when one runs, see Jobs and Storage here",
        )
    swept = _ask(settings, _swept_at)
    if swept is None:
        raise Note("nobody has looked for what is due yet", "let a worker run: junier worker --queues light")
    age = (datetime.now(UTC) - swept).total_seconds()
    if age > SWEPT_WITHIN_S:
        raise Broken(
            f"nobody has looked for what is due for {age / 60:.0f} minutes",
            "let a worker run: junier worker --queues light",
        )
    return "nothing is late"


def check_jobs(settings: Settings) -> str:
    """What was given up: it shows its reason on its own page, and stays until somebody acts."""
    if _never_started(settings):
        return NOTHING_YET
    jobs = _ask(settings, lambda database: _count(database, GIVEN_UP_JOBS))
    mails = _ask(settings, lambda database: _count(database, REFUSED_MAILS))
    if jobs or mails:
        raise Note(
            f"{jobs} jobs were given up, {mails} mails were refused",
            "the session's page says why and offers to try again; the table job_failure has type and place",
        )
    return "none was given up"


def check_files(settings: Settings) -> str:
    """As the last look of app.privacy.erasing.orphans found it."""
    if _never_started(settings):
        return NOTHING_YET
    alone = _ask(settings, _alone)
    if alone:
        raise Note(
            ", ".join(f"{kind}: {count}" for kind, count in alone),
            "junier erasure orphans lists them; right after a restore it is what the backup did not know",
        )
    return "every object has its row, every row its objects"


def check_ledger(settings: Settings) -> str:
    """Whether a restored database would learn everything again."""
    ledger = ledger_of(settings)
    damage = ledger.damage()
    if damage:
        raise Broken(f"{len(damage)} lines of {ledger.path} are damaged: nothing starts", "junier ledger check")
    return f"{ledger.path}, every line whole" if ledger.identity() else NOTHING_YET


def check_owners(settings: Settings) -> str:
    if _never_started(settings):
        return NOTHING_YET
    nobodys = _ask(settings, _ownerless)
    if nobodys:
        raise Broken(
            f"nobody owns {', '.join(map(str, nobodys))}: their owner was added after the backup that was restored",
            "junier account give-owner ACCOUNT --owner-name NAME --owner-email ADDRESS",
        )
    return "every account has one"


async def _ownerless(database: Database) -> Sequence[UUID]:
    async with database.transaction() as db:
        return await ownerless(db)


async def _alone(database: Database) -> list[tuple[str, int]]:
    async with database.transaction() as db:
        found = await db.execute(text("SELECT kind, count(*) AS number FROM orphan GROUP BY kind ORDER BY kind"))
        return [(row.kind, row.number) for row in found]


async def _count(database: Database, query: str) -> int:
    async with database.transaction() as db:
        return int(await db.scalar(text(query)) or 0)


async def _swept_at(database: Database) -> datetime | None:
    async with database.transaction() as db:
        at: datetime | None = await db.scalar(text("SELECT at FROM task_done WHERE task = 'sweep'"))
        return at


def _never_started(settings: Settings) -> bool:
    return not settings.database_url and not (settings.data_dir / "junier.lock").exists()


def _ask(settings: Settings, question: Callable[[Database], Awaitable[_Found]]) -> _Found:
    """Raises Note where there is no database to ask, which the check of the database explains."""
    from app.embedded import database_urls
    from app.embedded_place import EmbeddedError

    async def ask(url: str) -> _Found:
        database = Database(url)
        try:
            return await asyncio.wait_for(question(database), LIMIT_S)
        finally:
            await database.close()

    try:
        with database_urls(settings) as urls:
            return asyncio.run(ask(urls.app))
    except (EmbeddedError, SQLAlchemyError, OSError, TimeoutError) as error:
        raise Note(f"the database could not be asked ({type(error).__name__})", "see Database") from None
