"""A bare machine: `make serve` sets all up and prints lines, and these, run as they stand, are a working day."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import parts
from tests.acceptance.conftest import BASE
from tests.acceptance.programs import Engine, Program, bare_environment
from tests.live import ROOT
from tests.ports import free_port
from tests.require import need

SET_UP_SECONDS = 300.0
# The interpreter below this virtual environment, as on a machine that has nothing of ours.
PYTHON = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
HELLO = "hello"


def clean_environment(**more: str) -> dict[str, str]:
    """This one without what would reach into a fresh clone; it still says how pip finds its index."""
    ours = ("LONGSHORE_", "AWS_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "DOCKER_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def clone(directory: Path) -> Path:
    """The tree as a fresh clone would hold it, with what is not committed yet."""
    return Path(
        shutil.copytree(
            ROOT, directory, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "var", "tests")
        )
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh clone. Its name has a blank in it, as home directories may."""
    directory = clone(tmp_path_factory.mktemp("fresh") / "a clone")
    yield directory
    shutil.rmtree(directory)


def make(house: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=house, env=clean_environment(**environment), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=SET_UP_SECONDS, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def served(house: Path, data: Path, **environment: str) -> Iterator[str]:
    """`make serve` in `house`; gives what it printed on its standard output until it was ready."""
    port = free_port()
    log = house / "serve.log"
    with log.open("wb") as stdout, (house / "serve.err").open("wb") as stderr:
        process = subprocess.Popen(
            ["make", "--silent", "serve", f"PYTHON={PYTHON}", f"ARGS=--port {port} --data '{data}'"],
            cwd=house,
            env=clean_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SET_UP_SECONDS
        while not ready(port):
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(0.2)
                raise AssertionError(f"ended with status {status}:\n{(house / 'serve.err').read_text()}")
            assert time.monotonic() < deadline, (house / "serve.err").read_text()
        yield log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)  # as a person stops it
        process.wait(60)


def ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def block(printed: str, title: str) -> str:
    """The indented lines under a title, to be copied as they are."""
    after = printed.split(f"{title}\n", 1)[1].strip("\n").splitlines()
    end = next((number for number, line in enumerate(after) if not line.startswith("  ")), len(after))
    assert end > 1, printed
    return "\n".join(after[:end])


@pytest.fixture
def shell(engine: Engine, debian_docker: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs lines in a shell whose docker has the image `hello`, and nothing else; gives what they printed."""
    home = tmp_path / "person"
    home.mkdir()
    environment = bare_environment(home, DOCKER_HOST=engine.host, TERM="dumb")
    Program(debian_docker, environment)("tag", BASE, HELLO)

    def run(lines: str, path: str = parts.SYSTEM_PATH) -> str:
        program = Program(Path("/bin/bash"), {**environment, "PATH": path}, cwd=home)
        return program("-euo", "pipefail", stdin=lines)

    return run


def pushed(address: str) -> str:
    """Lines that prove it: the image goes, comes back, and runs."""
    return (
        f"docker rmi --force {HELLO} {address}/{HELLO}\ndocker pull {address}/{HELLO}\n"
        f"docker run --rm --network none {address}/{HELLO} cat /etc/base\ndocker rmi --force {address}/{HELLO}\n"
    )


def address_of(printed: str) -> str:
    return printed.split("Longshore listens on http://", 1)[1].split("\n", 1)[0]


def test_the_lines_for_docker_and_the_aws_cli_log_in_create_tag_and_push(
    house: Path, shell: Callable[..., str], tmp_path: Path
) -> None:
    aws = need("clients", parts.built("aws-cli-1"), "AWS CLI v1")
    with served(house, tmp_path / "its data") as printed:
        lines = block(printed, "With docker and the AWS CLI:")
        said = shell(f"{lines}\n{pushed(address_of(printed))}", path=f"{aws.parent}:{parts.SYSTEM_PATH}")
    assert "Login Succeeded" in said
    assert "base\n" in said


def test_the_lines_for_docker_alone_log_in_and_push_where_a_push_creates(
    house: Path, shell: Callable[..., str], tmp_path: Path
) -> None:
    with served(house, tmp_path / "its data", LONGSHORE_REGISTRY__CREATE_ON_PUSH="true") as printed:
        said = shell(f"{block(printed, 'With docker alone:')}\n{pushed(address_of(printed))}")
    assert "Login Succeeded" in said
    assert "base\n" in said


def test_a_second_start_finds_all_that_the_first_left(house: Path, shell: Callable[..., str], tmp_path: Path) -> None:
    environment = {"LONGSHORE_REGISTRY__CREATE_ON_PUSH": "true"}
    with served(house, tmp_path / "data", **environment) as first:
        shell(block(first, "With docker alone:"))
    with served(house, tmp_path / "data", **environment) as second:
        old, new = address_of(first), address_of(second)
        assert first.replace(old, new) == second
        login = block(second, "With docker alone:").splitlines()[0]
        assert "base\n" in shell(f"{login}\n{pushed(new)}")


# What set-up says when it cannot


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return clone(tmp_path / "clone")


def test_a_python_without_ensurepip_is_refused_with_the_name_of_the_package(bare: Path, tmp_path: Path) -> None:
    """Debian's python3 as it comes: it has the module venv and nothing to put into one."""
    (tmp_path / "ensurepip.py").write_text("raise ModuleNotFoundError(\"No module named 'ensurepip'\")\n")
    done = make(bare, "serve", f"PYTHON={PYTHON}", PYTHONPATH=str(tmp_path))
    assert done.returncode != 0
    assert "install the package python3-venv (apt-get install python3-venv)" in done.stderr
    assert not (bare / ".venv").exists()


def test_a_python_that_is_too_old_is_refused_with_what_is_needed(bare: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi\n')
    old.chmod(0o755)
    done = make(bare, "serve", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"Python 3.11 or later is needed; {old} is Python 3.9.2" in done.stderr
    assert not (bare / ".venv").exists()
