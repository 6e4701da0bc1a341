"""Every promise has its tests."""

import ast
import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (TREE / "docs/promises.md").read_text())))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[f"{file}::{name}" for file, name in NAMED])
def test_the_tests_that_promises_name_are_there(file: str, name: str):
    tree = ast.parse((TREE / file).read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name in found


def test_promises_name_tests():
    assert len(NAMED) > 5
