"""Streams of any size in bounded memory."""

import hashlib
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backing import Backing
from tests.live import LiveServer
from tests.wire.client import Client, with_query

MIB = 1024 * 1024
LIMIT = 150 * MIB
NAME = "memory/large"
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false"}


class Stream:
    """`size` bytes that are nowhere at once, and their digest."""

    def __init__(self, mark: int, size: int) -> None:
        self._block = hashlib.shake_256(b"%d" % mark).digest(MIB)
        self._count = size // MIB
        running = hashlib.sha256()
        for block in self:
            running.update(block)
        self.digest = f"sha256:{running.hexdigest()}"
        self.size = self._count * MIB

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._count):
            yield b"%08d" % number + self._block[8:]


def peaks(server: LiveServer) -> dict[int, int]:
    """Bytes that each process of the server held at its worst (VmHWM)."""
    assert server.process is not None
    pid = server.process.pid
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    found = {}
    for one in (pid, *children):
        line = next(text for text in Path(f"/proc/{one}/status").read_text().splitlines() if text.startswith("VmHWM"))
        found[one] = int(line.split()[1]) * 1024
    return found


@pytest.fixture(params=["a disk", "a bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings of a server that keeps blobs there."""
    if request.param == "a disk":
        return SETTINGS
    return {**SETTINGS, **Backing(s3=request.getfixturevalue("s3")).settings(tmp_path / "bucket")}


def push(server: LiveServer, stream: Stream, shape: str, failures: list[str]) -> None:
    with Client(server) as client:
        location = client.begin(NAME)
        put = with_query(location, f"digest={stream.digest}")
        if shape == "put":  # as containerd and oras do
            statuses = [client("PUT", put, iter(stream), Content_Length=str(stream.size)).status]
        else:  # as docker does
            statuses = [client("PATCH", location, iter(stream)).status, client("PUT", put).status]
        if statuses[-1] != 201:
            failures.append(f"{shape}: {statuses}")


def pull(server: LiveServer, stream: Stream, failures: list[str]) -> None:
    with Client(server) as client:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=300)
        connection.request("GET", f"/v2/{NAME}/blobs/{stream.digest}", headers={"Authorization": client.authorization})
        response = connection.getresponse()
        running = hashlib.sha256()
        while block := response.read(MIB):
            running.update(block)
        connection.close()
        if f"sha256:{running.hexdigest()}" != stream.digest:
            failures.append(f"{stream.digest} came back as other bytes")


def all_at_once(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("shape", ["put", "patch"])
@pytest.mark.parametrize(
    ("workers", "size"),
    [(1, 50 * MIB), (2, 50 * MIB), pytest.param(1, 1024 * MIB, marks=pytest.mark.long)],
    ids=["50 MiB", "50 MiB, two workers", "1 GiB"],
)
def test_eight_pushes_at_once_stay_in_bounds(
    workers: int, size: int, shape: str, store: dict[str, str], tmp_path: Path
) -> None:
    check(8, workers, size, shape, store, tmp_path)


@pytest.mark.parametrize("size", [10 * MIB, pytest.param(100 * MIB, marks=pytest.mark.long)], ids=["10 MiB", "100 MiB"])
def test_sixty_four_pushes_at_once_stay_in_the_same_bounds(size: int, store: dict[str, str], tmp_path: Path) -> None:
    check(64, 1, size, "patch", store, tmp_path)


def check(count: int, workers: int, size: int, shape: str, store: dict[str, str], tmp_path: Path) -> None:
    """So many blobs of that size are pushed at once, and pulled at once, and no process takes more than the limit."""
    streams = [Stream(number, size) for number in range(count)]
    failures: list[str] = []
    with LiveServer(tmp_path, settings=store, workers=workers) as server:
        with Client(server) as client:
            client.push_blob(NAME, b"x")
        all_at_once([threading.Thread(target=push, args=(server, stream, shape, failures)) for stream in streams])
        pushed = peaks(server)
        all_at_once([threading.Thread(target=pull, args=(server, stream, failures)) for stream in streams])
        pulled = peaks(server)
    assert failures == []
    print({pid: f"{peak / 1e6:.0f} MB pushed, {pulled[pid] / 1e6:.0f} MB pulled" for pid, peak in pushed.items()})
    for found in (pushed, pulled):
        assert max(found.values()) < LIMIT, {pid: f"{peak // MIB} MiB" for pid, peak in found.items()}
