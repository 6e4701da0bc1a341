import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from server.telemetry import otlp
from server.telemetry.otlp import Exporter, encode, parse_headers, traces_url
from server.telemetry.spans import Span

SPAN = Span(
    "GET /v2/", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "1111111111111111", 1_700_000_000_000_000_001,
    server=True, state="a=b", ended=1_700_000_000_000_000_999, failed=True,
    attributes={"text": "x" * 5000, "number": 2**60, "part": 0.5, "yes": True},
)  # fmt: skip


class Collector:
    """Answers with the given statuses, then with 200; keeps what it took."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[dict[str, str], Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        assert request.path == "/v1/traces"
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.requests.append((dict(request.headers), json.loads(await request.read())))
        return web.Response(status=status)

    @property
    def names(self) -> list[str]:
        return [
            span["name"]
            for _, document in self.requests
            for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]
        ]


class Told:
    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.said: list[str] = []

    def count(self, name: str, amount: float) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount


@asynccontextmanager
async def serving(collector: Collector) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/{path:.*}", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def open_exporter(endpoint: str, told: Told) -> Exporter:
    return Exporter(endpoint, {"x-tenant": "a"}, {"service.name": "it"}, count=told.count, tell=told.said.append)


def named(name: str) -> Span:
    return Span(name, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "", 1, ended=2)


def test_a_span_is_written_as_otlp_has_it_in_json():
    (resource,) = json.loads(encode([SPAN], {"service.name": "it"}))["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "it"}}]
    (span,) = resource["scopeSpans"][0]["spans"]
    attributes = span.pop("attributes")
    assert span == {
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "parentSpanId": "1111111111111111",
        "traceState": "a=b", "name": "GET /v2/", "kind": 2, "status": {"code": 2},
        "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000000000999",
    }  # fmt: skip
    assert attributes == [
        {"key": "text", "value": {"stringValue": "x" * 1024}},
        {"key": "number", "value": {"intValue": str(2**60)}},
        {"key": "part", "value": {"doubleValue": 0.5}},
        {"key": "yes", "value": {"boolValue": True}},
    ]
    (root,) = json.loads(encode([named("root")], {}))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (root["kind"], root["status"]) == (1, {})
    assert not {"parentSpanId", "traceState"} & root.keys()


def test_the_endpoint_is_the_collector_or_where_it_takes_traces():
    for endpoint in ("http://c:4318", "http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/traces/"):
        assert traces_url(endpoint) == "http://c:4318/v1/traces"


def test_headers_are_written_as_in_the_environment_of_sdks():
    assert parse_headers("authorization=Bearer a=b, x-tenant = it ,") == {
        "authorization": "Bearer a=b",
        "x-tenant": "it",
    }
    for text in ("nonsense", "=value"):
        with pytest.raises(ValueError, match="name=value"):
            parse_headers(text)


async def test_what_waits_is_sent_in_batches():
    collector, told = Collector(), Told()
    async with serving(collector) as endpoint:
        exporter = open_exporter(endpoint, told)
        for number in range(1200):
            exporter.take(named(f"{number}"))
        assert await exporter.send() == otlp.PERIOD
        await exporter.close()
    assert collector.names == [f"{number}" for number in range(1200)]
    assert len(collector.requests) == 3
    headers, _ = collector.requests[0]
    assert (headers["Content-Type"], headers["x-tenant"]) == ("application/json", "a")
    assert told.counts == {"telemetry_spans_sent": 1200}
    assert told.said == []


async def test_a_collector_that_is_busy_gets_them_later_and_less_often():
    collector, told = Collector(503, 429, 502), Told()
    async with serving(collector) as endpoint:
        exporter = open_exporter(endpoint, told)
        for name in "abc":
            exporter.take(named(name))
        pauses = [await exporter.send() for _ in range(4)]
        assert pauses == [otlp.PERIOD * 2, otlp.PERIOD * 4, otlp.PERIOD * 8, otlp.PERIOD]
        await exporter.close()
    assert collector.names == ["a", "b", "c"]
    assert told.counts["telemetry_spans_sent"] == 3
    assert [bool(text) for text in told.said] == [True, False], "said once when it goes wrong, once when it is well"


async def test_what_a_collector_does_not_want_is_left_out():
    collector, told = Collector(400), Told()
    async with serving(collector) as endpoint:
        exporter = open_exporter(endpoint, told)
        exporter.take(named("a"))
        await exporter.send()
        exporter.take(named("b"))
        await exporter.send()
        await exporter.close()
    assert collector.names == ["b"]
    assert told.counts == {"telemetry_spans_dropped": 1, "telemetry_spans_sent": 1}


async def test_while_there_is_no_collector_a_bounded_number_waits():
    told = Told()
    exporter = open_exporter("http://127.0.0.1:9", told)
    for number in range(otlp.MOST + 100):
        exporter.take(named(f"{number}"))
    assert told.counts == {"telemetry_spans_dropped": 100}
    await exporter.send()
    exporter.take(named("one more"))
    assert told.counts == {"telemetry_spans_dropped": 101}
    assert len(told.said) == 1
    await exporter.close()
