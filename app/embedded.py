"""Embedded PostgreSQL for the no-services default: started, adopted after a crash and stopped by us.

Only the programs of the wheel are used. The server listens on a Unix socket inside a folder of mode 0700,
never on TCP. A lock on the data folder, held for the server's whole life, keeps a second Junier away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from app.embedded_place import PG_MAJOR, EmbeddedError, Place, find_place
from app.settings import Settings

DATABASE = "junier"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
LOG_LIMIT_BYTES = 5_000_000

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Values never reach the log: neither parameters nor statements, nor error messages that quote a value.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_min_messages": "fatal",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    # Memory of a machine that does other things too.
    "max_connections": "100",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # for tests


@dataclass(frozen=True, kw_only=True)
class Urls:
    """The database as the application's role and as the role that migrates."""

    app: str
    owner: str


class AlreadyRunning(EmbeddedError):
    """Another Junier is running on this data folder."""


class EmbeddedPostgres:
    """The server of one data folder. start() and stop() may be called again; nothing else may share the folder."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.durable = durable
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        if self._place is None:
            self._place = find_place(self.data_dir)
        return self._place

    @property
    def urls(self) -> Urls:
        return _urls(self.place)

    @property
    def superuser_url(self) -> str:
        """Row-level security does not bind this one: for making roles and tests' databases only."""
        return _url(self.place, "postgres", "postgres")

    def start(self) -> Urls:
        """Make the cluster on first start, end a server left over from a crash, start ours.
        Raises AlreadyRunning or EmbeddedError."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        try:
            end_leftover(self.place.cluster)
            self._make_cluster()
            self._launch()
            made = self.place.folder / "database-made"
            if not made.exists():
                _make_database(self.superuser_url)
                made.touch()
        except BaseException:
            self.stop()
            raise
        return self.urls

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Fast shutdown: sessions end, everything committed is on disk. Safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STOP_LIMIT_S)
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.data_dir / "junier.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            lock.close()
            raise AlreadyRunning(
                f"Another Junier (process {pid}) is running on {self.data_dir}; stop it, or set JUNIER_DATA_DIR"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _make_cluster(self) -> None:
        """initdb on first start; made aside and renamed, so that a half-made cluster is never used."""
        cluster = self.place.cluster
        if cluster.exists():
            made_by = (cluster / "PG_VERSION").read_text().strip()
            if made_by != str(PG_MAJOR):
                raise EmbeddedError(
                    f"{cluster} was made by PostgreSQL {made_by}, this is {PG_MAJOR}; "
                    "dump it with the version of Junier that made it and restore it here"
                )
            return
        half_made = cluster.with_name("half-made")
        shutil.rmtree(half_made, ignore_errors=True)
        initdb = [str(self.place.programs / "initdb"), "-D", str(half_made), "-U", "postgres", "--no-instructions"]
        initdb += ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust"]  # the folder is closed to others
        if not self.durable:
            initdb.append("--no-sync")
        made = subprocess.run(initdb, capture_output=True, check=False, timeout=120, **self._as_user())
        if made.returncode:
            raise EmbeddedError(f"initdb failed: {made.stderr.decode(errors='replace')[-2000:]}")
        half_made.rename(cluster)

    def _as_user(self) -> dict[str, Any]:
        """PostgreSQL is not steered by PG* variables or folders of whoever starts us."""
        user: dict[str, Any] = (
            {"user": self.place.uid, "group": self.place.gid, "extra_groups": []} if self.place.uid else {}
        )
        return {"cwd": "/", "umask": 0o077, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **user}

    def _launch(self) -> None:
        place = self.place
        socket_dir = place.socket_dir
        _make_private(socket_dir, place)
        options = OPTIONS | ({} if self.durable else FORGETFUL)
        command = [str(place.programs / "postgres"), "-D", str(place.cluster), "-k", str(socket_dir)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            log_path = _log(place.folder)
            with log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the parent, which stops us last
                    **self._as_user(),
                )
            while self._process.poll() is None:
                if _is_ready(place.cluster, self._process.pid):
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"PostgreSQL did not start within {START_LIMIT_S:.0f} s; see {log_path}")
                time.sleep(0.02)
            # Sessions of a killed server may hold its shared memory for a moment: try again, but not for ever.
            if time.monotonic() > deadline - START_LIMIT_S + 10:
                raise EmbeddedError(f"PostgreSQL does not start; see {log_path}")
            time.sleep(0.3)


def running(data_dir: Path) -> Urls | None:
    """The server of this data folder if one runs now (started by another process of ours)."""
    data_dir = data_dir.expanduser().resolve()
    if not (data_dir / "junier.lock").exists():
        return None
    place = find_place(data_dir)
    pid = _postmaster(place.cluster)
    return _urls(place) if pid is not None and _is_ready(place.cluster, pid) else None


@contextmanager
def database_urls(settings: Settings) -> Iterator[Urls]:
    """The database of these settings: the server they name, the embedded one that runs, or one started for us."""
    if settings.database_url:
        yield Urls(app=settings.database_url, owner=settings.migration_database_url)
        return
    found = running(settings.data_dir)
    if found is not None:
        yield found
        return
    server = EmbeddedPostgres(settings.data_dir)
    try:
        yield server.start()
    finally:
        server.stop()


def _url(place: Place, role: str, database: str) -> str:
    return f"postgresql://{role}@/{database}?host={quote(str(place.socket_dir), safe='')}"


def _urls(place: Place) -> Urls:
    return Urls(app=_url(place, "junier_app", DATABASE), owner=_url(place, "junier_owner", DATABASE))


def _make_private(folder: Path, place: Place) -> None:
    """A folder of mode 0700 of the server's user; somebody else's folder in its place is refused."""
    uid = os.geteuid() if place.uid is None else place.uid
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        if place.uid is not None and place.gid is not None:
            os.chown(folder, place.uid, place.gid)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != uid or facts.st_mode & 0o077:
        raise EmbeddedError(f"{folder} belongs to somebody else or is open to others; remove it")


def _log(folder: Path) -> Path:
    path = folder / "server.log"
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.rename(folder / "server.log.1")
    return path


def _is_ready(cluster: Path, pid: int) -> bool:
    """The last line of postmaster.pid says ready once connections are taken."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _postmaster(cluster: Path) -> int | None:
    """The process named in postmaster.pid, if it is alive and really the server of this folder: after a crash
    the number may belong to anybody, in containers it usually does."""
    import psutil

    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        ours = process.status() != psutil.STATUS_ZOMBIE and str(cluster) in process.cmdline()
        return pid if ours and process.name().startswith("postgres") else None
    except (OSError, ValueError, psutil.Error):
        return None


def end_leftover(cluster: Path) -> None:
    """Called with the lock held: whatever still runs here belongs to a Junier that was killed."""
    import psutil

    pid_file = cluster / "postmaster.pid"
    pid = _postmaster(cluster)
    if pid is not None:
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            os.kill(pid, sign)
            deadline = time.monotonic() + STOP_LIMIT_S
            while _postmaster(cluster) == pid and time.monotonic() < deadline:
                time.sleep(0.02)
            if _postmaster(cluster) != pid:
                return
    elif pid_file.exists():
        first = pid_file.read_text().split("\n", 1)[0].strip()
        if not first.isdigit() or psutil.pid_exists(int(first)):
            pid_file.unlink(missing_ok=True)  # the number is somebody else's now; PostgreSQL would wait for them
        # else it stays: PostgreSQL itself checks the shared memory named in it


def _make_database(superuser_url: str) -> None:
    import psycopg

    roles = (Path(__file__).parent / "migrations" / "roles.sql").read_text()
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(roles.encode())
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER junier_owner".encode())
