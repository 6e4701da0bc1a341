"""Tables for a terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text; the first column stands left, the others right. Notes follow the table, a sentence each."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def render_text(table: Table) -> str:
    grid = [[cell.replace("**", "") for cell in row] for row in (table.header, *table.rows)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(table.header))]
    lines = [_align(row, widths) for row in grid]
    lines.insert(1, "-" * len(lines[0]))
    return (
        "\n".join([table.title, "", *(line.rstrip() for line in lines), *(f"  {note}" for note in table.notes)]) + "\n"
    )


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "   ".join([row[0].ljust(widths[0]), *cells[1:]])


def render_markdown(table: Table) -> str:
    lines = [
        f"### {table.title}",
        "",
        _row(table.header),
        _row(["---", *["---:"] * (len(table.header) - 1)]),
        *map(_row, table.rows),
    ]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def show_number(value: float) -> str:
    """Three digits that mean something: 14,800; 312; 14.8; 1.48; 0.15."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def show_reached(reached: bool | None) -> str:
    """Empty where there is no target."""
    return {True: "yes", False: "**no**", None: ""}[reached]
