"""The image's recipe and the compose file, as far as they can be judged without running them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))


def test_the_recipe_keeps_the_rules_of_its_linter() -> None:
    program = Path(sys.executable).with_name("hadolint")
    told = subprocess.run([program, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


def test_the_image_runs_as_nobody_and_holds_nothing_that_builds() -> None:
    final = (DOCKER / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    assert "\nUSER 65532:65532\n" in final
    assert not any(word in final for word in ("apt-get", "pip install", "uv sync", "gcc"))


def test_the_image_can_do_what_nobody_can_add_to_it() -> None:
    """Its root is read-only and it has no installer: a ledger in PostgreSQL and traces must be in it."""
    builds = [line for line in (DOCKER / "Dockerfile").read_text("utf-8").splitlines() if "uv sync" in line]
    assert len(builds) == 2
    assert all("--extra postgres --extra otel " in line for line in builds)


def test_the_compose_file_is_one() -> None:
    composed = PyCompose.from_json(json.dumps(COMPOSE))
    composed.validate()
    assert set(composed.services or ()) == {
        "gateway",
        "rehearsal",
        "valkey",
        "postgres",
        "prometheus",
        "alertmanager",
        "grafana",
    }


def test_the_check_of_the_compose_file_can_fail() -> None:
    broken = json.loads(json.dumps(COMPOSE))
    broken["services"]["gateway"]["restrat"] = "no"
    with pytest.raises(ValueError, match="restrat"):
        PyCompose.from_json(json.dumps(broken)).validate()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_nothing_is_served_beyond_this_machine(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name].get("ports", []))


@pytest.mark.parametrize("name", sorted(set(COMPOSE["services"]) - {"postgres"}))
def test_services_are_hardened(name: str) -> None:
    """PostgreSQL's image must change its user by itself."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_store_keeps_what_it_acknowledged() -> None:
    """The gateway refuses one that evicts or forgets."""
    command = " ".join(COMPOSE["services"]["valkey"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
