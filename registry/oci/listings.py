"""Listings: tags, referrers, repositories (OCI Distribution, "Content Discovery")."""

import json
from urllib.parse import quote

from base.digest import DigestMalformed, parse_digest
from base.web import Reply
from registry import rows
from registry.errors import DigestInvalid
from registry.media import OCI_INDEX
from registry.oci.call import DEFAULT_PAGE, Call, Registry

_JSON = ("Content-Type", "application/json")
_MAX_REFERRERS_BYTES = 4 * 1024 * 1024


async def list_tags(registry: Registry, call: Call) -> Reply:
    name = call.name
    count, last = call.page()
    repository_id = await registry.repositories.find_id(call.registry, name)
    tags = await rows.list_tags(registry.database, repository_id, after=last, limit=count + 1) if count else []
    headers = [_JSON]
    if len(tags) > count:
        tags = tags[:count]
        headers.append(_next(f"/v2/{name}/tags/list?n={count}&last={quote(tags[-1])}"))
    return Reply(200, headers, json.dumps({"name": name, "tags": tags}).encode())


async def list_repositories(registry: Registry, call: Call) -> Reply:
    count, last = call.page()
    names = (
        [repository.name for repository in await registry.repositories.list(call.registry, after=last, limit=count + 1)]
        if count
        else []
    )
    headers = [_JSON]
    if len(names) > count:
        names = names[:count]
        headers.append(_next(f"/v2/_catalog?n={count}&last={quote(names[-1])}"))
    return Reply(200, headers, json.dumps({"repositories": names}).encode())


async def list_referrers(registry: Registry, call: Call) -> Reply:
    """An index of the manifests whose subject is the digest; empty where there is none, or no such repository."""
    name = call.name
    try:
        subject = parse_digest(call.groups["digest"].replace("%3A", ":").replace("%3a", ":"))
    except DigestMalformed as error:
        raise DigestInvalid(str(error)) from error
    types = [value for key, value in call.parameters if key == "artifactType" and value]
    known = [kind for kind in types if kind.isprintable()]  # as all are that are stored
    count, last = call.page()
    count = count or DEFAULT_PAGE
    repository_id = await rows.find_repository_id(registry.database, call.registry, name)
    found = (
        await rows.list_referrers(
            registry.database, repository_id, subject, artifact_types=known, after=last, limit=count + 1
        )
        if repository_id is not None and bool(known) is bool(types)
        else []
    )
    descriptors: list[str] = []
    size = 0
    for referrer in found[:count]:
        text = json.dumps(_descriptor(referrer))
        size += len(text)
        if size > _MAX_REFERRERS_BYTES and descriptors:
            break
        descriptors.append(text)
    headers = [("Content-Type", OCI_INDEX)]
    if types:
        headers.append(("OCI-Filters-Applied", "artifactType"))
    if len(descriptors) < len(found):
        filters = "".join(f"&artifactType={quote(kind, safe='')}" for kind in types)
        final = found[len(descriptors) - 1].digest
        headers.append(_next(f"/v2/{name}/referrers/{subject}?n={count}&last={final}{filters}"))
    body = f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{",".join(descriptors)}]}}'
    return Reply(200, headers, body.encode())


def _descriptor(referrer: rows.Referrer) -> dict[str, object]:
    descriptor: dict[str, object] = {
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size,
    }
    if referrer.artifact_type:
        descriptor["artifactType"] = referrer.artifact_type
    if referrer.annotations:
        descriptor["annotations"] = referrer.annotations
    return descriptor


def _next(target: str) -> tuple[str, str]:
    return ("Link", f'<{target}>; rel="next"')
