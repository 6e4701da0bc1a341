"""Repository creation templates (Create-, Update-, Delete- and DescribeRepositoryCreationTemplate(s))."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from auth.principals import PrincipalInvalid
from aws.arn import Arn
from registry.ecr.call import Call, Registry, Result, refuse, registry_of
from registry.ecr.paging import read_page, write_token
from registry.ecr.policies import NO_PRINCIPAL, read_repository_policy
from registry.ecr.repositories import read_encryption, read_resource_tags, read_tag_policy
from registry.errors import TemplateAlreadyExists, TemplateNotFound
from registry.names import RegistryId
from registry.repositories import Template, complete_encryption

ROOT = "ROOT"
_POLICY = "repositoryPolicy"
_MEMBERS = (
    "description",
    "encryptionConfiguration",
    "resourceTags",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    _POLICY,
    "lifecyclePolicy",
    "appliedFor",
    "customRoleArn",
)
_MOST_PREFIXES = 100
_FILTERS = "imageTagMutabilityExclusionFilters"


async def create_repository_creation_template(ecr: Registry, call: Call) -> Result:
    registry, prefix = registry_of(call), prefix_of(call)
    settings = _complete(registry, {name: call.params[name] for name in _MEMBERS if name in call.params})
    try:
        made = await ecr.repositories.create_template(registry, prefix, settings)
    except PrincipalInvalid as error:
        refuse(_POLICY, NO_PRINCIPAL, error)
    if made is None:
        raise TemplateAlreadyExists(registry, prefix)
    return await _render_answer(ecr, registry, made)


async def update_repository_creation_template(ecr: Registry, call: Call) -> Result:
    """Members that are not given stay as they are."""
    registry, prefix = registry_of(call), prefix_of(call)
    given = {name: call.params[name] for name in _MEMBERS if name in call.params}

    def change(settings: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = {**settings, **given}
        if "imageTagMutability" in given and not given["imageTagMutability"].endswith("_WITH_EXCLUSION"):
            changed = {name: value for name, value in changed.items() if name != _FILTERS or name in given}
        return _complete(registry, changed)

    try:
        updated = await ecr.repositories.update_template(registry, prefix, change)
    except PrincipalInvalid as error:
        refuse(_POLICY, NO_PRINCIPAL, error)
    if updated is None:
        raise TemplateNotFound(registry, prefix)
    return await _render_answer(ecr, registry, updated)


async def delete_repository_creation_template(ecr: Registry, call: Call) -> Result:
    registry, prefix = registry_of(call), prefix_of(call)
    deleted = await ecr.repositories.delete_template(registry, prefix)
    if deleted is None:
        raise TemplateNotFound(registry, prefix)
    return await _render_answer(ecr, registry, deleted)


async def describe_repository_creation_templates(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    prefixes = call.params.get("prefixes")
    result: Result = {"registryId": registry.account}
    if prefixes:
        if len(prefixes) > _MOST_PREFIXES:
            refuse("prefixes", f"Member must have length less than or equal to {_MOST_PREFIXES}")
        found = await ecr.repositories.find_templates(registry, [_normal(prefix) for prefix in prefixes])
        return {**result, "repositoryCreationTemplates": await _render(ecr, found)}
    limit, (after,) = read_page(call.params, "templates")
    found = await ecr.repositories.list_templates(registry, after=after, limit=limit + 1)
    shown = found[:limit]
    result["repositoryCreationTemplates"] = await _render(ecr, shown)
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
    policy = settings.get(_POLICY)
    if policy:
        read_repository_policy(policy, _POLICY)
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


async def _render_answer(ecr: Registry, registry: RegistryId, template: Template) -> Result:
    (rendered,) = await _render(ecr, [template])
    return {"registryId": registry.account, "repositoryCreationTemplate": rendered}


async def _render(ecr: Registry, templates: Sequence[Template]) -> list[Result]:
    kept = [template.settings[_POLICY] for template in templates if _POLICY in template.settings]
    policies = iter(await ecr.policies.show(kept))
    return [
        {
            "prefix": template.prefix,
            **template.settings,
            **({_POLICY: next(policies)} if _POLICY in template.settings else {}),
            "createdAt": template.created_at,
            "updatedAt": template.updated_at,
        }
        for template in templates
    ]
