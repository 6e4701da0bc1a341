"""What the collector has done, where it stands, and what waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from registry.garbage import Amount, Garbage
from store.database import Database, Unit

Kind: TypeAlias = Literal["round", "search"]


@dataclass(frozen=True, slots=True)
class Collection:
    """The last round, or the last search of the store. Times are seconds since the epoch, 0 for never.

    `ended_at` and `seconds` are of the last one that succeeded, `place` is where one under way stands, `found` is JSON.
    """

    began_at: float = 0.0
    ended_at: float = 0.0
    seconds: float = 0.0
    under_way: bool = False
    place: str = ""
    found: str = ""


_COLLECTION = "began_at, ended_at, seconds, under_way, place, found"


async def find_collections(database: Database) -> dict[Kind, Collection]:
    rows = await database.fetch(f"SELECT kind, {_COLLECTION} FROM collections")
    found: dict[Kind, Collection] = {"round": Collection(), "search": Collection()}
    for kind, began_at, ended_at, seconds, under_way, place, text in rows:
        found[kind] = Collection(began_at, ended_at, seconds, bool(under_way), place, text)
    return found


def begin_collection(kind: Kind, now: float) -> Unit[str]:
    """Returns the place where one stands that did not end: this one goes on there."""
    rows = yield (
        f"INSERT INTO collections (kind, {_COLLECTION}) VALUES (?, ?, 0, 0, 1, '', '') "
        "ON CONFLICT (kind) DO UPDATE SET began_at = excluded.began_at, under_way = 1 RETURNING place",
        (kind, now),
    )
    place: str = rows[0][0]
    return place


def mark_collection(kind: Kind, place: str) -> Unit[None]:
    """One under way has come so far."""
    yield "UPDATE collections SET place = ? WHERE kind = ?", (place, kind)


def end_collection(kind: Kind, now: float, seconds: float, found: str) -> Unit[None]:
    yield (
        "UPDATE collections SET ended_at = ?, seconds = ?, under_way = 0, place = '', found = ? WHERE kind = ?",
        (now, seconds, found, kind),
    )


def note_found(kind: Kind, found: str) -> Unit[None]:
    """One that came to its end and did not succeed found that."""
    yield "UPDATE collections SET place = '', found = ? WHERE kind = ?", (found, kind)


def give_up_collection(kind: Kind) -> Unit[None]:
    """It failed: the next one is tried when it is due."""
    yield "UPDATE collections SET under_way = 0 WHERE kind = ?", (kind,)


async def find_reclaimed(database: Database) -> dict[Garbage, Amount]:
    rows = await database.fetch("SELECT reason, items, bytes FROM reclaimed")
    return {Garbage(reason): Amount(items, size) for reason, items, size in rows}


@dataclass(frozen=True, slots=True)
class Grace:
    """A blob that no manifest of its repository names. `size` is None where its bytes stay, or are another row's."""

    kept_at: float
    repository_id: int
    digest: str
    size: int | None


_IS_DELETED = "SELECT 1 FROM deleted_repositories d WHERE d.repository_id = "


async def list_graces(
    database: Database, *, after: tuple[float, int, str], limit: int, before: float = 1e14
) -> Sequence[Grace]:
    """In the order in which their graces began, before `before`, from the first one after (kept_at, repository, digest).

    The bytes of a blob that several repositories keep by such graces alone are counted at the first. What repositories
    have that were deleted is left out.
    """
    rows = await database.fetch(
        "SELECT r.kept_at, r.repository_id, r.digest, CASE WHEN EXISTS (SELECT 1 FROM repository_blobs o "
        "WHERE o.digest = r.digest AND (o.kept_at >= ? OR o.repository_id < r.repository_id OR EXISTS ("
        "SELECT 1 FROM manifest_references f WHERE f.repository_id = o.repository_id AND f.digest = o.digest)) "
        f"AND NOT EXISTS ({_IS_DELETED} o.repository_id)) THEN NULL ELSE b.size END "
        "FROM repository_blobs r JOIN blobs b ON b.digest = r.digest WHERE r.kept_at < 1e14 AND r.kept_at < ? "
        "AND r.kept_at >= ? AND (r.kept_at, r.repository_id, r.digest) > (?, ?, ?) "
        f"AND NOT EXISTS ({_IS_DELETED} r.repository_id) AND NOT EXISTS (SELECT 1 FROM manifest_references f "
        "WHERE f.repository_id = r.repository_id AND f.digest = r.digest) "
        "ORDER BY r.kept_at, r.repository_id, r.digest LIMIT ?",
        (before, before, after[0], *after, limit),
    )
    return [Grace(*row) for row in rows]


async def list_open_uploads(database: Database, *, after: str, limit: int) -> Sequence[tuple[str, int]]:
    """(id, bytes), by id."""
    rows = await database.fetch("SELECT id, received FROM uploads WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [(identifier, size) for identifier, size in rows]


async def count_deleted(database: Database, *, limit: int) -> tuple[int, int]:
    """Deleted repositories that still have rows, and deleted subjects; each counted up to `limit`."""
    row = await database.fetch_one(
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM deleted_repositories LIMIT ?) r), "
        "(SELECT COUNT(*) FROM (SELECT 1 FROM deleted_subjects LIMIT ?) s)",
        (limit, limit),
    )
    assert row is not None
    return row[0], row[1]
