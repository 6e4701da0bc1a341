"""What copying a registry as a whole asks and writes."""

from collections.abc import Sequence

from registry.garbage import Garbage
from registry.rows.blobs import condemn
from registry.rows.slices import slices
from store.database import Database, Unit, placeholders

_REGISTRY = "registry"


async def find_held(database: Database, digests: Sequence[str]) -> set[str]:
    """Those of `digests` that have a row in `blobs`."""
    held: set[str] = set()
    for some in slices(digests):
        rows = await database.fetch(f"SELECT digest FROM blobs WHERE digest IN ({placeholders(len(some))})", some)
        held.update(digest for (digest,) in rows)
    return held


async def find_key(database: Database, digest: str) -> str | None:
    """The driver's key of a blob's bytes."""
    row = await database.fetch_one("SELECT key FROM blobs WHERE digest = ?", (digest,))
    return None if row is None else row[0]


async def list_blobs(database: Database, *, after: str, limit: int) -> list[tuple[str, str, int]]:
    """(digest, key, size) by digest, from the first one after `after`."""
    rows = await database.fetch(
        "SELECT digest, key, size FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?", (after, limit)
    )
    return [(digest, key, size) for digest, key, size in rows]


async def count_blobs(database: Database) -> tuple[int, int]:
    """(how many, bytes together)."""
    row = await database.fetch_one("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blobs")
    assert row is not None
    return row[0], int(row[1])


async def count_rows(database: Database, table: str) -> int:
    row = await database.fetch_one(f"SELECT COUNT(*) FROM {table}")
    assert row is not None
    count: int = row[0]
    return count


async def has_rows(database: Database, table: str) -> bool:
    return await database.fetch_one(f"SELECT 1 FROM {table} LIMIT 1") is not None


def put_blob(digest: str, key: str, size: int, now: float) -> Unit[None]:
    """A blob that no repository links yet. Where the digest was there already its own bytes stay, `key` is condemned."""
    rows = yield (
        "INSERT INTO blobs (digest, key, size) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING RETURNING 1",
        (digest, key, size),
    )
    if not rows:
        yield from condemn([(key, size)], now, Garbage.DUPLICATE)


def condemn_unlinked_blobs(now: float, limit: int) -> Unit[int]:
    """Condemn the bytes of blobs that no repository links, `limit` of them at the most; returns how many."""
    rows = yield (
        "DELETE FROM blobs WHERE digest IN (SELECT b.digest FROM blobs b WHERE NOT EXISTS ("
        "SELECT 1 FROM repository_blobs r WHERE r.digest = b.digest) LIMIT ?) RETURNING key, size",
        (limit,),
    )
    yield from condemn([(key, size) for key, size in rows], now, Garbage.UNREFERENCED)
    return len(rows)


async def read_identity(database: Database) -> str:
    """What the registry is known by; empty where it is not yet known by anything."""
    row = await database.fetch_one("SELECT value FROM properties WHERE name = ?", (_REGISTRY,))
    return "" if row is None else str(row[0])


def find_identity(fresh: str) -> Unit[str]:
    """What the registry is known by wherever it is moved; `fresh` from now on, if it was not known by anything."""
    yield (
        "INSERT INTO properties (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        (_REGISTRY, fresh),
    )
    rows = yield "SELECT value FROM properties WHERE name = ?", (_REGISTRY,)
    identity: str = rows[0][0]
    return identity
