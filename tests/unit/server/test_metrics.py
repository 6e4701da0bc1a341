import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from server.metrics import BUCKETS, FAMILIES, Metrics


def shown(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.render().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return shown(metrics)[name, tuple(sorted(labels.items()))]


def test_requests_are_counted_by_route_method_and_status(tmp_path: Path):
    metrics = Metrics(tmp_path, 0)
    for status in (200, 200, 404):
        metrics.request("v2", "GET", status, 0.002)
    metrics.request("v2", "PUT", 200, 0.002)
    assert value(metrics, "longshore_http_requests_total", route="v2", method="GET", status="200") == 2
    assert value(metrics, "longshore_http_requests_total", route="v2", method="GET", status="404") == 1
    assert value(metrics, "longshore_http_requests_total", route="v2", method="PUT", status="200") == 1


def test_durations_are_a_cumulative_histogram(tmp_path: Path):
    metrics = Metrics(tmp_path, 0)
    for seconds in (0.0001, 0.0005, 0.3, 100.0):
        metrics.request("v2", "GET", 200, seconds)
    buckets = [value(metrics, "longshore_http_request_seconds_bucket", route="v2", le=str(bound)) for bound in BUCKETS]
    assert buckets == sorted(buckets)
    assert buckets[0] == 2
    assert value(metrics, "longshore_http_request_seconds_bucket", route="v2", le="0.5") == 3
    assert value(metrics, "longshore_http_request_seconds_bucket", route="v2", le="+Inf") == 4
    assert value(metrics, "longshore_http_request_seconds_count", route="v2") == 4
    assert abs(value(metrics, "longshore_http_request_seconds_sum", route="v2") - 100.3006) < 1e-6


def test_whichever_worker_is_asked_shows_all(tmp_path: Path):
    workers = [Metrics(tmp_path / "run", number) for number in range(3)]
    for number, worker in enumerate(workers):
        worker.request("v2", "GET", 200, 0.1)
        worker.add("collected_bytes", 10)
        worker.set("connections", number)
        worker.save()
    for worker in workers:
        assert value(worker, "longshore_http_requests_total", route="v2", method="GET", status="200") == 3
        assert value(worker, "longshore_collected_bytes_total") == 30
        assert value(worker, "longshore_connections") == 3
        assert value(worker, "longshore_workers") == 3


def test_a_worker_shows_its_own_counts_as_they_are_now(tmp_path: Path):
    one, other = Metrics(tmp_path, 0), Metrics(tmp_path, 1)
    one.save()
    one.add("errors")
    assert value(one, "longshore_errors_total") == 1
    assert value(other, "longshore_errors_total") == 0


def test_a_worker_that_takes_the_place_of_another_goes_on_counting(tmp_path: Path):
    first = Metrics(tmp_path, 0)
    first.request("/v2/", "GET", 200, 0.1)
    first.add("errors", 3)
    first.set("connections", 7)
    first.save()
    second = Metrics(tmp_path, 0)
    second.request("/v2/", "GET", 200, 0.1)
    assert value(second, "longshore_http_requests_total", route="/v2/", method="GET", status="200") == 2
    assert value(second, "longshore_http_request_seconds_count", route="/v2/") == 2
    assert value(second, "longshore_errors_total") == 3
    assert value(second, "longshore_connections") == 0, "what it has open is its own"


def test_of_the_workers_gauges_the_sum_the_least_or_the_greatest_is_shown(tmp_path: Path):
    workers = [Metrics(tmp_path, number) for number in range(3)]
    for number, worker in enumerate(workers, 1):
        worker.set("connections", number)
        worker.set("disk_free_bytes", number)
        worker.set("build_info", 1, "1.0", "3.11")
        worker.save()
    assert value(workers[0], "longshore_connections") == 6
    assert value(workers[0], "longshore_disk_free_bytes") == 1
    assert value(workers[0], "longshore_build_info", version="1.0", python="3.11") == 1


def test_a_family_has_a_bounded_number_of_series(tmp_path: Path):
    metrics = Metrics(tmp_path, 0)
    for number in range(10_000):
        metrics.request(f"route {number}", "GET", 200, 0.1)
    series = [labels for name, labels in shown(metrics) if name == "longshore_http_requests_total"]
    assert len(series) < 2500
    assert value(metrics, "longshore_http_requests_total", route="other", method="other", status="other") == 8000


def test_every_name_says_what_it_counts():
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+|connections|errors", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert family.text.endswith(".")
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_every_counter_is_there_from_the_start(tmp_path: Path):
    names = {name for name, _ in shown(Metrics(tmp_path, 0))}
    assert {
        "longshore_collected_uploads_total", "longshore_collected_blobs_total", "longshore_collected_bytes_total",
        "longshore_collected_orphans_total", "longshore_errors_total",
        "longshore_decisions_allowed_total", "longshore_decisions_denied_total",
        "longshore_audit_records_written_total", "longshore_audit_records_dropped_total",
        "longshore_connections", "longshore_workers",
    } <= names  # fmt: skip


def test_methods_that_clients_invent_do_not_make_series(tmp_path: Path):
    metrics = Metrics(tmp_path, 0)
    for number in range(1000):
        metrics.request("v2", f"METHOD{number}", 405, 0.001)
    assert len([name for name, _ in shown(metrics) if name == "longshore_http_requests_total"]) < 20
