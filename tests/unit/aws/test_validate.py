from typing import Any

import pytest

from aws.errors import AwsError
from aws.model import Models, ServiceModel
from aws.validate import in_hash_order, report_all, report_first, violations

ARN = "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/a"


def _errors(model: ServiceModel, operation: str, parameters: dict[str, Any]) -> AwsError:
    found = violations(model.operation(operation).input, parameters)
    assert found
    return report_all(found)


@pytest.fixture(scope="module")
def ecr(models: Models) -> ServiceModel:
    return models.service("ecr")


@pytest.fixture(scope="module")
def iam(models: Models) -> ServiceModel:
    return models.service("iam")


def test_what_the_model_admits_passes(ecr: ServiceModel):
    parameters = {
        "repositoryName": "team/app",
        "tags": [{"Key": "a", "Value": ""}],
        "imageTagMutability": "IMMUTABLE",
    }
    assert violations(ecr.operation("CreateRepository").input, parameters) == []
    assert violations(None, {}) == []


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "message"),
    [
        (
            "iam", "CreateUser", {},
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "iam", "CreateUser", {"UserName": "a" * 65},
            f"1 validation error detected: Value '{'a' * 65}' at 'userName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64",
        ),
        (
            "iam", "CreateUser", {"UserName": ""},
            "2 validation errors detected: Value '' at 'userName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1; Value '' at 'userName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]+",
        ),
        (
            "iam", "CreateUser", {"UserName": "a", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "k" * 129, "Value": ""}]},
            f"1 validation error detected: Value '{'k' * 129}' at 'tags.2.member.key' failed to satisfy constraint: "
            "Member must have length less than or equal to 128",
        ),
        (
            "iam", "CreateUser", {"UserName": "a", "Tags": [{"Key": "a!", "Value": "v"}]},
            "1 validation error detected: Value 'a!' at 'tags.1.member.key' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
        ),
        (
            "iam", "UntagUser", {"UserName": "a", "TagKeys": ["ok", ""]},
            "1 validation error detected: Value '[ok, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must have length less than or equal to 128, Member must have length greater than or "
            "equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+]",
        ),
        (
            "ecr", "DescribeRepositories", {"maxResults": 1001, "registryId": "1"},
            "2 validation errors detected: Value '1001' at 'maxResults' failed to satisfy constraint: Member must have "
            "value less than or equal to 1000; Value '1' at 'registryId' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [0-9]{12}",
        ),
        (
            "ecr", "BatchGetImage", {"repositoryName": "ab", "imageIds": []},
            "1 validation error detected: Value '[]' at 'imageIds' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            "ecr", "BatchGetImage", {"repositoryName": "ab", "imageIds": [None]},
            "1 validation error detected: Value null at 'imageIds.1.member' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "ecr", "UntagResource", {"resourceArn": "a", "tagKeys": ["a", None]},
            "1 validation error detected: Value null at 'tagKeys.2.member' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "ecr", "CreateRepository", {"repositoryName": "ab", "imageTagMutabilityExclusionFilters": [{"filterType": "X"}]},
            "2 validation errors detected: Value null at 'imageTagMutabilityExclusionFilters.1.member.filter' failed to "
            "satisfy constraint: Member must not be null; Value 'X' at "
            "'imageTagMutabilityExclusionFilters.1.member.filterType' failed to satisfy constraint: Member must satisfy "
            "enum value set: [WILDCARD]",
        ),
        (
            "sts", "AssumeRole", {"RoleArn": "a" * 20, "RoleSessionName": "x/y", "DurationSeconds": 899},
            "2 validation errors detected: Value 'x/y' at 'roleSessionName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [\\w+=,.@-]*; Value '899' at 'durationSeconds' failed to satisfy "
            "constraint: Member must have value greater than or equal to 900",
        ),
        (
            "application-autoscaling", "TagResource", {"ResourceARN": ARN, "Tags": {"k": "v" * 257}},
            f"1 validation error detected: Value '{{k={'v' * 257}}}' at 'tags' failed to satisfy constraint: Map value "
            "must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater "
            "than or equal to 0]",
        ),
        (
            "application-autoscaling", "TagResource", {"ResourceARN": ARN, "Tags": {"": None}},
            "2 validation errors detected: Value '{=null}' at 'tags' failed to satisfy constraint: Map keys must satisfy "
            "constraint: [Member must have length less than or equal to 128, Member must have length greater than or "
            "equal to 1]; Value null at 'tags..member' failed to satisfy constraint: Member must not be null",
        ),
    ],
)  # fmt: skip
def test_violations_in_the_common_words(
    models: Models, service: str, operation: str, parameters: dict[str, Any], message: str
):
    error = _errors(models.service(service), operation, parameters)
    assert error.message == message
    assert (error.code, error.query_code, error.status) == ("ValidationException", "ValidationError", 400)


def test_ecr_reports_the_first_in_its_own_words(ecr: ServiceModel):
    report = report_first("InvalidParameterException", plain={"repositoryName"})

    def error(operation: str, parameters: dict[str, Any]) -> AwsError:
        return report(violations(ecr.operation(operation).input, parameters))

    found = error("CreateRepository", {"repositoryName": "ab", "imageTagMutability": "SOMETIMES"})
    assert found.code == "InvalidParameterException"
    assert found.message == (
        "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: "
        "[IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]'"
    )
    assert error("CreateRepository", {"repositoryName": "a"}).message == (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: "
        "'must have length greater than or equal to 2'"
    )
    assert error("CreateRepository", {"repositoryName": "UPPER"}).message.startswith(
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '[a-z0-9]+"
    )
    assert error("GetAuthorizationToken", {"registryIds": ["12"]}).message == (
        "Invalid parameter at 'registryIds' failed to satisfy constraint: "
        "'Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]'"
    )


def test_sensitive_values_are_not_shown(iam: ServiceModel):
    error = _errors(iam, "ChangePassword", {"OldPassword": "s3cret" * 30, "NewPassword": "x"})
    assert "s3cret" not in error.message
    assert "'*** Sensitive Data Redacted ***' at 'oldPassword'" in error.message


def test_messages_are_bounded(ecr: ServiceModel, iam: ServiceModel):
    error = _errors(ecr, "CreateRepository", {"repositoryName": "a" * 5_000_000})
    assert len(error.message) < 2000
    tags = [{"Key": "", "Value": ""}] * 100_000
    found = violations(iam.operation("CreateUser").input, {"UserName": "a", "Tags": tags})
    assert len(found) <= 52
    assert len(report_all(found).message) < 100_000


def test_a_blob_is_measured_in_bytes(ecr: ServiceModel):
    parameters = {"repositoryName": "ab", "uploadId": "0" * 36, "partFirstByte": 0, "partLastByte": 1}
    error = _errors(ecr, "UploadLayerPart", {**parameters, "layerPartBlob": bytes(20_971_521)})
    assert "java.nio.HeapByteBuffer[pos=0 lim=20971521 cap=20971521]" in error.message
    assert "Member must have length less than or equal to 20971520" in error.message


def test_enum_values_are_listed_as_java_lists_them():
    values = ["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"]
    expected = ["IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"]
    assert in_hash_order(values) == expected
    many = [str(number) for number in range(40)]
    assert sorted(in_hash_order(many)) == sorted(many)
