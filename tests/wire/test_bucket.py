"""Pulls from a bucket: sent there by links, or passed on from it."""

import hashlib
import http.client
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from registry.oci.blobs import LINK_LIFETIME
from tests.backing import Backing
from tests.live import LiveServer
from tests.s3 import S3Server
from tests.wire.client import Answer, Client, digest_of

NAME = "wire/bucket"
MIB = 1024 * 1024
LARGE = random.Random(5).randbytes(12 * MIB + 7)
SMALL = b"a small layer"
BLOBS = {digest_of(data): data for data in (LARGE, SMALL, b"")}


def serve(s3: S3Server, directory: Path, **settings: str) -> Iterator[Client]:
    chosen = {**Backing(s3=s3).settings(directory), "registry.create_on_push": "true", "storage.s3_redirect": "true"}
    chosen |= {f"storage.{name}": value for name, value in settings.items()}
    with LiveServer(directory, settings=chosen) as server, Client(server) as client:
        for data in BLOBS.values():
            client.push_blob(NAME, data)
        yield client


@pytest.fixture(scope="module")
def sent(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Clients are sent to the bucket."""
    yield from serve(s3, tmp_path_factory.mktemp("sent"))


@pytest.fixture(scope="module", params=["off", "another network"])
def passed(request: pytest.FixtureRequest, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Bytes are passed on: for all, or for the network that cannot reach the bucket."""
    settings = {"s3_redirect": "false"} if request.param == "off" else {"s3_redirect_except": "10.0.0.0/8,127.0.0.0/8"}
    yield from serve(s3, tmp_path_factory.mktemp("passed"), **settings)


def follow(location: str, method: str = "GET", **fields: str) -> Answer:
    """What the bucket says to a client that was sent there, without what it knows of the registry."""
    parts = urlsplit(location)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=fields)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("digest", BLOBS)
def test_a_pull_is_sent_to_the_bucket_for_a_while(digest: str, sent: Client) -> None:
    answer = sent("GET", f"/v2/{NAME}/blobs/{digest}")
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert "Cache-Control" not in answer.headers, "the link is not for ever"
    location = answer.headers["Location"]
    query = parse_qs(urlsplit(location).query)
    assert query["X-Amz-Expires"] == [str(LINK_LIFETIME)]
    assert LINK_LIFETIME <= 3600
    assert follow(location).body == BLOBS[digest]
    spoilt = location.replace("X-Amz-Expires=900", "X-Amz-Expires=90000")
    assert follow(spoilt).status == 403
    assert follow(location.partition("?")[0] + "?").status == 403, "nobody reads without a link"


def test_a_pull_that_is_resumed_goes_on_at_the_bucket(sent: Client) -> None:
    got = b""
    for start, end in ((0, 5 * MIB), (5 * MIB, 5 * MIB + 1), (5 * MIB + 1, len(LARGE))):
        location = sent("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}", Range=f"bytes={start}-").headers["Location"]
        answer = follow(location, Range=f"bytes={start}-{end - 1}")
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(LARGE)}"
        got += answer.body
    assert got == LARGE


@pytest.mark.parametrize("digest", BLOBS)
def test_asking_whether_a_blob_is_there_is_answered_here(digest: str, sent: Client) -> None:
    answer = sent("HEAD", f"/v2/{NAME}/blobs/{digest}")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(BLOBS[digest])))


def test_who_has_the_bytes_already_is_not_sent_anywhere(sent: Client) -> None:
    digest = digest_of(LARGE)
    assert sent("GET", f"/v2/{NAME}/blobs/{digest}", If_None_Match=f'"{digest}"').status == 304


def test_a_stranger_gets_no_link(sent: Client) -> None:
    with Client(sent.server, authorization="") as stranger:
        answer = stranger("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}")
    assert answer.status == 401
    assert "Location" not in answer.headers


@pytest.mark.parametrize("digest", BLOBS)
def test_bytes_are_passed_on_where_nobody_may_be_sent(digest: str, passed: Client) -> None:
    answer = passed("GET", f"/v2/{NAME}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, BLOBS[digest])
    head = passed("HEAD", f"/v2/{NAME}/blobs/{digest}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(BLOBS[digest])))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(LARGE)),
        ("bytes=262143-262144", 262143, 262145),
        (f"bytes={5 * MIB}-", 5 * MIB, len(LARGE)),
        (f"bytes={5 * MIB - 1}-{5 * MIB}", 5 * MIB - 1, 5 * MIB + 1),
        ("bytes=-1", len(LARGE) - 1, len(LARGE)),
        (f"bytes={len(LARGE) - 1}-{len(LARGE) + 9}", len(LARGE) - 1, len(LARGE)),
    ],
)
def test_ranges_of_what_is_passed_on_are_exact(asked: str, start: int, end: int, passed: Client) -> None:
    answer = passed("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}", Range=asked)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(LARGE)}"
    assert answer.body == LARGE[start:end]


def test_a_range_beyond_the_end_is_refused(passed: Client) -> None:
    path = f"/v2/{NAME}/blobs/{digest_of(LARGE)}"
    assert passed("GET", path, Range=f"bytes={len(LARGE)}-").status == 416


def test_who_goes_away_in_the_middle_and_comes_back_has_the_whole(passed: Client) -> None:
    path = f"/v2/{NAME}/blobs/{digest_of(LARGE)}"
    connection = http.client.HTTPConnection(passed.server.host, passed.server.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": passed.authorization})
    first = connection.getresponse().read(3 * MIB)
    connection.close()
    rest = passed("GET", path, Range=f"bytes={len(first)}-")
    assert hashlib.sha256(first + rest.body).digest() == hashlib.sha256(LARGE).digest()


def test_links_of_the_api_serve_bytes_of_the_bucket(passed: Client) -> None:
    passed.push_image(NAME, "image", layers=[LARGE])
    link = passed.server.client("ecr").get_download_url_for_layer(repositoryName=NAME, layerDigest=digest_of(LARGE))[
        "downloadUrl"
    ]
    assert follow(link).body == LARGE
    assert follow(link, Range="bytes=10-19").body == LARGE[10:20]


@pytest.mark.parametrize(
    ("count", "limit"),
    [(150, 170 * MIB), pytest.param(500, 230 * MIB, marks=pytest.mark.long)],
    ids=["150", "500"],
)
def test_slow_pulls_leave_memory_bounded_and_everyone_else_is_served(
    count: int, limit: int, s3: S3Server, tmp_path: Path
) -> None:
    """Each takes a little and then nothing more: what is on its way to it must not pile up here."""
    path = f"/v2/{NAME}/blobs/{digest_of(LARGE)}"
    with ExitStack() as stack:
        client = stack.enter_context(contextmanager(serve)(s3, tmp_path, s3_redirect="false"))
        server = client.server
        for _ in range(count):
            connection = stack.enter_context(closing(http.client.HTTPConnection(server.host, server.port, timeout=60)))
            connection.request("GET", path, headers={"Authorization": client.authorization})
            response = stack.enter_context(closing(connection.getresponse()))
            assert response.read(1000) == LARGE[:1000]
        assert client("GET", path).body == LARGE
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        assert peak * 1024 < limit, f"{peak // 1024} MiB"
