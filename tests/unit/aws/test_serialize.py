import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from aws.errors import AwsError, Common
from aws.model import Models, ServiceModel
from aws.serialize import JSON, QUERY, ResultError, serialize_error, serialize_json, serialize_query

_AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def ecr(models: Models) -> ServiceModel:
    return models.service("ecr")


@pytest.fixture(scope="module")
def iam(models: Models) -> ServiceModel:
    return models.service("iam")


def _query(service: ServiceModel, operation: str, result: dict[str, Any]) -> str:
    shape = service.operation(operation).output
    body = serialize_query(shape, result, operation=operation, namespace=service.namespace, request_id="r-1")
    ET.fromstring(body)  # it is XML
    return body.decode()


def test_a_json_answer(ecr: ServiceModel):
    shape = ecr.operation("DescribeRepositories").output
    repository = {"repositoryName": "a", "createdAt": _AT, "imageTagMutability": None}
    body = serialize_json(shape, {"repositories": [repository], "nextToken": None})
    assert body == b'{"repositories":[{"repositoryName":"a","createdAt":1767323045.678}]}'


def test_empty_lists_are_kept(ecr: ServiceModel):
    assert serialize_json(ecr.operation("DescribeRepositories").output, {"repositories": []}) == b'{"repositories":[]}'
    assert serialize_json(None, {}) == b"{}"


@pytest.mark.parametrize("at", [_AT, _AT.astimezone(timezone(timedelta(hours=5))), _AT.timestamp()])
def test_times_are_one_moment(ecr: ServiceModel, iam: ServiceModel, at: object):
    shape = ecr.operation("GetAuthorizationToken").output
    assert b'"expiresAt":1767323045.678' in serialize_json(shape, {"authorizationData": [{"expiresAt": at}]})
    user = {"Path": "/", "UserName": "a", "CreateDate": at}
    assert "<CreateDate>2026-01-02T03:04:05.678Z</CreateDate>" in _query(iam, "GetUser", {"User": user})


def test_a_query_answer(iam: ServiceModel):
    user = {"UserName": "a&b", "CreateDate": _AT.replace(microsecond=0), "Tags": [{"Key": "k", "Value": "<\r>"}]}
    assert _query(iam, "GetUser", {"User": user}) == (
        '<GetUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetUserResult><User>'
        "<UserName>a&amp;b</UserName><CreateDate>2026-01-02T03:04:05Z</CreateDate>"
        "<Tags><member><Key>k</Key><Value>&lt;&#13;&gt;</Value></member></Tags>"
        "</User></GetUserResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetUserResponse>"
    )


def test_a_query_answer_without_output(iam: ServiceModel):
    assert _query(iam, "DeleteUser", {}) == (
        '<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></DeleteUserResponse>"
    )


def test_maps_and_booleans_in_a_query_answer(iam: ServiceModel):
    text = _query(iam, "GetAccountSummary", {"SummaryMap": {"Users": 3}})
    assert "<SummaryMap><entry><key>Users</key><value>3</value></entry></SummaryMap>" in text
    assert "<IsTruncated>false</IsTruncated>" in _query(iam, "ListUsers", {"Users": [], "IsTruncated": False})


@pytest.mark.parametrize(
    ("operation", "result", "message"),
    [
        ("DescribeRepositories", {"repository": []}, "has no member 'repository'"),
        ("DescribeRepositories", {"repositories": [{"name": "a"}]}, "has no member 'name'"),
        ("DescribeRepositories", {"repositories": "a"}, "repositories is a list, but the result has a str"),
        ("DescribeRepositories", {"repositories": [None]}, "repositories is a structure, but the result has a NoneType"),
        ("DescribeRepositories", {"nextToken": b"a"}, "nextToken is a string, but the result has a bytes"),
        ("UploadLayerPart", {"lastByteReceived": True}, "lastByteReceived is a long, but the result has a bool"),
        ("UploadLayerPart", {"lastByteReceived": "1"}, "lastByteReceived is a long, but the result has a str"),
        ("GetAuthorizationToken", {"authorizationData": [{"expiresAt": _AT.replace(tzinfo=None)}]}, "without a zone"),
    ],
)  # fmt: skip
def test_a_result_that_the_model_has_not_is_our_mistake(
    ecr: ServiceModel, operation: str, result: dict[str, Any], message: str
):
    with pytest.raises(ResultError, match=message):
        serialize_json(ecr.operation(operation).output, result)


def test_a_result_for_an_operation_without_output_is_our_mistake(iam: ServiceModel):
    with pytest.raises(ResultError, match="has no output"):
        _query(iam, "DeleteUser", {"User": {}})
    with pytest.raises(ResultError, match="has no output"):
        serialize_json(None, {"a": 1})


# --- errors


def test_a_modelled_json_error(ecr: ServiceModel):
    error = AwsError(
        "InvalidLayerPartException",
        "no",
        fields={"registryId": "1", "lastValidByteReceived": 4, "uploadId": None},
    )
    status, body = serialize_error(error, ecr, JSON, "r-1")
    assert status == 400
    assert json.loads(body) == {
        "__type": "InvalidLayerPartException",
        "message": "no",
        "registryId": "1",
        "lastValidByteReceived": 4,
    }


def test_the_servers_fault_is_500(ecr: ServiceModel):
    assert serialize_error(AwsError("ServerException", "oops"), ecr, JSON, "r")[0] == 500


def test_a_modelled_query_error(iam: ServiceModel):
    error = AwsError("NoSuchEntityException", "The user with name <x> cannot be found.")
    status, body = serialize_error(error, iam, QUERY, "r-1")
    assert status == 404
    assert body.decode() == (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        "<Code>NoSuchEntity</Code><Message>The user with name &lt;x&gt; cannot be found.</Message></Error>"
        "<RequestId>r-1</RequestId></ErrorResponse>"
    )
    assert serialize_error(AwsError("NoSuchEntity", error.message), iam, QUERY, "r-1") == (status, body)


def test_a_common_error_in_both(ecr: ServiceModel, iam: ServiceModel):
    error = Common.ACCESS_DENIED.error("no")
    assert serialize_error(error, ecr, JSON, "r") == (400, b'{"__type":"AccessDeniedException","message":"no"}')
    status, body = serialize_error(error, iam, QUERY, "r")
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body


def test_an_error_without_a_service():
    assert serialize_error(AwsError("A", "b"), None, JSON, "r") == (400, b'{"__type":"A","message":"b"}')
    body = serialize_error(AwsError("A", "b", status=503), None, QUERY, "r")[1]
    assert body.startswith(b"<ErrorResponse><Error><Type>Receiver</Type>")


@pytest.mark.parametrize("protocol", [JSON, QUERY])
def test_fields_that_the_error_has_not_are_our_mistake(ecr: ServiceModel, protocol: str):
    for code in ("RepositoryNotFoundException", "Unmodelled"):
        with pytest.raises(ResultError):
            serialize_error(AwsError(code, "m", fields={"other": 1}), ecr, protocol, "r")


@pytest.mark.parametrize("message", ["\x00\x01\x1f", "\ud800", "\ufffe", "a\udcffb"])
def test_any_message_is_rendered(message: str, iam: ServiceModel, ecr: ServiceModel):
    body = serialize_error(AwsError("A", message), iam, QUERY, "r")[1]
    found = ET.fromstring(body).find(".//{*}Message")
    assert found is not None
    assert found.text == message.translate({ord(one): "\ufffd" for one in message if one not in "ab"})
    assert json.loads(serialize_error(AwsError("A", message), ecr, JSON, "r")[1])["message"] == message
