"""Real proxies in front of servers, run from the example files as they are but for addresses and places."""

import contextlib
import http.client
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.live import ROOT, LiveServer
from tests.parts import system
from tests.ports import free_port
from tests.require import need

EXAMPLES = ROOT / "config" / "examples"
_READY_SECONDS = 15.0


class Proxy:
    """A proxy of `kind` (haproxy or nginx) that reads `text`. It has the part of a LiveServer that clients need.

    It starts and stops with the context; skips, by name, where the program is missing.
    """

    def __init__(self, kind: str, text: str, directory: Path, server: LiveServer, port: int) -> None:
        self._program = need("clients", system(kind), kind)
        self._kind = kind
        self._file = directory / f"{kind}.conf"
        self._file.write_text(text)
        self._log = directory / f"{kind}.log"
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        self.host = server.host
        self.port = port
        self.address = f"{server.host}:{port}"
        self.access_key_id = server.access_key_id
        self.secret_access_key = server.secret_access_key

    def connection(self, *, timeout: float) -> http.client.HTTPConnection:
        """A new one, not open yet."""
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def __enter__(self) -> Self:
        words = {
            "haproxy": ["-db", "-f", str(self._file)],
            "nginx": ["-c", str(self._file), "-p", str(self._file.parent), "-e", "stderr", "-g", "daemon off;"],
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *words[self._kind]], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
                raise AssertionError(f"{self._kind} ended:\n{self._log.read_text()}")
            assert time.monotonic() < deadline, self._log.read_text()
        return self

    def _answers(self) -> bool:
        probe = LiveServer(self._file.parent / "probe", host=self.host, port=self.port)
        return probe.ready()

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def changed(file: str, changes: Mapping[str, str]) -> str:
    """An example's text with some of its words exchanged; each has to be there."""
    text = (EXAMPLES / file).read_text()
    for old, new in changes.items():
        assert old in text, f"{file} does not say {old}"
        text = text.replace(old, new)
    return text


def balancer(kind: str, directory: Path, servers: Sequence[LiveServer]) -> Proxy:
    """In front of three replicas: `config/examples/replicas`."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    changes = {f"replica-{number}:5000": server.address for number, server in enumerate(servers, 1)}
    if kind == "haproxy":
        text = changed("replicas/haproxy.cfg", {"bind :5000": f"bind 127.0.0.1:{port}", **changes})
    else:
        changes |= {"listen 5000;": f"listen 127.0.0.1:{port};", "pid /run/nginx.pid;": f"pid {directory}/nginx.pid;"}
        text = _with_places(changed("replicas/nginx.conf", changes), directory)
    return Proxy(kind, text, directory, servers[0], port)


def front(directory: Path, server: LiveServer) -> Proxy:
    """nginx in front of a server on the same machine, without TLS: `config/examples/one-machine`."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    user = shutil.which("id") and subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout
    changes = {
        "user longshore;": f"user {str(user).strip()};",
        "pid /run/nginx.pid;": f"pid {directory}/nginx.pid;",
        "server 127.0.0.1:5000;": f"server {server.address};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "ssl_certificate /etc/longshore/tls.crt;": "",
        "ssl_certificate_key /etc/longshore/tls.key;": "",
        "/var/lib/longshore/": f"{server.data}/",
    }
    return Proxy("nginx", _with_places(changed("one-machine/nginx.conf", changes), directory), directory, server, port)


def _with_places(text: str, directory: Path) -> str:
    """nginx keeps temporary files where the distribution says; here they are the test's own."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"    {kind}_temp_path {directory}/{kind};\n" for kind in kinds)
    made, count = re.subn(r"^http \{\n", f"http {{\n{places}", text, flags=re.MULTILINE)
    assert count == 1
    return made
