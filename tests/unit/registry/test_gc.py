import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from base.digest import Digest, digest_of
from registry import rows
from registry.errors import BlobUnknown, OffsetWrong, UploadUnknown
from registry.gc import Collector
from registry.media import OCI_MANIFEST
from registry.names import Tag
from registry.rows import Repository
from registry.uploads import ClientGone
from store.blobs.driver import BytesMissing
from store.blobs.filesystem import SMALL
from store.leases import PIN, Lease
from tests.rooms import (
    EXPIRY,
    GRACE,
    HOME,
    SETTLE,
    WHO,
    Bytes,
    House,
    Time,
    announced,
    open_house,
    patterned,
    read_blob,
    read_key,
)
from tests.unit.registry.test_push_and_pull import blob, described, image, index, pushed

LARGE = SMALL + 1
STEP = GRACE / 4


async def key_of(house: House, digest: str) -> str:
    row = await house.database.fetch_one("SELECT key FROM blobs WHERE digest = ?", (digest,))
    assert row is not None
    return str(row[0])


async def is_there(house: House, repository: Repository, digest: Digest) -> bool:
    try:
        found = await house.pull.blob(HOME, repository.name, digest)
    except BlobUnknown:
        return False
    assert digest_of(await read_key(house.blobs, found.key)) == digest
    return True


async def stored(house: House, clock: Time) -> set[str]:
    return {one.key async for batch in house.blobs.inventory(before=clock() + 1e6) for one in batch}


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_blob_without_a_manifest_is_kept_for_its_grace_and_freed_after_it(
    house: House, repository: Repository, clock: Time, size: int
):
    digest = await blob(house, repository, patterned(size))
    key = await key_of(house, digest)
    clock.pass_(GRACE - 1)
    assert (await house.collector.collect()).unlinked == 0
    assert await is_there(house, repository, digest)
    clock.pass_(2)
    done = await house.collector.collect()
    assert (done.unlinked, done.freed) == (1, 0)
    assert not await is_there(house, repository, digest)
    assert digest_of(await read_key(house.blobs, key)) == digest, "readers that are still at it"
    clock.pass_(SETTLE + 1)
    done = await house.collector.collect()
    assert (done.freed, done.bytes) == (1, size)
    with pytest.raises(BytesMissing):
        await house.blobs.open(key)
    assert await house.database.fetch("SELECT key FROM condemned") == []


async def test_nothing_is_freed_while_there_is_a_pin(house: House, repository: Repository, clock: Time):
    digest = await blob(house, repository, b"to be copied")
    key = await key_of(house, digest)
    writer = await house.blobs.writer(house.blobs.stage(), turn=1, offset=0)
    await writer.write([b"nobody's"], [])
    orphan = await writer.close()
    pin = Lease(house.database, f"{PIN}a copy", "a copy", clock=clock, seconds=20 * GRACE)
    assert await pin.take()
    for _ in range(5):
        clock.pass_(GRACE + 1)
        assert (await house.collector.collect()).freed == 0
        assert (await house.collector.collect_orphans()).orphans == 0
    assert await read_key(house.blobs, key) == b"to be copied"
    assert await read_key(house.blobs, orphan) == b"nobody's"
    clock.pass_(20 * GRACE)  # whoever held it has fallen silent
    assert (await house.collector.collect()).freed == 1
    assert (await house.collector.collect_orphans()).orphans == 1


async def test_what_a_manifest_names_is_kept_for_ever(house: House, repository: Repository, clock: Time):
    content, _ = await pushed(house, repository, 1, "latest")
    for _ in range(5):
        clock.pass_(10 * GRACE)
        assert (await house.collector.collect()).unlinked == 0
        assert (await house.collector.collect_orphans()).orphans == 0
    assert (await house.pull.manifest(HOME, repository.name, tag=Tag("latest"))).content == content
    for name in (b"config 1", b"layer"):
        assert await read_blob(house, repository.name, digest_of(name)) == name


async def test_a_deleted_manifest_begins_the_grace_of_its_blobs(house: House, repository: Repository, clock: Time):
    _, put = await pushed(house, repository, 1)
    clock.pass_(10 * GRACE)
    await house.database.write(lambda: rows.delete_manifest(repository.id, put.digest, clock(), keep_referenced=False))
    clock.pass_(GRACE - 1)
    await house.collector.collect()
    assert await is_there(house, repository, digest_of(b"layer"))
    clock.pass_(2)
    assert (await house.collector.collect()).unlinked == 2
    assert not await is_there(house, repository, digest_of(b"layer"))
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 2
    assert await stored(house, clock) == set()


async def test_an_answer_that_lets_a_client_skip_an_upload_renews_the_grace(
    house: House, repository: Repository, clock: Time
):
    digest = await blob(house, repository, b"asked for")
    for _ in range(20):
        clock.pass_(GRACE * 0.9)
        await house.pull.confirm_blob(HOME, repository.name, digest)
        await house.collector.collect()
    await house.push.put(repository, image(digest), None)
    clock.pass_(5 * GRACE)
    await house.collector.collect()
    assert await is_there(house, repository, digest)


async def test_the_grace_is_renewed_coarsely(house: House, repository: Repository, clock: Time):
    """Not by a write for each question; but whoever was answered has three quarters of it before them."""
    digest = await blob(house, repository, b"asked for")
    begun = clock()

    async def kept_at() -> float:
        found = await rows.find_blob(house.database, repository.id, digest)
        assert found is not None
        return found.kept_at

    clock.pass_(STEP - 1)
    await house.pull.confirm_blob(HOME, repository.name, digest)
    assert await kept_at() == begun
    clock.pass_(1)
    await house.pull.confirm_blob(HOME, repository.name, digest)
    assert await kept_at() == clock()


async def test_who_asks_after_the_collector_hears_that_it_is_gone(house: House, repository: Repository, clock: Time):
    digest = await blob(house, repository, b"too late")
    seen = await house.pull.blob(HOME, repository.name, digest)
    clock.pass_(GRACE + 1)
    await house.collector.collect()
    assert not await house.pull.renew(repository.id, seen)
    with pytest.raises(BlobUnknown):
        await house.pull.confirm_blob(HOME, repository.name, digest)


async def test_a_mount_keeps_the_bytes_when_their_first_home_lets_go(house: House, repository: Repository, clock: Time):
    digest = await blob(house, repository, b"mounted")
    target = await house.repository("target")
    clock.pass_(GRACE - 1)
    now = clock()
    assert await house.database.write(lambda: rows.link_blob(repository.id, target.id, digest, now))
    clock.pass_(2)
    assert (await house.collector.collect()).unlinked == 1
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 0
    assert not await is_there(house, repository, digest)
    assert await is_there(house, target, digest)
    clock.pass_(GRACE)
    await house.collector.collect()
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 1


async def test_a_mount_of_what_is_not_there_does_nothing(house: House, repository: Repository, clock: Time):
    target = await house.repository("target")
    digest = digest_of(b"absent")
    now = clock()
    assert not await house.database.write(lambda: rows.link_blob(repository.id, target.id, digest, now))
    here = await blob(house, repository, b"here")
    assert not await house.database.write(lambda: rows.link_blob(repository.id, target.id + 1, here, now))
    assert await house.database.write(lambda: rows.link_blob(repository.id, repository.id, here, now))


async def test_a_renewal_never_shortens_what_is_kept(house: House, repository: Repository, clock: Time):
    """Who asked before the image was put writes after it."""
    await pushed(house, repository, 1)
    now = clock()
    assert await house.database.write(lambda: rows.keep_blob(repository.id, digest_of(b"layer"), now))
    found = await rows.find_blob(house.database, repository.id, digest_of(b"layer"))
    assert found is not None
    assert found.kept_at == rows.REFERENCED


async def test_a_mount_never_shortens_what_is_kept(house: House, repository: Repository, clock: Time):
    await pushed(house, repository, 1)
    source = await house.repository("source")
    digest = await blob(house, source, b"layer")
    now = clock()
    await house.database.write(lambda: rows.link_blob(source.id, repository.id, digest, now))
    found = await rows.find_blob(house.database, repository.id, digest)
    assert found is not None
    assert found.kept_at == rows.REFERENCED


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_push_that_meets_a_tombstone_brings_its_own_bytes(
    house: House, other: House, repository: Repository, clock: Time, size: int
):
    data = patterned(size)
    digest = await blob(house, repository, data)
    old = await key_of(house, digest)
    clock.pass_(GRACE + 1)
    await house.collector.collect()
    assert await blob(other, repository, data) == digest
    new = await key_of(house, digest)
    assert new != old
    await other.push.put(repository, image(digest), None)
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 1
    with pytest.raises(BytesMissing):
        await house.blobs.open(old)
    assert await is_there(house, repository, digest)


async def test_deleting_a_blob_frees_its_bytes_after_a_while_and_not_those_of_others(
    house: House, repository: Repository, clock: Time
):
    another = await house.repository("another")
    shared, alone = await blob(house, repository, b"shared"), await blob(house, repository, b"alone")
    await blob(house, another, b"shared")
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 1, "the bytes that came twice"
    for digest in (shared, alone):
        assert await house.database.write(lambda digest=digest: rows.unlink_blob(repository.id, digest, clock()))  # type: ignore[misc]
    assert not await is_there(house, repository, shared)
    clock.pass_(SETTLE - 1)
    assert (await house.collector.collect()).freed == 0
    clock.pass_(2)
    assert (await house.collector.collect()).freed == 1
    assert await is_there(house, another, shared)


async def test_more_than_one_step_is_collected_in_one_round(
    house: House, repository: Repository, clock: Time, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("registry.gc._STEP", 3)
    for number in range(10):
        await blob(house, repository, str(number).encode())
        await house.uploads.receive(await house.uploads.begin(repository.id, WHO), announced(b"never finished"))
    clock.pass_(20 * GRACE)
    done = await house.collector.collect()
    assert (done.unlinked, done.uploads) == (10, 10)
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 20
    assert await stored(house, clock) == set()


async def test_a_round_that_was_cut_short_is_finished_by_the_next(
    house: House, other: House, repository: Repository, clock: Time
):
    """As after a crash between the end of the bytes and the end of their tombstone."""
    digest = await blob(house, repository, b"doomed")
    key = await key_of(house, digest)
    clock.pass_(GRACE + 1)
    await house.collector.collect()
    await house.blobs.delete(key)
    clock.pass_(SETTLE + 1)
    assert (await other.collector.collect()).freed == 1
    assert (await other.collector.collect()).freed == 0


async def test_two_collectors_at_once_do_no_harm(house: House, other: House, repository: Repository, clock: Time):
    content, _ = await pushed(house, repository, 1, "latest")
    for number in range(20):
        await blob(house, repository, str(number).encode())
    clock.pass_(2 * GRACE)
    await asyncio.gather(*(one.collector.collect() for one in (house, other, house)))
    clock.pass_(SETTLE + 1)
    await asyncio.gather(*(one.collector.collect() for one in (house, other, house)))
    await asyncio.gather(*(one.collector.collect_orphans() for one in (house, other)))
    assert await house.database.fetch_one("SELECT COUNT(*) FROM blobs") == (2,)
    assert len(await stored(house, clock)) == 2
    assert (await house.pull.manifest(HOME, repository.name, tag=Tag("latest"))).content == content


@pytest.mark.parametrize("sizes", [(10, 20), (10, LARGE), (LARGE, 10), (LARGE, LARGE), (10, 20, 30)])
@pytest.mark.parametrize("closing", [True, False], ids=["bytes with the closing request", "none"])
async def test_an_upload_in_pieces_leaves_nothing_that_only_a_search_would_find(
    house: House, repository: Repository, clock: Time, sizes: Sequence[int], closing: bool
):
    data = patterned(sum(sizes))
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    pieces = [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    upload = await house.uploads.begin(repository.id, WHO)
    for piece in pieces[:-1] if closing else pieces:
        upload = await house.uploads.receive(upload, announced(piece))
    await house.uploads.finish(upload, digest_of(data), announced(pieces[-1]) if closing else None)
    await house.push.put(repository, image(digest_of(data)), None)
    clock.pass_(SETTLE + 1)
    await house.collector.collect()
    assert await stored(house, clock) == {await key_of(house, digest_of(data))}
    assert await is_there(house, repository, digest_of(data))


@pytest.mark.parametrize("after", [0.0, 500.0])
async def test_what_is_about_a_deleted_image_goes_with_it_unless_somebody_wants_it_for_itself(
    house: House, repository: Repository, clock: Time, after: float
):
    """`referrers_after`; 0 is never."""
    _, put = await pushed(house, repository, 1)
    _, again = await pushed(house, repository, 2)
    made = {}
    for name, about, tags in (
        ("lone", put, []),
        ("tagged", put, ["v1"]),
        ("listed", put, []),
        ("of one that is back", again, []),
    ):
        more = {"annotations": {"name": name}, "subject": described(about.digest, 3, OCI_MANIFEST)}
        made[name] = (await pushed(house, repository, 3, *tags, **more))[1].digest
    await house.push.put(repository, index(made["listed"]), None)
    for one in (put, again):
        unit = partial(rows.delete_manifest, repository.id, one.digest, clock(), keep_referenced=False)
        await house.database.write(unit)
    await pushed(house, repository, 2)
    collector = Collector(
        house.database, house.blobs, clock=clock, grace=GRACE, upload_expiry=EXPIRY, referrers_after=after
    )

    async def left() -> set[str]:
        found = {digest for (digest,) in await house.database.fetch("SELECT digest FROM manifests")}
        return {name for name, digest in made.items() if digest in found}

    clock.pass_(499)
    assert (await collector.collect()).referrers == 0
    assert await left() == made.keys()
    clock.pass_(100 * EXPIRY)
    assert (await collector.collect()).referrers == (1 if after else 0)
    assert await left() == made.keys() - ({"lone"} if after else set())
    assert await house.database.fetch("SELECT * FROM deleted_subjects") == [], "it is looked at once"


async def test_who_was_too_late_with_a_piece_leaves_nothing_that_only_a_search_would_find(
    house: House, other: House, repository: Repository, clock: Time
):
    upload = await house.uploads.begin(repository.id, WHO)
    await house.uploads.receive(upload, announced(b"the quick"))
    with pytest.raises(OffsetWrong):
        await other.uploads.receive(upload, announced(b"the late"))
    assert len(await stored(house, clock)) == 1
    await house.uploads.cancel(upload)
    with pytest.raises(UploadUnknown):
        await other.uploads.receive(upload, announced(b"the late"))
    clock.pass_(SETTLE + 1)
    await house.collector.collect()
    assert await stored(house, clock) == set()


@pytest.mark.parametrize("before", [0, 10, LARGE])
@pytest.mark.parametrize("size", [10, LARGE, 3 * LARGE])
async def test_an_upload_whose_client_went_away_leaves_nothing_that_only_a_search_would_find(
    house: House, repository: Repository, clock: Time, before: int, size: int
):
    upload = await house.uploads.begin(repository.id, WHO)
    if before:
        upload = await house.uploads.receive(upload, announced(patterned(before)))
    with pytest.raises(ClientGone):
        await house.uploads.receive(upload, Bytes(*[patterned(size)] * 3, length=10 * size, gone=True))
    clock.pass_(EXPIRY + 1)
    await house.collector.collect()
    clock.pass_(SETTLE + 1)
    await house.collector.collect()
    assert await stored(house, clock) == set()


@pytest.mark.parametrize("size", [10, LARGE])
async def test_bytes_without_a_row_are_found_and_freed_when_they_are_old(
    house: House, repository: Repository, clock: Time, size: int
):
    """As a crash between the bytes and the row leaves them."""
    kept = await blob(house, repository, b"kept")
    await house.push.put(repository, image(kept), None)
    upload = await house.uploads.receive(await house.uploads.begin(repository.id, WHO), announced(patterned(size, 1)))
    keys = []
    for commit in (True, False):
        writer = await house.blobs.writer(house.blobs.stage(), turn=1, offset=0)
        await writer.write([patterned(size)], [])
        staged = await writer.close()
        keys.append(await house.blobs.commit(staged, turn=1, size=size) if commit else staged)
    assert (await house.collector.collect_orphans()).orphans == 0, "their rows may be about to come"
    clock.pass_(2 * 3600)
    assert (await house.collector.collect_orphans()).orphans == 2
    for key in keys:
        with pytest.raises(BytesMissing):
            await house.blobs.open(key)
    assert await is_there(house, repository, kept)
    await house.uploads.finish(upload, Digest(upload.digest))
    assert await is_there(house, repository, Digest(upload.digest))


async def test_the_key_of_an_orphan_is_remembered_until_no_upload_can_bring_a_row_for_it(house: House, clock: Time):
    writer = await house.blobs.writer(house.blobs.stage(), turn=1, offset=0)
    await writer.write([b"nobody's"], [])
    key = await writer.close()
    clock.pass_(2 * 3600)
    assert (await house.collector.collect_orphans()).orphans == 1
    clock.pass_(EXPIRY)
    await house.collector.collect()
    assert await house.database.fetch("SELECT key, reason FROM condemned") == [(key, "buried")]
    clock.pass_(2 * SETTLE + 1)
    assert (await house.collector.collect()).freed == 0, "it was counted"
    assert await house.database.fetch("SELECT key FROM condemned") == []


async def test_no_grace_at_all_still_leaves_young_bytes_to_their_rows(place: Path, clock: Time):
    house = await open_house(place, clock)
    house.collector._grace = 0.0
    writer = await house.blobs.writer(house.blobs.stage(), turn=1, offset=0)
    await writer.write([b"row to come"], [])
    await writer.close()
    clock.pass_(60)
    assert (await house.collector.collect_orphans()).orphans == 0
    await house.close()


async def test_an_upload_in_a_deleted_repository_is_collected(house: House, repository: Repository, clock: Time):
    for size in (10, LARGE):
        await house.uploads.receive(await house.uploads.begin(repository.id, WHO), announced(patterned(size)))
    await house.repositories.delete(repository, force=True)
    assert (await house.collector.collect()).uploads == 2
    clock.pass_(SETTLE + 1)
    assert (await house.collector.collect()).freed == 2
    assert await stored(house, clock) == set()


async def test_a_blob_in_the_store_that_cannot_be_deleted_does_not_keep_the_others(
    house: House, repository: Repository, clock: Time, monkeypatch: pytest.MonkeyPatch
):
    digests = [await blob(house, repository, str(number).encode()) for number in range(4)]
    stuck = await key_of(house, digests[0])
    delete_many = house.blobs.delete_many

    async def failing(keys: Sequence[str]) -> dict[str, Exception]:
        await delete_many([key for key in keys if key != stuck])
        return {key: PermissionError(1, "Operation not permitted", key) for key in keys if key == stuck}

    monkeypatch.setattr(house.blobs, "delete_many", failing)
    clock.pass_(GRACE + 1)
    await house.collector.collect()
    clock.pass_(SETTLE + 1)
    with pytest.raises(PermissionError):
        await house.collector.collect()
    assert await house.database.fetch("SELECT key FROM condemned") == [(stuck,)]
    monkeypatch.undo()
    assert (await house.collector.collect()).freed == 1
