"""botocore's requests mean to us what the client meant, and our answers mean to botocore what we meant."""

from typing import Any
from urllib.parse import urlencode

import botocore.parsers
import botocore.serialize
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws import parse, serialize
from aws.errors import AwsError
from aws.model import Models, ServiceModel
from tests.unit.aws.values import TEXT, botocore_model, values

_SERVICES = ["ecr", "sts", "iam", "ecs", "autoscaling", "elbv2"]
_STEADY = settings(derandomize=True, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


class _Service:
    def __init__(self, name: str, models: Models) -> None:
        self.model: ServiceModel = models.service(name)
        self.botocore = botocore_model(name)
        self.serializer = botocore.serialize.create_serializer(self.model.protocol, include_validation=False)
        self.parser = botocore.parsers.create_parser(self.model.protocol)
        self.operations = sorted(self.model.operations)

    def sent(self, operation: str, parameters: dict[str, Any]) -> bytes:
        request: Any = self.serializer.serialize_to_request(parameters, self.botocore.operation_model(operation))
        body = request["body"]
        return body if isinstance(body, bytes) else urlencode(body).encode()

    def received(self, operation: str, status: int, body: bytes) -> dict[str, Any]:
        response: Any = {"headers": {}, "status_code": status, "body": body, "context": {}}
        return self.parser.parse(response, self.botocore.operation_model(operation).output_shape)


@pytest.fixture(scope="module", params=_SERVICES)
def service(request: pytest.FixtureRequest, models: Models) -> _Service:
    return _Service(request.param, models)


@_STEADY
@given(data=st.data())
def test_what_botocore_sends_is_read(service: _Service, data: st.DataObject):
    operation = data.draw(st.sampled_from(service.operations))
    shape = service.model.operation(operation).input
    parameters = data.draw(values(shape)) if shape is not None else {}
    body = service.sent(operation, parameters)
    if service.model.protocol == "json":
        assert parse.parse_json(shape, body) == parameters
    else:
        assert parse.parse_query(shape, parse.parse_form(body)) == parameters


@_STEADY
@given(data=st.data())
def test_what_we_answer_is_read(service: _Service, data: st.DataObject):
    operation = data.draw(st.sampled_from(service.operations))
    shape = service.model.operation(operation).output
    result = data.draw(values(shape)) if shape is not None else {}
    if service.model.protocol == "json":
        body = serialize.serialize_json(shape, result)
    else:
        body = serialize.serialize_query(
            shape, result, operation=operation, namespace=service.model.namespace, request_id="r-1"
        )
    received = service.received(operation, 200, body)
    metadata = received.pop("ResponseMetadata")
    assert received == result
    if service.model.protocol == "query":
        assert metadata["RequestId"] == "r-1"


@_STEADY
@given(message=TEXT, code=st.sampled_from(["NoSuchEntityException", "RepositoryNotFoundException", "ExpiredToken"]))
def test_our_errors_are_read(service: _Service, message: str, code: str):
    error = AwsError(code, message)
    status, body = serialize.serialize_error(error, service.model, service.model.protocol, "r-1")
    received = service.received(service.operations[0], status, body)
    modelled = service.model.error(code)
    expected = modelled.query_code if modelled is not None and service.model.protocol == "query" else code
    assert received["Error"]["Code"] == expected
    assert (received["Error"]["Message"] or "") == message
    assert received["ResponseMetadata"]["HTTPStatusCode"] == status
