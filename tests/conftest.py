"""What only the full development environment can test (`uv sync --group full`): named here, left out in sight of
everybody elsewhere, and never in CI."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NEEDS = {
    "dashboards": "grafana_foundation_sdk",
    "deploy": "compose_spec",
    "docs": "sphinx",
    "openai_surface": "openai",
    "results_store": "moto",
    "traces/test_spans.py": "opentelemetry",
    "watch": "grafana_foundation_sdk",
}
# Gigabytes, and so in an environment of their own, also in CI: `.ci/run` makes it and runs this folder there. Named
# there, a folder that is left out is no test at all, which pytest counts as a failure.
ELSEWHERE = {"local_dev": "torch"}
LEFT_OUT = {path: module for path, module in (NEEDS | ELSEWHERE).items() if find_spec(module) is None}


def pytest_configure() -> None:
    missed = sorted(LEFT_OUT[path] for path in NEEDS.keys() & LEFT_OUT.keys())
    if missed and os.environ.get("CI") and ELSEWHERE.keys() <= LEFT_OUT.keys():
        raise pytest.UsageError(f"CI leaves nothing out, and these are not installed: {missed}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if any(collection_path == TESTS / path for path in LEFT_OUT) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path, module in LEFT_OUT.items():
        how = "an environment with the extra `local`" if path in ELSEWHERE else "uv sync --group full"
        terminalreporter.write_line(f"LEFT OUT tests/{path}: {module} is not installed ({how})")
