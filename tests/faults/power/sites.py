"""The lines of our own source that ask for a sync."""

import ast
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
ROOMS = ("base", "store", "aws", "auth", "registry", "server")
SYNCS = {"fsync", "fdatasync", "sync_file", "sync_directory", "make_directories"}
WAYS = {
    ("base/disk.py", "sync_file"),
    ("base/disk.py", "sync_directory"),
    ("base/disk.py", "make_directories"),
    ("store/blobs/filesystem.py", "_translated"),
}
"""Functions by which the syncs go that others ask for."""


def is_way(file: str, function: str) -> bool:
    return (_relative(file), function) in WAYS


def shown(file: str, line: int) -> str:
    return f"{_relative(file)}:{line}"


def _relative(file: str) -> str:
    return file.removeprefix(f"{TREE}/")


def sites() -> Iterator[tuple[str, str]]:
    """(file:line, name of the function that it is in)."""
    for room in ROOMS:
        for path in sorted((TREE / room).rglob("*.py")):
            yield from _in(str(path.relative_to(TREE)), ast.parse(path.read_text()), "")


def _in(file: str, node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if (file, child.name) not in WAYS:
                yield from _in(file, child, f"{within}.{child.name}".lstrip("."))
            continue
        if isinstance(child, ast.Call):
            named = [child.func, *child.args]  # called, or handed to what calls it
            if any(_name(one) in SYNCS for one in named):
                yield f"{file}:{child.lineno}", within
        yield from _in(file, child, within)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
