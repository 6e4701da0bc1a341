"""Images (ListImages, DescribeImages, ListImageReferrers, BatchGetImage, BatchDeleteImage, PutImage)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from base.digest import Digest, DigestMalformed, parse_digest
from registry import rows
from registry.ecr.call import Call, Registry, Result, name_of, refuse, registry_of
from registry.ecr.paging import read_page, refuse_paging, write_token
from registry.errors import DigestInvalid, ManifestDigestMismatch, ManifestInvalid, MediaTypeMissing
from registry.images import Failure, ImageId
from registry.manifest import NotJson
from registry.names import TAG_PATTERN, Tag, TagMalformed, parse_tag
from registry.rows import Image, Referrer, Repository

_TAGGED = {"TAGGED": True, "UNTAGGED": False, "ANY": None}
_LISTED_STATUSES = frozenset({"ACTIVE", "ANY"})
"""Of the filter's imageStatus: whose listing holds active images, which all of ours are."""
_REFERRERS = 20
"""On a page where the call does not say (ECR API reference, "ListImageReferrers")."""
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z", re.ASCII)


async def list_images(ecr: Registry, call: Call) -> Result:
    limit, (digest, tag) = read_page(call.params, "image-ids", width=2)
    repository_id = await ecr.repositories.find_id(registry_of(call), name_of(call))
    tagged, listed = _read_filter(call.params)
    if not listed:
        return {"imageIds": []}
    found = await ecr.images.list_ids(repository_id, after=(digest, tag), limit=limit + 1, tagged=tagged)
    shown = found[:limit]
    result: Result = {"imageIds": [_render_id(one) for one in shown]}
    if len(found) > limit:
        result["nextToken"] = write_token("image-ids", shown[-1].digest or "", shown[-1].tag or "")
    return result


async def describe_images(ecr: Registry, call: Call) -> Result:
    wanted = call.params.get("imageIds")
    if wanted:
        refuse_paging(call.params, "imageIds")
    limit, (after,) = read_page(call.params, "images")
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    tagged, listed = _read_filter(call.params)
    if wanted:
        found = await ecr.images.find(repository, _read_ids(wanted))
        shown = [one for one in found if listed and tagged in {None, bool(one.tags)}]
        return {"imageDetails": [_render_detail(repository, one) for one in shown]}
    if not listed:
        return {"imageDetails": []}
    found = await ecr.images.describe(repository.id, after=after, limit=limit + 1, tagged=tagged)
    shown = found[:limit]
    result: Result = {"imageDetails": [_render_detail(repository, one) for one in shown]}
    if len(found) > limit:
        result["nextToken"] = write_token("images", shown[-1].digest)
    return result


async def list_image_referrers(ecr: Registry, call: Call) -> Result:
    """Those of what is not there are none."""
    try:
        subject = parse_digest(call.params["subjectId"]["imageDigest"])
    except DigestMalformed as error:
        refuse("subjectId.imageDigest", str(error), error)
    limit, (after,) = read_page(call.params, "referrers", default=_REFERRERS)
    repository_id = await ecr.repositories.find_id(registry_of(call), name_of(call))
    wanted = call.params.get("filter", {})
    types = wanted.get("artifactTypes", ())
    known = [kind for kind in types if kind.isprintable()]  # as all are that are stored
    if wanted.get("artifactStatus", "ACTIVE") not in _LISTED_STATUSES or bool(known) is not bool(types):
        return {"referrers": []}
    found = await rows.list_referrers(
        ecr.database, repository_id, subject, artifact_types=known, after=after, limit=limit + 1
    )
    shown = found[:limit]
    result: Result = {"referrers": [_render_referrer(one) for one in shown]}
    if len(found) > limit:
        result["nextToken"] = write_token("referrers", shown[-1].digest)
    return result


async def batch_get_image(ecr: Registry, call: Call) -> Result:
    repository_id = await ecr.repositories.find_id(registry_of(call), name_of(call))
    accepted = call.params.get("acceptedMediaTypes", ())
    found, failures = await ecr.images.get(repository_id, _read_ids(call.params["imageIds"]), accepted)
    images = []
    for one in found:
        ecr.pull.note_pull(repository_id, one.manifest)
        images.append(_render_image(call, one.image, one.manifest.content.decode(), one.manifest.media_type))
    return {"images": images, "failures": _render_failures(failures)}


async def batch_delete_image(ecr: Registry, call: Call) -> Result:
    repository_id = await ecr.repositories.find_id(registry_of(call), name_of(call))
    gone, failures = await ecr.images.delete(repository_id, _read_ids(call.params["imageIds"]))
    return {"imageIds": [_render_id(one) for one in gone], "failures": _render_failures(failures)}


async def put_image(ecr: Registry, call: Call) -> Result:
    params = call.params
    text = params["imageManifest"]
    digest, tag, media_type = _read_digest(params), _read_tag(params), _read_media_type(params)
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    try:
        put = await ecr.push.put(
            repository,
            text.encode(),
            media_type,
            tags=() if tag is None else (tag,),
            digest=digest,
            refuse_same=True,
        )
    except MediaTypeMissing as error:
        where = "imageManifestMediaType"
        refuse(where, "image manifest mediatype not provided in manifest or parameter", error)
    except ManifestInvalid as error:
        malformed = isinstance(error.__cause__, NotJson)
        refuse("ImageManifest", "Invalid JSON syntax" if malformed else error.message, error)
    except DigestInvalid as error:
        raise ManifestDigestMismatch(repository.registry, repository.name, digest or "") from error
    return {"image": _render_image(call, ImageId(put.digest, tag), text, put.manifest.media_type)}


# -- reading


def _read_ids(given: Iterable[Mapping[str, str]]) -> list[ImageId]:
    return [ImageId(one.get("imageDigest"), one.get("imageTag")) for one in given]


def _read_filter(params: Mapping[str, Any]) -> tuple[bool | None, bool]:
    """(with tags, without, or either; whether active images are wanted at all)."""
    wanted = params.get("filter", {})
    return _TAGGED[wanted.get("tagStatus", "ANY")], wanted.get("imageStatus", "ACTIVE") in _LISTED_STATUSES


def _read_digest(params: Mapping[str, Any]) -> Digest | None:
    text = params.get("imageDigest")
    if text is None:
        return None
    try:
        return parse_digest(text)
    except DigestMalformed as error:
        refuse("imageDigest", str(error), error)


def _read_tag(params: Mapping[str, Any]) -> Tag | None:
    text = params.get("imageTag")
    if text is None:
        return None
    try:
        return parse_tag(text)
    except TagMalformed as error:
        refuse("imageTag", f"must satisfy regular expression '{TAG_PATTERN}'", error)


def _read_media_type(params: Mapping[str, Any]) -> str | None:
    text: str | None = params.get("imageManifestMediaType")
    if text and _MEDIA_TYPE.match(text) is None:
        refuse("imageManifestMediaType", "Member must be a media type")
    return text or None


# -- rendering


def _render_id(image: ImageId) -> dict[str, str]:
    rendered = {}
    if image.digest is not None:
        rendered["imageDigest"] = image.digest
    if image.tag is not None:
        rendered["imageTag"] = image.tag
    return rendered


def _render_failures(failures: Iterable[Failure]) -> list[Result]:
    return [
        {"imageId": _render_id(one.image), "failureCode": one.reason.value, "failureReason": one.sentence}
        for one in failures
    ]


def _render_image(call: Call, image: ImageId, manifest: str, media_type: str) -> Result:
    return {
        "registryId": registry_of(call).account,
        "repositoryName": name_of(call),
        "imageId": _render_id(image),
        "imageManifest": manifest,
        "imageManifestMediaType": media_type,
    }


def _render_detail(repository: Repository, image: Image) -> Result:
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageTags": list(image.tags) or None,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_type,
        "lastRecordedPullTime": image.pulled_at,
        "subjectManifestDigest": image.subject,
        "imageStatus": "ACTIVE",
    }


def _render_referrer(referrer: Referrer) -> Result:
    return {
        "digest": referrer.digest,
        "mediaType": referrer.media_type,
        **({"artifactType": referrer.artifact_type} if referrer.artifact_type else {}),
        "size": referrer.size,
        **({"annotations": referrer.annotations} if referrer.annotations else {}),
        "artifactStatus": "ACTIVE",
    }
