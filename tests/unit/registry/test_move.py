"""Moving between stores of every kind."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from base.digest import digest_of
from base.ids import new_uuid
from registry import rows
from registry.intake import Intake, IntakeRefused, require_complete
from registry.move import Move
from registry.names import Tag
from store.archive import ArchiveUnusable
from store.blobs.driver import BlobDriver
from store.blobs.filesystem import SMALL, FilesystemBlobs
from store.database import Sealed
from store.migrate import migrate
from store.schema import newest
from store.seals import list_seals
from store.sqlite import SqliteDatabase
from tests.rooms import House, Time, open_house, patterned, quick_directory
from tests.stores import KINDS, Opener, Store, contents, everything, fill, opener
from tests.unit.registry.test_backup import DATA, put_blobs
from tests.unit.registry.test_push_and_pull import blob, pushed


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def open_store(request: pytest.FixtureRequest, place: Path, clock: Time) -> Opener:
    return opener(request, place, clock)


@pytest.fixture
async def house(place: Path, clock: Time) -> AsyncIterator[House]:
    opened = await open_house(place / "house", clock)
    yield opened
    await opened.close()


def move(
    source: Store | House, target: Store, clock: Time, *, blobs: BlobDriver | None = None, same: bool = False
) -> Move:
    intake = Intake(target.database, target.blobs, clock=clock)
    return Move(source.database, blobs or source.blobs, intake, clock=clock, ids=new_uuid, same_bytes=same)


@pytest.mark.parametrize("target", KINDS, ids="+".join)
@pytest.mark.parametrize("source", KINDS, ids="+".join)
async def test_what_was_moved_is_what_was_there_between_stores_of_every_kind(
    open_store: Opener, clock: Time, source: tuple[str, str], target: tuple[str, str]
):
    async with open_store("source", *source) as old, open_store("target", *target) as new:
        await fill(old)
        await put_blobs(old, clock)
        copied = await move(old, new, clock).copy()
        assert copied.blobs == len(DATA)
        with pytest.raises(IntakeRefused):
            await require_complete(new.database)
        done = await move(old, new, clock).finish()
        assert (done.blobs, done.damaged) == (0, {})
        assert await everything(new) == await everything(old)
        assert await contents(new) == {digest_of(data): data for data in DATA}
        await require_complete(new.database)
        assert await list_seals(new.database) == []
        assert [seal.reason for seal in await list_seals(old.database)] == ["it has moved to another store"]


async def test_what_happens_between_two_copies_comes_along_and_nothing_after_the_last(
    house: House, open_store: Opener, clock: Time
):
    repository = await house.repository()
    _, first = await pushed(house, repository, 1, "latest")
    async with open_store("target", "sqlite", "disk") as new:
        await move(house, new, clock).copy()
        await house.database.write(
            lambda: rows.delete_manifest(repository.id, first.digest, clock(), keep_referenced=False)
        )
        await house.database.write(lambda: rows.unlink_blob(repository.id, digest_of(b"config 1"), clock()))
        await pushed(house, repository, 2, "latest")
        done = await move(house, new, clock).finish()
        assert done.blobs == 1
        assert await contents(new) == {digest_of(data): data for data in (b"config 2", b"layer")}
        assert await new.database.fetch("SELECT size FROM condemned") == [(len(b"config 1"),)], "what came in vain goes"
        with pytest.raises(Sealed):
            await house.database.write(lambda: rows.delete_tag(repository.id, Tag("latest")), heed=True)


async def test_a_move_that_was_interrupted_goes_on_and_what_changed_since_comes_along(
    house: House, open_store: Opener, clock: Time
):
    repository = await house.repository()
    for number in range(80):
        await pushed(house, repository, number, f"{number}")

    class Breaking(FilesystemBlobs):
        left = 70

        async def open(self, key: str):
            self.left -= 1
            if self.left < 0:
                raise ArchiveUnusable("the network is gone")
            return await super().open(key)

    breaking = Breaking(house.blobs._files.parent, clock=clock, ids=new_uuid)  # type: ignore[attr-defined]
    async with open_store("target", "sqlite", "disk") as new:
        with pytest.raises(ArchiveUnusable):
            await move(house, new, clock, blobs=breaking).finish()
        held = len(await contents(new))
        assert 0 < held < 81
        await house.database.write(lambda: rows.delete_tag(repository.id, Tag("3")))  # the seal was broken for it
        done = await move(house, new, clock).finish()
        assert done.blobs == 81 - held
        assert await everything(new) == await everything(Store(house.database, house.blobs))
        with pytest.raises(IntakeRefused, match="not empty"):
            await move(house, new, clock).copy()
    await breaking.close()


async def test_bytes_that_both_stores_share_stay_where_they_are(house: House, clock: Time, place: Path):
    repository = await house.repository()
    await pushed(house, repository, 1, "latest")
    database = SqliteDatabase(place / "new.db")
    new = Store(database, house.blobs)
    assert (await move(house, new, clock, same=True).copy()).blobs == 0
    await move(house, new, clock, same=True).finish()
    keys = "SELECT digest, key, size FROM blobs ORDER BY digest"
    assert await database.fetch(keys) == await house.database.fetch(keys)
    assert await everything(new) == await everything(Store(house.database, house.blobs))
    await database.close()


async def test_a_blob_that_is_lost_stays_behind_and_is_named(house: House, open_store: Opener, clock: Time):
    repository = await house.repository()
    lost = await blob(house, repository, patterned(SMALL + 1))
    await blob(house, repository, b"kept")
    (path,) = [path for path in house.blobs._files.rglob("*") if path.is_file()]  # type: ignore[attr-defined]
    path.write_bytes(patterned(SMALL + 1, 1))
    async with open_store("target", "sqlite", "disk") as new:
        done = await move(house, new, clock).finish()
        assert list(done.damaged) == [lost]
        assert await contents(new) == {digest_of(b"kept"): b"kept"}


async def test_a_store_that_is_in_use_is_not_moved_into(house: House, open_store: Opener, clock: Time, place: Path):
    await house.repository()
    other = await open_house(place / "other", clock)
    await other.repository("something/else")
    with pytest.raises(IntakeRefused, match="not empty"):
        await move(house, Store(other.database, other.blobs), clock).copy()
    await migrate(other.database, now=1.0)
    assert await list_seals(house.database) == []
    await other.close()


async def test_a_registry_that_is_migrated_while_it_moves_is_not_taken_for_what_it_was(open_store: Opener, clock: Time):
    async with open_store("source", "sqlite", "disk") as old, open_store("target", "sqlite", "disk") as new:
        await fill(old, schema=newest() - 1)

        class Late(Intake):
            async def clear(self, schema: int, *, blobs: bool) -> None:
                await migrate(old.database, now=2.0)
                await super().clear(schema, blobs=blobs)

        late = Late(new.database, new.blobs, clock=clock)
        with pytest.raises(IntakeRefused, match="brought to another release meanwhile"):
            await Move(old.database, old.blobs, late, clock=clock, ids=new_uuid).finish()
        with pytest.raises(IntakeRefused):
            await require_complete(new.database)
