"""A server of ECR's habits (a repository is not made by a push), boto3 on one dialect and plain HTTP on the other."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, INDEX, LAYER, Client, descriptor, digest_of

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

ACCOUNT = "123456789012"
STRANGER = "210987654321"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings={"storage.reserve": "0"}) as running:
        yield running


@pytest.fixture(scope="module")
def ecr(server: LiveServer) -> "ECRClient":
    return server.client("ecr")


@pytest.fixture(scope="module")
def unchecked(server: LiveServer) -> "ECRClient":
    """A client that sends what the model forbids."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return server.client("ecr", config=config)


@pytest.fixture
def name(ecr: "ECRClient") -> str:
    """A new repository."""
    chosen = f"team/{uuid.uuid4().hex[:12]}"
    ecr.create_repository(repositoryName=chosen)
    return chosen


@pytest.fixture
def push(root: Client, name: str) -> Callable[..., str]:
    """Pushes an image over /v2/ and returns its digest; the same `seed`, the same image."""

    def image(*tags: str, seed: bytes = b"a layer") -> str:
        digest = root.push_image(name, layers=[seed])
        for tag in tags:
            root.push_manifest(name, root.image(name, [seed]), tag)
        return digest

    return image


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    """(code, message) of the exception that the call has to raise, with status 400."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return response["Error"]["Code"], response["Error"]["Message"]


def invalid(parameter: str, constraint: str) -> tuple[str, str]:
    return (
        "InvalidParameterException",
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'",
    )


def not_there(name: str, account: str = ACCOUNT) -> tuple[str, str]:
    message = f"The repository with name '{name}' does not exist in the registry with id '{account}'"
    return "RepositoryNotFoundException", message


def manifest_of(*layers: bytes, config: bytes = b"{}", media_type: str | None = IMAGE, **members: Any) -> str:
    document = {
        "schemaVersion": 2,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer) for layer in layers],
        **({"mediaType": media_type} if media_type else {}),
        **members,
    }
    return json.dumps(document)


def index_of(*manifests: str) -> str:
    children = [descriptor(IMAGE, manifest.encode()) for manifest in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children})


def upload(ecr: "ECRClient", name: str, data: bytes, *, part: int = 5 * 1024 * 1024) -> str:
    """Upload a layer through the API, in parts; returns the upload's id, not yet completed."""
    begun = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    for first in range(0, len(data), part):
        piece = data[first : first + part]
        ecr.upload_layer_part(
            repositoryName=name,
            uploadId=begun,
            partFirstByte=first,
            partLastByte=first + len(piece) - 1,
            layerPartBlob=piece,
        )
    return begun


def put_layer(ecr: "ECRClient", name: str, data: bytes) -> str:
    """Upload a layer through the API, whole."""
    digest = digest_of(data)
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload(ecr, name, data), layerDigests=[digest])
    return digest
