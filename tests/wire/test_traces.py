"""Traces: what a collector of OpenTelemetry is told of requests, over OTLP in JSON."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import ROOT, LiveServer
from tests.wire.client import Client, eventually
from tests.wire.collector import Collector
from tests.wire.principals import allow, make_user
from tests.wire.test_observing import line

NAME = "traces/it"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[LiveServer]:
    settings = {
        "registry.create_on_push": "true", "storage.reserve": "0", "telemetry.endpoint": collector.endpoint,
        "telemetry.sample_ratio": "1", "telemetry.headers": "x-tenant=it", "telemetry.service_name": "longshore-it",
    }  # fmt: skip
    with LiveServer(tmp_path_factory.mktemp("traced"), settings=settings) as running:
        yield running


def test_a_request_is_a_span_with_its_route_principal_decision_and_bytes(
    server: LiveServer, root: Client, collector: Collector
) -> None:
    root.push_image(NAME, "latest")
    answer = root("GET", f"/v2/{NAME}/manifests/latest", User_Agent="docker/28.2")
    span = collector.of(answer.headers["x-amzn-RequestId"])
    assert span.name == "GET /v2/<name>/manifests/<reference>"
    assert (span.kind, span.status) == (2, {})
    assert int(span.startTimeUnixNano) < int(span.endTimeUnixNano)
    found = span.attributes
    assert {key: found[key] for key in found if key not in {"server.address", "aws.request_id"}} == {
        "http.request.method": "GET",
        "http.route": "/v2/<name>/manifests/<reference>",
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "http.response.body.size": len(answer.body),
        "url.path": f"/v2/{NAME}/manifests/latest",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "user_agent.original": "docker/28.2",
        "longshore.principal": "arn:aws:iam::123456789012:root",
        "longshore.principal.kind": "Account",
        "longshore.repository": NAME,
        "longshore.reference": "latest",
        "longshore.decision": "allowed",
        "longshore.action": "ecr:BatchGetImage",
        "longshore.resource": f"arn:aws:ecr:us-east-1:123456789012:repository/{NAME}",
    }
    assert span.resource["service.name"] == "longshore-it"
    assert {"service.version", "service.instance.id", "host.name"} <= span.resource.keys()
    assert collector.headers[0]["x-tenant"] == "it"


def test_a_refusal_says_what_was_not_allowed(server: LiveServer, collector: Collector) -> None:
    user = make_user(server, "traced", allow("ecr:GetAuthorizationToken"))
    with user.docker() as client:
        answer = client("GET", f"/v2/{NAME}/tags/list")
    assert answer.status == 403
    found = collector.of(answer.headers["x-amzn-RequestId"]).attributes
    assert (found["longshore.decision"], found["longshore.action"]) == ("denied", "ecr:ListImages")
    assert (found["longshore.principal"], found["longshore.principal.kind"]) == (user.arn, "User")


def test_a_call_of_an_api_is_named_by_its_operation(server: LiveServer, root: Client, collector: Collector) -> None:
    root.push_image(NAME, "latest")
    answer = server.client("ecr").describe_images(repositoryName=NAME)
    found = collector.of(answer["ResponseMetadata"]["RequestId"]).attributes
    assert (found["rpc.system"], found["rpc.service"], found["rpc.method"]) == ("aws-api", "ecr", "DescribeImages")
    assert (found["longshore.repository"], found["longshore.decision"]) == (NAME, "allowed")


def test_what_is_done_on_the_database_and_the_store_are_its_children(root: Client, collector: Collector) -> None:
    location = root.begin(NAME)
    answer = root("PATCH", location, b"x" * 3_000_000)
    span = collector.of(answer.headers["x-amzn-RequestId"])
    children = eventually(lambda: collector.children(span))
    assert {"database read", "database write", "store write"} <= {child.name for child in children}
    for child in children:
        assert (child.traceId, child.kind) == (span.traceId, 1)
        assert int(span.startTimeUnixNano) - 10_000_000 <= int(child.startTimeUnixNano)
        assert int(child.endTimeUnixNano) <= int(span.endTimeUnixNano) + 10_000_000
    reads = [child.attributes["db.query.text"] for child in children if child.name == "database read"]
    assert any(text.startswith("SELECT") for text in reads)
    assert not [text for text in reads if NAME in text], "parameters are not told"
    writes = [child.attributes["code.function.name"] for child in children if child.name == "database write"]
    assert all(writes)
    assert root("DELETE", location).status == 204


def test_a_clients_trace_goes_on_and_is_in_the_log(server: LiveServer, root: Client, collector: Collector) -> None:
    answer = root("GET", "/v2/", traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=value")
    request_id = answer.headers["x-amzn-RequestId"]
    span = collector.of(request_id)
    assert (span.traceId, span.parentSpanId, span.traceState) == (TRACE, PARENT, "vendor=value")
    assert line(server, request_id)["trace_id"] == TRACE


def test_a_trace_that_the_client_does_not_keep_is_not_told(
    server: LiveServer, root: Client, collector: Collector
) -> None:
    other = TRACE.replace("4", "5")
    left_out = root("GET", "/v2/", traceparent=f"00-{other}-{PARENT}-00").headers["x-amzn-RequestId"]
    told = root("GET", "/v2/").headers["x-amzn-RequestId"]
    collector.of(told)
    assert not [span for span in collector.spans if span.attributes.get("aws.request_id") == left_out]
    assert line(server, left_out)["trace_id"] == other, "the log says whose trace it was in all the same"


def test_health_checks_and_scrapes_are_no_traces(root: Client, collector: Collector) -> None:
    root("GET", "/healthz")
    root("GET", "/metrics")
    collector.of(root("GET", "/v2/").headers["x-amzn-RequestId"])
    assert not [span for span in collector.spans if span.attributes.get("http.route") in {"/healthz", "/metrics"}]


def test_what_a_stop_finds_waiting_is_sent(tmp_path: Path, collector: Collector) -> None:
    settings = {"telemetry.endpoint": collector.endpoint, "telemetry.sample_ratio": "1"}
    with LiveServer(tmp_path, settings=settings) as server, Client(server) as client:
        request_id = client("GET", "/v2/").headers["x-amzn-RequestId"]
        client.close()
        server.stop()
        assert collector.of(request_id).name == "GET /v2/"


def test_where_telemetry_is_off_nothing_of_it_is_imported() -> None:
    code = "import sys, server.app; print([name for name in sys.modules if name.startswith('server.telemetry.')])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
