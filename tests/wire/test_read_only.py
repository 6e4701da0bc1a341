"""Read-only mode: what works, what is refused and how each dialect says so, beside a running server."""

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, Client, basic, descriptor, digest_of

NAME = "read/only"
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0"}
LAYER = b"a layer of the image"


def run(server: LiveServer, *arguments: str, expected: int = 0) -> str:
    """What `longshore` prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "server", *arguments, "--data", str(server.data)],
        cwd=server.directory, env=server.environment(), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == expected, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings=SETTINGS, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def image(server: LiveServer) -> bytes:
    """A pushed image, tagged `v1`."""
    with Client(server) as client:
        return push(client, b"{}")


def push(client: Client, config: bytes) -> bytes:
    for data in (config, LAYER):
        answer = client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data)
        assert answer.status == 201
    content = manifest(config)
    assert client("PUT", f"/v2/{NAME}/manifests/v1", content, **{"Content-Type": IMAGE}).status == 201
    return content


def manifest(config: bytes) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor("x/y", LAYER)],
        }
    ).encode()


@pytest.fixture
def read_only(server: LiveServer, image: bytes) -> Iterator[LiveServer]:
    run(server, "read-only", "on", "--reason", "we are moving")
    yield server
    run(server, "read-only", "off")


def changes(digest: str) -> list[tuple[str, str, bytes]]:
    return [
        ("POST", f"/v2/{NAME}/blobs/uploads/", b""),
        ("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'new')}", b"new"),
        ("POST", f"/v2/new/one/blobs/uploads/?mount={digest_of(LAYER)}&from={NAME}", b""),
        ("PUT", f"/v2/{NAME}/manifests/v2", manifest(b"{}")),
        ("DELETE", f"/v2/{NAME}/manifests/v1", b""),
        ("DELETE", f"/v2/{NAME}/manifests/{digest}", b""),
        ("DELETE", f"/v2/{NAME}/blobs/{digest_of(b'none')}", b""),
    ]


def test_pulls_and_reads_work_and_changes_are_refused_on_every_worker(read_only: LiveServer, image: bytes):
    digest = digest_of(image)
    with Client(read_only, fresh=True) as client:
        for _ in range(2):  # connections go to the workers in turn
            assert client("GET", f"/v2/{NAME}/manifests/v1").body == image
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(LAYER)}").body == LAYER
            assert client("HEAD", f"/v2/{NAME}/blobs/{digest_of(LAYER)}").status == 200
            assert client("GET", f"/v2/{NAME}/tags/list").json["tags"] == ["v1"]
            for method, path, body in changes(digest):
                answer = client(method, path, body, **{"Content-Type": IMAGE})
                assert answer.said == (503, "UNAVAILABLE"), (method, path)
                assert "read-only at the moment: we are moving" in answer.message
                assert answer.headers["Retry-After"] == "60"
            assert client("GET", f"/v2/{NAME}/tags/list").json["tags"] == ["v1"]


def test_the_status_line_says_why_because_docker_shows_nothing_else_of_a_503(read_only: LiveServer):
    run(read_only, "read-only", "on", "--reason", "we are moving\r\nX-Evil: yes, b\u00fccher")
    with contextlib.closing(http.client.HTTPConnection(read_only.host, read_only.port, timeout=10)) as connection:
        user = basic(read_only.access_key_id, read_only.secret_access_key)
        deadline = time.monotonic() + 5
        while True:
            connection.request("DELETE", f"/v2/{NAME}/manifests/v1", headers={"Authorization": user})
            response = connection.getresponse()
            response.read()
            if "Evil" in response.reason:
                break
            assert time.monotonic() < deadline
    assert response.reason == "Service Unavailable, read-only: we are movingX-Evil: yes, bcher"
    assert response.headers["X-Evil"] is None


def test_an_upload_begun_before_is_refused_and_goes_on_after(server: LiveServer, image: bytes):
    data = b"an upload that is interrupted"
    with Client(server) as client:
        location = client("POST", f"/v2/{NAME}/blobs/uploads/").headers["Location"]
        assert client("PATCH", location, data[:10]).status == 202
        run(server, "read-only", "on")
        assert client("PATCH", location, data[10:]).said == (503, "UNAVAILABLE")
        assert client("PUT", f"{location}?digest={digest_of(data)}", data[10:]).said == (503, "UNAVAILABLE")
        run(server, "read-only", "off")
        deadline = time.monotonic() + 5
        while (answer := client("PUT", f"{location}?digest={digest_of(data)}", data[10:])).status == 503:
            assert time.monotonic() < deadline
        assert answer.status == 201


def test_the_apis_answer_reads_and_refuse_changes_in_awss_form(read_only: LiveServer, image: bytes):
    ecr, iam, sts = (read_only.client(service) for service in ("ecr", "iam", "sts"))
    assert ecr.describe_repositories()["repositories"][0]["repositoryName"] == NAME
    assert ecr.get_authorization_token()["authorizationData"]
    layers = ecr.batch_check_layer_availability(repositoryName=NAME, layerDigests=[digest_of(LAYER)])["layers"]
    assert layers[0]["layerAvailability"] == "AVAILABLE"
    assert sts.get_caller_identity()["Account"]
    assert iam.list_users()["Users"] == []
    refused = [
        lambda: ecr.create_repository(repositoryName="new/one"),
        lambda: ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageTag": "v1"}]),
        lambda: ecr.initiate_layer_upload(repositoryName=NAME),
        lambda: iam.create_user(UserName="somebody"),
    ]
    for change in refused:
        with pytest.raises(ClientError) as raised:
            change()
        error = raised.value.response
        assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceUnavailable", 503)
        assert "read-only at the moment: we are moving" in error["Error"]["Message"]


def test_the_switch_says_how_it_stands(server: LiveServer, image: bytes):
    assert run(server, "read-only", "status") == "not read-only: changes are taken\n"
    run(server, "read-only", "on", "--reason", "because")
    assert run(server, "read-only", "status").endswith("(read-only): because\n")
    assert "read-only at the moment: because" in run(server, "account", "create", "new", expected=1)
    assert "read-only at the moment: because" in run(server, "gc", expected=1)
    assert run(server, "read-only", "off") == "not read-only: changes are taken\n"
    with Client(server) as client:
        deadline = time.monotonic() + 5
        while client("POST", f"/v2/{NAME}/blobs/uploads/").status == 503:
            assert time.monotonic() < deadline


def test_a_server_whose_settings_say_so_never_writes(tmp_path: Path):
    server = LiveServer(tmp_path, settings=SETTINGS)
    with server, Client(server) as client:
        content = push(client, b"{}")
    reading = LiveServer(tmp_path, settings={**server.settings, "server.read_only": "true"})
    with server.rows() as rows:
        before = [rows.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("audit_segments", "uploads")]
    with reading, Client(reading) as client:
        assert client("GET", f"/v2/{NAME}/manifests/v1").body == content
        assert client("HEAD", f"/v2/{NAME}/blobs/{digest_of(LAYER)}").status == 200
        assert client("POST", f"/v2/{NAME}/blobs/uploads/").said == (503, "UNAVAILABLE")
        assert "server.read_only" in client("DELETE", f"/v2/{NAME}/manifests/v1").message
    with reading.rows() as rows:
        after = [rows.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("audit_segments", "uploads")]
    assert after == before
