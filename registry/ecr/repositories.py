"""Repositories and their resource tags (CreateRepository, DescribeRepositories, DeleteRepository, PutImageTagMutability,
TagResource, UntagResource, ListTagsForResource, DescribeRegistry)."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws.arn import Arn
from registry.ecr.call import Call, Registry, Result, name_of, read_name, refuse, registry_of
from registry.ecr.paging import read_page, refuse_paging, write_token
from registry.errors import ResourceTagInvalid, TooManyResourceTags
from registry.mutability import MutabilityInvalid, TagPolicy, make_tag_policy
from registry.names import NameMalformed, RegistryId, RepositoryName, parse_name
from registry.repositories import MAX_RESOURCE_TAGS, NewRepository
from registry.rows import Repository

_MAX_KEY = 128
_MAX_VALUE = 256
_TAG_PUNCTUATION = frozenset("_.:/=+-@")
_RESOURCE = "repository/"


async def create_repository(ecr: Registry, call: Call) -> Result:
    params = call.params
    new = NewRepository(
        tag_policy=read_tag_policy(params),
        scan_on_push=params.get("imageScanningConfiguration", {}).get("scanOnPush", False),
        encryption=read_encryption(params.get("encryptionConfiguration")),
        tags=read_resource_tags(params.get("tags", ())),
    )
    made = await ecr.repositories.create(registry_of(call), name_of(call), new)
    return {"repository": render_repository(ecr, call, made)}


async def describe_repositories(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    names = call.params.get("repositoryNames")
    if names:
        refuse_paging(call.params, "repositoryNames")
        wanted = [read_name(name, "repositoryNames") for name in names]
        found = await ecr.repositories.find_all(registry, wanted)
        return {"repositories": [render_repository(ecr, call, one) for one in found]}
    limit, (after,) = read_page(call.params, "repositories")
    found = await ecr.repositories.list(registry, after=after, limit=limit + 1)
    shown = found[:limit]
    result: Result = {"repositories": [render_repository(ecr, call, one) for one in shown]}
    if len(found) > limit:
        result["nextToken"] = write_token("repositories", shown[-1].name)
    return result


async def delete_repository(ecr: Registry, call: Call) -> Result:
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    await ecr.repositories.delete(repository, force=call.params.get("force", False))
    return {"repository": render_repository(ecr, call, repository)}


async def put_image_tag_mutability(ecr: Registry, call: Call) -> Result:
    policy = read_tag_policy(call.params)
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    await ecr.repositories.set_tag_policy(repository, policy)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        **_render_tag_policy(policy),
    }


async def describe_registry(ecr: Registry, call: Call) -> Result:  # noqa: ARG001 - every handler is called alike
    return {"registryId": registry_of(call).account, "replicationConfiguration": {"rules": []}}


async def tag_resource(ecr: Registry, call: Call) -> Result:
    tags = read_resource_tags(call.params["tags"])
    repository = await ecr.repositories.find(*resource_of(call))
    await ecr.repositories.tag(repository, tags)
    return {}


async def untag_resource(ecr: Registry, call: Call) -> Result:
    repository = await ecr.repositories.find(*resource_of(call))
    await ecr.repositories.untag(repository, call.params["tagKeys"])
    return {}


async def list_tags_for_resource(ecr: Registry, call: Call) -> Result:
    repository = await ecr.repositories.find(*resource_of(call))
    return {"tags": render_resource_tags(await ecr.repositories.list_resource_tags(repository))}


def resource_of(call: Call) -> tuple[RegistryId, RepositoryName]:
    """The repository that `resourceArn` names. Raises ParameterInvalid."""
    try:
        arn = Arn.parse(call.params["resourceArn"])
        name = parse_name(arn.resource.removeprefix(_RESOURCE))
    except (ValueError, NameMalformed) as error:
        refuse("resourceArn", "Invalid ARN", error)
    registry = RegistryId(arn.account, arn.region)
    if str(arn) != registry.arn(name) or arn.region != call.region:  # of another service, resource, partition or region
        refuse("resourceArn", "Invalid ARN")
    return registry, name


# -- reading


def read_tag_policy(params: Mapping[str, Any]) -> TagPolicy:
    """imageTagMutability and imageTagMutabilityExclusionFilters. Raises ParameterInvalid."""
    mode = params.get("imageTagMutability", "MUTABLE")
    filters = [entry["filter"] for entry in params.get("imageTagMutabilityExclusionFilters", ())]
    where = "imageTagMutabilityExclusionFilters"
    if mode.endswith("_WITH_EXCLUSION") is not bool(filters):
        wrong = "must" if filters else "can't"
        refuse(where, f"ImageTagMutabilityExclusionFilters {wrong} be null when imageTagMutability is set as {mode}")
    try:
        return make_tag_policy(mode, filters)
    except MutabilityInvalid as error:
        refuse(where, str(error), error)


def read_encryption(given: Mapping[str, str] | None) -> dict[str, str]:
    """encryptionConfiguration. Raises ParameterInvalid."""
    if given is None:
        return {"encryptionType": "AES256"}
    if given["encryptionType"] == "AES256" and given.get("kmsKey"):
        refuse("encryptionConfiguration", "kmsKey can only be specified with the encryption types KMS and KMS_DSSE")
    return dict(given)


def read_resource_tags(given: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Raises ResourceTagInvalid, TooManyResourceTags."""
    if len(given) > MAX_RESOURCE_TAGS:
        raise TooManyResourceTags(MAX_RESOURCE_TAGS)
    tags: dict[str, str] = {}
    folded: set[str] = set()
    for tag in given:
        key, value = tag["Key"], tag["Value"]
        right = 1 <= len(key) <= _MAX_KEY and len(value) <= _MAX_VALUE and key.lower() not in folded
        folded.add(key.lower())
        if not right or key.lower().startswith("aws:") or not _is_tag_text(key) or not _is_tag_text(value):
            raise ResourceTagInvalid("Tag parameters are invalid")
        tags[key] = value
    return tuple(tags.items())


def _is_tag_text(text: str) -> bool:
    """Letters, digits, spaces and a little punctuation (AWS, "Tag naming limits and requirements")."""
    return all(letter in _TAG_PUNCTUATION or unicodedata.category(letter)[0] in "LNZ" for letter in text)


# -- rendering


def render_repository(ecr: Registry, call: Call, repository: Repository) -> Result:
    """ECR's Repository."""
    address = ecr.endpoint(repository.registry, call).partition("://")[2]
    return {
        "repositoryArn": repository.registry.arn(repository.name),
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "repositoryUri": f"{address}/{repository.name}",
        "createdAt": repository.created_at,
        **_render_tag_policy(repository.tag_policy),
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": repository.encryption,
    }


def _render_tag_policy(policy: TagPolicy) -> Result:
    rendered: Result = {"imageTagMutability": policy.mode.value}
    if policy.filters:
        rendered["imageTagMutabilityExclusionFilters"] = [
            {"filterType": "WILDCARD", "filter": pattern} for pattern in policy.filters
        ]
    return rendered


def render_resource_tags(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """ECR's TagList."""
    return [{"Key": key, "Value": value} for key, value in tags]
