"""The AWS CLI, both lines of it, and boto3: with an endpoint and keys, nothing else."""

import hashlib
import json
import shlex
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import aws_cli
from tests.acceptance.images import (
    DOCKER_MANIFEST,
    IMAGE_INDEX,
    IMAGE_MANIFEST,
    Image,
    archive,
    describe,
    image,
    noise,
    sha256,
)
from tests.acceptance.programs import Program, Repository, described
from tests.live import LiveServer

MEGABYTE = 1_000_000


def asked(aws: Program, *arguments: str) -> Any:
    """What a call of `aws ecr` answers, parsed; None when it answers nothing."""
    printed = aws("ecr", *arguments, "--output", "json")
    return json.loads(printed) if printed.strip() else None


def upload(ecr: Any, repository: Repository, content: bytes) -> str:
    """A layer by the ECR API, in parts of the size that it asks for; gives its digest."""
    begun = ecr.initiate_layer_upload(repositoryName=repository.name)
    for first in range(0, len(content), begun["partSize"]):
        part = content[first : first + begun["partSize"]]
        received = ecr.upload_layer_part(
            repositoryName=repository.name,
            uploadId=begun["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
        assert received["lastByteReceived"] == first + len(part) - 1
    done = ecr.complete_layer_upload(
        repositoryName=repository.name, uploadId=begun["uploadId"], layerDigests=[sha256(content)]
    )
    return done["layerDigest"]


def put(ecr: Any, repository: Repository, item: Image, tag: str) -> str:
    """A whole image by the ECR API; gives its digest."""
    for digest, content in item.blobs.items():
        assert upload(ecr, repository, content) == digest
    answer = ecr.put_image(repositoryName=repository.name, imageManifest=item.manifest.decode(), imageTag=tag)
    return answer["image"]["imageId"]["imageDigest"]


def moment(printed: str | float) -> datetime:
    """A time as the CLI prints it: v1 in seconds since the epoch, v2 in ISO 8601."""
    return datetime.fromisoformat(printed) if isinstance(printed, str) else datetime.fromtimestamp(printed, UTC)


def small(says: str) -> Image:
    return image([archive({"says": says.encode()})])


# Repositories


def test_a_repository_is_created_described_and_deleted(aws: Program, server: LiveServer) -> None:
    created = asked(aws, "create-repository", "--repository-name", "cli/first")["repository"]
    assert created["repositoryArn"] == "arn:aws:ecr:us-east-1:123456789012:repository/cli/first"
    assert created["repositoryUri"] == f"{server.address}/cli/first"
    assert created["imageTagMutability"] == "MUTABLE"
    (found,) = asked(aws, "describe-repositories", "--repository-names", "cli/first")["repositories"]
    assert found == created
    assert asked(aws, "delete-repository", "--repository-name", "cli/first")["repository"] == created
    assert "RepositoryNotFoundException" in aws.fails("ecr", "describe-repositories", "--repository-names", "cli/first")


def test_a_repository_that_exists_is_not_created_again(aws: Program, repository: Repository) -> None:
    printed = aws.fails("ecr", "create-repository", "--repository-name", repository.name)
    assert "An error occurred (RepositoryAlreadyExistsException) when calling the CreateRepository operation" in printed
    sentence = f"The repository with name '{repository.name}' already exists in the registry with id '123456789012'"
    assert printed.endswith(f": {sentence}\n")


def test_a_name_that_ecr_does_not_allow_is_refused(aws: Program) -> None:
    assert "(InvalidParameterException)" in aws.fails("ecr", "create-repository", "--repository-name", "Upper/Case")


def test_a_repository_with_images_is_deleted_only_by_force(aws: Program, repository: Repository, ecr: Any) -> None:
    put(ecr, repository, small("in the way"), "v1")
    assert "(RepositoryNotEmptyException)" in aws.fails(
        "ecr", "delete-repository", "--repository-name", repository.name
    )
    asked(aws, "delete-repository", "--repository-name", repository.name, "--force")
    assert "(RepositoryNotFoundException)" in aws.fails("ecr", "list-images", "--repository-name", repository.name)


def test_every_repository_is_listed_page_by_page(aws: Program, new_repository: Callable[..., Repository]) -> None:
    made = {new_repository().name for _ in range(5)}
    found = [
        entry["repositoryName"] for entry in asked(aws, "describe-repositories", "--page-size", "2")["repositories"]
    ]
    assert made <= set(found)
    assert len(found) == len(set(found))


def test_tags_are_added_listed_and_removed(aws: Program, repository: Repository, ecr: Any) -> None:
    (found,) = ecr.describe_repositories(repositoryNames=[repository.name])["repositories"]
    arn = found["repositoryArn"]
    asked(aws, "tag-resource", "--resource-arn", arn, "--tags", "Key=team,Value=red", "Key=stage,Value=test")
    asked(aws, "untag-resource", "--resource-arn", arn, "--tag-keys", "stage")
    assert asked(aws, "list-tags-for-resource", "--resource-arn", arn)["tags"] == [{"Key": "team", "Value": "red"}]


def test_the_mutability_of_tags_is_changed(aws: Program, repository: Repository, ecr: Any) -> None:
    put(ecr, repository, small("first"), "v1")
    arguments = ("put-image-tag-mutability", "--repository-name", repository.name, "--image-tag-mutability")
    assert asked(aws, *arguments, "IMMUTABLE")["imageTagMutability"] == "IMMUTABLE"
    with pytest.raises(ecr.exceptions.ImageTagAlreadyExistsException):
        put(ecr, repository, small("second"), "v1")
    asked(aws, *arguments, "MUTABLE")
    assert put(ecr, repository, small("third"), "v1") == small("third").digest


def test_the_registry_describes_itself(aws: Program) -> None:
    assert asked(aws, "describe-registry")["registryId"] == "123456789012"


# Logging in


def test_the_old_get_login_prints_a_docker_command_that_logs_in(
    stranger: Program, server: LiveServer, scratch: Path
) -> None:
    printed = aws_cli("v1", server, scratch)("ecr", "get-login", "--no-include-email")
    docker, *words = shlex.split(printed)
    assert docker == "docker"
    assert words[-1] == server.url
    assert "Login Succeeded" in stranger(*words)


def test_an_authorization_token_lasts_twelve_hours(aws: Program, server: LiveServer) -> None:
    (data,) = asked(aws, "get-authorization-token")["authorizationData"]
    assert timedelta(hours=11, minutes=55) < moment(data["expiresAt"]) - datetime.now(UTC) <= timedelta(hours=12)
    assert data["proxyEndpoint"] == server.url


def test_a_wrong_secret_is_refused_with_the_words_of_aws(aws: Program) -> None:
    printed = aws.using(AWS_SECRET_ACCESS_KEY="wrong").fails("ecr", "describe-repositories")
    assert "The request signature we calculated does not match the signature you provided" in printed


def test_an_unknown_key_is_refused_with_the_words_of_aws(aws: Program) -> None:
    printed = aws.using(AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE").fails("ecr", "describe-repositories")
    assert "(UnrecognizedClientException)" in printed
    assert "The security token included in the request is invalid" in printed


# Images that docker pushed


@pytest.mark.parametrize("docker_path", ["debian"], indirect=True)
def test_what_docker_pushed_is_described(
    aws: Program, docker: Program, build: Callable[..., str], repository: Repository
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    build(repository.at("v1"), says="described", files={"content": noise(MEGABYTE, repository.name)})
    docker("tag", repository.at("v1"), repository.at("stable"))
    docker("push", repository.at("v1"))
    docker("push", repository.at("stable"))
    (name,) = json.loads(docker("inspect", "--format", "{{json .RepoDigests}}", repository.at("v1")))
    digest = name.partition("@")[2]

    listed = asked(aws, "list-images", "--repository-name", repository.name)["imageIds"]
    assert sorted(listed, key=lambda entry: entry["imageTag"]) == [
        {"imageDigest": digest, "imageTag": "stable"},
        {"imageDigest": digest, "imageTag": "v1"},
    ]
    (shown,) = asked(aws, "describe-images", "--repository-name", repository.name)["imageDetails"]
    assert shown["imageDigest"] == digest
    assert sorted(shown["imageTags"]) == ["stable", "v1"]
    assert shown["imageManifestMediaType"] == DOCKER_MANIFEST
    assert shown["imageSizeInBytes"] > MEGABYTE
    assert before <= moment(shown["imagePushedAt"]) <= datetime.now(UTC) + timedelta(seconds=5)


def test_a_manifest_is_got_and_put_back_under_another_tag(aws: Program, repository: Repository, ecr: Any) -> None:
    """How AWS documents re-tagging an image."""
    digest = put(ecr, repository, small("retagged"), "v1")
    manifest = aws(
        "ecr", "batch-get-image", "--repository-name", repository.name, "--image-ids", "imageTag=v1",
        "--query", "images[0].imageManifest", "--output", "text",
    ).removesuffix("\n")  # fmt: skip
    answer = asked(
        aws, "put-image", "--repository-name", repository.name, "--image-tag", "v2", "--image-manifest", manifest
    )
    assert answer["image"]["imageId"] == {"imageDigest": digest, "imageTag": "v2"}
    assert sorted(described(ecr, repository, imageDigest=digest)["imageTags"]) == ["v1", "v2"]
    assert "(ImageAlreadyExistsException)" in aws.fails(
        "ecr", "put-image", "--repository-name", repository.name, "--image-tag", "v2", "--image-manifest", manifest
    )


def test_deleting_the_last_tag_deletes_the_image(aws: Program, repository: Repository, ecr: Any) -> None:
    digest = put(ecr, repository, small("short-lived"), "v1")
    arguments = ("batch-delete-image", "--repository-name", repository.name, "--image-ids", "imageTag=v1")
    answer = asked(aws, *arguments)
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert answer["failures"] == []
    assert asked(aws, "list-images", "--repository-name", repository.name)["imageIds"] == []
    (failure,) = asked(aws, *arguments)["failures"]
    assert (failure["failureCode"], failure["failureReason"]) == ("ImageNotFound", "Requested image not found")


def test_the_link_of_a_layer_serves_its_bytes_without_credentials(
    aws: Program, repository: Repository, ecr: Any
) -> None:
    content = small("by link")
    put(ecr, repository, content, "v1")
    digest = content.document["layers"][0]["digest"]
    answer = asked(aws, "get-download-url-for-layer", "--repository-name", repository.name, "--layer-digest", digest)
    assert answer["layerDigest"] == digest
    with urllib.request.urlopen(answer["downloadUrl"], timeout=30) as response:
        assert response.read() == content.blobs[digest]


def test_a_layer_is_uploaded_by_the_command_line(aws: Program, repository: Repository, tmp_path: Path) -> None:
    content = noise(MEGABYTE, repository.name)
    (tmp_path / "part").write_bytes(content)
    name = ("--repository-name", repository.name)
    begun = asked(aws, "initiate-layer-upload", *name)["uploadId"]
    asked(
        aws, "upload-layer-part", *name, "--upload-id", begun, "--part-first-byte", "0",
        "--part-last-byte", str(len(content) - 1), "--layer-part-blob", f"fileb://{tmp_path / 'part'}",
    )  # fmt: skip
    digest = sha256(content)
    done = asked(aws, "complete-layer-upload", *name, "--upload-id", begun, "--layer-digests", digest)
    assert done["layerDigest"] == digest
    (layer,) = asked(aws, "batch-check-layer-availability", *name, "--layer-digests", digest)["layers"]
    assert (layer["layerAvailability"], layer["layerSize"]) == ("AVAILABLE", len(content))


# Images that boto3 pushed


@pytest.fixture
def printing(busybox: Path, repository: Repository) -> Image:
    """An image of two parts and a bit that prints a line when it is run."""
    big = archive({"content": noise(21 * MEGABYTE, repository.name), "says": b"pushed by the API\n"})
    return image([archive({}, programs=busybox), big], command=["/bin/cat", "/says"])


def test_an_image_pushed_wholly_by_the_api_is_pulled_and_run_by_docker(
    docker: Program, repository: Repository, ecr: Any, printing: Image
) -> None:
    digest = put(ecr, repository, printing, "v1")
    assert digest == printing.digest
    docker("pull", repository.at("v1"))
    assert docker("run", "--rm", "--network", "none", repository.at("v1")) == "pushed by the API\n"
    content = docker("run", "--rm", "--network", "none", repository.at("v1"), "/bin/sha256sum", "/content")
    assert content.split()[0] == hashlib.sha256(noise(21 * MEGABYTE, repository.name)).hexdigest()
    docker("rmi", "--force", repository.at("v1"))


def test_an_image_pushed_by_the_api_is_described_as_it_is(repository: Repository, ecr: Any) -> None:
    item = small("described")
    put(ecr, repository, item, "v1")
    shown = described(ecr, repository, imageTag="v1")
    stored = sum(len(content) for content in item.blobs.values())
    assert stored <= shown["imageSizeInBytes"] <= stored + len(item.manifest)
    assert shown["imageManifestMediaType"] == IMAGE_MANIFEST


def test_an_index_pushed_by_the_api_keeps_its_children(repository: Repository, ecr: Any) -> None:
    children = [small("one"), small("two")]
    for number, child in enumerate(children):
        put(ecr, repository, child, f"child-{number}")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_INDEX,
            "manifests": [describe(IMAGE_MANIFEST, child.manifest) for child in children],
        }
    )
    ecr.put_image(repositoryName=repository.name, imageManifest=index, imageTag="all")
    answer = ecr.batch_delete_image(repositoryName=repository.name, imageIds=[{"imageDigest": children[0].digest}])
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageReferencedByManifestList"]
    assert described(ecr, repository, imageTag="all")["imageManifestMediaType"] == IMAGE_INDEX


def test_an_image_whose_layers_are_missing_is_refused(repository: Repository, ecr: Any) -> None:
    with pytest.raises(ecr.exceptions.LayersNotFoundException, match=r"Layers with digests '\[sha256:"):
        ecr.put_image(repositoryName=repository.name, imageManifest=small("hollow").manifest.decode(), imageTag="v1")


def test_a_region_holds_its_own_repositories(server: LiveServer, repository: Repository) -> None:
    elsewhere = server.client("ecr", region="eu-west-1")
    with pytest.raises(elsewhere.exceptions.RepositoryNotFoundException):
        elsewhere.describe_repositories(repositoryNames=[repository.name])
    made = elsewhere.create_repository(repositoryName=repository.name)["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:eu-west-1:123456789012:repository/{repository.name}"
    assert made["repositoryUri"] == f"123456789012.dkr.ecr.eu-west-1.{server.address}/{repository.name}"
