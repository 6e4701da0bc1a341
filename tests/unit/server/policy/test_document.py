"""docs/policies.md: what it shows with files, run as it stands."""

import io
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from server.cli import main
from tests.examples import File, Typed, examples
from tests.live import ROOT

DOCUMENT = ROOT / "docs" / "policies.md"


def run(line: str) -> tuple[int, str]:
    """The exit code of a `longshore` command and what it printed, as in a shell; `> FILE` is understood."""
    program, *words = shlex.split(line)
    assert program == "longshore", line
    words, file = (words[:-2], words[-1]) if ">" in words else (words, "")
    printed, written = io.StringIO(), io.StringIO()
    with redirect_stdout(written if file else printed), redirect_stderr(printed):
        code = main(words)
    if file:
        Path(file).write_text(written.getvalue())
    return code, printed.getvalue()


def test_what_the_document_shows_with_files_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, commands = 0, 0
    for example in examples(DOCUMENT):
        match example:
            case File():
                example.write(tmp_path)
            case Typed(line="echo $?"):
                assert example.prints == f"{code}\n"
            case Typed(live=False):
                code, printed = run(example.line)
                assert example.is_printed(printed), f"$ {example.line}\n{printed}"
                commands += 1
    assert commands >= 10
    assert (tmp_path / "lint.sarif").read_text().startswith("{")
    assert (tmp_path / "report.xml").read_text().startswith("<?xml")
