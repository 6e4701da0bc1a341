"""pytest-longshore as a user has it: installed, beside a project with modules called like ours, on the real command."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = ROOT / "plugins/pytest-longshore"
PROJECTS = Path(__file__).parent / "projects"
NOT_THE_USERS = ("cacheprovider", "asyncio", "aiohttp")
"""Plugins that this project's own tests need."""
README = (PLUGIN / "README.md").read_text()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What installing the distribution puts into an environment: its modules and its entry points."""
    directory = tmp_path_factory.mktemp("site")
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools, which builds the distribution, is not here")
    source = tmp_path_factory.mktemp("source") / "pytest-longshore"
    shutil.copytree(PLUGIN, source)  # building leaves its traces there
    subprocess.run(
        [sys.executable, "-c", "import setuptools; setuptools.setup()", "--quiet",
         "build_py", "--build-lib", directory, "egg_info", "--egg-base", directory],
        cwd=source, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return directory


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the command `longshore`."""
    directory = tmp_path_factory.mktemp("bin")
    command = directory / "longshore"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m server "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return directory


@pytest.fixture
def run(tmp_path: Path, site: Path, programs: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run pytest over files of a project of the user's own."""

    def run(
        files: Mapping[str, str], *arguments: str, ini: str = "", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LONGSHORE_", "PYTEST_"))}
        path = f"{programs}:{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *(f"-pno:{name}" for name in NOT_THE_USERS), *arguments],
            cwd=tmp_path,
            env={**kept, "PATH": path, "PYTHONPATH": str(site), "AWS_PROFILE": "of-the-user", **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def passed(ended: "subprocess.CompletedProcess[str]") -> int:
    """How many tests, where none did anything else."""
    last = ended.stdout.splitlines()[-1] if ended.stdout else ""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = re.fullmatch(r"(\d+) passed in .*", last)
    assert found is not None, ended.stdout
    return int(found[1])


def examples() -> dict[str, str]:
    """The files that the README shows: blocks that begin with a comment that names them."""
    blocks = re.findall(r"```\w*\n(.*?)```", README, flags=re.DOTALL)
    named = [(re.match(r"# (\S+\.(?:py|json|ini))\n", block), block) for block in blocks]
    return {
        match[1]: block.partition("\n")[2] if match[1].endswith("json") else block for match, block in named if match
    }


def test_the_examples_of_the_readme_hold(run: Callable[..., "subprocess.CompletedProcess[str]"]):
    files = examples()
    tests = [name for name in files if name.endswith(".py")]
    assert len(tests) >= 2
    first = files[tests[0]]
    assert len([line for line in first.splitlines() if line.strip()]) <= 12, "the first example is ten lines"
    assert passed(run(files)) >= 4


def test_the_users_own_modules_may_have_any_name(run: Callable[..., "subprocess.CompletedProcess[str]"]):
    files = {f"{name}/__init__.py": "MINE = True\n" for name in ("auth", "aws", "base", "config", "server", "store")}
    files["conftest.py"] = "import sys\nfrom pathlib import Path\n\nsys.path.insert(0, str(Path(__file__).parent))\n"
    files["test_own.py"] = """
import auth, aws, base, config, server, store

def test_own_and_ours(longshore):
    assert auth.MINE and aws.MINE and base.MINE and config.MINE and server.MINE and store.MINE
    longshore.user().denied("ecr:ListImages", "some/images")
"""
    assert passed(run(files)) == 1


def test_principals_of_every_kind(run: Callable[..., "subprocess.CompletedProcess[str]"]):
    assert passed(run({"test_all.py": (PROJECTS / "principals.py").read_text()})) == 10


def test_what_is_not_as_it_should_be_is_said_in_words(run: Callable[..., "subprocess.CompletedProcess[str]"]):
    ended = run({"test_all.py": (PROJECTS / "failures.py").read_text()}, "--tb=short")
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


def test_a_command_that_is_not_there_is_named_once_a_test(run: Callable[..., "subprocess.CompletedProcess[str]"]):
    ended = run(TRIVIAL, ini="longshore_command = no-such-program --flag\n")
    assert ended.returncode == 1
    assert "there is no command `no-such-program`: install Longshore, or say where it is by" in ended.stdout
    assert "Traceback" not in ended.stdout


def test_a_server_that_does_not_start_shows_its_log(run: Callable[..., "subprocess.CompletedProcess[str]"]):
    ended = run(TRIVIAL, ini="longshore_settings =\n    registry.no_such_key = 1\n")
    assert ended.returncode == 1
    assert "ended with status 1 before it was ready; it wrote:" in ended.stdout
    assert ended.stdout.count("LONGSHORE_REGISTRY__NO_SUCH_KEY is not a setting") == 2, "once a test"
    ended = run(TRIVIAL, ini="longshore_settings =\n    nonsense\n")
    assert "has a line `nonsense`: write `section.key = value`" in ended.stdout


def test_the_command_and_the_account_are_chosen(run: Callable[..., "subprocess.CompletedProcess[str]"], programs: Path):
    files = {
        "test_chosen.py": """
def test_chosen(longshore):
    assert longshore.id == "111122223333"
    made = longshore.repository("some/images")
    assert made.arn == "arn:aws:ecr:eu-central-1:111122223333:repository/some/images"
"""
    }
    ini = "longshore_command = no-such-program\nlongshore_account = 111122223333\nlongshore_region = eu-central-1\n"
    assert passed(run(files, ini=ini, LONGSHORE_COMMAND=f"'{programs / 'longshore'}'", PATH="/usr/bin:/bin")) == 1


def test_a_run_that_asks_for_nothing_starts_and_imports_nothing(
    run: Callable[..., "subprocess.CompletedProcess[str]"],
):
    files = {"test_none.py": "import sys\n\ndef test_none():\n    assert 'boto3' not in sys.modules\n"}
    assert passed(run(files, ini="longshore_command = no-such-program\n")) == 1


def test_no_server_is_left_behind(run: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path):
    files = {
        "test_pid.py": "from pathlib import Path\n\ndef test_pid(longshore_server):\n"
        "    Path('pid').write_text(str(longshore_server._process.pid))\n"
    }
    assert passed(run(files)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
