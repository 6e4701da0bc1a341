"""A real server, a real engine and the real clients: each started or found once, skipped by name where missing."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.acceptance.images import archive
from tests.acceptance.programs import Engine, EngineUnavailableError, Program, Repository, bare_environment
from tests.live import LiveServer
from tests.require import missing, need

BASE = "longshore-test/base:1"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server with default settings."""
    running = LiveServer(tmp_path_factory.mktemp("server"))
    with running:
        yield running
    shutil.rmtree(running.data)  # some hundred megabytes


@pytest.fixture(scope="session")
def ecr(server: LiveServer) -> Any:
    return server.client("ecr")


@pytest.fixture
def new_repository(server: LiveServer, ecr: Any) -> Callable[..., Repository]:
    """Makes repositories, each of a new name. Keyword arguments go to CreateRepository."""

    def make(**options: Any) -> Repository:
        name = f"acceptance/repository-{next(_numbers)}"
        ecr.create_repository(repositoryName=name, **options)
        return Repository(name, f"{server.address}/{name}")

    return make


@pytest.fixture
def repository(new_repository: Callable[..., Repository]) -> Repository:
    return new_repository()


# Docker


@pytest.fixture(scope="session")
def busybox() -> Path:
    """The one program that test images hold."""
    return need("docker", parts.system("busybox"), "busybox-static")


@pytest.fixture(scope="session")
def root_files(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of a root file system, for `import`."""
    path = tmp_path_factory.mktemp("base") / "base.tar"
    path.write_bytes(archive({"etc/base": b"base\n"}, programs=busybox))
    return path


@pytest.fixture(scope="session")
def debian_docker() -> Path:
    return need("docker", parts.system("docker"), "docker, the client")


@pytest.fixture(scope="session")
def engine(debian_docker: Path, root_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The system's engine, holding the image BASE."""
    program = need("docker", parts.system("dockerd"), "dockerd")
    directory = tmp_path_factory.mktemp("engine")
    try:
        running = Engine(directory, program).start()
    except EngineUnavailableError as unavailable:
        missing("docker", str(unavailable))
    try:
        Program(debian_docker, bare_environment(directory, DOCKER_HOST=running.host))("import", str(root_files), BASE)
        yield running
    finally:
        running.stop()


def docker_clients() -> dict[str, Path | None]:
    """Debian's client, and the one that PATH puts before it where that is another."""
    debian, first = parts.system("docker"), shutil.which("docker")
    other = Path(first).resolve() if first else None
    clients = {"debian": debian}
    if other is not None and (debian is None or other != debian.resolve()):
        clients["first-on-path"] = other
    return clients


@pytest.fixture(params=docker_clients())
def docker_path(request: pytest.FixtureRequest) -> Path:
    return need("docker", docker_clients()[request.param], "docker, the client")


@pytest.fixture
def stranger(docker_path: Path, engine: Engine, tmp_path: Path) -> Program:
    """docker before any login."""
    home = tmp_path / "docker-home"
    home.mkdir()
    return Program(
        docker_path,
        bare_environment(
            home,
            DOCKER_HOST=engine.host,
            DOCKER_CONFIG=str(home / ".docker"),
            DOCKER_BUILDKIT="0",
            DOCKER_CLI_EXPERIMENTAL="enabled",
        ),
        cwd=tmp_path,
    )


@pytest.fixture
def docker(stranger: Program, server: LiveServer) -> Program:
    """docker, logged in with the root key."""
    login(stranger, server)
    return stranger


def login(program: Program, server: LiveServer, *more: str) -> str:
    return program(
        "login", *more, "--username", server.access_key_id, "--password-stdin", server.address,
        stdin=server.secret_access_key,
    )  # fmt: skip


@pytest.fixture
def build(docker: Program, tmp_path: Path) -> Callable[..., str]:
    """Builds an image that prints `says` and holds `files`, under the given name; gives its id."""

    def make(name: str, *, says: str, files: dict[str, bytes] | None = None) -> str:
        context = tmp_path / f"context-{next(_numbers)}"
        context.mkdir()
        for path, content in {"says": says.encode(), **(files or {})}.items():
            (context / path).write_bytes(content)
        copies = "".join(f"COPY {path} /{path}\n" for path in files or {})
        (context / "Dockerfile").write_text(f'FROM {BASE}\n{copies}COPY says /says\nCMD ["/bin/cat", "/says"]\n')
        return docker("build", "--quiet", "--tag", name, str(context)).strip()

    return make


# The other clients


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


AWS_CLIS = ("v1", "v2")


@pytest.fixture(params=AWS_CLIS)
def aws(request: pytest.FixtureRequest, server: LiveServer, scratch: Path) -> Program:
    return aws_cli(request.param, server, scratch)


def aws_cli(version: str, server: LiveServer, scratch: Path) -> Program:
    environment = bare_environment(scratch, **server.aws_environment(scratch))
    if version == "v1":
        # It knows AWS_ENDPOINT_URL, so it gets no option.
        return Program(need("clients", parts.built("aws-cli-1"), "AWS CLI v1"), environment)
    # Debian's is older than AWS_ENDPOINT_URL.
    path = need("clients", parts.system("aws"), "AWS CLI v2 (awscli)")
    return Program(path, environment, last=("--endpoint-url", server.url))


def containers_program(name: str, tmp_path: Path, run_root: Path | None = None) -> Program:
    """podman, skopeo or buildah with logins of its own, and storage where the program keeps any (`run_root`)."""
    path = need("clients", parts.system(name), name)
    home = tmp_path / f"{name}-home"
    home.mkdir()
    settings = home / "containers.conf"
    # The limits that podman would ask for by itself may be above what this machine gives.
    settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
    # Storage is named by options, not by a file: what podman leaves to run at a container's end gets only its options.
    storage = ("--root", str(home / "graph"), "--runroot", str(run_root), "--storage-driver", "vfs")
    first = {
        "podman": (*storage, "--tmpdir", str(home / "tmp"), "--cgroup-manager", "cgroupfs", "--events-backend", "file"),
        "buildah": storage,
        "skopeo": (),
    }
    environment = bare_environment(
        home,
        CONTAINERS_CONF=str(settings),
        REGISTRY_AUTH_FILE=str(home / "auth.json"),
        XDG_RUNTIME_DIR=str(home),
        BUILDAH_ISOLATION="chroot",
    )
    return Program(path, environment, first=first[name], cwd=tmp_path)


@pytest.fixture
def run_root() -> Iterator[Path]:
    """Podman refuses one longer than 50 characters."""
    path = Path(tempfile.mkdtemp(prefix="run-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def podman(tmp_path: Path, run_root: Path, server: LiveServer) -> Iterator[Program]:
    program = containers_program("podman", tmp_path, run_root)
    login(program, server, "--tls-verify=false")
    yield program
    program("rm", "--all", "--force")
    program("rmi", "--all", "--force")


@pytest.fixture
def buildah(tmp_path: Path, run_root: Path, server: LiveServer) -> Iterator[Program]:
    program = containers_program("buildah", tmp_path, run_root)
    login(program, server, "--tls-verify=false")
    yield program
    program("rm", "--all")
    program("rmi", "--all", "--force")


@pytest.fixture
def skopeo(tmp_path: Path, server: LiveServer) -> Program:
    program = containers_program("skopeo", tmp_path)
    login(program, server, "--tls-verify=false")
    return program


def built_program(name: str, server: LiveServer, tmp_path: Path, file: str | None = None) -> Program:
    """A client that reads docker's configuration, already logged in."""
    path = need("clients", parts.built(name, file), name)
    home = tmp_path / f"{name}-home"
    config = server.docker_config(home / ".docker")
    return Program(path, bare_environment(home, DOCKER_CONFIG=str(config)), cwd=tmp_path)


@pytest.fixture
def crane(server: LiveServer, tmp_path: Path) -> Program:
    return built_program("crane", server, tmp_path)


@pytest.fixture
def oras(server: LiveServer, tmp_path: Path) -> Program:
    return built_program("oras", server, tmp_path)


@pytest.fixture
def regctl(server: LiveServer, tmp_path: Path) -> Program:
    program = built_program("regctl", server, tmp_path)
    program = program.using(REGCTL_CONFIG=str(tmp_path / "regctl.json"))
    program("registry", "set", "--tls", "disabled", server.address)
    return program
