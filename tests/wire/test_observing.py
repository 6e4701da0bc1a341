"""What the server says of its requests: the access log and the metrics, as operators read them."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.live import LiveServer
from tests.wire.client import Client, Wire, basic, eventually

NAME = "observing/it"


def lines(server: LiveServer, **having: Any) -> list[dict[str, Any]]:
    """The log's events with those fields."""
    found = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in found if all(line.get(key) == value for key, value in having.items())]


def line(server: LiveServer, request_id: str) -> dict[str, Any]:
    """The one line about a request."""
    eventually(lambda: lines(server, request_id=request_id))
    (found,) = lines(server, request_id=request_id)
    return found


def metrics(server: LiveServer) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of the labels' names...) -> value."""
    with Client(server, fresh=True) as client:
        text = client("GET", "/metrics").body.decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_line_says_who_did_what_with_how_many_bytes(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    data = b"x" * 300_000
    answer = root("PATCH", location, data, User_Agent='docker/28.2 "quoted"')
    found = line(server, answer.headers["x-amzn-RequestId"])
    assert found["event"] == "request"
    assert (found["method"], found["path"], found["status"]) == ("PATCH", location.partition("?")[0], 202)
    assert (found["bytes_in"], found["bytes_out"]) == (len(data), 0)
    assert found["user_agent"] == 'docker/28.2 "quoted"'
    assert found["client"] == "127.0.0.1"
    assert found["principal"] == "arn:aws:iam::123456789012:root"
    assert 0 < found["ms"] < 60_000
    root("DELETE", location)


def test_a_line_counts_the_bytes_of_the_answer_but_not_those_that_head_leaves_out(
    server: LiveServer, root: Client
) -> None:
    for size in (100, 3_000_000):  # in one write, and by sendfile
        path = f"/v2/{NAME}/blobs/{root.push_blob(NAME, b'y' * size)}"
        assert line(server, root("GET", path).headers["x-amzn-RequestId"])["bytes_out"] == size
        assert line(server, root("HEAD", path).headers["x-amzn-RequestId"])["bytes_out"] == 0
    missing = root("HEAD", f"/v2/{NAME}/manifests/missing")
    assert line(server, missing.headers["x-amzn-RequestId"])["bytes_out"] == 0


def test_a_line_says_why_a_login_failed_and_never_with_what(server: LiveServer, root: Client) -> None:
    """docker shows the person who tries nothing but the status."""
    ecr = server.client("ecr", region="eu-west-1")
    password = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    together = "the access key id and secret do not go together"
    for path in ("/v2/", "/token"):
        for authorization, why in (
            (basic(server.access_key_id, "not-the-secret"), together),
            (basic("AKIAAAAAAAAAAAAAAAAA", "not-the-secret"), together),
            (f"Basic {password}", "the authorization token is for region eu-west-1, not us-east-1"),
            ("Basic not-the-secret", "the Basic credentials are not base64 of user:password"),
        ):
            with Client(server, authorization=authorization) as client:
                found = line(server, client("GET", path).headers["x-amzn-RequestId"])
            assert (found["refused"], found["principal"]) == (why, "anonymous" if path == "/v2/" else "")
    assert "refused" not in line(server, root("GET", "/v2/").headers["x-amzn-RequestId"])
    assert "not-the-secret" not in server.log.read_text()


def test_a_call_of_an_api_is_logged_and_counted_by_its_operation(server: LiveServer) -> None:
    ecr, sts = server.client("ecr"), server.client("sts")
    key = ("longshore_aws_requests_total", "RepositoryNotFoundException", "DescribeImages", "ecr")
    before = metrics(server).get(key, 0)
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException) as refused:
        ecr.describe_images(repositoryName="observing/missing")
    found = line(server, refused.value.response["ResponseMetadata"]["RequestId"])
    assert (found["path"], found["status"]) == ("/ DescribeImages", 400)
    answer = sts.get_caller_identity()
    assert line(server, answer["ResponseMetadata"]["RequestId"])["path"] == "/ GetCallerIdentity"
    found = metrics(server)
    assert found[key] == before + 1
    assert found["longshore_aws_requests_total", "", "GetCallerIdentity", "sts"] >= 1
    assert found["longshore_http_requests_total", "POST", "aws:sts", "200"] >= 1


def test_operations_that_clients_make_up_are_no_series(server: LiveServer) -> None:
    with Client(server) as client:
        for number in range(50):
            client("POST", "/", b"{}", headers={"X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.Made{number}"})
            client("GET", f"/made-up/{number}")
            client("GET", f"/v2/made-up{number}")
    labels = {label for labels in metrics(server) for label in labels[1:]}
    assert not [label for label in labels if "made" in label.lower()]


def test_requests_are_counted_by_the_routes_of_the_table(server: LiveServer, root: Client) -> None:
    image = root.push_image(NAME, "counted", layers=[b"z" * 5000])
    before = metrics(server)
    size = len(root("GET", f"/v2/{NAME}/manifests/{image}").body)
    root("GET", f"/v2/{NAME}/tags/list")
    route = "/v2/<name>/manifests/<reference>"
    after = metrics(server)
    for key, more in (
        (("longshore_http_requests_total", "GET", route, "200"), 1),
        (("longshore_http_request_seconds_count", route), 1),
        (("longshore_http_sent_bytes_total", route), size),
        (("longshore_http_requests_total", "GET", "/v2/<name>/tags/list", "200"), 1),
    ):
        assert after[key] == before.get(key, 0) + more, key


def test_bytes_that_come_in_are_counted_and_who_brings_them_is_under_way(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    key = ("longshore_http_received_bytes_total", "/v2/<name>/blobs/uploads/<upload>")
    before = metrics(server).get(key, 0)
    with Wire(server) as wire:
        head = (
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\nContent-Length: 10\r\n\r\n"
        )
        wire.send(head.encode() + b"12345")
        eventually(lambda: metrics(server)["longshore_uploads_under_way",] == 1)
        assert metrics(server)["longshore_requests_under_way",] == 2, "this one, and the one that asks"
        wire.send(b"67890")
        assert wire.receive().status == 202
    eventually(lambda: metrics(server)["longshore_uploads_under_way",] == 0)
    assert metrics(server)[key] == before + 10
    assert root("DELETE", location).status == 204


def test_who_goes_away_in_the_middle_is_under_way_no_more(server: LiveServer, root: Client) -> None:
    location = root.begin(NAME)
    with Wire(server) as wire:
        head = (
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {root.authorization}\r\nContent-Length: 10\r\n\r\n"
        )
        wire.send(head.encode() + b"12345")
        eventually(lambda: metrics(server)["longshore_uploads_under_way",] == 1)
    eventually(lambda: metrics(server)["longshore_uploads_under_way",] == 0)
    assert metrics(server)["longshore_requests_under_way",] == 1
    eventually(lambda: lines(server, status=499))
    assert lines(server, status=499)[-1]["bytes_in"] == 5
    assert root("DELETE", location).status == 204


def test_what_is_no_http_is_counted_and_logged(server: LiveServer) -> None:
    before = metrics(server)["longshore_http_unreadable_total",]
    with Wire(server) as wire:
        wire.send(b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n")
        assert wire.receive().status == 400
    assert metrics(server)["longshore_http_unreadable_total",] == before + 1
    eventually(lambda: lines(server, event="a request cannot be read"))


def test_a_worker_tells_what_it_takes_of_the_machine(server: LiveServer) -> None:
    eventually(lambda: ("longshore_worker_resident_bytes", "0") in metrics(server))
    found = metrics(server)
    assert 10_000_000 < found["longshore_worker_resident_bytes", "0"] < 1_000_000_000
    assert 3 < found["longshore_worker_open_files", "0"] < found["longshore_worker_most_files", "0"]
    assert 0 < found["longshore_worker_cpu_seconds_total", "0"] < 1000
    assert abs(found["longshore_worker_start_time_seconds", "0"] - time.time()) < 3600
    assert 0 < found["longshore_disk_free_bytes",] < found["longshore_disk_size_bytes",]
    assert [key for key in found if key[0] == "longshore_build_info"]


def test_readable_lines_have_the_bytes_too(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings={"server.log_format": "text"}) as server, Client(server) as client:
        answer = client("GET", "/v2/")
        eventually(lambda: answer.headers["x-amzn-RequestId"] in server.log.read_text())
        (found,) = [one for one in server.log.read_text().splitlines() if answer.headers["x-amzn-RequestId"] in one]
    assert " 200 GET    /v2/ " in found
    assert "ms 0/2 127.0.0.1 arn:aws:iam::123456789012:root " in found
