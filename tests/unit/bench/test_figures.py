import pytest

from bench.figures import Sample, compare_rounds, relate, rotate, summarise
from bench.generator import Result
from bench.scenarios import SCENARIOS, Figure

FIGURE = Figure("image-push", "image-push, images/s", "per_second", (("distribution", 5.0), ("olareg", 1.0)))


def sample(contender: str, number: int, rate: float, *, errors: int = 0, figure: str = "image-push") -> Sample:
    result = Result(
        figure=figure, operations=100, at_once=8, errors=errors, first_error="", seconds=1.0, per_second=rate,
        mb_per_second=rate / 10, p50_ms=1.0, p99_ms=2.0, server_cpu_seconds=rate / 100, server_peak_mb=rate,
    )  # fmt: skip
    return Sample(contender, number, result)


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians():
    ours, theirs = {0: 10.0, 1: 30.0, 2: 20.0}, {0: 10.0, 1: 10.0, 2: 1.0}
    ratio = compare_rounds(ours, theirs, 5.0)
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.greatest, ratio.rounds) == (3.0, 1.0, 20.0, 3)


def test_only_rounds_that_both_finished_count():
    ratio = compare_rounds({0: 10.0, 2: 50.0}, {1: 10.0, 2: 10.0}, None)
    assert ratio is not None
    assert (ratio.median, ratio.rounds) == (5.0, 1)


def test_no_common_round_is_no_ratio():
    assert compare_rounds({0: 10.0}, {1: 10.0}, 1.0) is None
    assert compare_rounds({0: 10.0}, {0: 0.0}, 1.0) is None


@pytest.mark.parametrize(("target", "reached"), [(3.0, True), (3.01, False), (None, None)])
def test_a_target_is_reached_by_the_median(target: float | None, reached: bool | None):
    ratio = compare_rounds({0: 6.0}, {0: 2.0}, target)
    assert ratio is not None
    assert ratio.reached is reached


def test_a_summary_has_medians_ratios_with_their_targets_and_costs():
    samples = [
        sample(contender, number, rate)
        for contender, rates in {"longshore": (300, 200, 400), "distribution": (50, 50, 40)}.items()
        for number, rate in enumerate(rates)
    ]
    line = summarise(samples, FIGURE, ["longshore", "distribution", "debian"])
    assert line.medians == {"longshore": 300, "distribution": 50}
    assert line.ratios["distribution"].median == 6
    assert line.ratios["distribution"].target == 5
    assert line.cpu_ms == {"longshore": 30, "distribution": 5}
    assert line.peak_mb == {"longshore": 300, "distribution": 50}


def test_a_round_with_failed_operations_counts_for_nothing():
    samples = [
        sample("longshore", 0, 10), sample("longshore", 1, 9000, errors=1),
        sample("distribution", 0, 5), sample("distribution", 1, 5),
    ]  # fmt: skip
    line = summarise(samples, FIGURE, ["longshore", "distribution"])
    assert line.medians["longshore"] == 10
    assert line.ratios["distribution"].rounds == 1


def test_other_figures_are_left_alone():
    line = summarise([sample("longshore", 0, 10, figure="image-pull")], FIGURE, ["longshore"])
    assert not line.medians


def test_everybody_is_first_once_in_as_many_rounds():
    orders = [rotate(["a", "b", "c"], number) for number in range(3)]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
    assert rotate([], 1) == []


def test_rates_are_related_to_the_base():
    assert relate({1000: 200.0, 2000: 100.0}, 1000) == {1000: 1.0, 2000: 0.5}


def test_no_two_figures_share_a_name():
    names = [figure.name for scenario in SCENARIOS for figure in scenario.figures]
    assert len(names) == len(set(names))
