"""Repository creation templates by boto3, and what they do to a push over /v2/."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from registry.policies import lay_out
from tests.wire.client import IMAGE, Client
from tests.wire.ecr.conftest import ACCOUNT, invalid, not_there, refusal

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ecr-templates"
ON_PUSH: Any = ["CREATE_ON_PUSH"]
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchDeleteImage"}]}'


@pytest.fixture(autouse=True)
def no_templates(ecr: "ECRClient") -> Iterator[None]:
    yield
    for template in ecr.describe_repository_creation_templates()["repositoryCreationTemplates"]:
        ecr.delete_repository_creation_template(prefix=template["prefix"])


def test_a_template_is_shown_as_it_was_made(ecr: "ECRClient") -> None:
    given: dict[str, Any] = {
        "prefix": "prod",
        "description": "for production",
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/a-b"},
        "resourceTags": [{"Key": "stage", "Value": "prod"}],
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}],
        "repositoryPolicy": lay_out(POLICY),
        "lifecyclePolicy": '{"rules":[]}',
        "appliedFor": ["CREATE_ON_PUSH", "REPLICATION"],
        "customRoleArn": ROLE,
    }
    answer = ecr.create_repository_creation_template(**given)
    made = answer["repositoryCreationTemplate"]
    assert answer["registryId"] == ACCOUNT
    assert datetime.now(UTC) - made["createdAt"] < timedelta(minutes=1)
    assert made == {**given, "createdAt": made["createdAt"], "updatedAt": made["createdAt"]}
    described = ecr.describe_repository_creation_templates(prefixes=["prod"])
    assert described["repositoryCreationTemplates"] == [made]
    assert ecr.delete_repository_creation_template(prefix="prod")["repositoryCreationTemplate"] == made


def test_what_is_not_given_has_ecrs_defaults(ecr: "ECRClient") -> None:
    made = ecr.create_repository_creation_template(prefix="plain", appliedFor=ON_PUSH)["repositoryCreationTemplate"]
    assert made["imageTagMutability"] == "MUTABLE"
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}


def test_a_prefix_is_taken_once_with_or_without_its_slash(ecr: "ECRClient") -> None:
    ecr.create_repository_creation_template(prefix="prod", appliedFor=ON_PUSH)
    code, message = refusal(ecr.create_repository_creation_template, prefix="prod/", appliedFor=ON_PUSH)
    assert (code, "'prod'" in message) == ("TemplateAlreadyExistsException", True)


@pytest.mark.parametrize("operation", ["update_repository_creation_template", "delete_repository_creation_template"])
def test_a_template_that_is_not_there_is_not_found(ecr: "ECRClient", operation: str) -> None:
    assert refusal(getattr(ecr, operation), prefix="none")[0] == "TemplateNotFoundException"


def test_an_update_changes_what_it_names(ecr: "ECRClient") -> None:
    filters: Any = [{"filterType": "WILDCARD", "filter": "v*"}]
    ecr.create_repository_creation_template(
        prefix="prod",
        description="old",
        appliedFor=ON_PUSH,
        imageTagMutability="MUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
    )
    updated = ecr.update_repository_creation_template(prefix="prod", description="new")["repositoryCreationTemplate"]
    assert (updated["description"], updated["appliedFor"]) == ("new", ["CREATE_ON_PUSH"])
    assert updated["imageTagMutabilityExclusionFilters"] == filters
    assert updated["updatedAt"] > updated["createdAt"]
    updated = ecr.update_repository_creation_template(prefix="prod", description="", imageTagMutability="IMMUTABLE")[
        "repositoryCreationTemplate"
    ]
    assert updated["imageTagMutability"] == "IMMUTABLE"
    assert "imageTagMutabilityExclusionFilters" not in updated
    assert "description" not in updated


def test_an_update_that_does_not_fit_changes_nothing(ecr: "ECRClient") -> None:
    made = ecr.create_repository_creation_template(prefix="prod", appliedFor=ON_PUSH)["repositoryCreationTemplate"]
    wrong: Any = {"resourceTags": [{"Key": "a", "Value": "b"}]}
    assert refusal(ecr.update_repository_creation_template, prefix="prod", **wrong)[0] == "InvalidParameterException"
    assert ecr.describe_repository_creation_templates()["repositoryCreationTemplates"] == [made]


@pytest.mark.parametrize(
    ("members", "parameter"),
    [
        ({"resourceTags": [{"Key": "a", "Value": "b"}]}, "customRoleArn"),
        ({"encryptionConfiguration": {"encryptionType": "KMS"}}, "customRoleArn"),
        ({"customRoleArn": "arn:aws:iam::210987654321:role/theirs"}, "customRoleArn"),
        ({"customRoleArn": f"arn:aws:iam::{ACCOUNT}:user/a"}, "customRoleArn"),
        ({"customRoleArn": "role"}, "customRoleArn"),
        ({"repositoryPolicy": "{"}, "repositoryPolicy"),
        ({"repositoryPolicy": POLICY.replace("ecr:", "s3:")}, "repositoryPolicy"),
        (
            {"repositoryPolicy": POLICY.replace('"*"', '{"AWS":"arn:aws:iam::123456789012:user/gone"}')},
            "repositoryPolicy",
        ),
        ({"lifecyclePolicy": "[]"}, "lifecyclePolicy"),
        ({"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}, "imageTagMutabilityExclusionFilters"),
        ({"appliedFor": []}, "appliedFor"),
    ],
)
def test_a_template_that_cannot_work_is_refused_when_it_is_made(ecr: "ECRClient", members: Any, parameter: str) -> None:
    refused = refusal(ecr.create_repository_creation_template, **{"prefix": "wrong", "appliedFor": ON_PUSH, **members})
    if refused[0] != "AccessDeniedException":  # a role of others is the gate's business first
        assert refused[0] == "InvalidParameterException"
        assert refused[1].startswith(f"Invalid parameter at '{parameter}' failed to satisfy constraint: '")
    assert ecr.describe_repository_creation_templates()["repositoryCreationTemplates"] == []


def test_a_role_of_another_account_is_not_passed(ecr: "ECRClient") -> None:
    role = "arn:aws:iam::210987654321:role/theirs"
    code, message = refusal(ecr.create_repository_creation_template, prefix="a", appliedFor=ON_PUSH, customRoleArn=role)
    assert code == "AccessDeniedException"
    assert f"iam:PassRole on resource: {role}" in message


def test_pages_of_templates_are_a_partition(ecr: "ECRClient") -> None:
    for number in range(5):
        ecr.create_repository_creation_template(prefix=f"p{number}", appliedFor=ON_PUSH)
    paginator = ecr.get_paginator("describe_repository_creation_templates")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))
    assert [[one["prefix"] for one in page["repositoryCreationTemplates"]] for page in pages] == [
        ["p0", "p1"],
        ["p2", "p3"],
        ["p4"],
    ]
    asked = ecr.describe_repository_creation_templates(prefixes=["p3", "none", "p1/"])["repositoryCreationTemplates"]
    assert [one["prefix"] for one in asked] == ["p1", "p3"]
    refused = refusal(ecr.describe_repository_creation_templates, prefixes=[f"p{number}" for number in range(101)])
    assert refused == invalid("prefixes", "Member must have length less than or equal to 100")


# -- create on push


def test_without_a_template_a_push_makes_no_repository(ecr: "ECRClient", root: Client) -> None:
    answer = root("POST", "/v2/none/app/blobs/uploads/")
    assert answer.said == (404, "NAME_UNKNOWN")
    assert "aws ecr create-repository --repository-name none/app" in answer.message
    ecr.create_repository_creation_template(prefix="none", appliedFor=["REPLICATION"])
    assert root("POST", "/v2/none/app/blobs/uploads/").said == (404, "NAME_UNKNOWN")
    assert refusal(ecr.describe_repositories, repositoryNames=["none/app"]) == not_there("none/app")


def test_a_push_makes_the_repository_that_its_template_says(ecr: "ECRClient", root: Client) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/a-b"
    filters: Any = [{"filterType": "WILDCARD", "filter": "latest"}]
    ecr.create_repository_creation_template(
        prefix="made",
        appliedFor=ON_PUSH,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        resourceTags=[{"Key": "by", "Value": "template"}],
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key},
        customRoleArn=ROLE,
    )
    root.push_image("made/by/push", "v1", layers=[b"1"])
    (made,) = ecr.describe_repositories(repositoryNames=["made/by/push"])["repositories"]
    assert made["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert made["imageTagMutabilityExclusionFilters"] == filters
    assert made["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    tags = ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "by", "Value": "template"}]
    other = root.image("made/by/push", [b"2"])
    assert root("PUT", "/v2/made/by/push/manifests/v1", other, Content_Type=IMAGE).said == (400, "TAG_INVALID")
    root.push_manifest("made/by/push", other, "latest")


def test_a_templates_policy_counts_from_the_push_that_makes_the_repository_on(ecr: "ECRClient", root: Client) -> None:
    ecr.create_repository_creation_template(prefix="policed", appliedFor=ON_PUSH, repositoryPolicy=POLICY)
    digest = root.push_image("policed/app", "v1")
    assert ecr.get_repository_policy(repositoryName="policed/app")["policyText"] == lay_out(POLICY)
    answer = root("DELETE", f"/v2/policed/app/manifests/{digest}")
    assert answer.said == (403, "DENIED")
    assert answer.message.endswith("with an explicit deny in a resource-based policy")
    closed = POLICY.replace("BatchDeleteImage", "InitiateLayerUpload")
    ecr.update_repository_creation_template(prefix="policed", repositoryPolicy=closed)
    assert root("POST", "/v2/policed/closed/blobs/uploads/").said == (403, "DENIED")
    ecr.update_repository_creation_template(prefix="policed", repositoryPolicy="")
    root.push_image("policed/open", "v1")
    assert refusal(ecr.get_repository_policy, repositoryName="policed/open")[0] == "RepositoryPolicyNotFoundException"


def test_the_longest_prefix_wins_and_root_is_for_the_rest(ecr: "ECRClient", root: Client) -> None:
    ecr.create_repository_creation_template(prefix="long", appliedFor=ON_PUSH, imageTagMutability="MUTABLE")
    ecr.create_repository_creation_template(prefix="long/er", appliedFor=ON_PUSH, imageTagMutability="IMMUTABLE")
    ecr.create_repository_creation_template(prefix="ROOT", appliedFor=ON_PUSH, imageTagMutability="IMMUTABLE")
    expected = {"long/a": "MUTABLE", "long/er/a": "IMMUTABLE", "longer": "IMMUTABLE", "long/erer": "MUTABLE"}
    for name in expected:
        root.push_image(name, "t")
    made = ecr.describe_repositories(repositoryNames=list(expected))["repositories"]
    assert {one["repositoryName"]: one["imageTagMutability"] for one in made} == expected


def test_the_api_itself_makes_no_repository(ecr: "ECRClient") -> None:
    ecr.create_repository_creation_template(prefix="ROOT", appliedFor=ON_PUSH)
    assert refusal(ecr.initiate_layer_upload, repositoryName="by/api") == not_there("by/api")
