"""The signatures that AWS published are found right, and no others."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aws.errors import AwsError
from aws.sigv4 import Expectation, SignedRequest, SigningKeys, parse, verify

_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
_NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
_VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("published.json").read_text())["requests"]


def _check(vector: dict[str, Any], signature: str) -> None:
    headers = [(name, value) for name, value in vector["headers"]]
    signed = ";".join(sorted({name.lower() for name, _ in headers}))
    scope = f"AKIDEXAMPLE/20150830/us-east-1/{vector['service']}/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"
    request = SignedRequest(
        method=vector["method"],
        path=vector["path"],
        query=vector["query"],
        headers=[*headers, ("Authorization", authorization)],
        body=vector["body"].encode(),
    )
    claim = parse(request, Expectation(service=vector["service"], now=_NOW))
    verify(claim, request, _SECRET, SigningKeys())


@pytest.mark.parametrize("vector", _VECTORS, ids=lambda vector: vector["name"])
def test_a_published_signature_is_right(vector: dict[str, Any]):
    _check(vector, vector["signature"])


@pytest.mark.parametrize("vector", _VECTORS, ids=lambda vector: vector["name"])
def test_another_signature_is_wrong(vector: dict[str, Any]):
    last = "0" if vector["signature"][-1] != "0" else "1"
    with pytest.raises(AwsError, match="does not match the signature you provided"):
        _check(vector, vector["signature"][:-1] + last)
