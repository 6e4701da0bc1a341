"""docs/policies.md from its first line to its last, typed into a shell that has longshore, docker and the AWS CLI."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import parts
from tests.acceptance.conftest import BASE
from tests.acceptance.programs import Engine, Program, bare_environment
from tests.examples import File, Typed, examples
from tests.live import ROOT, LiveServer
from tests.require import need

DOCUMENT = ROOT / "docs" / "policies.md"
SHOWN_SECONDS = 15.0
_END = "-- that was it:"


class Shell:
    """One bash for all lines, so what one of them sets the next ones know."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._process = subprocess.Popen(
            ["/bin/bash", "--norc"],
            env=environment,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, line: str) -> str:
        """What it printed, on both streams. `$?` is the code of the line before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"(exit $code); {line}\ncode=$?; echo; echo '{_END}'\n")
        self._process.stdin.flush()
        printed = ""
        for one in self._process.stdout:
            if one == f"{_END}\n":
                return printed.removesuffix("\n")
            printed += one
        raise AssertionError(f"the shell ended:\n{printed}")

    def close(self) -> None:
        with self._process as process:  # closes what it reads and writes, and waits
            assert process.stdin is not None
            process.stdin.close()


@pytest.fixture
def shell(tmp_path: Path, engine: Engine, debian_docker: Path, server: LiveServer) -> Iterator[Shell]:
    home, place, programs = tmp_path / "home", tmp_path / "work", tmp_path / "programs"
    for directory in (home, place, programs):
        directory.mkdir()
    longshore = programs / "longshore"
    longshore.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m server "$@"\n')
    longshore.chmod(0o755)
    (programs / "docker").symlink_to(debian_docker)
    (programs / "aws").symlink_to(need("clients", parts.built("aws-cli-1"), "AWS CLI v1"))
    settings = {name: value for name, value in server.environment().items() if name.startswith("LONGSHORE_")}
    environment = bare_environment(
        home,
        **server.aws_environment(home),
        **settings,
        LONGSHORE_SERVER__DATA=str(server.data),
        PYTHONPATH=str(ROOT),
        DOCKER_HOST=engine.host,
        TERM="dumb",
    )
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    Program(debian_docker, environment)("tag", BASE, "hello")
    opened = Shell(environment, place)
    yield opened
    opened.close()


def test_the_document_is_so(shell: Shell, server: LiveServer, tmp_path: Path) -> None:
    for example in examples(DOCUMENT):
        if isinstance(example, File):
            example.write(tmp_path / "work")
            continue
        line = example.line.replace("127.0.0.1:5000", server.address)
        expected = Typed(line, example.prints.replace("127.0.0.1:5000", server.address), example.live)
        printed = shell.type(line)
        deadline = time.monotonic() + SHOWN_SECONDS
        while not expected.is_printed(printed) and " --since " in line and time.monotonic() < deadline:
            printed = shell.type(line)  # decisions are on record a second later
        assert expected.is_printed(printed), f"$ {line}\n{printed}"
