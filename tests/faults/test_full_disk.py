"""A disk that fills up: uploads are refused, nothing half-written shows, the server lives on, and deleting makes room."""

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import stock
from tests.faults.disks import KINDS, Ballast, free, small_disk
from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, LAYER, Client, descriptor, digest_of, eventually, with_query

MIB = 1024 * 1024
NAME = "full/disk"
SHORT = {"gc.interval": "0.2", "gc.grace": "0", "gc.settle": "0", "registry.upload_expiry": "1"}
SETTINGS = {"registry.create_on_push": "true", "server.access_log": "false", **SHORT}


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with small_disk(request.param, tmp_path, mib=96) as place:
        yield place


def serve(disk: Path, reserve: int, **settings: str) -> LiveServer:
    return LiveServer(disk, settings={**SETTINGS, "storage.reserve": str(reserve), **settings})


def push_parts(client: Client, data: bytes, shape: str) -> int:
    """Push a blob in one of the ways that clients have; the status of the last answer."""
    digest = digest_of(data)
    if shape == "whole":
        return client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", data).status
    begun = client("POST", f"/v2/{NAME}/blobs/uploads/")
    if begun.status != 202:
        return begun.status
    location = begun.headers["Location"]
    if shape == "put":
        return client("PUT", with_query(location, f"digest={digest}"), data).status
    pieces = [data[start : start + 3 * MIB] for start in range(0, len(data), 3 * MIB)]
    if shape == "stream":  # chunked, of a length that nobody announces, as docker pushes
        answer = client("PATCH", location, (data[at : at + 65536] for at in range(0, len(data), 65536)))
        if answer.status != 202:
            return answer.status
    else:
        for piece in pieces:
            answer = client("PATCH", location, piece)
            if answer.status != 202:
                return answer.status
    return client("PUT", with_query(location, f"digest={digest}")).status


SHAPES = ("whole", "put", "parts", "stream")


def fill(client: Client, source: random.Random, shape: str, *, size: int) -> tuple[list[bytes], int]:
    """Push blobs until one is refused: (those that were taken, the refusal's status)."""
    taken = []
    for _ in range(200):
        data = source.randbytes(size)
        status = push_parts(client, data, shape)
        if status != 201:
            return taken, status
        taken.append(data)
    raise AssertionError("the disk does not fill up")


def tag(client: Client, layers: list[bytes], name: str) -> str:
    """An image of layers that are there; so the collector keeps them."""
    document = {
        "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, layers[0]),
        "layers": [descriptor(LAYER, layer) for layer in layers],
    }  # fmt: skip
    return client.push_manifest(NAME, json.dumps(document).encode(), name)


@pytest.mark.parametrize("shape", SHAPES)
def test_below_the_reserve_uploads_are_refused_and_deleting_makes_room(disk: Path, shape: str) -> None:
    reserve = 24 * MIB
    with serve(disk, reserve, **{"gc.grace": "3600"}) as server, Client(server) as client:
        source = random.Random(7)
        taken, status = fill(client, source, shape, size=7 * MIB)
        assert status == 507
        assert free(disk) >= reserve - 8 * MIB, "the reserve is kept, but for what was under way"
        assert client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'x')}", b"x" * MIB * 9).said == (
            507,
            "SIZE_INVALID",
        )
        assert server.ready()
        for data in taken:
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
        before = free(disk)
        for data in taken[:3]:
            assert client("DELETE", f"/v2/{NAME}/blobs/{digest_of(data)}").status == 202
        eventually(lambda: free(disk) > before + 20 * MIB)
        data = source.randbytes(7 * MIB)
        assert eventually(lambda: push_parts(client, data, shape) == 201)
        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
        assert stock.check(server).faults == []


def test_the_reserve_holds_against_bodies_of_no_length(disk: Path) -> None:
    """What docker sends announces no length: the reserve is watched while it comes, or nothing could be deleted any more."""
    reserve = 24 * MIB
    with serve(disk, reserve, **{"registry.upload_expiry": "3600"}) as server, Client(server) as client:
        digest = client.push_image(NAME, "keep", layers=[b"a layer"])
        location = client.begin(NAME)
        body = (b"\xaa" * MIB for _ in range(200))
        status = 0
        try:
            status = client("PATCH", location, body).status
        except ConnectionError:  # refused before all of it was sent
            client.close()
        assert status in {0, 507}
        assert free(disk) > reserve - 4 * MIB
        assert client("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202


def test_the_reserve_holds_against_several_at_once(disk: Path) -> None:
    reserve = 24 * MIB
    with serve(disk, reserve, **{"registry.upload_expiry": "3600"}) as server, Client(server) as client:
        digest = client.push_image(NAME, "keep", layers=[b"a layer"])
        size = (free(disk) - reserve) * 2 // 3
        found: list[int] = []

        def push() -> None:
            with Client(server) as pusher:
                try:
                    data = random.Random(len(found)).randbytes(size)
                    found.append(pusher("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data).status)
                except ConnectionError:
                    found.append(507)

        threads = [threading.Thread(target=push) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 507 in found
        assert free(disk) > reserve - 12 * MIB
        assert client("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202


def test_manifests_are_refused_below_the_reserve_too(disk: Path) -> None:
    """They lie in the database, which needs the reserve to delete."""
    reserve = 24 * MIB
    with serve(disk, reserve) as server, Client(server) as client:
        client.push_image(NAME, "keep")
        Ballast(disk).leave(reserve - 2 * MIB)
        image = json.loads(client("GET", f"/v2/{NAME}/manifests/keep").body)

        def push(number: int) -> int:
            content = json.dumps({**image, "annotations": {"padding": f"{number}" + "x" * 3 * MIB}}).encode()
            return client("PUT", f"/v2/{NAME}/manifests/{digest_of(content)}", content, Content_Type=IMAGE).status

        assert eventually(lambda: push(1) == 507)
        assert client("DELETE", f"/v2/{NAME}/manifests/keep").status == 202


@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_reserve_a_full_disk_is_survived(disk: Path, shape: str) -> None:
    ballast = Ballast(disk)
    with serve(disk, 0, **{"gc.grace": "3600"}) as server, Client(server) as client:
        ballast.take(8 * MIB)
        source = random.Random(11)
        refusals = set()
        taken: list[bytes] = []
        for size in (9 * MIB, 1 * MIB, 200_000, 20_000, 500):
            some, status = fill(client, source, shape, size=size)
            taken += some
            refusals.add(status)
        assert refusals <= {507, 500, 503}, refusals
        assert server.process is not None
        assert server.process.poll() is None
        for data in taken:
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
        assert stock.check(server).faults == []
        # a little of what else lay on the disk goes; then deleting makes room for the rest
        ballast.drop()
        for blob in taken:
            path = f"/v2/{NAME}/blobs/{digest_of(blob)}"
            assert eventually(lambda path=path: client("DELETE", path).status == 202)
            assert client("GET", path).status == 404
        eventually(lambda: free(disk) > 64 * MIB)
        data = source.randbytes(5 * MIB)
        assert eventually(lambda: push_parts(client, data, shape) == 201)
        assert stock.check(server).faults == []


def test_a_disk_that_is_full_at_any_step_leaves_nothing_half_done(disk: Path) -> None:
    """Ballast leaves a few kilobytes more each time, so each step of a push is the one that fails, once."""
    ballast = Ballast(disk)
    source = random.Random(13)
    with serve(disk, 0, **{"gc.grace": "3600"}) as server, Client(server) as client:
        client.push_image(NAME, "keep")
        codes = set()
        for leave in [*range(0, 200_000, 20_000), *range(200_000, 4_000_000, 400_000)]:
            ballast.leave(leave)
            data = source.randbytes(source.choice((100, 100_000, 400_000, 1_500_000)))
            digest = digest_of(data)
            image = json.dumps(
                {
                    "schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(CONFIG, data), "layers": [],
                    "annotations": {"padding": "x" * 30_000},
                }
            ).encode()  # fmt: skip
            status = push_parts(client, data, source.choice(SHAPES))
            codes.add(status)
            put = client("PUT", f"/v2/{NAME}/manifests/step", image, Content_Type=IMAGE)
            codes.add(put.status)
            if put.status not in {201, 404}:
                assert put.json["errors"][0]["code"]
            blob, manifest = client("GET", f"/v2/{NAME}/blobs/{digest}"), client("GET", f"/v2/{NAME}/manifests/step")
            assert (blob.status == 200) == (status == 201)
            assert (manifest.status == 200) == (put.status == 201)
            assert client("GET", f"/v2/{NAME}/manifests/keep").status == 200
            ballast.drop()
            if put.status == 201:
                assert client("DELETE", f"/v2/{NAME}/manifests/{digest_of(image)}").status == 202
            if status == 201:
                assert client("DELETE", f"/v2/{NAME}/blobs/{digest}").status == 202
        assert codes <= {201, 404, 500, 503, 507}, codes
        assert codes & {500, 503, 507}, "it never was full"
        assert stock.check(server).faults == []
    stock.collect(server)
    assert stock.leftovers(server) == []


def test_a_server_starts_and_serves_on_a_full_disk(disk: Path) -> None:
    server = serve(disk, 0, **{"gc.grace": "3600"})
    with server, Client(server) as client:
        layer = b"\x5a" * 400_000
        client.push_image(NAME, "keep", layers=[layer])
        server.kill()
        client.close()
        Ballast(disk).leave(0)
        server.start()
        assert client("GET", f"/v2/{NAME}/manifests/keep").status == 200
        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(layer)}").body == layer
        Ballast(disk).drop()
        assert eventually(lambda: push_parts(client, b"after" * 1000, "whole") == 201)
