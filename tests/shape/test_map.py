"""The map itself: what must agree across rooms, and what no tool of the house can see."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from adapters.contract import FailureKind
from gateway.api.problems import FAILURES, KINDS
from gateway.engine.ends import WORDS
from policies.react import VERDICTS

ROOT = Path(__file__).parents[2]
PURE = sorted([*ROOT.glob("adapters/**/*.py"), *ROOT.glob("policies/**/*.py")])
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_has_a_verdict_a_status_and_words_for_its_caller(kind: FailureKind) -> None:
    assert kind in VERDICTS
    assert KINDS[FAILURES[kind]].status >= 400
    assert WORDS[kind]


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_rooms_do_not_open_files_or_print(path: Path) -> None:
    """What import floors cannot see: the builtins that touch the world."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    assert not names & {"open", "print", "input", "exec", "eval", "__import__"}


def test_adapter_files_catalogues_and_goldens_name_the_same_providers() -> None:
    catalogues = {
        path.stem: msgspec.toml.decode(path.read_bytes())["adapter"] for path in ROOT.glob("adapters/catalogue/*.toml")
    }
    goldens = {path.name for path in (ROOT / "tests" / "adapters" / "golden").iterdir() if path.is_dir()}
    assert set(catalogues.values()) == goldens
    assert all((ROOT / "adapters" / f"{adapter}.py").exists() for adapter in catalogues.values())


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    command = next(block.strip() for block in blocks if "pytest" in block)
    assert (ROOT / ".ci" / "run").read_text("utf-8").rstrip().endswith(f"\n{command}")


def test_every_link_of_the_readmes_leads_somewhere() -> None:
    for readme in [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("gateway/*/README.md")]:
        for target in re.findall(r"\]\(([^)#]+)", readme.read_text("utf-8")):
            assert target.startswith("http") or (readme.parent / target).exists(), f"{readme}: {target}"


def test_nothing_at_the_top_level_is_code_but_the_packages() -> None:
    allowed = {"adapters", "policies", "gateway", "tests", "deploy", "grafana", "docs"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - {"dist", "build", "kontext-demo"} <= allowed
