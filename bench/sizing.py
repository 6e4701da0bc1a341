"""What a deployment has to provide: memory of workers, rows of images, connections to the database, requests to the bucket.

None of it depends on how busy the machine is.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.contenders import REPOSITORY, log_in
from bench.databases import TITLES, installed, standing
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure, family, peak_memory_of
from bench.tables import Table, show_number
from tests.backing import Backing, rows_of
from tests.live import LiveServer
from tests.parts import built
from tests.relay import Relay
from tests.s3 import S3Server

IMAGES = 2000
"""That are pushed to see what one takes in the database."""
FEW = 20
"""Of each operation, to see which requests to the bucket it makes."""
_HEAD = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (/\S*) HTTP/1\.1\r\n")
_READS = {"GetObject", "HeadObject", "List"}
_SQLITE_BYTES = "SELECT (SELECT * FROM pragma_page_count()) * (SELECT * FROM pragma_page_size())"
_POSTGRES_BYTES = "SELECT pg_database_size(current_database())"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'longshore%'"


def measure_sizing(ground: Ground) -> Section:
    """PostgreSQL and S3 are left out, and named, where they are not installed."""
    data: dict[str, Any] = {}
    tables = [_measure_memory(ground, data), _measure_rows(ground, data)]
    if built("versitygw") is None:
        say("versitygw is not here (tests/parts/install installs it): requests to a bucket are left out")
    else:
        tables.append(_measure_requests(ground, data))
    return Section(tuple(tables), data)


@contextlib.contextmanager
def _serving(place: Path, ground: Ground, settings: Mapping[str, str]) -> Iterator[LiveServer]:
    with LiveServer(place / "server", settings=settings, workers=ground.workers) as server:
        yield server


def _play(ground: Ground, server: LiveServer, scenario: str, operations: int) -> None:
    (result,) = ground.generator.play(log_in(server, REPOSITORY), [scenario], operations=operations)
    if result.errors:
        raise CannotMeasure(f"{result.errors} of {result.operations} failed: {result.first_error}")


def _measure_memory(ground: Ground, data: dict[str, Any]) -> Table:
    found: dict[str, float] = {}
    with ground.directory() as place, _serving(place, ground, {}) as server:
        assert server.process is not None
        first, *workers = family(server.process.pid)
        for title, scenario in (
            ("after the start", ""),
            ("500 image pushes", "image-push"),
            ("1,500 image pulls", "image-pull"),
        ):
            if scenario:
                _play(ground, server, scenario, 500 if scenario == "image-push" else 1500)
            found[title] = max(peak_memory_of(pid) for pid in workers or [first])
    data["worker_peak_mb"] = found
    rows = tuple((title, f"{megabytes:.0f}") for title, megabytes in found.items())
    return Table("Peak resident memory of a worker, MB, one after the other", ("", "MB"), rows)


def _measure_rows(ground: Ground, data: dict[str, Any]) -> Table:
    rows = []
    for kind, title in TITLES.items():
        if not installed(kind):
            say(f"{title} is not here: it is left out")
            continue
        with ground.directory() as place, standing(kind, place) as backing:
            rows.append((title, *_count_rows(ground, place, backing.settings(place / "keys"), data)))
    return Table(
        "What the database takes",
        ("database", "bytes an image", "connections a worker"),
        tuple(rows),
        (
            "An image: a manifest, a config and three layers of its own, a tag. The bytes of layers are in the store.",
            "Without the record of decisions, which audit.max_bytes bounds.",
        ),
    )


def _count_rows(ground: Ground, place: Path, settings: Mapping[str, str], data: dict[str, Any]) -> tuple[str, str]:
    images = ground.generator.operations or IMAGES
    shared = "database.url" in settings
    without = {**settings, "audit.enabled": "false"}
    with _serving(place, ground, without) as server, rows_of(settings, server.data) as rows:
        size = _POSTGRES_BYTES if shared else _SQLITE_BYTES
        before = rows.execute(size).fetchone()[0]
        say(f"{images:,} images into {'PostgreSQL' if shared else 'SQLite'}")
        _play(ground, server, "image-push", images)
        each = (rows.execute(size).fetchone()[0] - before) / images
        connections = rows.execute(_CONNECTIONS).fetchone()[0] / ground.workers if shared else 0
    data["postgres" if shared else "sqlite"] = {"images": images, "bytes": each, "connections": connections}
    return show_number(each), f"{connections:.0f}" if shared else ""


class Requests(Relay):
    """Counts the requests that go through, by what they are to S3."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.count: Counter[str] = Counter()

    def look(self, data: bytes) -> None:
        self.count.update(name_of(method.decode(), target.decode()) for method, target in _HEAD.findall(data))


def name_of(method: str, target: str) -> str:
    """Of S3's operation."""
    query = target.partition("?")[2]
    if method == "POST":
        named = {"uploads": "CreateMultipartUpload", "delete": "DeleteObjects"}
        return named.get(query.partition("=")[0], "CompleteMultipartUpload")
    if method == "PUT":
        return "UploadPart" if "partNumber=" in query else "PutObject"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId=" in query else "DeleteObject"
    if method == "GET" and ("list-type=" in query or query.startswith("uploads")):
        return "List"
    return {"GET": "GetObject", "HEAD": "HeadObject"}[method]


def _measure_requests(ground: Ground, data: dict[str, Any]) -> Table:
    found: dict[str, dict[str, float]] = {}
    with ground.directory() as place:
        bucket = S3Server(place / "s3")
        bucket.start()
        try:
            with Requests(bucket.url) as relay:
                settings = dict(Backing(s3=bucket).settings(place / "server"))
                settings["storage.s3_endpoint_url"] = relay.url
                with _serving(place, ground, settings) as server:
                    for scenario in ("image-push", "image-pull", "push-10m", "push-100m", "pull-100m"):
                        relay.count.clear()
                        _play(ground, server, scenario, FEW)
                        found[scenario] = {
                            name: count / FEW
                            for name, count in sorted(relay.count.items())
                            if "pull" not in scenario or name in _READS  # what it pulls is pushed before
                        }
        finally:
            bucket.stop()
    data["s3_requests"] = found
    rows = tuple(
        (scenario, ", ".join(f"{show_number(each)} {name}" for name, each in counts.items()))
        for scenario, counts in found.items()
    )
    return Table(
        "Requests to the bucket for one operation",
        ("scenario", "requests"),
        rows,
        ("Pulls are passed on (storage.s3_redirect = false); with links to the bucket it is the client that asks it.",),
    )
