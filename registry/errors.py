"""What can go wrong with images, and how each dialect says it.

A domain error carries its message; its row in TABLE gives the HTTP status and code of OCI Distribution ("Error Codes")
and the exception of the ECR API. `fields` are further members of that exception, by their ECR names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.names import RegistryId


class RegistryError(Exception):
    """Base of what TABLE covers."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class NameInvalid(RegistryError): ...


class ParameterInvalid(RegistryError): ...


class RepositoryNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str) -> None:
        super().__init__(
            f"The repository with name '{name}' does not exist in the registry with id '{registry.account}'"
        )


class RepositoryAlreadyExists(RegistryError):
    def __init__(self, registry: RegistryId, name: str) -> None:
        super().__init__(
            f"The repository with name '{name}' already exists in the registry with id '{registry.account}'"
        )


class RepositoryNotEmpty(RegistryError):
    def __init__(self, registry: RegistryId, name: str) -> None:
        super().__init__(
            f"The repository with name '{name}' in registry with id '{registry.account}' "
            "cannot be deleted because it still contains images"
        )


class ManifestUnknown(RegistryError):
    def __init__(self, message: str = "Requested image not found") -> None:
        super().__init__(message)


class ManifestInvalid(RegistryError): ...


class ManifestTooLarge(RegistryError): ...


class MediaTypeMissing(RegistryError): ...


class BlobUnknown(RegistryError): ...


class BlobReferenced(RegistryError): ...


class ManifestReferenced(RegistryError): ...


class LayerNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digest: str) -> None:
        super().__init__(
            f"The layer with digest '{digest}' does not exist within the repository with name '{name}' "
            f"in the registry with id '{registry.account}'"
        )


class LayerInaccessible(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digest: str) -> None:
        super().__init__(
            f"The layer with digest '{digest}' in the repository with name '{name}' in the registry with id "
            f"'{registry.account}' is not accessible because it is not associated with an image"
        )


class LayersMissing(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digests: Sequence[str]) -> None:
        super().__init__(
            f"Layers with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' "
            f"in the registry with id '{registry.account}' do not exist"
        )


class ImagesMissing(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digests: Sequence[str]) -> None:
        super().__init__(
            f"Images with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' "
            f"in the registry with id '{registry.account}' do not exist"
        )


class DigestInvalid(RegistryError): ...


class ManifestDigestMismatch(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digest: str) -> None:
        super().__init__(
            f"The image with digest '{digest}' in repository '{name}' and registry ID '{registry.account}' "
            "does not match the image digest that Amazon ECR has calculated."
        )


class SizeInvalid(RegistryError): ...


class UploadUnknown(RegistryError): ...


class UploadEmpty(RegistryError): ...


class PartTooSmall(RegistryError): ...


class LayerAlreadyExists(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digest: str) -> None:
        super().__init__(
            f"The layer with digest '{digest}' already exists in the repository with name '{name}' "
            f"in registry with id '{registry.account}'"
        )


class OffsetWrong(RegistryError):
    """Bytes were offered at another place than where the upload stands: at `received`."""

    def __init__(self, message: str, *, received: int) -> None:
        super().__init__(message)
        self.received = received


class RangeNotSatisfiable(RegistryError):
    """No byte of the range is in a blob of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the requested range is not in the blob's {size} bytes")
        self.size = size


class TagInvalid(RegistryError): ...


class TagImmutable(RegistryError):
    def __init__(self, name: str, tag: str) -> None:
        super().__init__(
            f"The image tag '{tag}' already exists in the '{name}' repository "
            "and cannot be overwritten because the tag is immutable."
        )


class ImageAlreadyExists(RegistryError):
    def __init__(self, registry: RegistryId, name: str, digest: str, tag: str | None) -> None:
        super().__init__(
            f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository with name '{name}' "
            f"in registry with id '{registry.account}'"
        )


class ImageNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str, *, digest: str | None, tag: str | None) -> None:
        super().__init__(
            f"The image with imageId {{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}} does not exist "
            f"within the repository with name '{name}' in the registry with id '{registry.account}'"
        )


class ResourceTagInvalid(RegistryError): ...


class TooManyResourceTags(RegistryError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            "The list of tags on the repository is over the limit. "
            f"The maximum number of tags that can be applied to a repository is {limit}."
        )


class TemplateNotFound(RegistryError):
    def __init__(self, registry: RegistryId, prefix: str) -> None:
        super().__init__(
            f"The repository creation template with prefix '{prefix}' does not exist "
            f"in the registry with id '{registry.account}'"
        )


class TemplateAlreadyExists(RegistryError):
    def __init__(self, registry: RegistryId, prefix: str) -> None:
        super().__init__(
            f"The repository creation template with prefix '{prefix}' already exists "
            f"in the registry with id '{registry.account}'"
        )


class RepositoryPolicyNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str) -> None:
        super().__init__(
            f"Repository policy does not exist for the repository with name '{name}' "
            f"in the registry with id '{registry.account}'"
        )


class RegistryPolicyNotFound(RegistryError):
    def __init__(self, registry: RegistryId) -> None:
        super().__init__(f"Registry policy does not exist in the registry with id '{registry.account}'")


class LifecyclePolicyNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str) -> None:
        super().__init__(
            f"Lifecycle policy does not exist for the repository with name '{name}' "
            f"in the registry with id '{registry.account}'"
        )


class LifecyclePolicyPreviewNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str) -> None:
        super().__init__(
            f"Lifecycle policy preview does not exist for the repository with name '{name}' "
            f"in the registry with id '{registry.account}'"
        )


class ScanNotFound(RegistryError):
    def __init__(self, registry: RegistryId, name: str, *, digest: str | None, tag: str | None) -> None:
        super().__init__(
            f"Image scan does not exist for the image with '{{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}}' "
            f"in the repository with name '{name}' in the registry with id '{registry.account}'"
        )


class PullThroughCacheRuleNotFound(RegistryError):
    def __init__(self, registry: RegistryId, prefix: str) -> None:
        super().__init__(
            f"The pull through cache rule with prefix '{prefix}' does not exist in the registry with id '{registry.account}'"
        )


class SigningConfigurationNotFound(RegistryError):
    def __init__(self, registry: RegistryId) -> None:
        super().__init__(f"Signing configuration does not exist in the registry with id '{registry.account}'")


class LimitExceeded(RegistryError): ...


class StorageFull(RegistryError): ...


class Unavailable(RegistryError): ...


class ReadOnly(RegistryError):
    """Nothing may be changed at the moment, for the `reason` that a seal or the settings give."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the registry is read-only at the moment: {reason}. Pulls work; push again later")


class Unsupported(RegistryError): ...


@dataclass(frozen=True, slots=True)
class Row:
    """How one error is said: HTTP status and code on `/v2/`, exception (and its status) on the ECR API."""

    status: int
    code: str
    exception: str
    exception_status: int = 400


TABLE: Mapping[type[RegistryError], Row] = {
    NameInvalid: Row(400, "NAME_INVALID", "InvalidParameterException"),
    ParameterInvalid: Row(400, "UNSUPPORTED", "InvalidParameterException"),
    RepositoryNotFound: Row(404, "NAME_UNKNOWN", "RepositoryNotFoundException"),
    RepositoryAlreadyExists: Row(409, "DENIED", "RepositoryAlreadyExistsException"),
    RepositoryNotEmpty: Row(409, "DENIED", "RepositoryNotEmptyException"),
    ManifestUnknown: Row(404, "MANIFEST_UNKNOWN", "ImageNotFoundException"),
    ManifestInvalid: Row(400, "MANIFEST_INVALID", "InvalidParameterException"),
    ManifestTooLarge: Row(413, "SIZE_INVALID", "InvalidParameterException"),
    MediaTypeMissing: Row(400, "MANIFEST_INVALID", "InvalidParameterException"),
    BlobUnknown: Row(404, "BLOB_UNKNOWN", "LayersNotFoundException"),
    BlobReferenced: Row(405, "UNSUPPORTED", "InvalidParameterException"),
    ManifestReferenced: Row(405, "UNSUPPORTED", "InvalidParameterException"),
    LayerNotFound: Row(404, "BLOB_UNKNOWN", "LayersNotFoundException"),
    LayerInaccessible: Row(404, "BLOB_UNKNOWN", "LayerInaccessibleException"),
    LayersMissing: Row(404, "MANIFEST_BLOB_UNKNOWN", "LayersNotFoundException"),
    ImagesMissing: Row(404, "MANIFEST_BLOB_UNKNOWN", "ReferencedImagesNotFoundException"),
    DigestInvalid: Row(400, "DIGEST_INVALID", "InvalidLayerException"),
    ManifestDigestMismatch: Row(400, "DIGEST_INVALID", "ImageDigestDoesNotMatchException"),
    SizeInvalid: Row(400, "SIZE_INVALID", "InvalidLayerPartException"),
    UploadUnknown: Row(404, "BLOB_UPLOAD_UNKNOWN", "UploadNotFoundException"),
    UploadEmpty: Row(400, "BLOB_UPLOAD_INVALID", "EmptyUploadException"),
    PartTooSmall: Row(400, "BLOB_UPLOAD_INVALID", "LayerPartTooSmallException"),
    LayerAlreadyExists: Row(409, "BLOB_UPLOAD_INVALID", "LayerAlreadyExistsException"),
    OffsetWrong: Row(416, "BLOB_UPLOAD_INVALID", "InvalidLayerPartException"),
    RangeNotSatisfiable: Row(416, "SIZE_INVALID", "InvalidParameterException"),
    TagInvalid: Row(400, "TAG_INVALID", "InvalidParameterException"),
    TagImmutable: Row(400, "TAG_INVALID", "ImageTagAlreadyExistsException"),
    ImageAlreadyExists: Row(409, "TAG_INVALID", "ImageAlreadyExistsException"),
    ImageNotFound: Row(404, "MANIFEST_UNKNOWN", "ImageNotFoundException"),
    ResourceTagInvalid: Row(400, "UNSUPPORTED", "InvalidTagParameterException"),
    TooManyResourceTags: Row(400, "UNSUPPORTED", "TooManyTagsException"),
    TemplateNotFound: Row(404, "UNSUPPORTED", "TemplateNotFoundException"),
    TemplateAlreadyExists: Row(409, "UNSUPPORTED", "TemplateAlreadyExistsException"),
    RepositoryPolicyNotFound: Row(404, "UNSUPPORTED", "RepositoryPolicyNotFoundException"),
    RegistryPolicyNotFound: Row(404, "UNSUPPORTED", "RegistryPolicyNotFoundException"),
    LifecyclePolicyNotFound: Row(404, "UNSUPPORTED", "LifecyclePolicyNotFoundException"),
    LifecyclePolicyPreviewNotFound: Row(404, "UNSUPPORTED", "LifecyclePolicyPreviewNotFoundException"),
    ScanNotFound: Row(404, "UNSUPPORTED", "ScanNotFoundException"),
    PullThroughCacheRuleNotFound: Row(404, "UNSUPPORTED", "PullThroughCacheRuleNotFoundException"),
    SigningConfigurationNotFound: Row(404, "UNSUPPORTED", "SigningConfigurationNotFoundException"),
    LimitExceeded: Row(400, "DENIED", "LimitExceededException"),
    StorageFull: Row(507, "SIZE_INVALID", "ServerException", 500),
    Unavailable: Row(503, "UNAVAILABLE", "ServerException", 500),
    ReadOnly: Row(503, "UNAVAILABLE", "ServerException", 500),
    Unsupported: Row(405, "UNSUPPORTED", "InvalidParameterException"),
}
