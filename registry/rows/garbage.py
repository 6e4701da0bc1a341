"""What nothing needs any more: found by indices, taken away in small units; tombstones, and the keys that they stand for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from registry.garbage import Amount, Garbage, Tally
from registry.rows.blobs import REFERENCED, condemn, condemn_unlinked
from registry.rows.manifests import delete_manifest
from registry.rows.slices import slices
from store.blobs.driver import Stored
from store.database import Database, Row, Unit, placeholders
from store.leases import UNPINNED

_NAME = 64
"""Characters of a staged name that are indexed: more than its beginning has."""
_MANIFESTS_A_ROW = 8
"""Rows that a manifest counts for: it names about as many."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a unit took away, how many of it were uploads, and whether there may be more."""

    items: int
    more: bool
    uploads: int = 0


def expire_uploads(before: float, now: float, limit: int) -> Unit[Taken]:
    """End uploads that nobody touched since `before`."""
    found = yield "SELECT id FROM uploads WHERE touched_at < ? ORDER BY touched_at LIMIT ?", (before, limit)
    yield from _end_uploads([identifier for (identifier,) in found], now)
    return Taken(len(found), len(found) == limit)


def _end_uploads(identifiers: Sequence[str], now: float) -> Unit[None]:
    for some in slices(identifiers):
        rows = yield (
            f"DELETE FROM uploads WHERE id IN ({placeholders(len(some))}) RETURNING staged, received",
            tuple(some),
        )
        yield from condemn([(staged, received) for staged, received in rows], now, Garbage.UPLOAD)


def unlink_unreferenced(before: float, now: float, limit: int) -> Unit[Taken]:
    """Take blobs that no manifest of their repository names out of it, if their grace began before `before`.

    Of one that came after the manifest that names it, the grace ends here.
    """
    found = yield (
        "SELECT r.repository_id, r.digest, EXISTS (SELECT 1 FROM manifest_references f "
        "WHERE f.repository_id = r.repository_id AND f.digest = r.digest) FROM repository_blobs r "
        "WHERE r.kept_at < ? AND r.kept_at < 1e14 ORDER BY r.kept_at LIMIT ?",
        (before, limit),
    )
    named, doomed = _by_repository(found, named=True), _by_repository(found, named=False)
    for repository_id, digests in named.items():
        for some in slices(digests):
            yield (
                f"UPDATE repository_blobs SET kept_at = ? WHERE repository_id = ? AND digest IN ({placeholders(len(some))})",
                (REFERENCED, repository_id, *some),
            )
    for repository_id, digests in doomed.items():
        yield from _delete_of(repository_id, ("repository_blobs", "digest"), digests)
    yield from condemn_unlinked(
        [digest for digests in doomed.values() for digest in digests], now, Garbage.UNREFERENCED
    )
    return Taken(sum(map(len, doomed.values())), len(found) == limit)


def _by_repository(rows: Iterable[tuple[int, str, bool]], *, named: bool) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for repository_id, digest, is_named in rows:
        if bool(is_named) is named:
            found.setdefault(repository_id, []).append(digest)
    return found


async def find_deleted_repository(database: Database) -> int | None:
    """One that still has rows."""
    row = await database.fetch_one("SELECT repository_id FROM deleted_repositories ORDER BY repository_id LIMIT 1")
    return None if row is None else row[0]


def purge_repository(repository_id: int, now: float, limit: int) -> Unit[Taken]:
    """Take up to `limit` tags, manifests, uploads or blobs of a deleted repository away; then, where none is left, itself."""
    found = yield "SELECT name FROM tags WHERE repository_id = ? LIMIT ?", (repository_id, limit)
    if found:
        yield from _delete_of(repository_id, ("tags", "name"), [name for (name,) in found])
        return Taken(len(found), more=True)
    found = yield (
        "SELECT digest FROM manifests WHERE repository_id = ? LIMIT ?",
        (repository_id, max(1, limit // _MANIFESTS_A_ROW)),
    )
    if found:
        digests = [digest for (digest,) in found]
        yield from _delete_of(repository_id, ("manifest_references", "manifest"), digests)
        yield from _delete_of(repository_id, ("manifests", "digest"), digests)
        return Taken(len(found), more=True)
    found = yield "SELECT id FROM uploads WHERE repository_id = ? LIMIT ?", (repository_id, limit)
    if found:
        yield from _end_uploads([identifier for (identifier,) in found], now)
        return Taken(len(found), more=True, uploads=len(found))
    found = yield "SELECT digest FROM repository_blobs WHERE repository_id = ? LIMIT ?", (repository_id, limit)
    if found:
        digests = [digest for (digest,) in found]
        yield from _delete_of(repository_id, ("repository_blobs", "digest"), digests)
        yield from condemn_unlinked(digests, now, Garbage.REPOSITORY)
        return Taken(len(found), more=True)
    yield "DELETE FROM deleted_subjects WHERE repository_id = ?", (repository_id,)
    yield "DELETE FROM deleted_repositories WHERE repository_id = ?", (repository_id,)
    return Taken(0, more=False)


def _delete_of(repository_id: int, where: tuple[str, str], keys: Sequence[str]) -> Unit[None]:
    """Delete those rows of a repository; `where` is the table and the column that `keys` are of."""
    table, column = where
    for some in slices(keys):
        yield (
            f"DELETE FROM {table} WHERE repository_id = ? AND {column} IN ({placeholders(len(some))})",
            (repository_id, *some),
        )


def collect_referrers(before: float, now: float, limit: int) -> Unit[Taken]:
    """Delete what names a manifest as its subject that was deleted before `before`, and is not there again.

    What has a tag, or is part of an index, stays: somebody wants it for itself.
    """
    due = yield (
        "SELECT d.repository_id, d.digest, EXISTS (SELECT 1 FROM manifests m "
        "WHERE m.repository_id = d.repository_id AND m.digest = d.digest) FROM deleted_subjects d "
        "WHERE d.deleted_at < ? ORDER BY d.deleted_at LIMIT 1",
        (before,),
    )
    if not due:
        return Taken(0, more=False)
    repository_id, subject, is_there = due[0]
    found: list[Row] = []
    if not is_there:
        found = yield (
            "SELECT m.digest FROM manifests m WHERE m.repository_id = ? AND m.subject = ? "
            "AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.digest = m.digest) "
            "AND NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.repository_id = m.repository_id "
            "AND f.digest = m.digest AND f.kind = 'manifest') LIMIT ?",
            (repository_id, subject, max(1, limit // _MANIFESTS_A_ROW)),
        )
    for (digest,) in found:
        yield from delete_manifest(repository_id, digest, now, keep_referenced=False)
    if not found:
        yield "DELETE FROM deleted_subjects WHERE repository_id = ? AND digest = ?", (repository_id, subject)
    return Taken(len(found), more=True)


def forget_subjects(before: float, limit: int) -> Unit[Taken]:
    """Where referrers are kept: forget whose subject was deleted before `before`."""
    found = yield (
        "SELECT repository_id, digest FROM deleted_subjects WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?",
        (before, limit),
    )
    for repository_id, digest in found:
        yield "DELETE FROM deleted_subjects WHERE repository_id = ? AND digest = ?", (repository_id, digest)
    return Taken(0, len(found) == limit)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A key whose bytes are about to go."""

    key: str
    size: int
    condemned_at: float
    kind: Garbage


_TOMBSTONES = (
    "SELECT key, size, condemned_at, reason FROM condemned WHERE condemned_at >= ? AND (condemned_at, key) > (?, ?)"
)


async def list_tombstones(database: Database, *, after: tuple[float, str], limit: int) -> list[Tombstone]:
    """Oldest first, from the first one after the pair (time, key)."""
    rows = await database.fetch(f"{_TOMBSTONES} ORDER BY condemned_at, key LIMIT ?", (after[0], *after, limit))
    return [Tombstone(key, size, at, Garbage(reason)) for key, size, at, reason in rows]


async def list_doomed(
    database: Database, *, before: float, now: float, after: tuple[float, str], limit: int
) -> list[Tombstone]:
    """Those of `list_tombstones` that stand since `before` or longer; none while there is a pin."""
    rows = await database.fetch(
        f"{_TOMBSTONES} AND condemned_at <= ? AND {UNPINNED} ORDER BY condemned_at, key LIMIT ?",
        (after[0], *after, before, now, limit),
    )
    return [Tombstone(key, size, at, Garbage(reason)) for key, size, at, reason in rows]


def bury(gone: Sequence[Tombstone], again_at: float) -> Unit[dict[Garbage, Amount]]:
    """The bytes of those keys are gone: take their tombstones away and count them; returns what was counted.

    Those of orphans stay until `again_at`, when their keys are deleted once more: who slept with their bytes in hand
    finds a tombstone, or its upload expired.
    """
    tally = Tally()
    for some in slices([one.key for one in gone if one.kind is not Garbage.ORPHAN]):
        rows = yield (
            f"DELETE FROM condemned WHERE key IN ({placeholders(len(some))}) RETURNING reason, size",
            tuple(some),
        )
        _count(tally, rows)
    for some in slices([one.key for one in gone if one.kind is Garbage.ORPHAN]):
        rows = yield (
            f"UPDATE condemned SET reason = ?, condemned_at = ? WHERE key IN ({placeholders(len(some))}) AND reason = ? "
            "RETURNING size",
            (Garbage.BURIED.value, again_at, *some, Garbage.ORPHAN.value),
        )
        _count(tally, [(Garbage.ORPHAN.value, size) for (size,) in rows])
    for kind, amount in tally.amounts.items():
        yield (
            "INSERT INTO reclaimed (reason, items, bytes) VALUES (?, ?, ?) ON CONFLICT (reason) DO UPDATE SET "
            "items = reclaimed.items + excluded.items, bytes = reclaimed.bytes + excluded.bytes",
            (kind.value, amount.items, amount.bytes),
        )
    return tally.amounts


def _count(tally: Tally, rows: Iterable[Row]) -> None:
    for reason, size in rows:
        kind = Garbage(reason)
        if kind is not Garbage.BURIED:
            tally.add(kind, Amount(1, size))


async def find_unknown(database: Database, stored: Sequence[Stored]) -> list[Stored]:
    """Those that no blob, upload or tombstone knows."""
    search = _search(stored)
    try:
        statement = next(search)
        while True:
            statement = search.send(await database.fetch(*statement))
    except StopIteration as done:
        unknown: list[Stored] = done.value
        return unknown


def condemn_unknown(stored: Sequence[Stored], now: float) -> Unit[list[Tombstone]]:
    """Tombstones for those that no blob, upload or tombstone knows, still; none while there is a pin."""
    free = yield f"SELECT 1 WHERE {UNPINNED}", (now,)
    if not free:
        return []
    unknown = yield from _search(stored)
    yield from condemn([(one.key, one.size) for one in unknown], now, Garbage.ORPHAN)
    return [Tombstone(one.key, one.size, now, Garbage.ORPHAN) for one in unknown]


def _search(stored: Sequence[Stored]) -> Unit[list[Stored]]:
    known: set[str] = set()
    for some in slices([one.key for one in stored]):
        marks = placeholders(len(some))
        rows = yield (
            f"SELECT key FROM blobs WHERE key IN ({marks}) UNION ALL SELECT key FROM condemned WHERE key IN ({marks})",
            (*some, *some),
        )
        known.update(key for (key,) in rows)
    unknown = [one for one in stored if one.key not in known]
    staged = set()
    for one in unknown:
        if (yield from _is_staged(one.stage or one.key)):
            staged.add(one.key)
    return [one for one in unknown if one.key not in staged]


def _is_staged(name: str) -> Unit[bool]:
    """Whether an upload has bytes whose name begins so, up to its first space."""
    begins = name[:_NAME]
    rows = yield (
        f"SELECT 1 FROM uploads WHERE substr(staged, 1, {_NAME}) >= ? AND substr(staged, 1, {_NAME}) < ? LIMIT 1",
        (begins, begins + "!"),  # the character behind the space
    )
    return bool(rows)
