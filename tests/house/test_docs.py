"""What the documents say there is, is there."""

import re
from pathlib import Path
from typing import Any

import pytest

from auth.iam.operations import OPERATIONS as IAM
from auth.organizations.operations import OPERATIONS as ORG
from auth.sts.operations import OPERATIONS as STS
from aws.model import Models
from config.settings import load_settings
from registry.ecr.operations import OPERATIONS as ECR
from server.cli import main

TREE = Path(__file__).parents[2]
DOCUMENTS = [TREE / "README.md", *sorted((TREE / "docs").rglob("*.md"))]
READABLE = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TREE)))


def variables(text: str) -> set[str]:
    """Settings in the form of the environment; `..__KEY` stands for another key of the section before it."""
    found, section = set(), ""
    for name in re.findall(r"`(?:(LONGSHORE_[A-Z]+)|\.\.)(__[A-Z][A-Z0-9_]*)", text):
        section = name[0] or section
        found.add(section + name[1])
    return found


@READABLE
def test_settings_that_are_named_are_there(document: Path):
    for name in variables(document.read_text()):
        section, _, key = name.removeprefix("LONGSHORE_").lower().partition("__")
        settings = load_settings(environment={})
        assert hasattr(getattr(settings, section), key.removesuffix("_file") if section == "root" else key), name


def test_the_form_is_read_as_people_read_it():
    assert variables("`LONGSHORE_A__B`, `..__C_D` and `LONGSHORE_E__F=1`") == {
        "LONGSHORE_A__B",
        "LONGSHORE_A__C_D",
        "LONGSHORE_E__F",
    }
    assert variables((TREE / "README.md").read_text())


@READABLE
def test_files_that_are_linked_are_there(document: Path):
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@READABLE
def test_commands_that_are_named_are_there(document: Path, capsys: pytest.CaptureFixture[str]):
    for command in set(re.findall(r"`longshore ([a-z-]+)", document.read_text())):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
        capsys.readouterr()


def test_every_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    ([a-z][a-z-]+) ", capsys.readouterr().out, flags=re.MULTILINE)
    assert "serve" in commands
    readme = (TREE / "README.md").read_text()
    assert [command for command in commands if f"`longshore {command}" not in readme] == []


@READABLE
def test_make_targets_that_are_named_are_there(document: Path):
    targets = set(re.findall(r"^([a-z]+):", (TREE / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", document.read_text())) <= targets


@pytest.mark.parametrize(("service", "title", "rows"), [("ecr", "Of ECR", ECR), ("iam", "Of IAM", IAM)])
def test_every_operation_of_a_service_is_in_the_document_as_served_or_as_not(
    service: str, title: str, rows: tuple[Any, ...]
):
    section = (TREE / "docs/compatibility.md").read_text().partition(f"\n{title}:\n")[2]
    served, out = re.findall(r"operations that are (?:not )?served \|\n((?:\|.*\n)+)", section)[:2]
    named = [re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b", table) for table in (served, out)]
    assert sorted(named[0]) == sorted(row.name for row in rows)
    assert sorted(named[1]) == sorted(Models().service(service).operations - set(named[0]))


@pytest.mark.parametrize(
    ("service", "start", "end", "rows"),
    [
        ("sts", "Of STS:", "- Temporary credentials", STS),
        ("organizations", "Of Organizations:", "- Service control", ORG),
    ],
)
def test_every_operation_of_a_small_service_is_named_once(service: str, start: str, end: str, rows: tuple[Any, ...]):
    text = (TREE / "docs/compatibility.md").read_text()
    served, _, out = text[text.index(start) : text.index(end)].partition("Not served:")
    named = [re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b", part) for part in (served, out)]
    assert sorted(named[0]) == sorted(row.name for row in rows)
    assert sorted(named[1]) == sorted(Models().service(service).operations - set(named[0]))
