"""How long a server takes from its start to its first answer on a store that has a long history."""

import statistics
import time
from collections.abc import Sequence

from bench.contenders import REPOSITORY, log_in
from bench.databases import TITLES, Kind, filling, forget_rows, standing
from bench.flat import push_one
from bench.generator import Generator
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure
from bench.scenarios import START_SECONDS
from bench.stores import fill_images
from bench.tables import Table, show_reached
from tests.live import LiveServer

STATES = {"cold": "not in memory", "warm": "in memory"}


def measure_start(ground: Ground, kinds: Sequence[Kind], manifests: int) -> Section:
    """The store is made by a server and one pushed image; the rows of the other manifests are copies of that image's."""
    found = {kind: _measure(ground, kind, manifests) for kind in kinds}
    rows = tuple(
        (
            f"{TITLES[kind]}, {title}",
            f"{statistics.median(times[state]):.2f}",
            f"{min(times[state]):.2f} to {max(times[state]):.2f}",
            f"{START_SECONDS:g}",
            show_reached(statistics.median(times[state]) < START_SECONDS),
        )
        for kind, times in found.items()
        for state, title in STATES.items()
    )
    table = Table(
        f"Seconds from start to ready, with {manifests:,} manifests",
        ("database", "median", "rounds", "target: below", "reached"),
        rows,
        ("Not in memory: what the page cache had of the database was dropped, and PostgreSQL was started anew just before.",
         "Python itself starts from the page cache in both."),
    )  # fmt: skip
    return Section((table,), {"manifests": manifests, "seconds": found})


def _measure(ground: Ground, kind: Kind, manifests: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {state: [] for state in STATES}
    with ground.directory() as place, standing(kind, place) as backing:
        directory = place / "longshore"
        server = LiveServer(directory, settings=backing.settings(directory), workers=ground.workers)
        push_one(ground, server)
        say(f"{TITLES[kind]}: writing the rows of {manifests:,} manifests")
        with filling(server.settings, server.data) as rows:
            fill_images(rows, manifests)
        for number in range(ground.rounds):
            for state, found in times.items():
                if state == "cold":
                    forget_rows(backing, server.data)
                begun = time.monotonic()
                server.start()
                found.append(time.monotonic() - begun)
                say(f"{TITLES[kind]}, round {number + 1} of {ground.rounds}, {state}: ready after {found[-1]:.2f} s")
                if number == 0:  # the rows are worth what a client can read of them
                    (page, one) = Generator(ground.generator.program).play(
                        log_in(server, REPOSITORY), [f"read-tags-{manifests}"], operations=100
                    )
                    if page.errors or one.errors:
                        raise CannotMeasure(f"the rows cannot be read: {page.first_error or one.first_error}")
                server.stop()
    return times
