"""Limits: who asks for more than its share waits for its turn, and is refused in words that its tools know."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.config
import botocore.exceptions
import pytest

from tests.live import LiveServer
from tests.wire.client import Client, Wire, basic, eventually
from tests.wire.principals import make_user
from tests.wire.test_observing import line, lines, metrics

NAME = "limits/it"
HOUR = 1 / 3600
"""Requests a second: what is used up stays used up as long as a test runs."""


def serve(directory: Path, **limits: Any) -> LiveServer:
    settings = {f"limits.{key}": str(value) for key, value in limits.items()}
    return LiveServer(directory, settings={"registry.create_on_push": "true", "storage.reserve": "0", **settings})


def test_of_an_address_a_burst_is_answered_and_then_none(tmp_path: Path) -> None:
    with serve(tmp_path, address_rate=HOUR, address_burst=5, queue=0) as server:
        with Client(server, authorization="") as nobody:
            assert [nobody("GET", "/v2/").status for _ in range(5)] == [401] * 5
            refused = nobody("GET", f"/v2/{NAME}/manifests/latest")
            assert refused.said == (429, "TOOMANYREQUESTS")
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
            assert nobody("GET", "/token").said == (429, "TOOMANYREQUESTS")
            for path in ("/healthz", "/readyz", "/metrics"):
                assert nobody("GET", path).status == 200
        with Client(server) as root:
            assert root("GET", "/v2/").status == 429, "credentials are not looked at before"
        assert metrics(server)["longshore_limits_refused_total", "address"] == 3
        found = line(server, refused.headers["x-amzn-RequestId"])
        assert (found["status"], found["principal"]) == (429, "")


def test_an_address_is_the_one_that_a_trusted_proxy_names(tmp_path: Path) -> None:
    with serve(tmp_path, address_rate=HOUR, address_burst=2, queue=0) as server:
        server.settings["server.trusted_proxies"] = "127.0.0.1/32"
        server.restart()
        with Client(server) as root:

            def ask(address: str) -> int:
                return root("GET", "/v2/", X_Forwarded_For=address).status

            assert [ask("192.0.2.1") for _ in range(3)] == [200, 200, 429]
            assert [ask("192.0.2.2") for _ in range(3)] == [200, 200, 429]
            assert [ask("2001:db8::1"), ask("2001:db8::ffff:1"), ask("2001:db8::2"), ask("2001:db8:0:1::2")] == [
                200, 200, 429, 200,
            ], "of IPv6 the first 64 bits count"  # fmt: skip


def test_who_asks_for_more_waits_for_its_turn(tmp_path: Path) -> None:
    with serve(tmp_path, principal_rate=40, principal_burst=1) as server, Client(server) as root:
        started = time.monotonic()
        answers = [root("GET", "/v2/") for _ in range(9)]
        assert [answer.status for answer in answers] == [200] * 9
        assert time.monotonic() - started >= 8 / 40 - 0.01
        found = metrics(server)
        assert found["longshore_limits_waited_total", "principal"] >= 5
        assert found["longshore_limits_wait_seconds_count", "principal"] >= 5
        assert found["longshore_limits_refused_total", "principal"] == 0
        eventually(lambda: [one for one in lines(server, path="/v2/") if one.get("waited_ms", 0) > 5])


def test_what_one_principal_uses_up_is_not_taken_from_another(tmp_path: Path) -> None:
    with serve(tmp_path, principal_rate=HOUR, principal_burst=20, queue=0) as server:
        key = make_user(server, "noisy")
        with Client(server, authorization=basic(key.key_id, key.secret)) as noisy, Client(server) as root:
            statuses = [noisy("GET", "/v2/").status for _ in range(25)]
            assert statuses == [200] * 20 + [429] * 5
            assert root("GET", "/v2/").status == 200
            with Client(server, authorization=basic(key.key_id, "wrong")) as forger:
                assert forger("GET", "/v2/").status == 401, "it is nobody whose turn could be used up"


def client(server: LiveServer, service: str, attempts: int) -> Any:
    config = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": attempts})
    return server.client(service, config=config)


def test_the_aws_apis_refuse_as_aws_throttles(tmp_path: Path) -> None:
    with serve(tmp_path, principal_rate=HOUR, principal_burst=1, queue=0) as server:
        ecr, iam = client(server, "ecr", 1), client(server, "iam", 1)
        ecr.describe_repositories()
        for call, code in (
            (ecr.describe_repositories, "ThrottlingException"),
            (iam.list_users, "Throttling"),
        ):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                call()
            assert refused.value.response["Error"]["Code"] == code
            assert refused.value.response["Error"]["Message"] == "Rate exceeded"
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with serve(tmp_path / "address", address_rate=HOUR, address_burst=1, queue=0) as server:
        ecr, iam = client(server, "ecr", 1), client(server, "iam", 1)
        ecr.describe_repositories()
        for call, code in ((ecr.describe_repositories, "ThrottlingException"), (iam.list_users, "Throttling")):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                call()
            assert refused.value.response["Error"]["Code"] == code
        key = ("longshore_aws_requests_total", "ThrottlingException", "DescribeRepositories", "ecr")
        assert metrics(server)[key] == 1


def test_boto3_tries_again_until_it_is_its_turn(tmp_path: Path) -> None:
    with serve(tmp_path, principal_rate=4, principal_burst=1, queue=0) as server:
        ecr = client(server, "ecr", 8)
        attempts = [ecr.describe_repositories()["ResponseMetadata"]["RetryAttempts"] for _ in range(3)]
        assert sum(attempts) > 0


def test_a_push_that_has_to_wait_is_not_told_to_send_its_bytes(tmp_path: Path) -> None:
    with (
        serve(tmp_path, principal_uploads=1) as server,
        Client(server) as root,
        Wire(server) as one,
        Wire(server) as other,
    ):
        locations = [root.begin(NAME) for _ in range(2)]

        def head(location: str) -> bytes:
            return (
                f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\n"
                "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            ).encode()

        one.send(head(locations[0]))
        assert one.receive_line() == b"HTTP/1.1 100 Continue\r\n"
        one.receive_line()
        other.send(head(locations[1]))
        eventually(lambda: metrics(server)["longshore_limits_waiting", "principal"] == 1)
        assert other.is_silent()
        assert root("GET", "/v2/").status == 200, "what brings no bytes of blobs goes on"
        one.send(b"12345")
        assert one.receive().status == 202
        assert other.receive_line() == b"HTTP/1.1 100 Continue\r\n"
        other.receive_line()
        other.send(b"12345")
        assert other.receive().status == 202


def test_who_goes_away_while_it_waits_leaves_its_place_to_the_next(tmp_path: Path) -> None:
    with (
        serve(tmp_path, principal_at_once=1) as server,
        Client(server) as root,
        Wire(server) as one,
        Wire(server) as gone,
    ):
        location = root.begin(NAME)
        one.send(
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\n"
            "Content-Length: 5\r\n\r\n123".encode()
        )
        eventually(lambda: metrics(server)["longshore_uploads_under_way",] == 1)
        gone.send(f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\n\r\n".encode())
        eventually(lambda: metrics(server)["longshore_limits_waiting", "principal"] == 1)
        gone.reset()
        with ThreadPoolExecutor(1) as pool:
            behind = pool.submit(root, "GET", "/v2/")
            eventually(lambda: metrics(server)["longshore_limits_waiting", "principal"] == 2)
            one.send(b"45")
            assert one.receive().status == 202
            assert behind.result(10).status == 200
        assert metrics(server)["longshore_limits_waiting", "principal"] == 0
        assert root("GET", "/v2/").status == 200


def test_a_pull_is_under_way_until_its_last_byte_is_taken(tmp_path: Path) -> None:
    with serve(tmp_path, principal_at_once=1, longest_wait=0.2) as server, Client(server) as root:
        digest = root.push_blob(NAME, b"z" * 30_000_000)
        with Wire(server) as slow:
            slow.send(
                f"GET /v2/{NAME}/blobs/{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\n\r\n".encode()
            )
            assert slow.receive_line() == b"HTTP/1.1 200 OK\r\n"
            refused = root("GET", "/v2/")
            assert refused.said == (429, "TOOMANYREQUESTS")
        eventually(lambda: root("GET", "/v2/").status == 200)


def test_a_large_body_that_is_in_memory_does_not_wait_there(tmp_path: Path) -> None:
    with serve(tmp_path, principal_uploads=1) as server, Client(server) as root, Wire(server) as one:
        ecr = client(server, "ecr", 1)
        location = root.begin(NAME)
        upload = ecr.initiate_layer_upload(repositoryName=NAME)["uploadId"]
        one.send(
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\n"
            "Content-Length: 5\r\n\r\n123".encode()
        )
        eventually(lambda: metrics(server)["longshore_uploads_under_way",] == 1)
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            ecr.upload_layer_part(
                repositoryName=NAME,
                uploadId=upload,
                partFirstByte=0,
                partLastByte=299_999,
                layerPartBlob=b"x" * 300_000,
            )
        assert refused.value.response["Error"]["Code"] == "ThrottlingException"
        one.send(b"45")
        assert one.receive().status == 202
