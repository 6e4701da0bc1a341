"""Uploads (OCI Distribution, "Pushing a blob in chunks", "monolithically", "Mounting a blob", "Cancelling")."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from auth.access import Access
from base.digest import Digest, DigestMalformed, parse_digest
from base.web import Reply
from registry import rows
from registry.accesses import creation
from registry.errors import (
    DigestInvalid,
    NameInvalid,
    OffsetWrong,
    RepositoryAlreadyExists,
    RepositoryNotFound,
    SizeInvalid,
)
from registry.names import NameMalformed, RepositoryName, parse_name
from registry.oci.call import Call, Registry
from registry.rows import Repository, Upload
from registry.uploads import Body

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d{1,18}|\*))?\Z", re.ASCII)
_WHOLE = ("ecr:UploadLayerPart", "ecr:CompleteLayerUpload")
_SOURCES = 20
"""Repositories that a mount without `from` looks at, at the most."""


async def begin_upload(registry: Registry, call: Call) -> Reply:
    name = call.name
    if not call.query:
        upload = await registry.uploads.begin_named(call.registry, name, call.caller.principal.unique_id)
        if upload is not None:
            return _accepted(name, upload)
    repository_id = await ensure_repository(registry, call, name, "ecr:InitiateLayerUpload")
    wanted = call.parameter("mount")
    if wanted is not None:
        digest = _digest(wanted)
        if await _mount(registry, call, repository_id, digest):
            return _created(name, digest)
        return _accepted(name, await registry.uploads.begin(repository_id, call.caller.principal.unique_id))
    whole = call.parameter("digest")
    if whole is not None:
        digest = _digest(whole)
        if call.body.length == 0 and not _is_empty(digest):
            # some clients name the digest and send no bytes yet: they go on with a session
            return _accepted(name, await registry.uploads.begin(repository_id, call.caller.principal.unique_id))
        arn = call.registry.arn(name)
        await registry.gate.authorize(  # the steps that this request takes at once
            call.caller.principal, [Access(action, arn) for action in _WHOLE], call.circumstances
        )
        await let_in(registry, call, call.body)
        await registry.uploads.take(repository_id, digest, call.body)
        return _created(name, digest)
    algorithm = call.parameter("digest-algorithm") or "sha256"
    try:
        upload = await registry.uploads.begin(repository_id, call.caller.principal.unique_id, algorithm=algorithm)
    except DigestMalformed as error:
        raise DigestInvalid(str(error)) from error
    return _accepted(name, upload)


async def upload_status(registry: Registry, call: Call) -> Reply:
    upload = await _find(registry, call)
    return Reply(204, _state(call.name, upload))


async def append_upload(registry: Registry, call: Call) -> Reply:
    upload = await _find(registry, call)
    offset, body = _claimed(call.headers.get("Content-Range"), call.body)
    _refuse_early(upload, offset)
    await let_in(registry, call, body)
    upload = await registry.uploads.receive(upload, body, offset=offset)
    return Reply(202, _state(call.name, upload))


async def finish_upload(registry: Registry, call: Call) -> Reply:
    upload = await _find(registry, call)
    text = call.parameter("digest")
    if text is None:
        raise DigestInvalid("the parameter digest is missing: give the digest of the whole blob")
    digest = _digest(text)
    offset, body = _claimed(call.headers.get("Content-Range"), call.body)
    _refuse_early(upload, offset)
    await let_in(registry, call, body)
    await registry.uploads.finish(upload, digest, body, offset=offset)
    return _created(call.name, digest)


async def cancel_upload(registry: Registry, call: Call) -> Reply:
    await registry.uploads.cancel(await _find(registry, call))
    return Reply(204)


async def ensure_repository(registry: Registry, call: Call, name: RepositoryName, action: str) -> int:
    """The id of the repository that a push names, made if a template or the setting says so.

    Raises RepositoryNotFound with the way out in its message; AccessDenied.
    """
    found = await rows.find_repository_id(registry.database, call.registry, name)
    return found if found is not None else (await create_on_push(registry, call, name, action)).id


async def create_on_push(registry: Registry, call: Call, name: RepositoryName, action: str) -> Repository:
    """The repository that a push names and that was not there. `action` is what was about to be done to it.

    Raises RepositoryNotFound, AccessDenied.
    """
    new = await registry.repositories.creation_on_push(call.registry, name)
    if new is None:
        missing = RepositoryNotFound(call.registry, name)
        missing.message += f". Create it first: aws ecr create-repository --repository-name {name}"
        raise missing
    arn, principal = call.registry.arn(name), call.caller.principal
    tags = [{"Key": key, "Value": value} for key, value in new.tags]
    await registry.gate.authorize(principal, creation(arn, tags, tagging=False), call.circumstances)
    try:
        made = await registry.repositories.create(call.registry, name, new)
    except RepositoryAlreadyExists:  # another push was quicker
        made = await registry.repositories.find(call.registry, name)
    if new.tags or new.policy:  # the gate was asked when there were none
        await registry.gate.authorize(principal, [Access(action, arn)], call.circumstances)
    return made


async def _mount(registry: Registry, call: Call, target_id: int, digest: Digest) -> bool:
    if await registry.policies.setting(call.registry, "BLOB_MOUNTING") != "ENABLED":
        return False
    source = call.parameter("from")
    if source:
        try:
            candidates = [str(parse_name(source))]
        except NameMalformed as error:
            raise NameInvalid(f"from: {error}") from error
    else:
        candidates = await rows.find_blob_repositories(registry.database, call.registry, digest, limit=_SOURCES)
    for candidate in candidates:
        scope = f"repository:{candidate}"
        readable = call.caller.may_use(scope, "pull") and await registry.allows(
            call, [Access("ecr:GetDownloadUrlForLayer", call.registry.arn(candidate))]
        )
        if not readable:
            continue
        source_id = await rows.find_repository_id(registry.database, call.registry, RepositoryName(candidate))
        if source_id is None:
            continue
        if await _link(registry, source_id, target_id, digest):
            return True
    return False


async def _link(registry: Registry, source_id: int, target_id: int, digest: Digest) -> bool:
    now = registry.clock()
    return await registry.database.write(lambda: rows.link_blob(source_id, target_id, digest, now))


async def _find(registry: Registry, call: Call) -> Upload:
    return await registry.uploads.find(call.registry, call.name, call.caller.principal.unique_id, call.groups["upload"])


def _refuse_early(upload: Upload, offset: int | None) -> None:
    if offset is not None and offset != upload.received:
        raise OffsetWrong(f"the upload stands at {upload.received} bytes, not {offset}", received=upload.received)


async def let_in(registry: Registry, call: Call, body: Body) -> None:
    """Let the body come, unless there is no room for it: then it is not even sent. Raises StorageFull."""
    await registry.uploads.check_space(body.length or 0)
    await call.proceed()


@dataclass(frozen=True, slots=True)
class _Measured:
    """A body without a length, which a Content-Range gives one."""

    body: Body
    length: int | None

    async def read(self, size: int) -> list[bytes]:
        return await self.body.read(size)


def _claimed(field: str | None, body: Body) -> tuple[int | None, Body]:
    """Where a Content-Range says that its bytes begin, and a body of as many. Raises SizeInvalid."""
    if not field:
        return None, body
    match = _CONTENT_RANGE.match(field.strip())
    if match is None:
        raise SizeInvalid(f"Content-Range has to be <first>-<last>, not `{field[:80]}`")
    first, last = int(match.group(1)), int(match.group(2))
    if body.length == 0 and last <= first:  # an empty chunk has no last byte
        return first, body
    if last < first or (body.length is not None and last - first + 1 != body.length):
        raise SizeInvalid(f"Content-Range `{field[:80]}` and the length of the body differ")
    return first, body if body.length is not None else _Measured(body, last - first + 1)


def _digest(text: str) -> Digest:
    try:
        return parse_digest(text)
    except DigestMalformed as error:
        raise DigestInvalid(str(error)) from error


def _is_empty(digest: Digest) -> bool:
    return digest in {
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    }


def location(name: str, upload: Upload) -> str:
    """The address of a session: relative, so that it is right behind every proxy."""
    return f"/v2/{name}/blobs/uploads/{quote(upload.id)}"


def span(received: int) -> str:
    """The Range of a session: `0-<last byte>`, and `0-0` for an empty one."""
    return f"0-{max(0, received - 1)}"


def _state(name: str, upload: Upload) -> list[tuple[str, str]]:
    return [
        ("Location", location(name, upload)),
        ("Range", span(upload.received)),
        ("Docker-Upload-UUID", upload.id),
    ]


def _accepted(name: str, upload: Upload) -> Reply:
    return Reply(202, _state(name, upload))


def _created(name: str, digest: Digest) -> Reply:
    return Reply(201, [("Location", f"/v2/{name}/blobs/{digest}"), ("Docker-Content-Digest", digest)])
