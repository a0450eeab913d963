"""Embedded PostgreSQL: starts, survives kill -9, keeps others away, writes no values to its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from app import embedded_place
from app.embedded import AlreadyRunning, EmbeddedPostgres, database_urls, end_leftover, running
from app.embedded_place import EmbeddedError, find_place, reachable
from app.settings import Settings


@pytest.fixture
def server(data_dir):
    started = EmbeddedPostgres(data_dir, durable=False)
    started.start()
    yield started
    started.stop()
    end_leftover(started.place.cluster)


def postmaster_of(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.place.cluster / "postmaster.pid").read_text().splitlines()[0]))


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return None if row is None else row[0]


def test_it_starts_with_the_three_roles_and_stops_leaving_no_process(data_dir):
    server = EmbeddedPostgres(data_dir, durable=False)
    urls = server.start()
    postmaster = postmaster_of(server)
    assert (ask(urls.app, "SELECT current_user"), ask(urls.owner, "SELECT current_user")) == (
        "junier_app",
        "junier_owner",
    )
    assert running(data_dir) == urls
    server.stop()
    server.stop()
    assert not postmaster.is_running()
    assert running(data_dir) is None


def test_it_listens_on_a_socket_that_is_closed_to_other_users(server):
    assert ask(server.superuser_url, "SHOW listen_addresses") == ""
    folder = server.place.socket_dir
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0


def test_what_was_committed_survives_kill_9_of_everything(data_dir):
    server = EmbeddedPostgres(data_dir)
    server.start()
    with psycopg.connect(server.superuser_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postmaster = postmaster_of(server)
    family = [postmaster, *postmaster.children()]
    for process in family:
        with suppress(psutil.NoSuchProcess):  # the first one's end ends the others
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=60)
    assert not server.alive()
    server.start()
    try:
        assert ask(server.superuser_url, "SELECT answer FROM kept") == 42
    finally:
        server.stop()


def test_a_server_left_over_by_a_killed_parent_is_replaced(data_dir):
    code = (
        "import os, signal, sys; from pathlib import Path; from app.embedded import EmbeddedPostgres;"
        f"EmbeddedPostgres(Path({str(data_dir)!r}), durable=False).start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    server = EmbeddedPostgres(data_dir, durable=False)
    left_over = postmaster_of(server)
    assert left_over.is_running()
    urls = server.start()
    try:
        with suppress(psutil.NoSuchProcess):
            assert left_over.status() == psutil.STATUS_ZOMBIE
        assert ask(urls.app, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_stale_pid_file_whose_number_belongs_to_somebody_else_is_no_obstacle(data_dir):
    server = EmbeddedPostgres(data_dir, durable=False)
    server.start()
    pid_file = server.place.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert running(data_dir) is None
    urls = server.start()
    try:
        assert ask(urls.app, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_half_made_cluster_is_made_again(data_dir):
    place = find_place(data_dir)
    half_made = place.cluster.with_name("half-made")
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(data_dir, durable=False)
    try:
        assert ask(server.start().app, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_second_junier_on_the_same_folder_is_told_who_holds_it(server):
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        EmbeddedPostgres(server.data_dir).start()
    assert ask(server.urls.app, "SELECT 1") == 1


def test_a_cluster_of_another_major_version_is_left_alone(data_dir):
    place = find_place(data_dir)
    place.cluster.mkdir()
    (place.cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match="PostgreSQL 15"):
        EmbeddedPostgres(data_dir).start()
    assert [path.name for path in place.cluster.iterdir()] == ["PG_VERSION"]


def test_commands_use_the_running_server_or_start_one_for_themselves(data_dir):
    settings = Settings(data_dir=data_dir)
    with database_urls(settings) as own:
        assert ask(own.app, "SELECT 1") == 1
        with database_urls(settings) as same:
            assert same == own
    assert running(data_dir) is None


SECRET = "ada@example.org"


QUOTING = (
    f"SELECT '{SECRET}'::int",
    f"INSERT INTO people VALUES ('{SECRET}'), ('{SECRET}')",
    f"SELECT nothing_like_this('{SECRET}')",
    f"DO $$ BEGIN RAISE EXCEPTION '{SECRET}'; END $$",
    f"DO $$ BEGIN RAISE WARNING '{SECRET}'; END $$",
)


def test_values_never_reach_the_log(server):
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE people (address text PRIMARY KEY)")
        for statement in QUOTING:
            try:
                connection.execute(statement.encode())
            except psycopg.Error:
                pass
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT %s::text::int", [SECRET])
    assert SECRET not in (server.place.folder / "server.log").read_text()


def test_a_path_too_long_for_a_socket_gets_a_private_folder_elsewhere(data_dir):
    deep = data_dir / ("a" * 60) / ("b" * 60)
    deep.parent.mkdir(mode=0o755)
    data_dir.chmod(0o755)
    server = EmbeddedPostgres(deep, durable=False)
    try:
        assert ask(server.start().app, "SELECT 1") == 1
        socket_dir = server.place.socket_dir
        assert socket_dir.parent == Path("/tmp")
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
    socket_dir.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="about starting as root")
def test_started_by_root_it_runs_as_its_own_user_and_opens_nobodys_home(data_dir, monkeypatch):
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setattr(embedded_place, "SYSTEM_DIR", data_dir / "system")
    data_dir.chmod(0o755)
    server = EmbeddedPostgres(home / "junier" / "var", durable=False)
    server.start()
    try:
        assert postmaster_of(server).username() == embedded_place.SERVICE_USER
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "junier").stat().st_mode & 0o077 == 0o055  # as umask made it
        assert server.place.folder.parent == data_dir / "system"
        again = EmbeddedPostgres(home / "junier" / "var")
        assert again.place.folder == server.place.folder
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="about starting as root")
def test_a_database_whose_data_folder_is_gone_is_named_at_the_next_start(data_dir, monkeypatch, caplog):
    (data_dir / "home").mkdir(mode=0o700)
    monkeypatch.setattr(embedded_place, "SYSTEM_DIR", data_dir / "system")
    data_dir.chmod(0o755)
    var = data_dir / "home" / "var"
    var.mkdir()
    first = find_place(var).folder
    assert find_place(var).folder == first
    (var / "postgresql.place").unlink()
    second = find_place(var).folder
    assert second != first
    assert f"{first} is left over" in caplog.text
    assert first.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="about starting as root")
def test_programs_in_a_closed_folder_are_copied_once(data_dir, monkeypatch):
    home = data_dir / "home"
    programs = home / "venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (programs / name).write_text("#!/bin/sh\n")
    home.chmod(0o700)
    (home / "var").mkdir()
    monkeypatch.setattr(embedded_place, "SYSTEM_DIR", data_dir / "system")
    monkeypatch.setattr(embedded_place, "installed_programs", lambda: programs)
    data_dir.chmod(0o755)
    first, second = find_place(home / "var"), find_place(home / "var")
    assert first == second
    assert first.programs.is_relative_to(data_dir / "system")
    assert reachable(first.programs / "postgres", 12345, 12345)
    assert not reachable(programs / "postgres", 12345, 12345)


def test_network_disks_are_refused(data_dir, monkeypatch):
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/export {data_dir} nfs4 rw 0 0\n"
    real = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, *a, **k: mounts if str(path) == "/proc/mounts" else real(path, *a, **k)
    )
    with pytest.raises(EmbeddedError, match="network disk"):
        find_place(data_dir)
