"""The law of `store.archive`, over every archive."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from store.archive import Archive, ArchiveUnusable, put_whole, read_whole
from store.archive.bucket import BucketArchive
from store.archive.directory import DirectoryArchive
from store.blobs.driver import BytesMissing, StoreUnavailable
from tests.rooms import patterned, quick_directory
from tests.s3 import S3Server


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


@pytest.fixture(params=["directory", "bucket"])
async def archive(request: pytest.FixtureRequest, place: Path) -> AsyncIterator[Archive]:
    opened: Archive
    if request.param == "directory":
        opened = DirectoryArchive(place / "below" / "archive")
    else:
        bucket = request.getfixturevalue("s3").new_bucket()
        opened = BucketArchive(replace(bucket, prefix="some/prefix"))
    yield opened
    await opened.close()


async def names(archive: Archive, prefix: str = "") -> list[tuple[str, int]]:
    return [entry async for some in archive.list(prefix) for entry in some]


async def pieces(*parts: bytes, fail: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if fail is not None:
        raise fail


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024 + 1, 40 * 1024 * 1024])
async def test_what_was_put_is_read_as_it_was(archive: Archive, size: int):
    data = patterned(size)
    await archive.put("a/b/c", pieces(*(data[start : start + 1_000_000] for start in range(0, size, 1_000_000))))
    assert await read_whole(archive, "a/b/c") == data
    assert await names(archive) == [("a/b/c", size)]


async def test_a_name_is_put_again_and_has_the_new_bytes(archive: Archive):
    await put_whole(archive, "name", b"old")
    await put_whole(archive, "name", b"newer")
    assert await read_whole(archive, "name") == b"newer"


@pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
async def test_what_fails_in_the_middle_leaves_the_name_as_it_was(archive: Archive, size: int):
    await put_whole(archive, "name", b"old")
    for name in ("name", "fresh"):
        with pytest.raises(LookupError):
            await archive.put(name, pieces(patterned(size), fail=LookupError()))
    assert await names(archive) == [("name", 3)]
    assert await read_whole(archive, "name") == b"old"


async def test_names_are_listed_in_order_below_a_prefix(archive: Archive):
    some = ["b/2", "b/10", "b-c/1", "a", "b/3/x", "c"]
    for name in some:
        await put_whole(archive, name, b"x")
    assert [name for name, _ in await names(archive)] == sorted(some)
    assert [name for name, _ in await names(archive, "b/")] == sorted(name for name in some if name.startswith("b/"))
    assert await names(archive, "nothing/") == []


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(archive: Archive):
    for name in ("x/1", "x/2", "y/z/1"):
        await put_whole(archive, name, b"x")
    for _ in range(2):
        await archive.delete(["x/1", "y/z/1", "never"])
    assert await names(archive) == [("x/2", 1)]
    with pytest.raises(BytesMissing):
        await read_whole(archive, "x/1")
    await put_whole(archive, "y/z/1", b"again")
    assert await read_whole(archive, "y/z/1") == b"again"


async def test_tidying_frees_what_an_interrupted_writer_left_and_nothing_else(archive: Archive):
    await put_whole(archive, "kept", b"kept")
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield patterned(20 * 1024 * 1024)
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(archive.put("half", endless()))
    await begun.wait()
    await archive.tidy()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await names(archive) == [("kept", 4)]
    assert await read_whole(archive, "kept") == b"kept"


async def test_a_place_that_cannot_be_written_to_is_named(place: Path):
    (place / "file").write_text("in the way")
    archive = DirectoryArchive(place / "file" / "archive")
    with pytest.raises(ArchiveUnusable, match="file"):
        await put_whole(archive, "name", b"x")
    await archive.close()


async def test_nobody_else_reads_what_lies_in_a_directory(place: Path):
    archive = DirectoryArchive(place / "archive")
    await put_whole(archive, "a/b", b"x")
    await archive.close()
    assert (place / "archive").stat().st_mode & 0o777 == 0o700
    assert (place / "archive" / "a" / "b").stat().st_mode & 0o777 == 0o600


async def test_a_bucket_that_is_not_there_is_named(s3: S3Server):
    archive = BucketArchive(replace(s3.new_bucket(), bucket="nowhere"))
    with pytest.raises(StoreUnavailable, match="the bucket `nowhere` is not there"):
        await names(archive)
    with pytest.raises(StoreUnavailable, match="the bucket `nowhere` is not there"):
        await put_whole(archive, "name", b"x")
    await archive.close()
