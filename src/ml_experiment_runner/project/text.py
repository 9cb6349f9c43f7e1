"""Formats facts, tables, durations and sizes for people; nothing is truncated to fit a terminal."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

GAP = 3  # between the columns of a table


def show(facts: Mapping[str, Mapping[str, str]]) -> None:
    """Prints facts by name: wrapped on a terminal, elsewhere one line each, as grep needs it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        for name, values in facts.items():
            print(name, *(f"  {key:<12} {value}" for key, value in values.items()), sep="\n")
        return
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(overflow="fold")
    for name, values in facts.items():
        table.add_row(Text(name, style="bold"))
        for key, value in values.items():
            table.add_row(Text(f"  {key}", style="dim"), Text(value))
    console.print(table)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; columns that do not fit a terminal follow below, beside the first column.

    Args:
        columns: The title of each column; the first column names the row.
        rows: A text for each column. Without a terminal, a row is one line.
    """
    from rich.cells import cell_len, set_cell_size
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    room = console.width if console.is_terminal else math.inf
    gap = GAP if sum(widths) + GAP * (len(widths) - 1) <= room else GAP - 1
    for chosen in _fitting(widths, gap, room):
        for row in (columns, *rows):
            cells = (set_cell_size(row[number], widths[number]) for number in chosen)
            line = (" " * gap).join(cells).rstrip()
            console.print(Text(line, style="bold" if row is columns else ""), soft_wrap=True)


def _fitting(widths: Sequence[int], gap: int, room: float) -> list[list[int]]:
    """Groups of columns that fit side by side, each with the first column."""
    groups = [[0]]
    for number in range(1, len(widths)):
        if sum(widths[column] + gap for column in groups[-1]) + widths[number] > room:
            groups.append([0])
        groups[-1].append(number)
    return groups if len(widths) == 1 else [group for group in groups if group != [0]]


def duration(seconds: float) -> str:
    """Seconds as people read them, such as `12 min`."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def time_span(length: timedelta) -> str:
    """Minutes, hours or days as people read them, such as `36 hours`."""
    hours = length / timedelta(hours=1)
    if hours >= 24 * 100:
        return f"{hours / 24:,.0f} days"
    if hours >= 48:
        return f"{hours / 24:.3g} days"
    return f"{hours:.3g} hours" if hours >= 1 else f"{hours * 60:.3g} minutes"


def file_size(size: float) -> str:
    """Bytes as people read them, such as `1.2 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def percent(share: float) -> str:
    """A share, 0 to 1, as people read it, such as `0.1 %`."""
    return f"{100 * share:.3g} %"


def enumerated(texts: Sequence[str], most: int) -> str:
    """The first texts, with an ellipsis where there are more."""
    return ", ".join(texts[:most]) + (", …" if len(texts) > most else "")


def shorten(text: str, most: int = 60) -> str:
    """The text, cut to a length with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
