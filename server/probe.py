"""What is made of each call of the database and the store: counts, times, and a span where its request is traced."""

import time
from collections.abc import Mapping
from typing import Protocol, TypeAlias

from server.metrics import Metrics
from store.blobs.driver import NoRoom, StoreUnavailable
from store.database import DatabaseFull, DatabaseUnavailable

_FAILURES = (DatabaseUnavailable, DatabaseFull, StoreUnavailable, NoRoom)

Value: TypeAlias = str | int | float | bool


class Spans(Protocol):
    """Takes what was done for a request (`server.telemetry.spans.Tracer`)."""

    def record(self, name: str, seconds: float, attributes: Mapping[str, Value], *, failed: bool = False) -> None: ...


class Probe:
    """Of the `database` or the `store`. Implements `server.watched.Done`."""

    def __init__(self, what: str, calls: tuple[str, ...], metrics: Metrics, spans: Spans | None) -> None:
        self._what = what
        self._metrics = metrics
        self._times = {call: metrics.histogram(f"{what}_seconds", call) for call in calls}
        self._spans = spans

    def __call__(self, call: str, started: float, error: BaseException | None, about: str = "") -> None:
        seconds = time.perf_counter() - started
        self._times[call](seconds)
        if isinstance(error, _FAILURES):
            self._metrics.add(f"{self._what}_failures", 1, call)
        if self._spans is not None:
            attributes: dict[str, Value] = {}
            if about:
                attributes["db.query.text" if call == "read" else "code.function.name"] = about
            if error is not None:
                attributes["error.type"] = type(error).__name__
            self._spans.record(f"{self._what} {call}", seconds, attributes, failed=isinstance(error, _FAILURES))
