"""One request, from its first byte to the last of its answer: what the log, the metrics and a trace say of it."""

import time
from typing import TypeAlias

from base.limits import Lanes, Turn
from server.hosts import Origin
from server.http import Exchange

Held: TypeAlias = tuple[Lanes, Turn]
CLIENT_GONE = 499
"""What the log and the metrics call a request whose client went away: it gets no answer."""


class Visit:
    """What is known of a request so far."""

    __slots__ = (
        "code",
        "exchange",
        "operation",
        "origin",
        "path",
        "principal",
        "query",
        "route",
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
        self.principal = ""
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

    def _brings_blob(self) -> bool:
        """Whether its body is, or may be, bytes of a blob."""
        if self.path == "/":
            return (self.exchange.headers.get("X-Amz-Target") or "").endswith(".UploadLayerPart")
        return "/blobs/uploads/" in self.path and self.exchange.content_length != 0


_BRINGING = frozenset({"POST", "PUT", "PATCH"})
