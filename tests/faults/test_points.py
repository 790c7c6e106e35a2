"""The table of fault points is whole, and every test that it names is there."""

import ast
from pathlib import Path

import pytest

from tests.faults.points import FAULT_POINTS, NotYet

TESTS = Path(__file__).parent.parent
LATER = {"F14", "F15", "F26"}


def test_there_are_28_and_none_is_missing() -> None:
    assert list(FAULT_POINTS) == [f"F{number}" for number in range(1, 29)]
    assert {name for name, point in FAULT_POINTS.items() if isinstance(point.proven, NotYet)} == LATER


def named_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")}


@pytest.mark.parametrize("name", FAULT_POINTS)
def test_what_is_due_is_proven_by_tests_that_exist(name: str) -> None:
    proven = FAULT_POINTS[name].proven
    if isinstance(proven, NotYet):
        return
    assert proven
    for proof in proven:
        file, _, test = proof.partition("::")
        found = named_in(TESTS / file)
        assert found
        assert not test or test in found, f"{proof} is not there"
