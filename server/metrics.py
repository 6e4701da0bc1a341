"""Metrics in Prometheus's exposition format, one set for all workers.

A worker counts in plain dicts and writes them to a file of its own once a second; whichever worker is scraped adds the
others' files to its own counts.
"""

import json
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_COUNTERS = {
    "collected_uploads": "Uploads that were given up.",
    "collected_blobs": "Blobs whose bytes were freed.",
    "collected_bytes": "Bytes freed.",
    "collected_orphans": "Things in the store that nothing knew, freed.",
    "decisions_allowed": "Decisions that let a request go on.",
    "decisions_denied": "Decisions that refused one.",
    "audit_records_written": "Decisions put on record.",
    "audit_records_dropped": "Decisions that were not, because the database did not take them for too long.",
    "errors": "Requests that failed through a fault of the server.",
}


class Metrics:
    """The counts of one worker, and how to show everybody's."""

    def __init__(self, directory: Path, worker: int) -> None:
        self._directory = directory
        self._path = directory / f"{worker}.json"
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, list[float]] = {}
        self._counters: dict[str, float] = dict.fromkeys(_COUNTERS, 0.0)
        self.connections = 0

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request of a kind of path took so long."""
        key = (route, method if method in _METHODS else "other", status)
        self._requests[key] = self._requests.get(key, 0) + 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = [0.0] * (len(BUCKETS) + 2)  # the buckets, beyond them, the sum
        durations[bisect_left(BUCKETS, seconds)] += 1
        durations[-1] += seconds

    def add(self, counter: str, amount: float = 1.0) -> None:
        """One of the counters above."""
        self._counters[counter] += amount

    def save(self) -> None:
        """Leave the counts where other workers find them. Runs on a thread."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._snapshot()))
        os.replace(fresh, self._path)

    def render(self) -> bytes:
        """The exposition text of all workers. Runs on a thread."""
        snapshots = [self._snapshot()]
        if self._directory.is_dir():
            others = [path for path in self._directory.glob("*.json") if path != self._path]
            snapshots.extend(json.loads(path.read_text()) for path in others)
        registry = CollectorRegistry()
        registry.register(_Sum(snapshots))
        return generate_latest(registry)

    def _snapshot(self) -> dict[str, object]:
        return {
            "requests": [[*key, count] for key, count in list(self._requests.items())],
            "durations": dict(self._durations),
            "counters": self._counters,
            "connections": self.connections,
        }


class _Sum(Collector):
    """All workers' snapshots, added up."""

    def __init__(self, snapshots: list[dict[str, object]]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily | GaugeMetricFamily]:
        requests: dict[tuple[str, str, str], float] = {}
        durations: dict[str, list[float]] = {}
        counters: dict[str, float] = {}
        connections = 0.0
        for snapshot in self._snapshots:
            for route, method, status, count in snapshot["requests"]:  # type: ignore[attr-defined]
                key = (route, method, str(status))
                requests[key] = requests.get(key, 0.0) + count
            for route, found in snapshot["durations"].items():  # type: ignore[attr-defined]
                sums = durations.setdefault(route, [0.0] * len(found))
                durations[route] = [one + other for one, other in zip(sums, found, strict=True)]
            for name, value in snapshot["counters"].items():  # type: ignore[attr-defined]
                counters[name] = counters.get(name, 0.0) + value
            connections += snapshot["connections"]  # type: ignore[operator]
        family = CounterMetricFamily(
            "longshore_http_requests", "Requests answered.", labels=["route", "method", "status"]
        )
        for labels, count in sorted(requests.items()):
            family.add_metric(list(labels), count)
        yield family
        histogram = HistogramMetricFamily(
            "longshore_http_request_seconds", "Time until an answer began to be sent.", labels=["route"]
        )
        for route, found in sorted(durations.items()):
            total = 0.0
            buckets = []
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], found[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            histogram.add_metric([route], buckets, found[-1])
        yield histogram
        for name, value in sorted(counters.items()):
            counter = CounterMetricFamily(f"longshore_{name}", _COUNTERS.get(name, name))
            counter.add_metric([], value)
            yield counter
        yield GaugeMetricFamily("longshore_connections", "Open connections.", value=connections)
        yield GaugeMetricFamily("longshore_workers", "Processes that answer.", value=float(len(self._snapshots)))
