"""`longshore gc` as a command, and what the metrics say of the collector, over every kind of store."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from base.ids import new_uuid
from store.blobs.filesystem import FilesystemBlobs
from store.database import Unit
from store.leases import PIN, drop_lease, take_lease
from tests.faults import stock
from tests.live import LiveServer
from tests.operation.registries import begin, push_image, run, server_of
from tests.ports import free_port
from tests.s3 import S3Server
from tests.wire.client import Client, digest_of, eventually

KINDS = ("sqlite+disk", "postgres+disk", "sqlite+s3", "postgres+s3")
SELDOM = {"gc.interval": "86400", "gc.grace": "0", "gc.settle": "0", "registry.upload_expiry": "0.001"}
"""A server that leaves the work to the command, and thinks that all of it is due."""
NAME = "team/app"
SHARED, LOOSE, DELETED, OPEN, CANCELLED, OLD = (
    f"{what} ".encode() * 1000 for what in ("shared", "loose", "deleted", "open", "cancelled", "old")
)
ORPHAN = b"row that never came " * 1000


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stores(request: pytest.FixtureRequest, kind: str) -> dict[str, Any]:
    """Arguments of `server_of`."""
    return {name: request.getfixturevalue(name) for name in ("postgres", "s3") if name in kind}


@pytest.fixture
def idle(tmp_path: Path, stores: dict[str, Any]) -> Iterator[LiveServer]:
    """A server whose first round and search are over, and whose next ones are far."""
    server = server_of(tmp_path, **stores)
    server.settings.update(SELDOM)
    with server:
        eventually(lambda: all(metrics(server, "gc_last_success_timestamp_seconds").values()), within=30)
        yield server


def metrics(server: LiveServer, name: str) -> dict[str, float]:
    """The values of a family by what its one label says."""
    with Client(server, authorization="") as client:
        text = client("GET", "/metrics").body.decode()
    found = re.findall(rf'^longshore_{name}{{\w+="([^"]*)"}} (\S+)$', text, flags=re.MULTILINE)
    return {label: float(value) for label, value in found}


def not_zero(values: Mapping[str, float]) -> dict[str, float]:
    return {label: value for label, value in values.items() if value}


def write(server: LiveServer, unit: Unit[Any]) -> None:
    async def go() -> None:
        database = server.database()
        try:
            await database.write(lambda: unit)
        finally:
            await database.close()

    asyncio.run(go())


def litter(server: LiveServer, s3: S3Server | None) -> None:
    """Garbage of every kind that requests leave, and a crash."""
    with Client(server) as client:
        push_image(client, NAME, "kept", SHARED)
        client.push_blob("team/other", SHARED)  # its bytes are there already
        push_image(client, "team/other", "kept", SHARED)
        client.push_blob(NAME, LOOSE)
        assert client("DELETE", f"/v2/{NAME}/blobs/{client.push_blob(NAME, DELETED)}").status == 202
        client("PATCH", client.begin(NAME), OPEN, Content_Type="application/octet-stream")
        moved = client("PATCH", client.begin(NAME), CANCELLED, Content_Type="application/octet-stream")
        assert client("DELETE", moved.headers["Location"]).status == 204
        push_image(client, "team/old", "v1", OLD, SHARED)
        server.client("ecr").delete_repository(repositoryName="team/old", force=True)
    asyncio.run(_crash(server))
    if s3 is not None:
        objects = (s3.directory / "buckets" / server.settings["storage.s3_bucket"]).rglob("*")
        for path in objects:
            if path.is_file() and path.stat().st_size == len(ORPHAN):
                os.utime(path, (time.time() - 7200,) * 2)


async def _crash(server: LiveServer) -> None:
    """Between the bytes and their row, two hours ago."""
    driver = server.blobs()
    if isinstance(driver, FilesystemBlobs):
        await driver.close()
        driver = FilesystemBlobs(server.data / "blobs", clock=lambda: time.time() - 7200, ids=new_uuid)
    try:
        writer = await driver.writer(driver.stage(), turn=1, offset=0)
        await writer.write([ORPHAN], [])
        await driver.commit(await writer.close(), turn=1, size=len(ORPHAN))
    finally:
        await driver.close()


def found_by(report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {one["reason"]: (one["items"], one["bytes"]) for one in report["garbage"] if one["items"]}


def test_what_a_dry_run_says_is_what_a_run_frees_and_metrics_tell(idle: LiveServer, stores: dict[str, Any]) -> None:
    litter(idle, stores.get("s3"))
    before = {name: _rows(idle, name) for name in ("blobs", "condemned", "uploads", "repository_blobs", "collections")}
    config = len(b'{"tag": "v1"}')
    expected = {
        "upload": (2, len(OPEN) + len(CANCELLED)),
        "duplicate": (4, 3 * len(SHARED) + len(b'{"tag": "kept"}')),
        "unreferenced": (1, len(LOOSE)),
        "deleted": (1, len(DELETED)),
        "repository": (2, len(OLD) + config),
        "orphan": (1, len(ORPHAN)),
    }
    said = json.loads(run(idle, "gc", "--dry-run", "--orphans", "--format", "json"))
    assert found_by(said) == expected
    assert said["manifests"]["items"] == 1
    assert {name: _rows(idle, name) for name in before} == before, "it only looks"

    began = not_zero(metrics(idle, "gc_reclaimed_bytes_total"))
    done = json.loads(run(idle, "gc", "--orphans", "--wait", "--format", "json"))
    assert {reason: (one["items"], one["bytes"]) for reason, one in done["freed"].items()} == expected
    assert (done["rows"]["uploads"], done["rows"]["unlinked"]) == (1, 1)
    assert began == {}
    assert not_zero(metrics(idle, "gc_reclaimed_items_total")) == {key: items for key, (items, _) in expected.items()}
    assert not_zero(metrics(idle, "gc_reclaimed_bytes_total")) == {key: size for key, (_, size) in expected.items()}

    assert "nothing would go" in run(idle, "gc", "--dry-run", "--orphans")
    assert "all is well" in run(idle, "fsck")
    idle.stop()
    assert stock.leftovers(idle) == []


def _rows(server: LiveServer, table: str) -> list[Any]:
    with server.rows() as rows:
        return sorted(map(repr, rows.execute(f"SELECT * FROM {table}")))


@pytest.mark.parametrize("kind", ["sqlite+disk", "postgres+s3"], indirect=True)
def test_metrics_tell_what_waits_and_why(tmp_path: Path, stores: dict[str, Any], kind: str) -> None:
    server = server_of(tmp_path, workers=2, **stores)
    server.settings.update({"gc.interval": "0.2", "gc.settle": "86400"})
    with server:
        with Client(server) as client:
            push_image(client, NAME, "kept", SHARED)
            client.push_blob(NAME, LOOSE)
            client("DELETE", f"/v2/{NAME}/blobs/{client.push_blob(NAME, DELETED)}")
            client("PATCH", client.begin(NAME), OPEN, Content_Type="application/octet-stream")
        expected = {"deleted": 1.0, "grace": 1.0}
        eventually(lambda: not_zero(metrics(server, "gc_reclaimable_items")) == expected, within=30)
        assert not_zero(metrics(server, "gc_reclaimable_bytes")) == {"deleted": len(DELETED), "grace": len(LOOSE)}
        queues = {"uploads": 1.0, "graces": 1.0, "tombstones": 1.0}
        assert not_zero(metrics(server, "gc_queue_length")) == queues
        assert not_zero(metrics(server, "gc_reclaimed_bytes_total")) == {}
        assert metrics(server, "gc_last_success_timestamp_seconds")["round"] == pytest.approx(time.time(), abs=60)
    server.settings.update({"gc.settle": "0", "gc.grace": "0", "registry.upload_expiry": "0.001"})
    with server:
        freed = {"deleted": len(DELETED), "unreferenced": len(LOOSE), "upload": len(OPEN)}
        eventually(lambda: not_zero(metrics(server, "gc_reclaimed_bytes_total")) == freed, within=30)
        eventually(lambda: not_zero(metrics(server, "gc_queue_length")) == {}, within=30)
        assert not_zero(metrics(server, "gc_reclaimable_bytes")) == {}


@pytest.mark.parametrize("kind", ["sqlite+disk"], indirect=True)
def test_while_a_copy_is_made_bytes_stay_and_the_command_says_so(idle: LiveServer) -> None:
    with Client(idle) as client:
        client.push_blob(NAME, LOOSE)
    write(idle, take_lease(f"{PIN}a copy", "a copy", time.time(), seconds=600))
    said = run(idle, "gc", "--wait")
    assert "freed: 0 things" in said
    assert "a backup or a move is under way: bytes go once it is through" in said
    write(idle, drop_lease(f"{PIN}a copy", "a copy"))
    said = run(idle, "gc")
    assert "freed: 1 things" in said
    assert "under way" not in said


@pytest.mark.parametrize("kind", ["sqlite+disk", "postgres+s3"], indirect=True)
def test_of_two_commands_the_first_gives_way(idle: LiveServer, kind: str) -> None:
    idle.settings["gc.settle"] = "600"
    first = begin(idle, "gc", "--wait")
    try:
        eventually(
            lambda: _rows(idle, "leases") and any("collector" in row for row in _rows(idle, "leases")), within=30
        )
        eventually(lambda: "round" in "".join(_rows(idle, "collections")), within=30)
        idle.settings["gc.settle"] = "0"
        run(idle, "gc")
        said, _ = first.communicate(timeout=60)
        assert first.returncode == 1
        assert "another `longshore gc` has taken the work over" in said
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize("kind", ["sqlite+disk"], indirect=True)
def test_a_command_that_is_interrupted_leaves_the_work_to_the_server(tmp_path: Path, stores: dict[str, Any]) -> None:
    server = server_of(tmp_path, **stores)
    server.settings.update({"gc.interval": "0.2", "gc.grace": "0", "gc.settle": "600"})
    with server:
        pass  # it has made its database
    command = begin(server, "gc", "--wait")
    eventually(lambda: "collector" in "".join(_rows(server, "leases")), within=30)
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode == 130
    with server, Client(server) as client:
        client.push_blob(NAME, LOOSE)
        gone = f"/v2/{NAME}/blobs/{digest_of(LOOSE)}"
        eventually(lambda: client("GET", gone).status == 404, within=60)


def test_what_keeps_it_from_running_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    server = server_of(tmp_path)
    for arguments in (("gc",), ("gc", "--dry-run")):
        said = run(server, *arguments, expected=1)
        assert said.startswith("longshore: there is no database at ")
        assert said.count("\n") == 1
        assert not server.data.exists()
    run(server, "gc", "--format", "xml", expected=2)
    run(server, "gc", "--dry", "--orphan", "everything", expected=2)


def test_a_store_that_is_away_is_one_line_and_its_bytes_are_freed_later(tmp_path: Path, s3: S3Server) -> None:
    server = server_of(tmp_path, s3=s3)
    server.settings.update(SELDOM)
    with server, Client(server) as client:
        eventually(lambda: all(metrics(server, "gc_last_success_timestamp_seconds").values()), within=30)
        client.push_blob(NAME, LOOSE)
        right = server.settings["storage.s3_endpoint_url"]
        server.settings["storage.s3_endpoint_url"] = f"http://127.0.0.1:{free_port()}"
        said = run(server, "gc", "--wait", expected=1)
        assert said.startswith("longshore: not everything could be freed, the next round tries again: ")
        assert said.count("\n") == 1
        server.settings["storage.s3_endpoint_url"] = right
        assert "freed: 1 things" in run(server, "gc")


def test_its_help_names_every_option(tmp_path: Path) -> None:
    said = run(server_of(tmp_path), "gc", "--help")
    assert all(option in said for option in ("--dry-run", "--orphans", "--wait", "--format", "--config", "--data"))
