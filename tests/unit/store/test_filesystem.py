import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from base.ids import new_uuid
from store.blobs.filesystem import SMALL, FilesystemBlobs
from store.database import placeholders
from tests.rooms import patterned, quick_directory, read_key


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_directory() as directory:
        yield directory


async def put(driver: FilesystemBlobs, data: bytes) -> str:
    writer = await driver.writer(driver.stage(), turn=1, offset=0)
    await writer.write([data], [])
    return await driver.commit(await writer.close(), turn=1, size=len(data))


async def test_small_blobs_share_a_file_and_large_ones_have_their_own(place: Path):
    driver = FilesystemBlobs(place / "blobs", ids=new_uuid)
    small = [await put(driver, patterned(size)) for size in (1, SMALL)]
    large = await put(driver, patterned(SMALL + 1))
    assert all(re.fullmatch(r"p/[0-9a-f]{32}/\d+/\d+", key) for key in small)
    assert re.fullmatch(r"f/[0-9a-f]{32}", large)
    assert len(list((place / "blobs" / "packs").iterdir())) == 1
    assert list((place / "blobs" / "staging").iterdir()) == []
    await driver.close()


async def test_nobody_else_reads_the_store(place: Path):
    driver = FilesystemBlobs(place / "blobs", ids=new_uuid)
    for size in (1, SMALL + 1):
        await put(driver, patterned(size))
    await driver.close()
    for path in (place / "blobs").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) in {0o700, 0o600}, path


async def test_opening_leaves_nothing_but_directories(place: Path):
    await FilesystemBlobs(place / "blobs", ids=new_uuid).close()
    assert [path for path in (place / "blobs").rglob("*") if path.is_file()] == []


async def test_processes_may_open_an_empty_store_at_once(place: Path):
    opened: list[FilesystemBlobs] = []
    threads = [
        threading.Thread(target=lambda: opened.append(FilesystemBlobs(place / "blobs", ids=new_uuid))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 4
    keys = [await put(driver, patterned(9, number)) for number, driver in enumerate(opened)]
    for number, key in enumerate(keys):
        assert await read_key(opened[0], key) == patterned(9, number)
    for driver in opened:
        await driver.close()


async def test_a_store_without_holes_still_reads_what_was_packed(place: Path):
    """As after a move to another file system."""
    driver = FilesystemBlobs(place / "blobs", ids=new_uuid)
    packed = await put(driver, patterned(9))
    await driver.close()
    moved = FilesystemBlobs(place / "blobs", ids=new_uuid)
    moved.packs = False
    assert await read_key(moved, packed) == patterned(9)
    assert (await put(moved, patterned(9))).startswith("f/")
    await moved.close()


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "?"), (3, "?, ?, ?")])
def test_placeholders_are_as_many_as_values(count: int, text: str):
    assert placeholders(count) == text
