"""Projects of users' own, whose tests run with pytest-longshore on the real command."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "plugins/pytest-longshore"
_NOT_THE_USERS = ("cacheprovider", "asyncio", "aiohttp")
"""Plugins that this project's own tests need."""


@dataclass(frozen=True)
class Installed:
    """The plugin's modules and entry points, and a directory of programs with the command `longshore`."""

    site: Path
    programs: Path


def install(directory: Path) -> Installed:
    """As installing the distribution and Longshore itself would, without asking any index."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools, which builds the distribution, is not here")
    source, site, programs = directory / "source", directory / "site", directory / "bin"
    shutil.copytree(PLUGIN, source)  # building leaves its traces there
    site.mkdir()
    subprocess.run(
        [sys.executable, "-c", "import setuptools; setuptools.setup()", "--quiet",
         "build_py", "--build-lib", site, "egg_info", "--egg-base", site],
        cwd=source, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    programs.mkdir()
    command = programs / "longshore"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m server "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return Installed(site, programs)


@dataclass(frozen=True)
class Project:
    """A directory with tests. Whoever runs them has AWS profiles of their own, and warnings are errors to them."""

    directory: Path
    installed: Installed

    def run(
        self, files: Mapping[str, str], *arguments: str, ini: str = "", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """pytest over `files` (name -> text), with further lines of pytest.ini and further variables."""
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.directory / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}")
        # where it says that this is a CI system, pytest prints more
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("LONGSHORE_", "PYTEST_", "CI", "BUILD_"))
        }
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *(f"-pno:{name}" for name in _NOT_THE_USERS), *arguments],
            cwd=self.directory,
            env={
                **kept,
                "PATH": f"{self.installed.programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(self.installed.site),
                "AWS_PROFILE": "of-the-user",
                **environment,
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )


def passed(ended: "subprocess.CompletedProcess[str]") -> int:
    """How many tests, where none did anything else."""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = re.fullmatch(r"(\d+) passed in .*", ended.stdout.splitlines()[-1])
    assert found is not None, ended.stdout
    return int(found[1])


def examples() -> dict[str, str]:
    """The files that the plugin's README shows: blocks that begin with a comment that names them."""
    blocks = re.findall(r"```\w*\n# (\S+)\n(.*?)```", (PLUGIN / "README.md").read_text(), flags=re.DOTALL)
    return dict(blocks)
