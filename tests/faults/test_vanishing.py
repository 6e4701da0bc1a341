"""Clients that vanish at any byte, or send one byte at a time: nobody else notices, and nothing of it stays."""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import require
from tests.faults import stock
from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, LAYER, Client, Wire, descriptor, digest_of, eventually, request, with_query

NAME = "vanish/here"
SEED = int(os.environ.get("LONGSHORE_SEED", "20260302"))
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false"}


@pytest.fixture(params=[1, 3], ids=["one worker", "three workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    print(f"seed {SEED}; again with LONGSHORE_SEED={SEED}")
    with LiveServer(tmp_path, settings=SETTINGS, workers=request.param) as running:
        yield running


def chunked(data: bytes, step: int) -> bytes:
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Requests:
    """Requests of every kind, each about bytes of its own: (request, path where it would show)."""

    def __init__(self, client: Client, source: random.Random) -> None:
        self.client = client
        self.random = source
        self.kinds = (self.whole, self.chunk, self.streamed, self.closing, self.manifest, self.reading, self.cancelling)

    def make(self) -> tuple[bytes, str | None]:
        return self.random.choice(self.kinds)()

    def _data(self) -> bytes:
        return self.random.randbytes(self.random.choice((1, 100, 5000, 262_144, 300_000, 1_200_000)))

    def _request(self, method: str, path: str, body: bytes = b"", *fields: str) -> bytes:
        length = () if "Transfer-Encoding: chunked" in fields else (f"Content-Length: {len(body)}",)
        return request(method, path, *length, *fields, authorization=self.client.authorization, body=body)

    def whole(self) -> tuple[bytes, str | None]:
        data = self._data()
        path = f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}"
        return self._request("POST", path, data), f"/v2/{NAME}/blobs/{digest_of(data)}"

    def chunk(self) -> tuple[bytes, str | None]:
        return self._request("PATCH", self.client.begin(NAME), self._data()), None

    def streamed(self) -> tuple[bytes, str | None]:
        body = chunked(self._data(), 70_000)
        return self._request("PATCH", self.client.begin(NAME), body, "Transfer-Encoding: chunked"), None

    def closing(self) -> tuple[bytes, str | None]:
        first, last = self._data(), self._data()
        location = self.client.begin(NAME)
        assert self.client("PATCH", location, first).status == 202
        digest = digest_of(first + last)
        return self._request("PUT", with_query(location, f"digest={digest}"), last), f"/v2/{NAME}/blobs/{digest}"

    def manifest(self) -> tuple[bytes, str | None]:
        document = {
            "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, b"{}"),
            "layers": [descriptor(LAYER, b"a layer")], "annotations": {"of": str(self.random.random())},
        }  # fmt: skip
        content = json.dumps(document).encode()
        path = f"/v2/{NAME}/manifests/{digest_of(content)}"
        return self._request("PUT", path, content, f"Content-Type: {IMAGE}"), path

    def reading(self) -> tuple[bytes, str | None]:
        return self._request("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}"), None

    def cancelling(self) -> tuple[bytes, str | None]:
        return self._request("DELETE", self.client.begin(NAME)), None


LARGE = bytes(range(256)) * 16384
"""4 MiB."""


def descriptors_of(server: LiveServer) -> dict[int, int]:
    """Open descriptors of each process of the server."""
    assert server.process is not None
    pid = server.process.pid
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return {one: len(os.listdir(f"/proc/{one}/fd")) for one in (pid, *children)}


def test_clients_that_vanish_leave_nothing(server: LiveServer) -> None:
    source = random.Random(SEED)
    with Client(server) as client:
        client.push_image(NAME, "keep")
        client.push_blob(NAME, LARGE)
        before = descriptors_of(server)
        requests = Requests(client, source)
        for _ in range(1500 if require.long_form() else 250):
            text, shows = requests.make()
            end = source.choice((source.randrange(len(text)), source.randrange(min(len(text), 600)), len(text) - 1))
            wire = Wire(server)
            wire.send(text[:end])
            if shows is None and text.startswith(b"GET") and source.random() < 0.7:
                wire.send(text[end:])  # vanish while the answer comes
                wire.socket.recv(source.choice((1, 500, 100_000)))
            wire.reset() if source.random() < 0.5 else wire.close()
            if shows is not None:
                assert client("GET", shows).status == 404, "a request that never ended had an effect"
        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}").body == LARGE
        assert client("GET", f"/v2/{NAME}/tags/list").json["tags"] == ["keep"]
        eventually(lambda: all(count <= before[pid] + 12 for pid, count in descriptors_of(server).items()))
    assert "Traceback" not in server.log.read_text()
    _leaves_nothing(server, blobs=3)


def test_whole_requests_of_clients_that_vanish_happen_wholly_or_not_at_all(server: LiveServer) -> None:
    """The last byte was sent, the answer was not awaited."""
    source = random.Random(SEED + 1)
    with Client(server) as client:
        client.push_image(NAME, "keep")
        client.push_blob(NAME, LARGE)
        requests = Requests(client, source)
        shown = []
        for _ in range(400 if require.long_form() else 80):
            text, shows = requests.make()
            wire = Wire(server)
            wire.send(text)
            wire.reset() if source.random() < 0.5 else wire.close()
            if shows is not None:
                shown.append(shows)
        eventually(lambda: client("GET", "/healthz").status == 200)
        for path in shown:
            answer = client("GET", path)
            assert answer.status in {200, 404}
            if answer.status == 200:
                assert digest_of(answer.body) == answer.headers["Docker-Content-Digest"]
    assert "Traceback" not in server.log.read_text()
    server.stop()
    assert stock.check(server).faults == []
    stock.collect(server)
    assert stock.leftovers(server) == []
    server.start()


def test_slow_clients_hold_nobody_up(server: LiveServer) -> None:
    """Twenty clients that send their request a byte at a time, beside one that works as ever."""
    source = random.Random(SEED + 2)
    with Client(server) as client:
        client.push_blob(NAME, b"x")
        bodies = [source.randbytes(40) for _ in range(20)]
        texts = [
            request(
                "POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(body)}", f"Content-Length: {len(body)}",
                authorization=client.authorization, body=body,
            )
            for body in bodies
        ]  # fmt: skip
        wires = [Wire(server) for _ in texts]
        done = threading.Event()

        def dribble() -> None:
            for position in range(max(map(len, texts))):
                for wire, text in zip(wires, texts, strict=True):
                    wire.send(text[position : position + 1])
            done.set()

        slow = threading.Thread(target=dribble)
        slow.start()
        longest, count = 0.0, 0
        while not done.is_set() or count < 20:
            data = source.randbytes(50_000)
            began = time.monotonic()
            assert client("GET", f"/v2/{NAME}/blobs/{client.push_blob(NAME, data)}").body == data
            longest, count = max(longest, time.monotonic() - began), count + 1
        slow.join()
        assert longest < 3.0
        assert [wire.receive("POST").status for wire in wires] == [201] * 20
        for body in bodies:
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(body)}").body == body
        for wire in wires:
            wire.close()


def test_a_client_that_takes_nothing_holds_nobody_up(server: LiveServer) -> None:
    with Client(server) as client:
        client.push_blob(NAME, LARGE)
        wires = [Wire(server) for _ in range(20)]
        for wire in wires:
            wire.send(request("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}", authorization=client.authorization))
        for number in range(20):
            assert client.push_blob(NAME, b"%d" % number)
        answers = [wire.receive() for wire in wires]
        assert all(answer.body == LARGE for answer in answers), "and when they take it, it is whole"
        for wire in wires:
            wire.close()


@pytest.mark.parametrize("server", [1], indirect=True)
def test_who_falls_silent_is_given_up(tmp_path: Path, server: LiveServer) -> None:
    other = LiveServer(tmp_path / "impatient", settings={**SETTINGS, "server.idle_timeout": "1"})
    with other, Client(other) as client:
        client.push_blob(NAME, LARGE)
        location = client.begin(NAME)
        with Wire(other) as silent, Wire(other) as deaf:
            fields = ("Content-Length: 1000000",)
            silent.send(request("PATCH", location, *fields, authorization=client.authorization, body=b"x" * 300_000))
            deaf.send(request("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}", authorization=client.authorization))
            assert silent.ends()
        assert client("GET", location).headers["Range"] == "0-0"
        assert client("PATCH", location, b"again").headers["Range"] == "0-4"
    _leaves_nothing(other, blobs=1, again=False)


def _leaves_nothing(server: LiveServer, *, blobs: int, again: bool = True) -> None:
    if server.process is not None:
        server.stop()
    assert stock.check(server).faults == []
    with server.rows() as rows:
        assert rows.execute("SELECT COUNT(*) FROM blobs").fetchone() == (blobs,)
    stock.collect(server)
    assert stock.leftovers(server) == []
    if again:
        server.start()
