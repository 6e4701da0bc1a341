"""Metrics in Prometheus's exposition format, one set for all workers.

A worker counts in plain dicts and writes them to a file of its own once a second; whichever worker is scraped adds the
others' files to its own counts. One that takes the place of another goes on from its counts. FAMILIES is the list of
everything that is shown.
"""

import json
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from registry.garbage import COUNTED, Amount
from registry.rounds import Standing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_SHORT = (0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0)
_MOST = 2000
"""Series of one family at the most; what comes then is counted under "other"."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Labels: TypeAlias = tuple[str, ...]


class Kind(Enum):
    """What a family is, and how the workers' values become one."""

    COUNTER = "counter"
    SUM = "gauge, added up"
    MOST = "gauge, the greatest"
    LEAST = "gauge, the least"
    HISTOGRAM = "histogram"


_GAUGES: dict[Kind, Callable[[Iterable[float]], float]] = {Kind.SUM: sum, Kind.MOST: max, Kind.LEAST: min}


@dataclass(frozen=True, slots=True)
class Family:
    """A row: `longshore_<name>`, what it says, its labels. A counter is shown as `longshore_<name>_total`.

    Every value of a label comes from a list that clients cannot lengthen; series of `known` values are there from the
    start, so that the first thing they count is an increase. `absent`: not shown before it is set.
    """

    name: str
    kind: Kind
    text: str
    labels: Labels = ()
    buckets: tuple[float, ...] = BUCKETS
    known: tuple[str, ...] = ()
    absent: bool = False


_BY = ("address", "principal")
DATABASE_CALLS = ("read", "write", "commit")
STORE_CALLS = ("open", "read", "write", "seal", "delete", "url")

FAMILIES: tuple[Family, ...] = (
    # requests
    Family("http_requests", Kind.COUNTER, "Requests answered.", ("route", "method", "status")),
    Family("http_request_seconds", Kind.HISTOGRAM, "Time until an answer began to be sent.", ("route",)),
    Family("http_received_bytes", Kind.COUNTER, "Bytes of the bodies of requests.", ("route",)),
    Family("http_sent_bytes", Kind.COUNTER, "Bytes of the bodies of answers.", ("route",)),
    Family("http_unreadable", Kind.COUNTER, "Requests that were no HTTP, or had larger header fields than are read."),
    Family("aws_requests", Kind.COUNTER, "Calls of the AWS APIs.", ("service", "operation", "code")),
    Family("errors", Kind.COUNTER, "Requests that failed through a fault of the server."),
    Family("requests_under_way", Kind.SUM, "Requests that are being answered, their bodies included."),
    Family("uploads_under_way", Kind.SUM, "Of these, requests that bring bytes of blobs."),
    Family("connections", Kind.SUM, "Open connections."),
    Family("limits_waited", Kind.COUNTER, "Requests that waited for their turn.", ("by",), known=_BY),
    Family("limits_wait_seconds", Kind.HISTOGRAM, "How long they did.", ("by",)),
    Family("limits_waiting", Kind.SUM, "Requests that wait now.", ("by",), known=_BY),
    Family("limits_refused", Kind.COUNTER, "Requests that were refused because there were too many.", ("by",), known=_BY),
    # decisions
    Family("decisions_allowed", Kind.COUNTER, "Decisions that let a request go on."),
    Family("decisions_denied", Kind.COUNTER, "Decisions that refused one."),
    Family("epoch_age_seconds", Kind.LEAST, "Age of what is known of permissions; grows while nobody asks.", absent=True),
    Family("audit_records_written", Kind.COUNTER, "Decisions put on record."),
    Family("audit_records_dropped", Kind.COUNTER, "Decisions that were not, because the database did not take them for too long."),
    Family("audit_records_waiting", Kind.SUM, "Decisions that are not yet written."),
    # the database and the store
    Family("database_seconds", Kind.HISTOGRAM, "Time of calls: read, write, and commit (durable).", ("call",), buckets=_SHORT),
    Family("database_waiting", Kind.SUM, "Units of the database that are not through."),
    Family("database_failures", Kind.COUNTER, "Calls that found the database away or full.", ("call",), known=DATABASE_CALLS),
    Family("store_seconds", Kind.HISTOGRAM, "Time of calls: open, read, write, seal, delete, url.", ("call",), buckets=_SHORT),
    Family("store_failures", Kind.COUNTER, "Calls that found the store away or full.", ("call",), known=STORE_CALLS),
    Family("collected_uploads", Kind.COUNTER, "Uploads that were given up."),
    Family("collected_blobs", Kind.COUNTER, "Blobs whose bytes were freed."),
    Family("collected_bytes", Kind.COUNTER, "Bytes freed."),
    Family("collected_orphans", Kind.COUNTER, "Things in the store that nothing knew, freed."),
    Family("disk_free_bytes", Kind.LEAST, "Room on the disk of the data directory, for this user.", absent=True),
    Family("disk_size_bytes", Kind.LEAST, "The size of that disk.", absent=True),
    # traces
    Family("telemetry_spans_sent", Kind.COUNTER, "Spans that the collector of traces took."),
    Family("telemetry_spans_dropped", Kind.COUNTER, "Spans that it did not."),
    # processes
    Family("build_info", Kind.MOST, "1; the labels say what runs.", ("version", "python"), absent=True),
    Family("tls_expiry_timestamp_seconds", Kind.LEAST, "When the TLS certificate in use ends.", absent=True),
    Family("worker_start_time_seconds", Kind.SUM, "When a worker began.", ("worker",)),
    Family("worker_resident_bytes", Kind.SUM, "Memory of a worker, shared pages included.", ("worker",)),
    Family("worker_cpu_seconds", Kind.COUNTER, "Processor time of a worker.", ("worker",)),
    Family("worker_open_files", Kind.SUM, "Descriptors that a worker has open.", ("worker",)),
    Family("worker_most_files", Kind.SUM, "Descriptors that it may have open.", ("worker",)),
    Family("worker_lag_seconds", Kind.SUM, "By how much a worker's event loop was late when it last looked.", ("worker",)),
)  # fmt: skip

COLLECTION: tuple[Family, ...] = (
    Family("gc_reclaimable_items", Kind.MOST, "What was to be reclaimed at the end of the last round.", ("reason",)),
    Family("gc_reclaimable_bytes", Kind.MOST, "Their bytes.", ("reason",)),
    Family("gc_reclaimed_items", Kind.COUNTER, "Things reclaimed, by all processes since the beginning.", ("reason",)),
    Family("gc_reclaimed_bytes", Kind.COUNTER, "Their bytes.", ("reason",)),
    Family("gc_queue_length", Kind.MOST, "Rows that wait for the collector, at the end of the last round.", ("queue",)),
    Family("gc_upload_bytes", Kind.MOST, "Bytes of open uploads, then."),
    Family("gc_last_success_timestamp_seconds", Kind.MOST, "When the last round, or search, that succeeded ended.", ("kind",)),
    Family("gc_last_duration_seconds", Kind.MOST, "How long it took.", ("kind",)),
    Family("gc_under_way", Kind.MOST, "Whether one is under way.", ("kind",)),
)  # fmt: skip
"""What the database says of the collector: every process shows the same, so it is not to be added up."""


class Metrics:
    """The counts of one worker, and how to show everybody's."""

    def __init__(self, directory: Path, worker: int, families: tuple[Family, ...] = FAMILIES) -> None:
        self._directory = directory
        self._path = directory / f"{worker}.json"
        self._families = {family.name: family for family in families}
        self._values: dict[str, dict[Labels, Any]] = {family.name: {} for family in families}
        for family in families:
            if family.kind is not Kind.HISTOGRAM and not family.absent:
                known: list[Labels] = [(value,) for value in family.known] if family.labels else [()]
                self._values[family.name].update(dict.fromkeys(known, 0.0))
        self._go_on()
        self._requests = self._values["http_requests"]
        self._durations = self._values["http_request_seconds"]

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request took so long to be answered."""
        key = (route, method if method in _METHODS else "other", str(status))
        requests = self._requests
        try:
            requests[key] += 1
        except KeyError:
            self.add("http_requests", 1, *key)
        try:
            buckets = self._durations[route,]
        except KeyError:
            self.observe("http_request_seconds", seconds, route)
        else:
            buckets[bisect_left(BUCKETS, seconds)] += 1
            buckets[-1] += seconds

    def add(self, name: str, amount: float = 1.0, *labels: str) -> None:
        """Count, or change a gauge by so much."""
        series = self._values[name]
        try:
            series[labels] += amount
        except KeyError:
            key = self._new(name, labels)
            series[key] = series.get(key, 0.0) + amount

    def set(self, name: str, value: float, *labels: str) -> None:
        """A gauge, or a counter that is kept elsewhere."""
        series = self._values[name]
        series[labels if labels in series else self._new(name, labels)] = value

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """One value of a histogram."""
        series = self._values[name]
        buckets = self._families[name].buckets
        found = series.get(labels)
        if found is None:  # the buckets, beyond them, the sum
            found = series.setdefault(self._new(name, labels), [0.0] * (len(buckets) + 2))
        found[bisect_left(buckets, seconds)] += 1
        found[-1] += seconds

    def histogram(self, name: str, *labels: str) -> Callable[[float], None]:
        """Takes the values of one series: for what is observed often."""
        bounds = self._families[name].buckets
        counts = self._values[name].setdefault(labels, [0.0] * (len(bounds) + 2))

        def observe(seconds: float) -> None:
            counts[bisect_left(bounds, seconds)] += 1
            counts[-1] += seconds

        return observe

    def save(self) -> None:
        """Leave the counts where other workers find them. Runs on a thread."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._snapshot()))
        os.replace(fresh, self._path)

    def render(self, standing: Standing | None = None) -> bytes:
        """The exposition text of all workers, and of the collector as it stands. Runs on a thread."""
        snapshots = [self._snapshot()]
        if self._directory.is_dir():
            others = [path for path in self._directory.glob("*.json") if path != self._path]
            snapshots.extend(json.loads(path.read_text()) for path in others)
        registry = CollectorRegistry()
        registry.register(_Sum(tuple(self._families.values()), snapshots))
        if standing is not None:
            registry.register(_Shared(_collected(standing)))
        return generate_latest(registry)

    def _new(self, name: str, labels: Labels) -> Labels:
        """The labels of a series that is not there yet."""
        family = self._families[name]
        if len(labels) != len(family.labels):
            raise ValueError(f"{name} has the labels {family.labels}")
        return labels if len(self._values[name]) < _MOST else ("other",) * len(labels)

    def _go_on(self) -> None:
        """From where the worker stood whose place this one takes: a count that falls would be taken for a new beginning."""
        if not self._path.exists():
            return
        for name, series in json.loads(self._path.read_text()).items():
            family = self._families.get(name)
            if family is not None and family.kind in {Kind.COUNTER, Kind.HISTOGRAM}:
                self._values[name].update((tuple(labels), value) for labels, value in series)

    def _snapshot(self) -> dict[str, list[Any]]:
        return {
            name: [[labels, value] for labels, value in list(series.items())] for name, series in self._values.items()
        }


class _Sum(Collector):
    """All workers' snapshots as one."""

    def __init__(self, families: tuple[Family, ...], snapshots: list[dict[str, list[Any]]]) -> None:
        self._families = families
        self._snapshots = snapshots

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            found: dict[Labels, list[Any]] = {}
            for snapshot in self._snapshots:
                for labels, value in snapshot.get(family.name, ()):
                    found.setdefault(tuple(labels), []).append(value)
            yield _shown(family, sorted(found.items()))
        yield GaugeMetricFamily("longshore_workers", "Processes that answer.", value=float(len(self._snapshots)))


def _shown(family: Family, found: list[tuple[Labels, list[Any]]]) -> Metric:
    name = f"longshore_{family.name}"
    if family.kind is Kind.COUNTER:
        counter = CounterMetricFamily(name, family.text, labels=family.labels)
        for labels, values in found:
            counter.add_metric(labels, sum(values))
        return counter
    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, family.text, labels=family.labels)
        for labels, values in found:
            sums = [sum(counts) for counts in zip(*values, strict=True)]
            total, buckets = 0.0, []
            for bound, count in zip([*map(str, family.buckets), "+Inf"], sums[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            histogram.add_metric(labels, buckets, sums[-1])
        return histogram
    gauge = GaugeMetricFamily(name, family.text, labels=family.labels)
    for labels, values in found:
        gauge.add_metric(labels, _GAUGES[family.kind](values))
    return gauge


def _collected(standing: Standing) -> Iterator[Metric]:
    """What the collector has done and has before it: the same in every process, for it is in the database."""
    waiting = standing.waiting
    reclaimable = {kind.value or "other": waiting.condemned.amounts.get(kind, Amount()) for kind in COUNTED}
    reclaimable["grace"] = waiting.graces
    reclaimed = {kind.value or "other": standing.reclaimed.get(kind, Amount()) for kind in COUNTED}
    kinds = {"round": standing.round, "search": standing.search}
    values: dict[str, Mapping[str, float]] = {
        "gc_reclaimable_items": {reason: amount.items for reason, amount in reclaimable.items()},
        "gc_reclaimable_bytes": {reason: amount.bytes for reason, amount in reclaimable.items()},
        "gc_reclaimed_items": {reason: amount.items for reason, amount in reclaimed.items()},
        "gc_reclaimed_bytes": {reason: amount.bytes for reason, amount in reclaimed.items()},
        "gc_queue_length": {
            "uploads": waiting.uploads.items,
            "graces": waiting.graces.items,
            "tombstones": waiting.condemned.total.items,
            "repositories": waiting.repositories,
            "subjects": waiting.subjects,
        },
        "gc_upload_bytes": {"": waiting.uploads.bytes},
        "gc_last_success_timestamp_seconds": {kind: last.ended_at for kind, last in kinds.items()},
        "gc_last_duration_seconds": {kind: last.seconds for kind, last in kinds.items()},
        "gc_under_way": {kind: float(last.under_way) for kind, last in kinds.items()},
    }
    for family in COLLECTION:
        found = values[family.name].items()
        yield _shown(family, [((label,) if family.labels else (), [value]) for label, value in found])


class _Shared(Collector):
    """What every process shows alike."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics
