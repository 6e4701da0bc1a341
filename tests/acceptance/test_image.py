"""The image that the Dockerfile makes, on a base taken from this Debian, since none can be had from outside."""

import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import parts
from tests.acceptance.programs import Engine, Program, bare_environment, eventually
from tests.live import ROOT
from tests.ports import free_port
from tests.require import need

pytestmark = pytest.mark.parametrize("docker_path", ["debian"], indirect=True)

DEBIAN = "longshore-test/debian:1"
IMAGE = "longshore-test/longshore:1"
ALONE = "longshore-test/longshore:alone"
PACKAGES = ("base-files", "ca-certificates", "coreutils", "dash", "grep", "passwd", "python3", "python3-venv", "sed")
ONLY_NEEDED = tuple(
    f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)
LINKS = ("/bin", "/sbin", "/lib", "/lib64")  # into /usr
# Files that packages make when they are installed, and what the build needs to reach the package index.
MADE = ("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/ssl/certs/ca-certificates.crt", "/usr/bin/which")


def said(*words: str) -> list[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=bare_environment(Path("/")))
    return done.stdout.splitlines()


def debian_files(packages: tuple[str, ...]) -> list[Path]:
    """The files of installed Debian packages and of all that they depend on, and MADE, where they really are."""
    lines = said("apt-cache", "depends", "--recurse", "--installed", *ONLY_NEEDED, *packages)
    closure = {line for line in lines if not line.startswith((" ", "<", "|"))}
    installed = [name for name in closure if name in set(said("dpkg-query", "--show", "--showformat=${Package}\n"))]
    listed = {path for path in said("dpkg-query", "--listfiles", *installed) if path.startswith("/") and path != "/."}
    wanted = [
        Path(path)
        for path in {*listed, *MADE}
        if os.path.lexists(path) and not path.startswith(("/usr/share/doc", "/usr/share/man", "/usr/share/locale"))
    ]
    return sorted({path.parent.resolve() / path.name for path in wanted} - {Path(path) for path in LINKS})


def debian_archive(path: Path) -> Path:
    """A tar of a Debian with Python, as far as the Dockerfile needs one."""
    with tarfile.open(path, "w") as tar:
        for place in (*LINKS, *debian_files(PACKAGES)):
            tar.add(place, str(place).removeprefix("/"), recursive=False)
    return path


@pytest.fixture(scope="module")
def building(engine: Engine, debian_docker: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A docker that has DEBIAN."""
    need("docker", parts.system("apt-cache"), "a Debian with its python3-venv")
    directory = tmp_path_factory.mktemp("image")
    docker = Program(
        debian_docker, bare_environment(directory, DOCKER_HOST=engine.host, DOCKER_BUILDKIT="0"), cwd=directory
    )
    settings = [f"ENV {name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
    changes = [word for setting in settings for word in ("--change", setting)]
    docker("import", *changes, str(debian_archive(directory / "debian.tar")), DEBIAN)
    (directory / "debian.tar").unlink()
    yield docker
    docker("rmi", "--force", IMAGE, ALONE, DEBIAN)
    docker("image", "prune", "--force")


@pytest.fixture(scope="module")
def image(building: Program) -> str:
    """The Dockerfile's image, as `docker build` makes it."""
    # The tests' engine has no network of its own.
    building("build", "--network", "host", "--build-arg", f"BASE={DEBIAN}", "--tag", IMAGE, str(ROOT), timeout=600)
    return IMAGE


@pytest.fixture
def container(image: str, docker: Program) -> Iterator[tuple[str, str]]:
    """A running one that may do as little as possible, as (its id, the address of its registry)."""
    address = f"127.0.0.1:{free_port()}"
    host, _, port = address.partition(":")
    name = docker(
        "run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--network", "host", "--health-interval", "1s",
        "--env", f"LONGSHORE_SERVER__HOST={host}", "--env", f"LONGSHORE_SERVER__PORT={port}",
        "--env", "LONGSHORE_REGISTRY__CREATE_ON_PUSH=true", image,
    ).strip()  # fmt: skip
    yield name, address
    docker("rm", "--force", "--volumes", name)


def test_its_container_becomes_healthy_serves_docker_and_stops_cleanly(
    container: tuple[str, str], docker: Program, build: Callable[..., str]
) -> None:
    name, address = container

    def inspected(what: str) -> str:
        return str(json.loads(docker("inspect", "--format", "{{json " + what + "}}", name)))

    def healthy() -> bool:
        assert inspected(".State.Status") == "running", docker("logs", name)
        return inspected(".State.Health.Status") == "healthy"

    eventually(healthy, seconds=60)
    assert docker("exec", name, "id", "-u").strip() == "10001"
    assert docker("exec", name, "stat", "-c", "%U %a", "/data", "/data/credentials").split("\n")[:2] == [
        "longshore 700",
        "longshore 600",
    ]
    credentials = dict(
        line.split(" = ") for line in docker("exec", name, "cat", "/data/credentials").splitlines() if " = " in line
    )
    docker(
        "login", "--username", credentials["aws_access_key_id"], "--password-stdin", address,
        stdin=credentials["aws_secret_access_key"],
    )  # fmt: skip
    build(f"{address}/made/by/push:v1", says="from a container")
    docker("push", f"{address}/made/by/push:v1")
    docker("rmi", "--force", f"{address}/made/by/push:v1")
    docker("pull", f"{address}/made/by/push:v1")
    assert docker("run", "--rm", "--network", "none", f"{address}/made/by/push:v1") == "from a container"

    docker("restart", name)
    eventually(healthy, seconds=60)
    docker("rmi", "--force", f"{address}/made/by/push:v1")
    docker("pull", f"{address}/made/by/push:v1")

    docker("stop", "--time", "30", name)
    assert inspected(".State.ExitCode") == "0", docker("logs", name)


def test_it_holds_no_tools_of_its_build(image: str, docker: Program) -> None:
    printed = docker("run", "--rm", "--network", "none", "--entrypoint", "/bin/ls", image, "/", "/opt/longshore/bin")
    assert "src" not in printed.split()
    assert "longshore" in printed.split()
    assert docker("run", "--rm", "--network", "none", image, "--help").startswith("usage: longshore")


@pytest.mark.long
def test_the_bundle_makes_it_without_a_network(building: Program, docker: Program, tmp_path: Path) -> None:
    python = need("docker", parts.system("python3"), "a Debian with its python3-venv")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    words = ["bash", str(ROOT / "bundle" / "build"), str(tmp_path / "venv" / "bin" / "python"), str(tmp_path)]
    tar = Path(subprocess.run(words, capture_output=True, text=True, check=True, timeout=600).stdout.strip())
    with tarfile.open(tar) as archive:
        archive.extractall(tmp_path, filter="data")
    building(
        "build", "--network", "none", "--build-arg", f"BASE={DEBIAN}", "--tag", ALONE, str(tmp_path / tar.stem),
        timeout=600,
    )  # fmt: skip
    assert docker("run", "--rm", "--network", "none", ALONE, "--help").startswith("usage: longshore")
