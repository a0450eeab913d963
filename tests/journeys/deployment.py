"""compose.yaml without containers: its services as processes of this machine, in the environment it gives them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.embedded_place import find_place
from app.settings import Settings

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")
LIMIT_SECONDS = 120
PATIENT_MEDIA = (
    "from app.room import node_messages; node_messages.LEASE_SECONDS = 60.0; from app.__main__ import main; main()"
)
"""Its permission holds a minute: a machine that stands still for two seconds would cost frames that tests count."""


class NotSet(Exception):
    """A variable that compose.yaml asks for is not in .env."""


def compose(values: Mapping[str, str]) -> dict[str, Any]:
    """Its services, variables replaced as Compose does it (compose-spec, interpolation). Raises NotSet."""

    def value(found: re.Match[str]) -> str:
        name, rule, rest = found.group(1), found.group(2) or "", found.group(3)
        given = values.get(name)
        if given is not None and not (given == "" and rule.startswith(":")):
            return given
        if rule.endswith("?"):
            raise NotSet(name)
        return rest or ""

    def filled_in(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: filled_in(inner) for name, inner in part.items()}
        if isinstance(part, list):
            return [filled_in(inner) for inner in part]
        return VARIABLE.sub(value, part) if isinstance(part, str) else part

    services: dict[str, Any] = filled_in(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"])
    return services


def image_environment() -> dict[str, str]:
    """What the Dockerfile sets for every process."""
    [line] = re.findall(r"^ENV (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return dict(part.split("=", 1) for part in line.split())


def mounted(service: Mapping[str, Any], target: str) -> Path:
    """The file of this repository that the container sees as `target`."""
    source = next(volume.split(":")[0] for volume in service["volumes"] if volume.split(":")[1] == target)
    return ROOT / str(source)


@contextmanager
def postgres(service: Mapping[str, Any], folder: Path, port: int) -> Iterator[None]:
    """PostgreSQL as its image makes it: passwords over TCP, and the script that compose mounts run once."""
    place = find_place(folder)
    user: dict[str, Any] = {"user": place.uid, "group": place.gid, "extra_groups": []} if place.uid else {}
    plain = {"PATH": f"{place.programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    cluster, sockets = str(place.folder / "tcp-cluster"), str(place.socket_dir)
    auth = ["--auth-local=trust", "--auth-host=scram-sha-256"]
    made = ["initdb", "-D", cluster, "-U", "postgres", *auth, "--no-sync"]
    subprocess.run(made, cwd="/", env=plain, check=True, capture_output=True, timeout=LIMIT_SECONDS, **user)
    options = [*re.findall(r"-c (\S+)", service["command"]), "fsync=off", "listen_addresses=127.0.0.1"]
    command = ["postgres", "-D", cluster, "-k", sockets, "-p", str(port)]
    command += [part for option in options for part in ("-c", option)]
    server = subprocess.Popen(command, cwd="/", env=plain, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
    try:
        told = service["environment"]
        client = plain | told | {"PGHOST": sockets, "PGPORT": str(port), "PGUSER": "postgres"}
        deadline = time.monotonic() + LIMIT_SECONDS
        while subprocess.run(["pg_isready", "-q"], env=client, check=False).returncode:
            assert server.poll() is None and time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)
        subprocess.run(["createdb", told["POSTGRES_DB"]], env=client, check=True)
        roles = str(mounted(service, "/junier/roles.sql"))
        script = (
            mounted(service, "/docker-entrypoint-initdb.d/roles.sh").read_text().replace("/junier/roles.sql", roles)
        )
        subprocess.run(["sh", "-c", script], env=client, check=True, capture_output=True, timeout=LIMIT_SECONDS)
        yield
    finally:
        server.terminate()
        server.kill()
        server.wait(LIMIT_SECONDS)
        shutil.rmtree(cluster, ignore_errors=True)


@dataclass
class Deployment:
    """The services built from this repository. services: as compose() gives them; folder: in place of the
    volume they share; database_port: in place of PostgreSQL's own; private_ports: in place of theirs, by service."""

    services: Mapping[str, Any]
    folder: Path
    database_port: int
    private_ports: Mapping[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, service: str) -> dict[str, str]:
        """Exactly what the container would have."""
        plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        image = image_environment()
        volume, *files = self.services[service]["volumes"]
        assert image["JUNIER_DATA_DIR"] == volume.partition(":")[2], "what is kept must outlive the container"
        told = {name: str(value) for name, value in self.services[service]["environment"].items()}
        for name in {"DATABASE_URL", "MIGRATION_DATABASE_URL"} & told.keys():
            told[name] = told[name].replace("@127.0.0.1:5432/", f"@127.0.0.1:{self.database_port}/")
        image["PATH"] = plain["PATH"]  # this machine's Python has the packages
        moved = {"JUNIER_DATA_DIR": str(self.folder)}
        places = {file.split(":")[1]: str(ROOT / file.split(":")[0]) for file in files}
        moved |= {name: places[value] for name, value in told.items() if value in places}
        if service in self.private_ports:
            moved["JUNIER_METRICS_PORT"] = str(self.private_ports[service])
        return plain | image | told | moved

    def settings(self, service: str = "web") -> Settings:
        return Settings.from_env(self.environment(service))

    def run(self, service: str, *command: str) -> str:
        """`docker compose run service command`; without a command the service's own. Returns what it printed."""
        words = command or self.services[service]["command"]
        done = subprocess.run(
            [sys.executable, "-m", "app", *words],
            env=self.environment(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *services: str) -> None:
        for service in services:
            ours = ["-c", PATIENT_MEDIA] if service == "media" else ["-m", "app"]
            with self.log(service).open("ab") as log:
                self.running[service] = subprocess.Popen(
                    [sys.executable, *ours, *self.services[service]["command"]],
                    env=self.environment(service),
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    async def ready(self) -> None:
        """Everything that runs says on its private port that it is ready, and nothing has ended."""
        async with httpx.AsyncClient(trust_env=False, timeout=6) as http:
            for name in list(self.running):
                async with asyncio.timeout(LIMIT_SECONDS):
                    while not await _answers(http, f"http://127.0.0.1:{self.private_ports[name]}/health/ready"):
                        for service, process in self.running.items():
                            assert process.poll() is None, self.log(service).read_text()
                        await asyncio.sleep(0.05)

    async def restart(self, service: str) -> int:
        """As `docker compose up -d` does with a new image; returns with what status the old one ended."""
        [(_, ended)] = (await asyncio.to_thread(self.stop, service)).items()
        self.start(service)
        await self.ready()
        return ended

    async def numbers(self, service: str) -> dict[str, float]:
        """What the service tells Prometheus, scraped: name with labels -> value."""
        async with httpx.AsyncClient(trust_env=False, timeout=LIMIT_SECONDS) as http:
            answer = await http.get(f"http://127.0.0.1:{self.private_ports[service]}/metrics")
        assert answer.status_code == 200
        samples = (sample for family in text_string_to_metric_families(answer.text) for sample in family.samples)
        return {one.name + "".join(f" {v}" for _, v in sorted(one.labels.items())): one.value for one in samples}

    def stop(self, *services: str) -> dict[str, int]:
        """Ask these processes, or all, to stop, as `docker compose stop` does; exit status by service."""
        stopping = {name: self.running.pop(name) for name in services or list(self.running)}
        for process in stopping.values():
            process.terminate()
        deadline = time.monotonic() + LIMIT_SECONDS / 3
        ended = {}
        for service, process in stopping.items():
            try:
                ended[service] = process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                ended[service] = process.wait()
            print(f"--- {service}\n{self.log(service).read_text()}")  # shown when the test fails
        return ended


async def _answers(http: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(address)).status_code == 200
    except httpx.TransportError:
        return False
