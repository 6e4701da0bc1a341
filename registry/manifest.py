"""A manifest as a value: what it is, what it references, what it is about.

The bytes are never re-serialised; this reads them once. Known forms: OCI image manifest and index (image-spec
manifest.md, image-index.md), Docker image manifest version 2 schema 2 and list. Any other JSON object with a declared
media type is kept too, and each descriptor under `config`, `layers`, `blobs`, `manifests` and `subject` is a reference.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from base.digest import Digest, DigestMalformed, parse_digest
from registry import media

MAX_SIZE = 4 * 1024 * 1024
"""Bytes of a manifest that a registry has to take (OCI Distribution, "Pushing Manifests"), and ours takes no more."""
MAX_REFERENCES = 10_000
_TOO_LARGE = 2**63
"""Bytes that no database counts."""
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}\Z", re.ASCII)
"""RFC 6838, 4.2. It goes into a header field when the manifest is served."""

Kind = Literal["blob", "manifest", "either"]


class ManifestMalformed(ValueError):
    """The bytes are no manifest that can be kept; the message says why."""


class NotJson(ManifestMalformed):
    """The bytes are no JSON object."""


class MediaTypeUnknown(ManifestMalformed):
    """Neither the document nor who pushed it says the media type."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of something that it names (image-spec descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    kind: Kind
    """`either`: an index may name blobs too, as older build caches do."""
    required: bool
    """False for layers that may live elsewhere."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest."""

    media_type: str
    references: tuple[Descriptor, ...]
    subject: Digest | None
    artifact_type: str | None
    """`artifactType`, or the config's media type (OCI Distribution, "Listing Referrers")."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of config and layers."""
        return sum(reference.size for reference in self.references if reference.kind == "blob")


def parse_manifest(content: bytes, declared: str | None) -> Manifest:
    """Read `content`, pushed with the media type `declared` (without parameters; None or empty: take the document's).

    Raises ManifestMalformed.
    """
    document = _load(content)
    own = document.get("mediaType")
    if own is not None and not isinstance(own, str):
        raise ManifestMalformed("mediaType has to be a string")
    media_type = declared or own or ""
    if not media_type:
        raise MediaTypeUnknown("the manifest's media type is missing: give it as Content-Type or as mediaType")
    if _MEDIA_TYPE.match(media_type) is None:
        raise ManifestMalformed(f"{media_type[:200]!a} is not a media type: expected type/subtype")
    if own and own != media_type:
        raise ManifestMalformed(f"mediaType `{own[:200]}` differs from the declared type `{media_type[:200]}`")
    if "manifests" in document and ("layers" in document or "config" in document or "fsLayers" in document):
        raise ManifestMalformed("a manifest is either an image (config, layers) or an index (manifests), not both")
    _check_form(document, media_type)
    references = tuple(_references(document))
    if len(references) > MAX_REFERENCES:
        raise ManifestMalformed(f"the manifest names {len(references)} things, the limit is {MAX_REFERENCES}")
    subject = document.get("subject")
    config = document.get("config")
    artifact_type = document.get("artifactType")
    if not isinstance(artifact_type, str) or not artifact_type:
        artifact_type = config.get("mediaType") if isinstance(config, dict) else None
    if isinstance(artifact_type, str) and not artifact_type.isprintable():
        raise ManifestMalformed("artifactType, or the config's mediaType, has characters that no media type has")
    manifest = Manifest(
        media_type=media_type,
        references=references,
        subject=None if subject is None else _descriptor(subject, "subject", "manifest").digest,
        artifact_type=artifact_type if isinstance(artifact_type, str) else None,
        annotations=_annotations(document.get("annotations")),
    )
    if manifest.size >= _TOO_LARGE:
        raise ManifestMalformed("the size of config and layers together is no number of bytes")
    return manifest


def _load(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise NotJson("the manifest is not UTF-8") from error
    except RecursionError as error:
        raise NotJson("the manifest is nested too deeply") from error
    except ManifestMalformed:
        raise
    except ValueError as error:
        raise NotJson(f"the manifest is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise NotJson("the manifest has to be a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise NotJson("the manifest has the same member twice: parsers differ on which one counts")
    return document


def _refuse(constant: str) -> None:
    raise NotJson(f"the manifest is not JSON: {constant} is no JSON value")


def _check_form(document: dict[str, Any], media_type: str) -> None:
    version = document.get("schemaVersion")
    if media_type in media.IMAGES | media.INDEXES and (version != 2 or isinstance(version, bool)):
        raise ManifestMalformed("schemaVersion has to be 2")
    if media_type in media.IMAGES:
        if "manifests" in document:
            raise ManifestMalformed(f"`manifests` does not belong in a manifest of type `{media_type}`")
        if not isinstance(document.get("config"), dict):
            raise ManifestMalformed("config is missing: an image manifest names its configuration")
        if not isinstance(document.get("layers", []), list):
            raise ManifestMalformed("layers has to be a list of descriptors")
    if media_type in media.INDEXES:
        if "layers" in document or "config" in document:
            raise ManifestMalformed(f"`layers` and `config` do not belong in a manifest of type `{media_type}`")
        if not isinstance(document.get("manifests"), list):
            raise ManifestMalformed("manifests has to be a list of descriptors")


def _references(document: dict[str, Any]) -> Iterable[Descriptor]:
    config = document.get("config")
    if isinstance(config, dict):
        yield _descriptor(config, "config", "blob")
    for member, kind in (("layers", "blob"), ("blobs", "blob"), ("manifests", "either")):
        listed = document.get(member)
        if listed is None:
            continue
        if not isinstance(listed, list):
            raise ManifestMalformed(f"{member} has to be a list of descriptors")
        for position, entry in enumerate(listed):
            yield _descriptor(entry, f"{member}[{position}]", kind)  # type: ignore[arg-type]


def _descriptor(entry: Any, where: str, kind: Kind) -> Descriptor:
    if not isinstance(entry, dict):
        raise ManifestMalformed(f"{where} has to be a descriptor")
    media_type, text, size = entry.get("mediaType", ""), entry.get("digest"), entry.get("size")
    if not isinstance(text, str):
        raise ManifestMalformed(f"{where}.digest is missing")
    try:
        digest = parse_digest(text)
    except DigestMalformed as error:
        raise ManifestMalformed(f"{where}.digest: {error}") from error
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _TOO_LARGE:
        raise ManifestMalformed(f"{where}.size has to be a number of bytes")
    if not isinstance(media_type, str):
        raise ManifestMalformed(f"{where}.mediaType has to be a string")
    return Descriptor(media_type, digest, size, kind, required=not media.is_nondistributable(media_type))


def _annotations(found: Any) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ManifestMalformed("annotations has to be an object of strings")
    return found
