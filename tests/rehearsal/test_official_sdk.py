"""Runware's own SDK, in an environment of its own, takes the stand-in for Runware: an independent judge of it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.rehearsal.server import Rehearsal

pytestmark = pytest.mark.sdk

REQUIREMENT = "runware-sdk==1.8.0"
CLIENT = Path(__file__).with_name("official_sdk_client.py")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kontext-gateway" / REQUIREMENT


def _make(place: Path) -> None:
    """A virtual environment with the SDK. Raises `CalledProcessError` or `OSError`."""
    uv = shutil.which("uv")
    python = place / "bin" / "python"
    shutil.rmtree(place, ignore_errors=True)
    make = [uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    fill = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    subprocess.run([*make, place], check=True, capture_output=True, timeout=120)
    subprocess.run([*fill, REQUIREMENT], check=True, capture_output=True, timeout=300)
    (place / "ready").touch()


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    if not (CACHE / "ready").exists():
        try:
            _make(CACHE)
        except (subprocess.SubprocessError, OSError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no environment with {REQUIREMENT} could be made: {error}")
    return CACHE / "bin" / "python"


class Sdk:
    def __init__(self, python: Path, rehearsal: Rehearsal) -> None:
        self._python = python
        self.rehearsal = rehearsal

    async def run(self, *, key: str | None = None, **fields: object) -> dict[str, Any]:
        """`{"items": […]}`, or `{"error": {"code", "status_code", …}}` with the SDK's own code."""
        task = {"taskType": "imageInference", "model": "bfl:3@1", "positivePrompt": "a red kite"}
        task |= {"width": 1024, "height": 1024, "includeCost": True} | fields
        process = await asyncio.create_subprocess_exec(
            self._python, CLIENT, self.rehearsal.runware_url, key or self.rehearsal.key, json.dumps(task),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    def exchanges(self) -> list[tuple[str | None, int]]:
        return [(exchange.step, exchange.status) for exchange in self.rehearsal.log.exchanges]


@pytest_asyncio.fixture
async def sdk(sdk_python: Path) -> AsyncIterator[Sdk]:
    async with Rehearsal.serve(seconds=0.05, fast=True) as rehearsal:
        yield Sdk(sdk_python, rehearsal)


async def test_async_success(sdk):
    answer = await sdk.run(numberResults=2)
    assert [item["cost"] for item in answer["items"]] == [0.04, 0.04]
    assert sdk.exchanges() == [("submit", 200), ("poll", 200)]
    assert sdk.rehearsal.bill.total_micro_usd() == 80_000


async def test_sync_success(sdk):
    answer = await sdk.run(deliveryMethod="sync", model="bfl:4@1")
    assert answer["items"][0]["cost"] == 0.08
    assert sdk.exchanges() == [("submit", 200)]


@pytest.mark.parametrize(
    ("fault", "exchanges"),
    [("moderated_on_submit", [("submit", 400)]), ("moderated_on_poll", [("submit", 200), ("poll", 400)])],
)
async def test_moderation_is_a_safety_error(sdk, fault, exchanges):
    sdk.rehearsal.faults.add("runware", fault)
    assert (await sdk.run())["error"]["code"] == "safety"
    assert sdk.exchanges() == exchanges


async def test_conflict_is_a_validation_error_and_is_not_billed(sdk):
    task_id = "6b1d7a35-6d0c-4c9e-9f3e-0d8a5a5b7c11"
    assert "items" in await sdk.run(taskUUID=task_id)
    error = (await sdk.run(taskUUID=task_id))["error"]
    assert (error["code"], error["task_uuid"]) == ("validation", task_id)
    assert len(sdk.rehearsal.bill.entries) == 1


async def test_bad_key(sdk):
    error = (await sdk.run(key="nobody"))["error"]
    assert (error["code"], error["status_code"]) == ("auth", 401)


async def test_429_is_repeated_under_the_same_id(sdk):
    sdk.rehearsal.faults.add("runware", "rate_limited", times=1)
    assert "items" in await sdk.run()
    assert sdk.exchanges() == [("submit", 429), ("submit", 200), ("poll", 200)]
    assert len({exchange.ids for exchange in sdk.rehearsal.log.exchanges}) == 1


async def test_accepted_then_500_ends_in_a_conflict_and_one_charge(sdk):
    sdk.rehearsal.faults.add("runware", "accept_then_5xx", times=1)
    assert (await sdk.run())["error"]["code"] == "validation"
    assert len(sdk.rehearsal.bill.entries) == 1


async def test_too_many_in_flight_is_not_repeated(sdk):
    sdk.rehearsal.faults.add("runware", "concurrent", times=1)
    assert (await sdk.run())["error"]["code"] == "unknown"
    assert sdk.exchanges() == [("submit", 400)]
