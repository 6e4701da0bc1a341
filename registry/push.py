"""Putting manifests and tags."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from base.clock import Clock
from base.digest import Digest, algorithm_of, digest_of
from registry import rows
from registry.errors import (
    DigestInvalid,
    ImageAlreadyExists,
    LimitExceeded,
    ManifestInvalid,
    ManifestTooLarge,
    MediaTypeMissing,
)
from registry.manifest import MAX_SIZE, Manifest, ManifestMalformed, MediaTypeUnknown, parse_manifest
from registry.names import Tag
from registry.rows import Pushed, Repository
from store.database import Database, Unit

MAX_TAGS = 1000
"""Tags of one image for PutImage (ECR, "Service quotas"); `/v2/` knows no such limit."""
_INLINE = 64 * 1024
"""Bytes of a manifest that is parsed on the event loop; a larger one is parsed on a thread."""


@dataclass(frozen=True, slots=True)
class Put:
    """A stored manifest."""

    digest: Digest
    manifest: Manifest
    pushed: Pushed


class Push:
    """The use-case of pushing a manifest."""

    def __init__(self, database: Database, *, clock: Clock, allow_sparse: bool) -> None:
        self._database = database
        self._clock = clock
        self._allow_sparse = allow_sparse

    async def put(
        self,
        repository: Repository,
        content: bytes,
        media_type: str | None,
        *,
        tags: Sequence[Tag] = (),
        digest: Digest | None = None,
        refuse_same: bool = False,
    ) -> Put:
        """Store `content` and move `tags` to it.

        `refuse_same`: as in PutImage, an image that is there already is an error, and so is one tag too many.
        Raises ManifestTooLarge, ManifestInvalid, MediaTypeMissing, DigestInvalid, LayersMissing, ImagesMissing,
        TagImmutable, RepositoryNotFound, ImageAlreadyExists, LimitExceeded.
        """
        if len(content) > MAX_SIZE:
            raise ManifestTooLarge(f"the manifest has more than {MAX_SIZE} bytes")
        if len(content) <= _INLINE:
            found, manifest = _read(content, media_type, digest)
        else:
            found, manifest = await asyncio.to_thread(_read, content, media_type, digest)
        push = rows.Push(repository, found, manifest, content, tuple(tags), self._allow_sparse, self._clock())
        pushed = await self._database.write(lambda: _put(push, refuse_same=refuse_same))
        return Put(found, manifest, pushed)


def _put(push: rows.Push, *, refuse_same: bool) -> Unit[Pushed]:
    pushed = yield from rows.put_manifest(push)
    if refuse_same:
        registry, name = push.repository.registry, push.repository.name
        tag = push.tags[0] if push.tags else None
        if pushed.existed and all(had == push.digest for had in pushed.former.values()):
            raise ImageAlreadyExists(registry, name, push.digest, tag)
        if tag is not None and (yield from rows.count_tags_of(push.repository.id, push.digest)) > MAX_TAGS:
            raise LimitExceeded(
                f"Adding tag '{tag}' to an image in the repository with name '{name}' in registry with id "
                f"'{registry.account}' exceeds the maximum allowed number of tags per image which is '{MAX_TAGS}'"
            )
    return pushed


def _read(content: bytes, media_type: str | None, expected: Digest | None) -> tuple[Digest, Manifest]:
    found = digest_of(content) if expected is None else digest_of(content, algorithm_of(expected))
    if expected is not None and found != expected:
        raise DigestInvalid(f"the manifest has the digest `{found}`, not `{expected}`")
    try:
        return found, parse_manifest(content, media_type)
    except MediaTypeUnknown as error:
        raise MediaTypeMissing(str(error)) from error
    except ManifestMalformed as error:
        raise ManifestInvalid(str(error)) from error
