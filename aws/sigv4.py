"""Verification of Signature Version 4 (AWS General Reference, "Signing AWS API requests"). Pure: no clock, no keys.

The order of the checks and the words of their errors are AWS's:

1. `parse`: is there a signature, is it whole, is its date within the window, is its scope this service's;
2. the caller finds the key and checks the session token;
3. `verify`: is it the signature of this request.
"""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aws.errors import AwsError, Common
from base.sigv4 import ALGORITHM, TERMINATOR, derive_key, write_string_to_sign

WINDOW: Final = timedelta(minutes=15)
LONGEST_PRESIGNED: Final = timedelta(days=7)
_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"
_BASIC_FORMAT: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BLANKS: Final = re.compile(r"[ \t]+")
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}", re.ASCII)
_KEY_ID: Final = re.compile(r"\w{1,128}", re.ASCII)
_UNRESERVED: Final = "-_.~"
_MOST_SIGNED_HEADERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it came over the wire.

    `path` and `query` are raw (percent-encoded, no `?`); `headers` are in the order of arrival, with duplicates.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, in whatever case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signature. Nothing in it is proven before `verify`."""

    access_key_id: str
    date: str
    """YYYYMMDD of the credential scope."""
    region: str
    service: str
    timestamp: str
    """YYYYMMDD'T'HHMMSS'Z'."""
    signed_headers: tuple[str, ...]
    signature: str
    session_token: str | None
    presigned: bool
    expires: timedelta | None
    """How long a presigned request is good for, where it says so."""

    @property
    def scope(self) -> str:
        """As in the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def is_region(name: str) -> bool:
    """Whether that could name a region: `eu-central-1`, `us-gov-west-1`."""
    return _REGION.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What `parse` holds a claim against."""

    service: str
    """The signing name."""
    now: datetime
    window: timedelta = WINDOW
    serves_region: Callable[[str], bool] = is_region


class SigningKeys:
    """Derived keys, the `size` last used: a key is good for a day of one region and service."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._keys: OrderedDict[tuple[str, str, str, str], bytes] = OrderedDict()

    def derive(self, secret_access_key: str, date: str, region: str, service: str) -> bytes:
        """The signing key of that scope."""
        scope = (secret_access_key, date, region, service)
        key = self._keys.get(scope)
        if key is None:
            key = self._keys[scope] = derive_key(*scope)
            if len(self._keys) > self._size:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(scope)
        return key


# --- reading the claim


def scope_service(request: SignedRequest) -> str | None:
    """The service in the credential scope, for finding whom a request is for; nothing is checked."""
    credential = _query_parameters(request.query).get("X-Amz-Credential", "")
    header = request.header("Authorization")
    if header:
        found = re.search(r"Credential=([^,\s]+)", header)
        credential = found.group(1) if found else ""
    parts = credential.split("/")
    return parts[3] if len(parts) == 5 else None


def parse(request: SignedRequest, expected: Expectation) -> Claim:
    """Reads and checks everything that needs no key. Raises AwsError."""
    if _BAD_ESCAPE.search(request.query) or _BAD_ESCAPE.search(request.path):
        raise Common.MALFORMED_QUERY_STRING.error()
    query = _query_parameters(request.query)
    header = request.header("Authorization")
    if header:
        fields = _header_fields(request, header)
    elif "X-Amz-Signature" in query:
        fields = _presigned_fields(query)
    else:
        raise Common.MISSING_TOKEN.error()
    if "host" not in fields.signed_headers and ":authority" not in fields.signed_headers:
        raise Common.SIGNATURE_MISMATCH.error(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    # The target chooses the operation: a signature that leaves it open would be good for another one.
    if request.header("X-Amz-Target") is not None and "x-amz-target" not in fields.signed_headers:
        raise Common.SIGNATURE_MISMATCH.error("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
    moment, timestamp = _moment(fields.date)
    _check_window(moment, fields.expires, expected)
    access_key_id, date, region, service = _check_scope(fields.credential, timestamp, fields.date, expected)
    token = fields.session_token
    if not _KEY_ID.fullmatch(access_key_id) or not (token is None or (token.isascii() and token.isprintable())):
        raise Common.UNRECOGNIZED_CLIENT.error()
    return Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        timestamp=timestamp,
        signed_headers=fields.signed_headers,
        signature=fields.signature,
        session_token=fields.session_token,
        presigned=header is None or not header,
        expires=fields.expires,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    credential: str
    signed_headers: tuple[str, ...]
    signature: str
    date: str
    session_token: str | None
    expires: timedelta | None = None


def _header_fields(request: SignedRequest, header: str) -> _Fields:
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise Common.INCOMPLETE_SIGNATURE.error(f"Unsupported AWS 'algorithm': '{algorithm[:100]}'")
    fields: dict[str, str] = {}
    for element in filter(None, (one.strip() for one in rest.split(","))):
        key, equals, value = element.partition("=")
        if not equals:
            digest = base64.b64encode(hashlib.sha256(_encode(header)).digest()).decode()
            raise Common.INCOMPLETE_SIGNATURE.error(
                f"'{element[:100]}' not a valid key=value pair (missing equal-sign) in Authorization header "
                f"(hashed with SHA-256 and encoded with Base64): '{digest}'."
            )
        fields[key] = value  # of a repeated one the last counts
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    date = request.header("X-Amz-Date") or request.header("Date")
    if not date:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing or not date:
        raise Common.INCOMPLETE_SIGNATURE.error(f"{' '.join(missing)} Authorization={header}")
    return _Fields(
        credential=fields["Credential"],
        signed_headers=_split_headers(fields["SignedHeaders"]),
        signature=fields["Signature"],
        date=date.strip(),
        session_token=request.header("X-Amz-Security-Token"),
    )


def _presigned_fields(query: dict[str, str]) -> _Fields:
    algorithm = query.get("X-Amz-Algorithm")
    if algorithm and algorithm != ALGORITHM:
        raise Common.INCOMPLETE_SIGNATURE.error(f"Unsupported AWS 'algorithm': '{algorithm[:100]}'")
    missing = [
        f"AWS query-string parameters must include '{name}'."
        for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
        if not query.get(name)
    ]
    if missing:
        raise Common.INCOMPLETE_SIGNATURE.error(f"{' '.join(missing)} Re-examine the query-string parameters.")
    return _Fields(
        credential=query["X-Amz-Credential"],
        signed_headers=_split_headers(query["X-Amz-SignedHeaders"]),
        signature=query["X-Amz-Signature"],
        date=query["X-Amz-Date"],
        session_token=query.get("X-Amz-Security-Token"),
        expires=_expires(query["X-Amz-Expires"]) if "X-Amz-Expires" in query else None,
    )


def _expires(text: str) -> timedelta:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Common.INCOMPLETE_SIGNATURE.error("X-Amz-Expires should be a number")
    expires = timedelta(seconds=int(text))
    if not timedelta() < expires <= LONGEST_PRESIGNED:
        raise Common.INCOMPLETE_SIGNATURE.error("X-Amz-Expires must be between 1 and 604800 seconds")
    return expires


def _split_headers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(";"))
    # Anything else than lower case, sorted and once each is not canonical, so no signature can be right.
    if len(names) > _MOST_SIGNED_HEADERS or list(names) != sorted({name.lower() for name in names}):
        raise Common.SIGNATURE_MISMATCH.error()
    return names


def _moment(text: str) -> tuple[datetime, str]:
    """The time and its basic form, which the string to sign holds; a Date header has RFC 9110's form."""
    try:
        if _BASIC_FORMAT.fullmatch(text):
            moment = datetime.strptime(text, _TIMESTAMP).replace(tzinfo=UTC)
        else:
            moment = parsedate_to_datetime(text if "," in text else "")
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        return moment, _basic(moment)
    except (ValueError, TypeError, OverflowError) as error:
        raise Common.INCOMPLETE_SIGNATURE.error(
            f"Date must be in ISO-8601 'basic format'. Got '{text[:100]}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from error


def _check_window(moment: datetime, expires: timedelta | None, expected: Expectation) -> None:
    span = expected.window if expires is None else expires
    now, earliest, latest = expected.now, expected.now - span, expected.now + expected.window
    if moment < earliest:
        raise Common.SIGNATURE_MISMATCH.error(
            f"Signature expired: {_basic(moment)} is now earlier than {_basic(earliest)} "
            f"({_basic(now)} - {_in_words(span)})"
        )
    if moment > latest:
        raise Common.SIGNATURE_MISMATCH.error(
            f"Signature not yet current: {_basic(moment)} is still later than {_basic(latest)} "
            f"({_basic(now)} + {_in_words(expected.window)})"
        )


def _basic(moment: datetime) -> str:
    # strftime leaves the year of early centuries short
    return f"{moment.year:04}{moment:%m%dT%H%M%SZ}"


def _in_words(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds} sec." if seconds % 60 else f"{seconds // 60} min."


def _check_scope(credential: str, timestamp: str, date_header: str, expected: Expectation) -> tuple[str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5:
        raise Common.INCOMPLETE_SIGNATURE.error(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential[:200]}'"
        )
    access_key_id, date, region, service, terminator = parts
    problems = []
    if not expected.serves_region(region):
        problems.append(f"Credential should be scoped to a valid region, not '{region[:100]}'. ")
    if service != expected.service:
        problems.append(f"Credential should be scoped to correct service: '{expected.service}'. ")
    if terminator != TERMINATOR:
        problems.append(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator[:100]}'. "
        )
    if date != timestamp[:8]:
        problems.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date[:100]}' != '{timestamp[:8]}', from '{date_header[:100]}'. "
        )
    if problems:
        raise Common.SIGNATURE_MISMATCH.error("".join(problems).rstrip())
    return access_key_id, date, region, service


# --- proving it


def verify(
    claim: Claim,
    request: SignedRequest,
    secret_access_key: str,
    keys: SigningKeys,
    *,
    body_digest: str | None = None,
    explain: bool = False,
) -> None:
    """Raises AwsError unless the claim's signature is that of the request.

    `body_digest` is the SHA-256 of the body in hex where it is known already. With `explain` the error shows what
    should have been signed, as Query services do.
    """
    digest = hashlib.sha256(request.body).hexdigest() if body_digest is None else body_digest
    canonical = canonical_request(claim, request, digest)
    if canonical is None:
        raise Common.SIGNATURE_MISMATCH.error()
    to_sign = string_to_sign(claim, canonical)
    key = keys.derive(secret_access_key, claim.date, claim.region, claim.service)
    expected = hmac.digest(key, _encode(to_sign), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), _encode(claim.signature)):
        raise _mismatch(canonical, to_sign) if explain else Common.SIGNATURE_MISMATCH.error()


def _mismatch(canonical: str, to_sign: str) -> AwsError:
    return Common.SIGNATURE_MISMATCH.error(
        f"{Common.SIGNATURE_MISMATCH.value.message}\n\n"
        f"The Canonical String for this request should have been\n'{canonical}'\n\n"
        f"The String-to-Sign should have been\n'{to_sign}'\n"
    )


def string_to_sign(claim: Claim, canonical: str) -> str:
    """Of a canonical request."""
    return write_string_to_sign(claim.timestamp, claim.scope, _encode(canonical))


def canonical_request(claim: Claim, request: SignedRequest, body_digest: str) -> str | None:
    """None where a header that is said to be signed is not there."""
    values: dict[str, list[str]] = {name: [] for name in claim.signed_headers}
    for name, value in request.headers:
        lower = name.lower()
        if lower in values:
            values[lower].append(_BLANKS.sub(" ", value.strip(" \t")))
    if not all(values.values()):
        return None
    headers = "".join(f"{name}:{','.join(values[name])}\n" for name in claim.signed_headers)
    return "\n".join(
        (
            request.method.upper(),
            canonical_path(request.path),
            canonical_query(request.query, without_signature=claim.presigned),
            headers,
            ";".join(claim.signed_headers),
            body_digest,
        )
    )


def canonical_path(path: str) -> str:
    """The raw path without dot segments and repeated slashes, encoded once more, as for every service but S3."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    last = "/" if kept and path.endswith("/") else ""
    return quote(_encode(f"/{'/'.join(kept)}{last}"), safe="/~")


def canonical_query(query: str, *, without_signature: bool) -> str:
    """Names and values encoded in the one canonical way, sorted. A `+` stands for itself, not for a space."""
    pairs = [
        (_recode(name), _recode(value))
        for name, value in _pairs(query)
        if not (without_signature and name == "X-Amz-Signature")
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _recode(text: str) -> str:
    return quote(unquote_to_bytes(_encode(text)), safe=_UNRESERVED)


def _pairs(query: str) -> Iterable[tuple[str, str]]:
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            yield name, value


def _query_parameters(query: str) -> dict[str, str]:
    """The parameters of the signature, decoded; of a repeated one the first counts."""
    parameters: dict[str, str] = {}
    for name, value in _pairs(query):
        if name.startswith("X-Amz-"):
            parameters.setdefault(name, unquote_to_bytes(_encode(value)).decode("utf-8", "replace"))
    return parameters


def _encode(text: str) -> bytes:
    """Back to the bytes of the wire."""
    return text.encode("utf-8", "surrogateescape")
