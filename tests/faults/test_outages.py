"""The database or the bucket is away, for a while or now and then: requests are refused in the form that their clients know,
in bounded time, nothing is corrupted, and nothing has to be restarted."""

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import botocore.exceptions
import pytest

from tests import require
from tests.backing import Backing
from tests.faults import stock
from tests.live import LiveServer
from tests.mischief import MISCHIEF, Fault, FaultyProxy, Kind, all_of, often, well
from tests.parts import built
from tests.postgres import PostgresServer, program
from tests.postgres import serving as serving_postgres
from tests.s3 import S3Server
from tests.s3 import serving as serving_s3
from tests.wire.client import IMAGE, Client, digest_of, eventually, with_query

SEED = int(os.environ.get("LONGSHORE_SEED", "20260305"))
LONG = require.long_form()
AWAY = 60.0 if LONG else 1.5
"""Seconds that something is away."""
TIMEOUT = 1.0
BUCKETS_TIMEOUT = 0.5
"""What the servers' settings say."""
NAME = "outage/here"
SETTINGS = {
    "registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false",
    "database.timeout": str(TIMEOUT), "storage.s3_timeout": str(BUCKETS_TIMEOUT),
}  # fmt: skip
OUR_PATIENCE = 3 * TIMEOUT + 2.0
"""Seconds in which every request that needs a database is answered while it is away."""
BUCKETS_PATIENCE = 4 * BUCKETS_TIMEOUT + 12.0
"""The same for what needs the bucket, which is tried four times with pauses."""


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """One that may be stopped."""
    require.need("postgres", program("postgres"), "PostgreSQL")
    with serving_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Server]:
    require.need("s3", built("versitygw"), "an S3 server (versitygw)")
    with serving_s3() as server:
        yield server


@dataclass
class Asked:
    """What was answered, and how long it took."""

    what: str
    status: int
    told: str
    seconds: float
    refusal: str
    """What its dialect says of an outage; the answer to HEAD has no words."""


def ask_everyone(server: LiveServer, link: str) -> list[Asked]:
    """Requests of every dialect, all of which need the database, all at once."""
    requests: list[tuple[str, str, bytes | None]] = [
        ("GET", f"/v2/{NAME}/manifests/kept", None),
        ("HEAD", f"/v2/{NAME}/manifests/kept", None),
        ("GET", f"/v2/{NAME}/tags/list", None),
        ("PUT", f"/v2/{NAME}/manifests/other", b"{}"),
        ("POST", f"/v2/{NAME}/blobs/uploads/", None),
        ("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'x')}", b"x"),
        ("DELETE", f"/v2/{NAME}/manifests/kept", None),
        ("GET", link, None),
    ]
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("ecr", "describe_repositories", {}),
        ("ecr", "initiate_layer_upload", {"repositoryName": NAME}),
        ("iam", "list_users", {}),
        ("iam", "create_user", {"UserName": "x"}),
        ("organizations", "describe_organization", {}),
    ]
    with ThreadPoolExecutor(len(requests) + len(calls)) as threads:
        found = [threads.submit(ask, server, *one) for one in requests]
        found += [
            threads.submit(call, getattr(server.client(one), operation), given) for one, operation, given in calls
        ]
        return [one.result() for one in found]


def ask(server: LiveServer, method: str, path: str, body: bytes | None) -> Asked:
    began = time.monotonic()
    with Client(server) as client:
        answer = client(method, path, body, {"Content-Type": IMAGE} if body == b"{}" else None)
    told = answer.code if answer.status >= 400 and answer.body else ""
    refusal = "UNAVAILABLE" if method != "HEAD" else ""
    return Asked(f"{method} {path}", answer.status, told, time.monotonic() - began, refusal)


def call(operation: Callable[..., object], given: dict[str, Any]) -> Asked:
    began = time.monotonic()
    status, told = 200, ""
    try:
        operation(**given)
    except botocore.exceptions.ClientError as error:
        status, told = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return Asked(operation.__name__, status, told, time.monotonic() - began, "ServiceUnavailable")


def stop_at_once(server: PostgresServer) -> Callable[[], None]:
    server.stop(signal.SIGQUIT)  # as a crash does
    return server.start


def is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def freeze(server: PostgresServer) -> Callable[[], None]:
    """It is there, and answers nothing: as behind a network that swallows everything."""
    assert server._process is not None
    os.kill(server.pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(server.pid))  # from now on it has no new children
    frozen = [server.pid]
    for child in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGSTOP)
            frozen.append(int(child))
    frozen.append(server._process.pid)  # `runuser`, where there is one, stops itself when it sees the other stopped

    def thaw() -> None:
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        eventually(lambda: not any(map(is_stopped, frozen)))

    return thaw


@pytest.mark.parametrize("vanish", [stop_at_once, freeze], ids=["stopped", "silent"])
def test_a_database_that_is_away_is_said_in_every_dialect_and_nothing_has_to_be_restarted(
    vanish: Callable[[PostgresServer], Callable[[], None]], database: PostgresServer, tmp_path: Path
):
    settings = {**Backing(database).settings(tmp_path), **SETTINGS}
    with LiveServer(tmp_path, settings=settings, workers=2) as server, Client(server) as client:
        assert server.process is not None
        digest = client.push_image(NAME, "kept", layers=[b"\x11" * 400_000])
        layer = digest_of(b"\x11" * 400_000)
        link = server.client("ecr").get_download_url_for_layer(repositoryName=NAME, layerDigest=layer)["downloadUrl"]
        location = client.begin(NAME)
        assert client("PATCH", location, b"first ").status == 202
        load = Load(server, OUR_PATIENCE + 1)
        with load:
            eventually(lambda: load.acknowledged)
            come_back = vanish(database)
            try:
                gone = time.monotonic()
                while True:
                    for asked in ask_everyone(server, link.removeprefix(server.url)):
                        assert (asked.status, asked.told) == (503, asked.refusal), asked
                        assert asked.seconds < OUR_PATIENCE, asked
                    eventually(lambda: not server.ready())
                    assert client("GET", "/healthz").status == 200, "the process is well"
                    if time.monotonic() - gone > AWAY:
                        break
            finally:
                come_back()
            eventually(server.ready)
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > before + 5)
        assert load.failures == []
        assert client("GET", f"/v2/{NAME}/manifests/kept").headers["Docker-Content-Digest"] == digest
        assert client("PATCH", location, b"last").headers["Range"] == "0-9", "uploads go on"
        whole = digest_of(b"first last")
        assert client("PUT", with_query(location, f"digest={whole}")).status == 201
        for taken in load.acknowledged:
            assert client("GET", f"/v2/{NAME}/manifests/{taken}").status == 200
        assert server.process.poll() is None
        assert stock.check(server).faults == []


class Load(contextlib.AbstractContextManager["Load"]):
    """A few who push and pull images all the time, and take a refusal for what it is."""

    def __init__(self, server: LiveServer, patience: float, *, size: int = 3000, seed: int = SEED) -> None:
        self.acknowledged: list[str] = []
        self.failures: list[str] = []
        self.refused = 0
        self.slowest = 0.0
        self._server = server
        self._patience = patience
        self._size = size
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(seed + number,)) for number in range(3)]

    def _work(self, seed: int) -> None:
        source = random.Random(seed)
        try:
            while not self._stopping.is_set():
                self._push(source)
        except Exception as error:  # noqa: BLE001 - the test says it
            self.failures.append(f"{type(error).__name__}: {error}")

    def _push(self, source: random.Random) -> None:
        data = source.randbytes(source.choice((10, self._size, self._size * 100)))
        with Client(self._server) as client:
            ask = Timed(client, self)
            location = ask("POST", f"/v2/{NAME}/blobs/uploads/", None, 202)
            if location is None or ask("PATCH", location.headers["Location"], data, 202) is None:
                return
            put = with_query(location.headers["Location"], f"digest={digest_of(data)}")
            if ask("PUT", put, None, 201) is None:
                return
            found = ask("GET", f"/v2/{NAME}/blobs/{digest_of(data)}", None, 200)
            if found is not None and found.body != data:
                self.failures.append(f"{digest_of(data)} has other bytes")
            if ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'{}')}", b"{}", 201) is None:
                return
            content = json.dumps(
                {
                    "schemaVersion": 2, "mediaType": IMAGE,
                    "config": {"mediaType": "application/json", "digest": digest_of(b"{}"), "size": 2},
                    "layers": [{"mediaType": "application/x", "digest": digest_of(data), "size": len(data)}],
                }
            ).encode()  # fmt: skip
            if ask("PUT", f"/v2/{NAME}/manifests/{digest_of(content)}", content, 201) is not None:
                self.acknowledged.append(digest_of(content))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def note(self, what: str, seconds: float) -> None:
        self.slowest = max(self.slowest, seconds)
        if seconds > self._patience:
            self.failures.append(f"{what} took {seconds:.1f} s")


@dataclass
class Timed:
    """A client whose answers are as expected, or a refusal, and in time."""

    client: Client
    load: Load
    fields: dict[str, str] = field(default_factory=lambda: {"Content-Type": IMAGE})

    def __call__(self, method: str, path: str, body: bytes | None, expected: int) -> Any:
        began = time.monotonic()
        try:
            answer = self.client(method, path, body, self.fields)
        except http.client.IncompleteRead:  # its bytes stopped coming in the middle, and it was told so
            self.load.note(f"{method} {path[:40]}", time.monotonic() - began)
            self.load.refused += 1
            return None
        self.load.note(f"{method} {path[:40]}", time.monotonic() - began)
        if answer.status == expected:
            return answer
        # an answer that was lost on its way may have been acted on: then the session is over
        if answer.status not in {503, 507} and (answer.status, method) not in {
            (404, "PUT"),
            (416, "PUT"),
            (416, "PATCH"),
            (404, "PATCH"),
        }:
            self.load.failures.append(f"{method} {path[:40]}: {answer.status} {answer.body[:200]!r}")
        self.load.refused += 1
        return None


# The bucket


@dataclass
class Store:
    """A server whose blobs lie in a bucket behind a proxy."""

    server: LiveServer
    proxy: FaultyProxy


@pytest.fixture
def store(bucket: S3Server, tmp_path: Path) -> Iterator[Store]:
    print(f"seed {SEED}; again with LONGSHORE_SEED={SEED}")
    with FaultyProxy(bucket.url) as proxy:
        settings = {**Backing(None, bucket).settings(tmp_path), **SETTINGS, "storage.s3_endpoint_url": proxy.url}
        with LiveServer(tmp_path, settings=settings) as server:
            yield Store(server, proxy)


def everything_is_well(store: Store, load: Load) -> None:
    """Whatever was acknowledged is there, to the byte, read without mischief."""
    store.proxy.choose = well
    eventually(store.server.ready)
    with Client(store.server) as client:
        for digest in load.acknowledged:
            manifest = client("GET", f"/v2/{NAME}/manifests/{digest}").json
            layer = manifest["layers"][0]["digest"]
            assert digest_of(client("GET", f"/v2/{NAME}/blobs/{layer}").body) == layer
    assert stock.check(store.server).faults == []


@pytest.mark.parametrize("kind", MISCHIEF, ids=[kind.name.lower() for kind in MISCHIEF])
def test_a_bucket_that_fails_now_and_then_is_tried_again_and_nobody_notices(kind: Kind, store: Store):
    """Every third request meets it, at some byte."""
    source = random.Random(f"{SEED}/{kind.name}")
    store.proxy.choose = often(source, 0.34, [kind])
    load = Load(store.server, BUCKETS_PATIENCE)
    with load:
        eventually(lambda: len(load.acknowledged) >= (60 if LONG else 6) or load.failures, within=120)
    assert load.failures == []
    assert len(store.proxy.met) >= 5, "there was mischief"
    # one in three thrice again, four times in a row: one in eighty
    assert load.refused <= len(load.acknowledged) / 4 + 2, "most of it was made good by trying again"
    everything_is_well(store, load)


def test_a_bucket_that_is_never_well_corrupts_nothing(store: Store):
    """Everything at once, half of all requests."""
    load = Load(store.server, BUCKETS_PATIENCE)
    store.proxy.choose = often(random.Random(SEED), 0.5)
    with load:
        eventually(lambda: len(load.acknowledged) >= (100 if LONG else 5) or load.failures, within=300)
    assert load.failures == []
    everything_is_well(store, load)


@pytest.mark.parametrize("way", ["refused", "silent", "error", "slow_down"])
def test_a_bucket_that_is_away_is_said_and_nothing_has_to_be_restarted(way: str, store: Store):
    server, proxy = store.server, store.proxy
    with Client(server) as client:
        layer = b"\x22" * 700_000
        digest = client.push_image(NAME, "kept", layers=[layer])
        location = client.begin(NAME)
        assert client("PATCH", location, b"first ").status == 202
        load = Load(server, BUCKETS_PATIENCE)
        with load:
            eventually(lambda: load.acknowledged)
            if way == "refused":
                proxy.refuse()
            else:
                proxy.choose = all_of(Kind[way.upper()])
            gone = time.monotonic()
            while time.monotonic() - gone < AWAY:
                began = time.monotonic()
                assert client("GET", f"/v2/{NAME}/manifests/kept").status == 200, "manifests lie in the database"
                assert time.monotonic() - began < 1.0, "and do not wait for those who need the bucket"
                with ThreadPoolExecutor(3) as threads:
                    requests = [
                        threads.submit(ask, server, "GET", f"/v2/{NAME}/blobs/{digest_of(layer)}", None),
                        threads.submit(ask, server, "PATCH", location, b"never "),
                        threads.submit(
                            ask, server, "POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'y')}", b"y"
                        ),
                    ]
                for asked in (one.result() for one in requests):
                    assert (asked.status, asked.told) == (503, "UNAVAILABLE"), asked
                    assert asked.seconds < BUCKETS_PATIENCE, asked
                eventually(lambda: not server.ready())
            if way == "refused":
                proxy.listen()
            else:
                proxy.choose = well
            eventually(server.ready, within=30)
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > before + 3 or load.failures, within=60)
        assert load.failures == []
        assert load.refused
        assert client("GET", f"/v2/{NAME}/manifests/kept").headers["Docker-Content-Digest"] == digest
        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(layer)}").body == layer
        stands = client("GET", location).headers["Range"]
        assert stands == "0-5", "what was refused does not count"
        assert client("PATCH", location, b"last").headers["Range"] == "0-9"
        assert client("PUT", with_query(location, f"digest={digest_of(b'first last')}")).status == 201
    everything_is_well(store, load)


SEEN = {
    Kind.SLOW: {"400 True"},
    Kind.STALE: {"400 True"},
    Kind.ERROR: {"500 True"},
    Kind.SLOW_DOWN: {"503 True"},
    Kind.SILENT: {"TimeoutError"},
    Kind.HALF_CLOSED: {"400 False", "BadStatusLine"},
}
BROKEN = {"ConnectionResetError", "RemoteDisconnected", "BadStatusLine", "IncompleteRead", "BrokenPipeError"}


def test_the_proxy_does_what_it_says(bucket: S3Server):
    """One look at each kind, without a client that tries again."""
    with FaultyProxy(bucket.url) as proxy:
        for kind in (*MISCHIEF, Kind.SILENT):
            proxy.choose = lambda _method, _target, kind=kind: Fault(kind, 20)
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=0.5)
            with contextlib.closing(connection):
                connection.request("PUT", "/x", b"y" * 1000)
                try:
                    answer = connection.getresponse()
                    seen = f"{answer.status} {len(answer.read()) > 0}"
                except (OSError, http.client.HTTPException) as error:
                    seen = type(error).__name__
            assert seen in SEEN.get(kind, BROKEN), kind
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=1).request("GET", "/")
