"""The bundle of `make bundle`: it is installed from, and served, without a network."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import ROOT
from tests.parts import SYSTEM_PATH
from tests.require import missing, need

INSTALL = ROOT / "bundle" / "install"


def sums(directory: Path) -> str:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n" for path in files
    )


@pytest.fixture
def hollow(tmp_path: Path) -> Path:
    """A bundle without anything to install."""
    made = tmp_path / "hollow"
    (made / "wheels").mkdir(parents=True)
    shutil.copy(INSTALL, made / "install")
    shutil.copy(ROOT / "bundle" / "tags.py", made / "tags.py")
    tags = subprocess.run([sys.executable, made / "tags.py"], capture_output=True, text=True, check=True).stdout
    (made / "TAGS").write_text(tags)
    (made / "VERSION").write_text("0.0.1\n")
    (made / "requirements.lock").write_text("")
    (made / "SHA256SUMS").write_text(sums(made))
    return made


def install(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [bundle / "install", "--python", sys.executable, *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def changed(bundle: Path) -> None:
    (bundle / "requirements.lock").write_text("something=={1}\n")


def longer(bundle: Path) -> None:
    (bundle / "wheels" / "other-1-py3-none-any.whl").write_text("")


def for_others(bundle: Path) -> None:
    (bundle / "TAGS").write_text("linux s390x cp311\n")
    (bundle / "SHA256SUMS").write_text(sums(bundle))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed, "this bundle is not as it was made"),
        (longer, "there are files here that SHA256SUMS does not list"),
        (for_others, "this bundle is for linux s390x cp311"),
    ],
)
def test_what_is_not_as_it_was_made_or_for_another_machine_is_not_installed(
    hollow: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    assert install(hollow, "--verify").returncode == 0
    spoil(hollow)
    ended = install(hollow, "--prefix", str(tmp_path / "there"))
    assert ended.returncode == 1
    assert said in ended.stderr
    assert not (tmp_path / "there").exists()


def test_what_is_there_is_not_touched(hollow: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    ended = install(hollow, "--prefix", str(tmp_path / "there"))
    assert ended.returncode == 1
    assert "is there already" in ended.stderr
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.long
def test_what_cannot_be_installed_leaves_nothing(hollow: Path, tmp_path: Path) -> None:
    ended = install(hollow, "--prefix", str(tmp_path / "there"), "--link", str(tmp_path / "link"))
    assert ended.returncode != 0
    assert not (tmp_path / "there").exists()
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.long
def test_a_machine_without_a_network_installs_from_it_and_serves(tmp_path: Path) -> None:
    unshare = need("clients", shutil.which("unshare", path=SYSTEM_PATH), "unshare (Debian's util-linux)")
    alone = [unshare, "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        missing("clients", "a user who may make a network namespace is not here")
    words = ["bash", str(ROOT / "bundle" / "build"), sys.executable, str(tmp_path / "dist")]
    tar = Path(subprocess.run(words, capture_output=True, text=True, check=True, timeout=600).stdout.strip())
    assert (tar.parent / f"{tar.name}.sha256").read_text().split() == [
        hashlib.sha256(tar.read_bytes()).hexdigest(),
        tar.name,
    ]
    with tarfile.open(tar) as archive:
        archive.extractall(tmp_path, filter="data")
    bundle = tmp_path / tar.stem
    assert {path.name for path in bundle.iterdir()} >= {
        "Dockerfile",
        "README.md",
        "SHA256SUMS",
        "config",
        "docs",
        "install",
    }
    script = ROOT / "tests" / "acceptance" / "alone.py"
    words = [*alone, sys.executable, *map(str, (script, bundle, tmp_path / "it", tmp_path, sys.executable))]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("served\n")
