"""The table of fault points is whole, and every test that it names is there."""

import ast
from pathlib import Path

import pytest

from tests.faults.points import FAULT_POINTS

TESTS = Path(__file__).parent.parent


def test_there_are_28_and_none_is_missing() -> None:
    assert list(FAULT_POINTS) == [f"F{number}" for number in range(1, 29)]


def named_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")}


@pytest.mark.parametrize("name", FAULT_POINTS)
def test_each_is_proven_by_tests_that_exist(name: str) -> None:
    proven = FAULT_POINTS[name].proven
    assert proven
    for proof in proven:
        file, _, test = proof.partition("::")
        found = named_in(TESTS / file)
        assert found
        assert not test or test in found, f"{proof} is not there"
