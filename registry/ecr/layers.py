"""Layers (BatchCheckLayerAvailability, InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, GetDownloadUrlForLayer)."""

import re
from collections.abc import Iterable

from base.digest import Digest, DigestMalformed, parse_digest
from registry import rows
from registry.ecr.call import Call, Registry, Result, name_of, registry_of
from registry.errors import (
    DigestInvalid,
    LayerAlreadyExists,
    LayerInaccessible,
    LayerNotFound,
    OffsetWrong,
    PartTooSmall,
    RepositoryNotFound,
    SizeInvalid,
    UploadEmpty,
    UploadUnknown,
)
from registry.links import LIFETIME
from registry.manifest import ManifestMalformed, parse_manifest
from registry.names import RegistryId, RepositoryName
from registry.rows import Upload

PART_SIZE = 10 * 1024 * 1024
"""Bytes of a part that a client is advised to send."""
MIN_PART = 5 * 1024 * 1024
"""Bytes of every part but the last at the least."""
_MAX_READ = 256 * 1024
"""Bytes of manifests that are read for the media types of layers."""
_DIGEST = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+\Z", re.ASCII)


class _Part:
    """The bytes of a part as a request's body."""

    def __init__(self, content: bytes) -> None:
        self._pieces = [content]
        self.length: int | None = len(content)

    async def read(self, size: int) -> list[bytes]:  # noqa: ARG002 - all of it is here
        pieces, self._pieces = self._pieces, []
        return pieces


async def batch_check_layer_availability(ecr: Registry, call: Call) -> Result:
    repository_id = await ecr.repositories.find_id(registry_of(call), name_of(call))
    wanted: list[str] = list(dict.fromkeys(call.params["layerDigests"]))
    right = [text for text in wanted if _DIGEST.match(text)]
    blobs = await rows.find_blobs(ecr.database, repository_id, right)
    types = await _media_types(ecr, repository_id, list(blobs))
    layers: list[Result] = []
    for text in right:
        blob = blobs.get(text)
        # who is told that a layer is there need not bring it: it has to stay for a while
        if blob is not None and await ecr.pull.renew(repository_id, blob):
            layer: Result = {"layerDigest": text, "layerAvailability": "AVAILABLE", "layerSize": blob.size}
            layers.append({**layer, "mediaType": types.get(text)})
        else:
            layers.append({"layerDigest": text, "layerAvailability": "UNAVAILABLE"})
    return {"layers": layers, "failures": [_layer_failure(text) for text in wanted if not _DIGEST.match(text)]}


async def initiate_layer_upload(ecr: Registry, call: Call) -> Result:
    registry, name = registry_of(call), name_of(call)
    repository_id = await ecr.repositories.find_id(registry, name)
    try:
        upload = await ecr.uploads.begin(repository_id, call.principal.unique_id)
    except UploadUnknown as error:  # it was deleted in between
        raise RepositoryNotFound(registry, name) from error
    return {"uploadId": upload.id, "partSize": PART_SIZE}


async def upload_layer_part(ecr: Registry, call: Call) -> Result:
    first, last, content = call.params["partFirstByte"], call.params["partLastByte"], call.params["layerPartBlob"]
    registry, name, upload = await _find_upload(ecr, call)
    if last - first + 1 != len(content) or not content:
        raise _wrong_part(
            call,
            upload.received,
            f"Size of the layer part is {len(content)} instead of {last - first + 1}",
        )
    try:
        upload = await ecr.uploads.receive(upload, _Part(content), offset=first)
    except OffsetWrong as error:
        text = f"First byte of the layer part is {first} instead of {error.received}"
        raise _wrong_part(call, error.received, text) from error
    except UploadUnknown as error:
        raise _unknown(registry, name, call.params["uploadId"]) from error
    return {
        "registryId": registry.account,
        "repositoryName": name,
        "uploadId": upload.id,
        "lastByteReceived": upload.received - 1,
    }


async def complete_layer_upload(ecr: Registry, call: Call) -> Result:
    registry, name, upload = await _find_upload(ecr, call)
    if upload.received == 0:
        raise UploadEmpty(
            f"The upload with id '{upload.id}' in the repository with name '{name}' in registry with id "
            f"'{registry.account}' cannot be completed because it does not have any parts"
        )
    if upload.smallest_part < MIN_PART:
        raise PartTooSmall("All layer parts except the last part should be at least 5MB")
    try:
        proven = await ecr.uploads.identify(upload, list(_digests(call.params["layerDigests"])))
        if proven is None:
            raise DigestInvalid("None of the provided layer digests match the calculated layer digest")
        digest = Digest(proven.digest)
        blob = await rows.find_blob(ecr.database, upload.repository_id, digest)
        if blob is not None and await ecr.pull.renew(upload.repository_id, blob):
            await ecr.uploads.cancel(upload)
            raise LayerAlreadyExists(registry, name, digest)
        await ecr.uploads.finish(proven, digest)
    except UploadUnknown as error:
        raise _unknown(registry, name, upload.id) from error
    except OffsetWrong as error:
        raise DigestInvalid("The upload was changed by another request while it was being completed") from error
    return {"registryId": registry.account, "repositoryName": name, "uploadId": upload.id, "layerDigest": digest}


async def get_download_url_for_layer(ecr: Registry, call: Call) -> Result:
    registry, name, text = registry_of(call), name_of(call), call.params["layerDigest"]
    repository_id = await ecr.repositories.find_id(registry, name)
    blob = await rows.find_blob(ecr.database, repository_id, Digest(text))
    if blob is None:
        raise LayerNotFound(registry, name, text)
    if not await rows.is_referenced(ecr.database, repository_id, blob.digest):
        raise LayerInaccessible(registry, name, text)
    url = await ecr.pull.url(blob, seconds=LIFETIME, client=call.source_ip)
    if url is None:
        url = ecr.endpoint(registry, call) + ecr.links.make(repository_id, blob.digest)
    return {"downloadUrl": url, "layerDigest": blob.digest}


async def _find_upload(ecr: Registry, call: Call) -> tuple[RegistryId, RepositoryName, Upload]:
    """Raises RepositoryNotFound, UploadUnknown."""
    registry, name = registry_of(call), name_of(call)
    await ecr.repositories.find_id(registry, name)
    identifier = call.params["uploadId"]
    try:
        return registry, name, await ecr.uploads.find(registry, name, call.principal.unique_id, identifier)
    except UploadUnknown as error:
        raise _unknown(registry, name, identifier) from error


def _unknown(registry: RegistryId, name: str, identifier: str) -> UploadUnknown:
    return UploadUnknown(
        f"The upload with id '{identifier}' in the repository with name '{name}' in registry with id "
        f"'{registry.account}' does not exist"
    )


def _wrong_part(call: Call, received: int, message: str) -> SizeInvalid:
    return SizeInvalid(
        message,
        registryId=registry_of(call).account,
        repositoryName=name_of(call),
        uploadId=call.params["uploadId"],
        lastValidByteReceived=max(0, received - 1),
    )


def _digests(texts: Iterable[str]) -> Iterable[Digest]:
    """Those that can be the digest of a layer here; clients of old also send others."""
    for text in texts:
        try:
            yield parse_digest(text)
        except DigestMalformed:
            continue


def _layer_failure(text: str) -> Result:
    if not text:
        return {
            "layerDigest": text,
            "failureCode": "MissingLayerDigest",
            "failureReason": "Invalid request parameters: layer digest cannot be null",
        }
    return {
        "layerDigest": text,
        "failureCode": "InvalidLayerDigest",
        "failureReason": "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
    }


async def _media_types(ecr: Registry, repository_id: int, digests: list[str]) -> dict[str, str]:
    """What the images say that these layers are; nothing of a layer that no image names."""
    named = await rows.find_referencing(ecr.database, repository_id, digests)
    manifests = list(dict.fromkeys(named.values()))
    if await rows.measure_contents(ecr.database, repository_id, manifests) > _MAX_READ:
        return {}
    contents = await rows.find_contents(ecr.database, repository_id, manifests)
    types: dict[str, str] = {}
    for manifest in contents.values():
        try:
            parsed = parse_manifest(manifest.content, manifest.media_type)
        except ManifestMalformed:  # kept by a release that read it otherwise
            continue
        types.update({one.digest: one.media_type for one in parsed.references if one.media_type})
    return types
