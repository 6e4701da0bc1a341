"""Repository creation templates (Create-, Update-, Delete- and DescribeRepositoryCreationTemplate(s))."""

import json
from collections.abc import Mapping
from typing import Any

from aws.arn import Arn
from registry.ecr.call import Call, Registry, Result, refuse, registry_of
from registry.ecr.paging import read_page, write_token
from registry.ecr.policies import read_repository_policy
from registry.ecr.repositories import read_encryption, read_resource_tags, read_tag_policy
from registry.errors import TemplateAlreadyExists, TemplateNotFound
from registry.names import RegistryId
from registry.policies import lay_out
from registry.repositories import Template, complete_encryption

ROOT = "ROOT"
_MEMBERS = (
    "description",
    "encryptionConfiguration",
    "resourceTags",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    "repositoryPolicy",
    "lifecyclePolicy",
    "appliedFor",
    "customRoleArn",
)
_MOST_PREFIXES = 100
_FILTERS = "imageTagMutabilityExclusionFilters"


async def create_repository_creation_template(ecr: Registry, call: Call) -> Result:
    registry, prefix = registry_of(call), prefix_of(call)
    settings = _complete(registry, {name: call.params[name] for name in _MEMBERS if name in call.params})
    made = await ecr.repositories.create_template(registry, prefix, settings)
    if made is None:
        raise TemplateAlreadyExists(registry, prefix)
    return _render_answer(registry, made)


async def update_repository_creation_template(ecr: Registry, call: Call) -> Result:
    """Members that are not given stay as they are."""
    registry, prefix = registry_of(call), prefix_of(call)
    given = {name: call.params[name] for name in _MEMBERS if name in call.params}

    def change(settings: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = {**settings, **given}
        if "imageTagMutability" in given and not given["imageTagMutability"].endswith("_WITH_EXCLUSION"):
            changed = {name: value for name, value in changed.items() if name != _FILTERS or name in given}
        return _complete(registry, changed)

    updated = await ecr.repositories.update_template(registry, prefix, change)
    if updated is None:
        raise TemplateNotFound(registry, prefix)
    return _render_answer(registry, updated)


async def delete_repository_creation_template(ecr: Registry, call: Call) -> Result:
    registry, prefix = registry_of(call), prefix_of(call)
    deleted = await ecr.repositories.delete_template(registry, prefix)
    if deleted is None:
        raise TemplateNotFound(registry, prefix)
    return _render_answer(registry, deleted)


async def describe_repository_creation_templates(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    prefixes = call.params.get("prefixes")
    result: Result = {"registryId": registry.account}
    if prefixes:
        if len(prefixes) > _MOST_PREFIXES:
            refuse("prefixes", f"Member must have length less than or equal to {_MOST_PREFIXES}")
        found = await ecr.repositories.find_templates(registry, [_normal(prefix) for prefix in prefixes])
        return {**result, "repositoryCreationTemplates": [_render(one) for one in found]}
    limit, (after,) = read_page(call.params, "templates")
    found = await ecr.repositories.list_templates(registry, after=after, limit=limit + 1)
    shown = found[:limit]
    result["repositoryCreationTemplates"] = [_render(one) for one in shown]
    if len(found) > limit:
        result["nextToken"] = write_token("templates", shown[-1].prefix)
    return result


def prefix_of(call: Call) -> str:
    """The prefix without the slash that is implied, or ROOT."""
    return _normal(call.params["prefix"])


def _normal(prefix: str) -> str:
    return prefix.removesuffix("/")


def _complete(registry: RegistryId, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with their defaults, all of them checked. Raises ParameterInvalid, ResourceTagInvalid."""
    read_tag_policy(settings)
    read_resource_tags(settings.get("resourceTags", ()))
    encryption = read_encryption(settings.get("encryptionConfiguration"))
    if not settings["appliedFor"]:
        refuse("appliedFor", "Member must have length greater than or equal to 1")
    policy = settings.get("repositoryPolicy")
    if policy:
        read_repository_policy(policy, "repositoryPolicy")
        settings = {**settings, "repositoryPolicy": lay_out(policy)}
    _check_lifecycle(settings.get("lifecyclePolicy"))
    role = settings.get("customRoleArn")
    if role:
        _check_role(registry, role)
    elif settings.get("resourceTags") or encryption["encryptionType"] != "AES256":
        refuse("customRoleArn", "Member must not be null when resourceTags or an encryption with KMS is specified")
    return {
        "imageTagMutability": "MUTABLE",
        **{name: value for name, value in settings.items() if value not in ("", [])},
        "appliedFor": list(dict.fromkeys(settings["appliedFor"])),
        "encryptionConfiguration": complete_encryption(registry, encryption),
    }


def _check_lifecycle(text: str | None) -> None:
    if not text:
        return
    try:
        right = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        right = False
    if not right:
        refuse("lifecyclePolicy", "Invalid JSON syntax")


def _check_role(registry: RegistryId, text: str) -> None:
    try:
        arn = Arn.parse(text)
    except ValueError as error:
        refuse("customRoleArn", "Invalid ARN", error)
    if arn.service != "iam" or not arn.resource.startswith("role/"):
        refuse("customRoleArn", "Invalid ARN")
    if arn.account != registry.account:
        refuse("customRoleArn", "The role must be in the same account as the registry")


def _render_answer(registry: RegistryId, template: Template) -> Result:
    return {"registryId": registry.account, "repositoryCreationTemplate": _render(template)}


def _render(template: Template) -> Result:
    return {
        "prefix": template.prefix,
        **template.settings,
        "createdAt": template.created_at,
        "updatedAt": template.updated_at,
    }
