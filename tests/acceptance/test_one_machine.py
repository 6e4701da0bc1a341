"""nginx in front of one server, which lets it send the large blobs."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.balancers import Proxy, front
from tests.live import LiveServer
from tests.wire.client import Client, digest_of, eventually

NAME = "one/machine"
SETTINGS = {
    "registry.create_on_push": "true",
    "storage.reserve": "0",
    "server.trusted_proxies": "127.0.0.1",
    "storage.accel_redirect": "/_files/",
    # where blobs are on a disk, whatever the servers of other tests have
    "storage.driver": "filesystem",
}
SMALL, LARGE = random.Random(1).randbytes(1000), random.Random(2).randbytes(3_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with front(tmp_path_factory.mktemp("nginx"), server) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    with Client(proxy) as client:
        for data in (SMALL, LARGE):
            client.push_blob(NAME, data)
        yield client


def sent_by(server: LiveServer) -> float:
    """Bytes of answers of /v2/ that the server sent itself."""
    with Client(server, authorization="") as nobody:
        text = nobody("GET", "/metrics").body.decode()
    found = re.findall(r"^longshore_http_sent_bytes_total\{[^}]*v2[^}]*\} ([0-9.e+]+)$", text, flags=re.MULTILINE)
    return sum(map(float, found))


def test_a_large_blob_is_nginxs_to_send_and_looks_as_ever(client: Client, server: LiveServer) -> None:
    path = f"/v2/{NAME}/blobs/{digest_of(LARGE)}"
    with Client(server) as direct:
        whole = direct("GET", path)
    before = sent_by(server)
    answer = client("GET", path)
    assert (answer.status, answer.body) == (200, LARGE)
    for field in ("Docker-Content-Digest", "ETag", "Content-Type", "Content-Length", "Accept-Ranges", "Cache-Control"):
        assert answer.headers[field] == whole.headers[field], field
    assert answer.headers["x-amzn-RequestId"]
    assert "X-Accel-Redirect" not in answer.headers
    assert sent_by(server) - before < 1000


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("bytes=10-19", LARGE[10:20]), ("bytes=2999990-", LARGE[-10:]), ("bytes=-5", LARGE[-5:])],
)
def test_ranges_are_cut_out_by_nginx(client: Client, wanted: str, expected: bytes) -> None:
    answer = client("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}", Range=wanted)
    assert (answer.status, answer.body) == (206, expected)
    assert answer.headers["Docker-Content-Digest"] == digest_of(LARGE)
    assert answer.headers["Content-Range"].endswith(f"/{len(LARGE)}")


def test_what_is_no_whole_file_comes_from_the_server(client: Client) -> None:
    path = f"/v2/{NAME}/blobs/{digest_of(SMALL)}"
    assert client("GET", path).body == SMALL
    assert client("GET", path, Range="bytes=1-3").body == SMALL[1:4]
    assert client("HEAD", f"/v2/{NAME}/blobs/{digest_of(LARGE)}").headers["Content-Length"] == str(len(LARGE))


def test_links_to_layers_are_handed_over_too(client: Client, server: LiveServer) -> None:
    client.push_image(NAME, "latest", layers=[LARGE])
    ask = {"repositoryName": NAME, "layerDigest": digest_of(LARGE)}
    link = server.client("ecr").get_download_url_for_layer(**ask)["downloadUrl"].partition("/_blobs/")[2]
    assert client("GET", f"/_blobs/{link}", Authorization="").body == LARGE


def test_nobody_gets_in_by_the_location_itself(client: Client, server: LiveServer) -> None:
    file = next(path for path in (server.data / "blobs" / "files").rglob("*") if path.is_file())
    path = f"/_files/{file.parent.name}/{file.name}"
    for authorization in ("", client.authorization):
        assert client("GET", path, Authorization=authorization).status == 404


def test_who_does_not_come_by_nginx_gets_the_bytes(server: LiveServer, tmp_path: Path) -> None:
    with Client(server) as beside_nginx:
        beside_nginx.push_blob(NAME, LARGE)
        assert beside_nginx("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}").body == LARGE
    settings = {**SETTINGS, "server.trusted_proxies": "192.0.2.1"}
    with LiveServer(tmp_path / "server", settings=settings) as other, Client(other) as client:
        client.push_blob(NAME, LARGE)
        answer = client("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}", X_Forwarded_For="192.0.2.1")
        assert (answer.body, "X-Accel-Redirect" in answer.headers) == (LARGE, False)


def test_a_refused_pull_is_refused(proxy: Proxy, client: Client) -> None:
    with Client(proxy, authorization="") as nobody:
        assert nobody("GET", f"/v2/{NAME}/blobs/{digest_of(LARGE)}").status == 401
    assert client("GET", f"/v2/other/blobs/{digest_of(LARGE)}").said == (404, "NAME_UNKNOWN")
    assert eventually(lambda: client("GET", "/v2/").status == 200)
