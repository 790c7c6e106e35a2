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
LEFT_OUT = {path: module for path, module in NEEDS.items() if find_spec(module) is None}


def pytest_configure() -> None:
    if LEFT_OUT and os.environ.get("CI"):
        raise pytest.UsageError(f"CI leaves nothing out, and these are not installed: {sorted(LEFT_OUT.values())}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if any(collection_path == TESTS / path for path in LEFT_OUT) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path, module in LEFT_OUT.items():
        terminalreporter.write_line(f"LEFT OUT tests/{path}: {module} is not installed (uv sync --group full)")
