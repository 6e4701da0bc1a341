"""The clients whose builds take longer: helm, cosign, and the Docker 29 engine with containerd's image store."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.acceptance.conftest import BASE, built_program, login
from tests.acceptance.images import IMAGE_INDEX, IMAGE_MANIFEST, Layout, archive, image, noise
from tests.acceptance.programs import (
    Engine,
    EngineUnavailableError,
    Program,
    Repository,
    bare_environment,
    described,
)
from tests.live import LiveServer
from tests.require import missing, need

pytestmark = pytest.mark.long

CHART = """\
apiVersion: v2
name: {name}
version: 1.2.3+build.5
description: a chart of a test
"""
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
"""


@pytest.fixture
def helm(server: LiveServer, tmp_path: Path) -> Program:
    path = need("clients", parts.built("helm"), "helm")
    home = tmp_path / "helm-home"
    home.mkdir()
    program = Program(path, bare_environment(home), cwd=tmp_path)
    login(Program(path, program.environment, first=("registry",), cwd=tmp_path), server, "--plain-http")
    return program


def test_helm_pushes_shows_and_pulls_a_chart(
    helm: Program, repository: Repository, server: LiveServer, tmp_path: Path, ecr: Any
) -> None:
    namespace, _, name = repository.name.rpartition("/")
    chart = tmp_path / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(CHART.format(name=name))
    (chart / "templates" / "map.yaml").write_text(CONFIG_MAP)
    helm("package", str(chart))
    package = tmp_path / f"{name}-1.2.3+build.5.tgz"
    helm("push", "--plain-http", str(package), f"oci://{server.address}/{namespace}")

    where = f"oci://{server.address}/{repository.name}"
    assert "description: a chart of a test" in helm("show", "chart", "--plain-http", where)
    assert "name: released" in helm("template", "released", "--plain-http", where, "--version", "1.2.3+build.5")
    (tmp_path / "back").mkdir()
    helm("pull", "--plain-http", "--destination", str(tmp_path / "back"), where, "--version", "1.2.3+build.5")
    assert (tmp_path / "back" / package.name).read_bytes() == package.read_bytes()
    # A tag cannot hold the plus of a version.
    shown = described(ecr, repository, imageTag="1.2.3_build.5")
    assert shown["artifactMediaType"] == "application/vnd.cncf.helm.config.v1+json"


@pytest.fixture
def cosign(server: LiveServer, tmp_path: Path) -> Program:
    program = built_program("cosign", server, tmp_path).using(COSIGN_PASSWORD="a password of a test")
    program("generate-key-pair")
    return program


@pytest.fixture
def signed(crane: Program, repository: Repository, tmp_path: Path) -> str:
    """An image to sign, by its digest."""
    layout = Layout(tmp_path / "image")
    descriptor = layout.add(image([archive({"content": noise(1000, repository.name)})]))
    layout.tag("v1", descriptor)
    crane("push", str(layout.directory), repository.at("v1"))
    return repository.at(str(descriptor["digest"]))


# No transparency log and no service of sigstore: a key of our own.
SIGN = ("--key", "cosign.key", "--yes", "--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry")
VERIFY = ("--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry")


@pytest.mark.parametrize("bundle", ["true", "false"], ids=["bundle-as-referrer", "signature-as-tag"])
def test_cosign_signs_and_verifies(bundle: str, cosign: Program, signed: str) -> None:
    cosign.fails("verify", *VERIFY, f"--new-bundle-format={bundle}", signed)
    cosign("sign", *SIGN, f"--new-bundle-format={bundle}", signed)
    (found,) = json.loads(cosign("verify", *VERIFY, f"--new-bundle-format={bundle}", signed))
    assert found["critical"]["image"]["docker-manifest-digest"] == signed.partition("@")[2]


def test_cosign_attests_and_copies(
    cosign: Program, signed: str, new_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    (tmp_path / "predicate.json").write_text('{"tested": true}')
    cosign("sign", *SIGN, "--new-bundle-format=false", signed)
    cosign("attest", *SIGN, "--new-bundle-format=false", "--predicate", "predicate.json", "--type", "custom", signed)
    cosign("verify-attestation", *VERIFY, "--new-bundle-format=false", "--type", "custom", signed)
    other = new_repository()
    cosign("copy", "--allow-http-registry", signed, other.at("v1"))
    cosign("verify", *VERIFY, "--new-bundle-format=false", other.at("v1"))


# Docker 29


@pytest.fixture(scope="module")
def engine_29(debian_docker: Path, root_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine with containerd's image store, and a containerd and runc of its own."""
    program = need("docker", parts.built("engine-29"), "the Docker 29 engine")
    others = [need("docker", parts.built(name), name) for name in ("containerd-2", "runc")]
    directory = tmp_path_factory.mktemp("engine-29")
    path = ":".join(str(other.parent) for other in (program, *others))
    environment = {**bare_environment(directory), "PATH": f"{path}:{parts.SYSTEM_PATH}"}
    settings = json.dumps({"features": {"containerd-snapshotter": True}, "userland-proxy": False})
    try:
        running = Engine(directory, program, environment=environment, settings=settings).start()
    except EngineUnavailableError as unavailable:
        missing("docker", str(unavailable))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def docker_29(engine_29: Engine, docker_path: Path, server: LiveServer, root_files: Path, tmp_path: Path) -> Program:
    home = tmp_path / "docker-home"
    config = server.docker_config(home / ".docker")
    environment = bare_environment(
        home, DOCKER_HOST=engine_29.host, DOCKER_CONFIG=str(config), DOCKER_BUILDKIT="0", DOCKER_API_VERSION="1.44"
    )
    program = Program(docker_path, environment, cwd=tmp_path)
    program("import", str(root_files), BASE)
    return program


def test_the_engine_of_docker_29_pushes_pulls_and_runs(docker_29: Program, repository: Repository, ecr: Any) -> None:
    assert "containerd.snapshotter" in docker_29("info", "--format", "{{json .DriverStatus}}")
    docker_29("tag", BASE, repository.at("v1"))
    docker_29("push", repository.at("v1"))
    shown = described(ecr, repository, imageTag="v1")
    assert shown["imageManifestMediaType"] in (IMAGE_INDEX, IMAGE_MANIFEST)
    docker_29("rmi", "--force", repository.at("v1"), BASE)
    docker_29("pull", repository.at("v1"))
    assert docker_29("run", "--rm", "--network", "none", repository.at("v1"), "/bin/cat", "/etc/base") == "base\n"
    docker_29("push", repository.at("v1"))
    assert described(ecr, repository, imageTag="v1")["imageDigest"] == shown["imageDigest"]


def test_the_engine_of_docker_29_is_refused_a_missing_repository(docker_29: Program, server: LiveServer) -> None:
    docker_29("tag", BASE, f"{server.address}/acceptance/nobody-made-this:v1")
    printed = docker_29.fails("push", f"{server.address}/acceptance/nobody-made-this:v1", timeout=30)
    assert "does not exist in the registry with id '123456789012'" in printed


def test_pushes_of_docker_29_at_once_all_succeed(docker_29: Program, new_repository: Callable[..., Repository]) -> None:
    names = [new_repository().at("v1") for _ in range(4)]
    for name in names:
        docker_29("tag", BASE, name)
    pushes = [
        subprocess.Popen(
            docker_29.words(("push", name)),
            env=dict(docker_29.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name in names
    ]
    printed = [push.communicate(timeout=180)[0].decode() for push in pushes]
    assert [push.returncode for push in pushes] == [0] * len(names), printed
