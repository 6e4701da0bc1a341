"""kill -9 at random moments under a push load: what was acknowledged is there, and nothing half-written shows."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests import require
from tests.faults import stock
from tests.faults.load import Ledger, Pusher, settle, verify
from tests.live import LiveServer
from tests.wire.client import Client, eventually

PUSHERS = 4
SEED = int(os.environ.get("LONGSHORE_SEED", "20260301"))
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false"}
LONGEST = 0.6
"""Seconds of load before a kill, at the most."""


def rounds(count: int) -> int:
    return count * 6 if require.long_form() else count


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


class Siege:
    """A server that is killed again and again, and the ledgers of those who use it."""

    def __init__(self, server: LiveServer, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.seed = seed
        self.ledgers = [Ledger(f"kill/pusher-{number}") for number in range(PUSHERS)]
        self.verified: set[str] = set()
        self.pushers: list[Pusher] = []

    def begin_load(self, number: int, *, stays: bool = False) -> None:
        names = [ledger.name for ledger in self.ledgers]
        self.pushers = [
            Pusher(self.server, ledger, names, f"{self.seed}/{number}/{ledger.name}", stays=stays)
            for ledger in self.ledgers
        ]
        for pusher in self.pushers:
            pusher.start()

    def wait(self) -> None:
        """A random moment: the load decides what happens in it."""
        time.sleep(self.random.uniform(0.0, LONGEST))

    def end_load(self) -> None:
        for pusher in self.pushers:
            pusher.stopping.set()
        for pusher in self.pushers:
            pusher.join(60)
            assert not pusher.is_alive()
            if pusher.failure is not None:
                raise pusher.failure

    def check(self) -> None:
        """The server is up again: is everything as it has to be?"""
        found = stock.check(self.server, verified=self.verified)
        assert found.faults == []
        with Client(self.server) as client:
            for ledger in self.ledgers:
                settle(client, ledger)
                verify(client, ledger, ledger.fresh)
                ledger.fresh.clear()

    def finish(self) -> None:
        """At the end everything is looked at once more, and the collector finds everything that is nobody's."""
        with Client(self.server) as client:
            for ledger in self.ledgers:
                verify(client, ledger)
        self.server.stop()
        stock.collect(self.server)
        assert stock.check(self.server).faults == []
        assert stock.leftovers(self.server) == []
        # unreferenced blobs are past their grace now; images are there, whole
        self.server.start()
        with Client(self.server) as client:
            for ledger in self.ledgers:
                kept = {key for key in ledger.held if key[0] != "blob"}
                verify(client, ledger, kept)


@pytest.fixture
def siege(request: pytest.FixtureRequest, tmp_path: Path):
    workers = request.param
    server = LiveServer(tmp_path, settings=SETTINGS, workers=workers)
    print(f"seed {SEED}; again with LONGSHORE_SEED={SEED}")
    with server:
        yield Siege(server, SEED + workers)


@pytest.mark.parametrize("siege", [1], indirect=True)
def test_what_one_worker_acknowledged_survives_kills(siege: Siege) -> None:
    for number in range(rounds(30)):
        siege.begin_load(number)
        siege.wait()
        siege.server.kill()
        siege.end_load()
        siege.server.start()
        siege.check()
    assert sum(ledger.acknowledged for ledger in siege.ledgers) > rounds(30), "there was a load"
    siege.finish()


@pytest.mark.parametrize("siege", [3], indirect=True)
def test_what_several_workers_acknowledged_survives_kills(siege: Siege) -> None:
    for number in range(rounds(20)):
        way = ("all", "one", "parent", "one")[number % 4]
        siege.begin_load(number, stays=way == "one")
        siege.wait()
        assert siege.server.process is not None
        parent = siege.server.process.pid
        if way == "one":
            os.kill(siege.random.choice(children_of(parent)), signal.SIGKILL)
            siege.wait()
        else:
            if way == "parent":
                os.kill(parent, signal.SIGKILL)
                siege.server.process.wait()
                eventually(lambda parent=parent: not _alive(parent))
            siege.server.kill()
        siege.end_load()
        if way == "one":
            eventually(lambda parent=parent: len(children_of(parent)) == 3)
        else:
            siege.server.start()
        siege.check()
    siege.finish()


def _alive(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
