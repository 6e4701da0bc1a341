"""The decisions on record, and when each identity last used an action."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from store.database import Database, Unit, placeholders

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """What a segment says without being opened. Times are seconds since the epoch, both ends are inside."""

    id: str
    started_at: float
    ended_at: float
    decisions: int
    size: int


def put_segment(segment: StoredSegment, cases: bytes, records: bytes) -> Unit[None]:
    """A new segment, or one that has grown."""
    yield (
        "INSERT INTO audit_segments (id, started_at, ended_at, decisions, size, cases, records) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at, ended_at = excluded.ended_at, "
        "decisions = excluded.decisions, size = excluded.size, cases = excluded.cases, records = excluded.records",
        (segment.id, segment.started_at, segment.ended_at, segment.decisions, segment.size, cases, records),
    )


def put_audit_policies(documents: Iterable[tuple[str, str]], used_at: float) -> Unit[None]:
    """(digest, text) of policies that a segment names."""
    for digest, document in documents:
        yield (
            "INSERT INTO audit_policies (digest, document, size, used_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET used_at = excluded.used_at WHERE excluded.used_at > audit_policies.used_at",
            (digest, document, len(document.encode()), used_at),
        )


async def list_segments(
    database: Database, *, since: float, until: float, before: tuple[float, str] | None, limit: int
) -> list[StoredSegment]:
    """Those with decisions in [since, until), latest end first; `before` is (ended_at, id) of the last one seen."""
    ended_at, identifier = before if before is not None else (float("inf"), "")
    rows = await database.fetch(
        "SELECT id, started_at, ended_at, decisions, size FROM audit_segments "
        "WHERE ended_at >= ? AND ended_at <= ? AND (ended_at < ? OR id < ?) AND started_at < ? "
        "ORDER BY ended_at DESC, id DESC LIMIT ?",
        (since, ended_at, ended_at, identifier, until, limit),
    )
    return [StoredSegment(*row) for row in rows]


async def find_cases(database: Database, identifier: str) -> bytes | None:
    """None where the segment is gone."""
    row = await database.fetch_one("SELECT cases FROM audit_segments WHERE id = ?", (identifier,))
    return None if row is None else bytes(row[0])


async def find_records(database: Database, identifier: str) -> bytes | None:
    """None where the segment is gone."""
    row = await database.fetch_one("SELECT records FROM audit_segments WHERE id = ?", (identifier,))
    return None if row is None else bytes(row[0])


async def find_audit_policies(database: Database, digests: Sequence[str]) -> dict[str, str]:
    """Digest -> text."""
    found: dict[str, str] = {}
    for start in range(0, len(digests), _AT_ONCE):
        some = digests[start : start + _AT_ONCE]
        rows = await database.fetch(
            f"SELECT digest, document FROM audit_policies WHERE digest IN ({placeholders(len(some))})", some
        )
        found.update(rows)
    return found


async def measure_audit(database: Database) -> tuple[int, int]:
    """Bytes of (segments, policies)."""
    segments = await database.fetch_one("SELECT SUM(size) FROM audit_segments")
    policies = await database.fetch_one("SELECT SUM(size) FROM audit_policies")
    assert segments is not None
    assert policies is not None
    return int(segments[0] or 0), int(policies[0] or 0)


async def list_oldest_segments(database: Database, limit: int) -> list[StoredSegment]:
    rows = await database.fetch(
        "SELECT id, started_at, ended_at, decisions, size FROM audit_segments ORDER BY ended_at, id LIMIT ?", (limit,)
    )
    return [StoredSegment(*row) for row in rows]


def delete_segments(identifiers: Sequence[str]) -> Unit[None]:
    yield f"DELETE FROM audit_segments WHERE id IN ({placeholders(len(identifiers))})", identifiers


def delete_audit_policies(*, used_before: float, limit: int) -> Unit[int]:
    """How many went."""
    rows = yield (
        "DELETE FROM audit_policies WHERE digest IN "
        "(SELECT digest FROM audit_policies WHERE used_at < ? ORDER BY used_at LIMIT ?) RETURNING 1",
        (used_before, limit),
    )
    return len(rows)
