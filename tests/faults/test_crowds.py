"""Crowds: a thousand slow clients, two hundred who push one image, five hundred who pull it. Everyone else is served meanwhile,
and memory and descriptors stay bounded and come back."""

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import pytest

from tests import require
from tests.faults import stock
from tests.faults.test_memory import peaks
from tests.faults.test_vanishing import descriptors_of
from tests.live import LiveServer
from tests.wire.certificates import Authority
from tests.wire.client import (
    CONFIG,
    IMAGE,
    LAYER,
    Client,
    Wire,
    descriptor,
    digest_of,
    eventually,
    request,
    with_query,
)

SEED = int(os.environ.get("LONGSHORE_SEED", "20260307"))
LONG = require.long_form()
SLOW = 1000
PUSHING = 200
PULLING = 500
MIB = 1024 * 1024
NAME = "crowd/image"
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false"}
WAIT = 2.0
"""Seconds in which a bystander is served, on a machine that has the crowd's own work to do as well."""
FILES_OF_ONE = 2
"""Descriptors that somebody who pushes or pulls takes of the server: the connection, and a file."""
MEMORY_OF_ONE = 200_000
BASE = 100 * MIB
"""Bytes that the server takes for somebody who pushes or pulls, and for the work itself."""
SLACK = 16
"""Descriptors that a server may have more than before: packs that it looked into."""


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path, settings=SETTINGS, workers=request.param) as running:
        yield running


class Bystander(contextlib.AbstractContextManager["Bystander"]):
    """Somebody who comes, pushes and pulls something small and goes, all the time, and notes how long each request takes.

    `tries`: how often it comes when its connection ends before its first request is answered.
    """

    def __init__(self, server: LiveServer, *, tries: int = 1) -> None:
        self.times: list[float] = []
        self.descriptors = 0
        """Of all processes of the server, at the most."""
        self._tries = tries
        self.failure: BaseException | None = None
        self._server = server
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        name = "crowd/bystander"
        try:
            number = 0
            while not self._stopping.is_set():
                number += 1
                with Client(self._server) as client:
                    steps: list[Callable[[], object]] = [
                        lambda: self._arrive(client),
                        lambda number=number: client.push_image(name, "mine", layers=[b"%d" % number]),  # type: ignore[misc]
                        lambda: client("GET", f"/v2/{name}/manifests/mine"),
                        lambda: client("HEAD", f"/v2/{name}/manifests/mine"),
                        lambda: client("GET", f"/v2/{name}/tags/list"),
                    ]
                    for step in steps:
                        began = time.monotonic()
                        step()
                        self.times.append(time.monotonic() - began)
                        self.descriptors = max(self.descriptors, sum(descriptors_of(self._server).values()))
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.failure = error

    def _arrive(self, client: Client) -> None:
        for left in reversed(range(self._tries)):
            try:
                assert client("GET", "/v2/").status == 200
                return
            except (OSError, HTTPException):
                if not left:
                    raise

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def check(self, *, least: int) -> None:
        if self.failure is not None:
            raise self.failure
        assert len(self.times) >= least, "there was a bystander"
        # a push is four requests, each of which may wait for a crowd's
        assert max(self.times) < 4 * WAIT, f"the slowest of {len(self.times)} took {max(self.times):.2f} s"
        assert sorted(self.times)[len(self.times) * 9 // 10] < WAIT


def held(server: LiveServer) -> int:
    """Bytes of memory that all processes of the server have held at the most, so far."""
    return sum(peaks(server).values())


class SlowCrowd:
    """Connections that send a byte a second, each: half of them never get through a header, half of them bring a body."""

    def __init__(self, server: LiveServer, authorization: str, locations: list[str], count: int) -> None:
        self._texts: list[tuple[socket.socket, bytes, int]] = []
        self.ended = 0
        source = random.Random(SEED)
        for number in range(count):
            slow_header = number % 2 == 0
            location = locations[number // 2 % len(locations)]
            text = request(
                "PATCH", location, "Content-Length: 1000000", authorization=authorization, body=source.randbytes(4000)
            )  # fmt: skip
            begins = 1 if slow_header else text.index(b"\r\n\r\n") + 4
            connection = socket.create_connection((server.host, server.port), timeout=10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(text[:begins])
            self._texts.append((connection, text, begins))

    def send(self, *, seconds: float) -> None:
        """A byte of each, every second."""
        first, step = time.monotonic(), 0
        while (began := time.monotonic()) - first < seconds:
            alive = []
            for connection, text, begins in self._texts:
                try:
                    connection.sendall(text[begins + step : begins + step + 1])
                    alive.append((connection, text, begins))
                except OSError:
                    connection.close()
                    self.ended += 1
            self._texts = alive
            step += 1
            time.sleep(max(0.0, began + 1.0 - time.monotonic()))  # that is what makes them slow

    def close(self) -> None:
        for connection, _, _ in self._texts:
            connection.close()


def test_a_thousand_slow_connections_hold_nobody_up(server: LiveServer) -> None:
    with Client(server) as client:
        locations = [client.begin(NAME) for _ in range(SLOW // 2)]
        client.push_image(NAME, "warm")
        before, memory = descriptors_of(server), held(server)
        most: list[int] = []
        for _ in range(2):  # what a first crowd has taken serves the second one
            crowd = SlowCrowd(server, client.authorization, locations, SLOW)
            try:
                with Bystander(server) as bystander:
                    crowd.send(seconds=50.0 if LONG else 2.5)  # less than a header may take
                bystander.check(least=20)
                assert crowd.ended == 0
                assert SLOW <= bystander.descriptors - sum(before.values()) <= SLOW + SLACK * len(before)
                most.append(held(server))
            finally:
                crowd.close()
            eventually(lambda: all(count <= before[pid] + SLACK for pid, count in descriptors_of(server).items()))
        assert most[0] - memory < SLOW * 50_000, f"{(most[0] - memory) // SLOW} bytes for each"
        assert most[1] < most[0] + 16 * MIB, "memory does not grow with each crowd"
        client.close()  # which has waited for longer than a server keeps it
        # those who brought a body may go on where they stood
        assert client("GET", locations[0]).status == 204
        assert client("PATCH", locations[0], b"again").headers["Range"] == "0-4"
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("begun", [False, True], ids=["silent", "in a header"])
def test_where_the_system_allows_few_files_those_who_wait_longest_are_ended(
    scheme: str, begun: bool, tmp_path: Path
) -> None:
    """As a shell or a container may limit it: a thousand who never get through a header, or a handshake of TLS, and
    somebody who wants something."""
    few = 600
    settings = dict(SETTINGS)
    if scheme == "https":
        settings |= {"tls.certificate": str(tmp_path / "tls.crt"), "tls.key": str(tmp_path / "tls.key")}
        Authority().issue("crowd.test").write(tmp_path / "tls.crt", tmp_path / "tls.key")
    server = Limited(tmp_path, settings=settings, scheme=scheme)
    server.limit = few
    with server, Client(server) as client:
        client.push_image(NAME, "here")
        waiting = []
        try:
            with Bystander(server, tries=5) as bystander:
                for _ in range(SLOW):
                    connection = (
                        server.connection(timeout=10) if begun else HTTPConnection(server.host, server.port, timeout=10)
                    )
                    with contextlib.suppress(ConnectionError):  # others may have come meanwhile
                        connection.connect()
                        if begun:
                            connection.send(b"GET /v2/ HTTP/1.1\r\nHost: ")
                    waiting.append(connection)
                before = len(bystander.times)
                eventually(lambda: len(bystander.times) > before + 20 or bystander.failure, within=60)
            assert bystander.descriptors < few
            bystander.check(least=20)
        finally:
            for connection in waiting:
                connection.close()
        client.close()
        assert client("GET", f"/v2/{NAME}/manifests/here").status == 200
    log = server.log.read_text()
    assert "too many connections" in log
    assert "cannot be accepted" not in log


def test_who_has_asked_stays_longer_than_who_never_has_and_a_request_under_way_is_not_ended(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LiveServer(tmp_path, settings={**SETTINGS, "server.connections": "4"}))
        with Client(server) as client:
            authorization = client.authorization
            location = client.begin(NAME)

        def come(text: bytes = b"") -> Wire:
            wire = Wire(server)
            stack.callback(wire.close)
            wire.send(text)
            return wire

        def ask(wire: Wire) -> None:
            wire.send(request("GET", "/healthz"))
            assert wire.receive().status == 200

        head = request("PATCH", location, "Content-Length: 4", "Expect: 100-continue", authorization=authorization)
        pushing = come(head)
        assert pushing.receive_line().startswith(b"HTTP/1.1 100")
        assert pushing.receive_line() == b"\r\n"
        early, late = come(), come()
        silent = come(b"GET ")
        ask(late)
        ask(early)
        newcomer = come()
        ask(newcomer)
        assert silent.ends(), "which never asked"
        other = come()
        ask(other)
        assert late.ends(), "which asked longest ago"
        pushing.send(b"body")
        assert pushing.receive("PATCH").status == 202
        for wire in (early, newcomer, other):
            ask(wire)


def test_whoever_comes_while_all_workers_are_busy_is_served_when_one_has_time(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LiveServer(tmp_path, settings=SETTINGS, workers=2))
        assert server.process is not None
        workers = [pid for pid in descriptors_of(server) if pid != server.process.pid]
        waiting = []
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(SLOW):
                wire = Wire(server)
                stack.callback(wire.close)
                wire.send(request("GET", "/healthz"))
                waiting.append(wire)
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        assert {wire.receive().status for wire in waiting} == {200}


class Limited(LiveServer):
    """A server that may have so many files open, hard and soft."""

    limit = 1024

    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={self.limit}:{self.limit}", *super().command()]


def test_a_server_takes_as_many_files_as_the_system_lets_it(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"the system lets this user have {hard} files")

    class Usual(LiveServer):
        def command(self) -> list[str]:
            return ["prlimit", "--nofile=1024:2048", *super().command()]

    with Usual(tmp_path, settings=SETTINGS) as server:
        assert server.process is not None
        shown = subprocess.run(
            ["prlimit", "--pid", str(server.process.pid), "--nofile", "--noheadings", "--output", "SOFT"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert int(shown.stdout) == 2048


def all_at_once(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Threads that begin together; what they raised."""
    failures: list[BaseException] = []
    gate = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            gate.wait(60)
            work(number)
        except BaseException as error:  # noqa: BLE001 - given back
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "somebody is still waiting"
    return failures


def bear(server: LiveServer, count: int, act: Callable[[int], None]) -> None:
    """So many at once all succeed, somebody else is served meanwhile, and memory and descriptors stay within their bounds."""
    before, memory = descriptors_of(server), held(server)
    with Bystander(server) as bystander:
        failures = all_at_once(count, act)
    assert failures == []
    bystander.check(least=4)
    assert bystander.descriptors - sum(before.values()) <= FILES_OF_ONE * count + SLACK * len(before)
    assert held(server) - memory < BASE + MEMORY_OF_ONE * count
    eventually(lambda: all(files <= before[pid] + SLACK for pid, files in descriptors_of(server).items()))


def test_two_hundred_who_push_one_image_all_succeed(server: LiveServer) -> None:
    pushing = PUSHING * (5 if LONG else 1)
    source = random.Random(SEED)
    layers = [source.randbytes(60_000), source.randbytes(300_000)]
    config = b'{"architecture":"amd64","os":"linux"}'
    document = {
        "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer) for layer in layers],
    }  # fmt: skip
    manifest = json.dumps(document).encode()

    def push(number: int) -> None:
        with Client(server, authorization=authorization) as client:
            for data in (config, *layers):
                if number % 3 and client("HEAD", f"/v2/{NAME}/blobs/{digest_of(data)}").status == 200:
                    continue
                location = client.begin(NAME)
                answer = client("PATCH", location, data)
                assert answer.status == 202, answer
                answer = client("PUT", with_query(location, f"digest={digest_of(data)}"))
                assert answer.status == 201, answer
            answer = client("PUT", f"/v2/{NAME}/manifests/one", manifest, Content_Type=IMAGE)
            assert answer.status == 201, answer

    with Client(server) as client:
        authorization = client.authorization
        client.push_image(NAME, "warm")
        bear(server, pushing, push)
        assert client("GET", f"/v2/{NAME}/manifests/one").body == manifest
        for data in (config, *layers):
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
    server.stop()
    assert stock.check(server).faults == []
    with server.rows() as rows:
        assert rows.execute("SELECT COUNT(*) FROM blobs WHERE digest = ?", (digest_of(layers[1]),)).fetchone()[0] == 1
    stock.collect(server)
    assert stock.leftovers(server) == []
    server.start()


def test_five_hundred_who_pull_one_tag_all_get_it_whole(server: LiveServer) -> None:
    pulling = PULLING * (4 if LONG else 1)
    layer = random.Random(SEED).randbytes(MIB)

    def pull(_: int) -> None:
        with Client(server, authorization=authorization) as client:
            manifest = client("GET", f"/v2/{NAME}/manifests/popular")
            assert manifest.headers["Docker-Content-Digest"] == digest == digest_of(manifest.body)
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(layer)}").body == layer

    with Client(server) as client:
        authorization = client.authorization
        digest = client.push_image(NAME, "popular", layers=[layer])
        bear(server, pulling, pull)
    assert "Traceback" not in server.log.read_text()
