"""One request, from its first byte to the last of its answer: what the log, the metrics and a trace say of it."""

import re
import time
from typing import TYPE_CHECKING, TypeAlias

from base.limits import Lanes, Turn
from server.hosts import Origin
from server.http import Exchange

if TYPE_CHECKING:
    from server.telemetry.spans import Span

Held: TypeAlias = tuple[Lanes, Turn]
CLIENT_GONE = 499
"""What the log and the metrics call a request whose client went away: it gets no answer."""


class Visit:
    """What is known of a request so far."""

    __slots__ = (
        "code",
        "exchange",
        "kind",
        "operation",
        "origin",
        "path",
        "principal",
        "query",
        "reference",
        "refused",
        "repository",
        "route",
        "span",
        "started",
        "status",
        "turns",
        "uploads",
        "waited",
    )

    def __init__(self, exchange: Exchange, origin: Origin) -> None:
        target = exchange.raw_path
        if target.startswith(("http://", "https://")):  # the absolute form (RFC 9112, 3.2.2)
            target = "/" + target.partition("://")[2].partition("/")[2]
        self.started = time.perf_counter()
        self.exchange = exchange
        self.origin = origin
        self.path, _, self.query = target.partition("?")
        self.route = "other"
        """From a list that clients cannot lengthen: a route's template, or `aws:` and a service."""
        self.operation = ""
        """Of an AWS call."""
        self.code = ""
        self.refused = ""
        """Why its credentials are no good."""
        self.principal = ""
        self.kind = ""
        """Of the principal (`auth.access.PrincipalKind`)."""
        self.repository = ""
        self.reference = ""
        """The tag or digest of the path."""
        self.span: Span | None = None
        self.status = CLIENT_GONE
        self.waited = 0.0
        """Seconds, for its turn."""
        self.turns: list[Held] = []
        """What it has of the limits."""
        self.uploads = exchange.method in _BRINGING and self._brings_blob()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.started

    @property
    def trace_id(self) -> str:
        """Of the trace that the request is part of, kept by us or only by its client; empty where there is none."""
        if self.span is not None:
            return self.span.trace_id
        match = _TRACE.match(self.exchange.headers.get("traceparent", ""))
        return match[1] if match else ""

    def _brings_blob(self) -> bool:
        """Whether its body is, or may be, bytes of a blob."""
        if self.path == "/":
            return (self.exchange.headers.get("X-Amz-Target") or "").endswith(".UploadLayerPart")
        return "/blobs/uploads/" in self.path and self.exchange.content_length != 0


_BRINGING = frozenset({"POST", "PUT", "PATCH"})
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-", re.ASCII)
