import pytest

from bench.compare import costs_table, medians_table, ratios_table
from bench.figures import Line, Ratio
from bench.scenarios import Figure
from bench.tables import Table, render_markdown, render_text, show_number, show_reached

TABLE = Table("Rates", ("scenario", "Longshore"), (("image-push", "312"), ("pull", "**no**")), ("A note.",))
LABELS = {"longshore": "Longshore", "distribution": "distribution 3.1.1", "debian": "distribution 2.8.2"}
LINE = Line(
    figure=Figure("image-push", "image-push, images/s", "per_second", (("distribution", 5.0), ("zot", 1.5))),
    medians={"longshore": 300.0, "distribution": 50.0},
    ratios={"distribution": Ratio(6.0, 5.5, 6.25, 3, 5.0)},
    cpu_ms={"longshore": 6.0, "distribution": 26.5},
    peak_mb={"longshore": 120.0, "distribution": 52.6},
)


def test_text_is_aligned_and_without_markup():
    assert render_text(TABLE) == (
        "Rates\n\n"
        "scenario     Longshore\n"
        "----------------------\n"
        "image-push         312\n"
        "pull                no\n"
        "  A note.\n"
    )


def test_markdown_is_a_table_with_its_notes():
    assert render_markdown(TABLE) == (
        "### Rates\n\n| scenario | Longshore |\n| --- | ---: |\n| image-push | 312 |\n| pull | **no** |\n\n- A note.\n"
    )


def test_a_bar_in_a_cell_does_not_end_it():
    assert "a \\| b" in render_markdown(Table("t", ("x",), (("a | b",),)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(14_832, "14,800"), (1000, "1,000"), (312.4, "312"), (14.83, "14.8"), (1.483, "1.48"), (0.1, "0.10")],
)
def test_numbers_show_three_digits(value: float, shown: str):
    assert show_number(value) == shown


def test_what_is_reached_is_said():
    assert [show_reached(reached) for reached in (True, False, None)] == ["yes", "**no**", ""]


def test_medians_leave_empty_what_was_not_measured():
    table = medians_table([LINE], LABELS, ["A trouble."])
    assert table.header == ("scenario", *LABELS.values())
    assert table.rows == (("image-push, images/s", "300", "50.0", ""),)
    assert table.notes == ("A trouble.",)


def test_ratios_name_target_and_verdict_and_the_targets_that_were_not_measured():
    table = ratios_table([LINE], LABELS)
    assert table.rows == (("image-push, images/s", "distribution 3.1.1", "6.00", "5.50 to 6.25", "5", "yes"),)
    assert table.notes == ("Not measured here: zot, with its targets image-push 1.5.",)


def test_costs_show_only_servers_that_were_watched():
    table = costs_table([LINE], LABELS)
    assert table.header == ("scenario", "Longshore", "distribution 3.1.1")
    assert table.rows == (("image-push", "6.00 ms, 120 MB", "26.5 ms, 53 MB"),)
