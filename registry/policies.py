"""Repository policies, registry policies and account settings (Amazon ECR, "Private repository policies", "Private registry
permissions")."""

import json
from collections.abc import Sequence
from typing import Any, Final

from auth.epoch import Epoch
from auth.policy.document import Kind, Policy, PolicyMalformed, Source, Statement, parse_policy
from auth.principals import bind_principals, show_principals
from registry import rows
from registry.errors import RegistryPolicyNotFound, RepositoryNotFound, RepositoryPolicyNotFound
from registry.facts import ACCOUNT_SETTINGS, V1_ACTIONS, RegistryFacts
from registry.names import RegistryId, RepositoryName
from registry.rows import Repository
from store.database import Database, Unit

REGISTRY_ACTIONS: Final = frozenset(
    {
        "ecr:CreatePullThroughCacheRule", "ecr:CreateRepositoryCreationTemplate", "ecr:DeletePullThroughCacheRule",
        "ecr:DeleteRegistryPolicy", "ecr:DeleteRepositoryCreationTemplate", "ecr:DeleteSigningConfiguration",
        "ecr:DeregisterPullTimeUpdateExclusion", "ecr:DescribePullThroughCacheRules", "ecr:DescribeRegistry",
        "ecr:DescribeRepositoryCreationTemplates", "ecr:GetAccountSetting", "ecr:GetAuthorizationToken",
        "ecr:GetRegistryPolicy", "ecr:GetRegistryScanningConfiguration", "ecr:GetSigningConfiguration",
        "ecr:ListPullTimeUpdateExclusions", "ecr:PutAccountSetting", "ecr:PutRegistryPolicy",
        "ecr:PutRegistryScanningConfiguration", "ecr:PutReplicationConfiguration", "ecr:PutSigningConfiguration",
        "ecr:RegisterPullTimeUpdateExclusion", "ecr:UpdatePullThroughCacheRule",
        "ecr:UpdateRepositoryCreationTemplate", "ecr:ValidatePullThroughCacheRule",
    }
)  # fmt: skip
"""Actions on no repository (Service Authorization Reference, "Amazon Elastic Container Registry"): no repository's policy
is ever asked about them."""
_REGISTRY_NAMES = frozenset(action.lower() for action in REGISTRY_ACTIONS)
_V1_NAMES = frozenset(action.lower() for action in V1_ACTIONS) | {"ecr:*"}


class Policies:
    """The use-cases of resource-based policies. What they write counts from the next request on.

    Texts come in as they were given and go out as ECR shows them; in between users and roles are kept as
    `auth.principals` keeps them.
    """

    def __init__(self, database: Database, epoch: Epoch, facts: RegistryFacts) -> None:
        self._database = database
        self._epoch = epoch
        self._facts = facts

    async def put_on_repository(self, repository: Repository, policy: Policy) -> str:
        """Raises PrincipalInvalid, RepositoryNotFound."""

        def unit() -> Unit[str]:
            document = yield from bind_principals(policy.text)
            yield from rows.put_repository_policy(repository, document)
            return document

        return await self._show(await self._epoch.change(unit))

    async def of_repository(self, registry: RegistryId, name: RepositoryName) -> str:
        """Raises RepositoryNotFound, RepositoryPolicyNotFound."""
        found = await rows.find_policed_repository(self._database, registry, name)
        if found is None:
            raise RepositoryNotFound(registry, name)
        if found[1] is None:
            raise RepositoryPolicyNotFound(registry, name)
        return await self._show(found[1])

    async def delete_from_repository(self, repository: Repository) -> str:
        """The policy that was deleted. Raises RepositoryPolicyNotFound."""
        document = await self._epoch.change(lambda: rows.delete_repository_policy(repository.id))
        if document is None:
            raise RepositoryPolicyNotFound(repository.registry, repository.name)
        return await self._show(document)

    async def put_on_registry(self, registry: RegistryId, text: str) -> str:
        """Raises PolicyMalformed, for what the registry's scope does not admit too, and PrincipalInvalid."""
        policy = parse_policy(text, Kind.REGISTRY, source=Source.RESOURCE)
        if await self.setting(registry, "REGISTRY_POLICY_SCOPE") == "V1":
            _check_v1(policy)

        def unit() -> Unit[str]:
            document = yield from bind_principals(text)
            yield from rows.put_registry_policy(registry, document)
            return document

        return await self._show(await self._epoch.change(unit))

    async def of_registry(self, registry: RegistryId) -> str:
        """Raises RegistryPolicyNotFound."""
        document = await rows.find_registry_policy(self._database, registry)
        if document is None:
            raise RegistryPolicyNotFound(registry)
        return await self._show(document)

    async def delete_from_registry(self, registry: RegistryId) -> str:
        """The policy that was deleted. Raises RegistryPolicyNotFound."""
        document = await self._epoch.change(lambda: rows.delete_registry_policy(registry))
        if document is None:
            raise RegistryPolicyNotFound(registry)
        return await self._show(document)

    async def show(self, documents: Sequence[str]) -> list[str]:
        """Kept policies as ECR shows them."""
        return [lay_out(text) for text in await show_principals(self._database, documents)]

    async def _show(self, document: str) -> str:
        return (await self.show([document]))[0]

    async def setting(self, registry: RegistryId, name: str) -> str:
        """The value of one of ACCOUNT_SETTINGS."""
        return await self._facts.setting(registry, name)

    async def put_setting(self, registry: RegistryId, name: str, value: str) -> None:
        """One of ACCOUNT_SETTINGS, with one of its values."""
        assert value in ACCOUNT_SETTINGS[name], "the caller has checked it"
        await self._epoch.change(lambda: rows.put_account_setting(registry, name, value))


def parse_repository_policy(text: str) -> Policy:
    """Raises PolicyMalformed, for actions on no repository too."""
    policy = parse_policy(text, Kind.REPOSITORY, source=Source.RESOURCE)
    for statement in policy.statements:
        wrong = _actions(statement) & _REGISTRY_NAMES
        if wrong:
            raise _malformed(statement, f"{min(wrong)} is about no repository")
    return policy


def _check_v1(policy: Policy) -> None:
    """In the scope V1 a registry policy names the actions of V1 or `ecr:*`. Raises PolicyMalformed."""
    for statement in policy.statements:
        if "NotAction" in statement.text or not _actions(statement) <= _V1_NAMES:
            raise _malformed(statement, "the registry policy scope V1 admits only the actions of replication")


def _actions(statement: Statement) -> frozenset[str]:
    """What Action names, in lower case."""
    given = statement.text.get("Action", [])
    return frozenset(action.lower() for action in ([given] if isinstance(given, str) else given))


def _malformed(statement: Statement, detail: str) -> PolicyMalformed:
    place = statement.start
    return PolicyMalformed(f"Invalid {statement.kind} provided", line=place.line, column=place.column, detail=detail)


def lay_out(text: str) -> str:
    """A JSON document in the layout that ECR returns policies in: two spaces a level, ` : ` after a key, lists of what is
    not an object on one line."""
    return _lay_out(json.loads(text), "")


def _lay_out(value: Any, indent: str) -> str:
    if isinstance(value, dict):
        if not value:
            return "{ }"
        deeper = indent + "  "
        members = (f"{deeper}{_quoted(key)} : {_lay_out(member, deeper)}" for key, member in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list):
        return f"[ {', '.join(_lay_out(one, indent) for one in value)} ]" if value else "[ ]"
    return _quoted(value)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
