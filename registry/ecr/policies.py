"""Resource-based policies and account settings (Set-, Get- and DeleteRepositoryPolicy, Put-, Get- and DeleteRegistryPolicy,
Get- and PutAccountSetting)."""

from dataclasses import replace
from typing import Final

from auth.access import Access
from auth.authorize import Facts, circumstances_of
from auth.policy.document import Policy, PolicyMalformed
from auth.policy.evaluate import PolicySet
from auth.principals import PrincipalInvalid
from registry.ecr.call import Call, Registry, Result, name_of, refuse, registry_of
from registry.facts import ACCOUNT_SETTINGS
from registry.policies import parse_repository_policy

_TEXT: Final = "PolicyText"
NO_PRINCIPAL: Final = "Principal not found"
_LOCKED_OUT: Final = (
    "The policy would prevent you from setting another policy in the future. Use force to set it nevertheless"
)


async def set_repository_policy(ecr: Registry, call: Call) -> Result:
    registry, name = registry_of(call), name_of(call)
    policy = read_repository_policy(call.params["policyText"], _TEXT)
    repository = await ecr.repositories.find(registry, name)
    if not call.params.get("force", False) and await _locks_out(ecr, call, policy):
        refuse(_TEXT, _LOCKED_OUT)
    try:
        return _render(call, await ecr.policies.put_on_repository(repository, policy))
    except PrincipalInvalid as error:
        refuse(_TEXT, NO_PRINCIPAL, error)


async def get_repository_policy(ecr: Registry, call: Call) -> Result:
    return _render(call, await ecr.policies.of_repository(registry_of(call), name_of(call)))


async def delete_repository_policy(ecr: Registry, call: Call) -> Result:
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    return _render(call, await ecr.policies.delete_from_repository(repository))


async def put_registry_policy(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    try:
        text = await ecr.policies.put_on_registry(registry, call.params["policyText"])
    except PolicyMalformed as error:
        refuse(_TEXT, error.message, error)
    except PrincipalInvalid as error:
        refuse(_TEXT, NO_PRINCIPAL, error)
    return {"registryId": registry.account, "policyText": text}


async def get_registry_policy(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    return {"registryId": registry.account, "policyText": await ecr.policies.of_registry(registry)}


async def delete_registry_policy(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    return {"registryId": registry.account, "policyText": await ecr.policies.delete_from_registry(registry)}


async def get_account_setting(ecr: Registry, call: Call) -> Result:
    name = _setting_of(call)
    return {"name": name, "value": await ecr.policies.setting(registry_of(call), name)}


async def put_account_setting(ecr: Registry, call: Call) -> Result:
    name, value = _setting_of(call), call.params["value"]
    if value not in ACCOUNT_SETTINGS[name]:
        refuse("value", f"Member must satisfy enum value set: [{', '.join(sorted(ACCOUNT_SETTINGS[name]))}]")
    await ecr.policies.put_setting(registry_of(call), name, value)
    return {"name": name, "value": value}


def read_repository_policy(text: str, parameter: str) -> Policy:
    """Raises ParameterInvalid."""
    try:
        return parse_repository_policy(text)
    except PolicyMalformed as error:
        refuse(parameter, error.message, error)


async def _locks_out(ecr: Registry, call: Call, policy: Policy) -> bool:
    """Whether the caller could not set the policy of the repository once it has this one."""

    def with_policy(facts: Facts) -> Facts:
        return replace(facts, repository=PolicySet([policy]))

    access = Access("ecr:SetRepositoryPolicy", registry_of(call).arn(name_of(call)))
    verdict = await ecr.gate.rehearse(call.principal, access, circumstances_of(call), with_policy)
    return not verdict.allowed


def _setting_of(call: Call) -> str:
    name: str = call.params["name"]
    if name not in ACCOUNT_SETTINGS:
        refuse("name", f"Member must satisfy enum value set: [{', '.join(ACCOUNT_SETTINGS)}]")
    return name


def _render(call: Call, text: str) -> Result:
    return {"registryId": registry_of(call).account, "repositoryName": name_of(call), "policyText": text}
