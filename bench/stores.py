"""Stores with a long history, whose rows are written directly: copies of what one push left."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from bench.databases import Filling
from bench.machine import CannotMeasure

_MANIFEST = ("repository_id", "digest", "media_type", "content", "image_size", "pushed_at")
_REFERENCE = ("repository_id", "manifest", "digest", "kind")
_TAG = ("repository_id", "name", "digest", "updated_at")
_LINK = ("repository_id", "digest", "kept_at")
_REPOSITORY = (
    "id", "account", "region", "name", "created_at", "mutability", "exclusions", "scan_on_push", "encryption",
)  # fmt: skip
TAG = "v1.0.0"
"""Of the one image that each repository of `fill_repositories` has, as the load generator calls its first."""


def fill_images(rows: Filling, number: int) -> None:
    """Images up to `number` with the one that is there, tagged v1.0.0 and on. They share its layers."""
    pushed, references = _pushed(rows)
    content = bytes(pushed["content"])
    copies = sorted((digest_of(content, index), index) for index in range(1, number))  # as the index has them
    now = time.time()
    repository, media_type, size = pushed["repository_id"], pushed["media_type"], pushed["image_size"]
    rows.insert(
        "manifests",
        _MANIFEST,
        ((repository, digest, media_type, copy_of(content, index), size, now) for digest, index in copies),
    )
    rows.insert(
        "manifest_references",
        _REFERENCE,
        ((repository, digest, named, kind) for digest, _ in copies for named, kind in sorted(references)),
    )
    named = sorted((f"v1.0.{index}", digest) for digest, index in copies)
    rows.insert("tags", _TAG, ((repository, name, digest, now) for name, digest in named))


def copy_of(content: bytes, index: int) -> bytes:
    """A manifest that differs from `content` and every other copy by an annotation."""
    return json.dumps({**json.loads(content), "annotations": {"number": str(index)}}).encode()


def digest_of(content: bytes, index: int) -> str:
    return f"sha256:{hashlib.sha256(copy_of(content, index)).hexdigest()}"


def repository_names(number: int) -> list[str]:
    """In the order of listings."""
    return [f"load/{index:07d}" for index in range(number)]


def fill_repositories(rows: Filling, number: int) -> None:
    """`number` repositories beside the one that is there, as if made just before it, each with its image."""
    pushed, references = _pushed(rows)
    (original,) = rows.fetch(
        f"SELECT {', '.join(_REPOSITORY)} FROM repositories WHERE id = ?", (pushed["repository_id"],)
    )
    links = rows.fetch(
        "SELECT digest, kept_at FROM repository_blobs WHERE repository_id = ?", (pushed["repository_id"],)
    )
    now = time.time()
    identifiers = range(original[0] - number, original[0])
    (account, region), settings = original[1:3], original[5:]
    rows.insert(
        "repositories",
        _REPOSITORY,
        (
            (one, account, region, name, now, *settings)
            for one, name in zip(identifiers, repository_names(number), strict=True)
        ),
    )
    image = [pushed[column] for column in _MANIFEST[1:]]
    rows.insert("manifests", _MANIFEST, ((one, *image) for one in identifiers))
    rows.insert(
        "manifest_references",
        _REFERENCE,
        ((one, pushed["digest"], named, kind) for one in identifiers for named, kind in sorted(references)),
    )
    rows.insert("tags", _TAG, ((one, TAG, pushed["digest"], now) for one in identifiers))
    rows.insert("repository_blobs", _LINK, ((one, *link) for one in identifiers for link in sorted(links)))


def _pushed(rows: Filling) -> tuple[dict[str, Any], Sequence[tuple[str, str]]]:
    """The manifest that is there, and what it names."""
    found = rows.fetch(f"SELECT {', '.join(_MANIFEST)} FROM manifests")
    if len(found) != 1:
        raise CannotMeasure(f"{len(found)} manifests are there, where one was pushed")
    pushed = dict(zip(_MANIFEST, found[0], strict=True))
    references = rows.fetch("SELECT digest, kind FROM manifest_references WHERE manifest = ?", (pushed["digest"],))
    return pushed, [(digest, kind) for digest, kind in references]
