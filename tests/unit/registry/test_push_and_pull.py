import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from base.digest import Digest, digest_of
from registry import media, rows
from registry.errors import (
    BlobReferenced,
    BlobUnknown,
    DigestInvalid,
    ImageAlreadyExists,
    ImagesMissing,
    LayersMissing,
    LimitExceeded,
    ManifestInvalid,
    ManifestReferenced,
    ManifestTooLarge,
    ManifestUnknown,
    MediaTypeMissing,
    RepositoryAlreadyExists,
    RepositoryNotEmpty,
    RepositoryNotFound,
    TagImmutable,
    TooManyResourceTags,
)
from registry.manifest import MAX_SIZE
from registry.mutability import make_tag_policy
from registry.names import RegistryId, RepositoryName, Tag
from registry.pull import PULL_RESOLUTION
from registry.push import Put
from registry.repositories import NewRepository
from registry.rows import REFERENCED, Repository
from tests.rooms import GRACE, HOME, House, Time, announced, open_house, read_blob
from tests.unit.registry.test_manifest import CONFIG_TYPE, LAYER_TYPE

LATEST, OTHER = Tag("latest"), Tag("other")


async def blob(house: House, repository: Repository, data: bytes) -> Digest:
    return await house.uploads.take(repository.id, digest_of(data), announced(data))


def described(digest: str, size: int = 3, media_type: str = LAYER_TYPE) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def image(config: str, *layers: str, **more: Any) -> bytes:
    document = {
        "schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": described(config, 3, CONFIG_TYPE),
        "layers": [described(layer, 1000) for layer in layers], **more,
    }  # fmt: skip
    return json.dumps(document).encode()


def index(*children: str, **more: Any) -> bytes:
    document = {
        "schemaVersion": 2, "mediaType": media.OCI_INDEX,
        "manifests": [described(child, 500, media.OCI_MANIFEST) for child in children], **more,
    }  # fmt: skip
    return json.dumps(document).encode()


async def pushed(house: House, repository: Repository, number: int = 0, *tags: str, **more: Any) -> tuple[bytes, Put]:
    """An image of its own config and a shared layer."""
    config = await blob(house, repository, f"config {number}".encode())
    layer = await blob(house, repository, b"layer")
    content = image(config, layer, **more)
    return content, await house.push.put(repository, content, None, tags=[Tag(tag) for tag in tags])


async def kept_at(house: House, repository: Repository, digest: str) -> float:
    found = await rows.find_blob(house.database, repository.id, Digest(digest))
    assert found is not None
    return found.kept_at


# -- pushing


async def test_a_manifest_is_served_byte_for_byte(house: House, other: House, repository: Repository):
    config = await blob(house, repository, b"config")
    content = b" \n" + image(config).replace(b'": ', b'"  :\t') + b"\r\n"
    put = await house.push.put(repository, content, None, tags=[LATEST])
    assert put.digest == digest_of(content)
    for ask in ({"digest": put.digest}, {"tag": LATEST}):
        for one in (house, other):
            found = await one.pull.manifest(HOME, repository.name, **ask)  # type: ignore[arg-type]
            assert (found.content, found.digest, found.media_type) == (content, put.digest, media.OCI_MANIFEST)


async def test_a_manifest_may_be_named_by_sha512(house: House, repository: Repository):
    content = image(await blob(house, repository, b"config"))
    digest = digest_of(content, "sha512")
    assert (await house.push.put(repository, content, None, digest=digest)).digest == digest
    assert (await house.pull.manifest(HOME, repository.name, digest=digest)).content == content
    with pytest.raises(ManifestUnknown):
        await house.pull.manifest(HOME, repository.name, digest=digest_of(content))


async def test_a_digest_that_is_not_the_manifests_is_refused(house: House, repository: Repository):
    content = image(await blob(house, repository, b"config"))
    for algorithm in ("sha256", "sha512"):
        with pytest.raises(DigestInvalid, match=digest_of(content, algorithm)):
            await house.push.put(repository, content, None, digest=digest_of(b"other", algorithm), tags=[LATEST])
    with pytest.raises(ManifestUnknown):
        await house.pull.manifest(HOME, repository.name, tag=LATEST)


async def test_errors_of_the_manifest_are_said_by_name(house: House, repository: Repository):
    for content, error in [
        (b"{", ManifestInvalid),
        (b"{}", MediaTypeMissing),
        (b" " * (MAX_SIZE + 1), ManifestTooLarge),
        (b" " * MAX_SIZE, ManifestInvalid),
        (b"[" * MAX_SIZE, ManifestInvalid),
    ]:
        with pytest.raises(error):
            await house.push.put(repository, content, None)


async def test_a_manifest_without_its_blobs_is_refused_and_nothing_is_stored(house: House, repository: Repository):
    here, absent = await blob(house, repository, b"here"), digest_of(b"absent")
    for content, missing in [
        (image(here, absent), [absent]),
        (image(absent, here), [absent]),
        (image(absent, digest_of(b"too")), [absent, digest_of(b"too")]),
    ]:
        with pytest.raises(LayersMissing) as refused:
            await house.push.put(repository, content, None, tags=[LATEST])
        assert all(digest in str(refused.value) for digest in missing)
        assert here not in str(refused.value)
        with pytest.raises(ManifestUnknown):
            await house.pull.manifest(HOME, repository.name, digest=digest_of(content))
    with pytest.raises(ManifestUnknown):
        await house.pull.manifest(HOME, repository.name, tag=LATEST)


async def test_blobs_of_another_repository_do_not_count(house: House, repository: Repository):
    another = await house.repository("another")
    elsewhere = await blob(house, another, b"elsewhere")
    with pytest.raises(LayersMissing):
        await house.push.put(repository, image(elsewhere), None)
    now = house.clock()
    assert await house.database.write(lambda: rows.link_blob(another.id, repository.id, elsewhere, now))
    await house.push.put(repository, image(elsewhere), None)


async def test_an_index_without_its_children_is_refused(house: House, repository: Repository):
    _, child = await pushed(house, repository)
    await house.push.put(repository, index(child.digest), None)
    with pytest.raises(ImagesMissing, match=digest_of(b"absent")):
        await house.push.put(repository, index(child.digest, digest_of(b"absent")), None)


async def test_an_index_may_name_blobs(house: House, repository: Repository, clock: Time):
    """Older build caches do."""
    layer = await blob(house, repository, b"cached layer")
    put = await house.push.put(repository, index(layer), None)
    clock.pass_(2 * GRACE)
    assert (await house.collector.collect()).unlinked == 0
    with pytest.raises(BlobReferenced):
        await house.database.write(lambda: rows.unlink_blob(repository.id, layer, clock()))
    await house.database.write(lambda: rows.delete_manifest(repository.id, put.digest, clock(), keep_referenced=False))
    assert await house.database.write(lambda: rows.unlink_blob(repository.id, layer, clock()))


async def test_layers_that_may_live_elsewhere_need_not_be_there(house: House, repository: Repository):
    config = await blob(house, repository, b"config")
    foreign = {**described(digest_of(b"foreign")), "mediaType": media.DOCKER_FOREIGN_LAYER, "urls": ["https://a.b"]}
    document = json.loads(image(config))
    document["layers"] = [foreign]
    await house.push.put(repository, json.dumps(document).encode(), None)


async def test_what_is_named_twice_is_needed_if_either_place_needs_it(house: House, repository: Repository):
    absent = digest_of(b"absent")
    foreign = {**described(absent), "mediaType": media.DOCKER_FOREIGN_LAYER}
    config = await blob(house, repository, b"config")
    for layers in ([foreign, described(absent)], [described(absent), foreign]):
        document = json.loads(image(config))
        document["layers"] = layers
        with pytest.raises(LayersMissing):
            await house.push.put(repository, json.dumps(document).encode(), None)


async def test_what_is_missing_may_be_missing_where_the_setting_says_so(place: Path, clock: Time):
    house = await open_house(place, clock, sparse=True)
    repository = await house.repository()
    late = digest_of(b"late")
    await house.push.put(repository, image(late, late), None)
    await house.push.put(repository, index(digest_of(b"a child")), None, tags=[LATEST])
    assert await blob(house, repository, b"late") == late
    clock.pass_(5 * GRACE)
    assert (await house.collector.collect()).unlinked == 0
    assert await read_blob(house, repository.name, late) == b"late"
    await house.close()


async def test_many_references_are_all_kept(house: House, repository: Repository):
    config = await blob(house, repository, b"config")
    layers = [await blob(house, repository, str(number).encode()) for number in range(450)]
    content = image(config, *layers, *layers[:10])
    put = await house.push.put(repository, content, None)
    found = await house.database.fetch(
        "SELECT digest FROM manifest_references WHERE manifest = ? ORDER BY digest", (put.digest,)
    )
    assert [digest for (digest,) in found] == sorted([config, *layers])
    assert {await kept_at(house, repository, digest) for digest in (config, layers[0], layers[-1])} == {REFERENCED}
    with pytest.raises(LayersMissing):
        await house.push.put(repository, image(config, *layers, digest_of(b"one more")), None)


async def test_a_push_to_a_repository_that_is_gone_is_refused(house: House, repository: Repository):
    content = image(await blob(house, repository, b"config"))
    await house.repositories.delete(repository, force=True)
    with pytest.raises(RepositoryNotFound):
        await house.push.put(repository, content, None, tags=[LATEST])


async def test_pushing_again_changes_nothing_but_tags(house: House, repository: Repository, clock: Time):
    content, first = await pushed(house, repository, 0, "latest")
    clock.pass_(10)
    again = await house.push.put(repository, content, None, tags=[LATEST, OTHER])
    assert (first.pushed.existed, again.pushed.existed) == (False, True)
    assert again.pushed.former == {LATEST: first.digest, OTHER: None}
    images = await rows.find_images(house.database, repository.id, [first.digest])
    assert images[first.digest].tags == (LATEST, OTHER)
    assert images[first.digest].pushed_at == clock() - 10


async def test_identical_pushes_at_once_all_succeed(house: House, other: House, repository: Repository):
    content, _ = await pushed(house, repository, 0)
    config = await blob(house, repository, b"new config")
    content = image(config)
    puts = await asyncio.gather(
        *(one.push.put(repository, content, None, tags=[LATEST]) for one in (house, other) for _ in range(4))
    )
    assert {put.digest for put in puts} == {digest_of(content)}
    assert sum(not put.pushed.existed for put in puts) == 1


# -- tags


async def test_a_tag_moves_and_the_image_it_left_stays(house: House, repository: Repository):
    first_content, first = await pushed(house, repository, 1, "latest")
    second_content, second = await pushed(house, repository, 2, "latest")
    assert second.pushed.former == {LATEST: first.digest}
    assert (await house.pull.manifest(HOME, repository.name, tag=LATEST)).content == second_content
    assert (await house.pull.manifest(HOME, repository.name, digest=first.digest)).content == first_content


async def test_an_immutable_tag_takes_its_own_image_again_and_no_other(house: House, repository: Repository):
    await house.repositories.set_tag_policy(repository, make_tag_policy("IMMUTABLE_WITH_EXCLUSION", ["dev*"]))
    content, _ = await pushed(house, repository, 1, "v1", "dev")
    await house.push.put(repository, content, None, tags=[Tag("v1")])
    with pytest.raises(TagImmutable, match="'v1'"):
        await pushed(house, repository, 2, "v1")
    with pytest.raises(TagImmutable):
        await pushed(house, repository, 2, "dev", "v1")
    assert (await house.pull.manifest(HOME, repository.name, tag=Tag("dev"))).content == content
    _, moved = await pushed(house, repository, 2, "dev")
    assert (await house.pull.manifest(HOME, repository.name, tag=Tag("dev"))).digest == moved.digest
    await house.database.write(lambda: rows.delete_tag(repository.id, "v1"))
    await pushed(house, repository, 3, "v1")


async def test_mutability_is_read_with_the_push_not_before(house: House, other: House, repository: Repository):
    """A value read earlier does not let a tag move."""
    await pushed(house, repository, 1, "v1")
    stale = await house.repositories.find(HOME, repository.name)
    await other.repositories.set_tag_policy(repository, make_tag_policy("IMMUTABLE", []))
    with pytest.raises(TagImmutable):
        await pushed(house, stale, 2, "v1")


async def test_of_two_that_push_an_immutable_tag_at_once_one_wins(house: House, other: House, repository: Repository):
    await house.repositories.set_tag_policy(repository, make_tag_policy("IMMUTABLE", []))
    configs = [await blob(house, repository, str(number).encode()) for number in range(8)]
    ended = await asyncio.gather(
        *(
            (house, other)[number % 2].push.put(repository, image(config), None, tags=[LATEST])
            for number, config in enumerate(configs)
        ),
        return_exceptions=True,
    )
    winners = [put for put in ended if isinstance(put, Put)]
    assert len(winners) == 1
    assert all(isinstance(end, TagImmutable) for end in ended if end not in winners)
    assert (await house.pull.manifest(HOME, repository.name, tag=LATEST)).digest == winners[0].digest


async def test_the_ecr_api_refuses_an_image_that_is_there(house: House, repository: Repository):
    content, first = await pushed(house, repository, 1, "v1")
    for tags in ([], [Tag("v1")]):
        with pytest.raises(ImageAlreadyExists, match=first.digest):
            await house.push.put(repository, content, None, tags=tags, refuse_same=True)
    await house.push.put(repository, content, None, tags=[Tag("v2")], refuse_same=True)


async def test_the_ecr_api_refuses_more_tags_than_ecr_allows(
    house: House, repository: Repository, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("registry.push.MAX_TAGS", 3)
    content, put = await pushed(house, repository, 1, "a", "b", "c")
    with pytest.raises(LimitExceeded, match="'3'"):
        await house.push.put(repository, content, None, tags=[Tag("d")], refuse_same=True)
    assert (await rows.find_images(house.database, repository.id, [put.digest]))[put.digest].tags == ("a", "b", "c")
    await house.push.put(repository, content, None, tags=[Tag("d")])


async def test_tags_and_repositories_are_listed_in_order_and_in_pages(house: House, repository: Repository):
    names = sorted(["v1", "v10", "v2", "A", "_", "a", "a.b", "a-b", "0"])
    await pushed(house, repository, 1, *names)
    assert await rows.list_tags(house.database, repository.id, after="", limit=100) == names
    paged: list[str] = []
    while some := await rows.list_tags(house.database, repository.id, after=paged[-1] if paged else "", limit=2):
        paged += some
    assert paged == names
    for name in ("aa", "a/b", "a-b", "zz"):
        await house.repository(name)
    found = await house.repositories.list(HOME, limit=100)
    assert [one.name for one in found] == sorted(["aa", "a/b", "a-b", "zz", repository.name])
    assert [one.name for one in await house.repositories.list(HOME, after="a/b", limit=2)] == ["aa", "some/repository"]


# -- deleting


async def test_deleting_a_manifest_takes_its_tags_and_frees_its_blobs(
    house: House, repository: Repository, clock: Time
):
    _, one = await pushed(house, repository, 1, "v1", "latest")
    content, two = await pushed(house, repository, 2, "v2")
    clock.pass_(50)
    tags = await house.database.write(
        lambda: rows.delete_manifest(repository.id, one.digest, clock(), keep_referenced=False)
    )
    assert tags == ["latest", "v1"]
    assert await rows.list_tags(house.database, repository.id, after="", limit=10) == ["v2"]
    assert await kept_at(house, repository, digest_of(b"config 1")) == clock()
    assert await kept_at(house, repository, digest_of(b"layer")) == REFERENCED
    assert (await house.pull.manifest(HOME, repository.name, digest=two.digest)).content == content
    again = await house.database.write(
        lambda: rows.delete_manifest(repository.id, one.digest, clock(), keep_referenced=False)
    )
    assert again is None


async def test_what_an_index_names_stays_where_that_is_asked(house: House, repository: Repository, clock: Time):
    _, child = await pushed(house, repository, 1)
    parent = await house.push.put(repository, index(child.digest), None)
    with pytest.raises(ManifestReferenced, match=parent.digest):
        await house.database.write(
            lambda: rows.delete_manifest(repository.id, child.digest, clock(), keep_referenced=True)
        )
    await house.database.write(
        lambda: rows.delete_manifest(repository.id, parent.digest, clock(), keep_referenced=True)
    )
    await house.database.write(lambda: rows.delete_manifest(repository.id, child.digest, clock(), keep_referenced=True))
    with pytest.raises(ManifestUnknown):
        await house.pull.manifest(HOME, repository.name, digest=child.digest)


async def test_a_blob_that_a_manifest_names_is_not_deleted(house: House, repository: Repository, clock: Time):
    _, put = await pushed(house, repository, 1)
    layer = digest_of(b"layer")
    with pytest.raises(BlobReferenced, match=put.digest):
        await house.database.write(lambda: rows.unlink_blob(repository.id, layer, clock()))
    assert await read_blob(house, repository.name, layer) == b"layer"
    assert not await house.database.write(lambda: rows.unlink_blob(repository.id, digest_of(b"absent"), clock()))


async def test_a_repository_with_images_is_deleted_only_by_force(house: House, repository: Repository, clock: Time):
    await pushed(house, repository, 1, "latest")
    with pytest.raises(RepositoryNotEmpty):
        await house.repositories.delete(repository, force=False)
    await house.repositories.delete(repository, force=True)
    for attempt in (
        house.pull.manifest(HOME, repository.name, tag=LATEST),
        house.pull.blob(HOME, repository.name, digest_of(b"layer")),
        house.pull.confirm_blob(HOME, repository.name, digest_of(b"layer")),
        house.repositories.find(HOME, repository.name),
        house.repositories.find_id(HOME, repository.name),
    ):
        with pytest.raises(RepositoryNotFound):
            await attempt
    await house.collector.collect()
    for table in ("tags", "manifests", "manifest_references", "repository_blobs", "resource_tags", "blobs"):
        assert await house.database.fetch_one(f"SELECT COUNT(*) FROM {table}") == (0,), table
    again = await house.repository()
    assert again.id != repository.id
    assert await rows.list_tags(house.database, again.id, after="", limit=10) == []


async def test_an_empty_repository_is_deleted_with_what_was_uploaded(house: House, repository: Repository, clock: Time):
    await blob(house, repository, b"alone")
    await house.repositories.delete(repository, force=False)
    assert (await house.collector.collect()).freed == 0
    clock.pass_(100)
    assert (await house.collector.collect()).freed == 1


# -- repositories


async def test_a_registry_is_an_account_and_a_region(house: House, repository: Repository):
    other_region, other_account = RegistryId(HOME.account, "eu-west-1"), RegistryId("210987654321", HOME.region)
    for registry in (other_region, other_account):
        with pytest.raises(RepositoryNotFound):
            await house.repositories.find(registry, repository.name)
        assert (await house.repository(repository.name, registry)).registry == registry
    with pytest.raises(RepositoryAlreadyExists):
        await house.repository(repository.name)
    assert len(await house.repositories.list(HOME, limit=10)) == 1


async def test_of_two_that_create_a_repository_at_once_one_does(house: House, other: House):
    ended = await asyncio.gather(
        *(one.repository("new") for one in (house, other) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(end, Repository) for end in ended) == 1
    assert sum(isinstance(end, RepositoryAlreadyExists) for end in ended) == 9


async def test_resource_tags_have_a_limit_that_changes_nothing(house: House, repository: Repository):
    await house.repositories.tag(repository, [(f"key{number}", "a") for number in range(50)])
    await house.repositories.tag(repository, [("key1", "b")])
    with pytest.raises(TooManyResourceTags):
        await house.repositories.tag(repository, [("key2", "c"), ("one more", "d")])
    found = dict(await house.repositories.list_resource_tags(repository))
    assert (len(found), found["key1"], found["key2"]) == (50, "b", "a")
    await house.repositories.untag(repository, ["key1", "absent"])
    assert len(await house.repositories.list_resource_tags(repository)) == 49
    many = tuple((str(number), "") for number in range(51))
    with pytest.raises(TooManyResourceTags):
        await house.repositories.create(HOME, RepositoryName("tagged"), NewRepository(tags=many))


async def test_the_longest_template_that_applies_creates_on_push(house: House):
    def settings(name: str, *applied: str) -> dict[str, Any]:
        return {"appliedFor": list(applied), "resourceTags": [{"Key": "from", "Value": name}]}

    create = house.repositories.create_template
    assert await create(HOME, "ROOT", settings("root", "CREATE_ON_PUSH")) is not None
    assert await create(HOME, "team", settings("team", "CREATE_ON_PUSH")) is not None
    assert await create(HOME, "team/app", settings("cache", "PULL_THROUGH_CACHE")) is not None
    assert await create(HOME, "team", settings("again")) is None
    expected = {
        "team/app/x": "team",
        "team/x": "team",
        "team": "root",
        "teamwork/x": "root",
        "x": "root",
        "a/b/c": "root",
    }
    for name, template in expected.items():
        new = await house.repositories.creation_on_push(HOME, RepositoryName(name))
        assert new is not None
        assert dict(new.tags)["from"] == template, name
    elsewhere = RegistryId(HOME.account, "eu-west-1")
    assert await house.repositories.creation_on_push(elsewhere, RepositoryName("team/x")) is None


# -- pulling


async def test_what_is_not_there_is_said_by_name(house: House, repository: Repository):
    with pytest.raises(ManifestUnknown):
        await house.pull.manifest(HOME, repository.name, tag=LATEST)
    with pytest.raises(ManifestUnknown):
        await house.pull.peek(HOME, repository.name, digest=digest_of(b"absent"))
    with pytest.raises(BlobUnknown):
        await house.pull.blob(HOME, repository.name, digest_of(b"absent"))
    for missing in (house.pull.manifest, house.pull.peek):
        with pytest.raises(RepositoryNotFound):
            await missing(HOME, RepositoryName("missing"), tag=LATEST)
    with pytest.raises(RepositoryNotFound):
        await house.pull.blob(HOME, RepositoryName("missing"), digest_of(b"absent"))


async def test_a_pull_is_recorded_once_in_a_while_and_a_look_is_not(house: House, repository: Repository, clock: Time):
    _, put = await pushed(house, repository, 1, "latest")

    async def recorded() -> float | None:
        await house.pull.record()
        return (await rows.find_images(house.database, repository.id, [put.digest]))[put.digest].pulled_at

    await house.pull.peek(HOME, repository.name, tag=LATEST)
    assert await recorded() is None
    await house.pull.manifest(HOME, repository.name, tag=LATEST)
    first = clock()
    assert await recorded() == first
    clock.pass_(PULL_RESOLUTION - 1)
    await house.pull.manifest(HOME, repository.name, digest=put.digest)
    assert await recorded() == first
    clock.pass_(2)
    await house.pull.manifest(HOME, repository.name, digest=put.digest)
    assert await recorded() == clock()


async def test_referrers_are_found_by_subject_and_type_in_pages(house: House, repository: Repository):
    _, subject = await pushed(house, repository, 0)
    about = described(subject.digest, 100, media.OCI_MANIFEST)
    made = []
    for number in range(6):
        kind = f"application/vnd.example.{'even' if number % 2 == 0 else 'odd'}"
        _, put = await pushed(
            house, repository, number + 1, subject=about, artifactType=kind, annotations={"number": str(number)}
        )
        made.append((put.digest, kind, number))
    await pushed(house, repository, 99, subject=described(digest_of(b"another"), 1, media.OCI_MANIFEST))

    async def found(*types: str, after: str = "", limit: int = 100) -> list[Any]:
        return await rows.list_referrers(
            house.database, repository.id, subject.digest, artifact_types=types, after=after, limit=limit
        )

    assert [(one.digest, one.artifact_type, int(one.annotations["number"])) for one in await found()] == sorted(made)
    evens = sorted(digest for digest, kind, _ in made if kind.endswith("even"))
    assert [one.digest for one in await found("application/vnd.example.even", "application/none")] == evens
    paged: list[str] = []
    while some := await found(after=paged[-1] if paged else "", limit=4):
        paged += [one.digest for one in some]
    assert paged == sorted(digest for digest, _, _ in made)
    await house.database.write(lambda: rows.delete_manifest(repository.id, made[0][0], 0.0, keep_referenced=False))
    assert len(await found()) == 5


async def test_an_index_is_as_large_as_its_largest_child(house: House, repository: Repository):
    _, small = await pushed(house, repository, 1)
    config = await blob(house, repository, b"c")
    large = await house.push.put(repository, image(config, digest_of(b"layer"), config), None)
    parent = await house.push.put(repository, index(small.digest, large.digest), None)
    images = await rows.find_images(house.database, repository.id, [small.digest, large.digest, parent.digest])
    assert {digest: one.size for digest, one in images.items()} == {
        small.digest: 1003,
        large.digest: 2003,
        parent.digest: 2003,
    }
