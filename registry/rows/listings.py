"""What is listed: tags, referrers, images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from base.digest import Digest
from registry.names import Tag
from registry.rows.slices import slices
from store.database import Database, Row, placeholders


@dataclass(frozen=True, slots=True)
class Image:
    """What ECR's DescribeImages shows of a manifest. Tags in order."""

    digest: Digest
    media_type: str
    artifact_type: str | None
    subject: Digest | None
    size: int
    pushed_at: float
    pulled_at: float | None
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest whose subject is another."""

    digest: Digest
    media_type: str
    artifact_type: str | None
    size: int
    annotations: dict[str, str]


async def list_tags(database: Database, repository_id: int, *, after: str, limit: int) -> list[str]:
    rows = await database.fetch(
        "SELECT name FROM tags WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?",
        (repository_id, after, limit),
    )
    return [name for (name,) in rows]


async def list_referrers(
    database: Database, repository_id: int, subject: Digest, *, artifact_types: Sequence[str], after: str, limit: int
) -> list[Referrer]:
    """By digest, from the first one after `after`."""
    wanted = f" AND artifact_type IN ({placeholders(len(artifact_types))})" if artifact_types else ""
    rows = await database.fetch(
        "SELECT digest, media_type, artifact_type, LENGTH(content), annotations FROM manifests "
        f"WHERE repository_id = ? AND subject = ? AND digest > ?{wanted} ORDER BY digest LIMIT ?",
        (repository_id, subject, after, *artifact_types, limit),
    )
    return [
        Referrer(digest, kind, artifact, size, json.loads(notes) if notes else {})
        for digest, kind, artifact, size, notes in rows
    ]


_HAS_TAG = "EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.digest = m.digest)"


_TAGGED = {None: "", True: f" AND {_HAS_TAG}", False: f" AND NOT {_HAS_TAG}"}


_LISTED = {None: "", True: " AND t.name IS NOT NULL", False: " AND t.name IS NULL"}


_IMAGE = "m.digest, m.media_type, m.artifact_type, m.subject, m.image_size, m.pushed_at, m.pulled_at"


async def list_images(
    database: Database, repository_id: int, *, after: str, limit: int, tagged: bool | None = None
) -> list[Image]:
    """By digest, from the first one after `after`; with `tagged` only those that have a tag, or have none."""
    rows = await database.fetch(
        f"SELECT {_IMAGE} FROM manifests m WHERE m.repository_id = ? AND m.digest > ?{_TAGGED[tagged]} "
        "ORDER BY m.digest LIMIT ?",
        (repository_id, after, limit),
    )
    return await _with_tags(database, repository_id, rows)


async def list_image_ids(
    database: Database, repository_id: int, *, after: tuple[str, str], limit: int, tagged: bool | None = None
) -> list[tuple[Digest, Tag | None]]:
    """A pair for each tag, and one without a tag for each image that has none; by digest and tag, after the pair `after`."""
    digest, tag = after
    rows = await database.fetch(
        "SELECT m.digest, t.name FROM manifests m LEFT JOIN tags t ON t.repository_id = m.repository_id AND t.digest = m.digest "
        "WHERE m.repository_id = ? AND m.digest >= ? AND (m.digest > ? OR t.name > ?)"
        f"{_LISTED[tagged]} ORDER BY m.digest, t.name LIMIT ?",
        (repository_id, digest, digest, tag, limit),
    )
    return [(found, name) for found, name in rows]


async def find_images(database: Database, repository_id: int, digests: Sequence[str]) -> dict[str, Image]:
    rows: list[Row] = []
    for some in slices(list(dict.fromkeys(digests))):
        rows += await database.fetch(
            f"SELECT {_IMAGE} FROM manifests m WHERE m.repository_id = ? AND m.digest IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
    return {image.digest: image for image in await _with_tags(database, repository_id, rows)}


async def resolve_tags(database: Database, repository_id: int, tags: Sequence[str]) -> dict[str, Digest]:
    found: dict[str, Digest] = {}
    for some in slices(list(dict.fromkeys(tags))):
        rows = await database.fetch(
            f"SELECT name, digest FROM tags WHERE repository_id = ? AND name IN ({placeholders(len(some))})",
            (repository_id, *some),
        )
        found.update(dict(rows))
    return found


async def _with_tags(database: Database, repository_id: int, rows: Sequence[Row]) -> list[Image]:
    tags: dict[str, list[Tag]] = {}
    for some in slices([row[0] for row in rows]):
        for digest, name in await database.fetch(
            f"SELECT digest, name FROM tags WHERE repository_id = ? AND digest IN ({placeholders(len(some))}) ORDER BY name",
            (repository_id, *some),
        ):
            tags.setdefault(digest, []).append(name)
    return [
        Image(digest, media_type, artifact_type, subject, size, pushed_at, pulled_at, tuple(tags.get(digest, ())))
        for digest, media_type, artifact_type, subject, size, pushed_at, pulled_at in rows
    ]
