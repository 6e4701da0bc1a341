"""Taking stock of a data directory: what its rows say, compared with what its disk holds."""

import asyncio
import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from base.ids import new_uuid
from registry.gc import Collector
from registry.media import is_nondistributable
from store.blobs.driver import BytesMissing
from store.blobs.filesystem import FilesystemBlobs
from store.sqlite import SqliteDatabase

_FAR = 30 * 86400.0


@contextlib.contextmanager
def rows_of(data: Path) -> Iterator[sqlite3.Connection]:
    """The database, for looking only."""
    connection = sqlite3.connect(data / "longshore.db", timeout=10)
    try:
        connection.execute("PRAGMA query_only=ON")
        yield connection
    finally:
        connection.close()


def visible(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows that any request can see: everything but uploads under way and what waits for the collector."""
    queries = {
        "repositories": "SELECT account, region, name FROM repositories ORDER BY 1, 2, 3",
        "blobs": "SELECT repository_id, digest FROM repository_blobs ORDER BY 1, 2",
        "manifests": "SELECT repository_id, digest FROM manifests ORDER BY 1, 2",
        "tags": "SELECT repository_id, name, digest FROM tags ORDER BY 1, 2",
    }
    with rows_of(data) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


@dataclass
class Stock:
    """What is wrong, as sentences; nothing, if all is well."""

    faults: list[str] = field(default_factory=list)
    blobs: int = 0
    manifests: int = 0


def check(data: Path, *, verified: set[str] | None = None) -> Stock:
    """Whether every row points at what is there, and every byte is what its digest says.

    Blobs in `verified` are not read again, and those found good are added to it.
    """
    stock = Stock()
    fault = stock.faults.append
    known = set() if verified is None else verified
    with rows_of(data) as connection:
        blobs = connection.execute("SELECT digest, key, size FROM blobs").fetchall()
        linked = set(connection.execute("SELECT repository_id, digest FROM repository_blobs"))
        manifests = connection.execute("SELECT repository_id, digest, content FROM manifests").fetchall()
        tags = connection.execute("SELECT repository_id, name, digest FROM tags").fetchall()
        repositories = {row[0] for row in connection.execute("SELECT id FROM repositories")}
        (fine,) = connection.execute("PRAGMA quick_check").fetchone()
    if fine != "ok":
        fault(f"the database: {fine}")
    held = {digest for digest, _, _ in blobs}
    there = {(repository, digest) for repository, digest, _ in manifests}
    stock.blobs, stock.manifests = len(blobs), len(manifests)
    for repository, digest in linked:
        if digest not in held:
            fault(f"repository {repository} links {digest}, which has no bytes")
        if repository not in repositories:
            fault(f"a repository that is gone links {digest}")
    for repository, digest, content in manifests:
        algorithm = digest.partition(":")[0]
        if f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}" != digest:
            fault(f"the manifest {digest} has other bytes")
        document = json.loads(content)
        entries = [*document.get("layers", []), *document.get("manifests", [])]
        named = [entry["digest"] for entry in entries if not is_nondistributable(entry["mediaType"])]
        named += [document["config"]["digest"]] if "config" in document else []
        for one in named:
            if (repository, one) not in linked and (repository, one) not in there:
                fault(f"the manifest {digest} names {one}, which is not there")
    for repository, name, digest in tags:
        if (repository, digest) not in there:
            fault(f"the tag {name} names {digest}, which is not there")
    asyncio.run(_verify(data, [row for row in blobs if row[0] not in known], fault, known))
    return stock


async def _verify(
    data: Path, blobs: Iterable[tuple[str, str, int]], fault: Callable[[str], None], verified: set[str]
) -> None:
    driver = FilesystemBlobs(data / "blobs", clock=time.time, ids=new_uuid)
    try:
        for digest, key, size in blobs:
            running = hashlib.new(digest.partition(":")[0])
            try:
                content = await driver.open(key)
            except BytesMissing:
                fault(f"the bytes of {digest} are missing ({key})")
                continue
            try:
                for start in range(0, size, 1 << 20):
                    running.update(await content.read(start, min(1 << 20, size - start)))
            except BytesMissing:
                fault(f"{digest} is cut short")
                continue
            finally:
                content.close()
            if f"{digest.partition(':')[0]}:{running.hexdigest()}" == digest:
                verified.add(digest)
            else:
                fault(f"{digest} has other bytes")
    finally:
        await driver.close()


def collect(data: Path, *, ahead: float = _FAR) -> None:
    """Run the collector over a stopped server's data, as if `ahead` seconds had gone by."""
    asyncio.run(_collect(data, ahead))


async def _collect(data: Path, ahead: float) -> None:
    database = SqliteDatabase(data / "longshore.db")
    driver = FilesystemBlobs(data / "blobs", clock=time.time, ids=new_uuid)
    try:
        for later in (ahead, 2 * ahead):  # what one round condemns, the next one frees
            collector = Collector(
                database, driver, clock=lambda later=later: time.time() + later, grace=3600, upload_expiry=86400
            )
            await collector.collect()
            await collector.collect_orphans()
    finally:
        await driver.close()
        await database.close()


def leftovers(data: Path) -> list[str]:
    """What lies in the blobs directory and belongs to no blob; in packs, what no row names."""
    with rows_of(data) as connection:
        keys = {row[0] for row in connection.execute("SELECT key FROM blobs")}
        left = [f"an upload: {row[0]}" for row in connection.execute("SELECT id FROM uploads")]
        left += [f"a tombstone: {row[0]}" for row in connection.execute("SELECT key FROM condemned")]
    files = {key[2:] for key in keys if key.startswith("f/")}
    packs = {key.split("/")[1] for key in keys if key.startswith("p/")}
    root = data / "blobs"
    left += [f"a file: {path}" for path in (root / "files").rglob("*") if path.is_file() and path.name not in files]
    left += [f"staged: {path}" for path in (root / "staging").iterdir()]
    left += [f"a pack: {path}" for path in (root / "packs").iterdir() if path.name not in packs]
    return left + asyncio.run(_unnamed(data, keys))


async def _unnamed(data: Path, keys: set[str]) -> list[str]:
    driver = FilesystemBlobs(data / "blobs", clock=time.time, ids=new_uuid)
    try:
        found = [stored.key async for batch in driver.inventory(before=time.time() + _FAR) for stored in batch]
    finally:
        await driver.close()
    return [f"bytes without a row: {key}" for key in found if key not in keys]
