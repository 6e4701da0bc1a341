"""What the collector costs who pushes meanwhile, and how long it takes."""

import asyncio
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from base.ids import new_uuid
from bench.contenders import REPOSITORY, log_in
from bench.databases import TITLES, Kind, filling, standing
from bench.figures import compare_rounds, rotate
from bench.generator import Generator
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure
from bench.scenarios import COLLECTING
from bench.tables import Table, show_number, show_reached
from store.blobs.filesystem import FilesystemBlobs
from tests.live import LiveServer

SIZE = 16 * 1024
"""Bytes of a blob that is garbage."""
GARBAGE_BYTES = 24 * 1024
"""What it takes on the disk and in the database, generously."""
PUSHES = 600
_AT_ONCE = 64
_LONGEST = 1800.0
"""Seconds that the collector is waited for."""
_DAY = 86400.0

_QUIET, _COLLECTING = "quiet", "collecting"
STATES: Mapping[str, Mapping[str, str]] = {
    _QUIET: {"gc.grace": "1e9", "gc.settle": "1e9", "gc.interval": "1e9"},
    _COLLECTING: {"gc.settle": "1", "gc.interval": "1"},
}
"""Settings over the same store: nothing is due; or all is, round follows round, and the rest is as by default."""

_LEFT = (
    "SELECT (SELECT count(*) FROM repository_blobs WHERE kept_at < 1e14 AND kept_at < ?) + "
    "(SELECT count(*) FROM condemned)"
)


@dataclass(slots=True)
class _Found:
    """Rates by state and round; what the collector did beside pushes, and by itself."""

    rates: dict[str, dict[int, float]] = field(default_factory=lambda: {state: {} for state in STATES})
    beside: tuple[int, float] = (0, 0.0)
    alone: tuple[int, float] = (0, 0.0)
    reclaimed: tuple[int, int] = (0, 0)


def measure_collecting(ground: Ground, kinds: Sequence[Kind], blobs: int) -> Section:
    """Pushes over one store, in turn while its garbage is collected and while it is not due; then the rest is collected."""
    found = {kind: _measure(ground, kind, blobs) for kind in kinds}
    pushes, collections = [], []
    for kind, one in found.items():
        ratio = compare_rounds(one.rates[_COLLECTING], one.rates[_QUIET], COLLECTING)
        assert ratio is not None
        pushes.append(
            (
                TITLES[kind],
                *(show_number(statistics.median(one.rates[state].values())) for state in STATES),
                f"{ratio.median:.2f}",
                f"{ratio.least:.2f} to {ratio.greatest:.2f}",
                f"{COLLECTING:g}",
                show_reached(ratio.reached),
            )
        )
        items, freed = one.reclaimed
        collections.append(
            (
                TITLES[kind],
                f"{items:,}",
                f"{freed / 1e6:,.0f}",
                f"{one.beside[1] + one.alone[1]:.0f}",
                *(show_number(count / seconds) if seconds else "" for count, seconds in (one.beside, one.alone)),
            )
        )
    tables = (
        Table(
            f"Pushes while {blobs:,} blobs are collected",
            ("image-push, images/s", "nothing due", "collecting", "ratio", "rounds", "target", "reached"),
            tuple(pushes),
            (
                f"Garbage is {SIZE // 1024} KiB a blob, every second one a file of its own, the others in packs.",
                "One store, one server after the other: for the first none of its garbage is due.",
            ),
        ),
        Table(
            "What was collected",
            ("database", "blobs", "MB freed", "seconds in all", "blobs/s beside pushes", "blobs/s otherwise"),
            tuple(collections),
            (
                "gc.interval and gc.settle are a second, so that no time passes between rounds; gc.share is the default.",
            ),
        ),
    )
    data = {kind: {"rates": one.rates, "beside": one.beside, "alone": one.alone, "reclaimed": one.reclaimed}
            for kind, one in found.items()}  # fmt: skip
    return Section(tables, data)


def _measure(ground: Ground, kind: Kind, blobs: int) -> _Found:
    found = _Found()
    with ground.directory() as place, standing(kind, place) as backing:
        directory = place / "longshore"
        settings = backing.settings(directory)
        store = _Store(LiveServer(directory, settings=settings, workers=ground.workers), time.time() - _DAY / 2)
        generator = Generator(ground.generator.program, ground.generator.operations)
        with store.server:  # tags that all pushes move
            generator.play(log_in(store.server, REPOSITORY), ["image-push"], operations=PUSHES)
            store.wait(store.is_quiet)
        say(f"{TITLES[kind]}: writing {blobs:,} blobs")
        _fill(store, blobs)
        for number in range(ground.rounds):
            for state in rotate(list(STATES), number):
                rate = _push(store, state, settings, generator, found)
                found.rates[state][number] = rate
                say(f"{TITLES[kind]}, round {number + 1} of {ground.rounds}, {state}: {show_number(rate)} images/s")
        say(f"{TITLES[kind]}: {store.left():,} blobs are left to the collector alone")
        with store.serving({**settings, **STATES[_COLLECTING]}):
            begun, before = time.monotonic(), store.left()
            store.wait(lambda: store.left() == 0)
            found.alone = (found.alone[0] + before, found.alone[1] + time.monotonic() - begun)
        found.reclaimed = store.reclaimed()
        if found.reclaimed[0] < blobs:
            raise CannotMeasure(f"only {found.reclaimed[0]:,} of {blobs:,} blobs were deleted")
    return found


def _push(store: "_Store", state: str, settings: Mapping[str, str], generator: Generator, found: _Found) -> float:
    os.sync()
    before = store.left()
    with store.serving({**settings, **STATES[state]}) as server:
        begun = time.monotonic()
        access = log_in(server, REPOSITORY)
        store.wait(store.is_quiet if state == _QUIET else lambda: store.left() < before)
        started, at = store.left(), time.monotonic()
        (result,) = generator.play(access, ["image-push"], operations=PUSHES)
        ended = store.left()
        if result.errors:
            raise CannotMeasure(f"{state}: {result.errors} pushes failed: {result.first_error}")
        if state == _COLLECTING:
            if not ended:
                raise CannotMeasure(
                    "all garbage was gone before the pushes were: give more with --blobs, or fewer --rounds"
                )
            found.beside = (found.beside[0] + started - ended, found.beside[1] + time.monotonic() - at)
            found.alone = (found.alone[0] + before - started, found.alone[1] + at - begun)
        elif started != ended:
            raise CannotMeasure("something was collected although nothing was due")
    return result.per_second


class _Store:
    """One store, over which servers with different settings run one after the other."""

    def __init__(self, server: LiveServer, due: float) -> None:
        """`due`: garbage has been waiting since before that time."""
        self.server = server
        self._due = due

    def serving(self, settings: Mapping[str, str]) -> LiveServer:
        """A server that is to be entered."""
        return LiveServer(self.server.directory, settings=settings, workers=self.server.workers)

    def left(self) -> int:
        """Blobs that are due, or whose bytes are."""
        with self.server.rows() as rows:
            return int(rows.execute(_LEFT, (self._due,)).fetchall()[0][0])

    def is_quiet(self) -> bool:
        """Whether a round and a search have been, and none is under way."""
        with self.server.rows() as rows:
            states = [under_way for (under_way,) in rows.execute("SELECT under_way FROM collections").fetchall()]
        return states == [0, 0]

    def reclaimed(self) -> tuple[int, int]:
        """Blobs and bytes that were deleted."""
        with self.server.rows() as rows:
            amounts = rows.execute("SELECT items, bytes FROM reclaimed").fetchall()
        return sum(int(items) for items, _ in amounts), sum(int(size) for _, size in amounts)

    def wait(self, done: Callable[[], bool]) -> None:
        """Raises CannotMeasure after a long time."""
        deadline = time.monotonic() + _LONGEST
        while not done():
            if time.monotonic() > deadline:
                raise CannotMeasure(f"the collector was not done after {_LONGEST:.0f} s")
            time.sleep(0.1)


def _fill(store: _Store, blobs: int) -> None:
    """Garbage: bytes by the driver itself, rows directly. Its grace began a day ago."""
    kept = asyncio.run(_write(store, blobs))
    os.sync()
    with filling(store.server.settings, store.server.data) as rows:
        ((repository,),) = rows.fetch("SELECT id FROM repositories")
        rows.insert("blobs", ("digest", "key", "size"), ((digest, key, SIZE) for digest, key in sorted(kept)))
        since = time.time() - _DAY
        rows.insert(
            "repository_blobs",
            ("repository_id", "digest", "kept_at"),
            ((repository, digest, since) for digest, _ in sorted(kept)),
        )


async def _write(store: _Store, blobs: int) -> list[tuple[str, str]]:
    """(digest, key) of each."""
    drivers = [FilesystemBlobs(store.server.data / "blobs", ids=new_uuid) for _ in range(2)]
    drivers[1].packs = False
    noise = os.urandom(SIZE)

    async def write(number: int) -> tuple[str, str]:
        driver, content = drivers[number % 2], number.to_bytes(8, "big") + noise[8:]
        writer = await driver.writer(driver.stage(), turn=1, offset=0)
        await writer.write([content], ())
        staged = await writer.close()
        key, _ = await driver.seal(staged, turn=1, size=SIZE)
        return f"sha256:{hashlib.sha256(content).hexdigest()}", key

    try:
        kept: list[tuple[str, str]] = []
        for start in range(0, blobs, _AT_ONCE):
            kept += await asyncio.gather(*map(write, range(start, min(blobs, start + _AT_ONCE))))
        return kept
    finally:
        for driver in drivers:
            await driver.close()
