"""Tags are linearizable across replicas: what concurrent clients saw, with one replica killed in the middle, can be told as one
thing after the other."""

import http.client
import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import require
from tests.backing import Backing
from tests.linear import Kind, Operation, told, violation
from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, Answer, Client, descriptor, digest_of, eventually

if TYPE_CHECKING:
    from tests.postgres import PostgresServer
    from tests.s3 import S3Server

SEED = int(os.environ.get("LONGSHORE_SEED", "20260306"))
LONG = require.long_form()
SECONDS = 40.0 if LONG else 1.5
"""Of load: before a replica is killed, while it is away, and after it is back."""
CLIENTS = 6
TAGS = ("one", "two", "three")
NAME = "linear/tags"
SETTINGS = {
    "registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false", "gc.interval": "0.3",
    "gc.settle": "0",
}  # fmt: skip
Gone = (OSError, http.client.HTTPException)


@dataclass
class Recorder:
    """Operations of all clients, by one clock."""

    operations: list[Operation] = field(default_factory=list)
    answers: dict[int, float] = field(default_factory=dict)
    """When the last request began that each server has answered."""

    def note(self, tag: str, kind: Kind, value: str | None, began: float, ended: float, by: str) -> None:
        self.operations.append(Operation(tag, kind, value, began, ended, by))

    def answered_by(self, *, since: float) -> set[int]:
        """Servers that have answered what was asked since."""
        return {server for server, began in self.answers.items() if began > since}


class TagClient(threading.Thread):
    """Puts, gets, deletes and lists tags at random, through whichever replica."""

    def __init__(self, name: str, servers: Sequence[LiveServer], recorder: Recorder, stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.failure: Exception | None = None
        self._servers = servers
        self._recorder = recorder
        self._stopping = stopping
        self._random = random.Random(f"{SEED}/{name}")
        self._put = 0
        self._through = 0

    def run(self) -> None:
        try:
            clients = [Client(server) for server in self._servers]
            while not self._stopping.is_set():
                self._through = self._random.randrange(len(clients))
                self._act(clients[self._through])
            for client in clients:
                client.close()
        except Exception as error:  # noqa: BLE001 - the test raises it
            self.failure = error

    def _act(self, client: Client) -> None:
        tag = self._random.choice(TAGS)
        self._random.choices((self._push, self._get, self._untag, self._drop, self._list), (4, 8, 2, 1, 1))[0](
            client, tag
        )

    def _ask(
        self, client: Client, method: str, path: str, body: bytes | None = None
    ) -> tuple[Answer | None, float, float]:
        """(the answer, when it began, when it ended): none, and infinite, if none came or it says nothing."""
        began = time.monotonic()
        try:
            answer = client(method, f"/v2/{NAME}/{path}", body, {"Content-Type": IMAGE})
        except ConnectionRefusedError:  # nobody was there to do anything
            client.close()
            self._stopping.wait(0.01)
            return None, began, began
        except Gone:
            client.close()
            return None, began, math.inf
        if answer.status >= 500:
            return None, began, math.inf
        self._recorder.answers[self._through] = began
        return answer, began, time.monotonic()

    def _note(self, tag: str, kind: Kind, value: str | None, began: float, ended: float) -> None:
        if ended > began:
            self._recorder.note(tag, kind, value, began, ended, self.name)

    def _push(self, client: Client, tag: str) -> None:
        self._put += 1
        document = {
            "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, b"{}"), "layers": [],
            "annotations": {"by": self.name, "number": str(self._put)},
        }  # fmt: skip
        content = json.dumps(document).encode()
        answer, began, ended = self._ask(client, "PUT", f"manifests/{tag}", content)
        assert answer is None or answer.status == 201, answer
        self._note(tag, Kind.PUT, digest_of(content), began, ended)

    def _get(self, client: Client, tag: str) -> None:
        answer, began, ended = self._ask(client, self._random.choice(("GET", "HEAD")), f"manifests/{tag}")
        if answer is not None:
            assert answer.status in {200, 404}, answer
            found = answer.headers["Docker-Content-Digest"] if answer.status == 200 else None
            self._note(tag, Kind.GET, found, began, ended)

    def _untag(self, client: Client, tag: str) -> None:
        answer, began, ended = self._ask(client, "DELETE", f"manifests/{tag}")
        assert answer is None or answer.status in {202, 404}, answer
        self._note(tag, Kind.DELETE, "there" if answer is None or answer.status == 202 else None, began, ended)

    def _drop(self, client: Client, tag: str) -> None:
        """Delete a manifest, which takes all tags that name it."""
        answer, began, ended = self._ask(client, "HEAD", f"manifests/{tag}")
        if answer is None or answer.status == 404:
            return
        digest = answer.headers["Docker-Content-Digest"]
        self._note(tag, Kind.GET, digest, began, ended)
        answer, began, ended = self._ask(client, "DELETE", f"manifests/{digest}")
        assert answer is None or answer.status in {202, 404}, answer
        if answer is None or answer.status == 202:
            for one in TAGS:
                self._note(one, Kind.DROP, digest, began, ended)

    def _list(self, client: Client, tag: str) -> None:
        answer, began, ended = self._ask(client, "GET", "tags/list")
        if answer is not None:
            for one in TAGS:
                self._note(one, Kind.SEEN, "there" if one in answer.json["tags"] else None, began, ended)


def record(servers: Sequence[LiveServer], kill: Callable[[], None], bring_back: Callable[[], None]) -> list[Operation]:
    """What clients see while one of those who serve them is killed and comes back."""
    print(f"seed {SEED}; again with LONGSHORE_SEED={SEED}")
    with Client(servers[0]) as client:
        client.push_image(NAME, "kept")
    recorder, stopping = Recorder(), threading.Event()
    clients = [TagClient(f"client-{number}", servers, recorder, stopping) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    try:
        stopping.wait(SECONDS)
        kill()
        stopping.wait(SECONDS)
        bring_back()
        back = time.monotonic()
        stopping.wait(SECONDS)
        eventually(lambda: recorder.answered_by(since=back) == {*range(len(servers))})
    finally:
        stopping.set()
        for one in clients:
            one.join(60)
    for one in clients:
        assert not one.is_alive()
        if one.failure is not None:
            raise one.failure
    return recorder.operations


def check(operations: list[Operation]) -> None:
    kinds = {kind: sum(operation.kind is kind for operation in operations) for kind in Kind}
    print(
        {kind.name: count for kind, count in kinds.items()},
        sum(math.isinf(one.ended) for one in operations),
        "unanswered",
    )
    assert all(kinds.values()), "every kind of operation was tried"
    found = violation(operations)
    assert not found, told(found)


@pytest.fixture
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[LiveServer]]:
    """Two that share a database, and a bucket or a directory of blobs."""
    postgres: PostgresServer = request.getfixturevalue("postgres")
    s3: S3Server | None = request.getfixturevalue("s3") if request.param == "s3" else None
    shared = {**Backing(postgres, s3).settings(tmp_path), **SETTINGS}
    with ExitStack() as stack:
        servers = []
        for number in range(2):
            server = LiveServer(tmp_path / f"replica-{number}", settings=shared)
            if s3 is None:
                (tmp_path / "blobs").mkdir(exist_ok=True)
                server.data.mkdir(parents=True)
                (server.data / "blobs").symlink_to(tmp_path / "blobs")
            servers.append(stack.enter_context(server))
        yield servers


@pytest.mark.parametrize("replicas", ["directory", pytest.param("s3", marks=pytest.mark.long)], indirect=True)
def test_tags_are_linearizable_across_replicas_of_which_one_is_killed(replicas: list[LiveServer]):
    check(record(replicas, replicas[1].kill, lambda: replicas[1].start() and None))


@pytest.mark.usefixtures("rows_on_disk")
def test_tags_are_linearizable_across_workers_of_which_one_is_killed(tmp_path: Path):
    with LiveServer(tmp_path, settings=SETTINGS, workers=3) as server:
        assert server.process is not None
        parent = server.process.pid

        def workers() -> list[int]:
            return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

        def kill() -> None:
            os.kill(workers()[0], signal.SIGKILL)

        check(record([server], kill, lambda: eventually(lambda: len(workers()) == 3)))


def test_one_stale_read_among_them_would_be_found(tmp_path: Path):
    """So the checks above can fail: one client is told what the tag named before, once."""
    with LiveServer(tmp_path, settings=SETTINGS) as server:
        operations = record([server], lambda: None, lambda: None)
    assert violation(operations) == []
    puts = sorted((one for one in operations if one.kind is Kind.PUT and one.tag == TAGS[0]), key=lambda one: one.began)
    latter = puts[len(puts) // 2]
    former = next(one for one in reversed(puts) if one.ended < latter.began)
    late = next(one for one in operations if one.kind is Kind.GET and one.tag == TAGS[0] and one.began > latter.ended)
    stale = replace(late, value=former.value)
    assert stale in violation([stale if one is late else one for one in operations])
