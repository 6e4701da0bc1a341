"""Manifests, what they name, and the tags that name them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from base.digest import Digest
from registry.errors import ImagesMissing, LayersMissing, ManifestReferenced, RepositoryNotFound, TagImmutable
from registry.manifest import Descriptor, Manifest
from registry.mutability import Mutability, TagPolicy
from registry.names import RegistryId, RepositoryName, Tag
from registry.rows.blobs import REFERENCED
from registry.rows.repositories import Repository
from registry.rows.slices import slices
from store.database import Database, Unit, placeholders


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest with its bytes."""

    digest: Digest
    media_type: str
    content: bytes
    pulled_at: float | None


async def find_manifest(
    database: Database, registry: RegistryId, name: RepositoryName, *, digest: str | None, tag: str | None
) -> tuple[int, StoredManifest | None] | None:
    """The repository's id and its manifest, in one round trip; None where there is no such repository."""
    if tag is not None:
        row = await database.fetch_one(
            "SELECT p.id, m.digest, m.media_type, m.content, m.pulled_at FROM repositories p "
            "LEFT JOIN tags t ON t.repository_id = p.id AND t.name = ? "
            "LEFT JOIN manifests m ON m.repository_id = p.id AND m.digest = t.digest "
            "WHERE p.account = ? AND p.region = ? AND p.name = ?",
            (tag, registry.account, registry.region, name),
        )
    else:
        row = await database.fetch_one(
            "SELECT p.id, m.digest, m.media_type, m.content, m.pulled_at FROM repositories p "
            "LEFT JOIN manifests m ON m.repository_id = p.id AND m.digest = ? "
            "WHERE p.account = ? AND p.region = ? AND p.name = ?",
            (digest, registry.account, registry.region, name),
        )
    if row is None:
        return None
    return row[0], (None if row[1] is None else StoredManifest(row[1], row[2], row[3], row[4]))


@dataclass(frozen=True, slots=True)
class Push:
    """What one PUT of a manifest wants."""

    repository: Repository
    digest: Digest
    manifest: Manifest
    content: bytes
    tags: tuple[Tag, ...]
    allow_missing: bool
    now: float


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was there before: whether the manifest was, and the digests that the tags had."""

    existed: bool
    former: dict[Tag, Digest | None]


def put_manifest(push: Push) -> Unit[Pushed]:
    """Store a manifest, what it names, and its tags, or nothing.

    Raises RepositoryNotFound, LayersMissing, ImagesMissing, TagImmutable.
    """
    repository_id = push.repository.id
    policy, there, former = yield from _look_before(push)
    for tag, had in former.items():
        if had not in {None, push.digest} and policy.is_immutable(tag):
            raise TagImmutable(push.repository.name, tag)
    if not there:
        yield from _insert_manifest(push)
    for tag, had in former.items():
        if had != push.digest:
            yield (
                "INSERT INTO tags (repository_id, name, digest, updated_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at",
                (repository_id, tag, push.digest, push.now),
            )
    return Pushed(bool(there), former)


def _look_before(push: Push) -> Unit[tuple[TagPolicy, bool, dict[Tag, Digest | None]]]:
    """The repository's policy, whether the manifest is there, and what the tags name. Raises RepositoryNotFound."""
    rows = yield (
        "SELECT p.mutability, p.exclusions, "
        "EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = p.id AND m.digest = ?), t.name, t.digest "
        f"FROM repositories p LEFT JOIN tags t ON t.repository_id = p.id AND t.name IN ({placeholders(len(push.tags)) or 'NULL'}) "
        "WHERE p.id = ?",
        (push.digest, *push.tags, push.repository.id),
    )
    if not rows:
        raise RepositoryNotFound(push.repository.registry, push.repository.name)
    mode, exclusions, there, _, _ = rows[0]
    named: dict[Tag, Digest | None] = {tag: digest for *_, tag, digest in rows if tag is not None}
    policy = TagPolicy(Mutability(mode), tuple(json.loads(exclusions)))
    return policy, bool(there), {tag: named.get(tag) for tag in push.tags}


def _insert_manifest(push: Push) -> Unit[None]:
    repository_id, manifest = push.repository.id, push.manifest
    named: dict[Digest, Descriptor] = {}
    for reference in manifest.references:  # what is named twice is required if either says so
        if reference.digest not in named or not named[reference.digest].required:
            named[reference.digest] = reference
    children = [digest for digest, reference in named.items() if reference.kind != "blob"]
    wanted = [digest for digest, reference in named.items() if reference.kind == "blob"]
    sizes: dict[str, int] = {}
    for some in slices(children):
        rows = yield (
            f"SELECT digest, image_size FROM manifests WHERE repository_id = ? AND digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        sizes.update(dict(rows))
    as_blobs = [digest for digest in children if digest not in sizes]
    present: set[str] = set()
    for some in slices([*wanted, *as_blobs]):
        rows = yield (
            "SELECT r.digest FROM repository_blobs r JOIN blobs b ON b.digest = r.digest "
            f"WHERE r.repository_id = ? AND r.digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        present.update(digest for (digest,) in rows)
    if not push.allow_missing:
        absent = [digest for digest in wanted if digest not in present and named[digest].required]
        if absent:
            raise LayersMissing(push.repository.registry, push.repository.name, absent)
        orphans = [digest for digest in as_blobs if digest not in present]
        if orphans:
            raise ImagesMissing(push.repository.registry, push.repository.name, orphans)
    own = manifest.size
    yield (
        "INSERT INTO manifests (repository_id, digest, media_type, artifact_type, subject, annotations, content, image_size, "
        f"pushed_at) VALUES ({placeholders(9)})",
        (
            repository_id,
            push.digest,
            manifest.media_type,
            manifest.artifact_type,
            manifest.subject,
            json.dumps(manifest.annotations) if manifest.subject and manifest.annotations else None,
            push.content,
            max(sizes.values(), default=own) if children else own,
            push.now,
        ),
    )
    rows_of = [
        (
            repository_id,
            push.digest,
            digest,
            "manifest" if digest in sizes else "blob" if digest in present else kind_of(named[digest].kind),
        )
        for digest in named
    ]
    for some_rows in slices(rows_of, size=100):
        yield (
            "INSERT INTO manifest_references (repository_id, manifest, digest, kind) VALUES "
            + ", ".join(["(?, ?, ?, ?)"] * len(some_rows)),
            tuple(value for row in some_rows for value in row),
        )
    for kept in slices(sorted(present)):
        yield (
            f"UPDATE repository_blobs SET kept_at = ? WHERE repository_id = ? AND digest IN ({placeholders(len(kept))})",
            (REFERENCED, repository_id, *kept),
        )


def kind_of(kind: str) -> str:
    """How a reference whose target is not there is stored."""
    return "blob" if kind == "blob" else "manifest"


def delete_manifest(repository_id: int, digest: str, now: float, *, keep_referenced: bool) -> Unit[list[Tag] | None]:
    """Remove a manifest and its tags; returns the tags, or None where there is no such manifest.

    Raises ManifestReferenced with `keep_referenced` where an index of the repository names it.
    """
    if keep_referenced:
        parents = yield (
            "SELECT manifest FROM manifest_references WHERE repository_id = ? AND digest = ? AND kind = 'manifest' LIMIT 1",
            (repository_id, digest),
        )
        if parents:
            raise ManifestReferenced(f"the image is part of the index `{parents[0][0]}`: delete the index first")
    gone = yield "DELETE FROM manifests WHERE repository_id = ? AND digest = ? RETURNING 1", (repository_id, digest)
    if not gone:
        return None
    named = yield (
        "DELETE FROM manifest_references WHERE repository_id = ? AND manifest = ? RETURNING digest",
        (repository_id, digest),
    )
    for some in slices([name for (name,) in named]):
        yield (
            f"UPDATE repository_blobs SET kept_at = ? WHERE repository_id = ? AND digest IN ({placeholders(len(some))}) "
            "AND NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.repository_id = repository_blobs.repository_id "
            "AND f.digest = repository_blobs.digest)",
            (now, repository_id, *some),
        )
    yield (  # those that name it as their subject may be the collector's after a while
        "INSERT INTO deleted_subjects (repository_id, digest, deleted_at) SELECT m.repository_id, m.subject, ? "
        "FROM manifests m WHERE m.repository_id = ? AND m.subject = ? LIMIT 1 "
        "ON CONFLICT (repository_id, digest) DO UPDATE SET deleted_at = excluded.deleted_at",
        (now, repository_id, digest),
    )
    tags = yield "DELETE FROM tags WHERE repository_id = ? AND digest = ? RETURNING name", (repository_id, digest)
    return sorted(name for (name,) in tags)


def delete_tag(repository_id: int, tag: str) -> Unit[Digest | None]:
    """The digest that the tag had, or None where there was no such tag."""
    rows = yield "DELETE FROM tags WHERE repository_id = ? AND name = ? RETURNING digest", (repository_id, tag)
    return rows[0][0] if rows else None


def read_tags(repository_id: int, tags: Sequence[str]) -> Unit[dict[str, Digest]]:
    """The digests that those tags have."""
    found: dict[str, Digest] = {}
    for some in slices(list(dict.fromkeys(tags))):
        rows = yield (
            f"SELECT name, digest FROM tags WHERE repository_id = ? AND name IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        found.update(dict(rows))
    return found


def read_tags_of(repository_id: int, digest: str) -> Unit[list[Tag] | None]:
    """The tags of a manifest in order, or None where there is no such manifest."""
    rows = yield (
        "SELECT t.name FROM manifests m LEFT JOIN tags t ON t.repository_id = m.repository_id AND t.digest = m.digest "
        "WHERE m.repository_id = ? AND m.digest = ? ORDER BY t.name",
        (repository_id, digest),
    )
    return [name for (name,) in rows if name is not None] if rows else None


def read_indexes_of(repository_id: int, digest: str, *, limit: int) -> Unit[list[Digest]]:
    """The indexes of the repository that name a manifest, at most `limit`."""
    rows = yield (
        "SELECT manifest FROM manifest_references WHERE repository_id = ? AND digest = ? AND kind = 'manifest' "
        "ORDER BY manifest LIMIT ?",
        (repository_id, digest, limit),
    )
    return [manifest for (manifest,) in rows]


def count_tags_of(repository_id: int, digest: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM tags WHERE repository_id = ? AND digest = ?", (repository_id, digest)
    count: int = rows[0][0]
    return count


def record_pulls(pulls: Iterable[tuple[int, str, float]]) -> Unit[None]:
    """(repository id, digest, time) of each."""
    for repository_id, digest, at in pulls:
        yield ("UPDATE manifests SET pulled_at = ? WHERE repository_id = ? AND digest = ?", (at, repository_id, digest))


async def find_contents(database: Database, repository_id: int, digests: Sequence[str]) -> dict[str, StoredManifest]:
    found = {}
    for some in slices(list(dict.fromkeys(digests))):
        for row in await database.fetch(
            "SELECT digest, media_type, content, pulled_at FROM manifests "
            f"WHERE repository_id = ? AND digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        ):
            found[row[0]] = StoredManifest(*row)
    return found


async def measure_contents(database: Database, repository_id: int, digests: Sequence[str]) -> int:
    """Bytes of those manifests together."""
    total = 0
    for some in slices(list(dict.fromkeys(digests))):
        rows = await database.fetch(
            f"SELECT SUM(LENGTH(content)) FROM manifests WHERE repository_id = ? AND digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        total += rows[0][0] or 0
    return total
