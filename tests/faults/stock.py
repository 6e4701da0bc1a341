"""Taking stock of a server: what its rows say, compared with what its store of blobs holds."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from registry.gc import Collector
from registry.media import is_nondistributable
from store.blobs.driver import BytesMissing
from tests.live import LiveServer

_FAR = 30 * 86400.0


def visible(server: LiveServer) -> dict[str, list[tuple[object, ...]]]:
    """All rows that any request can see: everything but uploads under way and what waits for the collector."""
    seen = "WHERE repository_id IN (SELECT id FROM repositories)"
    queries = {
        "repositories": "SELECT account, region, name FROM repositories ORDER BY 1, 2, 3",
        "blobs": f"SELECT repository_id, digest FROM repository_blobs {seen} ORDER BY 1, 2",
        "manifests": f"SELECT repository_id, digest FROM manifests {seen} ORDER BY 1, 2",
        "tags": f"SELECT repository_id, name, digest FROM tags {seen} ORDER BY 1, 2",
    }
    with server.rows() as rows:
        return {name: rows.execute(query).fetchall() for name, query in queries.items()}


@dataclass
class Stock:
    """What is wrong, as sentences; nothing, if all is well."""

    faults: list[str] = field(default_factory=list)
    blobs: int = 0
    manifests: int = 0


def check(server: LiveServer, *, verified: set[str] | None = None) -> Stock:
    """Whether every row points at what is there, and every byte is what its digest says.

    Blobs in `verified` are not read again, and those found good are added to it.
    """
    stock = Stock()
    fault = stock.faults.append
    known = set() if verified is None else verified
    with server.rows() as rows:
        blobs = rows.execute("SELECT digest, key, size FROM blobs").fetchall()
        linked = set(rows.execute("SELECT repository_id, digest FROM repository_blobs"))
        manifests = rows.execute("SELECT repository_id, digest, content FROM manifests").fetchall()
        tags = rows.execute("SELECT repository_id, name, digest FROM tags").fetchall()
        owners = "SELECT id FROM repositories UNION SELECT repository_id FROM deleted_repositories"
        repositories = {row[0] for row in rows.execute(owners)}
        if not server.settings.get("database.url"):
            (fine,) = rows.execute("PRAGMA quick_check").fetchone()
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
    asyncio.run(_verify(server, [row for row in blobs if row[0] not in known], fault, known))
    return stock


async def _verify(
    server: LiveServer, blobs: Iterable[tuple[str, str, int]], fault: Callable[[str], None], verified: set[str]
) -> None:
    driver = server.blobs()
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


def collect(server: LiveServer, *, ahead: float = _FAR) -> None:
    """Run the collector over what a stopped server keeps, as if `ahead` seconds had gone by."""
    asyncio.run(_collect(server, ahead))


async def _collect(server: LiveServer, ahead: float) -> None:
    database = server.database()
    driver = server.blobs()
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


def leftovers(server: LiveServer) -> list[str]:
    """What lies in the store of blobs and belongs to no blob."""
    with server.rows() as rows:
        keys = {row[0] for row in rows.execute("SELECT key FROM blobs")}
        left = [f"an upload: {row[0]}" for row in rows.execute("SELECT id FROM uploads")]
        left += [f"a tombstone: {row[0]}" for row in rows.execute("SELECT key FROM condemned WHERE reason <> 'buried'")]
    if server.settings.get("storage.driver") != "s3":
        left += _strange_files(server.data / "blobs", keys)
    return left + asyncio.run(_unnamed(server, keys))


def _strange_files(root: Path, keys: set[str]) -> list[str]:
    """Files and directories that the driver would not count."""
    files = {key[2:] for key in keys if key.startswith("f/")}
    packs = {key.split("/")[1] for key in keys if key.startswith("p/")}
    left = [f"a file: {path}" for path in (root / "files").rglob("*") if path.is_file() and path.name not in files]
    left += [f"staged: {path}" for path in (root / "staging").iterdir()]
    left += [f"a pack: {path}" for path in (root / "packs").iterdir() if path.name not in packs]
    return left


async def _unnamed(server: LiveServer, keys: set[str]) -> list[str]:
    driver = server.blobs()
    try:
        found = [stored.key async for batch in driver.inventory(before=time.time() + _FAR) for stored in batch]
    finally:
        await driver.close()
    return [f"bytes without a row: {key}" for key in found if key not in keys]
