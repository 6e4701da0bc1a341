"""The servers that are measured. Each runs alone, over a directory of its own on the same disk, its access log in a file."""

import base64
import contextlib
import http.client
import os
import re
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.databases import Kind, standing
from bench.machine import CannotMeasure
from bench.scenarios import LABELS
from tests.live import LiveServer
from tests.parts import built, pins, system
from tests.ports import free_port

READY_SECONDS = 30.0
REPOSITORY = "load/one"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. Without a user it asks for none; without a pid its processes are not ours to look at."""

    url: str
    pid: int | None
    user: str = ""
    password: str = ""


class Contender(Protocol):
    """A server that can be started. `files`: it serves static files and nothing else, of `static` bytes each."""

    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def files(self) -> bool: ...

    def run(self, directory: Path, *, static: int = 0) -> AbstractContextManager[Running]:
        """Raises CannotMeasure where it does not start."""
        ...


@dataclass(frozen=True, slots=True)
class Longshore:
    """As a user starts it: default settings, the repository made by CreateRepository, a token of GetAuthorizationToken.

    Over PostgreSQL it counts without the database's processes.
    """

    workers: int
    database: Kind = "sqlite"
    key: str = "longshore"
    label: str = LABELS["longshore"]
    files: bool = False

    @contextlib.contextmanager
    def run(self, directory: Path, *, static: int = 0) -> Iterator[Running]:  # noqa: ARG002 - contenders run alike
        with standing(self.database, directory.parent) as backing:
            server = LiveServer(directory, settings=backing.settings(directory), workers=self.workers)
            try:
                server.start()
            except AssertionError as error:
                raise CannotMeasure(f"Longshore did not start: {error}") from error
            try:
                yield log_in(server, REPOSITORY)
            finally:
                server.close()


def log_in(server: LiveServer, *repositories: str) -> Running:
    """Makes the repositories that are not there yet, and takes a token."""
    ecr = server.client("ecr")
    for repository in repositories:
        with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=repository)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    assert server.process is not None
    return Running(server.url, server.process.pid, user, password)


@dataclass(frozen=True, slots=True)
class Distribution:
    """CNCF distribution, version 2 or 3, as its own example configuration has it; nobody has to log in."""

    program: Path
    key: str
    label: str
    files: bool = False

    @contextlib.contextmanager
    def run(self, directory: Path, *, static: int = 0) -> Iterator[Running]:  # noqa: ARG002 - contenders run alike
        port = free_port()
        directory.mkdir(parents=True)
        (directory / "config.yml").write_text(
            "version: 0.1\n"
            "log:\n  fields:\n    service: registry\n"
            "storage:\n"
            "  cache:\n    blobdescriptor: inmemory\n"
            f"  filesystem:\n    rootdirectory: {directory / 'data'}\n"
            "  delete:\n    enabled: true\n"
            f"http:\n  addr: 127.0.0.1:{port}\n  secret: of-a-benchmark\n"
        )
        command = [str(self.program), "serve", str(directory / "config.yml")]
        # version 3 would look for a collector of traces
        with _process(command, directory, {"OTEL_TRACES_EXPORTER": "none"}) as process:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(process, url + "/v2/", directory / "server.log")
            yield Running(url, process.pid)


@dataclass(frozen=True, slots=True)
class Nginx:
    """Static files of the size that is pulled: how fast this machine gives bytes away."""

    program: Path
    label: str
    key: str = "nginx"
    files: bool = True

    @contextlib.contextmanager
    def run(self, directory: Path, *, static: int = 0) -> Iterator[Running]:
        port = free_port()
        (directory / "files").mkdir(parents=True)
        noise = os.urandom(1 << 20)
        for number in range(8):
            with (directory / "files" / str(number)).open("wb") as file:
                for _ in range(static >> 20):
                    file.write(noise)
        temporary = " ".join(
            f"{kind}_temp_path {directory / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(
            ("user root;\n" if os.geteuid() == 0 else "")
            + f"daemon off; worker_processes auto; pid {directory / 'pid'};\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log {directory / 'access.log'}; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n"
            f"{temporary}\n"
            f"server {{ listen 127.0.0.1:{port}; root {directory / 'files'}; }} }}\n"
        )
        command = [
            str(self.program), "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf"),
        ]  # fmt: skip
        with _process(command, directory, {}) as process:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(process, url + "/0", directory / "server.log")
            yield Running(url, process.pid)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A registry that its user started, without authentication: its address is all that is known of it."""

    key: str
    url: str
    files: bool = False

    @property
    def label(self) -> str:
        return LABELS.get(self.key, self.key)

    @contextlib.contextmanager
    def run(self, directory: Path, *, static: int = 0) -> Iterator[Running]:  # noqa: ARG002 - contenders run alike
        if not _answers(self.url + "/v2/"):
            raise CannotMeasure(f"no registry answers at {self.url}/v2/")
        yield Running(self.url, None)


def find_peers(elsewhere: list[Elsewhere]) -> tuple[list[Contender], list[str]]:
    """The peers that are installed, and for each other one a line that says what is missing."""
    found: list[Contender] = []
    missing = []
    distribution = built("distribution")
    if distribution:
        version = pins()["distribution"].version.removeprefix("v")
        found.append(Distribution(distribution, "distribution", f"distribution {version}"))
    else:
        missing.append("distribution 3 is not built: tests/parts/install builds it")
    debian = system("docker-registry")
    if debian:
        version = version_of([str(debian), "--version"])
        found.append(Distribution(debian, "debian", f"distribution {version} (Debian)"))
    else:
        missing.append("distribution 2 is not installed: it is Debian's package docker-registry")
    nginx = system("nginx")
    if nginx:
        found.append(Nginx(nginx, f"nginx {version_of([str(nginx), '-v'])}, static files"))
    else:
        missing.append("nginx is not installed: it is a package of that name")
    return [*found, *elsewhere], missing


def version_of(command: list[str]) -> str:
    """The first version number that a program prints of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    number = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return number.group() if number else "of unknown version"


@contextlib.contextmanager
def _process(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise CannotMeasure(f"{process.args!r} did not start: {tail}")
        time.sleep(0.02)


def _answers(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("HEAD" if parts.path == "/0" else "GET", parts.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
