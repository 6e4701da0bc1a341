"""Repositories and their tags, by boto3."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.ecr.conftest import ACCOUNT, STRANGER, invalid, not_there, refusal

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient


def test_a_new_repository_is_shown_as_ecr_shows_it(ecr: "ECRClient", server: LiveServer) -> None:
    made = ecr.create_repository(repositoryName="shown/as.ecr_does")["repository"]
    assert datetime.now(UTC) - made["createdAt"] < timedelta(minutes=1)
    assert made == {
        "repositoryArn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/shown/as.ecr_does",
        "registryId": ACCOUNT,
        "repositoryName": "shown/as.ecr_does",
        "repositoryUri": f"{server.address}/shown/as.ecr_does",
        "createdAt": made["createdAt"],
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }
    assert ecr.describe_repositories(repositoryNames=["shown/as.ecr_does"])["repositories"] == [made]
    assert ecr.delete_repository(repositoryName="shown/as.ecr_does")["repository"] == made
    assert refusal(ecr.describe_repositories, repositoryNames=["shown/as.ecr_does"]) == not_there("shown/as.ecr_does")


def test_a_name_is_taken_once(ecr: "ECRClient", name: str) -> None:
    expected = f"The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'"
    assert refusal(ecr.create_repository, repositoryName=name) == ("RepositoryAlreadyExistsException", expected)


@pytest.mark.parametrize("wrong", ["Upper", "a//b", "-a", "a" * 257, "a", "a/"])
def test_a_name_outside_the_grammar_is_refused(unchecked: "ECRClient", wrong: str) -> None:
    code, message = refusal(unchecked.create_repository, repositoryName=wrong)
    assert code == "InvalidParameterException"
    assert message.startswith("Invalid parameter at 'repositoryName' failed to satisfy constraint: '")


def test_what_is_asked_for_is_kept(ecr: "ECRClient") -> None:
    filters: list[Any] = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/8fca1f4e-3d8d-4b1c-9f0a-0d7a7c3d9e10"
    made = ecr.create_repository(
        repositoryName="settings/kept",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key},
        tags=[{"Key": "team", "Value": "café / ß"}],
    )["repository"]
    assert made["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert made["imageTagMutabilityExclusionFilters"] == filters
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    tags = ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "café / ß"}]


def test_kms_without_a_key_is_the_accounts_own(ecr: "ECRClient") -> None:
    made = ecr.create_repository(repositoryName="kms/default", encryptionConfiguration={"encryptionType": "KMS_DSSE"})[
        "repository"
    ]
    expected = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/ecr"
    assert made["encryptionConfiguration"] == {"encryptionType": "KMS_DSSE", "kmsKey": expected}


def test_a_key_without_kms_is_refused(ecr: "ECRClient") -> None:
    encryption: Any = {"encryptionType": "AES256", "kmsKey": "alias/mine"}
    code, message = refusal(ecr.create_repository, repositoryName="kms/wrong", encryptionConfiguration=encryption)
    assert code == "InvalidParameterException"
    assert "encryptionConfiguration" in message


def test_pages_of_repositories_are_a_partition(ecr: "ECRClient") -> None:
    made = {f"paged/{number:02}" for number in range(7)}
    for one in made:
        ecr.create_repository(repositoryName=one)
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 3}))
    assert all(len(page["repositories"]) == 3 for page in pages[:-1])
    names = [one["repositoryName"] for page in pages for one in page["repositories"]]
    assert names == sorted(set(names))
    assert made <= set(names)


def test_pages_and_names_exclude_each_other(ecr: "ECRClient", name: str) -> None:
    constraint = "Member must be null when repositoryNames is specified"
    assert refusal(ecr.describe_repositories, repositoryNames=[name], maxResults=5) == invalid("maxResults", constraint)
    assert refusal(ecr.describe_repositories, repositoryNames=[name], nextToken="x") == invalid("nextToken", constraint)


@pytest.mark.parametrize(
    "token", ["x", "WyJpbWFnZXMiLCAiIl0=", "bnVsbA==", "W10=", "é", "WyJyZXBvc2l0b3JpZXMiLCAiYVx1MDAwMCJd"]
)
def test_a_token_of_nothing_or_of_another_listing_is_refused(ecr: "ECRClient", token: str) -> None:
    code, message = refusal(ecr.describe_repositories, nextToken=token)
    assert (code, "nextToken" in message) == ("InvalidParameterException", True)


@pytest.mark.parametrize("count", [0, 1001])
def test_the_size_of_a_page_is_bounded(unchecked: "ECRClient", count: int) -> None:
    code, message = refusal(unchecked.describe_repositories, maxResults=count)
    assert (code, "'maxResults'" in message) == ("InvalidParameterException", True)


def test_one_missing_name_fails_the_whole_call(ecr: "ECRClient", name: str) -> None:
    assert refusal(ecr.describe_repositories, repositoryNames=[name, "not/there"]) == not_there("not/there")


def test_a_repository_with_images_goes_only_by_force(ecr: "ECRClient", root: Client, name: str) -> None:
    root.push_image(name, "kept")
    code, message = refusal(ecr.delete_repository, repositoryName=name)
    assert code == "RepositoryNotEmptyException"
    assert message == (
        f"The repository with name '{name}' in registry with id '{ACCOUNT}' cannot be deleted because it still contains images"
    )
    assert root("GET", f"/v2/{name}/manifests/kept").status == 200
    ecr.delete_repository(repositoryName=name, force=True)
    assert root("GET", f"/v2/{name}/manifests/kept").said == (404, "NAME_UNKNOWN")
    ecr.create_repository(repositoryName=name)
    assert ecr.list_images(repositoryName=name)["imageIds"] == []


@pytest.mark.parametrize("operation", ["delete_repository", "list_images", "describe_images", "initiate_layer_upload"])
def test_a_repository_that_is_not_there_is_named(ecr: "ECRClient", operation: str) -> None:
    assert refusal(getattr(ecr, operation), repositoryName="not/there") == not_there("not/there")


def test_regions_are_apart(ecr: "ECRClient", server: LiveServer, name: str) -> None:
    elsewhere = server.client("ecr", region="eu-west-1")
    assert refusal(elsewhere.describe_repositories, repositoryNames=[name]) == not_there(name)
    made = elsewhere.create_repository(repositoryName=name)["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{name}"
    assert made["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.eu-west-1.{server.address}/{name}"
    elsewhere.delete_repository(repositoryName=name)
    assert len(ecr.describe_repositories(repositoryNames=[name])["repositories"]) == 1


def test_another_accounts_registry_is_the_gates_business(ecr: "ECRClient") -> None:
    arn = f"arn:aws:ecr:us-east-1:{STRANGER}:repository"
    for call, params, action, resource in (
        (ecr.create_repository, {"repositoryName": "theirs"}, "CreateRepository", f"{arn}/theirs"),
        (ecr.describe_repositories, {}, "DescribeRepositories", f"{arn}/*"),
        (ecr.list_images, {"repositoryName": "theirs"}, "ListImages", f"{arn}/theirs"),
    ):
        code, message = refusal(call, registryId=STRANGER, **params)  # type: ignore[operator]
        assert code == "AccessDeniedException"
        assert message == (
            f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: ecr:{action} on resource: {resource} "
            f"because no resource-based policy allows the ecr:{action} action"
        )


def test_the_own_account_may_be_named(ecr: "ECRClient", name: str) -> None:
    found = ecr.describe_repositories(registryId=ACCOUNT, repositoryNames=[name])["repositories"]
    assert [one["repositoryName"] for one in found] == [name]


def test_the_registry_describes_itself(ecr: "ECRClient") -> None:
    answer = ecr.describe_registry()
    assert answer["registryId"] == ACCOUNT
    assert answer["replicationConfiguration"] == {"rules": []}


# -- mutability


@pytest.mark.parametrize(
    ("mode", "filters"),
    [("MUTABLE", []), ("IMMUTABLE", []), ("MUTABLE_WITH_EXCLUSION", ["v*"]), ("IMMUTABLE_WITH_EXCLUSION", ["a*", "b"])],
)
def test_each_mode_is_set_and_shown(ecr: "ECRClient", name: str, mode: Any, filters: list[str]) -> None:
    given: Any = [{"filterType": "WILDCARD", "filter": one} for one in filters]
    more: Any = {"imageTagMutabilityExclusionFilters": given} if given else {}
    answer = ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability=mode, **more)
    del answer["ResponseMetadata"]  # type: ignore[misc]
    assert answer == {"registryId": ACCOUNT, "repositoryName": name, "imageTagMutability": mode, **more}
    shown = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    assert shown["imageTagMutability"] == mode
    assert shown.get("imageTagMutabilityExclusionFilters", []) == given


@pytest.mark.parametrize("mode", ["MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"])
def test_exclusion_needs_filters(ecr: "ECRClient", name: str, mode: str) -> None:
    expected = f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mode}"
    refused = refusal(ecr.put_image_tag_mutability, repositoryName=name, imageTagMutability=mode)
    assert refused == invalid("imageTagMutabilityExclusionFilters", expected)


@pytest.mark.parametrize(
    ("mode", "filters"),
    [
        ("MUTABLE", ["v*"]),
        ("IMMUTABLE", ["v*"]),
        ("IMMUTABLE_WITH_EXCLUSION", ["*a*b*"]),
        ("IMMUTABLE_WITH_EXCLUSION", ["a b"]),
        ("IMMUTABLE_WITH_EXCLUSION", ["a", "b", "c", "d", "e", "f"]),
    ],
)
def test_filters_that_do_not_fit_are_refused(unchecked: "ECRClient", name: str, mode: str, filters: list[str]) -> None:
    given = [{"filterType": "WILDCARD", "filter": one} for one in filters]
    code, message = refusal(
        unchecked.put_image_tag_mutability,
        repositoryName=name,
        imageTagMutability=mode,
        imageTagMutabilityExclusionFilters=given,
    )
    assert (code, "mageTagMutabilityExclusionFilters" in message) == ("InvalidParameterException", True)


def test_an_unknown_mode_is_refused_in_ecrs_words(unchecked: "ECRClient", name: str) -> None:
    code, message = refusal(unchecked.put_image_tag_mutability, repositoryName=name, imageTagMutability="SOLID")
    assert code == "InvalidParameterException"
    assert message.startswith(
        "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: ["
    )


# -- resource tags


def test_resource_tags_are_put_replaced_and_removed(ecr: "ECRClient", name: str) -> None:
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "2"}])
    tags = ecr.list_tags_for_resource(resourceArn=arn)["tags"]
    assert tags == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    ecr.untag_resource(resourceArn=arn, tagKeys=["a", "never"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "b", "Value": ""}]


def test_fifty_tags_are_the_limit_and_one_more_changes_nothing(ecr: "ECRClient", name: str) -> None:
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": f"k{number}", "Value": "v"} for number in range(50)])
    code, message = refusal(
        ecr.tag_resource, resourceArn=arn, tags=[{"Key": "k0", "Value": "changed"}, {"Key": "one more", "Value": "v"}]
    )
    assert code == "TooManyTagsException"
    assert "maximum number of tags that can be applied to a repository is 50" in message
    tags = ecr.list_tags_for_resource(resourceArn=arn)["tags"]
    assert len(tags) == 50
    assert {"Key": "k0", "Value": "v"} in tags
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    assert refusal(ecr.create_repository, repositoryName="tags/many", tags=many)[0] == "TooManyTagsException"


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": "", "Value": "v"}],
        [{"Key": "k" * 129, "Value": "v"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "aws:mine", "Value": "v"}],
        [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}],
        [{"Key": "k", "Value": "v"}, {"Key": "K", "Value": "w"}],
        [{"Key": "k\n", "Value": "v"}],
        [{"Key": "k", "Value": "<v>"}],
    ],
)
def test_wrong_resource_tags_are_refused(ecr: "ECRClient", name: str, tags: Any) -> None:
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}"
    expected = ("InvalidTagParameterException", "Tag parameters are invalid")
    assert refusal(ecr.tag_resource, resourceArn=arn, tags=tags) == expected
    assert refusal(ecr.create_repository, repositoryName="tags/wrong", tags=tags) == expected


def test_no_tag_passes_for_another_one_in_another_case(ecr: "ECRClient", name: str) -> None:
    """Conditions on aws:ResourceTag/team are about Team, too, and could not tell them apart."""
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "Team", "Value": "red"}])
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "Team", "Value": "blue"}])
    expected = ("InvalidTagParameterException", "Tag parameters are invalid")
    assert refusal(ecr.tag_resource, resourceArn=arn, tags=[{"Key": "team", "Value": "red"}]) == expected
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "Team", "Value": "blue"}]


@pytest.mark.parametrize(
    "arn",
    [
        "repository/a",
        "arn:aws:ecr:us-east-1:123456789012:registry/a",
        "arn:aws:ecr:us-east-1:123456789012:repository/A",
        "arn:aws:ecr:eu-west-1:123456789012:repository/a-b",
        "arn:aws-cn:ecr:us-east-1:123456789012:repository/a-b",
        "arn:aws:ecs:us-east-1:123456789012:repository/a-b",
        "arn:aws:ecr:us-east-1:123456789012:a-b",
    ],
)
def test_the_arn_of_something_else_is_refused(ecr: "ECRClient", arn: str) -> None:
    expected = invalid("resourceArn", "Invalid ARN")
    assert refusal(ecr.list_tags_for_resource, resourceArn=arn) == expected
    assert refusal(ecr.tag_resource, resourceArn=arn, tags=[{"Key": "k", "Value": "v"}]) == expected
    assert refusal(ecr.untag_resource, resourceArn=arn, tagKeys=["k"]) == expected


def test_the_tags_of_no_repository_are_not_there(ecr: "ECRClient") -> None:
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/not/there"
    assert refusal(ecr.list_tags_for_resource, resourceArn=arn) == not_there("not/there")


def test_what_is_to_be_scanned_is_kept_and_shown(ecr: "ECRClient", name: str) -> None:
    configuration: Any = {"scanOnPush": True}
    put = ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration=configuration)
    assert (put["registryId"], put["repositoryName"]) == (ACCOUNT, name)
    assert put["imageScanningConfiguration"] == configuration
    (shown,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert shown["imageScanningConfiguration"] == configuration
    told = ecr.batch_get_repository_scanning_configuration(repositoryNames=[name, "not/there"])
    assert told["scanningConfigurations"] == [
        {
            "repositoryArn": shown["repositoryArn"],
            "repositoryName": name,
            "scanOnPush": True,
            "scanFrequency": "SCAN_ON_PUSH",
            "appliedScanFilters": [],
        }
    ]
    assert told["failures"] == [
        {
            "repositoryName": "not/there",
            "failureCode": "REPOSITORY_NOT_FOUND",
            "failureReason": not_there("not/there")[1],
        }
    ]
    ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": False})
    told = ecr.batch_get_repository_scanning_configuration(repositoryNames=[name])
    assert told["scanningConfigurations"][0]["scanFrequency"] == "MANUAL"
    nowhere = refusal(
        ecr.put_image_scanning_configuration, repositoryName="not/there", imageScanningConfiguration=configuration
    )
    assert nowhere == not_there("not/there")
