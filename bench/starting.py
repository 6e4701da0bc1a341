"""How long a server takes from its start to its first answer on a store that has a long history."""

import hashlib
import json
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.contenders import REPOSITORY, log_in
from bench.generator import Generator
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure, forget
from bench.scenarios import START_SECONDS
from bench.tables import Table, show_reached
from tests.live import LiveServer

BATCH = 20_000


def measure_start(ground: Ground, manifests: int) -> Section:
    """The store is made by a server and one pushed image; the rows of the other manifests are copies of that image's."""
    with ground.directory() as place:
        server = LiveServer(place, workers=ground.workers)
        database = server.data / "longshore.db"
        generator = Generator(ground.generator.program)
        with server:
            generator.play(log_in(server, REPOSITORY), ["fill-tags-1"])
        say(f"writing the rows of {manifests:,} manifests")
        fill(database, manifests)
        size = database.stat().st_size
        times: dict[str, list[float]] = {"cold": [], "warm": []}
        for number in range(ground.rounds):
            for state, found in times.items():
                if state == "cold":
                    forget(database)
                begun = time.monotonic()
                server.start()
                found.append(time.monotonic() - begun)
                say(f"round {number + 1} of {ground.rounds}, {state}: ready after {found[-1]:.2f} s")
                if number == 0:  # the rows are worth what a client can read of them
                    (page, one) = generator.play(log_in(server, REPOSITORY), [f"read-tags-{manifests}"], operations=100)
                    if page.errors or one.errors:
                        raise CannotMeasure(f"the rows cannot be read: {page.first_error or one.first_error}")
                server.stop()
    rows = tuple(
        (
            f"{title}",
            f"{statistics.median(found):.2f}",
            f"{min(found):.2f} to {max(found):.2f}",
            f"{START_SECONDS:g}",
            show_reached(statistics.median(found) < START_SECONDS),
        )
        for title, found in (
            ("database not in the page cache", times["cold"]),
            ("database in the page cache", times["warm"]),
        )
    )
    table = Table(
        f"Seconds from start to ready, with {manifests:,} manifests",
        ("store", "median", "rounds", "target: below", "reached"),
        rows,
        (f"The database has {size / 1e6:,.0f} MB. Python itself starts from the page cache in both.",),
    )
    return Section((table,), {"manifests": manifests, "database_bytes": size, "seconds": times})


def fill(database: Path, manifests: int) -> None:
    """Rows for `manifests` manifests, tagged v1.0.0 and on, beside the one manifest that is there. No server may run.

    Durability is the caller's: a crash leaves a store of no use.
    """
    with closing(sqlite3.connect(database, isolation_level=None)) as rows:
        rows.execute("PRAGMA synchronous=OFF")
        rows.execute("PRAGMA cache_size=-1000000")
        repository, media_type, content, size = rows.execute(
            "SELECT repository_id, media_type, content, image_size FROM manifests LIMIT 1"
        ).fetchone()
        references = rows.execute("SELECT DISTINCT digest, kind FROM manifest_references").fetchall()
        now = time.time()
        for batch in copies(content, manifests):
            rows.execute("BEGIN")
            rows.executemany(
                "INSERT INTO manifests (repository_id, digest, media_type, content, image_size, pushed_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                ((repository, digest, media_type, copy, size, now) for digest, _, copy in batch),
            )
            rows.executemany(
                "INSERT INTO manifest_references (repository_id, manifest, digest, kind) VALUES (?, ?, ?, ?)",
                ((repository, digest, named, kind) for digest, _, _ in batch for named, kind in references),
            )
            rows.executemany(
                "INSERT INTO tags (repository_id, name, digest, updated_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest",
                ((repository, tag, digest, now) for digest, tag, _ in batch),
            )
            rows.execute("COMMIT")
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def copies(content: bytes, number: int) -> Iterator[list[tuple[str, str, bytes]]]:
    """(digest, tag, bytes) of manifests that differ from `content` by an annotation, in batches ordered by digest."""
    manifest = json.loads(content)
    for start in range(0, number, BATCH):
        batch = []
        for index in range(start, min(number, start + BATCH)):
            copy = json.dumps({**manifest, "annotations": {"number": str(index)}}).encode()
            batch.append((f"sha256:{hashlib.sha256(copy).hexdigest()}", f"v1.0.{index}", copy))
        yield sorted(batch)
