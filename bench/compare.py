"""The comparison: every scenario, every contender alone, in turn, several rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contenders import Contender, Longshore
from bench.databases import TITLES, Kind
from bench.figures import Line, Sample, rotate, summarise
from bench.generator import Result
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure
from bench.scenarios import LABELS, SHARED_SCENARIOS, Scenario
from bench.tables import Table, show_number, show_reached

STORE_BYTES = 6_000_000_000
"""The most that one run leaves on the disk, and some room."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What contenders did, the first of which is held against the others."""

    samples: list[Sample]
    lines: list[Line]
    labels: dict[str, str]
    troubles: list[str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "samples": [asdict(sample) for sample in self.samples],
            "summary": [asdict(line) for line in self.lines],
            "contenders": self.labels,
            "troubles": self.troubles,
        }


def compare(ground: Ground, scenarios: Sequence[Scenario]) -> Section:
    """Raises CannotMeasure where Longshore itself does not run, and where nothing could be compared."""
    contest = hold(ground, ground.contenders, scenarios)
    lines, labels = contest.lines, contest.labels
    return Section(
        (medians_table(lines, labels, contest.troubles), ratios_table(lines, labels), costs_table(lines, labels)),
        contest.as_dict(),
    )


def compare_databases(ground: Ground) -> Section:
    """PostgreSQL with blobs on the disk beside SQLite. Raises CannotMeasure where one of them does not run."""
    kinds: tuple[Kind, ...] = ("postgres", "sqlite")
    contenders = {kind: Longshore(ground.workers, database=kind, key=kind, label=TITLES[kind]) for kind in kinds}
    contest = hold(ground, contenders, SHARED_SCENARIOS)
    return Section((databases_table(contest.lines, contest.troubles),), contest.as_dict())


def hold(ground: Ground, contenders: Mapping[str, Contender], scenarios: Sequence[Scenario]) -> Contest:
    """Raises CannotMeasure where the first contender does not run, and where nothing could be compared."""
    samples, troubles = _measure(ground, contenders, scenarios)
    ours = next(iter(contenders))
    lines = [summarise(samples, figure, contenders, ours=ours) for scenario in scenarios for figure in scenario.figures]
    if not any(line.ratios for line in lines):
        raise CannotMeasure("; ".join(["nothing could be compared", *troubles]))
    return Contest(samples, lines, {key: contender.label for key, contender in contenders.items()}, troubles)


def _measure(
    ground: Ground, contenders: Mapping[str, Contender], scenarios: Sequence[Scenario]
) -> tuple[list[Sample], list[str]]:
    samples: list[Sample] = []
    ours = next(iter(contenders))
    troubles: dict[str, None] = {}  # in order, each once however many rounds it spoils
    for number in range(ground.rounds):
        for scenario in scenarios:
            for key in rotate(list(contenders), number):
                contender = contenders[key]
                if contender.files and not scenario.static:
                    continue
                place = f"round {number + 1} of {ground.rounds}"
                try:
                    results = _play(ground, contender, scenario)
                except CannotMeasure as error:
                    if key == ours:
                        raise
                    say(f"{place}, {scenario.name}, {contender.label}: {error}")
                    troubles[f"{contender.label} could not run {scenario.name}: {error}."] = None
                    continue
                for result in results:
                    samples.append(Sample(key, number, result))
                    say(f"{place}, {result.figure}, {contender.label}: {_show_result(result)}")
                    if result.errors:
                        troubles[
                            f"{contender.label} failed {result.figure}, which is left out: {result.first_error}."
                        ] = None
    return samples, list(troubles)


def _play(ground: Ground, contender: Contender, scenario: Scenario) -> list[Result]:
    with ground.run(contender, static=scenario.static) as server:
        if not contender.files:
            ground.generator.warm_up(server)
            return ground.generator.play(server, [scenario.name], operations=scenario.operations)
        results = ground.generator.play(server, ["get:/{}"], operations=scenario.operations)
        return [result.named(scenario.figures[0].name) for result in results]


def _show_result(result: Result) -> str:
    if result.errors:
        return f"{result.errors} of {result.operations} operations failed: {result.first_error}"
    bulk = f", {show_number(result.mb_per_second)} MB/s" if result.mb_per_second else ""
    return f"{show_number(result.per_second)}/s{bulk}"


def medians_table(lines: Sequence[Line], labels: dict[str, str], troubles: Sequence[str] = ()) -> Table:
    return Table(
        "Medians",
        ("scenario", *labels.values()),
        tuple(
            (line.figure.title, *(show_number(line.medians[key]) if key in line.medians else "" for key in labels))
            for line in lines
        ),
        tuple(troubles),
    )


def ratios_table(lines: Sequence[Line], labels: dict[str, str]) -> Table:
    """A row for each figure and peer: the ratio, its spread over the rounds, the target, whether it is reached."""
    rows = [
        (
            line.figure.title,
            labels[peer],
            f"{ratio.median:.2f}",
            f"{ratio.least:.2f} to {ratio.greatest:.2f}",
            "" if ratio.target is None else f"{ratio.target:g}",
            show_reached(ratio.reached),
        )
        for line in lines
        for peer, ratio in line.ratios.items()
    ]
    return Table(
        "Longshore over its peers",
        ("scenario", "peer", "ratio", "rounds", "target", "reached"),
        tuple(rows),
        tuple(_not_measured(lines)),
    )


def databases_table(lines: Sequence[Line], troubles: Sequence[str] = ()) -> Table:
    """A row for each figure: both rates, what they cost, the ratio and its target."""
    rows = [
        (
            line.figure.title,
            *(
                f"{show_number(line.medians[key])}, {show_number(line.cpu_ms[key])} ms"
                for key in ("sqlite", "postgres")
            ),
            f"{ratio.median:.2f}",
            f"{ratio.least:.2f} to {ratio.greatest:.2f}",
            "" if ratio.target is None else f"{ratio.target:g}",
            show_reached(ratio.reached),
        )
        for line in lines
        for ratio in line.ratios.values()
    ]
    return Table(
        "PostgreSQL beside SQLite, blobs on the disk with both",
        ("scenario", "SQLite", "PostgreSQL", "ratio", "rounds", "target", "reached"),
        tuple(rows),
        (
            "Rates with the processor time of Longshore's own processes for one operation; PostgreSQL's come on top.",
            "PostgreSQL runs on the same cores, with its own default settings, and over the loopback interface.",
            *troubles,
        ),
    )


def _not_measured(lines: Sequence[Line]) -> list[str]:
    wanted: dict[str, list[str]] = {}
    for line in lines:
        for peer, target in line.figure.targets:
            if peer not in line.ratios:
                wanted.setdefault(peer, []).append(f"{line.figure.name} {target:g}")
    return [
        f"Not measured here: {LABELS[peer]}, with its targets {', '.join(names)}." for peer, names in wanted.items()
    ]


def costs_table(lines: Sequence[Line], labels: dict[str, str]) -> Table:
    watched = {key: label for key, label in labels.items() if any(key in line.cpu_ms for line in lines)}
    return Table(
        "What it costs: CPU milliseconds of the server for one operation, and peak memory of its processes in MB",
        ("scenario", *watched.values()),
        tuple(
            (
                line.figure.title.partition(",")[0],
                *(
                    f"{show_number(line.cpu_ms[key])} ms, {line.peak_mb[key]:.0f} MB" if key in line.cpu_ms else ""
                    for key in watched
                ),
            )
            for line in lines
        ),
        ("Memory is the sum over the server's processes, so what forked workers share counts once for each.",),
    )
