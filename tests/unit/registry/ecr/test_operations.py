"""The table of the ECR API's operations, compared with the model of the service and with the errors of the room."""

from types import SimpleNamespace
from typing import Any

import pytest

from auth.access import Access
from aws.model import Models
from registry import errors
from registry.ecr.operations import OPERATIONS, translate
from registry.errors import TABLE, ParameterInvalid, RegistryError, SizeInvalid, StorageFull
from registry.names import RegistryId
from store.blobs.driver import NoRoom, StoreUnavailable
from store.database import DatabaseFull, DatabaseUnavailable

ACCOUNT, REGION = "123456789012", "eu-central-1"
HERE = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository"
THERE = f"arn:aws:ecr:{REGION}:210987654321:repository"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"

PASSED = (("iam:PassedToService", "ecr.amazonaws.com"),)
TAGS = [{"Key": "k", "Value": "v"}, {"Key": "Team", "Value": ""}]
REQUESTED = (("aws:RequestTag/k", "v"), ("aws:RequestTag/Team", ""), ("aws:TagKeys", ("k", "Team")))
ABOUT_TO_BE = (
    ("aws:ResourceTag/k", "v"), ("aws:ResourceTag/Team", ""), ("ecr:ResourceTag/k", "v"), ("ecr:ResourceTag/Team", ""),
)  # fmt: skip

# operation -> what is asked, and the accesses that it takes
ACCESSES: dict[str, list[tuple[dict[str, Any], list[tuple[Any, ...]]]]] = {
    "CreateRepository": [
        ({"repositoryName": "a/b"}, [("ecr:CreateRepository", f"{HERE}/a/b")]),
        (
            {"repositoryName": "a/b", "tags": TAGS},
            [
                ("ecr:CreateRepository", f"{HERE}/a/b", REQUESTED + ABOUT_TO_BE),
                ("ecr:TagResource", f"{HERE}/a/b", REQUESTED + ABOUT_TO_BE),
            ],
        ),
    ],
    "DescribeRepositories": [
        ({}, [("ecr:DescribeRepositories", f"{HERE}/*")]),
        ({"registryId": "210987654321"}, [("ecr:DescribeRepositories", f"{THERE}/*")]),
        (
            {"repositoryNames": ["a1", "b1"]},
            [("ecr:DescribeRepositories", f"{HERE}/a1"), ("ecr:DescribeRepositories", f"{HERE}/b1")],
        ),
    ],
    "TagResource": [
        ({"resourceArn": f"{THERE}/a1", "tags": TAGS}, [("ecr:TagResource", f"{THERE}/a1", REQUESTED)]),
    ],
    "UntagResource": [
        (
            {"resourceArn": f"{HERE}/a1", "tagKeys": ["k", "Team"]},
            [("ecr:UntagResource", f"{HERE}/a1", (("aws:TagKeys", ("k", "Team")),))],
        ),
    ],
    "ListTagsForResource": [({"resourceArn": f"{HERE}/a1"}, [("ecr:ListTagsForResource", f"{HERE}/a1")])],
    **{
        name: [({"name": "BLOB_MOUNTING"}, [(f"ecr:{name}", "*", (("ecr:AccountSetting", "BLOB_MOUNTING"),))])]
        for name in ("GetAccountSetting", "PutAccountSetting")
    },
    **{
        name: [({}, [(f"ecr:{name}", "*")])]
        for name in (
            "PutRegistryPolicy",
            "GetRegistryPolicy",
            "DeleteRegistryPolicy",
            "DescribeRegistry",
            "GetRegistryScanningConfiguration",
            "DescribePullThroughCacheRules",
            "GetSigningConfiguration",
            "ListPullTimeUpdateExclusions",
        )
    },
    "ListImageReferrers": [({"repositoryName": "a1"}, [("ecr:BatchGetImage", f"{HERE}/a1")])],
    "BatchGetRepositoryScanningConfiguration": [
        (
            {"repositoryNames": ["a1", "b1"]},
            [
                ("ecr:BatchGetRepositoryScanningConfiguration", f"{HERE}/a1"),
                ("ecr:BatchGetRepositoryScanningConfiguration", f"{HERE}/b1"),
            ],
        ),
    ],
    "GetAuthorizationToken": [
        ({}, [("ecr:GetAuthorizationToken", "*")]),
        ({"registryIds": ["210987654321"]}, [("ecr:GetAuthorizationToken", "*")]),
    ],
    "CreateRepositoryCreationTemplate": [
        (
            {"prefix": "p/"},
            [("ecr:CreateRepositoryCreationTemplate", "*"), ("ecr:CreateRepository", f"{HERE}/p/*")],
        ),
        (
            {
                "prefix": "ROOT",
                "resourceTags": TAGS,
                "repositoryPolicy": "{}",
                "lifecyclePolicy": "{}",
                "customRoleArn": ROLE,
            },
            [
                ("ecr:CreateRepositoryCreationTemplate", "*"),
                ("ecr:CreateRepository", f"{HERE}/*"),
                ("ecr:TagResource", f"{HERE}/*"),
                ("ecr:SetRepositoryPolicy", f"{HERE}/*"),
                ("ecr:PutLifecyclePolicy", f"{HERE}/*"),
                ("iam:PassRole", ROLE, PASSED),
            ],
        ),
    ],
    "UpdateRepositoryCreationTemplate": [
        (
            {"prefix": "p", "customRoleArn": ROLE},
            [
                ("ecr:UpdateRepositoryCreationTemplate", "*"),
                ("ecr:CreateRepository", f"{HERE}/p/*"),
                ("iam:PassRole", ROLE, PASSED),
            ],
        ),
    ],
    "DeleteRepositoryCreationTemplate": [({"prefix": "p"}, [("ecr:DeleteRepositoryCreationTemplate", "*")])],
    "DescribeRepositoryCreationTemplates": [({}, [("ecr:DescribeRepositoryCreationTemplates", "*")])],
    **{
        name: [
            ({"repositoryName": "a1"}, [(f"ecr:{name}", f"{HERE}/a1")]),
            ({"repositoryName": "a1", "registryId": "210987654321"}, [(f"ecr:{name}", f"{THERE}/a1")]),
        ]
        for name in (
            "DeleteRepository",
            "PutImageTagMutability",
            "ListImages",
            "DescribeImages",
            "BatchGetImage",
            "BatchDeleteImage",
            "PutImage",
            "BatchCheckLayerAvailability",
            "InitiateLayerUpload",
            "UploadLayerPart",
            "CompleteLayerUpload",
            "GetDownloadUrlForLayer",
            "SetRepositoryPolicy",
            "GetRepositoryPolicy",
            "DeleteRepositoryPolicy",
            "PutImageScanningConfiguration",
            "GetLifecyclePolicy",
            "GetLifecyclePolicyPreview",
            "DescribeImageScanFindings",
            "DescribeImageReplicationStatus",
            "DescribeImageSigningStatus",
        )
    },
}


def call(params: dict[str, Any]) -> Any:
    return SimpleNamespace(params=params, account=ACCOUNT, region=REGION)


def test_every_operation_has_its_accesses_stated_here() -> None:
    assert {row.name for row in OPERATIONS} == ACCESSES.keys()
    assert {row.name for row in OPERATIONS} <= Models().service("ecr").operations


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_each_operation_asks_for_the_accesses_that_the_service_reference_names(row: Any) -> None:
    for params, expected in ACCESSES[row.name]:
        asked = list(row.accesses(call(params)))
        assert asked == [Access(*one) for one in expected]


@pytest.mark.parametrize("name", ["a", "A/b", "a//b", "a\n"])
def test_a_name_that_is_none_is_never_asked_about(name: str) -> None:
    for row in OPERATIONS:
        if "repositoryName" in ACCESSES[row.name][0][0]:
            with pytest.raises(ParameterInvalid):
                list(row.accesses(call({"repositoryName": name})))


def test_every_error_of_the_room_has_a_row_and_an_exception_of_the_model() -> None:
    found = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, RegistryError) and kind is not RegistryError
    }
    assert TABLE.keys() == found
    model = Models().service("ecr")
    for row in TABLE.values():
        assert model.error(row.exception) is not None, row.exception


def test_an_error_is_translated_with_its_fields() -> None:
    error = translate(SizeInvalid("wrong", registryId=ACCOUNT, lastValidByteReceived=3))
    assert error is not None
    assert (error.code, error.message, error.status) == ("InvalidLayerPartException", "wrong", 400)
    assert error.fields == {"registryId": ACCOUNT, "lastValidByteReceived": 3}


@pytest.mark.parametrize(
    "error",
    [NoRoom("full"), DatabaseFull("full"), DatabaseUnavailable("gone"), StoreUnavailable("gone"), StorageFull("full")],
)
def test_trouble_below_is_said_as_every_service_says_it(error: Exception) -> None:
    translated = translate(error)
    assert translated is not None
    assert (translated.code, translated.status) == ("ServiceUnavailable", 503)


def test_what_is_no_error_of_the_room_is_left_to_the_boundary() -> None:
    assert translate(ValueError("a mistake")) is None
    assert RegistryId(ACCOUNT, REGION).arn("x") == f"{HERE}/x"
