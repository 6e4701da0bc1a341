"""Whether what a request costs depends on how much there is: of images in a repository, of repositories in a registry."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from bench.contenders import REPOSITORY, Running, log_in
from bench.databases import TITLES, Filling, Kind, filling, standing
from bench.figures import Ratio, compare_rounds, rotate
from bench.generator import Generator, Result
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure
from bench.requests import Request, ecr_call, play_requests, registry_get
from bench.scenarios import FLAT
from bench.stores import TAG, fill_images, fill_repositories, repository_names
from bench.tables import Table, show_number, show_reached
from tests.live import LiveServer

IMAGES = 3000
"""Operations of a reading, so that it lasts about a second."""
PAGES = 600
SCATTER = 7919
"""A prime: names are taken in an order that no cache of neighbours serves."""


@dataclass(frozen=True, slots=True)
class Served:
    """A store that holds `number` of something, and the server over it."""

    number: int
    server: LiveServer
    access: Running


@dataclass(frozen=True, slots=True)
class Growth:
    """What there is more and more of, and what is read of it: title of each figure that `read` gives."""

    title: str
    fill: Callable[[Filling, int], None]
    read: Callable[[Generator, Served], Iterator[Result]]
    readings: Mapping[str, str]
    note: str


def _read_images(generator: Generator, served: Served) -> Iterator[Result]:
    page, one = generator.play(served.access, [f"read-tags-{served.number}"], operations=IMAGES)
    yield page.named("page")
    yield one.named("one")


def _read_repositories(generator: Generator, served: Served) -> Iterator[Result]:
    number, server, access = served.number, served.server, served.access
    names = repository_names(number)
    some = [names[index * SCATTER % number] for index in range(min(number, IMAGES))]
    catalog = registry_get(access, f"_catalog?n=100&last={names[number // 2]}")
    described = _describe_from_the_middle(server, number)
    for page, key in ((catalog, "repositories"), (described, "repositories")):
        if len(page.fetch(server)[key]) != min(100, number - number // 2 - 1) and number >= 1000:
            raise CannotMeasure("a page of repositories is not as full as it may be")
    for name, requests, operations in (
        ("catalog", [catalog], PAGES),
        ("describe", [described], PAGES),
        (
            "named",
            [ecr_call(server, "DescribeRepositories", {"repositoryNames": [one]}) for one in some[:PAGES]],
            PAGES,
        ),
        ("image", [registry_get(access, f"{one}/manifests/{TAG}") for one in some], IMAGES),
    ):
        yield play_requests(generator, access, name, requests, operations=operations, place=server.directory)


def _describe_from_the_middle(server: LiveServer, number: int) -> Request:
    """A page of 100. The token of where it begins comes from the pages before."""
    size = max(1, min(1000, number // 2))
    pages = server.client("ecr").get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": size})
    (last,) = islice(pages, max(1, number // 2 // size) - 1, max(1, number // 2 // size))
    return ecr_call(server, "DescribeRepositories", {"maxResults": 100, "nextToken": last["nextToken"]})


GROWTHS: Mapping[str, Growth] = {
    "images": Growth(
        "Images of one repository",
        fill_images,
        _read_images,
        {"page": "tags, pages of 100 from the middle", "one": "manifest-get, of all tags"},
        "Images have a manifest and a tag of their own, and share their layers.",
    ),
    "repositories": Growth(
        "Repositories of a registry",
        fill_repositories,
        _read_repositories,
        {
            "catalog": "_catalog, pages of 100 from the middle",
            "describe": "DescribeRepositories, the same",
            "named": "DescribeRepositories, one by name",
            "image": "manifest-get, of all repositories",
        },
        "Each has one image. Calls of the ECR API are signed, and so verified, one by one. Of a repository that it has not "
        "seen yet a worker first looks up the policy and the tags (it remembers 10,000), so many are dearer than few.",
    ),
}


@dataclass(slots=True)
class _Rates:
    """Of one reading: number of things -> round -> operations a second."""

    by_number: dict[int, dict[int, float]] = field(default_factory=dict)

    def add(self, number: int, round_number: int, rate: float) -> None:
        self.by_number.setdefault(number, {})[round_number] = rate

    def least(self) -> Ratio | None:
        """The lowest of the ratios to the rate with the fewest."""
        base, *others = sorted(self.by_number)
        ratios = [compare_rounds(self.by_number[more], self.by_number[base], FLAT) for more in others]
        return min((ratio for ratio in ratios if ratio), key=lambda ratio: ratio.median, default=None)


def measure_flatness(ground: Ground, kinds: Sequence[Kind], numbers: Mapping[str, Sequence[int]]) -> Section:
    """`numbers` of each of GROWTHS that is measured."""
    tables, data = [], {}
    for name, growth in GROWTHS.items():
        found = {kind: _measure(ground, kind, growth, numbers[name]) for kind in kinds}
        tables.append(_report(growth, numbers[name], found))
        data[name] = {
            kind: {reading: rates.by_number for reading, rates in rates_of.items()} for kind, rates_of in found.items()
        }
    return Section(tuple(tables), data)


def _measure(ground: Ground, kind: Kind, growth: Growth, numbers: Sequence[int]) -> dict[str, _Rates]:
    """A store and a server for each number; they are read in turn, several rounds, the order rotated."""
    rates = {reading: _Rates() for reading in growth.readings}
    with ground.directory() as place, standing(kind, place) as backing, ExitStack() as up:
        stores = []
        for number in numbers:
            say(f"{TITLES[kind]}: writing the rows of {number:,} {growth.title.partition(' ')[0].lower()}")
            directory = place / str(number)
            server = LiveServer(directory, settings=backing.settings(directory), workers=ground.workers)
            push_one(ground, server)
            with filling(server.settings, server.data) as rows:
                growth.fill(rows, number)
            up.enter_context(server)
            stores.append(Served(number, server, log_in(server)))
        for served in stores:  # first connections, first files
            list(growth.read(Generator(ground.generator.program, 100), served))
        for round_number in range(ground.rounds):
            for served in rotate(stores, round_number):
                for result in growth.read(ground.generator, served):
                    where = f"{TITLES[kind]}, round {round_number + 1} of {ground.rounds}, {served.number:,}, {result.figure}"
                    if result.errors:
                        raise CannotMeasure(f"{where}: {result.errors} failed: {result.first_error}")
                    rates[result.figure].add(served.number, round_number, result.per_second)
                    say(f"{where}: {show_number(result.per_second)}/s")
    return rates


def push_one(ground: Ground, server: LiveServer) -> None:
    """Start a server over a new store, push one image, stop it."""
    with server:
        Generator(ground.generator.program).play(log_in(server, REPOSITORY), ["fill-tags-1"])


def _report(growth: Growth, numbers: Sequence[int], found: Mapping[Kind, Mapping[str, _Rates]]) -> Table:
    rows = []
    for kind, rates_of in found.items():
        for reading, title in growth.readings.items():
            rates = rates_of[reading]
            ratio = rates.least()
            rows.append(
                (
                    f"{title}, {TITLES[kind]}",
                    *(show_number(statistics.median(rates.by_number[number].values())) for number in numbers),
                    "" if ratio is None else f"{ratio.median:.2f}",
                    "" if ratio is None else f"{ratio.least:.2f} to {ratio.greatest:.2f}",
                    show_reached(None if ratio is None else ratio.reached),
                )
            )
    header = ("/s, with so many", *(f"{number:,}" for number in numbers), "lowest ratio", "rounds", "flat")
    return Table(
        growth.title,
        header,
        tuple(rows),
        (
            f"Flat: no rate is less than 1/1.3 of the one with {min(numbers):,}, by the median of the rounds' ratios.",
            growth.note,
        ),
    )
