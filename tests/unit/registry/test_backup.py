"""Backups and restoring: between stores of every kind, incrementally, through damage and interruption."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from base.digest import Digest, digest_of
from base.ids import new_uuid
from registry import rows
from registry.backup import SINCE, Backup, BackupBusy, Backups, blob_name, find_backup, list_backups, verify_backup
from registry.gc import Collector
from registry.intake import Intake, IntakeRefused, require_complete
from registry.owner import StoreForeign
from registry.restore import Restored, restore
from registry.rows.tables import BLOBS
from store.archive import Archive, ArchiveUnusable
from store.archive.directory import DirectoryArchive
from store.blobs.filesystem import SMALL
from store.dump import insert_rows
from store.leases import Lease
from store.migrate import migrate, read_schema
from store.schema import newest, tables
from tests.rooms import GRACE, House, Time, open_house, patterned, quick_directory
from tests.stores import KINDS, Opener, Store, contents, everything, fill, opener
from tests.unit.registry.test_push_and_pull import blob, pushed

DATA = (b"", b"small", patterned(SMALL + 1), patterned(3 * 1024 * 1024 + 5, 1))


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
async def archive(place: Path) -> AsyncIterator[Archive]:
    opened = DirectoryArchive(place / "archive", threads=2)
    yield opened
    await opened.close()


@pytest.fixture
async def house(place: Path, clock: Time) -> AsyncIterator[House]:
    opened = await open_house(place / "house", clock)
    yield opened
    await opened.close()


async def put_blobs(store: Store, clock: Time) -> None:
    """Some blobs, linked, in a store that has tables."""
    intake = Intake(store.database, store.blobs, clock=clock)
    for data in DATA:
        await intake.take(digest_of(data), len(data), pieces(data))
    links = [(7, digest_of(data), 1e15) for data in DATA]
    await store.database.write(lambda: insert_rows(tables(newest())["repository_blobs"], links))


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def backups(store: Store | House, archive: Archive, clock: Time) -> Backups:
    return Backups(store.database, store.blobs, archive, clock=clock, ids=new_uuid)


async def restored(store: Store, archive: Archive, clock: Time, **options: bool) -> Restored:
    backup = await find_backup(archive)
    return await restore(archive, backup, Intake(store.database, store.blobs, clock=clock), **options)


@pytest.mark.parametrize("source", KINDS, ids="+".join)
@pytest.mark.parametrize("target", KINDS, ids="+".join)
async def test_what_is_restored_is_what_was_backed_up_between_stores_of_every_kind(
    open_store: Opener, archive: Archive, clock: Time, source: tuple[str, str], target: tuple[str, str]
):
    async with open_store("source", *source) as store:
        await fill(store)
        await put_blobs(store, clock)
        made = await backups(store, archive, clock).make()
        before = await everything(store)
        assert all(before.values()), "every table has rows"
        assert await contents(store) == {digest_of(data): data for data in DATA}
    assert await verify_backup(archive, made) == []
    async with open_store("target", *target) as store:
        done = await restored(store, archive, clock)
        assert await everything(store) == before
        assert await contents(store) == {digest_of(data): data for data in DATA}
        await require_complete(store.database)
    assert (done.blobs, done.size) == (made.blobs, made.size) == (len(DATA), sum(map(len, DATA)))


async def test_a_blob_is_copied_once_however_many_backups_hold_it(house: House, archive: Archive, clock: Time):
    repository = await house.repository()
    await pushed(house, repository, 1, "one")
    maker = backups(house, archive, clock)
    first = await maker.make()
    assert first.copied == first.blobs == 2
    clock.pass_(1)
    await pushed(house, repository, 2, "two")
    second = await maker.make()
    assert (second.copied, second.blobs) == (1, 3)
    assert [one.id for one in await list_backups(archive)] == [first.id, second.id]
    for backup in (first, second):
        assert await verify_backup(archive, backup) == []


async def test_what_is_pushed_and_deleted_while_a_backup_is_made_does_not_change_it(
    house: House, archive: Archive, clock: Time
):
    repository = await house.repository()
    _, put = await pushed(house, repository, 1, "latest")
    collector = Collector(
        house.database, house.blobs, clock=lambda: clock() + 1, grace=0.0, upload_expiry=1.0, settle=0.0
    )

    class Meddling(DirectoryArchive):
        """Between the rows and the bytes everything is deleted and collected, and something else pushed."""

        meddled = False

        async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
            if name.startswith("blobs/") and not self.meddled:
                self.meddled = True
                await house.database.write(
                    lambda: rows.delete_manifest(repository.id, put.digest, clock(), keep_referenced=False)
                )
                assert (await collector.collect()).unlinked == 2
                assert (await collector.collect()).freed == 0
                await pushed(house, repository, 2, "latest")
            await super().put(name, pieces)

    meddling = Meddling(Path(archive.address), threads=2)
    made = await backups(house, meddling, clock).make()
    await meddling.close()
    assert meddling.meddled
    assert (made.blobs, made.damaged) == (2, {})
    assert await verify_backup(archive, made) == []
    assert (await collector.collect()).freed > 0, "afterwards bytes go as ever"


async def test_only_the_newest_backups_are_kept_and_the_blobs_that_they_need(
    house: House, archive: Archive, clock: Time
):
    repository = await house.repository()
    maker = backups(house, archive, clock)
    made: list[Backup] = []
    for number in range(4):
        _, put = await pushed(house, repository, number, "latest")
        clock.pass_(1)
        made.append(await maker.make(keep=2))
        await house.database.write(
            lambda put=put: rows.delete_manifest(repository.id, put.digest, clock(), keep_referenced=False)  # type: ignore[misc]
        )
        clock.pass_(2 * GRACE)
        for _ in range(2):
            await house.collector.collect()
    assert [one.id for one in await list_backups(archive)] == [one.id for one in made[-2:]]
    kept = {name async for some in archive.list("blobs/") for name, _ in some}
    assert kept == {blob_name(digest_of(data)) for data in (b"config 2", b"config 3", b"layer")}
    for backup in made[-2:]:
        assert await verify_backup(archive, backup) == []


async def test_a_backup_that_was_interrupted_counts_for_nothing_and_the_next_one_goes_on(
    house: House, archive: Archive, clock: Time
):
    repository = await house.repository()
    for number in range(100):
        await blob(house, repository, b"%d" % number)

    class Breaking(DirectoryArchive):
        left = 0

        async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
            self.left -= 1
            if self.left < 0:
                raise ArchiveUnusable("the disk was pulled out")
            await super().put(name, pieces)

    breaking = Breaking(Path(archive.address), threads=2)
    breaking.left = len(tables(newest())) + 80
    with pytest.raises(ArchiveUnusable, match="pulled out"):
        await backups(house, breaking, clock).make()
    await breaking.close()
    with pytest.raises(ArchiveUnusable, match="no complete backup"):
        await find_backup(archive)
    copied = len([name async for some in archive.list("blobs/") for name, _ in some])
    assert 0 < copied < 100
    made = await backups(house, archive, clock).make()
    assert (made.blobs, made.copied) == (100, 100 - copied)
    folders = {name.split("/")[1] async for some in archive.list("backups/") for name, _ in some}
    assert folders == {made.id}


async def test_only_one_backup_of_a_registry_is_made_at_a_time(house: House, archive: Archive, clock: Time):
    other = Lease(house.database, "backup", "another process", clock=clock)
    assert await other.take()
    with pytest.raises(BackupBusy):
        await backups(house, archive, clock).make()
    clock.pass_(11)  # it was killed
    await backups(house, archive, clock).make()


async def test_a_place_has_the_backups_of_one_registry_and_nothing_else(
    house: House, archive: Archive, clock: Time, place: Path
):
    await backups(house, archive, clock).make()
    other = await open_house(place / "other", clock)
    with pytest.raises(ArchiveUnusable, match="another registry"):
        await backups(other, archive, clock).make()
    (place / "full").mkdir()
    (place / "full" / "thesis.txt").write_text("mine")
    full = DirectoryArchive(place / "full", threads=2)
    with pytest.raises(ArchiveUnusable, match=r"thesis\.txt"):
        await backups(other, full, clock).make()
    await full.close()
    await other.close()


@pytest.mark.parametrize("missing", [True, False])
async def test_a_blob_that_the_store_has_lost_is_named_and_the_rest_is_backed_up(
    house: House, archive: Archive, clock: Time, open_store: Opener, missing: bool
):
    repository = await house.repository()
    lost = await blob(house, repository, patterned(SMALL + 1))
    await blob(house, repository, b"kept")
    (path,) = [path for path in (Path(house.blobs._files)).rglob("*") if path.is_file()]  # type: ignore[attr-defined]
    path.unlink() if missing else path.write_bytes(patterned(SMALL + 1, 1))
    made = await backups(house, archive, clock).make()
    assert list(made.damaged) == [lost]
    assert (made.blobs, made.copied) == (1, 1)
    (fault,) = await verify_backup(archive, made)
    assert lost in fault
    async with open_store("target", "sqlite", "disk") as store:
        done = await restored(store, archive, clock)
        assert list(done.damaged) == [lost]
        assert await contents(store) == {digest_of(b"kept"): b"kept"}


async def damage(archive: Archive, name: str, how: str) -> None:
    path = Path(archive.address) / name
    if how == "missing":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data[:-1] if how == "short" else data)


@pytest.mark.parametrize("how", ["missing", "short", "changed"])
@pytest.mark.parametrize("what", ["blob", "rows", "blobs"])
async def test_damage_in_a_backup_is_found_by_verifying_and_by_restoring(
    house: House, archive: Archive, clock: Time, open_store: Opener, what: str, how: str
):
    repository = await house.repository()
    _, put = await pushed(house, repository, 1, "latest")
    made = await backups(house, archive, clock).make()
    table = {"rows": "manifests", "blobs": "blobs"}.get(what, "")
    name = f"backups/{made.id}/rows/{table}.jsonl.gz" if table else blob_name(digest_of(b"layer"))
    await damage(archive, name, how)
    (fault, *_) = await verify_backup(archive, made)
    assert (table or digest_of(b"layer")) in fault
    async with open_store("target", "sqlite", "disk") as store:
        with pytest.raises(ArchiveUnusable):
            await restored(store, archive, clock)
        with pytest.raises(IntakeRefused):
            await require_complete(store.database)
        if what == "blob":
            done = await restored(store, archive, clock, keep_going=True)
            assert list(done.damaged) == [digest_of(b"layer")]
            assert await contents(store) == {digest_of(b"config 1"): b"config 1"}
            assert await store.database.fetch("SELECT digest FROM manifests") == [(put.digest,)]


async def test_a_blob_that_is_not_whole_in_the_archive_is_copied_again(house: House, archive: Archive, clock: Time):
    repository = await house.repository()
    digest = await blob(house, repository, b"some bytes")
    await backups(house, archive, clock).make()
    (Path(archive.address) / blob_name(digest)).write_bytes(b"")
    made = await backups(house, archive, clock).make()
    assert made.copied == 1
    assert await verify_backup(archive, made) == []


@pytest.mark.parametrize("target", KINDS, ids="+".join)
async def test_a_restore_that_was_interrupted_at_any_step_goes_on_when_it_is_called_again(
    house: House, archive: Archive, clock: Time, open_store: Opener, target: tuple[str, str]
):
    repository = await house.repository()
    for number in range(12):
        await pushed(house, repository, number, f"{number}")
    made = await backups(house, archive, clock).make()
    before = await everything(Store(house.database, house.blobs))

    class Breaking(DirectoryArchive):
        left = 0

        def read(self, name: str) -> AsyncIterator[bytes]:
            self.left -= 1
            if self.left < 0:
                raise ArchiveUnusable("the network is gone")
            return super().read(name)

    breaking = Breaking(Path(archive.address), threads=2)
    attempts = 0
    async with open_store("target", *target) as store:
        while True:
            attempts += 1
            breaking.left = 7 * attempts
            intake = Intake(store.database, store.blobs, clock=clock)
            try:
                await restore(breaking, made, intake)
            except ArchiveUnusable:
                with pytest.raises(IntakeRefused):
                    await require_complete(store.database)
            else:
                break
        await breaking.close()
        assert attempts > 3
        assert await everything(store) == before
        assert {digest_of(data) for data in (await contents(store)).values()} == {row[0] for row in before["blobs"]}


async def test_a_store_that_holds_anything_is_not_restored_into(
    house: House, archive: Archive, clock: Time, open_store: Opener, place: Path
):
    await house.repository()
    await backups(house, archive, clock).make()
    full = await open_house(place / "full", clock)
    await full.repository("something/else")
    with pytest.raises(IntakeRefused, match="not empty"):
        await restored(Store(full.database, full.blobs), archive, clock)
    await full.close()
    async with open_store("target", "sqlite", "disk") as store:
        await Intake(store.database, store.blobs, clock=clock).begin("another place", schema=newest())
        with pytest.raises(IntakeRefused, match="another place"):
            await restored(store, archive, clock)
    async with open_store("claimed", "sqlite", "disk") as store:
        await store.blobs.claim("another registry")
        with pytest.raises(StoreForeign, match="another registry"):
            await restored(store, archive, clock)


async def test_a_backup_of_an_earlier_release_is_restored_and_one_of_a_newer_one_refused(
    house: House, archive: Archive, clock: Time, open_store: Opener
):
    await house.repository()
    made = await backups(house, archive, clock).make()
    path = Path(archive.address) / "backups" / made.id / "complete.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "schema": newest() + 1}))
    async with open_store("target", "sqlite", "disk") as store:
        with pytest.raises(IntakeRefused, match="newer release"):
            await restored(store, archive, clock)
    path.write_text(json.dumps({**said, "format": 2}))
    with pytest.raises(ArchiveUnusable, match="newer release"):
        await find_backup(archive)


@pytest.mark.parametrize("schema", range(SINCE, newest() + 1))
async def test_a_registry_that_was_not_migrated_yet_is_backed_up_as_it_is_and_restored_to_this_release(
    open_store: Opener, archive: Archive, clock: Time, schema: int
):
    async with open_store("source", "sqlite", "disk") as store:
        await fill(store, schema=schema)
        await put_blobs(store, clock)
        made = await backups(store, archive, clock).make()
        assert (made.schema, (await read_schema(store.database)).number) == (schema, schema)
        before = {name: await store.database.fetch(table.select) for name, table in tables(schema).items()}
    async with open_store("target", "sqlite", "disk") as store:
        await migrate(store.database, now=1.0, upto=3)  # making the tables may have been interrupted
        await restored(store, archive, clock)
        assert (await read_schema(store.database)).number == newest()
        for name in made.tables.keys() - {BLOBS}:
            assert await store.database.fetch(tables(schema)[name].select) == before[name]
        assert await contents(store) == {digest_of(data): data for data in DATA}


async def test_a_registry_of_an_earlier_release_is_not_restored_into_and_stays_as_it_is(
    house: House, archive: Archive, clock: Time, open_store: Opener
):
    await house.repository()
    await backups(house, archive, clock).make()
    async with open_store("target", "sqlite", "disk") as store:
        await fill(store, schema=SINCE)
        with pytest.raises(IntakeRefused, match="not empty"):
            await restored(store, archive, clock)
        assert (await read_schema(store.database)).number == SINCE


async def test_secrets_are_kept_as_they_are_sealed_and_what_is_left_out_is_said(
    house: House, archive: Archive, clock: Time
):
    made = await backups(house, archive, clock).make()
    said = json.loads((Path(archive.address) / "backups" / made.id / "complete.json").read_text())
    assert any("server.key" in entry for entry in said["left_out"]["files"])
    assert said["left_out"]["tables"].keys() & made.tables.keys() == set()
    assert "server.key" in (Path(archive.address) / "README.txt").read_text()


def test_blobs_lie_under_their_digests():
    digest = Digest("sha256:" + "ab" * 32)
    assert blob_name(digest) == f"blobs/sha256/ab/{'ab' * 32}"
