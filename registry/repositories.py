"""Repositories: making, finding, deleting; resource tags; creation templates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from auth.epoch import Epoch
from auth.principals import bind_principals
from base.clock import Clock
from base.ids import new_serial
from registry import rows
from registry.errors import (
    RepositoryAlreadyExists,
    RepositoryNotEmpty,
    RepositoryNotFound,
    TooManyResourceTags,
)
from registry.mutability import TagPolicy, make_tag_policy
from registry.names import RegistryId, RepositoryName, partition_of
from registry.rows import Repository
from store.database import Database, Row, Unit

MAX_RESOURCE_TAGS = 50
CREATE_ON_PUSH = "CREATE_ON_PUSH"
_ROOT = "ROOT"
_POLICY = "repositoryPolicy"


@dataclass(frozen=True, slots=True)
class NewRepository:
    """What CreateRepository or a template gives."""

    tag_policy: TagPolicy = field(default_factory=TagPolicy)
    scan_on_push: bool = False
    encryption: Mapping[str, str] = field(default_factory=lambda: {"encryptionType": "AES256"})
    tags: tuple[tuple[str, str], ...] = ()
    policy: str = ""
    """The text of its repository policy, as `auth.principals` keeps it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A repository creation template: `settings` is ECR's record without prefix and times."""

    prefix: str
    settings: Mapping[str, Any]
    created_at: float
    updated_at: float


class Repositories:
    """The use-cases of repositories."""

    def __init__(
        self, database: Database, epoch: Epoch, *, clock: Clock, create_on_push: bool, home: RegistryId
    ) -> None:
        self._database = database
        self._epoch = epoch
        self._clock = clock
        self._create_on_push = create_on_push
        self._home = home

    async def find(self, registry: RegistryId, name: RepositoryName) -> Repository:
        """Raises RepositoryNotFound."""
        found = await rows.find_repository(self._database, registry, name)
        if found is None:
            raise RepositoryNotFound(registry, name)
        return found

    async def find_all(self, registry: RegistryId, names: Sequence[RepositoryName]) -> Sequence[Repository]:
        """In the order of `names`, each once. Raises RepositoryNotFound for the first one that is not there."""
        found = await rows.find_repositories(self._database, registry, names)
        for name in names:
            if name not in found:
                raise RepositoryNotFound(registry, name)
        return [found[name] for name in dict.fromkeys(names)]

    async def find_id(self, registry: RegistryId, name: RepositoryName) -> int:
        """Raises RepositoryNotFound."""
        found = await rows.find_repository_id(self._database, registry, name)
        if found is None:
            raise RepositoryNotFound(registry, name)
        return found

    async def create(self, registry: RegistryId, name: RepositoryName, new: NewRepository) -> Repository:
        """Raises RepositoryAlreadyExists, TooManyResourceTags."""
        if len({key for key, _ in new.tags}) > MAX_RESOURCE_TAGS:
            raise TooManyResourceTags(MAX_RESOURCE_TAGS)
        repository = Repository(
            new_serial(self._clock),
            registry,
            name,
            self._clock(),
            new.tag_policy,
            new.scan_on_push,
            complete_encryption(registry, new.encryption),
        )
        # without tags and policy the gate knows no more of it than of one that is not there
        unit = partial(rows.insert_repository, repository, new.tags, new.policy)
        known = bool(new.tags or new.policy)
        if not await (self._epoch.change(unit) if known else self._database.write(unit)):
            raise RepositoryAlreadyExists(registry, name)
        return repository

    async def creation_on_push(self, registry: RegistryId, name: RepositoryName) -> NewRepository | None:
        """How a push makes the repository it names, or None where it does not. A template wins over the setting."""
        template = await self.match_template(registry, name, CREATE_ON_PUSH)
        if template is not None:
            return from_template(template.settings)
        if self._create_on_push and registry == self._home:
            return NewRepository()
        return None

    async def delete(self, repository: Repository, *, force: bool) -> None:
        """Raises RepositoryNotEmpty."""
        now = self._clock()
        if not await self._epoch.change(lambda: rows.delete_repository(repository.id, now, force=force)):
            raise RepositoryNotEmpty(repository.registry, repository.name)

    async def list(self, registry: RegistryId, *, after: str = "", limit: int) -> list[Repository]:
        """By name, from the first one after `after`."""
        return await rows.list_repositories(self._database, registry, after=after, limit=limit)

    async def set_tag_policy(self, repository: Repository, policy: TagPolicy) -> None:
        """Raises RepositoryNotFound."""
        if not await self._database.write(lambda: rows.update_tag_policy(repository.id, policy)):
            raise RepositoryNotFound(repository.registry, repository.name)

    async def set_scan_on_push(self, repository: Repository, *, scan: bool) -> None:
        """Raises RepositoryNotFound."""
        if not await self._database.write(lambda: rows.update_scan_on_push(repository.id, scan=scan)):
            raise RepositoryNotFound(repository.registry, repository.name)

    async def tag(self, repository: Repository, tags: Sequence[tuple[str, str]]) -> None:
        """Add resource tags, or put other values under their keys. Raises TooManyResourceTags, ResourceTagInvalid,
        RepositoryNotFound."""
        if not await self._epoch.change(lambda: rows.put_resource_tags(repository, tags, limit=MAX_RESOURCE_TAGS)):
            raise TooManyResourceTags(MAX_RESOURCE_TAGS)

    async def untag(self, repository: Repository, keys: Sequence[str]) -> None:
        await self._epoch.change(lambda: rows.delete_resource_tags(repository.id, keys))

    async def list_resource_tags(self, repository: Repository) -> Sequence[tuple[str, str]]:
        return await rows.list_resource_tags(self._database, repository.id)

    # -- templates

    async def match_template(self, registry: RegistryId, name: RepositoryName, applied_for: str) -> Template | None:
        """The template with the longest prefix of `name` that applies, or the one called ROOT."""
        parts = name.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts))]
        found = [_template(row) for row in await rows.match_templates(self._database, registry, [*prefixes, _ROOT])]
        # the longest prefix first; ROOT stands for the empty one, whatever its length
        for template in sorted(found, key=lambda one: one.prefix == _ROOT):
            if applied_for in template.settings.get("appliedFor", ()):
                return template
        return None

    async def create_template(self, registry: RegistryId, prefix: str, settings: Mapping[str, Any]) -> Template | None:
        """None where there is one with that prefix. Raises PrincipalInvalid."""
        now = self._clock()

        def unit() -> Unit[Template | None]:
            kept = yield from _bind(settings)
            made = yield from rows.insert_template(registry, prefix, json.dumps(kept), now)
            return Template(prefix, kept, now, now) if made else None

        return await self._database.write(unit)

    async def find_template(self, registry: RegistryId, prefix: str) -> Template | None:
        row = await rows.find_template(self._database, registry, prefix)
        return None if row is None else _template(row)

    async def update_template(
        self, registry: RegistryId, prefix: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> Template | None:
        """Replace the settings by what `change`, which is pure, makes of them. None where there is none with that prefix.

        Raises PrincipalInvalid and whatever `change` raises.
        """
        now = self._clock()

        def text(former: str) -> Unit[str]:
            settings = json.loads(former)
            changed = change(settings)
            if changed.get(_POLICY) != settings.get(_POLICY):
                changed = yield from _bind(changed)
            return json.dumps(changed)

        row = await self._database.write(lambda: rows.update_template(registry, prefix, text, now))
        return None if row is None else _template(row)

    async def delete_template(self, registry: RegistryId, prefix: str) -> Template | None:
        """The template that was deleted, or None."""
        row = await self._database.write(lambda: rows.delete_template(registry, prefix))
        return None if row is None else _template(row)

    async def find_templates(self, registry: RegistryId, prefixes: Sequence[str]) -> Sequence[Template]:
        """Those of `prefixes` that there are, by prefix."""
        found = [_template(row) for row in await rows.match_templates(self._database, registry, prefixes)]
        return sorted(found, key=lambda template: template.prefix)

    async def list_templates(self, registry: RegistryId, *, after: str = "", limit: int) -> Sequence[Template]:
        """By prefix, from the first one after `after`."""
        return [_template(row) for row in await rows.list_templates(self._database, registry, after=after, limit=limit)]


def complete_encryption(registry: RegistryId, given: Mapping[str, str]) -> dict[str, str]:
    """ECR's encryptionConfiguration; KMS without a key means the account's own key for ECR."""
    if given["encryptionType"] == "AES256" or given.get("kmsKey"):
        return {name: value for name, value in given.items() if value}
    partition = partition_of(registry.region)
    key = f"arn:{partition}:kms:{registry.region}:{registry.account}:alias/aws/ecr"
    return {"encryptionType": given["encryptionType"], "kmsKey": key}


def from_template(settings: Mapping[str, Any]) -> NewRepository:
    """What a template's record gives a new repository."""
    filters = [entry["filter"] for entry in settings.get("imageTagMutabilityExclusionFilters", ())]
    return NewRepository(
        tag_policy=make_tag_policy(settings.get("imageTagMutability", "MUTABLE"), filters),
        encryption=settings.get("encryptionConfiguration") or {"encryptionType": "AES256"},
        tags=tuple((tag["Key"], tag.get("Value", "")) for tag in settings.get("resourceTags", ())),
        policy=settings.get(_POLICY, ""),
    )


def _bind(settings: Mapping[str, Any]) -> Unit[Mapping[str, Any]]:
    """A template's record with its repository policy as it is kept. Raises PrincipalInvalid."""
    if not settings.get(_POLICY):
        return settings
    return {**settings, _POLICY: (yield from bind_principals(settings[_POLICY]))}


def _template(row: Row) -> Template:
    prefix, settings, created_at, updated_at = row
    return Template(prefix, json.loads(settings), created_at, updated_at)
