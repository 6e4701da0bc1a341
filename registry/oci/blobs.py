"""Blobs: reading, checking, deleting (OCI Distribution, "Pulling blobs", "Deleting Blobs")."""

import re
from urllib.parse import unquote

from base.digest import Digest, DigestMalformed, parse_digest
from base.web import Part, Reply
from registry import rows
from registry.errors import BlobUnknown, DigestInvalid, RangeNotSatisfiable
from registry.oci.call import Call, Registry
from store.blobs.driver import BytesMissing

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)
_FOREVER = ("Cache-Control", "private, max-age=31536000, immutable")
LINK_LIFETIME = 900
"""Seconds for which a link that a pull is sent to is good."""


def digest_of_path(call: Call) -> Digest:
    """Raises DigestInvalid."""
    text = call.groups["digest"]
    try:
        return parse_digest(unquote(text) if "%" in text else text)
    except DigestMalformed as error:
        raise DigestInvalid(str(error)) from error


async def head_blob(registry: Registry, call: Call) -> Reply:
    blob = await registry.pull.confirm_blob(call.registry, call.name, digest_of_path(call))
    if matches(call.headers.get("If-None-Match"), blob.digest):
        return Reply(304, _headers(blob.digest))
    return Reply(200, _headers(blob.digest), length=blob.size)


async def get_blob(registry: Registry, call: Call) -> Reply:
    blob = await registry.pull.blob(call.registry, call.name, digest_of_path(call))
    headers = _headers(blob.digest)
    if matches(call.headers.get("If-None-Match"), blob.digest):
        return Reply(304, headers)
    url = await registry.pull.url(blob, seconds=LINK_LIFETIME, client=call.circumstances.source_ip)
    if url is not None:
        return Reply(307, [("Location", url), ("Docker-Content-Digest", blob.digest)])
    start, length = 0, blob.size
    wanted = call.headers.get("Range")
    if wanted is not None and call.headers.get("If-Range") in {None, f'"{blob.digest}"'}:  # RFC 9110, 13.1.5
        part = parse_range(wanted, blob.size)
        if part is not None:
            start, length = part
            headers = [*headers, ("Content-Range", f"bytes {start}-{start + length - 1}/{blob.size}")]
            return Reply(206, headers, await _part(registry, blob, start, length))
    return Reply(200, headers, await _part(registry, blob, start, length))


async def delete_blob(registry: Registry, call: Call) -> Reply:
    digest = digest_of_path(call)
    repository_id = await registry.repositories.find_id(call.registry, call.name)
    now = registry.clock()
    if not await registry.database.write(lambda: rows.unlink_blob(repository_id, digest, now)):
        raise BlobUnknown(f"the blob `{digest}` is not in the repository `{call.name}`")
    return Reply(202, [("Docker-Content-Digest", digest)])


async def _part(registry: Registry, blob: rows.Blob, start: int, length: int) -> Part:
    try:
        content = await registry.pull.open(blob)
    except BytesMissing as error:
        raise BlobUnknown(f"the bytes of the blob `{blob.digest}` are missing in the store") from error
    return Part(content, start, length)


def _headers(digest: Digest) -> list[tuple[str, str]]:
    return [
        ("Content-Type", "application/octet-stream"),
        ("Docker-Content-Digest", digest),
        ("ETag", f'"{digest}"'),
        ("Accept-Ranges", "bytes"),
        _FOREVER,
    ]


def matches(condition: str | None, digest: str) -> bool:
    """Whether an If-None-Match names the digest (RFC 9110, 13.1.2)."""
    if condition is None:
        return False
    return any(tag.strip().removeprefix("W/").strip('"') in {digest, "*"} for tag in condition.split(","))


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """(start, length) of a single byte range, or None where the field is to be ignored (RFC 9110, 14.2).

    Raises RangeNotSatisfiable.
    """
    match = _RANGE.match(text.strip().replace(" ", ""))
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise RangeNotSatisfiable(size)
        return size - length, length
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if start >= size or end < start:
        raise RangeNotSatisfiable(size)
    return start, end - start + 1
