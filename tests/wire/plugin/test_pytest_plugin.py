"""pytest-longshore as a user has it: installed, beside a project with modules called like ours, on the real command."""

import os
from pathlib import Path

import pytest

from tests.projects import Installed, Project, examples, install, passed

PROJECTS = Path(__file__).parent / "projects"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def project(tmp_path: Path, installed: Installed) -> Project:
    return Project(tmp_path, installed)


def test_the_examples_of_the_readme_hold(project: Project):
    """The one with docker is for where an engine is."""
    files = {name: text for name, text in examples().items() if "docker" not in name}
    first = next(iter(files.values()))
    assert len([line for line in first.splitlines() if line.strip()]) <= 10, "a policy test is ten lines at the most"
    assert passed(project.run(files)) == 4


def test_the_users_own_modules_may_have_any_name(project: Project):
    files = {f"{name}/__init__.py": "MINE = True\n" for name in ("auth", "aws", "base", "config", "server", "store")}
    files["conftest.py"] = "import sys\nfrom pathlib import Path\n\nsys.path.insert(0, str(Path(__file__).parent))\n"
    files["test_own.py"] = """
import auth, aws, base, config, server, store

def test_own_and_ours(longshore):
    assert auth.MINE and aws.MINE and base.MINE and config.MINE and server.MINE and store.MINE
    longshore.user().denied("ecr:ListImages", "some/images")
"""
    assert passed(project.run(files)) == 1


def test_principals_of_every_kind(project: Project):
    assert passed(project.run({"test_all.py": (PROJECTS / "principals.py").read_text()})) == 10


def test_what_is_not_as_it_should_be_is_said_in_words(project: Project):
    ended = project.run({"test_all.py": (PROJECTS / "failures.py").read_text()}, "--tb=short")
    assert ended.stdout.splitlines()[-1].startswith("6 failed"), ended.stdout
    for words in (
        "user/user-1 should be allowed ecr:BatchGetImage on arn:aws:ecr:us-east-1:123456789012:repository/some/images:",
        "is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:123456789012:repository/some",
        "user/user-1 should be denied ecr:ListImages on arn:aws:ecr:us-east-1:123456789012:repository/some/images",
        "but for another reason than 'an explicit deny':",
        "matched: user_user-1_inline (user), line 1, column",
        "should be refused ecr:ListImages, and nothing was",
        "`some/*` is not the name of a repository: ask about one, not about a pattern",
    ):
        assert words in ended.stdout, words
    assert ended.stdout.count("matched: user_user-1_inline") == 2, "by the simulator, and about a real request"
    assert "pytest_longshore/principals.py" not in ended.stdout, "a failure points at the user's own line"


TRIVIAL = {"test_one.py": "def test_one(longshore):\n    pass\n\ndef test_two(longshore):\n    pass\n"}


def test_a_command_that_is_not_there_is_named_once_a_test(project: Project):
    ended = project.run(TRIVIAL, ini="longshore_command = no-such-program --flag\n")
    assert ended.returncode == 1
    assert "there is no command `no-such-program`: install Longshore, or say where it is by" in ended.stdout
    assert "Traceback" not in ended.stdout


def test_a_server_that_does_not_start_shows_its_log(project: Project):
    ended = project.run(TRIVIAL, ini="longshore_settings =\n    registry.no_such_key = 1\n")
    assert ended.returncode == 1
    assert "ended with status 1 before it was ready; it wrote:" in ended.stdout
    assert ended.stdout.count("LONGSHORE_REGISTRY__NO_SUCH_KEY is not a setting") == 2, "once a test"
    ended = project.run(TRIVIAL, ini="longshore_settings =\n    nonsense\n")
    assert "has a line `nonsense`: write `section.key = value`" in ended.stdout


def test_the_command_and_the_account_are_chosen(project: Project):
    files = {
        "test_chosen.py": """
def test_chosen(longshore):
    assert longshore.id == "111122223333"
    made = longshore.repository("some/images")
    assert made.arn == "arn:aws:ecr:eu-central-1:111122223333:repository/some/images"
"""
    }
    ini = "longshore_command = no-such-program\nlongshore_account = 111122223333\nlongshore_region = eu-central-1\n"
    assert (
        passed(
            project.run(
                files, ini=ini, LONGSHORE_COMMAND=f"'{project.installed.programs / 'longshore'}'", PATH="/usr/bin:/bin"
            )
        )
        == 1
    )


def test_a_run_that_asks_for_nothing_starts_and_imports_nothing(project: Project):
    files = {"test_none.py": "import sys\n\ndef test_none():\n    assert 'boto3' not in sys.modules\n"}
    assert passed(project.run(files, ini="longshore_command = no-such-program\n")) == 1


def test_no_server_is_left_behind(project: Project, tmp_path: Path):
    files = {
        "test_pid.py": "from pathlib import Path\n\ndef test_pid(longshore_server):\n"
        "    Path('pid').write_text(str(longshore_server._process.pid))\n"
    }
    assert passed(project.run(files)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
