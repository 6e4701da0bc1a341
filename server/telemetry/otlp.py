"""OTLP over HTTP, in JSON (OpenTelemetry, "OTLP Specification", OTLP/HTTP): spans in batches to `<endpoint>/v1/traces`."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import aiohttp

from server.telemetry.spans import Span, Value

PERIOD = 2.0
"""Seconds between two batches."""
MOST = 8192
"""Spans that wait for the collector; what comes then is left out, and counted."""
BATCH = 512
TIMEOUT = 10.0
"""Seconds that the collector has for a batch."""
LONGEST = 1024
"""Characters of an attribute."""
_LONGEST_PAUSE = 60.0
_AGAIN = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_SERVER, _INTERNAL = 2, 1
_ERROR = 2

Count: TypeAlias = Callable[[str, float], None]
"""Told a metric's name and by how much it grows."""
Tell: TypeAlias = Callable[[str], None]
"""Told what is wrong with the collector, and when it is well again (an empty text)."""


class Exporter:
    """Takes spans, and sends them in the background."""

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], resource: Mapping[str, Value], *, count: Count, tell: Tell
    ) -> None:
        self._url = traces_url(endpoint)
        self._headers = {**headers, "Content-Type": "application/json"}
        self._resource = dict(resource)
        self._count = count
        self._tell = tell
        self._waiting: deque[Span] = deque()
        self._failures = 0
        self._session: aiohttp.ClientSession | None = None

    def take(self, span: Span) -> None:
        """One span that is over; never waits."""
        if len(self._waiting) >= MOST:
            self._count("telemetry_spans_dropped", 1)
        else:
            self._waiting.append(span)

    async def send(self) -> float:
        """Send what waits; seconds until the next look."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            wrong, again = await self._post(batch)
            if not wrong:
                self._count("telemetry_spans_sent", len(batch))
                self._well()
                continue
            if not again:
                self._count("telemetry_spans_dropped", len(batch))
            else:
                room = MOST - len(self._waiting)
                self._count("telemetry_spans_dropped", max(0, len(batch) - room))
                self._waiting.extendleft(reversed(batch[:room]))
            if self._failures == 0:
                self._tell(wrong)
            self._failures += 1
            return min(_LONGEST_PAUSE, PERIOD * 2.0**self._failures)
        return PERIOD

    async def close(self) -> None:
        """Send what waits, if the collector takes it."""
        await self.send()
        if self._session is not None:
            await self._session.close()

    def _well(self) -> None:
        if self._failures:
            self._failures = 0
            self._tell("")

    async def _post(self, batch: Sequence[Span]) -> tuple[str, bool]:
        """(what is wrong or nothing, whether another try may help)."""
        body = await asyncio.to_thread(encode, batch, self._resource)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        try:
            async with self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as answer:
                if answer.status < 300:
                    return "", False
                return f"it answers {answer.status} {answer.reason}", answer.status in _AGAIN
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{type(error).__name__}: {error}", True


def traces_url(endpoint: str) -> str:
    """The endpoint is the collector's address, or where it takes traces itself."""
    url = endpoint.rstrip("/")
    return url if url.endswith("/v1/traces") else f"{url}/v1/traces"


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, as in OTEL_EXPORTER_OTLP_HEADERS. Raises ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"`{name}` has no value: write name=value")
        found[name.strip()] = value.strip()
    return found


def encode(spans: Sequence[Span], resource: Mapping[str, Value]) -> bytes:
    """An ExportTraceServiceRequest."""
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource.items())},
                "scopeSpans": [{"scope": {"name": "longshore"}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _span(span: Span) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _SERVER if span.server else _INTERNAL,
        "startTimeUnixNano": str(span.started),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes.items()),
        "status": {"code": _ERROR} if span.failed else {},
    }
    if span.parent_id:
        shown["parentSpanId"] = span.parent_id
    if span.state:
        shown["traceState"] = span.state
    return shown


def _attributes(items: Iterable[tuple[str, Value]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in items]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value[:LONGEST]}
