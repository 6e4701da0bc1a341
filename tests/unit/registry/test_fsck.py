"""Inspecting a registry and mending it: every kind of fault is found, named, and mended or said to be beyond that."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from base.digest import digest_of
from base.rate import Rate
from registry import rows
from registry.errors import BlobUnknown, LayersMissing, ManifestUnknown
from registry.fsck.finding import Finding, Kind
from registry.fsck.inspection import Inspection, State
from registry.names import Tag
from registry.rows import Repository
from store.blobs.driver import Content
from store.blobs.filesystem import SMALL
from store.database import Unit
from tests.rooms import GRACE, HOME, WHO, House, Time, announced, open_house, patterned, quick_directory, read_blob
from tests.unit.registry.test_push_and_pull import blob, image, index, pushed

LAYER = patterned(SMALL + 1)
DIGEST = digest_of(LAYER)
KEPT = b"a layer that nothing happens to"
CONFIG = b"{}"


async def inspect(house: House, state: State | None = None, **options: Any) -> State:
    state = state or State(house.clock())
    return await Inspection(house.database, house.blobs, state, clock=house.clock, **options).run()


def kinds(state: State) -> list[Kind]:
    return [finding.kind for finding in state.findings]


async def stocked(house: House, name: str = "some/repository") -> Repository:
    """An image of two layers, tagged `latest`, and an index over it, tagged `all`."""
    repository = await house.repository(name)
    for data in (CONFIG, LAYER, KEPT):
        await blob(house, repository, data)
    put = await house.push.put(repository, manifest(), None, tags=(Tag("latest"),))
    await house.push.put(repository, index(put.digest), None, tags=(Tag("all"),))
    return repository


def manifest() -> bytes:
    return image(digest_of(CONFIG), DIGEST, digest_of(KEPT))


async def run(house: House, sql: str, *parameters: Any) -> None:
    def unit() -> Unit[None]:
        yield sql, parameters

    await house.database.write(unit)


def file_of(house: House) -> Path:
    """Of the one blob that is a file of its own."""
    (key,) = house.database._reader.execute("SELECT key FROM blobs WHERE digest = ?", (DIGEST,)).fetchone()  # type: ignore[attr-defined]
    return Path(house.blobs._file_path(key[2:]))  # type: ignore[attr-defined]


Damage = Callable[[House, Repository], Awaitable[None]]


async def lose_bytes(house: House, repository: Repository) -> None:
    file_of(house).unlink()


async def change_bytes(house: House, repository: Repository) -> None:
    file_of(house).write_bytes(patterned(SMALL + 1, 1))


async def cut_bytes(house: House, repository: Repository) -> None:
    file_of(house).write_bytes(LAYER[:-1])


async def say_another_size(house: House, repository: Repository) -> None:
    await run(house, "UPDATE blobs SET size = 7 WHERE digest = ?", DIGEST)


async def condemn_key(house: House, repository: Repository) -> None:
    await run(
        house,
        "INSERT INTO condemned (key, size, condemned_at) SELECT key, size, 1.0 FROM blobs WHERE digest = ?",
        DIGEST,
    )


async def unlink_everywhere(house: House, repository: Repository) -> None:
    await blob(house, repository, b"only a blob")
    await run(house, "DELETE FROM repository_blobs WHERE digest = ?", digest_of(b"only a blob"))


async def add_tag(house: House, repository: Repository) -> None:
    digest = "sha256:" + "0" * 64
    await run(
        house,
        "INSERT INTO tags (repository_id, name, digest, updated_at) VALUES (?, 'x', ?, 1.0)",
        repository.id,
        digest,
    )


async def change_manifest(house: House, repository: Repository) -> None:
    await run(house, "UPDATE manifests SET content = ? WHERE digest = ?", manifest() + b" ", digest_of(manifest()))


async def drop_reference(house: House, repository: Repository) -> None:
    await run(house, "DELETE FROM manifest_references WHERE digest = ?", DIGEST)


async def add_reference(house: House, repository: Repository) -> None:
    sql = "INSERT INTO manifest_references (repository_id, manifest, digest, kind) VALUES (?, ?, ?, 'blob')"
    await run(house, sql, repository.id, digest_of(manifest()), "sha256:" + "1" * 64)


async def say_another_subject(house: House, repository: Repository) -> None:
    await run(house, "UPDATE manifests SET subject = ?, image_size = 1 WHERE digest = ?", DIGEST, digest_of(manifest()))


async def drop_link(house: House, repository: Repository) -> None:
    await house.repository("another/repository")
    other = await house.repositories.find(HOME, "another/repository")  # type: ignore[arg-type]
    await house.database.write(lambda: rows.link_blob(repository.id, other.id, DIGEST, house.clock()))
    await run(house, "DELETE FROM repository_blobs WHERE digest = ? AND repository_id = ?", DIGEST, repository.id)


async def keep_for_ever(house: House, repository: Repository) -> None:
    await blob(house, repository, b"unnamed")
    await run(house, "UPDATE repository_blobs SET kept_at = 1e15 WHERE digest = ?", digest_of(b"unnamed"))


async def leave_rows(house: House, repository: Repository) -> None:
    await run(house, "INSERT INTO tags (repository_id, name, digest, updated_at) VALUES (5, 'x', ?, 1.0)", DIGEST)


async def lose_upload(house: House, repository: Repository) -> None:
    upload = await house.uploads.begin(repository.id, WHO)
    await house.uploads.receive(upload, announced(patterned(SMALL + 1, 9)))
    for path in Path(house.blobs._staging).rglob("*"):  # type: ignore[attr-defined]
        if path.is_file():
            path.unlink()


FAULTS: dict[Damage, Kind] = {
    lose_bytes: Kind.BYTES_MISSING,
    change_bytes: Kind.BYTES_WRONG,
    cut_bytes: Kind.BYTES_WRONG,
    say_another_size: Kind.SIZE_WRONG,
    condemn_key: Kind.KEY_CONDEMNED,
    unlink_everywhere: Kind.BLOB_UNLINKED,
    add_tag: Kind.TAG_DANGLING,
    change_manifest: Kind.MANIFEST_DAMAGED,
    drop_reference: Kind.REFERENCES_WRONG,
    add_reference: Kind.REFERENCES_WRONG,
    say_another_subject: Kind.DESCRIPTION_WRONG,
    drop_link: Kind.LINK_MISSING,
    keep_for_ever: Kind.LINK_KEPT,
    leave_rows: Kind.ROW_STRAY,
    lose_upload: Kind.UPLOAD_LOST,
}
LOSSES = {lose_bytes, change_bytes, cut_bytes}


def test_every_kind_of_fault_is_tried():
    assert {*FAULTS.values(), Kind.BLOB_LOST} == set(Kind)
    assert len({kind.word for kind in Kind}) == len(Kind)


async def test_a_registry_that_is_whole_has_no_findings(house: House):
    repository = await stocked(house)
    upload = await house.uploads.begin(repository.id, WHO)
    await house.uploads.receive(upload, announced(patterned(SMALL + 1, 9)))
    await house.uploads.begin(repository.id, WHO)
    state = await inspect(house)
    assert state.findings == []
    assert state.counts["blobs"] == 3
    assert state.counts["images"] == 2
    assert state.counts["bytes"] == len(CONFIG + LAYER + KEPT)


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
async def test_a_fault_is_found_and_named_and_nothing_changed(house: House, damage: Damage):
    repository = await stocked(house)
    await damage(house, repository)
    for _ in range(2):
        state = await inspect(house)
        assert kinds(state).count(FAULTS[damage]) == 1
        finding = state.findings[0]
        assert not finding.mended
        assert Finding.of_json(finding.as_json()) == finding


@pytest.mark.parametrize("damage", FAULTS.keys() - LOSSES, ids=lambda damage: damage.__name__)
async def test_what_can_be_mended_is_and_is_not_found_again(house: House, damage: Damage):
    repository = await stocked(house)
    await damage(house, repository)
    state = await inspect(house, mend=True)
    assert FAULTS[damage] in kinds(state)
    assert all(finding.mended for finding in state.findings)
    assert (await inspect(house)).findings == []
    if damage is not change_manifest:
        assert (await house.pull.manifest(HOME, repository.name, tag=Tag("latest"))).content == manifest()
        assert await read_blob(house, repository.name, DIGEST) == LAYER


@pytest.mark.parametrize("damage", LOSSES, ids=lambda damage: damage.__name__)
async def test_a_lost_blob_names_its_images_and_pushing_it_anywhere_makes_them_whole(house: House, damage: Damage):
    one, two = await stocked(house, "one/repository"), await stocked(house, "two/repository")
    await damage(house, one)
    (finding,) = (await inspect(house)).findings
    digest = digest_of(manifest())
    assert finding.images == tuple(
        f"{HOME.account}/{HOME.region}/{name}@{digest} (latest)" for name in ("one/repository", "two/repository")
    )
    state = await inspect(house, mend=True)
    assert kinds(state) == [FAULTS[damage], Kind.BLOB_LOST, Kind.BLOB_LOST]
    assert [finding.mended for finding in state.findings] == [True, False, False]
    for repository in (one, two):
        with pytest.raises(BlobUnknown):
            await house.pull.confirm_blob(HOME, repository.name, DIGEST)
    other = await house.repository("other/repository")
    assert not await house.database.write(lambda: rows.link_blob(one.id, other.id, DIGEST, house.clock()))
    assert await rows.find_blob_repositories(house.database, HOME, DIGEST, limit=10) == []
    with pytest.raises(LayersMissing):
        await house.push.put(one, image(digest_of(CONFIG), DIGEST), None)
    assert kinds(await inspect(house)) == [Kind.BLOB_LOST, Kind.BLOB_LOST]
    await blob(house, other, LAYER)
    assert (await inspect(house)).findings == []
    house.clock.pass_(3 * GRACE)
    for _ in range(2):
        await house.collector.collect()
    for repository in (one, two):
        assert await read_blob(house, repository.name, DIGEST) == LAYER


async def test_an_image_whose_manifest_is_damaged_can_be_pushed_again(house: House):
    repository = await stocked(house)
    await change_manifest(house, repository)
    await inspect(house, mend=True)
    with pytest.raises(ManifestUnknown):
        await house.pull.manifest(HOME, repository.name, tag=Tag("latest"))
    await house.push.put(repository, manifest(), None, tags=(Tag("latest"),))
    assert (await inspect(house)).findings == []
    assert (await house.pull.manifest(HOME, repository.name, tag=Tag("latest"))).content == manifest()


async def test_sizes_alone_are_compared_without_reading(house: House):
    await stocked(house)
    file_of(house).write_bytes(patterned(SMALL + 1, 1))
    assert (await inspect(house, read_bytes=False)).findings == []
    file_of(house).write_bytes(b"short")
    assert kinds(await inspect(house, read_bytes=False)) == [Kind.BYTES_WRONG]


async def test_images_may_lack_what_the_settings_or_their_descriptors_let_them_lack(place: Path, clock: Time):
    house = await open_house(place / "sparse", clock, sparse=True)
    repository = await house.repository()
    await house.push.put(repository, manifest(), None, tags=(Tag("latest"),))
    assert (await inspect(house, allow_sparse=True)).findings == []
    assert kinds(await inspect(house)) == [Kind.BLOB_LOST] * 3
    await house.close()


async def test_an_interrupted_inspection_goes_on_where_it_stopped(house: House):
    for number in range(40):
        repository = await house.repository(f"number/{number}")
        await pushed(house, repository, number, "latest")
    await run(house, "UPDATE blobs SET size = size + 1 WHERE digest = ?", digest_of(b"config 7"))
    await add_tag(house, repository)
    whole = await inspect(house)
    saved = [""]

    class Stop(Exception): ...

    inspected = []
    for stop_after in (3, 20, 5, 1, 45, 30, 10_000):
        left = [stop_after]

        def save(state: State, left: list[int] = left) -> None:
            saved[0] = state.write()
            left[0] -= 1
            if left[0] < 0:
                raise Stop

        state = State.read(saved[0]) if saved[0] else State(house.clock())
        try:
            done = await inspect(house, state, save=save)
        except Stop:
            inspected.append(State.read(saved[0]).counts.get("blobs", 0))
        else:
            break
    assert inspected == sorted(inspected)
    assert len(inspected) >= 5
    assert done.counts == whole.counts
    assert sorted(map(str, done.findings)) == sorted(map(str, whole.findings))


async def test_bytes_are_read_no_faster_than_told():
    now, slept = [0.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    rate = Rate(100, clock=lambda: now[0], sleep=sleep)
    for _ in range(10):
        await rate.take(50)
    assert now[0] == pytest.approx(4.5)
    now[0] += 1000
    await rate.take(50)
    assert now[0] == pytest.approx(1004.5), "what was not used is not saved up"
    await Rate(0, clock=lambda: now[0], sleep=sleep).take(1e12)
    assert now[0] == pytest.approx(1004.5)


class Meddling:
    """A driver under whose hands the registry changes: just before a key is opened, `change` runs once."""

    def __init__(self, house: House, change: Callable[[], Awaitable[None]]) -> None:
        self._blobs = house.blobs
        self._change: Callable[[], Awaitable[None]] | None = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def open(self, key: str) -> Content:
        change, self._change = self._change, None
        if change is not None:
            await change()
        return await self._blobs.open(key)


async def test_what_is_deleted_or_pushed_meanwhile_is_no_fault(house: House):
    repository = await stocked(house)

    async def delete() -> None:
        await house.repositories.delete(repository, force=True)
        for _ in range(2):
            house.clock.pass_(GRACE)
            await house.collector.collect()

    state = State(house.clock())
    done = await Inspection(house.database, Meddling(house, delete), state, clock=house.clock, mend=True).run()  # type: ignore[arg-type]
    assert done.findings == []
    again = await stocked(house, "again/repository")
    assert await read_blob(house, again.name, DIGEST) == LAYER


async def test_an_inspection_beside_pushes_and_deletions_finds_nothing(house: House):
    repository = await stocked(house)
    stopping = asyncio.Event()

    async def churn(number: int) -> None:
        count = 0
        while not stopping.is_set():
            count += 1
            _, put = await pushed(house, repository, 1000 * number + count, f"tag-{number}")
            await house.database.write(
                lambda put=put: rows.delete_manifest(repository.id, put.digest, house.clock(), keep_referenced=False)  # type: ignore[misc]
            )
            house.clock.pass_(GRACE / 3)
            await house.collector.collect()

    churning = [asyncio.create_task(churn(number)) for number in range(3)]
    for _ in range(10):
        assert (await inspect(house, mend=True)).findings == []
    stopping.set()
    await asyncio.gather(*churning)


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


@pytest.fixture
async def house(place: Path, clock: Time) -> AsyncIterator[House]:
    opened = await open_house(place / "house", clock)
    yield opened
    await opened.close()
