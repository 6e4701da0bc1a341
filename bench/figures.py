"""Pure arithmetic on what was measured: medians, ratios of rounds, targets reached or not."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.generator import Result
from bench.scenarios import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one contender in one round."""

    contender: str
    round: int
    result: Result

    @property
    def sound(self) -> bool:
        """Whether every operation succeeded; other figures are shown to nobody."""
        return self.result.errors == 0


@dataclass(frozen=True, slots=True)
class Ratio:
    """Longshore's figure over a peer's: the median of the rounds' ratios, the least and the greatest of them."""

    median: float
    least: float
    greatest: float
    rounds: int
    target: float | None

    @property
    def reached(self) -> bool | None:
        """None where there is no target."""
        return None if self.target is None else self.median >= self.target


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over all rounds. Keys are contenders; those without a sound sample are absent."""

    figure: Figure
    medians: Mapping[str, float]
    ratios: Mapping[str, Ratio]
    cpu_ms: Mapping[str, float]
    """CPU time of the server's processes for one operation, in milliseconds."""
    peak_mb: Mapping[str, float]


def rounds_of(samples: Iterable[Sample], contender: str, figure: Figure) -> dict[int, float]:
    """The sound values of a figure by round."""
    return {
        sample.round: float(getattr(sample.result, figure.unit))
        for sample in samples
        if sample.contender == contender and sample.result.figure == figure.name and sample.sound
    }


def compare_rounds(ours: Mapping[int, float], theirs: Mapping[int, float], target: float | None) -> Ratio | None:
    """Ratios are formed within a round, where both ran minutes apart at the most; None where no round has both."""
    ratios = [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number)]
    if not ratios:
        return None
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios), target)


def summarise(samples: Iterable[Sample], figure: Figure, contenders: Iterable[str], *, ours: str = "longshore") -> Line:
    kept = [sample for sample in samples if sample.result.figure == figure.name and sample.sound]
    targets = dict(figure.targets)
    values = {contender: rounds_of(kept, contender, figure) for contender in contenders}
    values = {contender: found for contender, found in values.items() if found}
    ratios = {
        peer: ratio
        for peer, found in values.items()
        if peer != ours and (ratio := compare_rounds(values.get(ours, {}), found, targets.get(peer)))
    }

    def median_of(contender: str, value: str) -> float:
        return float(
            statistics.median(getattr(sample.result, value) for sample in kept if sample.contender == contender)
        )

    watched = [contender for contender in values if median_of(contender, "server_peak_mb") > 0]
    return Line(
        figure=figure,
        medians={contender: statistics.median(found.values()) for contender, found in values.items()},
        ratios=ratios,
        cpu_ms={contender: median_of(contender, "cpu_ms") for contender in watched},
        peak_mb={contender: median_of(contender, "server_peak_mb") for contender in watched},
    )


def rotate(order: Sequence[T], number: int) -> list[T]:
    """The order of a round: each is first, second, ... in turn."""
    shift = number % len(order) if order else 0
    return [*order[shift:], *order[:shift]]


def relate(values: Mapping[int, float], base: int) -> dict[int, float]:
    """Each value over the one at `base`."""
    return {key: value / values[base] for key, value in values.items()}
