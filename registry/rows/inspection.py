"""What an inspection asks of the rows, and how it mends them. Every mending looks again in its own unit."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from base.digest import Digest
from registry.garbage import Garbage
from registry.manifest import Manifest
from registry.rows.blobs import REFERENCED, condemn
from registry.rows.manifests import kind_of
from registry.rows.slices import slices
from store.database import Database, Row, Unit, placeholders

OF_REPOSITORIES = (
    "resource_tags",
    "repository_policies",
    "repository_blobs",
    "manifests",
    "manifest_references",
    "tags",
)
"""Tables whose rows belong to a repository."""
_FOR_EVER = 1e14
_SUFFERERS = 100


@dataclass(frozen=True, slots=True)
class Inspected:
    """A manifest as its rows have it. `references` are digest -> kind."""

    digest: Digest
    media_type: str
    artifact_type: str | None
    subject: str | None
    annotations: str | None
    content: bytes
    image_size: int
    references: dict[str, str]


# -- repositories


async def list_repository_ids(database: Database, *, after: int, limit: int) -> list[tuple[int, str]]:
    """(id, `account/region/name`) by id, from the first one after `after`."""
    rows = await database.fetch(
        "SELECT id, account, region, name FROM repositories WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    )
    return [(identifier, f"{account}/{region}/{name}") for identifier, account, region, name in rows]


async def find_stray(database: Database, table: str, *, after: int) -> tuple[int, bool] | None:
    """The next repository id after `after` that rows of the table have, and whether it is nobody's: of no
    repository, and of none that was deleted, whose rows the collector takes away."""
    row = await database.fetch_one(
        "SELECT t.repository_id, EXISTS (SELECT 1 FROM repositories p WHERE p.id = t.repository_id) "
        f"OR EXISTS (SELECT 1 FROM deleted_repositories d WHERE d.repository_id = t.repository_id) FROM {table} t "
        "WHERE t.repository_id > ? ORDER BY t.repository_id LIMIT 1",
        (after,),
    )
    return None if row is None else (row[0], not row[1])


def delete_stray(table: str, repository_id: int) -> Unit[bool]:
    rows = yield (
        f"DELETE FROM {table} WHERE repository_id = ? "
        "AND NOT EXISTS (SELECT 1 FROM repositories p WHERE p.id = ?) "
        "AND NOT EXISTS (SELECT 1 FROM deleted_repositories d WHERE d.repository_id = ?) RETURNING 1",
        (repository_id, repository_id, repository_id),
    )
    return bool(rows)


# -- images


async def count_manifests(database: Database) -> int:
    row = await database.fetch_one("SELECT COUNT(*) FROM manifests")
    assert row is not None
    count: int = row[0]
    return count


_MANIFEST = "digest, media_type, artifact_type, subject, annotations, content, image_size"


async def list_manifests(database: Database, repository_id: int, *, after: str, limit: int) -> list[Inspected]:
    """By digest, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_MANIFEST} FROM manifests WHERE repository_id = ? AND digest > ? ORDER BY digest LIMIT ?",
        (repository_id, after, limit),
    )
    references: dict[str, dict[str, str]] = {row[0]: {} for row in rows}
    for some in slices(list(references)):
        for manifest, digest, kind in await database.fetch(
            "SELECT manifest, digest, kind FROM manifest_references "
            f"WHERE repository_id = ? AND manifest IN ({placeholders(len(some))})",
            (repository_id, *some),
        ):
            references[manifest][digest] = kind
    return [_inspected(row, references[row[0]]) for row in rows]


def read_manifest(repository_id: int, digest: str) -> Unit[Inspected | None]:
    """The manifest and its references as they are at one moment."""
    rows = yield f"SELECT {_MANIFEST} FROM manifests WHERE repository_id = ? AND digest = ?", (repository_id, digest)
    if not rows:
        return None
    references = yield (
        "SELECT digest, kind FROM manifest_references WHERE repository_id = ? AND manifest = ?",
        (repository_id, digest),
    )
    return _inspected(rows[0], dict(references))


def _inspected(row: Row, references: dict[str, str]) -> Inspected:
    digest, media_type, artifact_type, subject, annotations, content, image_size = row
    return Inspected(digest, media_type, artifact_type, subject, annotations, content, image_size, references)


def rewrite_manifest(repository_id: int, digest: str, manifest: Manifest) -> Unit[None]:
    """Record anew what a manifest names and says. Its bytes stay."""
    named = {reference.digest: reference for reference in manifest.references}
    either = [one for one, reference in named.items() if reference.kind != "blob"]
    sizes: dict[str, int] = {}
    blobs: set[str] = set()
    for some in slices(either):
        rows = yield (
            f"SELECT digest, image_size FROM manifests WHERE repository_id = ? AND digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        sizes.update(dict(rows))
        rows = yield (
            f"SELECT digest FROM repository_blobs WHERE repository_id = ? AND digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        blobs.update(one for (one,) in rows)
    yield "DELETE FROM manifest_references WHERE repository_id = ? AND manifest = ?", (repository_id, digest)
    for one, reference in named.items():
        kind = "manifest" if one in sizes else "blob" if one in blobs else kind_of(reference.kind)
        yield (
            "INSERT INTO manifest_references (repository_id, manifest, digest, kind) VALUES (?, ?, ?, ?)",
            (repository_id, digest, one, kind),
        )
        yield (
            "UPDATE repository_blobs SET kept_at = ? WHERE repository_id = ? AND digest = ?",
            (REFERENCED, repository_id, one),
        )
    own = manifest.size
    yield (
        "UPDATE manifests SET artifact_type = ?, subject = ?, annotations = ?, image_size = ? "
        "WHERE repository_id = ? AND digest = ?",
        (
            manifest.artifact_type,
            manifest.subject,
            annotations_of(manifest),
            max(sizes.values(), default=own) if either else own,
            repository_id,
            digest,
        ),
    )


def annotations_of(manifest: Manifest) -> str | None:
    """As they are kept."""
    return json.dumps(manifest.annotations) if manifest.subject and manifest.annotations else None


_DANGLING = "NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = {0}.repository_id AND m.digest = {0}.digest)"


async def list_dangling_tags(database: Database, repository_id: int) -> list[tuple[str, str]]:
    """(tag, digest) of those that name no image."""
    rows = await database.fetch(
        f"SELECT t.name, t.digest FROM tags t WHERE t.repository_id = ? AND {_DANGLING.format('t')} ORDER BY t.name",
        (repository_id,),
    )
    return [(name, digest) for name, digest in rows]


def delete_dangling_tag(repository_id: int, name: str) -> Unit[bool]:
    rows = yield (
        f"DELETE FROM tags WHERE repository_id = ? AND name = ? AND {_DANGLING.format('tags')} RETURNING 1",
        (repository_id, name),
    )
    return bool(rows)


async def list_absent_blobs(database: Database, repository_id: int) -> list[tuple[str, str, bool]]:
    """(manifest, digest, whether the registry has the blob) of blobs that an image names and its repository lacks."""
    rows = await database.fetch(
        "SELECT f.manifest, f.digest, b.digest IS NOT NULL FROM manifest_references f "
        "LEFT JOIN repository_blobs r ON r.repository_id = f.repository_id AND r.digest = f.digest "
        "LEFT JOIN blobs b ON b.digest = f.digest "
        "WHERE f.repository_id = ? AND f.kind = 'blob' AND (r.digest IS NULL OR b.digest IS NULL) "
        "ORDER BY f.manifest, f.digest",
        (repository_id,),
    )
    return [(manifest, digest, bool(there)) for manifest, digest, there in rows]


def link_named(repository_id: int, digest: str) -> Unit[bool]:
    """Link a blob that an image of the repository names and the registry has."""
    rows = yield (
        "INSERT INTO repository_blobs (repository_id, digest, kept_at) SELECT f.repository_id, f.digest, ? "
        "FROM manifest_references f JOIN blobs b ON b.digest = f.digest "
        "WHERE f.repository_id = ? AND f.digest = ? LIMIT 1 ON CONFLICT (repository_id, digest) DO NOTHING RETURNING 1",
        (REFERENCED, repository_id, digest),
    )
    return bool(rows)


_UNNAMED = (
    "kept_at >= ? AND NOT EXISTS (SELECT 1 FROM manifest_references f "
    "WHERE f.repository_id = repository_blobs.repository_id AND f.digest = repository_blobs.digest)"
)


async def list_kept(database: Database, repository_id: int) -> list[str]:
    """Blobs that are kept for ever although no image of the repository names them."""
    rows = await database.fetch(
        f"SELECT digest FROM repository_blobs WHERE repository_id = ? AND {_UNNAMED} ORDER BY digest",
        (repository_id, _FOR_EVER),
    )
    return [digest for (digest,) in rows]


def begin_grace(repository_id: int, digest: str, now: float) -> Unit[bool]:
    rows = yield (
        f"UPDATE repository_blobs SET kept_at = ? WHERE repository_id = ? AND digest = ? AND {_UNNAMED} RETURNING 1",
        (now, repository_id, digest, _FOR_EVER),
    )
    return bool(rows)


async def list_sufferers(database: Database, digest: str) -> list[str]:
    """Images that name a blob, as `account/region/repository@digest (tags)`; not all of very many."""
    found = await database.fetch(
        "SELECT p.id, p.account, p.region, p.name, f.manifest FROM repository_blobs r "
        "JOIN manifest_references f ON f.repository_id = r.repository_id AND f.digest = r.digest "
        "JOIN repositories p ON p.id = r.repository_id WHERE r.digest = ? ORDER BY p.name, f.manifest LIMIT ?",
        (digest, _SUFFERERS),
    )
    return [
        await describe_image(database, repository_id, f"{account}/{region}/{name}", manifest)
        for repository_id, account, region, name, manifest in found
    ]


async def describe_image(database: Database, repository_id: int, name: str, digest: str) -> str:
    """`account/region/repository@digest (tags)`."""
    rows = await database.fetch(
        "SELECT name FROM tags WHERE repository_id = ? AND digest = ? ORDER BY name LIMIT 10", (repository_id, digest)
    )
    return f"{name}@{digest}" + (f" ({', '.join(tag for (tag,) in rows)})" if rows else "")


# -- blobs


async def find_blob_row(database: Database, digest: str) -> tuple[str, int] | None:
    """(key, size)."""
    row = await database.fetch_one("SELECT key, size FROM blobs WHERE digest = ?", (digest,))
    return None if row is None else (row[0], row[1])


async def list_inspected_blobs(database: Database, *, after: str, limit: int) -> list[tuple[str, str, int, bool, bool]]:
    """(digest, key, size, whether a repository links it, whether its key has a tombstone) by digest."""
    rows = await database.fetch(
        "SELECT b.digest, b.key, b.size, EXISTS (SELECT 1 FROM repository_blobs r WHERE r.digest = b.digest), "
        "EXISTS (SELECT 1 FROM condemned c WHERE c.key = b.key) FROM blobs b WHERE b.digest > ? ORDER BY b.digest LIMIT ?",
        (after, limit),
    )
    return [(digest, key, size, bool(linked), bool(dead)) for digest, key, size, linked, dead in rows]


def forget_blob(digest: str, key: str, now: float) -> Unit[bool]:
    """The bytes under the key are lost: the blob counts as absent wherever it is linked, until it is pushed again."""
    rows = yield "DELETE FROM blobs WHERE digest = ? AND key = ? RETURNING size", (digest, key)
    for (size,) in rows:
        yield from condemn([(key, size)], now, Garbage.LOST)
    return bool(rows)


def correct_size(digest: str, key: str, size: int) -> Unit[bool]:
    rows = yield "UPDATE blobs SET size = ? WHERE digest = ? AND key = ? RETURNING 1", (size, digest, key)
    return bool(rows)


def condemn_unlinked_blob(digest: str, now: float) -> Unit[bool]:
    rows = yield (
        "DELETE FROM blobs WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM repository_blobs r WHERE r.digest = blobs.digest) "
        "RETURNING key, size",
        (digest,),
    )
    for key, size in rows:
        yield from condemn([(key, size)], now, Garbage.UNREFERENCED)
    return bool(rows)


async def is_unlinked(database: Database, digest: str) -> bool:
    """Whether the registry has a blob that no repository links."""
    row = await database.fetch_one(
        "SELECT 1 FROM blobs b WHERE b.digest = ? AND NOT EXISTS (SELECT 1 FROM repository_blobs r WHERE r.digest = b.digest)",
        (digest,),
    )
    return row is not None


def pardon(key: str) -> Unit[bool]:
    """Take the tombstone of a blob's bytes away."""
    rows = yield (
        "DELETE FROM condemned WHERE key = ? AND EXISTS (SELECT 1 FROM blobs b WHERE b.key = ?) RETURNING 1",
        (key, key),
    )
    return bool(rows)


# -- the store


@dataclass(frozen=True, slots=True)
class Standing:
    """An upload as it stands."""

    id: str
    staged: str
    received: int
    turn: int

    @property
    def stage(self) -> str:
        """What never changes of the name of its bytes."""
        return self.staged.partition(" ")[0]


async def list_standing(database: Database) -> list[Standing]:
    """Uploads that have bytes."""
    rows = await database.fetch("SELECT id, staged, received, turn FROM uploads WHERE received > 0 ORDER BY id")
    return [Standing(*row) for row in rows]


def end_lost_upload(upload: Standing) -> Unit[bool]:
    """Only where it stands as it stood."""
    rows = yield (
        "DELETE FROM uploads WHERE id = ? AND turn = ? AND staged = ? RETURNING 1",
        (
            upload.id,
            upload.turn,
            upload.staged,
        ),
    )
    return bool(rows)


async def list_known(database: Database, keys: Sequence[str]) -> set[str]:
    """Those of `keys` that a blob or a tombstone has."""
    known: set[str] = set()
    for some in slices(keys):
        marks = placeholders(len(some))
        rows: list[Row] = await database.fetch(
            f"SELECT key FROM blobs WHERE key IN ({marks}) UNION ALL SELECT key FROM condemned WHERE key IN ({marks})",
            (*some, *some),
        )
        known.update(key for (key,) in rows)
    return known


async def list_stages(database: Database) -> set[str]:
    """What never changes of the names of all uploads' bytes."""
    rows = await database.fetch("SELECT staged FROM uploads")
    return {staged.partition(" ")[0] for (staged,) in rows}
