"""Background loops: one replica does what is to be done, and another goes on when it is gone."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from store.database import Unit
from store.leases import take_lease
from tests.faults import stock
from tests.live import LiveServer
from tests.replicas.conftest import Fleet
from tests.wire.client import Client, digest_of, eventually

NAME = "replicas/loops"
EAGER = {"gc.interval": "0.3", "gc.grace": "0", "gc.settle": "0"}
TAKEN_OVER = 25.0
"""Seconds: what a lease lasts, and a machine with too much to do."""


def metric(server: LiveServer, name: str) -> float:
    with Client(server, authorization="") as client:
        text = client("GET", "/metrics").body.decode()
    found = re.findall(rf"^longshore_{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, flags=re.MULTILINE)
    return sum(map(float, found))


def gone(client: Client, digests: list[str]) -> bool:
    return all(client("GET", f"/v2/{NAME}/blobs/{digest}").status == 404 for digest in digests)


def holder(server: LiveServer, lease: str) -> str:
    with server.rows() as rows:
        row = rows.execute("SELECT holder FROM leases WHERE name = ?", (lease,)).fetchone()
    return str(row[0]) if row else ""


def write(server: LiveServer, unit: Callable[[], Unit[object]]) -> None:
    async def run() -> None:
        database = server.database()
        try:
            await database.write(unit)
        finally:
            await database.close()

    asyncio.run(run())


def test_garbage_is_collected_by_replicas_that_are_killed_one_after_the_other(
    store: dict[str, str], tmp_path: Path
) -> None:
    with Fleet(tmp_path, {**store, **EAGER}, count=3) as fleet:
        source = random.Random(4)
        for number in range(3):
            server, client = fleet.servers[number], fleet[number]
            for _ in range(3):
                digest = client.push_blob(NAME, source.randbytes(300_000))
            kept = fleet[2].push_image(NAME, f"kept-{number}", layers=[source.randbytes(1000)])
            began = time.monotonic()
            if number < 2:
                server.kill()
            eventually(lambda digest=digest: gone(fleet[2], [digest]), within=TAKEN_OVER)
            assert time.monotonic() - began < TAKEN_OVER
            assert fleet[2]("GET", f"/v2/{NAME}/manifests/{kept}").status == 200
        (last,) = (server for server in fleet.servers if server.process is not None)
    assert stock.check(last).faults == []
    stock.collect(last)
    assert stock.leftovers(last) == []


def test_who_died_with_the_lease_is_followed_within_seconds(store: dict[str, str], tmp_path: Path) -> None:
    with Fleet(tmp_path, {**store, **EAGER}, count=2) as fleet:
        now = time.time()
        eventually(lambda: _seized(fleet.servers[0], now))
        digest = fleet[0].push_blob(NAME, b"nobody's blob" * 1000)
        eventually(lambda: gone(fleet[1], [digest]), within=TAKEN_OVER)
        assert holder(fleet.servers[0], "collector") != "one that died"


def _seized(server: LiveServer, now: float) -> bool:
    """As if a replica had died that had just taken the lease."""
    write(server, lambda: take_lease("collector", "one that died", now, seconds=10.0))
    return holder(server, "collector") == "one that died"


def test_the_work_is_done_once(store: dict[str, str], tmp_path: Path) -> None:
    """What all replicas say they freed adds up to what there was."""
    with Fleet(tmp_path, {**store, **EAGER, "gc.grace": "1"}, count=3) as fleet:
        source = random.Random(5)
        blobs = [source.randbytes(10_000 + number) for number in range(30)]
        for number, data in enumerate(blobs):
            fleet[number].push_blob(NAME, data)
        eventually(lambda: gone(fleet[0], [digest_of(data) for data in blobs]), within=2 * TAKEN_OVER)
        total = sum(map(len, blobs))

        def freed() -> float:
            return sum(metric(server, "collected_bytes_total") for server in fleet.servers)

        eventually(lambda: freed() >= total, within=TAKEN_OVER)
        assert freed() == total


@pytest.mark.parametrize("survivor", [0, 1])
def test_old_decisions_are_forgotten_whoever_is_left(store: dict[str, str], tmp_path: Path, survivor: int) -> None:
    with Fleet(tmp_path, {**store, "audit.keep_days": "0.0000001"}, count=2) as fleet:
        server = fleet.servers[survivor]
        eventually(lambda: holder(server, "audit"))
        fleet.servers[1 - survivor].kill()
        before = holder(server, "audit")
        server.client("ecr").describe_repositories()
        eventually(lambda: metric(server, "audit_records_written_total") >= 1)
        write(server, _end_all_leases)  # the time goes by
        eventually(lambda: holder(server, "audit") not in {before, ""}, within=TAKEN_OVER)
        eventually(lambda: server.longshore("audit", "--format", "json").stdout == "", within=TAKEN_OVER)


def _end_all_leases() -> Unit[None]:
    yield "UPDATE leases SET expires_at = 0", ()
