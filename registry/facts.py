"""What the gate has to know of a repository and of its registry (`auth.authorize.Resources` of the service ecr).

A repository is policed by its own policy and by its registry's (Amazon ECR, "Private registry permissions"). With the
registry policy scope V2 the registry's counts for every request, with V1 only for the actions of `V1_ACTIONS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from auth.access import Access
from auth.authorize import Facts
from auth.directory import Directory
from auth.epoch import Epoch, Memory
from auth.policy.document import Kind, Source
from auth.policy.evaluate import PolicySet
from registry import rows
from registry.names import NameMalformed, RegistryId, parse_name
from store.database import Database

V1_ACTIONS: Final = frozenset({"ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"})
ACCOUNT_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE",),
    "REGISTRY_POLICY_SCOPE": ("V2", "V1"),
    "BLOB_MOUNTING": ("ENABLED", "DISABLED"),
}
"""Name -> values (ECR, PutAccountSetting); the first holds until another one is put."""
_WAYS_OUT: Final = frozenset({"ecr:DeleteRepositoryPolicy", "ecr:DeleteRegistryPolicy"})
"""Who locked everyone out, the root user too, would have nobody to ask here."""
_REMEMBERED = 10_000
_CHARACTERS = 500
"""Of a repository's policy that weigh as much as a repository without one."""
_REPOSITORY = "repository/"


@dataclass(frozen=True, slots=True)
class _Registry:
    policy: PolicySet | None
    settings: Mapping[str, str]


class RegistryFacts:
    """One process's view, remembered until the epoch moves."""

    def __init__(self, database: Database, directory: Directory, epoch: Epoch) -> None:
        self._database = database
        self._directory = directory
        self._remember = Memory(epoch, _REMEMBERED).get

    async def facts(self, access: Access, *, account: str, region: str) -> Facts:
        """Of a repository's ARN, of a pattern of such ARNs, or (`*`) of the caller's own registry."""
        resource = access.resource
        key = (account, region) if resource == "*" else resource
        for_v1, for_others = await self._remember(key, lambda: self._load(resource, account, region), weigh=_weigh)
        found = for_v1 if access.action in V1_ACTIONS else for_others
        return replace(found, spares_root=True) if access.action in _WAYS_OUT else found

    async def setting(self, registry: RegistryId, name: str) -> str:
        """The value of an account setting that there is."""
        return (await self._registry(registry)).settings.get(name, ACCOUNT_SETTINGS[name][0])

    async def _load(self, resource: str, account: str, region: str) -> tuple[Facts, Facts]:
        """(for the actions of V1, for the others)."""
        name = "*"
        if resource != "*":
            *_, region, account, name = resource.split(":", 5)
        if not await self._directory.is_open(account):  # what it shared is shared no more
            return Facts(owner=account), Facts(owner=account)
        registry = RegistryId(account, region)
        known = await self._registry(registry)
        facts = Facts(owner=account, registry=known.policy)
        if name.startswith(_REPOSITORY):
            facts = await self._add_repository(facts, registry, name.removeprefix(_REPOSITORY))
        narrow = known.settings.get("REGISTRY_POLICY_SCOPE") == "V1"
        return facts, replace(facts, registry=None) if narrow else facts

    async def _add_repository(self, facts: Facts, registry: RegistryId, text: str) -> Facts:
        try:
            name = parse_name(text)
        except NameMalformed:  # a pattern
            return facts
        found = await rows.find_repository_facts(self._database, registry, name)
        if found is None:
            return facts
        document, tags = found
        if document is None:
            return replace(facts, tags=tags)
        policy = self._directory.compile(document, Kind.REPOSITORY, name, "", Source.RESOURCE)
        return replace(facts, tags=tags, repository=PolicySet([policy]))

    async def _registry(self, registry: RegistryId) -> _Registry:
        async def load() -> _Registry:
            document = await rows.find_registry_policy(self._database, registry)
            settings = await rows.list_account_settings(self._database, registry)
            if document is None:
                return _Registry(None, settings)
            policy = self._directory.compile(document, Kind.REGISTRY, registry.account, "", Source.RESOURCE)
            return _Registry(PolicySet([policy]), settings)

        return await self._remember(("registry", registry.account, registry.region), load)


def _weigh(found: tuple[Facts, Facts]) -> int:
    policy = found[0].repository
    return 1 if policy is None else 1 + policy.size // _CHARACTERS
