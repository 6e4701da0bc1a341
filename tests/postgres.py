"""A PostgreSQL server of the tests' own, and databases in it."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from tests.parts import system
from tests.ports import free_port
from tests.rooms import quick_directory

_READY_SECONDS = 30.0


def program(name: str) -> Path | None:
    """A program of PostgreSQL's, of the newest version that is installed; Debian keeps them off PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return versions[-1] if versions else system(name)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Beside whatever loop this thread may be running."""
    thread = threading.Thread(target=lambda: box.append(_outcome(work)))
    box: list[BaseException | None] = []
    thread.start()
    thread.join()
    if box[0] is not None:
        raise box[0]


def _outcome(work: Coroutine[Any, Any, None]) -> BaseException | None:
    try:
        asyncio.run(work)
    except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
        return error
    return None


class PostgresServer:
    """A cluster in a directory, run as the user `postgres` where this is root, who may not run one."""

    def __init__(self, directory: Path, *, options: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    @property
    def pid(self) -> int:
        """The postmaster's own."""
        return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])

    def prepare(self) -> None:
        """Make the cluster."""
        initdb = program("initdb")
        assert initdb is not None
        self.directory.mkdir(exist_ok=True)
        if self._as_user:
            shutil.chown(self.directory, "postgres")
        subprocess.run(
            [*self._as_user, initdb, "-D", self.directory / "data", "-U", "longshore", "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            check=True, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        """Returns once it answers."""
        postgres = program("postgres")
        assert postgres is not None
        settings = (
            "fsync=on",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.directory}",
            *self._options,
        )
        arguments = [part for setting in settings for part in ("-c", setting)]
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._as_user, postgres, "-D", self.directory / "data", "-p", str(self.port), *arguments],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                _run(self._execute("SELECT 1"))
            except (OSError, asyncpg.PostgresError) as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError(
                        f"PostgreSQL did not start: {error}\n{(self.directory / 'log').read_text()}"
                    ) from error
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.05)
            else:
                return

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT ends sessions and shuts down; SIGQUIT is a crash."""
        process, self._process = self._process, None
        assert process is not None
        os.kill(self.pid, number)
        process.wait(_READY_SECONDS)

    def crashed(self) -> None:
        """Its processes were killed: wait for the end of the one that was started."""
        process, self._process = self._process, None
        assert process is not None
        process.wait(_READY_SECONDS)

    def standby(self, directory: Path) -> "PostgresServer":
        """Another server that follows this one, started; from now on a commit waits for it, too."""
        backup = program("pg_basebackup")
        assert backup is not None
        other = PostgresServer(directory, options=self._options)
        directory.mkdir()
        if self._as_user:
            shutil.chown(directory, "postgres")
        subprocess.run(
            [*self._as_user, backup, "-D", directory / "data", "-d", self.url(), "-R", "-c", "fast", "--no-sync"],
            check=True, capture_output=True,
        )  # fmt: skip
        other.start()
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        return other

    def execute(self, sql: str) -> None:
        """One statement, outside of any transaction."""
        _run(self._execute(sql))

    @property
    def running(self) -> bool:
        return self._process is not None

    def new_database(self) -> str:
        """The address of an empty database, in the collation that a distribution's own default has."""
        self._made += 1
        name = f"test_{self._made}"
        _run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://longshore@127.0.0.1:{self.port}/{name}"

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url(), timeout=5)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@contextlib.contextmanager
def serving(*options: str) -> Iterator[PostgresServer]:
    """A server in memory."""
    with quick_directory() as directory:
        directory.chmod(0o755)
        server = PostgresServer(directory / "postgres", options=options)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.stop()
