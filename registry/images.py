"""Images as ECR sees them: a manifest with its tags, named by digest, by tag, or by both.

Deleting follows BatchDeleteImage (ECR API reference): a tag goes alone unless it is the image's last, a digest goes
with all its tags, and what an index names stays while the index does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from base.clock import Clock
from base.digest import Digest
from registry import rows
from registry.errors import ImageNotFound, LimitExceeded, ParameterInvalid
from registry.names import Tag
from registry.rows import Image, Repository, StoredManifest
from store.database import Database, Unit

MAX_CONTENT = 16 * 1024 * 1024
"""Bytes of manifests that are got at once; a single one is at most 4 MiB."""
_DIGEST = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+\Z", re.ASCII)
_SHOWN_INDEXES = 100


class Reason(StrEnum):
    """ECR's ImageFailureCode, as far as it happens here."""

    DIGEST_INVALID = "InvalidImageDigest"
    MISMATCH = "ImageTagDoesNotMatchDigest"
    NOT_FOUND = "ImageNotFound"
    NOTHING_NAMED = "MissingDigestAndTag"
    REFERENCED = "ImageReferencedByManifestList"


_SENTENCES = {
    Reason.DIGEST_INVALID: (
        "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
    ),
    Reason.MISMATCH: "Invalid request parameters: given tag does not map to the given digest",
    Reason.NOT_FOUND: "Requested image not found",
    Reason.NOTHING_NAMED: "Invalid request parameters: both tag and digest cannot be null",
}


@dataclass(frozen=True, slots=True)
class ImageId:
    """ECR's ImageIdentifier: a digest, a tag, or both."""

    digest: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing was done about one of the images that were named."""

    image: ImageId
    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest, by the name under which it was asked for."""

    image: ImageId
    manifest: StoredManifest


class Images:
    """The use-cases of images that are there."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list_ids(
        self, repository_id: int, *, after: tuple[str, str], limit: int, tagged: bool | None
    ) -> list[ImageId]:
        """An id for each tag, and one without a tag for each image that has none, in the order of digests and tags."""
        pairs = await rows.list_image_ids(self._database, repository_id, after=after, limit=limit, tagged=tagged)
        return [ImageId(digest, tag) for digest, tag in pairs]

    async def describe(self, repository_id: int, *, after: str, limit: int, tagged: bool | None) -> list[Image]:
        """By digest, from the first one after `after`."""
        return await rows.list_images(self._database, repository_id, after=after, limit=limit, tagged=tagged)

    async def find(self, repository: Repository, wanted: Sequence[ImageId]) -> list[Image]:
        """The images named, each once. Raises ImageNotFound, ParameterInvalid for an id that names nothing."""
        tags = await rows.resolve_tags(self._database, repository.id, [one.tag for one in wanted if one.tag])
        digests = []
        for one in wanted:
            if not one.digest and not one.tag:
                raise ParameterInvalid(
                    "Invalid parameter at 'imageIds' failed to satisfy constraint: "
                    "'Member must have an imageDigest or an imageTag'"
                )
            digest, failure = _resolve(one, tags)
            if failure is not None:
                raise _not_found(repository, one)
            digests.append(digest)
        found = await rows.find_images(self._database, repository.id, digests)
        for one, digest in zip(wanted, digests, strict=True):
            if digest not in found:
                raise _not_found(repository, one)
        return [found[digest] for digest in dict.fromkeys(digests)]

    async def get(
        self, repository_id: int, wanted: Sequence[ImageId], accepted: Sequence[str]
    ) -> tuple[list[Found], list[Failure]]:
        """The manifests named. With `accepted`, one of another media type counts as absent.

        Raises LimitExceeded where they are too large together.
        """
        wanted = list(dict.fromkeys(wanted))
        tags = await rows.resolve_tags(self._database, repository_id, [one.tag for one in wanted if one.tag])
        resolved = [(one, *_resolve(one, tags)) for one in wanted]
        digests = [digest for _, digest, failure in resolved if failure is None]
        size = await rows.measure_contents(self._database, repository_id, digests) if len(digests) > 4 else 0
        if size > MAX_CONTENT:
            raise LimitExceeded(
                f"the images' manifests have {size} bytes together, more than {MAX_CONTENT}: ask for fewer at a time"
            )
        contents = await rows.find_contents(self._database, repository_id, digests)
        found: list[Found] = []
        failures: list[Failure] = []
        for one, digest, failure in resolved:
            manifest = contents.get(digest)
            if failure is not None:
                failures.append(failure)
            elif manifest is None or (accepted and not {manifest.media_type, "*/*"} & set(accepted)):
                failures.append(_failure(one, Reason.NOT_FOUND))
            else:
                found.append(Found(ImageId(digest, one.tag), manifest))
        return found, failures

    async def delete(self, repository_id: int, wanted: Sequence[ImageId]) -> tuple[list[ImageId], list[Failure]]:
        """Delete tags and images, in the order of `wanted`: what went, and what did not.

        Tags mean what they meant before the first one was deleted.
        """
        now = self._clock()
        wanted = list(dict.fromkeys(wanted))
        return await self._database.write(lambda: _delete_images(repository_id, wanted, now))


def _delete_images(
    repository_id: int, wanted: Sequence[ImageId], now: float
) -> Unit[tuple[list[ImageId], list[Failure]]]:
    tags = yield from rows.read_tags(repository_id, [one.tag for one in wanted if one.tag])
    gone: dict[ImageId, None] = {}
    ended: set[str] = set()
    failures: list[Failure] = []
    for one in wanted:
        digest, failure = _resolve(one, tags)
        if failure is not None:
            failures.append(failure)
            continue
        if digest in ended:  # another id named the same image
            continue
        left = yield from rows.read_tags_of(repository_id, digest)
        if left is None:
            failures.append(_failure(one, Reason.NOT_FOUND))
        elif one.tag is not None and left != [one.tag]:
            yield from rows.delete_tag(repository_id, one.tag)
            gone[ImageId(digest, one.tag)] = None
        else:
            indexes = yield from rows.read_indexes_of(repository_id, digest, limit=_SHOWN_INDEXES)
            if indexes:
                sentence = f"Requested image referenced by manifest list: [{', '.join(indexes)}]"
                failures.append(Failure(one, Reason.REFERENCED, sentence))
                continue
            yield from rows.delete_manifest(repository_id, digest, now, keep_referenced=False)
            ended.add(digest)
            gone.update(dict.fromkeys([ImageId(digest, tag) for tag in left] or [ImageId(digest)]))
    return list(gone), failures


def _resolve(wanted: ImageId, tags: dict[str, Digest]) -> tuple[str, Failure | None]:
    """The digest that an id means, or why it means none."""
    if not wanted.digest and not wanted.tag:
        return "", _failure(wanted, Reason.NOTHING_NAMED)
    if wanted.digest and _DIGEST.match(wanted.digest) is None:
        return "", _failure(wanted, Reason.DIGEST_INVALID)
    if not wanted.tag:
        return wanted.digest or "", None
    meant = tags.get(Tag(wanted.tag))
    if meant is None:
        return "", _failure(wanted, Reason.NOT_FOUND)
    if wanted.digest and wanted.digest != meant:
        return "", _failure(wanted, Reason.MISMATCH)
    return meant, None


def _failure(image: ImageId, reason: Reason) -> Failure:
    return Failure(image, reason, _SENTENCES[reason])


def _not_found(repository: Repository, image: ImageId) -> ImageNotFound:
    return ImageNotFound(repository.registry, repository.name, digest=image.digest, tag=image.tag)
