"""Asking the server whether a principal may do something, by requests that change nothing.

The server decides before it looks at anything else. So a request that names an image, layer or upload that is not there
is refused with AccessDeniedException, or with the error that says that it is not there: then it was allowed. What
decides is the server itself, with every policy that there is: the principal's, the repository's, the organization's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from pytest_longshore.errors import LongshoreError

PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""What `docker pull` needs of a repository, beside ecr:GetAuthorizationToken to log in."""
PUSH: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
)
"""What `docker push` needs of a repository, beside ecr:GetAuthorizationToken to log in."""

_NO_DIGEST: Final = "sha256:" + "0" * 64
_NO_UPLOAD: Final = "00000000-0000-0000-0000-000000000000"
_ARN: Final = re.compile(r"arn:aws:ecr:([a-z0-9-]+):([0-9]{12}):repository/(.+)")
_NAME: Final = re.compile(r"(?:[a-z0-9]+(?:[._-]+[a-z0-9]+)*/)*[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_ALLOWED: Final = frozenset(
    {
        "ImageNotFoundException",
        "InvalidLayerPartException",
        "InvalidParameterException",
        "LayersNotFoundException",
        "RepositoryNotFoundException",
        "RepositoryPolicyNotFoundException",
        "UploadNotFoundException",
    }
)
"""What an operation answers to whom it was allowed."""


@dataclass(frozen=True)
class Repository:
    """Named by its ARN; it need not exist."""

    region: str
    account: str
    name: str


def read_repository(arn: str) -> Repository | None:
    """None for what is no repository's ARN. Raises LongshoreError for one that no repository can have."""
    __tracebackhide__ = True
    parts = _ARN.fullmatch(arn)
    if parts is None:
        return None
    if not _NAME.fullmatch(parts[3]):
        raise LongshoreError(f"`{parts[3]}` is not the name of a repository: ask about one, not about a pattern")
    return Repository(*parts.groups())


def _layers(**more: Any) -> Callable[[Repository], dict[str, Any]]:
    return lambda repository: {"registryId": repository.account, "repositoryName": repository.name, **more}


_PROBES: Final[Mapping[str, tuple[str, Callable[[Repository], dict[str, Any]]]]] = {
    "BatchCheckLayerAvailability": ("batch_check_layer_availability", _layers(layerDigests=[_NO_DIGEST])),
    "BatchDeleteImage": ("batch_delete_image", _layers(imageIds=[{"imageDigest": _NO_DIGEST}])),
    "BatchGetImage": ("batch_get_image", _layers(imageIds=[{"imageDigest": _NO_DIGEST}])),
    "CompleteLayerUpload": ("complete_layer_upload", _layers(uploadId=_NO_UPLOAD, layerDigests=[_NO_DIGEST])),
    "DescribeImages": ("describe_images", _layers(imageIds=[{"imageDigest": _NO_DIGEST}])),
    "DescribeRepositories": (
        "describe_repositories",
        lambda repository: {"registryId": repository.account, "repositoryNames": [repository.name]},
    ),
    "GetDownloadUrlForLayer": ("get_download_url_for_layer", _layers(layerDigest=_NO_DIGEST)),
    "GetRepositoryPolicy": ("get_repository_policy", _layers()),
    "InitiateLayerUpload": ("initiate_layer_upload", _layers()),
    "ListImages": ("list_images", _layers(maxResults=1)),
    "ListTagsForResource": (
        "list_tags_for_resource",
        lambda repository: {
            "resourceArn": f"arn:aws:ecr:{repository.region}:{repository.account}:repository/{repository.name}"
        },
    ),
    "PutImage": ("put_image", _layers(imageManifest="{}")),
    "UploadLayerPart": (
        "upload_layer_part",
        _layers(uploadId=_NO_UPLOAD, partFirstByte=0, partLastByte=0, layerPartBlob=b"\0"),
    ),
}


def is_probed(action: str, repository: Repository | None) -> bool:
    """Whether the action can be asked about by a request."""
    service, _, name = action.partition(":")
    return service == "ecr" and (name == "GetAuthorizationToken" if repository is None else name in _PROBES)


def probe(client: Callable[[str], Any], action: str, repository: Repository | None) -> str:
    """The sentence of the refusal, or nothing where it was allowed. `client` is given a region.

    Raises whatever else the server answers.
    """
    __tracebackhide__ = True
    name = action.partition(":")[2]
    if repository is None:
        call, params = client("").get_authorization_token, {}
    else:
        operation, make = _PROBES[name]
        call, params = getattr(client(repository.region), operation), make(repository)
    try:
        call(**params)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "AccessDeniedException":
            return str(error.response["Error"]["Message"])
        if code not in _ALLOWED:
            raise
    return ""
