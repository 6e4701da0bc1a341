"""The command line: what there is, and what it takes to run it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from server.cli import main
from server.commands import COMMANDS, Command, Group

HEAVY = {"aiohttp", "asyncpg", "botocore", "boto3", "cryptography", "uvloop"}
POLICY = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"}}'


def words(table: Mapping[str, Command | Group] = COMMANDS) -> Iterator[tuple[str, ...]]:
    for name, command in table.items():
        yield (name,)
        if isinstance(command, Group):
            yield from ((name, *rest) for rest in words(command.commands))


def run(*arguments: str, stdin: str = "") -> tuple[int, str, set[str]]:
    """A command in a process of its own: its exit code, what it printed, and the packages that it imported."""
    code = (
        "import json, sys\nfrom server.cli import main\n"
        "try: status = main(sys.argv[1:])\nexcept SystemExit as ended: status = ended.code\n"
        "print(json.dumps([status, [*{name.partition('.')[0] for name in sys.modules}]]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=True
    )
    status, imported = json.loads(done.stderr.splitlines()[-1])
    return status, done.stdout, set(imported)


@pytest.mark.parametrize("command", list(words()), ids=" ".join)
def test_each_command_tells_how_it_is_called(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: longshore {' '.join(command)} ")


def test_help_names_every_command_and_imports_no_room_but_the_settings():
    status, printed, imported = run("--help")
    assert status == 0
    for name, command in COMMANDS.items():
        assert f"\n    {name}" in printed, name
        assert command.help.split(",")[0] in printed
    assert not imported & {"base", "store", "aws", "auth", "registry", "asyncio", *HEAVY}


def test_the_version_is_told():
    status, printed, _ = run("--version")
    assert status == 0
    assert printed.startswith("longshore ")


@pytest.mark.parametrize(
    "command",
    [
        ("policy", "lint", "-"),
        ("policy", "simulate", "--policy", "-", "--action", "ecr:PutImage", "--resource", "team-a/app"),
    ],
    ids=" ".join,
)
def test_policies_of_files_are_tried_without_the_server_and_the_store(command: tuple[str, ...]):
    _, printed, imported = run(*command, stdin=POLICY)
    assert "ecr:PutImage" in printed
    assert not imported & HEAVY


def test_a_command_on_sqlite_and_a_disk_does_without_the_server_and_without_other_stores(tmp_path: Path):
    status, printed, imported = run("account", "list", "--data", str(tmp_path / "data"))
    assert status == 0
    assert "home" in printed
    assert not imported & (HEAVY - {"cryptography"})


def test_what_is_no_command_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["sevre"])
    assert ended.value.code == 2
    assert "'serve'" in capsys.readouterr().err
