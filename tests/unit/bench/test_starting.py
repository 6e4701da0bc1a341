"""The rows that `--start` writes by itself are rows that the registry reads."""

import json
from pathlib import Path

from base.digest import Digest
from bench.starting import copies, fill
from registry.manifest import parse_manifest
from registry.mutability import TagPolicy
from registry.names import RegistryId, RepositoryName, Tag
from registry.rows.listings import list_tags
from registry.rows.manifests import Push, find_manifest, put_manifest
from registry.rows.repositories import Repository, insert_repository
from store.migrate import migrate
from store.sqlite import SqliteDatabase

REGISTRY = RegistryId("123456789012", "us-east-1")
NAME = RepositoryName("load/one")
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONTENT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{'a' * 64}", "size": 2},
        "layers": [],
    }
).encode()


async def test_filled_rows_are_found_by_tag_and_hold_their_bytes(tmp_path: Path):
    path = tmp_path / "longshore.db"
    database = SqliteDatabase(path)
    await migrate(database, now=1.0)
    repository = Repository(1, REGISTRY, NAME, 1.0, TagPolicy(), False, {})
    await database.write(lambda: insert_repository(repository, []))
    manifest = parse_manifest(CONTENT, MEDIA_TYPE)
    first = Push(repository, Digest(f"sha256:{'b' * 64}"), manifest, CONTENT, (Tag("v1.0.0"),), True, 1.0)
    await database.write(lambda: put_manifest(first))
    await database.close()

    fill(path, 25)

    database = SqliteDatabase(path)
    try:
        assert len(await list_tags(database, 1, after="", limit=100)) == 25
        expected = {tag: (digest, content) for batch in copies(CONTENT, 25) for digest, tag, content in batch}
        for tag, (digest, content) in expected.items():
            found = await find_manifest(database, REGISTRY, NAME, digest=None, tag=tag)
            assert found is not None
            assert found[1] is not None
            assert (found[1].digest, found[1].content, found[1].media_type) == (digest, content, MEDIA_TYPE)
    finally:
        await database.close()


def test_no_two_copies_are_alike():
    (batch,) = copies(CONTENT, 10)
    assert len({digest for digest, _, _ in batch}) == len({tag for _, tag, _ in batch}) == 10
