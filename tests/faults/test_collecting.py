"""The collector with a grace of seconds, beside pushes, mounts and deletions of the same few blobs: no image lacks one.

Clients do as docker does: what the registry says that it has is left out. Whoever collects is killed in the middle.
"""

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import require
from tests.backing import Backing
from tests.faults import stock
from tests.live import LiveServer
from tests.postgres import PostgresServer
from tests.s3 import S3Server
from tests.wire.client import CONFIG, IMAGE, LAYER, Answer, Client, descriptor, digest_of, eventually, with_query

SEED = int(os.environ.get("LONGSHORE_SEED", "20261125"))
SECONDS = 120.0 if require.long_form() else 5.0
GRACE = 4.0
SETTINGS = {
    "registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false",
    "gc.interval": "0.2", "gc.grace": f"{GRACE}", "gc.settle": "1", "gc.share": "0.5", "gc.orphan_interval": "1",
    "registry.upload_expiry": "6",
}  # fmt: skip
SHARED = ("siege/one", "siege/two")
POOL = [random.Random(number).randbytes(size) for number, size in enumerate((10, 3000, 100_000, 262_145) * 20)]
PUSHERS = 4
Gone = (OSError, http.client.HTTPException)


class Pusher(threading.Thread):
    """Pushes, looks at and deletes images of its own, of blobs that are everybody's, through all of `servers`."""

    def __init__(self, number: int, servers: Sequence[LiveServer]) -> None:
        super().__init__(daemon=True, name=f"pusher {number}")
        self.random = random.Random(f"{SEED}/{number}")
        self.stopping = threading.Event()
        self.images: dict[str, tuple[str, bytes, list[bytes]]] = {}
        """What was acknowledged: (repository, manifest, blobs) by digest."""
        self.pushed = 0
        self.wrong: list[str] = []
        self._own = f"siege/own-{number}"
        self._servers = servers
        self._clients = [Client(server) for server in servers]

    def run(self) -> None:
        acts = (
            self._push,
            self._delete_image,
            self._look,
            self._delete_repository,
            self._leave_upload,
            self._delete_blob,
        )
        while not self.stopping.is_set() and not self.wrong:
            try:
                self.random.choices(acts, (10, 7, 4, 1, 1, 2))[0]()
            except Gone:
                self.stopping.wait(0.05)  # a server is away
            except AssertionError as error:
                self.wrong.append(str(error))

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _ask(self, method: str, path: str, body: bytes | None = None, **fields: str) -> Answer:
        client = self.random.choice(self._clients)
        try:
            answer = client(method, path, body, **fields)
        except Gone:
            client.close()
            raise
        if answer.status == 503:
            raise OSError(answer.body)
        assert answer.status < 500, answer
        return answer

    def _bring(self, repository: str, data: bytes) -> str:
        digest, blobs = digest_of(data), f"/v2/{repository}/blobs/uploads/"
        if self.random.random() < 0.5:
            answer = self._ask("POST", f"{blobs}?digest={digest}", data)
        else:  # in two pieces
            half = self.random.randrange(len(data))
            at = self._ask("POST", blobs).headers["Location"]
            moved = self._ask("PATCH", at, data[:half], Content_Type="application/octet-stream")
            at = moved.headers.get("Location", at)
            answer = self._ask("PUT", with_query(at, f"digest={digest}"), data[half:])
        if answer.status in {404, 416}:  # whoever took it was killed before it said so
            raise OSError(answer.body)
        assert answer.status == 201, answer
        return digest

    def _put(self, repository: str) -> tuple[Answer, bytes, list[bytes]]:
        config = json.dumps({"by": self.name, "number": self.pushed, "at": time.time_ns()}).encode()
        layers = self.random.sample(POOL, self.random.randrange(1, 4))
        for data in (config, *layers):
            digest = digest_of(data)
            if self._ask("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200:
                continue
            source = self.random.choice(SHARED)
            mount = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}"
            if source == repository or self._ask("POST", mount).status != 201:
                self._bring(repository, data)
        document = {
            "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, layer) for layer in layers],
        }  # fmt: skip
        content = json.dumps(document).encode()
        path = f"/v2/{repository}/manifests/{digest_of(content)}"
        return self._ask("PUT", path, content, Content_Type=IMAGE), content, [config, *layers]

    def _push(self) -> None:
        repository, began = self.random.choice(SHARED), time.monotonic()
        answer, content, blobs = self._put(repository)
        took = time.monotonic() - began
        if answer.status == 201:
            self.images[digest_of(content)] = repository, content, blobs
            self.pushed += 1
        else:
            assert took > 0.75 * GRACE, f"after {took} s an image was refused: {answer}"

    def _delete_image(self) -> None:
        if self.images:
            digest = self.random.choice(sorted(self.images))
            repository, _, _ = self.images.pop(digest)
            answer = self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")
            assert answer.status == 202, answer

    def _look(self) -> None:
        if self.images:
            self.verify(self.random.choice(sorted(self.images)))

    def verify(self, digest: str) -> None:
        """The image is whole, to the byte."""
        repository, content, blobs = self.images[digest]
        answer = self._ask("GET", f"/v2/{repository}/manifests/{digest}")
        assert answer.body == content, answer
        for data in blobs:
            answer = self._ask("GET", f"/v2/{repository}/blobs/{digest_of(data)}")
            assert answer.body == data, f"{digest} lacks {digest_of(data)}: {answer.status}"

    def _delete_repository(self) -> None:
        self._put(self._own)
        ecr = self.random.choice(self._servers).client("ecr")
        try:
            ecr.delete_repository(repositoryName=self._own, force=True)
        except Exception as error:
            raise OSError(str(error)) from error

    def _leave_upload(self) -> None:
        at = self._ask("POST", f"/v2/{self.random.choice(SHARED)}/blobs/uploads/").headers["Location"]
        self._ask("PATCH", at, self.random.choice(POOL), Content_Type="application/octet-stream")

    def _delete_blob(self) -> None:
        self._ask("DELETE", f"/v2/siege/loose/blobs/{self._bring('siege/loose', self.random.choice(POOL))}")


def besiege(servers: Sequence[LiveServer], *, kills: bool) -> None:
    with Client(servers[0]) as client:
        for repository in SHARED:
            client.push_blob(repository, b"there is such a repository")
    pushers = [Pusher(number, servers) for number in range(PUSHERS)]
    for pusher in pushers:
        pusher.start()
    ends, source = time.monotonic() + SECONDS, random.Random(SEED)
    while time.monotonic() < ends and not any(pusher.wrong for pusher in pushers):
        pushers[0].join(source.uniform(0.5, 2.0))
        if kills:
            victim = source.choice(servers)
            victim.kill()
            victim.start()
    for pusher in pushers:
        pusher.stopping.set()
    for pusher in pushers:
        pusher.join(60)
        assert not pusher.is_alive()
        assert pusher.wrong == [], f"seed {SEED}"
        assert pusher.pushed, "it pushed nothing"
        for digest in sorted(pusher.images):
            pusher.verify(digest)
        pusher.close()


def waiting(server: LiveServer) -> int:
    """Rows that the collector has before it."""
    of = (
        "uploads",
        "deleted_repositories",
        "repository_blobs WHERE kept_at < 1e14",
        "condemned WHERE reason <> 'buried'",
    )
    with server.rows() as rows:
        return sum(rows.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in of)


def test_pushes_beside_an_eager_collector_lack_nothing_and_leave_nothing(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS, workers=2) as server:
        besiege([server], kills=False)
        eventually(lambda: waiting(server) == 0, within=60)
    assert stock.check(server).faults == []
    assert stock.leftovers(server) == [], "nobody was killed: nothing is left to a search"


def test_a_server_that_is_killed_while_it_collects_lacks_nothing(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS, workers=2) as server:
        besiege([server], kills=True)
        eventually(lambda: waiting(server) == 0, within=60)
    check_after_kills([server])


def test_replicas_of_which_the_collecting_one_is_killed_lack_nothing(
    tmp_path: Path, postgres: PostgresServer, s3: S3Server
) -> None:
    settings = {**SETTINGS, **Backing(postgres, s3).settings(tmp_path)}
    with LiveServer(tmp_path / "one", settings=settings) as one, LiveServer(tmp_path / "two", settings=settings) as two:
        besiege([one, two], kills=True)
        eventually(lambda: waiting(one) == 0, within=60)
    check_after_kills([one, two])


def check_after_kills(servers: Sequence[LiveServer]) -> None:
    assert stock.check(servers[0]).faults == []
    stock.collect(servers[0])
    assert stock.leftovers(servers[0]) == [], "what a kill leaves is found by a search"


@pytest.fixture(autouse=True)
def own_backing(backing: str) -> None:
    if backing != "disk":
        pytest.skip("it brings its own stores")
