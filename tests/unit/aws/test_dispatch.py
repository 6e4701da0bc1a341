"""boto3's own clients speak to the dispatcher, without a network between them."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import urlencode, urlsplit

import boto3
import botocore.awsrequest
import botocore.config
import botocore.exceptions
import pytest

from aws.dispatch import Call, Credential, Dispatcher, HttpCall, HttpReply, Operation, Service
from aws.errors import AwsError, Common
from aws.model import Models
from aws.sigv4 import Claim, SignedRequest
from aws.validate import report_first
from tests.unit.aws.signing import KEY_ID, NOW, SECRET, sign

_ECR = "AmazonEC2ContainerRegistry_V20150921"


class _Missing(Exception):
    """A domain error."""


class _Denied(Exception):
    """Another, whose translation fails."""


def _http(request: SignedRequest, **changes: Any) -> HttpCall:
    facts = {field.name: getattr(request, field.name) for field in dataclasses.fields(SignedRequest)}
    return HttpCall(
        **{**facts, **changes},
        request_id="11111111-2222-3333-4444-555555555555",
        source_ip="127.0.0.1",
        secure=False,
        host="127.0.0.1:5000",
        url="http://127.0.0.1:5000",
    )


class _House:
    """A dispatcher over two services, and what it was asked."""

    def __init__(self, models: Models) -> None:
        self.calls: list[Call[str]] = []
        self.asked: list[tuple[tuple[str, str], ...]] = []
        self.claims: list[Claim] = []
        self.reported: list[tuple[Exception, Call[str] | None]] = []
        self.denied = False
        self.token: str | None = None
        self.now = NOW
        self.answers: dict[str, Mapping[str, Any] | Exception] = {}
        self.ecr = Service[str, tuple[str, str]](
            name="ecr",
            operations=tuple(
                self._row("ecr", name) for name in ("CreateRepository", "DescribeRepositories", "UploadLayerPart")
            ),
            report=report_first("InvalidParameterException"),
            fault_code="ServerException",
        )
        self.sts = Service[str, tuple[str, str]](
            name="sts",
            operations=(
                self._row("sts", "GetCallerIdentity"),
                self._row("sts", "AssumeRole"),
                self._row("sts", "AssumeRoleWithWebIdentity", signed=False),
            ),
        )
        self.iam = Service[str, tuple[str, str]](name="iam", operations=(self._row("iam", "GetUser"),))
        self.dispatcher = self.build(models, self.ecr, self.sts, self.iam)

    def build(self, models: Models, *services: Service[str, tuple[str, str]]) -> Dispatcher[str, tuple[str, str]]:
        return Dispatcher(
            models,
            services,
            authenticate=self._authenticate,
            authorize=self._authorize,
            translate_error=self._translate,
            report=lambda error, http, call: self.reported.append((error, call)),
            clock=self._clock,
            anonymous=Credential(secret_access_key="", account="", principal="nobody"),
            region="us-east-1",
        )

    def _clock(self) -> float:
        return self.now.timestamp()

    def _row(self, service: str, name: str, *, signed: bool = True) -> Operation[str, tuple[str, str]]:
        async def handle(call: Call[str]) -> Mapping[str, Any]:
            self.calls.append(call)
            answer = self.answers.get(name, {})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return Operation(name, handle, lambda call: [(f"{service}:{name}", call.account)], signed=signed)

    async def _authenticate(self, claim: Claim) -> Credential[str] | None:
        self.claims.append(claim)
        if claim.session_token != self.token:
            raise Common.EXPIRED_TOKEN.error()
        if claim.access_key_id != KEY_ID:
            return None
        return Credential(secret_access_key=SECRET, account="123456789012", principal="root")

    async def _authorize(self, call: Call[str], accesses: tuple[tuple[str, str], ...]) -> None:
        self.asked.append(accesses)
        if self.denied:
            raise Common.ACCESS_DENIED.error(f"User: {call.principal} is not authorized to perform: {accesses[0][0]}")

    def _translate(self, error: Exception) -> AwsError | None:
        if isinstance(error, _Denied):
            raise TypeError("a bug")
        if isinstance(error, _Missing):
            return AwsError("RepositoryNotFoundException", "The repository with name 'x' does not exist")
        return None

    async def answer(self, request: SignedRequest, **changes: Any) -> HttpReply:
        return await self.dispatcher.answer(_http(request, **changes))

    async def refusal(self, request: SignedRequest, **changes: Any) -> tuple[int, dict[str, Any]]:
        reply = await self.answer(request, **changes)
        assert reply.status >= 400
        assert dict(reply.headers)["Content-Type"] == "application/x-amz-json-1.1"
        return reply.status, json.loads(reply.body)

    def client(self, service: str, *, token: str | None = None, secret: str = SECRET, key_id: str = KEY_ID) -> Any:
        client = boto3.client(
            service,
            region_name="eu-central-1",
            endpoint_url="http://127.0.0.1:5000",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=botocore.config.Config(retries={"max_attempts": 0}, parameter_validation=False),
        )
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> botocore.awsrequest.AWSResponse:
        parts = urlsplit(request.url)
        headers = [
            ("Host", parts.netloc),
            *((name, value.decode() if isinstance(value, bytes) else value) for name, value in request.headers.items()),
        ]
        body = request.body or b""
        arrived = SignedRequest(
            method=request.method,
            path=parts.path,
            query=parts.query,
            headers=headers,
            body=body.encode() if isinstance(body, str) else body,
        )
        reply = asyncio.run(self.answer(arrived))
        response = botocore.awsrequest.AWSResponse(request.url, reply.status, dict(reply.headers), None)
        response._content = reply.body
        return response


@pytest.fixture
def house(models: Models) -> Any:
    built = _House(models)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        yield built


def _json_request(operation: str, body: bytes = b"{}", target: str = _ECR, **facts: Any) -> SignedRequest:
    headers = [("X-Amz-Target", f"{target}.{operation}"), ("Content-Type", "application/x-amz-json-1.1")]
    return sign(headers=headers, body=body, **facts)


def _query_request(fields: Mapping[str, str], **facts: Any) -> SignedRequest:
    headers = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
    return sign(headers=headers, body=urlencode(fields).encode(), **{"service": "sts", **facts})


def _error(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call()
    return {
        **raised.value.response["Error"],
        "Status": raised.value.response["ResponseMetadata"]["HTTPStatusCode"],
        "RequestId": raised.value.response["ResponseMetadata"]["RequestId"],
    }


# --- with boto3


def test_a_json_operation(house: _House):
    created = datetime(2026, 1, 2, tzinfo=UTC)
    house.answers["CreateRepository"] = {"repository": {"repositoryName": "a/b", "createdAt": created}}
    reply = house.client("ecr").create_repository(repositoryName="a/b", tags=[{"Key": "k", "Value": "v"}])
    assert reply["repository"] == {"repositoryName": "a/b", "createdAt": created}
    assert reply["ResponseMetadata"]["RequestId"] == "11111111-2222-3333-4444-555555555555"
    (call,) = house.calls
    assert (call.service, call.operation, call.principal, call.account, call.region) == (
        "ecr",
        "CreateRepository",
        "root",
        "123456789012",
        "eu-central-1",
    )
    assert call.params == {"repositoryName": "a/b", "tags": [{"Key": "k", "Value": "v"}]}
    assert call.user_agent.startswith("Boto3/")
    assert house.asked == [(("ecr:CreateRepository", "123456789012"),)]


def test_a_query_operation(house: _House):
    house.answers["GetCallerIdentity"] = {"Account": "123456789012", "Arn": "arn:aws:iam::1:root", "UserId": "1"}
    reply = house.client("sts").get_caller_identity()
    assert reply["Arn"] == "arn:aws:iam::1:root"
    assert reply["ResponseMetadata"]["RequestId"] == "11111111-2222-3333-4444-555555555555"


def test_a_layer_part_passes_whole(house: _House):
    content = bytes(range(256)) * 4096
    house.answers["UploadLayerPart"] = {"lastByteReceived": len(content) - 1}
    house.client("ecr").upload_layer_part(
        repositoryName="a/b",
        uploadId="11111111-2222-3333-4444-555555555555",
        partFirstByte=0,
        partLastByte=len(content) - 1,
        layerPartBlob=content,
    )
    assert house.calls[0].params["layerPartBlob"] == content


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_presigned_request(house: _House, method: str):
    house.answers["GetCallerIdentity"] = {"Account": "1"}
    url = house.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod=method)
    parts = urlsplit(url)
    request = SignedRequest(
        method=method, path=parts.path, query=parts.query, headers=[("Host", parts.netloc)], body=b""
    )
    reply = asyncio.run(house.answer(request))
    assert reply.status == 200
    assert b"<Account>1</Account>" in reply.body
    assert ("Content-Type", "text/xml") in reply.headers


def test_a_session_token_reaches_the_keys(house: _House):
    house.token = "a token"
    house.client("ecr", token="a token").describe_repositories()
    assert house.calls[0].session_token == "a token"
    assert "a token" not in repr(house.calls[0])
    assert _error(house.client("ecr", token="other").describe_repositories)["Code"] == "ExpiredTokenException"
    assert _error(house.client("sts", token="other").get_caller_identity)["Code"] == "ExpiredToken"


def test_an_unsigned_operation_needs_no_signature(house: _House):
    house.answers["AssumeRoleWithWebIdentity"] = {"Audience": "a"}
    client = house.client("sts")
    arguments = {"RoleArn": "arn:aws:iam::1:role/a", "RoleSessionName": "me", "WebIdentityToken": "token"}
    assert client.assume_role_with_web_identity(**arguments)["Audience"] == "a"
    assert (house.calls[0].principal, house.calls[0].region) == ("nobody", "us-east-1")
    assert house.claims == []


async def test_an_unsigned_operation_takes_small_bodies_only(house: _House):
    body = urlencode({"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "Policy": "x" * 200_000}).encode()
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    reply = await house.answer(SignedRequest(method="POST", path="/", query="", headers=headers, body=body))
    assert (reply.status, house.calls) == (400, [])
    assert b"a request without a signature may have 131072 bytes" in reply.body


async def test_of_a_form_only_the_name_of_the_operation_is_read_before_its_signature_is_proven(house: _House):
    body = b"Action=GetUser&Version=2010-05-08&UserName=%ff"
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    request = SignedRequest(method="POST", path="/", query="", headers=headers, body=body)
    assert b"<Code>MissingAuthenticationToken</Code>" in (await house.answer(request)).body


@pytest.mark.parametrize(
    ("changes", "codes", "statuses"),
    [
        ({"secret": "wrong"}, ("InvalidSignatureException", "SignatureDoesNotMatch"), (400, 403)),
        ({"key_id": "AKIAOTHER"}, ("UnrecognizedClientException", "InvalidClientTokenId"), (400, 403)),
    ],
)
def test_strangers_are_refused_in_each_protocol(
    house: _House, changes: dict[str, str], codes: tuple[str, str], statuses: tuple[int, int]
):
    for client, call, code, status in (
        ("ecr", "describe_repositories", codes[0], statuses[0]),
        ("sts", "get_caller_identity", codes[1], statuses[1]),
    ):
        error = _error(getattr(house.client(client, **changes), call))
        assert (error["Code"], error["Status"]) == (code, status)
        assert error["RequestId"] == "11111111-2222-3333-4444-555555555555"
    assert house.calls == []


def test_denied_calls_do_not_reach_the_handler(house: _House):
    house.denied = True
    assert _error(house.client("ecr").describe_repositories)["Code"] == "AccessDeniedException"
    error = _error(house.client("sts").get_caller_identity)
    assert (error["Code"], error["Status"]) == ("AccessDenied", 403)
    assert error["Message"] == "User: root is not authorized to perform: sts:GetCallerIdentity"
    assert house.calls == []


def test_invalid_parameters_in_the_words_of_the_service(house: _House):
    error = _error(lambda: house.client("ecr").create_repository(repositoryName="a/b", imageTagMutability="NO"))
    assert error["Code"] == "InvalidParameterException"
    assert error["Message"].startswith("Invalid parameter at 'imageTagMutability' failed to satisfy constraint: ")
    error = _error(lambda: house.client("sts").assume_role(RoleArn="a" * 20, RoleSessionName="me", DurationSeconds=1))
    assert error["Code"] == "ValidationError"
    assert error["Message"].startswith("1 validation error detected: Value '1' at 'durationSeconds' failed")
    assert house.asked == []


def test_domain_errors_are_translated(house: _House):
    house.answers["DescribeRepositories"] = _Missing()
    error = _error(house.client("ecr").describe_repositories)
    assert (error["Code"], error["Message"]) == (
        "RepositoryNotFoundException",
        "The repository with name 'x' does not exist",
    )
    assert house.reported == []


@pytest.mark.parametrize("failure", [RuntimeError("the secret detail"), _Denied("the secret detail"), RecursionError()])
def test_unknown_errors_show_nothing_and_are_reported(house: _House, failure: Exception):
    house.answers["DescribeRepositories"] = house.answers["GetCallerIdentity"] = failure
    error = _error(house.client("ecr").describe_repositories)
    assert (error["Code"], error["Status"]) == ("ServerException", 500)
    assert "secret" not in error["Message"]
    error = _error(house.client("sts").get_caller_identity)
    assert (error["Code"], error["Status"]) == ("InternalFailure", 500)
    assert [(one, call.operation if call else None) for one, call in house.reported] == [
        (failure, "DescribeRepositories"),
        (failure, "GetCallerIdentity"),
    ]


def test_a_result_that_the_model_has_not_is_a_failure(house: _House):
    house.answers["DescribeRepositories"] = {"repos": []}
    assert _error(house.client("ecr").describe_repositories)["Code"] == "ServerException"
    house.answers["DescribeRepositories"] = AwsError("RepositoryNotFoundException", "m", fields={"x": 1})
    assert _error(house.client("ecr").describe_repositories)["Code"] == "ServerException"
    assert [type(error).__name__ for error, _ in house.reported] == ["ResultError", "ResultError"]


# --- the order of the checks


async def test_the_signature_comes_before_the_parameters(house: _House):
    assert (await house.refusal(_json_request("CreateRepository", b"nonsense"), body=b"{"))[1]["__type"] == (
        "InvalidSignatureException"
    )
    status, error = await house.refusal(_json_request("CreateRepository", b"{"))
    assert (status, error["__type"]) == (400, "SerializationException")
    assert house.asked == []


async def test_a_large_body_is_parsed_or_refused(house: _House):
    nested = b'{"x":' * 100_000
    assert (await house.refusal(_json_request("CreateRepository", nested)))[1] == {
        "__type": "SerializationException",
        "message": "the request body is nested too deep",
    }
    unknown = b'{"repositoryName": "a/b", "x": "' + b"x" * 1_000_000 + b'"}'
    assert (await house.answer(_json_request("CreateRepository", unknown))).status == 200
    assert house.calls[0].params == {"repositoryName": "a/b"}


async def test_a_request_is_screened_before_its_body_has_come(house: _House):
    """As far as that goes: who claims a key that may sign may still have signed something else."""

    async def screened(request: SignedRequest) -> str:
        reply = await house.dispatcher.screen(_http(request))
        return "" if reply is None else json.loads(reply.body)["__type"]

    signed = _json_request("UploadLayerPart", b"{}")
    assert await screened(dataclasses.replace(signed, body=b"")) == ""
    house.token = "another"
    assert await screened(signed) == "ExpiredTokenException"
    assert await screened(dataclasses.replace(signed, headers=[("X-Amz-Target", f"{_ECR}.UploadLayerPart")])) == (
        "MissingAuthenticationTokenException"
    )
    assert await screened(dataclasses.replace(signed, headers=[("X-Amz-Target", "x.y")])) == "UnknownOperationException"
    assert await screened(dataclasses.replace(signed, headers=[])) == "", "a form: its body says what it is for"
    assert (house.calls, house.asked) == ([], [])


async def test_the_operation_comes_before_the_signature(house: _House):
    request = SignedRequest(method="POST", path="/", query="", headers=[("X-Amz-Target", f"{_ECR}.Nope")], body=b"")
    assert (await house.refusal(request))[1]["__type"] == "UnknownOperationException"
    known = dataclasses.replace(request, headers=[("X-Amz-Target", f"{_ECR}.DescribeRepositories")])
    assert (await house.refusal(known))[1]["__type"] == "MissingAuthenticationTokenException"


async def test_json_services_allow_fifteen_minutes_and_query_services_five(house: _House):
    for minutes, json_status, query_status in ((4, 200, 200), (6, 200, 403), (16, 400, 403)):
        house.now = NOW + timedelta(minutes=minutes)
        assert (await house.answer(_json_request("DescribeRepositories"))).status == json_status
        identity = _query_request({"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        assert (await house.answer(identity)).status == query_status


async def test_the_scope_has_to_be_of_the_service(house: _House):
    error = (await house.refusal(_json_request("DescribeRepositories", service="ecs")))[1]
    assert error["message"] == "Credential should be scoped to correct service: 'ecr'."


async def test_query_services_explain_a_mismatch(house: _House):
    request = _query_request({"Action": "GetCallerIdentity", "Version": "2011-06-15"})
    reply = await house.answer(request, body=request.body + b"&x=1")
    assert b"The Canonical String for this request should have been" in reply.body
    assert (await house.refusal(_json_request("DescribeRepositories"), body=b"{ }"))[1]["message"].endswith(
        "for details."
    )


# --- whom a request is for


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "DynamoDB_20120810.ListTables",
            "No service here answers to X-Amz-Target 'DynamoDB_20120810.ListTables'; this endpoint serves ecr, iam, sts.",
        ),
        ("", "No service here answers to X-Amz-Target ''; this endpoint serves ecr, iam, sts."),
        (f"{_ECR}.Nope", "Operation Nope of ecr is not known."),
        (f"{_ECR}.DeleteRepository", "Operation DeleteRepository of ecr is not implemented by this server."),
    ],
)
async def test_unknown_targets(house: _House, target: str, message: str):
    request = SignedRequest(method="POST", path="/", query="", headers=[("X-Amz-Target", target)], body=b"{}")
    assert await house.refusal(request) == (400, {"__type": "UnknownOperationException", "message": message})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Action": "Nope", "Version": "2011-06-15"}, "Could not find operation Nope for version 2011-06-15"),
        (
            {"Action": "GetFederationToken", "Version": "2011-06-15"},
            "Operation GetFederationToken of sts is not implemented",
        ),
        (
            {"Action": "ListTopics", "Version": "2010-03-31"},
            "Could not find operation ListTopics for version 2010-03-31; this endpoint serves ecr, iam, sts.",
        ),
        ({"Action": "ListTopics"}, "Operation ListTopics"),
    ],
)
async def test_unknown_actions(house: _House, fields: dict[str, str], message: str):
    reply = await house.answer(_query_request(fields))
    assert reply.status == 400
    assert b"<Code>InvalidAction</Code>" in reply.body
    assert message.replace("Operation ListTopics", "Could not find operation ListTopics").encode() in reply.body


async def test_without_a_version_the_scope_or_the_action_tells(house: _House):
    assert (await house.answer(_query_request({"Action": "GetCallerIdentity"}))).status == 200
    reply = await house.answer(_query_request({"Action": "GetUser"}, service="iam"))
    assert reply.status == 200
    bare = SignedRequest(method="GET", path="/", query="Action=GetUser", headers=[], body=b"")
    assert b"<Code>MissingAuthenticationToken</Code>" in (await house.answer(bare)).body


async def test_a_request_for_nothing(house: _House):
    bare = SignedRequest(method="GET", path="/", query="", headers=[("Host", "h")], body=b"")
    status, error = await house.refusal(bare)
    assert (status, error["__type"]) == (400, "UnknownOperationException")
    assert "neither an X-Amz-Target header nor an Action parameter" in error["message"]
    reply = await house.answer(_query_request({"Version": "2011-06-15"}))
    assert b"<Code>MissingAction</Code>" in reply.body
    signed = (await house.refusal(sign(service="s3")))[1]
    assert "names no operation of s3:" in signed["message"]


async def test_a_json_version_is_answered_in_kind(house: _House):
    headers = [("Content-Type", "application/x-amz-json-1.0")]
    reply = await house.answer(SignedRequest(method="POST", path="/", query="", headers=headers, body=b""))
    assert ("Content-Type", "application/x-amz-json-1.0") in reply.headers


@pytest.mark.parametrize("body", [b"&" * 30_000, b"Action=%ff"])
async def test_a_broken_form_is_refused_as_query(house: _House, body: bytes):
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    reply = await house.answer(SignedRequest(method="POST", path="/", query="", headers=headers, body=body))
    assert reply.status == 400
    assert b"<Code>MalformedInput</Code>" in reply.body


# --- the tables


async def _nothing(_: Call[str]) -> Mapping[str, Any]:
    return {}


def test_a_row_without_accesses_does_not_construct():
    handler: Callable[[Call[str]], Awaitable[Mapping[str, Any]]] = _nothing
    with pytest.raises(TypeError):
        Operation("CreateRepository", handler)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="needs a handler and the accesses"):
        Operation("CreateRepository", handler, None)  # type: ignore[arg-type]


def test_rows_are_of_the_model(house: _House, models: Models):
    def service(name: str, *rows: Operation[str, tuple[str, str]]) -> Service[str, tuple[str, str]]:
        return Service(name=name, operations=rows)

    def row(name: str, *, signed: bool = True) -> Operation[str, tuple[str, str]]:
        return Operation(name, _nothing, lambda _: [], signed=signed)

    with pytest.raises(KeyError, match="ecr has no operation 'CreateRepositry'"):
        house.build(models, service("ecr", row("CreateRepositry")))
    with pytest.raises(KeyError, match="no service 'ecrr'"):
        house.build(models, service("ecrr"))
    with pytest.raises(ValueError, match="CreateRepository more than once"):
        service("ecr", row("CreateRepository"), row("CreateRepository"))
    with pytest.raises(ValueError, match=r"ecr\.CreateRepository: the model has signed=True, the row False"):
        house.build(models, service("ecr", row("CreateRepository", signed=False)))
    with pytest.raises(ValueError, match=r"sts\.AssumeRoleWithSAML: the model has signed=False, the row True"):
        house.build(models, service("sts", row("AssumeRoleWithSAML")))
    with pytest.raises(ValueError, match="a protocol that is not spoken"):
        house.build(models, service("s3"))


def test_what_is_not_served_is_listed(house: _House, models: Models):
    unserved = house.dispatcher.unserved()
    assert "DeleteRepository" in unserved["ecr"]
    assert "CreateRepository" not in unserved["ecr"]
    assert len(unserved["sts"]) == len(models.service("sts").operations) - 3


def test_secrets_do_not_show():
    assert "hidden" not in repr(Credential(secret_access_key="hidden", account="1", principal="p"))
