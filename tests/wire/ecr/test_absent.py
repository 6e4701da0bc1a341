"""What there never is here, asked for by tools: the answers of ECR where there is none."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.ecr.conftest import ACCOUNT, not_there, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_ecr import ECRClient

ABOUT_IMAGES = ["describe_image_scan_findings", "describe_image_replication_status", "describe_image_signing_status"]


def test_no_repository_has_a_lifecycle_policy(ecr: "ECRClient", name: str) -> None:
    where = f"for the repository with name '{name}' in the registry with id '{ACCOUNT}'"
    assert refusal(ecr.get_lifecycle_policy, repositoryName=name) == (
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist {where}",
    )
    code, _ = refusal(ecr.get_lifecycle_policy_preview, repositoryName=name)
    assert code == "LifecyclePolicyPreviewNotFoundException"
    for call in (ecr.get_lifecycle_policy, ecr.get_lifecycle_policy_preview):
        assert refusal(call, repositoryName="not/there") == not_there("not/there")


def test_no_image_is_scanned_replicated_or_signed(ecr: "ECRClient", name: str, push: "Callable[..., str]") -> None:
    digest = push("v1")
    image: Any = {"imageTag": "v1"}
    assert refusal(ecr.describe_image_scan_findings, repositoryName=name, imageId=image) == (
        "ScanNotFoundException",
        "Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' in the repository with name "
        f"'{name}' in the registry with id '{ACCOUNT}'",
    )
    replicated = ecr.describe_image_replication_status(repositoryName=name, imageId=image)
    signed = ecr.describe_image_signing_status(repositoryName=name, imageId={"imageDigest": digest})
    assert replicated["replicationStatuses"] == signed["signingStatuses"] == []
    assert replicated["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert signed["imageId"] == {"imageDigest": digest}


@pytest.mark.parametrize("operation", ABOUT_IMAGES)
def test_an_image_that_is_not_there_is_not_found(ecr: "ECRClient", name: str, operation: str) -> None:
    code, message = refusal(getattr(ecr, operation), repositoryName=name, imageId={"imageTag": "none"})
    assert code == "ImageNotFoundException"
    assert "imageTag:'none'" in message
    assert refusal(getattr(ecr, operation), repositoryName=name, imageId={})[0] == "InvalidParameterException"
    assert refusal(getattr(ecr, operation), repositoryName="not/there", imageId={"imageTag": "t"}) == not_there(
        "not/there"
    )


def test_no_registry_scans_caches_or_signs(ecr: "ECRClient") -> None:
    told = ecr.get_registry_scanning_configuration()
    assert told["registryId"] == ACCOUNT
    assert told["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}
    assert ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"] == []
    assert refusal(ecr.describe_pull_through_cache_rules, ecrRepositoryPrefixes=["quay"])[0] == (
        "PullThroughCacheRuleNotFoundException"
    )
    assert refusal(ecr.get_signing_configuration)[0] == "SigningConfigurationNotFoundException"
    assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == []


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("put_lifecycle_policy", {"repositoryName": "a1", "lifecyclePolicyText": "{}" + " " * 100}),
        ("start_image_scan", {"repositoryName": "a1", "imageId": {"imageTag": "t"}}),
        ("put_replication_configuration", {"replicationConfiguration": {"rules": []}}),
        ("create_pull_through_cache_rule", {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}),
    ],
)
def test_what_would_make_one_says_that_it_cannot(ecr: "ECRClient", operation: str, params: dict[str, Any]) -> None:
    code, message = refusal(getattr(ecr, operation), **params)
    assert code == "UnknownOperationException"
    assert message.endswith(" of ecr is not implemented by this server.")
