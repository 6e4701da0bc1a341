"""What the collector would take away, for looking only."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.rows.slices import slices
from store.database import Database, placeholders


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload. `repository` is a name, empty where it was deleted."""

    touched_at: float
    id: str
    repository: str
    received: int


async def list_untouched_uploads(
    database: Database, *, before: float, after: tuple[float, str], limit: int
) -> Sequence[OpenUpload]:
    """Of existing repositories and not touched since `before`, by time, from the first one after (time, id)."""
    rows = await database.fetch(
        "SELECT u.touched_at, u.id, p.name, u.received FROM uploads u JOIN repositories p ON p.id = u.repository_id "
        "WHERE u.touched_at < ? AND u.touched_at >= ? AND (u.touched_at, u.id) > (?, ?) "
        "ORDER BY u.touched_at, u.id LIMIT ?",
        (before, after[0], *after, limit),
    )
    return [OpenUpload(*row) for row in rows]


async def list_deleted_repositories(database: Database, *, after: int, limit: int) -> Sequence[tuple[int, float]]:
    """(id, when it was deleted), by id."""
    rows = await database.fetch(
        "SELECT repository_id, deleted_at FROM deleted_repositories WHERE repository_id > ? ORDER BY repository_id LIMIT ?",
        (after, limit),
    )
    return [(identifier, at) for identifier, at in rows]


async def list_manifest_digests(database: Database, repository_id: int, *, after: str, limit: int) -> Sequence[str]:
    rows = await database.fetch(
        "SELECT digest FROM manifests WHERE repository_id = ? AND digest > ? ORDER BY digest LIMIT ?",
        (repository_id, after, limit),
    )
    return [digest for (digest,) in rows]


async def list_lone_blobs(
    database: Database, repository_id: int, *, after: str, limit: int
) -> Sequence[tuple[str, int | None]]:
    """(digest, size) of a deleted repository's blobs, by digest; no size of those that another one keeps, or counts."""
    rows = await database.fetch(
        "SELECT r.digest, CASE WHEN EXISTS (SELECT 1 FROM repository_blobs o WHERE o.digest = r.digest "
        "AND (o.repository_id < r.repository_id OR NOT EXISTS (SELECT 1 FROM deleted_repositories d "
        "WHERE d.repository_id = o.repository_id))) THEN NULL ELSE b.size END "
        "FROM repository_blobs r JOIN blobs b ON b.digest = r.digest "
        "WHERE r.repository_id = ? AND r.digest > ? ORDER BY r.digest LIMIT ?",
        (repository_id, after, limit),
    )
    return [(digest, size) for digest, size in rows]


async def list_uploads_of(
    database: Database, repository_id: int, *, after: str, limit: int
) -> Sequence[tuple[str, int]]:
    """(id, bytes), by id."""
    rows = await database.fetch(
        "SELECT id, received FROM uploads WHERE repository_id = ? AND id > ? ORDER BY id LIMIT ?",
        (repository_id, after, limit),
    )
    return [(identifier, size) for identifier, size in rows]


@dataclass(frozen=True, slots=True)
class LoneReferrer:
    """A manifest whose subject was deleted at a time."""

    deleted_at: float
    repository_id: int
    subject: str
    digest: str


async def list_lone_referrers(
    database: Database, *, before: float, after: tuple[float, int, str, str], limit: int
) -> Sequence[LoneReferrer]:
    """Of existing repositories, whose subject was deleted before `before`, without tags, and not part of an index; in the
    order of its fields."""
    rows = await database.fetch(
        "SELECT d.deleted_at, d.repository_id, d.digest, m.digest FROM deleted_subjects d "
        "JOIN repositories p ON p.id = d.repository_id "
        "JOIN manifests m ON m.repository_id = d.repository_id AND m.subject = d.digest "
        "WHERE d.deleted_at < ? AND d.deleted_at >= ? "
        "AND (d.deleted_at, d.repository_id, d.digest, m.digest) > (?, ?, ?, ?) "
        "AND NOT EXISTS (SELECT 1 FROM manifests s WHERE s.repository_id = d.repository_id AND s.digest = d.digest) "
        "AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.digest = m.digest) "
        "AND NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.repository_id = m.repository_id "
        "AND f.digest = m.digest AND f.kind = 'manifest') "
        "ORDER BY d.deleted_at, d.repository_id, d.digest, m.digest LIMIT ?",
        (before, after[0], *after, limit),
    )
    return [LoneReferrer(*row) for row in rows]


async def find_repository_names(database: Database, identifiers: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for some in slices(sorted(set(identifiers))):
        rows = await database.fetch(
            f"SELECT id, name FROM repositories WHERE id IN ({placeholders(len(some))})", tuple(some)
        )
        found.update(dict(rows))
    return found
