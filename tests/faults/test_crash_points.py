"""Crashes between two steps that lie too close together for a kill to hit: the first is made by hand, the second never was."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from base.ids import new_uuid
from store.blobs.filesystem import FilesystemBlobs
from tests.faults import stock
from tests.live import LiveServer
from tests.wire.client import Client, digest_of, with_query

NAME = "crash/point"
SIZE = 700_000
DATA = random.Random(5).randbytes(2 * SIZE)
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path, settings=SETTINGS) as running:
        yield running


def begun(server: LiveServer) -> str:
    """An upload that stands at SIZE bytes in a file of its own."""
    with Client(server) as client:
        location = client.begin(NAME)
        assert client("PATCH", location, DATA[:SIZE]).status == 202
    return location


def commit(data: Path, location: str, extra: bytes) -> None:
    """What finishing an upload does up to the row: take the turn, write the last chunk, commit the bytes."""
    asyncio.run(_commit(data, location.rpartition("/")[2], extra))


async def _commit(data: Path, identifier: str, extra: bytes) -> None:
    connection = sqlite3.connect(data / "longshore.db", isolation_level=None)
    driver = FilesystemBlobs(data / "blobs", clock=time.time, ids=new_uuid)
    try:
        staged, turn, received = connection.execute(
            "SELECT staged, turn, received FROM uploads WHERE id = ?", (identifier,)
        ).fetchone()
        assert staged.startswith("f/")
        if extra:
            turn += 1
            connection.execute("UPDATE uploads SET turn = ? WHERE id = ?", (turn, identifier))
            writer = await driver.writer(staged, turn=turn, offset=received)
            await writer.write([extra], ())
            assert await writer.close() == staged
        assert await driver.commit(staged, turn=turn, size=received + len(extra)) == staged
    finally:
        await driver.close()
        connection.close()


@pytest.mark.parametrize("extra", [b"", DATA[SIZE:]], ids=["an empty closing request", "a last chunk"])
@pytest.mark.parametrize("goes_on", ["patch", "put"])
def test_an_upload_goes_on_whose_bytes_were_committed_and_whose_row_never_came(
    goes_on: str, extra: bytes, server: LiveServer
) -> None:
    location = begun(server)
    server.kill()
    commit(server.data, location, extra)
    server.start()
    with Client(server) as client:
        assert client("GET", location).headers["Range"] == f"0-{SIZE - 1}"
        digest, rest = digest_of(DATA), {"Content-Range": f"{SIZE}-{2 * SIZE - 1}"}
        if goes_on == "patch":
            assert client("PATCH", location, DATA[SIZE:], rest).headers["Range"] == f"0-{2 * SIZE - 1}"
            answer = client("PUT", with_query(location, f"digest={digest}"))
        else:
            answer = client("PUT", with_query(location, f"digest={digest}"), DATA[SIZE:], rest)
        assert answer.status == 201
        assert client("GET", f"/v2/{NAME}/blobs/{digest}").body == DATA
    assert stock.check(server).faults == []


def test_an_upload_is_finished_whose_row_never_came(server: LiveServer) -> None:
    location = begun(server)
    server.kill()
    commit(server.data, location, b"")
    server.start()
    with Client(server) as client:
        digest = digest_of(DATA[:SIZE])
        assert client("PUT", with_query(location, f"digest={digest}")).status == 201
        assert client("GET", f"/v2/{NAME}/blobs/{digest}").body == DATA[:SIZE]
    assert stock.check(server).faults == []


def test_an_upload_whose_row_never_came_is_given_up_wholly(server: LiveServer) -> None:
    location = begun(server)
    server.kill()
    commit(server.data, location, DATA[SIZE:])
    stock.collect(server)
    assert stock.leftovers(server) == []
    server.start()
    with Client(server) as client:
        assert client("GET", location).said == (404, "BLOB_UPLOAD_UNKNOWN")


def test_what_a_crash_leaves_without_any_row_is_found(server: LiveServer) -> None:
    """Bytes that came with a closing request, before their row; and directories that were about to go."""
    server.stop()

    async def leave() -> None:
        driver = FilesystemBlobs(server.data / "blobs", clock=time.time, ids=new_uuid)
        for size in (100, 300_000):
            for committed in (False, True):
                writer = await driver.writer(driver.stage(), turn=1, offset=0)
                await writer.write([b"x" * size], ())
                staged = await writer.close()
                if committed:
                    await driver.commit(staged, turn=1, size=size)
        await driver.close()

    asyncio.run(leave())
    (server.data / "blobs" / "staging" / "0123456789abcdef").mkdir()
    assert stock.leftovers(server) != []
    stock.collect(server)
    assert stock.leftovers(server) == []
    server.start()
