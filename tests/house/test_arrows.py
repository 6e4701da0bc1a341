"""The shape of the house, as far as the import linter does not see it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
ROOMS = ("base", "store", "aws", "auth", "registry", "server", "config")
PROJECT = tomllib.loads((TREE / "pyproject.toml").read_text())


def modules() -> list[Path]:
    return sorted(path.relative_to(TREE) for room in ROOMS for path in (TREE / room).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse((TREE / path).read_text())


def test_imports_run_along_the_arrows():
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=TREE,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_package_is_in_the_wheel():
    found = {str(path.parent).replace("/", ".") for path in modules()}
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_room_is_under_the_linter_and_the_type_checker():
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(PROJECT["tool"]["mypy"]["packages"]) == set(ROOMS)


@pytest.mark.parametrize("path", sorted((TREE / "plugins").rglob("*.py")), ids=lambda path: path.name)
def test_what_is_installed_beside_a_users_own_code_imports_no_room(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.partition(".")[0] for name in names} & set(ROOMS), f"{path}:{getattr(node, 'lineno', 0)}"


_INSTANCES = {
    "App", "Settings", "load_settings", "SqliteDatabase", "FilesystemBlobs", "MemoryBlobs", "Log", "Metrics", "Supervisor",
    "Threads", "Tokens", "SigningKeys", "Authenticator", "Keyring", "Gate", "Registry", "Uploads", "Push", "Pull",
    "Repositories", "Collector", "OciBoundary",
}  # fmt: skip


@pytest.mark.parametrize("path", modules(), ids=str)
def test_no_module_has_an_app_a_database_or_a_store_of_its_own(path: Path):
    for statement in parsed(path).body:
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Call):
            name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
            assert name not in _INSTANCES, f"{path}:{statement.lineno}"


_SQL = re.compile(r"\s*(SELECT\s|INSERT INTO\s|UPDATE \w+ SET\s|DELETE FROM\s)")


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if path.parts[0] != "store" and "rows" not in path.with_suffix("").parts],
    ids=str,
)
def test_sql_stands_in_the_rows_of_its_room(path: Path):
    found = [(line, text) for line, text in strings(parsed(path)) if _SQL.match(text) and text != "SELECT 1"]
    assert found == []


@pytest.mark.parametrize("path", [path for path in modules() if path.parts[0] == "aws"], ids=str)
def test_the_wire_knows_no_service_by_name(path: Path):
    for line, text in strings(parsed(path)):
        assert text not in {"ecr", "sts", "iam", "ecs"}, f"{path}:{line}"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_every_module_says_what_it_is(path: Path):
    assert ast.get_docstring(parsed(path)) or path.name == "__main__.py", path


@pytest.mark.parametrize("path", modules(), ids=str)
def test_no_module_waits_by_the_clock_on_the_loop(path: Path):
    """time.sleep blocks: only the parent of the workers, which has no loop, may."""
    if path == Path("server/supervisor.py"):
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and node.attr == "sleep":
            assert getattr(node.value, "id", "") == "asyncio", f"{path}:{node.lineno}"


def test_nothing_that_set_up_makes_and_no_link_is_committed():
    """A `.venv` in the tree, or a link out of it, would break `make serve` in a fresh clone."""
    if not (TREE / ".git").exists():
        pytest.skip("not a clone")

    def listed(*options: str) -> list[str]:
        words = ["git", "-c", f"safe.directory={TREE}", "ls-files", *options]
        return subprocess.run(words, cwd=TREE, check=True, capture_output=True, text=True).stdout.splitlines()

    assert listed("--cached", "--ignored", "--exclude-standard") == []
    assert [line for line in listed("--stage") if line.startswith("120000 ")] == []
