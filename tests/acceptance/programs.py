"""The real clients and the real engine, each with directories of its own and nothing of this machine's set-up."""

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.parts import SYSTEM_PATH

CALL_SECONDS = 180.0
ENGINE_SECONDS = 60.0
T = TypeVar("T")


def bare_environment(home: Path, **more: str) -> dict[str, str]:
    """What a program sees: the system's PATH, a home of its own, and `more`."""
    return {"PATH": SYSTEM_PATH, "HOME": str(home), "LANG": "C.UTF-8", **more}


@dataclass(frozen=True)
class Program:
    """A client as a function: its arguments go in, its standard output comes out.

    `prefix` are words before it (nsenter ...), `first` and `last` arguments before and after every call's own.
    """

    path: Path
    environment: Mapping[str, str]
    prefix: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    cwd: Path | None = None

    def __call__(self, *arguments: str, stdin: str | bytes | None = None, timeout: float = CALL_SECONDS) -> str:
        """Raises AssertionError with all that it printed when it does not exit with 0."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{self._shown(arguments)} exited with {done.returncode}:\n{_printed(done)}"
        return done.stdout

    def fails(self, *arguments: str, stdin: str | bytes | None = None, timeout: float = CALL_SECONDS) -> str:
        """What it printed on both streams; raises AssertionError when it succeeds."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode != 0, f"{self._shown(arguments)} succeeded:\n{_printed(done)}"
        return _printed(done)

    def run(
        self, *arguments: str, stdin: str | bytes | None = None, timeout: float = CALL_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            self.words(arguments),
            input=b"" if data is None else data,
            env=dict(self.environment),
            cwd=self.cwd,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def words(self, arguments: tuple[str, ...] = ()) -> list[str]:
        return [*self.prefix, str(self.path), *self.first, *arguments, *self.last]

    def using(self, **environment: str) -> Self:
        return replace(self, environment={**self.environment, **environment})

    def _shown(self, arguments: tuple[str, ...]) -> str:
        return " ".join([self.path.name, *arguments])


def _printed(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


class Engine:
    """A Docker Engine with its own root, state and socket, which touches no network of this machine.

    Containers have no network (the tests need none), so no bridge and no packet filter rule is made. Raises
    EngineUnavailableError when it cannot run here.
    """

    def __init__(
        self,
        directory: Path,
        program: Path,
        *,
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        settings: str = "{}",
    ) -> None:
        self.directory = directory
        self.program = program
        self.environment = dict(environment or bare_environment(directory))
        self.prefix = prefix
        self.settings = settings
        self.socket = directory / "sock"
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket}"

    def start(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = self.directory / "daemon.json"
        settings.write_text(self.settings)
        words = [
            *self.prefix, str(self.program),
            "--config-file", str(settings),
            "--data-root", str(self.directory / "data"),
            "--exec-root", str(self.directory / "exec"),
            "--pidfile", str(self.directory / "pid"),
            "--host", self.host,
            "--bridge", "none", "--iptables=false",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + ENGINE_SECONDS
        while not self.answers():
            ended = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = self.process.wait(0.05)
            if ended is not None or time.monotonic() > deadline:
                reason = self.log.read_text(errors="replace").splitlines()[-3:]
                self.stop()
                raise EngineUnavailableError(f"{self.program} does not start here: {' / '.join(reason)}")
        return self

    def answers(self) -> bool:
        connection = _UnixConnection(self.socket)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/_ping")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENGINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.unmount()
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def unmount(self) -> None:
        """Unmount what the engine left mounted below its directory (one that was killed leaves all it had)."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        places = [line.split()[4] for line in lines]
        for place in sorted(places, reverse=True):
            if Path(place).is_relative_to(self.directory.resolve()):
                subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class EngineUnavailableError(Exception):
    """The engine cannot run on this machine; the message says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Repository:
    """A repository made for one test."""

    name: str
    uri: str
    registry: str = field(default="")

    def at(self, reference: str) -> str:
        """`reference` is a tag, or a digest."""
        return f"{self.uri}@{reference}" if ":" in reference else f"{self.uri}:{reference}"


def eventually(ask: Callable[[], T | None], seconds: float = 15.0) -> T:
    """The first answer of `ask` that says something; raises AssertionError when none comes within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.1)
    return answer


def described(ecr: Any, repository: Repository, **image_id: str) -> dict[str, Any]:
    """The one image that DescribeImages shows for an id."""
    (detail,) = ecr.describe_images(repositoryName=repository.name, imageIds=[image_id])["imageDetails"]
    return detail
