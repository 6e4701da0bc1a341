"""Spans (OpenTelemetry, "Trace API"), and which trace a request belongs to (W3C, "Trace Context").

A request's span is begun with it and ended after the last byte of its answer; what is done for it on the database and
the store is recorded as a child when it is over. Which request that is, the context of its task knows.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

CHILDREN = 64
"""Children of a span at the most: a stream of 10 GB is read in 20,000 pieces. The span says how many were left out."""
_LONGEST_STATE = 512
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.ASCII)

Value: TypeAlias = str | int | float | bool
Export: TypeAlias = Callable[["Span"], None]
Now: TypeAlias = Callable[[], int]
"""Nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What a traceparent field says."""

    trace_id: str
    span_id: str
    sampled: bool


@dataclass(slots=True)
class Span:
    """Times are nanoseconds since the epoch, ids lower-case hexadecimal. `server`: it answers a request from elsewhere."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    started: int
    server: bool = False
    state: str = ""
    ended: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    failed: bool = False
    children: int = 0


_CURRENT: ContextVar[Span] = ContextVar("span")


def parse_parent(text: str) -> Parent | None:
    """None where it means nothing (W3C, "Trace Context", 3.2.2): a new trace begins then."""
    match = _PARENT.match(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1))


class Tracer:
    """Makes spans. `ratio` of the traces that begin here are kept; one that a client began is kept where the client says so."""

    def __init__(self, ratio: float, *, export: Export, now: Now, random: Random) -> None:
        self._ratio = ratio
        self._export = export
        self._now = now
        self._random = random

    def begin(self, traceparent: str | None, tracestate: str | None = None) -> Span | None:
        """The span of a request, from now on the one of this task; None where its trace is not kept."""
        parent = None if traceparent is None else parse_parent(traceparent)
        if parent is None:
            if self._random.random() >= self._ratio:
                return None
            span = Span("", f"{self._id(128):032x}", f"{self._id(64):016x}", "", self._now(), server=True)
        elif parent.sampled:
            span = Span("", parent.trace_id, f"{self._id(64):016x}", parent.span_id, self._now(), server=True)
            if tracestate and len(tracestate) <= _LONGEST_STATE:
                span.state = tracestate
        else:
            return None
        _CURRENT.set(span)
        return span

    def end(self, span: Span) -> None:
        """It is over."""
        span.ended = self._now()
        if span.children > CHILDREN:
            span.attributes["longshore.children_left_out"] = span.children - CHILDREN
        self._export(span)

    def record(self, name: str, seconds: float, attributes: Mapping[str, Value], *, failed: bool = False) -> None:
        """Something that took so long, until now, for the request of this task; nothing, where that is not traced."""
        parent = _CURRENT.get(None)
        if parent is None:
            return
        parent.children += 1
        if parent.children > CHILDREN:
            return
        ended = self._now()
        self._export(
            Span(
                name,
                parent.trace_id,
                f"{self._id(64):016x}",
                parent.span_id,
                ended - int(seconds * 1e9),
                state=parent.state,
                ended=ended,
                attributes=dict(attributes),
                failed=failed,
            )
        )

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Attributes of the request of this task."""
        span = _CURRENT.get(None)
        if span is not None:
            span.attributes.update(attributes)

    def _id(self, bits: int) -> int:
        return self._random.getrandbits(bits) or 1
