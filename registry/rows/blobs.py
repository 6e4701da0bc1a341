"""Blobs as repositories link them, their graces, and the tombstones of those that are gone."""

from collections.abc import Sequence
from dataclasses import dataclass

from base.digest import Digest
from registry.errors import BlobReferenced
from registry.garbage import Amount, Garbage
from registry.names import RegistryId, RepositoryName
from registry.rows.slices import slices
from store.database import Database, Unit, placeholders

REFERENCED = 1e15
"""`kept_at` of a blob that a manifest of its repository names: its grace does not run."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as one repository sees it. `kept_at`: since when its grace runs there."""

    digest: Digest
    key: str
    size: int
    kept_at: float


async def find_blob(database: Database, repository_id: int, digest: Digest) -> Blob | None:
    """None also where the repository was deleted."""
    row = await database.fetch_one(
        "SELECT b.key, b.size, r.kept_at FROM repositories p JOIN repository_blobs r ON r.repository_id = p.id "
        "JOIN blobs b ON b.digest = r.digest WHERE p.id = ? AND r.digest = ?",
        (repository_id, digest),
    )
    return None if row is None else Blob(digest, *row)


async def find_named_blob(
    database: Database, registry: RegistryId, name: RepositoryName, digest: Digest
) -> tuple[int, Blob | None] | None:
    """The repository's id and its blob, in one round trip; None where there is no such repository."""
    row = await database.fetch_one(
        "SELECT p.id, b.key, b.size, r.kept_at FROM repositories p "
        "LEFT JOIN repository_blobs r ON r.repository_id = p.id AND r.digest = ? LEFT JOIN blobs b ON b.digest = r.digest "
        "WHERE p.account = ? AND p.region = ? AND p.name = ?",
        (digest, registry.account, registry.region, name),
    )
    if row is None:
        return None
    return row[0], (None if row[1] is None else Blob(digest, row[1], row[2], row[3]))


async def find_blob_repositories(database: Database, registry: RegistryId, digest: Digest, *, limit: int) -> list[str]:
    """Names of repositories of `registry` that have the blob, at most `limit`."""
    rows = await database.fetch(
        "SELECT p.name FROM repository_blobs r JOIN repositories p ON p.id = r.repository_id "
        "JOIN blobs b ON b.digest = r.digest WHERE r.digest = ? AND p.account = ? AND p.region = ? LIMIT ?",
        (digest, registry.account, registry.region, limit),
    )
    return [name for (name,) in rows]


async def is_referenced(database: Database, repository_id: int, digest: str) -> bool:
    """Whether a manifest of the repository names the digest."""
    row = await database.fetch_one(
        "SELECT 1 FROM manifest_references WHERE repository_id = ? AND digest = ? LIMIT 1", (repository_id, digest)
    )
    return row is not None


async def find_referencing(database: Database, repository_id: int, digests: Sequence[str]) -> dict[str, Digest]:
    """A manifest that names the blob, for each of `digests` that is a blob of the repository and is named by one."""
    found: dict[str, Digest] = {}
    for some in slices(list(dict.fromkeys(digests))):
        rows = await database.fetch(
            "SELECT r.digest, (SELECT f.manifest FROM manifest_references f WHERE f.repository_id = r.repository_id "
            "AND f.digest = r.digest LIMIT 1) FROM repository_blobs r JOIN blobs b ON b.digest = r.digest "
            f"WHERE r.repository_id = ? AND r.digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        found.update({digest: manifest for digest, manifest in rows if manifest is not None})
    return found


async def find_blobs(database: Database, repository_id: int, digests: Sequence[str]) -> dict[str, Blob]:
    found = {}
    for some in slices(list(dict.fromkeys(digests))):
        for row in await database.fetch(
            "SELECT r.digest, b.key, b.size, r.kept_at FROM repository_blobs r JOIN blobs b ON b.digest = r.digest "
            f"WHERE r.repository_id = ? AND r.digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        ):
            found[row[0]] = Blob(*row)
    return found


def keep_blob(repository_id: int, digest: Digest, now: float) -> Unit[bool]:
    """Begin the blob's grace anew. False where it is not (or no longer) in the repository."""
    rows = yield (
        "UPDATE repository_blobs SET kept_at = CASE WHEN kept_at > ? THEN kept_at ELSE ? END "
        "WHERE repository_id = ? AND digest = ? RETURNING 1",
        (now, now, repository_id, digest),
    )
    return bool(rows)


def link_blob(source_id: int, target_id: int, digest: Digest, now: float) -> Unit[bool]:
    """Mount. False where the source has no such blob, or one of the two is gone."""
    rows = yield (
        "INSERT INTO repository_blobs (repository_id, digest, kept_at) "
        "SELECT p.id, r.digest, ? FROM repository_blobs r JOIN blobs b ON b.digest = r.digest JOIN repositories p ON p.id = ? "
        "JOIN repositories s ON s.id = r.repository_id WHERE r.repository_id = ? AND r.digest = ? "
        "ON CONFLICT (repository_id, digest) DO UPDATE SET kept_at = "
        "CASE WHEN repository_blobs.kept_at > excluded.kept_at THEN repository_blobs.kept_at ELSE excluded.kept_at END "
        "RETURNING 1",
        (now, target_id, source_id, digest),
    )
    return bool(rows)


def unlink_blob(repository_id: int, digest: Digest, now: float) -> Unit[bool]:
    """Raises BlobReferenced where a manifest of the repository needs it."""
    needed = yield (
        "SELECT manifest FROM manifest_references WHERE repository_id = ? AND digest = ? LIMIT 1",
        (
            repository_id,
            digest,
        ),
    )
    if needed:
        raise BlobReferenced(f"the blob is part of the image `{needed[0][0]}`: delete the image first")
    rows = yield (
        "DELETE FROM repository_blobs WHERE repository_id = ? AND digest = ? RETURNING 1",
        (repository_id, digest),
    )
    yield from condemn_unlinked([digest], now, Garbage.DELETED)
    return bool(rows)


def insert_blob(repository_id: int, digest: Digest, key: str, size: int, now: float) -> Unit[str]:
    # the update that changes nothing returns the row that was there
    rows = yield (
        "INSERT INTO blobs (digest, key, size) VALUES (?, ?, ?) "
        "ON CONFLICT (digest) DO UPDATE SET size = excluded.size RETURNING key",
        (digest, key, size),
    )
    held: str = rows[0][0]
    if held != key:
        yield from condemn([(key, size)], now, Garbage.DUPLICATE)
    yield (
        "INSERT INTO repository_blobs (repository_id, digest, kept_at) VALUES (?, ?, ?) "
        "ON CONFLICT (repository_id, digest) DO UPDATE SET kept_at = "
        "CASE WHEN repository_blobs.kept_at > excluded.kept_at THEN repository_blobs.kept_at ELSE excluded.kept_at END",
        (repository_id, digest, now),
    )
    return held


def condemn(doomed: Sequence[tuple[str, int]], now: float, kind: Garbage) -> Unit[None]:
    """Tombstones: the bytes of those (key, size) may be deleted from now on."""
    for some in slices(doomed, size=100):
        yield (
            "INSERT INTO condemned (key, size, condemned_at, reason) VALUES "
            + ", ".join(["(?, ?, ?, ?)"] * len(some))
            + " ON CONFLICT (key) DO NOTHING",
            tuple(value for key, size in some for value in (key, size, now, kind.value)),
        )


def condemn_unlinked(digests: Sequence[str], now: float, kind: Garbage) -> Unit[Amount]:
    """Condemn the bytes of those blobs that no repository links any more."""
    condemned = Amount()
    for some in slices(digests):
        rows = yield (
            f"DELETE FROM blobs WHERE digest IN ({placeholders(len(some))}) AND NOT EXISTS ("
            "SELECT 1 FROM repository_blobs r WHERE r.digest = blobs.digest) RETURNING key, size",
            tuple(some),
        )
        yield from condemn([(key, size) for key, size in rows], now, kind)
        condemned += Amount(len(rows), sum(size for _, size in rows))
    return condemned
