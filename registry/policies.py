"""Repository policies, registry policies and account settings (Amazon ECR, "Private repository policies", "Private registry
permissions")."""

import json
from collections.abc import Sequence
from typing import Any

from auth.epoch import Epoch
from auth.policy.document import Policy, PolicyMalformed
from auth.principals import bind_principals, show_principals
from registry import rows
from registry.errors import RegistryPolicyNotFound, RepositoryNotFound, RepositoryPolicyNotFound
from registry.facts import ACCOUNT_SETTINGS, V1_ACTIONS, RegistryFacts
from registry.names import RegistryId, RepositoryName
from registry.rows import Repository
from store.database import Database, Unit

_V1_NAMES = frozenset(action.lower() for action in V1_ACTIONS) | {"ecr:*"}


class Policies:
    """The use-cases of resource-based policies. What they write counts from the next request on.

    Texts come in as `parse_policy` found them good, and go out as ECR shows them; in between users and roles are kept as
    `auth.principals` keeps them.
    """

    def __init__(self, database: Database, epoch: Epoch, facts: RegistryFacts) -> None:
        self._database = database
        self._epoch = epoch
        self._facts = facts

    async def put_on_repository(self, repository: Repository, text: str) -> str:
        """Raises PrincipalInvalid, RepositoryNotFound."""

        def unit() -> Unit[str]:
            document = yield from bind_principals(text)
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

    async def put_on_registry(self, registry: RegistryId, policy: Policy) -> str:
        """Raises PolicyMalformed for what the registry's scope does not admit, PrincipalInvalid."""
        if await self.setting(registry, "REGISTRY_POLICY_SCOPE") == "V1":
            _check_v1(policy)

        def unit() -> Unit[str]:
            document = yield from bind_principals(policy.text)
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


def _check_v1(policy: Policy) -> None:
    """In the scope V1 a registry policy names the actions of V1 or `ecr:*`. Raises PolicyMalformed."""
    for statement in policy.statements:
        given = statement.text.get("Action", [])
        actions = [given] if isinstance(given, str) else given
        if "NotAction" in statement.text or not {action.lower() for action in actions} <= _V1_NAMES:
            raise PolicyMalformed(
                f"With the registry policy scope V1 a registry policy allows only {', '.join(sorted(V1_ACTIONS))} and ecr:*",
                line=statement.start.line,
                column=statement.start.column,
            )


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
