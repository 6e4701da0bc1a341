"""docs/operate.md: the drill, typed into a shell as it stands."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples import Typed, examples
from tests.live import ROOT, LiveServer
from tests.operation.registries import SETTINGS, push_image
from tests.ports import free_port
from tests.wire.client import Client, digest_of

DOCUMENT = ROOT / "docs" / "operate.md"
_END = "-- that was it:"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[LiveServer]:
    """A server with its data in ./var, as the document has it."""
    server = LiveServer(tmp_path, settings=SETTINGS)
    server.data = tmp_path / "var"
    with server:
        yield server


def type_all(lines: list[str], directory: Path) -> list[str]:
    """What each line prints, on both streams, in one bash with `longshore` on its path."""
    programs = directory / "programs"
    programs.mkdir()
    longshore = programs / "longshore"
    longshore.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m server "$@"\n')
    longshore.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LONGSHORE_", "AWS_"))}
    environment = {**kept, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = "set -m\n" + "".join(f"{line}\necho\necho '{_END}'\n" for line in lines)
    done = subprocess.run(
        ["/bin/bash", "--norc"], input=script, cwd=directory, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    parts = done.stdout.split(f"{_END}\n")[: len(lines)]
    return [f"{text}\n" if (text := part.removesuffix("\n").rstrip("\n")) else "" for part in parts]


def test_the_drill_is_so(machine: LiveServer, tmp_path: Path) -> None:
    with Client(machine) as client:
        image = push_image(client, "hello", "latest", b"a layer" * 1000)
    section = re.search(r"^## Backups\n.*?(?=^## Moving\n)", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    (tmp_path / "section.md").write_text(section[0])
    typed = [example for example in examples(tmp_path / "section.md") if isinstance(example, Typed)]
    port = str(free_port())
    lines = [example.line.replace("5001", port) for example in typed]
    printed = type_all(lines, tmp_path)
    assert len(printed) == len(typed) > 10
    for example, shown in zip(typed, printed, strict=True):
        assert example.is_printed(shown), f"$ {example.line}\n{shown}"
    assert any(digest_of(image).removeprefix("sha256:") in shown for shown in printed)
