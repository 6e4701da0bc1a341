"""Repositories and their resource tags."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import RepositoryNotFound, ResourceTagInvalid
from registry.mutability import Mutability, TagPolicy
from registry.names import RegistryId, RepositoryName
from registry.rows.slices import slices
from store.database import Database, Row, Unit, placeholders


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository. `encryption` is ECR's encryptionConfiguration."""

    id: int
    registry: RegistryId
    name: RepositoryName
    created_at: float
    tag_policy: TagPolicy
    scan_on_push: bool
    encryption: dict[str, str]


_REPOSITORY = "id, account, region, name, created_at, mutability, exclusions, scan_on_push, encryption"


def _repository(row: Row) -> Repository:
    (identifier, account, region, name, created_at, mode, exclusions, scan_on_push, encryption) = row
    policy = TagPolicy(Mutability(mode), tuple(json.loads(exclusions)))
    return Repository(
        identifier, RegistryId(account, region), name, created_at, policy, bool(scan_on_push), json.loads(encryption)
    )


async def find_repository_id(database: Database, registry: RegistryId, name: RepositoryName) -> int | None:
    row = await database.fetch_one(
        "SELECT id FROM repositories WHERE account = ? AND region = ? AND name = ?",
        (registry.account, registry.region, name),
    )
    return None if row is None else row[0]


async def find_repository(database: Database, registry: RegistryId, name: RepositoryName) -> Repository | None:
    row = await database.fetch_one(
        f"SELECT {_REPOSITORY} FROM repositories WHERE account = ? AND region = ? AND name = ?",
        (registry.account, registry.region, name),
    )
    return None if row is None else _repository(row)


async def list_repositories(database: Database, registry: RegistryId, *, after: str, limit: int) -> list[Repository]:
    """By name, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_REPOSITORY} FROM repositories WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
        (registry.account, registry.region, after, limit),
    )
    return [_repository(row) for row in rows]


async def find_repositories(
    database: Database, registry: RegistryId, names: Sequence[RepositoryName]
) -> dict[RepositoryName, Repository]:
    found = {}
    for some in slices(list(dict.fromkeys(names))):
        for row in await database.fetch(
            f"SELECT {_REPOSITORY} FROM repositories WHERE account = ? AND region = ? AND name IN ({placeholders(len(some))})",
            (registry.account, registry.region, *some),
        ):
            repository = _repository(row)
            found[repository.name] = repository
    return found


def insert_repository(repository: Repository, tags: Sequence[tuple[str, str]], policy: str = "") -> Unit[bool]:
    """False where the name is taken. `policy` is the text of its policy, if it has one from the start."""
    made = yield (
        f"INSERT INTO repositories ({_REPOSITORY}) VALUES ({placeholders(9)}) "
        "ON CONFLICT (account, region, name) DO NOTHING RETURNING 1",
        (
            repository.id,
            repository.registry.account,
            repository.registry.region,
            repository.name,
            repository.created_at,
            repository.tag_policy.mode.value,
            json.dumps(repository.tag_policy.filters),
            int(repository.scan_on_push),
            json.dumps(repository.encryption),
        ),
    )
    if not made:
        return False
    for key, value in tags:
        yield from put_resource_tag(repository.id, key, value)
    if policy:
        yield "INSERT INTO repository_policies (repository_id, document) VALUES (?, ?)", (repository.id, policy)
    return True


def update_tag_policy(repository_id: int, policy: TagPolicy) -> Unit[bool]:
    rows = yield (
        "UPDATE repositories SET mutability = ?, exclusions = ? WHERE id = ? RETURNING 1",
        (policy.mode.value, json.dumps(policy.filters), repository_id),
    )
    return bool(rows)


def update_scan_on_push(repository_id: int, *, scan: bool) -> Unit[bool]:
    rows = yield "UPDATE repositories SET scan_on_push = ? WHERE id = ? RETURNING 1", (int(scan), repository_id)
    return bool(rows)


def delete_repository(repository_id: int, now: float, *, force: bool) -> Unit[bool]:
    """False where images are in the way. Nobody sees any more what it has; the collector takes it away."""
    if not force:
        images = yield "SELECT 1 FROM manifests WHERE repository_id = ? LIMIT 1", (repository_id,)
        if images:
            return False
    for table in ("resource_tags", "repository_policies"):
        yield f"DELETE FROM {table} WHERE repository_id = ?", (repository_id,)
    yield "DELETE FROM repositories WHERE id = ?", (repository_id,)
    yield (
        "INSERT INTO deleted_repositories (repository_id, deleted_at) VALUES (?, ?) ON CONFLICT (repository_id) DO NOTHING",
        (repository_id, now),
    )
    return True


def put_resource_tag(repository_id: int, key: str, value: str) -> Unit[None]:
    yield (
        "INSERT INTO resource_tags (repository_id, key, value) VALUES (?, ?, ?) "
        "ON CONFLICT (repository_id, key) DO UPDATE SET value = excluded.value",
        (repository_id, key, value),
    )


def put_resource_tags(repository: Repository, tags: Sequence[tuple[str, str]], *, limit: int) -> Unit[bool]:
    """False, and nothing changed, where there would be more than `limit`. Raises RepositoryNotFound, and ResourceTagInvalid
    for a key that differs from one that is there in nothing but case: no condition could tell them apart."""
    there = yield "SELECT 1 FROM repositories WHERE id = ?", (repository.id,)
    if not there:
        raise RepositoryNotFound(repository.registry, repository.name)
    rows = yield "SELECT key FROM resource_tags WHERE repository_id = ?", (repository.id,)
    spelt = {key.lower(): key for (key,) in rows}
    if any(spelt.get(key.lower(), key) != key for key, _ in tags):
        raise ResourceTagInvalid("Tag parameters are invalid")
    if len({key for (key,) in rows} | {key for key, _ in tags}) > limit:
        return False
    for key, value in tags:
        yield from put_resource_tag(repository.id, key, value)
    return True


def delete_resource_tags(repository_id: int, keys: Sequence[str]) -> Unit[None]:
    for key in keys:
        yield "DELETE FROM resource_tags WHERE repository_id = ? AND key = ?", (repository_id, key)


async def list_resource_tags(database: Database, repository_id: int) -> list[tuple[str, str]]:
    rows = await database.fetch(
        "SELECT key, value FROM resource_tags WHERE repository_id = ? ORDER BY key", (repository_id,)
    )
    return [(key, value) for key, value in rows]
