"""Requests to a bucket: how they are signed, where they go, when they are tried again."""

import hashlib
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blobs.driver import BytesMissing, NoRoom, StoreUnavailable
from store.bucket import (
    UNSIGNED,
    Bucket,
    Keys,
    NoBucket,
    NothingToRange,
    Refusal,
    Refused,
    S3Settings,
    Signable,
    address_of,
    encode_query,
    pause_before,
    proxy_to,
)

AT = datetime(2026, 11, 25, 21, 13, 27, tzinfo=UTC)
STAMP = "20261125T211327Z"
KEYS = Keys("AKIAEXAMPLE", "a/secret+key")
NAMES = st.text("abcXYZ019-_.~ /+&=%ü", min_size=1, max_size=12)


class Fixed(botocore.auth.S3SigV4Auth):
    """botocore's own signature, of one moment."""

    def signature_of(self, request: botocore.awsrequest.AWSRequest) -> str:
        request.context["timestamp"] = STAMP
        return self.signature(self.string_to_sign(request, self.canonical_request(request)), request)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    query=st.dictionaries(NAMES, NAMES | st.just(""), max_size=5),
    fields=st.dictionaries(st.sampled_from(["range", "content-md5", "x-amz-copy-source"]), NAMES, max_size=3),
    body=st.binary(max_size=40),
)
def test_requests_are_signed_as_botocore_signs_them(
    method: str, query: dict[str, str], fields: dict[str, str], body: bytes
):
    payload = hashlib.sha256(body).hexdigest()
    covered = {**fields, "host": "s3.example:7070", "x-amz-content-sha256": payload, "x-amz-date": STAMP}
    _, named, signature = Signable(method, "/bucket/a/key~1.2", [*query.items()], covered, payload).sign(
        KEYS, "eu-west-1", AT
    )
    url = f"http://s3.example:7070/bucket/a/key~1.2?{encode_query([*query.items()])}"
    theirs = botocore.awsrequest.AWSRequest(
        method, url, data=body, headers={k: v for k, v in covered.items() if k != "host"}
    )
    credentials = botocore.credentials.Credentials(KEYS.access_key_id, KEYS.secret_access_key)
    assert signature == Fixed(credentials, "s3", "eu-west-1").signature_of(theirs)
    assert named == ";".join(sorted(covered))


@pytest.mark.parametrize("token", ["", "a/session+token"])
async def test_links_are_signed_as_botocore_signs_them(token: str, monkeypatch: pytest.MonkeyPatch):
    bucket = Bucket(S3Settings(bucket="blobs", endpoint_url="http://s3.example:7070", region="eu-west-1"))
    ours = bucket.presign("some prefix/t~1", seconds=60, keys=Keys("AKIA", "secret", token), at=AT)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None))
    request = botocore.awsrequest.AWSRequest("GET", "http://s3.example:7070/blobs/some%20prefix/t~1")
    credentials = botocore.credentials.Credentials("AKIA", "secret", token or None)
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", "eu-west-1", expires=60).add_auth(request)
    assert urlsplit(ours).path == urlsplit(request.url).path
    assert dict(parse_qsl(urlsplit(ours).query)) == dict(parse_qsl(urlsplit(request.url).query))
    assert dict(parse_qsl(urlsplit(ours).query))["X-Amz-Expires"] == "60"
    assert UNSIGNED not in ours


@pytest.mark.parametrize(
    ("chosen", "address"),
    [
        ({"bucket": "blobs"}, ("https://blobs.s3.us-east-1.amazonaws.com", "/")),
        ({"bucket": "blobs", "region": "eu-west-1"}, ("https://blobs.s3.eu-west-1.amazonaws.com", "/")),
        ({"bucket": "blobs", "region": "cn-north-1"}, ("https://blobs.s3.cn-north-1.amazonaws.com.cn", "/")),
        ({"bucket": "a.b"}, ("https://s3.us-east-1.amazonaws.com", "/a.b/")),
        ({"bucket": "blobs", "endpoint_url": "http://127.0.0.1:7070"}, ("http://127.0.0.1:7070", "/blobs/")),
        ({"bucket": "blobs", "endpoint_url": "https://host/below/"}, ("https://host", "/below/blobs/")),
    ],
)
def test_aws_has_the_bucket_in_the_host_and_others_in_the_path(chosen: dict[str, str], address: tuple[str, str]):
    assert address_of(S3Settings(**chosen)) == address


def test_a_proxy_is_the_environments(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert proxy_to("https://blobs.s3.us-east-1.amazonaws.com") == "http://proxy:3128"
    assert proxy_to("http://127.0.0.1:7070") is None
    monkeypatch.setenv("NO_PROXY", ".amazonaws.com")
    assert proxy_to("https://blobs.s3.us-east-1.amazonaws.com") is None


async def test_keys_that_the_settings_leave_out_are_found_as_the_aws_tools_find_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    link = await Bucket(S3Settings(bucket="blobs")).link("t/x", seconds=60)
    assert "X-Amz-Credential=AKIAENVIRONMENT%2F" in link
    assert "X-Amz-Security-Token=a%20token" in link


def said(status: int, code: str = "") -> Refusal:
    return Refusal(status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode() if code else b"")


@pytest.mark.parametrize(
    ("refusal", "key", "kind"),
    [
        (said(404, "NoSuchKey"), "k", BytesMissing),
        (said(404, "NoSuchUpload"), "k", BytesMissing),
        (said(404), "k", BytesMissing),
        (said(404, "NoSuchBucket"), "k", NoBucket),
        (said(404), "", NoBucket),
        (said(416, "InvalidRange"), "k", NothingToRange),
        (said(400, "InvalidPart"), "k", BytesMissing),
        (said(507), "k", NoRoom),
        (said(403, "QuotaExceeded"), "k", NoRoom),
        (said(403, "AccessDenied"), "k", Refused),
        (said(301, "PermanentRedirect"), "k", Refused),
        (said(503, "SlowDown"), "k", StoreUnavailable),
        (Refusal(502, b"<html>a proxy's page"), "k", StoreUnavailable),
    ],
)
def test_what_a_bucket_says_has_a_name_of_ours(refusal: Refusal, key: str, kind: type[Exception]):
    assert type(refusal.translated(key, "blobs")) is kind or issubclass(type(refusal.translated(key, "blobs")), kind)


@pytest.mark.parametrize(
    ("refusal", "passes"),
    [
        (said(500), True), (said(502), True), (said(503), True), (said(504), True), (said(429), True),
        (said(503, "SlowDown"), True), (said(400, "RequestTimeout"), True), (said(200, "InternalError"), True),
        (said(403, "AccessDenied"), False), (said(404, "NoSuchKey"), False), (said(400, "InvalidPart"), False),
        (said(501, "NotImplemented"), False),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again_and_nothing_else(refusal: Refusal, passes: bool):
    assert refusal.passes is passes


def test_pauses_double_at_the_most_and_are_drawn_at_random():
    assert [pause_before(attempt, 1.0) for attempt in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause_before(3, 0.0) == 0.0
    assert pause_before(3, 0.5) == 0.4
