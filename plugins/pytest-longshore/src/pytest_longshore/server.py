"""The installed `longshore` command, run on a free port with a directory of its own."""

import configparser
import contextlib
import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3
import botocore.config
import botocore.session

from pytest_longshore.errors import LongshoreError

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
_ATTEMPTS = 3
_LOOPBACK = "127.0.0.1"
_PORT_TAKEN = "cannot be listened on"


@dataclass(frozen=True)
class Key:
    """An access key; `token` is empty for a long-lived one."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def find_command(given: str) -> list[str]:
    """The command's words: `given` (with arguments), or `longshore` on PATH or beside this Python.

    Raises LongshoreError.
    """
    words = shlex.split(given) or ["longshore"]
    found = shutil.which(words[0]) or (None if given else shutil.which(str(Path(sys.executable).parent / "longshore")))
    if found is None:
        raise LongshoreError(
            f"there is no command `{words[0]}`: install Longshore, or say where it is by the environment variable "
            "LONGSHORE_COMMAND or the ini option longshore_command"
        )
    return [found, *words[1:]]


class Server:
    """`longshore serve`. A context manager: enters by start(), leaves by stop()."""

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        account: str = "123456789012",
        region: str = "us-east-1",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are named as in Longshore's config/default.toml: `registry.create_on_push`."""
        self.account = account
        self.region = region
        self.data = directory / "data"
        self.log = directory / "server.log"
        self.port = 0
        self._command = list(command)
        self._directory = directory
        self._settings = {
            "server.access_log": "false",
            "server.trusted_proxies": f"{_LOOPBACK}/32",  # Principal.at says where a request comes from
            **(settings or {}),
            "account.id": account,
            "account.region": region,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._session: Any = None
        self._marked = 0
        self._clients: dict[tuple[str, str, str, str], Any] = {}

    @property
    def address(self) -> str:
        """host:port, as docker names the home account's registry."""
        return f"{_LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __repr__(self) -> str:
        return f"<Server {self.url} account={self.account} region={self.region}>"

    # -- life

    def start(self) -> Self:
        """Returns once it answers that it is ready. Raises LongshoreError, with the end of its log."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = _free_port()
            if self._start_once(last=attempt == _ATTEMPTS):
                self.mark_log()
                return self
        raise AssertionError("the last attempt returns or raises")

    def _start_once(self, *, last: bool) -> bool:
        """False where another process was quicker to take the port."""
        words = [*self._command, "serve", "--host", _LOOPBACK, "--port", str(self.port), "--data", str(self.data)]
        with self.log.open("wb") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                    words,
                    cwd=self._directory,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise LongshoreError(f"`{shlex.join(words)}` cannot be run: {error.strerror}") from error
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            status = self._wait(0.05)
            if status is not None:
                self._process = None
                if _PORT_TAKEN in self.log_tail() and not last:
                    return False
                raise LongshoreError(self._story(words, f"ended with status {status} before it was ready"))
            if time.monotonic() > deadline:
                self._kill()
                raise LongshoreError(self._story(words, f"was not ready within {READY_SECONDS:.0f} s"))
        return True

    def stop(self) -> None:
        process, self._process = self._process, None
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process = process
                self._kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, seconds: float) -> int | None:
        """Its exit status, where it ends meanwhile."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def _kill(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _is_ready(self) -> bool:
        with contextlib.closing(http.client.HTTPConnection(_LOOPBACK, self.port, timeout=5)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def _environment(self) -> dict[str, str]:
        """Without any AWS or Longshore set-up of the user's own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "LONGSHORE_"))}
        settings = {f"LONGSHORE_{name.upper().replace('.', '__')}": value for name, value in self._settings.items()}
        return {**kept, **settings, "PYTHONUNBUFFERED": "1"}

    def mark_log(self) -> None:
        """`news` begins here."""
        self._marked = self.log.stat().st_size

    def news(self) -> str:
        """What the server wrote since the mark."""
        with self.log.open("rb") as log:
            log.seek(self._marked)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 40) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _story(self, words: Sequence[str], what: str) -> str:
        return f"`{shlex.join(words)}` {what}; it wrote:\n{self.log_tail() or '(nothing)'}"

    # -- accounts

    def run(self, *arguments: str) -> str:
        """What `longshore <arguments> --data ..` prints. Raises LongshoreError."""
        words = [*self._command, *arguments, "--data", str(self.data)]
        ended = subprocess.run(  # noqa: S603 - the user's own command
            words,
            cwd=self._directory,
            env=self._environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
        )
        if ended.returncode != 0:
            raise LongshoreError(f"`{shlex.join(words)}` ended with status {ended.returncode}: {ended.stderr.strip()}")
        return ended.stdout

    @property
    def root_key(self) -> Key:
        """Of the home account."""
        return _read_profile((self.data / "credentials").read_text())[1]

    def create_account(self, name: str) -> tuple[str, Key]:
        """(id, root key) of a new account."""
        return _read_profile(self.run("account", "create", name))

    # -- clients

    def client(self, service: str, key: Key, region: str = "", source_ip: str = "") -> Any:
        """A boto3 client. It makes one attempt, so that a test sees the first answer."""
        wanted = (service, key.id, region or self.region, source_ip)
        if wanted not in self._clients:
            self._clients[wanted] = self._make_client(service, key, region or self.region, source_ip)
        return self._clients[wanted]

    def _make_client(self, service: str, key: Key, region: str, source_ip: str) -> Any:
        self._session = self._session or _bare_session()
        client = self._session.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            aws_session_token=key.token or None,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        if source_ip:

            def forward(request: Any, **_: Any) -> None:
                request.headers["X-Forwarded-For"] = source_ip

            client.meta.events.register("before-send", forward)
        return client


def _bare_session() -> Any:
    """Knows nothing of the user's profiles, nor of AWS_PROFILE."""
    nothing: dict[str, Any] = {
        "profile": (None, [], None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return boto3.session.Session(botocore_session=botocore.session.Session(session_vars=nothing))


def _read_profile(text: str) -> tuple[str, Key]:
    """(account, key) of the one profile of an AWS shared credentials file."""
    profiles = configparser.RawConfigParser(default_section="")
    profiles.read_string(text)
    (name,) = (name for name in profiles.sections() if name)
    profile = profiles[name]
    key = Key(profile["aws_access_key_id"], profile["aws_secret_access_key"])
    return profile.get("aws_account_id", ""), key


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
