"""Whether the cost of a tag depends on how many tags its repository has."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from bench.contenders import Running, log_in
from bench.figures import relate, rotate
from bench.generator import Generator
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure
from bench.scenarios import FLAT
from bench.tables import Table, show_number, show_reached
from tests.live import LiveServer

Reading = Literal["page", "one"]
READINGS: dict[Reading, str] = {"page": "pages of 100, /s", "one": "one tag, /s"}
PAGES = 2000
"""Operations of each reading, so that the fastest lasts some tenths of a second."""


def measure_flatness(ground: Ground, numbers: Sequence[int]) -> Section:
    """One server with a repository for each number of tags; they are read in turn, several rounds, the order rotated."""
    rates: dict[tuple[int, Reading], list[float]] = {}
    with ground.directory() as place, LiveServer(place, workers=ground.workers) as server:
        access = log_in(server, *(f"load/{number}" for number in numbers))
        for number in numbers:
            say(f"making {number:,} tags")
            # filling is no measurement: a small -n must not cut it short
            Generator(ground.generator.program, repository=f"load/{number}").play(access, [f"fill-tags-{number}"])
        for round_number in range(ground.rounds):
            for number in rotate(numbers, round_number):
                generator = replace(ground.generator, repository=f"load/{number}")
                for reading, rate in _read(generator, access, number).items():
                    rates.setdefault((number, reading), []).append(rate)
                    say(
                        f"round {round_number + 1} of {ground.rounds}, {number:,} tags, {reading}: {show_number(rate)}/s"
                    )
    return _report(numbers, rates)


def _read(generator: Generator, server: Running, number: int) -> dict[Reading, float]:
    found: dict[Reading, float] = {}
    for result in generator.play(server, [f"read-tags-{number}"], operations=PAGES):
        if result.errors:
            raise CannotMeasure(f"{result.figure}: {result.errors} reads failed: {result.first_error}")
        found["page" if result.figure.endswith("-page") else "one"] = result.per_second
    return found


def _report(numbers: Sequence[int], rates: dict[tuple[int, Reading], list[float]]) -> Section:
    least = min(numbers)
    medians = {
        reading: {number: statistics.median(rates[number, reading]) for number in numbers} for reading in READINGS
    }
    related = {reading: relate(medians[reading], least) for reading in READINGS}
    rows = tuple(
        (
            f"{number:,}",
            *(
                cell
                for reading in READINGS
                for cell in (show_number(medians[reading][number]), f"{related[reading][number]:.2f}")
            ),
            show_reached(min(related[reading][number] for reading in READINGS) >= FLAT),
        )
        for number in numbers
    )
    header = ("tags", *(cell for title in READINGS.values() for cell in (title, f"to {least:,}")), "flat")
    table = Table(
        "Tags of one repository",
        header,
        rows,
        (f"Flat: both rates are at least {FLAT:g} of those at {least:,} tags.",),
    )
    return Section((table,), {"rates": medians, "relative": related})
