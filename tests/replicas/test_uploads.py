"""An upload has no home: whichever replica is asked goes on with it."""

import contextlib
import hashlib
import http.client
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.relay import Relay
from tests.replicas.conftest import Fleet
from tests.s3 import S3Server
from tests.wire.client import Client, digest_of, with_query

KIB, MIB = 1024, 1024 * 1024
NAME = "replicas/uploads"


def chunks(data: bytes, size: int) -> list[tuple[int, bytes]]:
    return [(at, data[at : at + size]) for at in range(0, len(data), size)]


@pytest.mark.parametrize("closing", ["an empty request", "the last chunk"])
@pytest.mark.parametrize(
    ("chunk", "count"), [(1, 5), (100 * KIB, 7), (MIB, 14), (6 * MIB, 4)], ids=lambda size: f"{size}"
)
def test_every_chunk_may_come_to_another_replica(fleet: Fleet, chunk: int, count: int, closing: str) -> None:
    data = random.Random(f"{chunk} {closing}").randbytes(chunk * (count - 1) + chunk // 2 + 1)
    location = fleet[0].begin(NAME)
    parts = chunks(data, chunk)
    last = parts.pop()[1] if closing == "the last chunk" else b""
    for number, (at, part) in enumerate(parts, 1):
        answer = fleet[number]("PATCH", location, part, Content_Range=f"{at}-{at + len(part) - 1}")
        assert answer.status == 202
        for client in fleet:
            assert client("GET", location).headers["Range"] == f"0-{at + len(part) - 1}"
    answer = fleet[len(parts) + 1]("PUT", with_query(location, f"digest={digest_of(data)}"), last)
    assert answer.status == 201
    for client in fleet:
        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
        assert client("GET", location).said == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_digest_of_another_algorithm_is_proven_at_any_replica(fleet: Fleet) -> None:
    data = random.Random(512).randbytes(7 * MIB)
    location = fleet[0].begin(NAME)
    for number, (_, part) in enumerate(chunks(data, 3 * MIB)):
        assert fleet[number]("PATCH", location, part).status == 202
    digest = digest_of(data, "sha512")
    assert fleet[2]("PUT", with_query(location, f"digest={digest}")).status == 201
    assert fleet[0]("GET", f"/v2/{NAME}/blobs/{digest}").body == data


def test_a_wrong_digest_leaves_the_upload_where_it_stood_for_all(fleet: Fleet) -> None:
    data = random.Random(1).randbytes(6 * MIB)
    location = fleet[0].begin(NAME)
    assert fleet[0]("PATCH", location, data[: 4 * MIB]).status == 202
    wrong = with_query(location, f"digest={digest_of(b'other bytes')}")
    assert fleet[1]("PUT", wrong, data[4 * MIB :]).said == (400, "DIGEST_INVALID")
    for client in fleet:
        assert client("GET", location).headers["Range"] == f"0-{4 * MIB - 1}"
    assert fleet[2]("PUT", with_query(location, f"digest={digest_of(data)}"), data[4 * MIB :]).status == 201
    assert fleet[1]("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data


@pytest.mark.parametrize("size", [1000, 400 * KIB, 7 * MIB])
def test_of_those_who_append_at_the_same_place_one_is_taken(fleet: Fleet, size: int) -> None:
    location = fleet[0].begin(NAME)
    assert fleet[1]("PATCH", location, b"begun").status == 202
    bodies = [bytes([mark]) * size for mark in range(3)]
    found: dict[int, int] = {}

    def append(number: int) -> None:
        answer = fleet[number]("PATCH", location, bodies[number], Content_Range=f"5-{size + 4}")
        found[number] = answer.status

    fleet.together(append)
    assert sorted(found.values()) == [202, 416, 416]
    data = b"begun" + bodies[next(number for number, status in found.items() if status == 202)]
    assert fleet[2]("PUT", with_query(location, f"digest={digest_of(data)}")).status == 201
    assert fleet[0]("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data


@pytest.mark.parametrize("size", [1000, 400 * KIB, 7 * MIB])
def test_of_those_who_finish_with_other_bytes_one_is_taken_and_its_bytes_stay(fleet: Fleet, size: int) -> None:
    """All at once, on one upload, each with the right digest of its own bytes."""
    for attempt in range(3):
        location = fleet[attempt].begin(NAME)
        bodies = [random.Random(f"{size} {attempt} {who}").randbytes(size) for who in range(3)]
        found: dict[int, int] = {}

        def finish(
            who: int, location: str = location, bodies: list[bytes] = bodies, found: dict[int, int] = found
        ) -> None:
            found[who] = fleet[who]("PUT", with_query(location, f"digest={digest_of(bodies[who])}"), bodies[who]).status

        fleet.together(finish)
        assert min(found.values()) == 201
        assert set(found.values()) <= {201, 404, 416}
        assert list(found.values()).count(201) == 1
        for who, status in found.items():
            answer = fleet[who + 1]("GET", f"/v2/{NAME}/blobs/{digest_of(bodies[who])}")
            assert (answer.status, answer.body == bodies[who]) == ((200, True) if status == 201 else (404, False))


def test_the_parts_of_the_api_may_come_to_any_replica(fleet: Fleet) -> None:
    data = random.Random(3).randbytes(21 * MIB)
    apis = [server.client("ecr") for server in fleet.servers]
    apis[0].create_repository(repositoryName="replicas/api")
    begun = apis[0].initiate_layer_upload(repositoryName="replicas/api")
    step = begun["partSize"]
    upload = {"repositoryName": "replicas/api", "uploadId": begun["uploadId"]}
    for number, (at, part) in enumerate(chunks(data, step), 1):
        apis[number % 3].upload_layer_part(
            **upload, partFirstByte=at, partLastByte=at + len(part) - 1, layerPartBlob=part
        )
    assert apis[1].complete_layer_upload(**upload, layerDigests=[digest_of(data)])["layerDigest"] == digest_of(data)
    assert fleet[2]("GET", f"/v2/replicas/api/blobs/{digest_of(data)}").body == data


@pytest.mark.parametrize(
    ("count", "chunk"),
    [(6, 10 * MIB), pytest.param(1000, 10_000_000, marks=pytest.mark.long)],
    ids=["60 MiB", "10 GB"],
)
def test_what_was_written_is_read_at_most_once(
    count: int, chunk: int, new_store: Callable[[], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No replica has the running hash of such an upload; nor is anything written twice."""
    monkeypatch.setattr("tests.wire.client.TIMEOUT", 3600.0)
    block = random.Random(6).randbytes(chunk)
    size, slack = count * chunk, MIB + count * chunk // 200
    running = hashlib.sha256()
    store = new_store()
    disk = S3Server(tmp_path / "s3")  # not in memory: it is too much for that
    disk.start()
    with ExitStack() as stack:
        stack.callback(disk.stop)
        bucket = stack.enter_context(Relay(disk.url))
        store["storage.s3_endpoint_url"] = bucket.url
        store["storage.s3_bucket"] = disk.new_bucket().bucket
        with Fleet(tmp_path, store, count=3) as fleet:
            location = fleet[0].begin(NAME)
            for number in range(count):
                part = b"%012d" % number + block[12:]
                running.update(part)
                assert fleet[number]("PATCH", location, part).status == 202
            assert bucket.received < slack, "nothing is read before the end"
            digest = f"sha256:{running.hexdigest()}"
            assert fleet[1]("PUT", with_query(location, f"digest={digest}")).status == 201
            read, written = bucket.received, bucket.sent
            print(f"{size} bytes: {written} to the bucket, {read} from it")
            assert size < read < size + slack
            assert size < written < size + slack
            assert pulled_digest(fleet, digest) == digest


def pulled_digest(fleet: Fleet, digest: str) -> str:
    """What the bytes of a blob are, pulled from one of the replicas."""
    server, client = fleet.servers[2], fleet[2]
    connection = http.client.HTTPConnection(server.host, server.port, timeout=300)
    with contextlib.closing(connection):
        fields = {"Authorization": client.authorization}
        connection.request("GET", f"/v2/{NAME}/blobs/{digest}", headers=fields)
        response = connection.getresponse()
        running = hashlib.sha256()
        while block := response.read(MIB):
            running.update(block)
    return f"sha256:{running.hexdigest()}"


def test_a_hundred_uploads_wander_at_once(fleet: Fleet) -> None:
    """Docker pushes the layers of an image side by side, through a balancer that does not care."""
    blobs = [random.Random(number).randbytes(20_000 * (number % 5) + number) for number in range(1, 100)]
    waiting = iter(enumerate(blobs))
    lock = threading.Lock()
    accepted: list[int] = []

    def push(_: int) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server)) for server in fleet.servers]
            while True:
                with lock:
                    number, data = next(waiting, (0, b""))
                if not data:
                    return
                first, second, third = (clients[(number + step) % 3] for step in range(3))
                location = first.begin(NAME)
                half = len(data) // 2
                assert second("PATCH", location, data[:half]).status == 202
                answer = third("PUT", with_query(location, f"digest={digest_of(data)}"), data[half:])
                accepted.append(answer.status)

    fleet.together(push)
    assert accepted == [201] * len(blobs)
    for number, data in enumerate(blobs):
        assert fleet[number]("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
