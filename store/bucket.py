"""A bucket of S3, or of a server that speaks as S3 does: requests, signed, sent, and sent again.

Requests run on the event loop, by aiohttp. A connection that breaks, silence, and answers that mean "later" (429, 5xx,
SlowDown, RequestTimeout) are tried again, after pauses that double and are drawn at random. Every attempt ends: it may
take as long as the bucket may be silent, and as its bytes take at the slowest. The form of the signature is AWS
Signature Version 4 ("Authenticating Requests: Using the Authorization Header" and "Using Query Parameters", S3 API).
Only what every such server knows is used: objects, ranges, listings, multipart uploads; no tags, no ACLs.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined] # it is there
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import aiohttp
import botocore.credentials
import botocore.exceptions
import botocore.httpsession
import botocore.session
from yarl import URL

from base.sigv4 import ALGORITHM, TERMINATOR, derive_key, write_string_to_sign
from store.blobs.driver import BytesMissing, NoRoom, StoreUnavailable

Query: TypeAlias = Sequence[tuple[str, str]]
Piece: TypeAlias = bytes | memoryview

UNSIGNED = "UNSIGNED-PAYLOAD"
"""Instead of the hash of a body that the signature leaves out."""
LISTED = 1000
"""Things in one answer to a request to list them."""
DELETED = 1000
"""Objects in one request to delete them (S3 API, DeleteObjects)."""
_READ_AHEAD = 64 * 1024
"""Bytes of an answer that are taken from its connection before they are asked for: aiohttp makes it more for who asks for more."""
_NOTHING = hashlib.sha256(b"").hexdigest()
_INLINE = 64 * 1024
"""Bytes of a body that are hashed on the event loop, and written at once."""
_COMPLETING = 600.0
"""Seconds in which S3 completes the largest upload; it goes on answering meanwhile (S3 API, CompleteMultipartUpload)."""
_LONG = frozenset({"CompleteMultipartUpload", "UploadPartCopy"})
"""What may take long, and fail after S3 has begun to answer; servers that only speak as it does may be silent meanwhile."""
_SLOWEST = 256 * 1024
"""Bytes a second at least."""
_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds, at the most, before the second attempt, and before any."""
_GONE = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge"})
_SPOILT = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})
_LATER = frozenset(
    {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling", "OperationAborted"}
)
_LATER_STATUS = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where the bucket is and how to write to it. Empty keys: botocore's own search for credentials.

    `sse` is `AES256`, `aws:kms` or empty, `kms_key_id` a key for the second. `redirect`: clients may be sent to the
    bucket for blobs. Timeouts are in seconds: to connect, and of silence; both for each of the attempts.
    """

    bucket: str
    endpoint_url: str = ""
    prefix: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""
    sse: str = ""
    kms_key_id: str = ""
    redirect: bool = True
    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    attempts: int = 4


class NothingToRange(BytesMissing):
    """The object has no bytes there."""


class Refused(StoreUnavailable):
    """The bucket said no."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(f"the bucket refuses: {said or status}")
        self.status = status


class BrokeOff(StoreUnavailable):
    """The connection broke while a body was sent: an answer that came before its end may be lost."""


class NoBucket(StoreUnavailable):
    """Which says nothing of what may be in it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bucket said, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Body(Protocol):
    """The bytes of a request, which may have to be sent more than once."""

    @property
    def size(self) -> int: ...

    def pieces(self) -> AsyncIterator[Piece]:
        """All of them, from the beginning. What it raises ends the request, and is raised by it."""
        ...

    async def digest(self) -> str:
        """Their SHA-256, or UNSIGNED where finding it would mean reading them."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """An object, or (with `upload`) an upload that is not complete; `written_at` in seconds since the epoch."""

    key: str
    written_at: float
    size: int = 0
    upload: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Whom requests are signed for."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""


@dataclass(frozen=True, slots=True)
class Signable:
    """What a signature covers. `path` is encoded; `headers` have names in lower case."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    payload: str

    def sign(self, keys: Keys, region: str, at: datetime) -> tuple[str, str, str]:
        """(scope, names of the signed headers, signature)."""
        named = ";".join(sorted(self.headers))
        fields = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in sorted(self.headers))
        canonical = f"{self.method}\n{self.path}\n{encode_query(self.query)}\n{fields}\n{named}\n{self.payload}"
        day = f"{at:%Y%m%d}"
        scope = f"{day}/{region}/s3/{TERMINATOR}"
        text = write_string_to_sign(f"{at:%Y%m%dT%H%M%SZ}", scope, canonical.encode())
        key = _derive_key(keys.secret_access_key, day, region, "s3")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return scope, named, signature


_derive_key = lru_cache(maxsize=8)(derive_key)


def encode_query(query: Query) -> str:
    """In the order that signatures want."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


class Bucket:
    """One bucket. Methods raise BytesMissing (no such key, or an upload that is over), NoRoom, StoreUnavailable."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._base, self._root = address_of(settings)
        self._host = urlsplit(self._base).netloc
        self.secure = self._base.startswith("https:")
        self._proxy = proxy_to(self._base)
        self._keys = Keys(settings.access_key_id, settings.secret_access_key) if settings.access_key_id else None
        self._found: Any = None
        self._session: aiohttp.ClientSession | None = None
        self._encryption: dict[str, str] = {}
        if settings.sse:
            self._encryption["x-amz-server-side-encryption"] = settings.sse
        if settings.kms_key_id:
            self._encryption["x-amz-server-side-encryption-aws-kms-key-id"] = settings.kms_key_id
        self.watch: Callable[[str, int], None] = lambda _name, _size: None
        """Told of each attempt: the operation as S3 calls it, and the bytes of its body."""

    # -- objects

    async def put(self, key: str, body: Body) -> None:
        await self._request("PutObject", "PUT", key, headers=self._encryption, body=body)

    async def head(self, key: str) -> int:
        """The object's size."""
        return int((await self._request("HeadObject", "HEAD", key)).headers["Content-Length"])

    async def get(self, key: str, start: int, size: int) -> tuple[int, bytes]:
        """(size of the object, `size` bytes of it, fewer only at its end). Raises NothingToRange, too."""
        fields = {"range": f"bytes={start}-{start + size - 1}"}
        answer = await self._request("GetObject", "GET", key, headers=fields)
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status == 200:  # ranges are not understood
            return len(answer.body), answer.body[start : start + size]
        return int(total) if total.isdigit() else start + len(answer.body), answer.body

    async def stream(self, key: str, start: int, end: int) -> "Stream":
        """The bytes from `start` to before `end`, as they come; whoever has it closes it."""
        fields = {"range": f"bytes={start}-{end - 1}"}
        response = await self._attempts("GetObject", "GET", key, (), fields, None, 0.0, whole=False)
        assert isinstance(response, aiohttp.ClientResponse)
        if response.status != 206 and start:
            response.close()
            raise StoreUnavailable("the bucket does not answer with ranges")
        return Stream(response)

    async def delete(self, key: str) -> None:
        """Missing keys are no error."""
        try:
            await self._request("DeleteObject", "DELETE", key)
        except BytesMissing:
            return

    async def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        """At most DELETED of them in one request; of those that could not be deleted, what S3 calls the reason."""
        named = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        answer = await self._request(
            "DeleteObjects", "POST", "", query=[("delete", "")],
            body=Bytes(f"<Delete><Quiet>true</Quiet>{named}</Delete>".encode(), md5=True),
        )  # fmt: skip
        found = {text(error, "Key"): text(error, "Code") for error in parse(answer.body).iter("Error")}
        return {key: code for key, code in found.items() if code not in _GONE}

    async def list_objects(self, prefix: str, *, after: str = "") -> AsyncIterator[list[Listed]]:
        """Objects in the order of their keys, page by page."""
        where = [("list-type", "2"), ("max-keys", str(LISTED)), ("prefix", prefix)]
        token = [("start-after", after)] if after else []
        while True:
            page = parse((await self._request("ListObjectsV2", "GET", "", query=[*where, *token])).body)
            yield [
                Listed(text(entry, "Key"), _seconds(text(entry, "LastModified")), int(text(entry, "Size") or 0))
                for entry in page.iter("Contents")
            ]
            if text(page, "IsTruncated") != "true":
                return
            token = [("continuation-token", text(page, "NextContinuationToken"))]

    async def probe(self) -> None:
        """Returns where the bucket answers."""
        await self._request("HeadBucket", "HEAD", "")

    def presign(self, key: str, *, seconds: int, keys: Keys, at: datetime | None = None) -> str:
        """An address by which whoever has it may read the object for so long."""
        at = at or datetime.now(UTC)
        path = self._path(key)
        query = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{keys.access_key_id}/{at:%Y%m%d}/{self._settings.region}/s3/{TERMINATOR}"),
            ("X-Amz-Date", f"{at:%Y%m%dT%H%M%SZ}"),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-SignedHeaders", "host"),
        ]
        if keys.session_token:
            query.append(("X-Amz-Security-Token", keys.session_token))
        covered = Signable("GET", path, query, {"host": self._host}, UNSIGNED)
        _, _, signature = covered.sign(keys, self._settings.region, at)
        return f"{self._base}{path}?{encode_query(query)}&X-Amz-Signature={signature}"

    async def link(self, key: str, *, seconds: int) -> str:
        """`presign` with the bucket's own keys."""
        return self.presign(key, seconds=seconds, keys=await self._keys_now())

    # -- multipart uploads

    async def begin(self, key: str) -> str:
        """The new upload's id."""
        answer = await self._request(
            "CreateMultipartUpload", "POST", key, query=[("uploads", "")], headers=self._encryption
        )
        return text(parse(answer.body), "UploadId")

    async def put_part(self, key: str, upload: str, number: int, body: Body) -> str:
        """The part's ETag."""
        query = [("partNumber", str(number)), ("uploadId", upload)]
        try:
            answer = await self._request("UploadPart", "PUT", key, query=query, body=body)
        except BrokeOff:
            async for _ in self.list_parts(key, upload):  # which says whether the upload is over
                break
            raise
        return answer.headers["ETag"].strip('"')

    async def copy_part(self, key: str, upload: str, number: int, source: str, start: int, end: int) -> str:
        """A part of the bytes of another object, from `start` to before `end`. Its ETag."""
        fields = {
            "x-amz-copy-source": quote(f"{self._settings.bucket}/{source}", safe="/-_.~"),
            "x-amz-copy-source-range": f"bytes={start}-{end - 1}",
        }
        query = [("partNumber", str(number)), ("uploadId", upload)]
        answer = await self._request(
            "UploadPartCopy", "PUT", key, query=query, headers=fields, longest=(end - start) / _SLOWEST
        )
        return text(parse(answer.body), "ETag").strip('"')

    async def complete(self, key: str, upload: str, etags: Mapping[int, str]) -> None:
        """Make the object of those parts."""
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{escape(etag)}"</ETag></Part>'
            for number, etag in sorted(etags.items())
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        await self._request(
            "CompleteMultipartUpload", "POST", key, query=[("uploadId", upload)],
            body=Bytes(document.encode()), longest=_COMPLETING,
        )  # fmt: skip

    async def abort(self, key: str, upload: str) -> None:
        """An upload that is over is no error."""
        try:
            await self._request("AbortMultipartUpload", "DELETE", key, query=[("uploadId", upload)])
        except BytesMissing:
            return

    async def list_parts(self, key: str, upload: str) -> AsyncIterator[dict[int, str]]:
        """ETags by number, page by page."""
        marker: Query = []
        while True:
            query = [("max-parts", str(LISTED)), ("uploadId", upload), *marker]
            page = parse((await self._request("ListParts", "GET", key, query=query)).body)
            yield {int(text(part, "PartNumber")): text(part, "ETag").strip('"') for part in page.iter("Part")}
            if text(page, "IsTruncated") != "true":
                return
            marker = [("part-number-marker", text(page, "NextPartNumberMarker"))]

    async def list_uploads(self, prefix: str, *, after: tuple[str, str] | None = None) -> AsyncIterator[list[Listed]]:
        """Uploads that are not complete, page by page; `after` that key and upload."""
        while True:
            marker = [("key-marker", after[0]), ("upload-id-marker", after[1])] if after else []
            query = [("uploads", ""), ("max-uploads", str(LISTED)), ("prefix", prefix), *marker]
            page = parse((await self._request("ListMultipartUploads", "GET", "", query=query)).body)
            yield [
                Listed(text(entry, "Key"), _seconds(text(entry, "Initiated")), upload=text(entry, "UploadId"))
                for entry in page.iter("Upload")
            ]
            if text(page, "IsTruncated") != "true":
                return
            after = text(page, "NextKeyMarker"), text(page, "NextUploadIdMarker")

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -- requests

    async def _request(
        self, operation: str, method: str, key: str, *, query: Query = (), headers: Mapping[str, str] | None = None,
        body: Body | None = None, longest: float = 0.0,
    ) -> Answer:  # fmt: skip
        """`longest`: seconds that it may take more than others."""
        answer = await self._attempts(operation, method, key, query, headers or {}, body, longest, whole=True)
        assert isinstance(answer, Answer)
        return answer

    async def _attempts(
        self, operation: str, method: str, key: str, query: Query, headers: Mapping[str, str], body: Body | None,
        longest: float, *, whole: bool,
    ) -> "Answer | aiohttp.ClientResponse":  # fmt: skip
        longest += self._settings.connect_timeout + self._settings.read_timeout
        longest += (body.size if body is not None else 0) / _SLOWEST
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(longest):
                    found = await self._attempt(operation, method, key, query, headers, body, longest, whole=whole)
                if not isinstance(found, Refusal):
                    return found
                error, again = found.translated(key, self._settings.bucket), found.passes
            except (aiohttp.ClientError, TimeoutError, OSError) as broken:
                said = str(broken) or type(broken).__name__
                sent = body is not None and isinstance(broken, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
                kind = BrokeOff if sent and not isinstance(broken, aiohttp.ClientConnectorError) else StoreUnavailable
                error, again = kind(f"the bucket does not answer: {said}"), True
            attempt += 1
            if not again or attempt >= self._settings.attempts:
                raise error
            await asyncio.sleep(pause_before(attempt, random.random()))  # noqa: S311 - no secret

    async def _attempt(
        self, operation: str, method: str, key: str, query: Query, headers: Mapping[str, str], body: Body | None,
        longest: float, *, whole: bool,
    ) -> "Answer | Refusal | aiohttp.ClientResponse":  # fmt: skip
        at = datetime.now(UTC)
        keys = await self._keys_now()
        payload = await self._payload_of(body)
        fields = {**headers, "host": self._host, "x-amz-content-sha256": payload, "x-amz-date": f"{at:%Y%m%dT%H%M%SZ}"}
        if keys.session_token:
            fields["x-amz-security-token"] = keys.session_token
        if isinstance(body, Bytes) and body.md5:
            fields["content-md5"] = base64.b64encode(hashlib.md5(body.data, usedforsecurity=False).digest()).decode()
        path = self._path(key)
        scope, named, signature = Signable(method, path, query, fields, payload).sign(keys, self._settings.region, at)
        fields["authorization"] = (
            f"{ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={named}, Signature={signature}"
        )
        url = f"{self._base}{path}?{encode_query(query)}" if query else f"{self._base}{path}"
        data: Any = None
        sending: _Sending | None = None
        if body is not None:
            if isinstance(body, Bytes) and body.size <= _INLINE:
                data = body.data
            else:
                data = sending = _Sending(body)
                fields["content-length"] = str(body.size)
        self.watch(operation, body.size if body is not None else 0)
        silence = longest if operation in _LONG else self._settings.read_timeout
        try:
            response = await self._open_session().request(
                method, URL(url, encoded=True), data=data, headers=fields, allow_redirects=False, proxy=self._proxy,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._settings.connect_timeout, sock_read=silence
                ),
            )  # fmt: skip
        except aiohttp.ClientError:
            if sending is not None and sending.failure is not None:
                raise sending.failure from None
            raise
        if response.status >= 300:
            return Refusal(response.status, await response.read())
        if not whole:
            return response
        try:
            content = await response.read()
        finally:
            response.release()
        if operation in _LONG and b"<Error" in content[:2048]:  # S3 had begun to answer before it failed
            return Refusal(response.status, content)
        return Answer(response.status, response.headers, content)

    async def _payload_of(self, body: Body | None) -> str:
        if body is None:
            return _NOTHING
        if self.secure and body.size > _INLINE:  # TLS guards it
            return UNSIGNED
        return await body.digest()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = _trust() if self.secure else False
            self._session = aiohttp.ClientSession(
                # who asks too much waits elsewhere: a bound here would let pulls that are slow keep pushes waiting
                connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=10.0),
                auto_decompress=False,
                read_bufsize=_READ_AHEAD,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _keys_now(self) -> Keys:
        if self._keys is not None:
            return self._keys
        if self._found is None or (
            isinstance(self._found, botocore.credentials.RefreshableCredentials) and self._found.refresh_needed()
        ):
            try:
                self._found = self._found or await asyncio.to_thread(botocore.session.get_session().get_credentials)
                if self._found is None:
                    raise StoreUnavailable("there are no credentials for the bucket: set storage.s3_access_key_id")
                return _frozen(await asyncio.to_thread(self._found.get_frozen_credentials))
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError) as error:
                raise StoreUnavailable(f"the credentials for the bucket cannot be had: {error}") from error
        return _frozen(self._found.get_frozen_credentials())

    def _path(self, key: str) -> str:
        return f"{self._root}{quote(key, safe='/-_.~')}"


class Stream:
    """The bytes of an answer, as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self, size: int) -> bytes:
        """As many as have come, at most `size`; none at the end. Raises StoreUnavailable."""
        try:
            return await self._response.content.read(min(size, _READ_AHEAD))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = str(error) or type(error).__name__
            raise StoreUnavailable(f"the bucket does not answer: {said}") from error

    def close(self) -> None:
        self._response.close()


@dataclass(frozen=True, slots=True)
class Bytes:
    """A body that is in memory as one piece. `md5`: the operation wants its checksum."""

    data: bytes
    md5: bool = False

    @property
    def size(self) -> int:
        return len(self.data)

    async def pieces(self) -> AsyncIterator[Piece]:
        yield self.data

    async def digest(self) -> str:
        return await digest_of([self.data])


async def digest_of(pieces: Sequence[Piece]) -> str:
    """The SHA-256 of the pieces together."""
    if sum(map(len, pieces)) <= _INLINE:
        return _hash(pieces)
    return await asyncio.to_thread(_hash, pieces)


def _hash(pieces: Iterable[Piece]) -> str:
    running = hashlib.sha256()
    for piece in pieces:
        running.update(piece)
    return running.hexdigest()


class _Sending:
    """A body on its way out, in the form that aiohttp takes. `failure` is what its pieces raised."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[Piece]:
        try:
            async for piece in self._body.pieces():
                yield piece
        except (BytesMissing, StoreUnavailable) as error:
            self.failure = error
            raise


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none of success."""

    status: int
    body: bytes

    @property
    def code(self) -> str:
        try:
            return text(parse(self.body), "Code") if self.body.strip() else ""
        except StoreUnavailable:
            return ""

    @property
    def passes(self) -> bool:
        """Whether it may be another one later."""
        return self.status in _LATER_STATUS or self.code in _LATER

    def translated(self, key: str, bucket: str) -> Exception:
        """What S3 said, as the law of drivers says it. `key` is empty where the bucket itself was asked."""
        code = self.code
        if code == "NoSuchBucket" or (self.status == 404 and not key):
            return NoBucket(f"the bucket `{bucket}` is not there")
        if code in _GONE or self.status == 404:
            return BytesMissing(key)
        if code == "InvalidRange" or self.status == 416:
            return NothingToRange(key)
        if code in _SPOILT:
            return BytesMissing(key)
        if code in _FULL or self.status == 507:
            return NoRoom("the bucket is full")
        return Refused(code, self.status)


def pause_before(attempt: int, chance: float) -> float:
    """Seconds before attempt number `attempt` (the first one is 0), for a chance from 0 to 1: "full jitter"."""
    return chance * min(_LONGEST_PAUSE, _PAUSE * 2.0 ** (attempt - 1))


def address_of(settings: S3Settings) -> tuple[str, str]:
    """(scheme and host, path of the bucket's root). AWS names the bucket in the host, where its certificate allows it."""
    if settings.endpoint_url:
        parts = urlsplit(settings.endpoint_url.rstrip("/"))
        return f"{parts.scheme}://{parts.netloc}", f"{parts.path}/{settings.bucket}/"
    domain = f"s3.{settings.region}.amazonaws.com{'.cn' if settings.region.startswith('cn-') else ''}"
    if "." in settings.bucket:
        return f"https://{domain}", f"/{settings.bucket}/"
    return f"https://{settings.bucket}.{domain}", "/"


def proxy_to(base: str) -> str | None:
    """What the environment names for that address (HTTPS_PROXY, NO_PROXY); asked once, not at every request."""
    parts = urlsplit(base)
    if proxy_bypass_environment(parts.netloc):
        return None
    return getproxies_environment().get(parts.scheme)


def parse(document: bytes) -> ET.Element:
    """The root, without name spaces. Raises StoreUnavailable."""
    try:
        root = ET.fromstring(document)  # noqa: S314 - from the bucket, which has all our bytes
    except ET.ParseError as error:
        raise StoreUnavailable(f"the bucket's answer cannot be understood: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def text(element: ET.Element, name: str) -> str:
    return element.findtext(name) or ""


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def _frozen(found: Any) -> Keys:
    return Keys(found.access_key, found.secret_key, found.token or "")


def _trust() -> ssl.SSLContext:
    """The system's authorities, botocore's, and those of AWS_CA_BUNDLE."""
    context = ssl.create_default_context()
    context.load_verify_locations(botocore.httpsession.where())
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        context.load_verify_locations(bundle)
    return context
