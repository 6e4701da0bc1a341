import base64
import dataclasses
import hashlib
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aws import sigv4
from aws.errors import AwsError, Common
from aws.sigv4 import Claim, Expectation, SignedRequest, SigningKeys
from tests.unit.aws.signing import KEY_ID, NOW, SECRET, sign

_MISMATCH = Common.SIGNATURE_MISMATCH.value.message


def _expected(*, service: str = "ecr", now: datetime = NOW, window: timedelta = sigv4.WINDOW) -> Expectation:
    return Expectation(service=service, now=now, window=window)


def _check(request: SignedRequest, expected: Expectation | None = None, secret: str = SECRET) -> Claim:
    claim = sigv4.parse(request, expected or _expected())
    sigv4.verify(claim, request, secret, SigningKeys())
    return claim


def _error(request: SignedRequest, expected: Expectation | None = None) -> AwsError:
    with pytest.raises(AwsError) as raised:
        _check(request, expected)
    return raised.value


def _with_header(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    headers = [(key, old) for key, old in request.headers if key.lower() != name.lower()]
    return dataclasses.replace(request, headers=headers if value is None else [*headers, (name, value)])


def _authorization(request: SignedRequest) -> str:
    header = request.header("Authorization")
    assert header is not None
    return header


def _rewritten(request: SignedRequest, old: str, new: str) -> SignedRequest:
    before = _authorization(request)
    assert old in before
    return _with_header(request, "Authorization", before.replace(old, new))


# --- what is signed by the reference client is right


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("POST", "http://127.0.0.1:5000/", [("X-Amz-Target", "A.B"), ("Content-Type", "x")], b'{"a": 1}'),
        ("POST", "https://api.ecr.eu-central-1.amazonaws.com/", [], b""),
        ("GET", "http://h/?Action=ListUsers&Version=2010-05-08", [], b""),
        ("GET", "http://h/?b=2&a=1&a=0&c=&d", [], b""),
        ("GET", "http://h/?a=%20x%2Fy%2B&b=%C3%BC&%5B%5D=~", [], b""),
        ("GET", "http://h/a/./b/../c//d/", [], b""),
        ("GET", "http://h/a%20b/%2F/%C3%BC/~x", [], b""),
        (
            "PUT",
            "http://[::1]:5000/x",
            [("X-Odd", "  a   b  \t c "), ("x-odd", "second"), ("X-Empty", "")],
            b"\x00\xff",
        ),
        ("POST", "http://h/", [("X-Name", "naïve 東京")], "東京".encode()),
        ("DELETE", "http://h:80/", [], b""),
    ],
)
@pytest.mark.parametrize("token", [None, "IQoJb3JpZ2luX2VjE//+=="])
def test_what_botocore_signs_is_right(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes, token: str | None
):
    claim = _check(sign(method, url, headers, body, token=token))
    assert (claim.access_key_id, claim.region, claim.service) == (KEY_ID, "eu-central-1", "ecr")
    assert (claim.session_token, claim.presigned, claim.expires) == (token, False, None)


@pytest.mark.parametrize("token", [None, "IQoJb3JpZ2luX2VjE//+=="])
@pytest.mark.parametrize(
    "url", ["http://h/?Action=GetCallerIdentity&Version=2011-06-15", "http://h/", "http://h/a?b=%2B"]
)
def test_what_botocore_presigns_is_right(url: str, token: str | None):
    claim = _check(sign("GET", url, presigned=90, token=token))
    assert (claim.session_token, claim.presigned, claim.expires) == (token, True, timedelta(seconds=90))


_HEADER_VALUE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Zs"]) | st.just(" "), max_size=20)


@settings(derandomize=True, deadline=None)
@given(
    path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="?#"), max_size=15),
    query=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=8)), max_size=5),
    headers=st.lists(st.tuples(st.from_regex(r"X-[A-Za-z]{1,4}", fullmatch=True), _HEADER_VALUE), max_size=5),
    body=st.binary(max_size=50),
)
@example(path="/../..//x/.", query=[("a", "+"), ("a", " ")], headers=[("X-A", " a  b ")], body=b"")
def test_whatever_botocore_signs_is_right(
    path: str, query: list[tuple[str, str]], headers: list[tuple[str, str]], body: bytes
):
    encoded = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query)
    _check(sign("POST", f"http://h/{quote(path)}?{encoded}", headers, body))


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="-_.~")


def test_a_date_header_serves_where_there_is_no_x_amz_date():
    request = sign(headers=[("Date", "now")])
    assert request.header("X-Amz-Date") is None
    assert _check(request).timestamp == "20260102T030405Z"


def test_a_plus_in_a_query_is_no_space():
    assert sigv4.canonical_query("b=a+b&a=%20&A=%7e&c", without_signature=False) == "A=~&a=%20&b=a%2Bb&c="


def test_a_path_is_normalised_and_encoded_once_more():
    assert sigv4.canonical_path("") == "/"
    assert sigv4.canonical_path("/a%20b//./c/../d/") == "/a%2520b/d/"
    assert sigv4.canonical_path("/../..") == "/"


# --- a change of any part is noticed


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/x"},
        {"query": "a=1"},
        {"body": b"{ }"},
    ],
    ids=str,
)
def test_a_changed_request_is_refused(change: dict[str, object]):
    request = dataclasses.replace(sign(body=b"{}", headers=[("X-Amz-Target", "A.B")]), **change)  # type: ignore[arg-type]
    error = _error(request)
    assert (error.code, error.status, error.query_code, error.query_status, error.message) == (
        "InvalidSignatureException",
        400,
        "SignatureDoesNotMatch",
        403,
        _MISMATCH,
    )


@pytest.mark.parametrize("name", ["Host", "X-Amz-Target", "X-Amz-Security-Token", "X-Other"])
@pytest.mark.parametrize("value", ["changed", None])
def test_a_changed_or_missing_signed_header_is_refused(name: str, value: str | None):
    request = sign(body=b"{}", headers=[("X-Amz-Target", "A.B"), ("X-Other", "1")], token="t")
    assert _error(_with_header(request, name, value)).message == _MISMATCH


def test_one_more_header_of_a_signed_name_is_refused():
    request = sign(headers=[("X-Other", "1")])
    assert _error(dataclasses.replace(request, headers=[*request.headers, ("x-other", "2")])).message == _MISMATCH


def test_a_date_within_the_window_but_not_the_signed_one_is_refused():
    assert _error(_with_header(sign(), "X-Amz-Date", "20260102T030406Z")).message == _MISMATCH


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"/{'eu-central-1'}/", "/eu-west-1/"),
        ("Signature=", "Signature=0"),
        ("SignedHeaders=", "SignedHeaders=accept;"),
    ],
)
def test_a_changed_authorization_is_refused(old: str, new: str):
    assert _error(_rewritten(sign(headers=[("Accept", "a")]), old, new)).message == _MISMATCH


def test_another_secret_is_refused():
    request = sign()
    with pytest.raises(AwsError, match="does not match"):
        _check(request, secret=SECRET + "x")


def test_a_signature_that_is_no_text_is_refused():
    request = sign()
    changed = _authorization(request).split("Signature=")[0] + "Signature=\udcff\udcfe"
    assert _error(_with_header(request, "Authorization", changed)).message == _MISMATCH


def test_presigned_parameters_are_covered():
    request = sign("GET", "http://h/?Action=A&Version=1", presigned=60)
    for old, new in [("Action=A", "Action=B"), ("X-Amz-Expires=60", "X-Amz-Expires=61")]:
        assert old in request.query
        assert _error(dataclasses.replace(request, query=request.query.replace(old, new))).message == _MISMATCH


def test_the_explanation_shows_what_should_have_been_signed():
    request = dataclasses.replace(sign(body=b"a"), body=b"")
    claim = sigv4.parse(request, _expected())
    with pytest.raises(AwsError) as raised:
        sigv4.verify(claim, request, SECRET, SigningKeys(), explain=True)
    message = raised.value.message
    assert message.startswith(
        _MISMATCH + "\n\nThe Canonical String for this request should have been\n'POST\n/\n\nhost:"
    )
    assert "'AWS4-HMAC-SHA256\n20260102T030405Z\n20260102/eu-central-1/ecr/aws4_request\n" in message


def test_a_known_digest_of_the_body_is_taken():
    request = sign(body=b"large")
    claim = sigv4.parse(request, _expected())
    elsewhere = dataclasses.replace(request, body=b"")
    sigv4.verify(claim, elsewhere, SECRET, SigningKeys(), body_digest=hashlib.sha256(b"large").hexdigest())
    with pytest.raises(AwsError, match="does not match"):
        sigv4.verify(claim, request, SECRET, SigningKeys(), body_digest=hashlib.sha256(b"other").hexdigest())


# --- each check, in its order, with its words


def test_a_bad_escape_comes_first():
    for change in ({"query": "a=%zz"}, {"path": "/%1"}):
        request = SignedRequest(**{"method": "GET", "path": "/", "query": "", "headers": [], "body": b"", **change})
        assert _error(request).query_code == "MalformedQueryString"


@pytest.mark.parametrize("headers", [[], [("Authorization", "")]])
def test_no_signature(headers: list[tuple[str, str]]):
    request = SignedRequest(method="POST", path="/", query="X-Amz-Date=1", headers=headers, body=b"")
    error = _error(request)
    assert (error.code, error.status) == ("MissingAuthenticationTokenException", 400)
    assert (error.query_code, error.query_status) == ("MissingAuthenticationToken", 403)
    assert error.message == "Request is missing Authentication Token"


@pytest.mark.parametrize("word", ["AWS4-HMAC-SHA512", "Basic", "AWS4-ECDSA-P256-SHA256"])
def test_another_algorithm(word: str):
    error = _error(_rewritten(sign(), "AWS4-HMAC-SHA256", word))
    assert (error.code, error.query_code) == ("IncompleteSignatureException", "IncompleteSignature")
    assert error.message == f"Unsupported AWS 'algorithm': '{word}'"
    presigned = sign("GET", presigned=60)
    changed = dataclasses.replace(presigned, query=presigned.query.replace("AWS4-HMAC-SHA256", word))
    assert _error(changed).message == f"Unsupported AWS 'algorithm': '{word}'"


def test_an_element_without_an_equal_sign():
    header = "AWS4-HMAC-SHA256 Credential=a, junk"
    digest = base64.b64encode(hashlib.sha256(header.encode()).digest()).decode()
    assert _error(_with_header(sign(), "Authorization", header)).message == (
        "'junk' not a valid key=value pair (missing equal-sign) in Authorization header "
        f"(hashed with SHA-256 and encoded with Base64): '{digest}'."
    )


def test_missing_parts_are_listed_together():
    bare = _with_header(_with_header(sign(), "X-Amz-Date", None), "Authorization", "AWS4-HMAC-SHA256")
    assert _error(bare).message == (
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a "
        "'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256"
    )


def test_missing_presigned_parts_are_listed_together():
    request = SignedRequest(
        method="GET", path="/", query="X-Amz-Signature=a&X-Amz-Date=b", headers=[("Host", "h")], body=b""
    )
    assert _error(request).message == (
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include "
        "'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the "
        "query-string parameters."
    )


def test_the_host_has_to_be_signed():
    error = _error(_rewritten(sign(), "SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date"))
    assert error.message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    assert error.code == "InvalidSignatureException"


def test_the_target_has_to_be_signed():
    error = _error(_with_header(sign(), "X-Amz-Target", "A.B"))
    assert error.message == "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."


@pytest.mark.parametrize("names", ["x-amz-date;host", "Host;x-amz-date", "host;host;x-amz-date", "host;" * 300 + "z"])
def test_signed_headers_have_one_form(names: str):
    assert _error(_rewritten(sign(), "SignedHeaders=host;x-amz-date", f"SignedHeaders={names}")).message == _MISMATCH


@pytest.mark.parametrize(
    "date",
    ["2026-01-02T03:04:05Z", "20260102", "20261302T030405Z", "2026010²T030405Z", "Fri, 99 Foo", "00000101T000000Z"],
)
def test_a_bad_date(date: str):
    error = _error(_with_header(sign(), "X-Amz-Date", date))
    assert error.message == (
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )
    assert error.code == "IncompleteSignatureException"


@pytest.mark.parametrize(("minutes", "words"), [(15, "15 min."), (5, "5 min.")])
def test_the_window(minutes: int, words: str):
    window = timedelta(minutes=minutes)
    second = timedelta(seconds=1)
    for at in (NOW - window, NOW + window):
        _check(sign(at=at), _expected(window=window))
    old, early = NOW - window - second, NOW + window + second
    error = _error(sign(at=old), _expected(window=window))
    assert error.code == "InvalidSignatureException"
    assert error.message == (
        f"Signature expired: {old:%Y%m%dT%H%M%SZ} is now earlier than {NOW - window:%Y%m%dT%H%M%SZ} "
        f"(20260102T030405Z - {words})"
    )
    assert _error(sign(at=early), _expected(window=window)).message == (
        f"Signature not yet current: {early:%Y%m%dT%H%M%SZ} is still later than {NOW + window:%Y%m%dT%H%M%SZ} "
        f"(20260102T030405Z + {words})"
    )


def test_a_presigned_request_is_good_until_it_expires():
    request = sign("GET", presigned=3600)
    _check(request, _expected(now=NOW + timedelta(hours=1)))
    assert _error(request, _expected(now=NOW + timedelta(seconds=3601))).message == (
        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T040406Z - 60 min.)"
    )
    short = sign("GET", presigned=90)
    assert _error(short, _expected(now=NOW + timedelta(seconds=91))).message.endswith("- 90 sec.)")
    assert _error(short, _expected(now=NOW - timedelta(hours=1))).message.startswith("Signature not yet current")


@pytest.mark.parametrize("expires", ["0", "604801", "x", "-1", "", "9" * 5000, "1.5"])
def test_the_life_of_a_presigned_request_is_bounded(expires: str):
    request = sign("GET", presigned=60)
    error = _error(dataclasses.replace(request, query=request.query.replace("Expires=60", f"Expires={expires}")))
    assert error.query_code == "IncompleteSignature"
    assert error.message.startswith("X-Amz-Expires ")


def test_a_presigned_request_without_expiry_is_good_for_the_window():
    request = sign("GET", presigned=60)
    request = dataclasses.replace(request, query=request.query.replace("&X-Amz-Expires=60", ""))
    assert sigv4.parse(request, _expected(now=NOW + sigv4.WINDOW)).expires is None
    with pytest.raises(AwsError, match="Signature expired"):
        sigv4.parse(request, _expected(now=NOW + sigv4.WINDOW + timedelta(seconds=1)))


@pytest.mark.parametrize("credential", ["AKIDEXAMPLE", "a/b/c/d", "a/b/c/d/e/f"])
def test_a_credential_has_five_parts(credential: str):
    scope = "AKIDEXAMPLE/20260102/eu-central-1/ecr/aws4_request"
    error = _error(_rewritten(sign(), scope, credential))
    assert error.code == "IncompleteSignatureException"
    assert error.message == (
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        f"got '{credential}'"
    )


def test_problems_of_the_scope_are_listed_together():
    scope = "AKIDEXAMPLE/20260102/eu-central-1/ecr/aws4_request"
    error = _error(_rewritten(sign(), scope, "AKIDEXAMPLE/20260101/nowhere/sqs/aws3"))
    assert error.code == "InvalidSignatureException"
    assert error.message == (
        "Credential should be scoped to a valid region, not 'nowhere'. "
        "Credential should be scoped to correct service: 'ecr'. "
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20260101' != '20260102', from '20260102T030405Z'."
    )


def test_the_regions_are_the_servers():
    expected = dataclasses.replace(_expected(), serves_region=lambda name: name == "us-east-1")
    assert _error(sign(), expected).message == "Credential should be scoped to a valid region, not 'eu-central-1'."


@pytest.mark.parametrize("key_id", ["", "a b", "é", "x" * 129, "\udcff"])
def test_an_impossible_key_is_unknown(key_id: str):
    error = _error(_rewritten(sign(), KEY_ID, key_id))
    assert (error.code, error.query_code) == ("UnrecognizedClientException", "InvalidClientTokenId")


def test_the_last_of_repeated_fields_counts():
    request = sign()
    _check(
        _with_header(
            request, "Authorization", _authorization(request).replace("Credential=", "Credential=x, Credential=")
        )
    )


def test_the_first_of_repeated_parameters_counts():
    request = sign("GET", presigned=60)
    error = _error(dataclasses.replace(request, query=f"X-Amz-Date=nonsense&{request.query}"))
    assert "Got 'nonsense'" in error.message


# --- keys and scopes


def test_keys_are_kept_and_forgotten():
    keys = SigningKeys(size=2)
    first = keys.derive(SECRET, "20260102", "eu-central-1", "ecr")
    assert keys.derive(SECRET, "20260102", "eu-central-1", "ecr") is first
    keys.derive(SECRET, "20260102", "eu-central-1", "sts")
    keys.derive(SECRET, "20260102", "eu-central-1", "iam")
    again = keys.derive(SECRET, "20260102", "eu-central-1", "ecr")
    assert again == first
    assert again is not first


def test_the_service_of_the_scope_is_found_without_checks():
    assert sigv4.scope_service(sign(service="iam")) == "iam"
    assert sigv4.scope_service(sign("GET", presigned=5, service="sts")) == "sts"
    bare = SignedRequest(method="GET", path="/", query="", headers=[("Authorization", "Basic a")], body=b"")
    assert sigv4.scope_service(bare) is None
