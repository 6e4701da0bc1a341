"""Requests signed by botocore, the reference client, at a time of the test's choosing."""

from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from aws.sigv4 import SignedRequest

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def sign(
    method: str = "POST",
    url: str = "http://127.0.0.1:5000/",
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    *,
    service: str = "ecr",
    region: str = "eu-central-1",
    at: datetime = NOW,
    token: str | None = None,
    presigned: int | None = None,
) -> SignedRequest:
    """As the request arrives; `presigned` is the number of seconds of a presigned one."""
    request = botocore.awsrequest.AWSRequest(method=method, url=url, data=body)
    for name, value in headers or []:
        request.headers.add_header(name, value)
    credentials = botocore.credentials.Credentials(KEY_ID, SECRET, token)
    signer = (
        botocore.auth.SigV4Auth(credentials, service, region)
        if presigned is None
        else botocore.auth.SigV4QueryAuth(credentials, service, region, expires=presigned)
    )
    with mock.patch("botocore.auth.get_current_datetime", return_value=at.replace(tzinfo=None)):
        signer.add_auth(request)
    parts = urlsplit(request.url)
    arrived = [("Host", botocore.auth._host_from_url(request.url)), *request.headers.items()]
    return SignedRequest(method=method, path=parts.path, query=parts.query, headers=arrived, body=body)
