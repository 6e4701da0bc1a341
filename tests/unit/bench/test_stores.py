"""The rows that measurements write by themselves are rows that the registry reads."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from base.digest import Digest
from bench.databases import Kind, filling
from bench.stores import TAG, copy_of, digest_of, fill_images, fill_repositories, repository_names
from registry.manifest import parse_manifest
from registry.mutability import TagPolicy
from registry.names import RegistryId, RepositoryName, Tag
from registry.rows.blobs import find_named_blob, insert_blob
from registry.rows.listings import list_tags
from registry.rows.manifests import Push, find_manifest, put_manifest
from registry.rows.repositories import Repository, insert_repository, list_repositories
from store.database import Database
from store.migrate import migrate
from tests.backing import Backing, open_database

REGISTRY = RegistryId("123456789012", "us-east-1")
NAME = RepositoryName("load/one")
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = Digest(f"sha256:{'a' * 64}")
PUSHED = Digest(f"sha256:{'b' * 64}")
CONTENT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": CONFIG, "size": 2},
        "layers": [],
    }
).encode()


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def settings(kind: Kind, request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    backing = Backing(postgres=request.getfixturevalue("postgres")) if kind == "postgres" else Backing()
    return backing.settings(tmp_path)


async def push_one(database: Database) -> None:
    await migrate(database, now=1.0)
    repository = Repository(1 << 40, REGISTRY, NAME, 1.0, TagPolicy(), False, {})
    await database.write(lambda: insert_repository(repository, []))
    await database.write(lambda: insert_blob(repository.id, CONFIG, "e/key", 2, 1.0))
    manifest = parse_manifest(CONTENT, MEDIA_TYPE)
    push = Push(repository, PUSHED, manifest, CONTENT, (Tag(TAG),), True, 1.0)
    await database.write(lambda: put_manifest(push))


def prepare(settings: Mapping[str, str], data: Path) -> None:
    asyncio.run(_with(settings, data, push_one))


async def _with(settings: Mapping[str, str], data: Path, use: Callable[[Database], Awaitable[None]]) -> None:
    database = open_database(settings, data)
    try:
        await use(database)
    finally:
        await database.close()


def test_filled_images_are_found_by_tag_and_hold_their_bytes(settings: Mapping[str, str], tmp_path: Path):
    prepare(settings, tmp_path)
    with filling(settings, tmp_path) as rows:
        fill_images(rows, 25)

    async def look(database: Database) -> None:
        assert len(await list_tags(database, 1 << 40, after="", limit=100)) == 25
        expected = {TAG: (PUSHED, CONTENT)} | {
            f"v1.0.{index}": (digest_of(CONTENT, index), copy_of(CONTENT, index)) for index in range(1, 25)
        }
        for tag, (digest, content) in expected.items():
            found = await find_manifest(database, REGISTRY, NAME, digest=None, tag=tag)
            assert found is not None
            assert found[1] is not None
            assert (found[1].digest, found[1].content, found[1].media_type) == (digest, content, MEDIA_TYPE)

    asyncio.run(_with(settings, tmp_path, look))


def test_filled_repositories_are_listed_and_each_has_its_image(settings: Mapping[str, str], tmp_path: Path):
    prepare(settings, tmp_path)
    with filling(settings, tmp_path) as rows:
        fill_repositories(rows, 25)

    async def look(database: Database) -> None:
        names = repository_names(25)
        assert [one.name for one in await list_repositories(database, REGISTRY, after="", limit=100)] == [*names, NAME]
        for name in map(RepositoryName, names):
            found = await find_manifest(database, REGISTRY, name, digest=None, tag=TAG)
            assert found is not None
            assert found[1] is not None
            assert (found[1].digest, found[1].content) == (PUSHED, CONTENT)
            blob = await find_named_blob(database, REGISTRY, name, CONFIG)
            assert blob is not None
            assert blob[1] is not None

    asyncio.run(_with(settings, tmp_path, look))


def test_no_two_copies_are_alike():
    assert len({digest_of(CONTENT, index) for index in range(10)}) == 10
