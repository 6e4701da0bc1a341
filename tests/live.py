"""A real server in a process of its own, as a user starts it, for tests that speak to it over the network."""

import base64
import configparser
import contextlib
import functools
import http.client
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from unittest import mock

import boto3
import botocore.config

from server.cli import main
from store.blobs.driver import BlobDriver
from store.database import Database
from tests.backing import Backing, Rows, all_rows_of, open_blobs, open_database, rows_of
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30.0
DRAIN_SECONDS = 30.0

# Servers that are up, for the report of a test that fails.
RUNNING: list["LiveServer"] = []


# Where servers keep what they keep, when it is not in their own directory: set for a whole run.
BACKING: Backing | None = None


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


class LiveServer:
    """`longshore serve` on a free port of the loopback interface with a data directory of its own.

    `settings` are named as in config/default.toml ("registry.allow_sparse") and reach the server by its environment,
    which holds no other LONGSHORE_ or AWS_ variable. A context manager: enters by start(), leaves by close().
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        workers: int = 1,
        host: str = "127.0.0.1",
        port: int | None = None,
        arguments: Sequence[str] = (),
        scheme: str = "http",
        region: str = "us-east-1",
        source: Path = ROOT,
    ) -> None:
        """`source` is where the program lies: another release of it, where it is not this one."""
        self.directory = directory
        self.source = source
        self.data = directory / "data"
        self.log = directory / "server.log"
        self.settings = {**(BACKING.settings(directory) if BACKING is not None else {}), **(settings or {})}
        self.workers = workers
        self.host = host
        self.port = port or free_port(host)
        self.arguments = tuple(arguments)
        self.scheme = scheme
        self.region = region
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[Any] = []

    @property
    def address(self) -> str:
        """host:port, as docker names a registry."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    # Life

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "server", "serve",
            "--host", self.host, "--port", str(self.port), "--data", str(self.data), "--workers", str(self.workers),
            *self.arguments,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LONGSHORE_", "AWS_"))}
        chosen = {f"LONGSHORE_{key.upper().replace('.', '__')}": value for key, value in self.settings.items()}
        return {**kept, **chosen, "PYTHONPATH": str(self.source), "PYTHONUNBUFFERED": "1"}

    def start(self) -> Self:
        """Returns once the server answers that it is ready; raises AssertionError with its log when it does not."""
        assert self.process is None, "the server is running"
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: a kill reaches every worker at once, as a power cut would.
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        RUNNING.append(self)
        try:
            self._wait_ready(time.monotonic() + READY_SECONDS)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """A clean shutdown, which has to end by itself, with status 0 and no process left behind."""
        process = self._taken()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise AssertionError(f"did not stop within {DRAIN_SECONDS} s of SIGTERM:\n{self.log_tail()}") from None
        left = _outlives(process, seconds=2.0)
        _kill_group(process)
        assert status == 0, f"stopped with status {status}:\n{self.log_tail()}"
        assert not left, f"left processes behind:\n{self.log_tail()}"

    def kill(self) -> None:
        """kill -9 of every process of the server."""
        _kill_group(self._taken())

    def restart(self) -> Self:
        """A clean stop and a start on the same port and data; after kill() only the start."""
        if self.process is not None:
            self.stop()
        return self.start()

    def close(self) -> None:
        """Stops what is up (cleanly) and closes the clients that were made."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self.process is not None:
            self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _taken(self) -> subprocess.Popen[bytes]:
        process, self.process = self.process, None
        assert process is not None, "the server is not running"
        RUNNING.remove(self)
        return process

    def _wait_ready(self, deadline: float) -> None:
        assert self.process is not None
        while not self.ready():
            # Waiting for the process to end is the pause between two looks.
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self.process.wait(0.02)
                raise AssertionError(f"ended with status {status} before it was ready:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready within {READY_SECONDS} s:\n{self.log_tail()}")

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        with contextlib.closing(self.connection(timeout=5)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def connection(self, *, timeout: float) -> http.client.HTTPConnection:
        """A new one, not open yet; with TLS it trusts whoever answers."""
        if self.scheme == "https":
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=_unverified())
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def log_tail(self, lines: int = 60) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    # What it keeps

    @property
    def key_file(self) -> Path:
        """Of the keys that encrypt secrets."""
        return Path(self.settings.get("secrets.key_file") or self.data / "server.key")

    def rows(self) -> contextlib.AbstractContextManager[Rows]:
        """What its database holds."""
        return rows_of(self.settings, self.data)

    def all_rows(self) -> bytes:
        """All that its database holds, in whatever form; texts can be searched for."""
        return all_rows_of(self.settings, self.data)

    def database(self) -> Database:
        """Its database, opened beside it."""
        return open_database(self.settings, self.data)

    def blobs(self) -> BlobDriver:
        """Its store of blobs, opened beside it."""
        return open_blobs(self.settings, self.data)

    def longshore(self, *arguments: str) -> Done:
        """A command with its settings, beside it or after it, in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = main([*arguments, "--data", str(self.data)])
            except SystemExit as ended:  # argparse
                code = int(ended.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    # The root key, and what clients need of it

    @property
    def access_key_id(self) -> str:
        return self.settings.get("root.access_key_id") or self._credential("aws_access_key_id")

    @property
    def secret_access_key(self) -> str:
        return self.settings.get("root.secret_access_key") or self._credential("aws_secret_access_key")

    def _credential(self, key: str) -> str:
        profiles = configparser.RawConfigParser(default_section="")
        profiles.read(self.data / "credentials")
        return next(profile[key] for name, profile in profiles.items() if name and key in profile)

    def client(self, service: str, *, region: str | None = None, **options: Any) -> Any:
        """A boto3 client of the root key. It makes one attempt, so that a test sees the first answer."""
        config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)
        client = _session().client(
            service,
            **{
                "endpoint_url": self.url,
                "region_name": region or self.region,
                "aws_access_key_id": self.access_key_id,
                "aws_secret_access_key": self.secret_access_key,
                "config": config,
                **options,
            },
        )
        self._clients.append(client)
        return client

    def aws_environment(self, scratch: Path) -> dict[str, str]:
        """For a subprocess of an AWS tool: the root key, the endpoint, and nothing of this machine's own AWS set-up."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": str(scratch / "no-aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(scratch / "no-aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def docker_config(self, directory: Path, *, user: str | None = None, password: str | None = None) -> Path:
        """Writes `directory`/config.json as `docker login` leaves it (default: with the root key).

        Returns `directory`, for DOCKER_CONFIG.
        """
        pair = f"{user or self.access_key_id}:{password or self.secret_access_key}"
        auth = base64.b64encode(pair.encode()).decode()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps({"auths": {self.address: {"auth": auth}}}))
        return directory


_SESSIONS = threading.local()


def _session() -> boto3.session.Session:
    """This thread's: it reads each service model once, and two threads must not make clients of one at a time."""
    if not hasattr(_SESSIONS, "session"):
        _SESSIONS.session = boto3.session.Session()
    session: boto3.session.Session = _SESSIONS.session
    return session


@functools.cache
def _unverified() -> ssl.SSLContext:
    """Only for servers that this process has started itself; tests verify certificates where they matter."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outlives(process: subprocess.Popen[bytes], *, seconds: float) -> bool:
    """Whether other processes of its group are still there after a moment to end in."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    return True
