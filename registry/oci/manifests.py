"""Manifests and tags (OCI Distribution, "Pulling manifests", "Pushing Manifests", "Deleting Manifests", "Deleting tags")."""

from urllib.parse import unquote

from base.digest import Digest, DigestMalformed, parse_digest
from base.web import Reply
from registry import rows
from registry.errors import DigestInvalid, ManifestTooLarge, ManifestUnknown, TagInvalid
from registry.manifest import MAX_SIZE
from registry.names import Tag, TagMalformed, parse_tag
from registry.oci.blobs import matches
from registry.oci.call import Call, Registry
from registry.oci.uploads import create_on_push, let_in
from registry.rows import StoredManifest
from registry.uploads import Body

MAX_TAG_PARAMETERS = 100


async def head_manifest(registry: Registry, call: Call) -> Reply:
    digest, tag = _reference(call)
    manifest = await registry.pull.peek(call.registry, call.name, digest=digest, tag=tag)
    if matches(call.headers.get("If-None-Match"), manifest.digest):
        return Reply(304, _headers(manifest))
    return Reply(200, _headers(manifest), length=len(manifest.content))


async def get_manifest(registry: Registry, call: Call) -> Reply:
    digest, tag = _reference(call)
    manifest = await registry.pull.manifest(call.registry, call.name, digest=digest, tag=tag)
    if matches(call.headers.get("If-None-Match"), manifest.digest):
        return Reply(304, _headers(manifest))
    return Reply(200, _headers(manifest), manifest.content)


async def put_manifest(registry: Registry, call: Call) -> Reply:
    name = call.name
    digest, tag = _reference(call)
    named = [value for key, value in call.parameters if key == "tag"]
    if len(named) > MAX_TAG_PARAMETERS:
        raise TagInvalid(f"at most {MAX_TAG_PARAMETERS} tags can be given")
    tags = list(dict.fromkeys([*([tag] if tag else []), *(_tag(text) for text in named)]))
    if call.body.length is not None and call.body.length > MAX_SIZE:
        raise _too_large()
    repository = await rows.find_repository(registry.database, call.registry, name)
    if repository is None:
        repository = await create_on_push(registry, call, name, "ecr:PutImage")
    await let_in(registry, call, call.body)  # manifests lie in the database, which needs the reserve to delete
    content = await read_manifest(call.body)
    media_type = (call.headers.get("Content-Type") or "").partition(";")[0].strip()
    put = await registry.push.put(repository, content, media_type or None, tags=tags, digest=digest)
    headers = [("Location", f"/v2/{name}/manifests/{put.digest}"), ("Docker-Content-Digest", put.digest)]
    if put.manifest.subject is not None:
        headers.append(("OCI-Subject", put.manifest.subject))
    headers.extend(("OCI-Tag", text) for text in dict.fromkeys(named))
    return Reply(201, headers)


async def delete_manifest(registry: Registry, call: Call) -> Reply:
    digest, tag = _reference(call)
    repository_id = await registry.repositories.find_id(call.registry, call.name)
    if tag is not None:
        if await registry.database.write(lambda: rows.delete_tag(repository_id, tag)) is None:
            raise ManifestUnknown
        return Reply(202)
    assert digest is not None
    keep = not registry.delete_referenced
    now = registry.clock()
    gone = await registry.database.write(lambda: rows.delete_manifest(repository_id, digest, now, keep_referenced=keep))
    if gone is None:
        raise ManifestUnknown
    return Reply(202, [("Docker-Content-Digest", digest)])


async def read_manifest(body: Body) -> bytes:
    """Raises ManifestTooLarge as soon as more has come than a manifest may have."""
    pieces: list[bytes] = []
    size = 0
    while size <= MAX_SIZE:
        some = await body.read(256 * 1024)
        if not some:
            break
        pieces += some
        size += sum(map(len, some))
    if size > MAX_SIZE:
        raise _too_large()
    return b"".join(pieces)


def _too_large() -> ManifestTooLarge:
    return ManifestTooLarge(f"the manifest has more than {MAX_SIZE} bytes")


def _reference(call: Call) -> tuple[Digest | None, Tag | None]:
    text = call.groups["reference"]
    if "%" in text:
        text = unquote(text)
    if ":" not in text:
        return None, _tag(text)
    try:
        return parse_digest(text), None
    except DigestMalformed as error:
        raise DigestInvalid(str(error)) from error


def _tag(text: str) -> Tag:
    try:
        return parse_tag(text)
    except TagMalformed as error:
        raise TagInvalid(str(error)) from error


def _headers(manifest: StoredManifest) -> list[tuple[str, str]]:
    return [
        ("Content-Type", manifest.media_type),
        ("Docker-Content-Digest", manifest.digest),
        ("ETag", f'"{manifest.digest}"'),
    ]
