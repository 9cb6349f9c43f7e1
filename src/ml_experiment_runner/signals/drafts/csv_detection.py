"""Finds out how a CSV is written, from what is in it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from ml_experiment_runner.signals.contract.dialect import ESCAPES, QUOTES, Dialect
from ml_experiment_runner.signals.drafts.schema_inference import NULLS, type_of_texts
from ml_experiment_runner.signals.sources import csv_files, file_content

DELIMITERS = ("\t", ";", "|", ",")
SAMPLE = 2**20
"""So many bytes are looked at for the delimiter …"""
ROWS = 500
"""… and so many rows."""
PREAMBLE = 30
"""Lines above the one with the names, at most."""
FITTING = 0.9
"""So large a share of rows has as many values as the others, or the delimiter is another."""


def dialect_of(data: bytes) -> Dialect:
    """The dialect of a CSV, except for its numbers.

    Raises:
        ValueError: It is empty; says so.
    """
    encoding = _encoding(data)
    sample = file_content.utf8(data, encoding)
    if not sample.strip():
        raise ValueError("is empty")
    is_part = len(sample) > SAMPLE
    sample = sample[:SAMPLE]
    if is_part:
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1]
    if declared := re.match(rb"\"?sep=(.)\"?\r?\n", sample):  # Excel's own way to say it
        return Dialect(delimiter=declared[1].decode(), encoding=encoding, header=2)
    best = _best(sample, DELIMITERS, is_part=is_part)
    if best is None or best[0][0] < FITTING:
        best = _best(sample, (" ",), is_part=is_part) or best
    if best is None:  # one column
        dialect, rows, start = Dialect(), _rows(sample, Dialect(), is_part=is_part), 0
    else:
        _, dialect, rows, start = best
    line = 1 + sum(1 + sum(map(_line_breaks, row)) for row in rows[:start])
    if not any(rows[:start]):
        line = 1
    header = 0 if _is_data(rows[start:]) else line
    return replace(dialect, encoding=encoding, header=header)


def _best(sample: bytes, delimiters: Sequence[str], *, is_part: bool) -> "_Layout | None":
    """The likeliest layout with one of the delimiters."""
    dialects = [
        Dialect(delimiter, quote, escape, skip_initial_space=skips)
        for quote in QUOTES
        for escape in ESCAPES
        if not escape or (quote and (escape + quote).encode() in sample)
        for delimiter in delimiters
        for skips in (False, True)
        if not skips or _is_lined_up(sample, Dialect(delimiter, quote, escape))
    ]
    layouts = (_layout(sample, dialect, is_part=is_part) for dialect in dialects)
    return max(filter(None, layouts), key=lambda layout: layout[0], default=None)


def _is_lined_up(sample: bytes, dialect: Dialect) -> bool:
    """Whether spaces behind each delimiter fill up a column or part the words of a list."""
    sign, quote = dialect.delimiter.encode(), dialect.quote.encode()
    if sign + b" " not in sample:
        return False
    sample = csv_files.doubled(sample, replace(dialect, skip_initial_space=True))
    if quote:
        sample = re.sub(rb"%b[^%b]*%b" % (quote, quote, quote), b"", sample)
    # a text that begins with spaces where others do not holds them
    return not re.search(re.escape(sign) + rb"(?! |[+-]?[\d.]|[\r\n]|$)", sample)


def _encoding(data: bytes) -> str:
    if file_content.is_marked(data):
        return "utf-8"
    sample = data[:SAMPLE]
    if b"\0" in sample:
        odd, even = sample[1::2].count(0), sample[::2].count(0)
        return "utf-16-le" if odd > even else "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _line_breaks(text: str) -> int:
    return len(re.findall(r"\r\n|\n|\r", text))


def _rows(sample: bytes, dialect: Dialect, *, is_part: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv_files.rows(csv_files.doubled(sample, dialect), dialect):
            rows.append(row)
            if len(rows) == ROWS:
                break
    except ValueError:
        if not is_part:
            return []
    return rows


_Layout = tuple[tuple[float, ...], Dialect, list[list[str]], int]


def _layout(sample: bytes, dialect: Dialect, *, is_part: bool) -> _Layout | None:
    """The rows in a dialect, the first that counts, and how likely it is; None if it is not."""
    rows = _rows(sample, dialect, is_part=is_part)
    widths = Counter(len(row) for row in rows if row)
    if not widths or max(widths, key=lambda number: (widths[number], number)) < 2:
        return None
    width = max(widths, key=lambda number: (widths[number], number))
    start = next(place for place, row in enumerate(rows) if len(row) == width)
    last = rows[start][-1] if len(rows) > start else ""
    if start and len(rows[start - 1]) == width - 1 and (not last or _is_data(rows[start:])):
        start -= 1  # all lines but that with the names end with a delimiter, or begin with a name
    if start > PREAMBLE:
        return None
    counted = [row for row in rows[start:] if row]
    if dialect.delimiter == " " and not _are_numbers(counted, width):
        return None
    fitting = sum(len(row) == width or (row is rows[start]) for row in counted) / len(counted)
    cells = [cell for row in counted for cell in row if cell]
    within = sum(cell[0] == " " or _is_quoted(cell) for cell in cells)
    lines_above = sum(bool(row) for row in rows[:start])
    score = (round(fitting, 2), -lines_above, -within / max(len(cells), 1), width)
    return score, dialect, rows, start


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'"


def _are_numbers(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether most columns are numbers, for spaces part words too."""
    others = [row for row in rows[1:] or rows if len(row) == width]
    columns = (pl.Series([row[place] or None for row in others]) for place in range(width))
    kinds = [
        type_of_texts(without_nulls(column)) for column in columns if column.dtype == pl.String
    ]
    return len(others) >= len(rows) - 1 and 2 * kinds.count("string") <= len(kinds)


def _is_data(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is one like the others, and no names."""
    rows = [row for row in rows if row]
    if len(rows) < 2:
        return False
    first, others = rows[0], rows[1:]
    has_typed_column = False
    for place, cell in enumerate(first):
        values = [row[place] or None for row in others if len(row) > place]
        texts = pl.Series("", values, pl.String)
        kind = type_of_texts(without_nulls(texts))
        if kind == "string" and number_columns([pl.Series(values, dtype=pl.String)]):
            kind = "number"
        if kind == "string":
            continue
        if cell and cell not in NULLS:
            same = type_of_texts(pl.Series([cell])) != "string"
            if not (same or number_columns([pl.Series([cell])])):
                return False
            has_typed_column = True
    return has_typed_column


def without_nulls(texts: pl.Series) -> pl.Series:
    """The texts without those that mean null."""
    return texts.filter(~texts.is_in(NULLS))


_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$"
_EITHER = r"^[+-]?[1-9]\d{0,2},\d{3}$"
"""1,234 is a thousand here and one and a bit there."""
_GROUPED = {
    # a sign of thousands: what is surely grouped by it, with or without decimals after it
    ".": r"^[+-]?\d{1,3}(\.\d{3})*(\.\d{3},\d+|\.\d{3}\.\d{3}(,\d+)?)$",
    ",": r"^[+-]?\d{1,3}(,\d{3})*(,\d{3}\.\d+|,\d{3},\d{3}(\.\d+)?)$",
    " ": r"^[+-]?\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d+)?$",
    "'": r"^[+-]?\d{1,3}('\d{3})+([.,]\d+)?$",
}


def number_columns(columns: Sequence[pl.Series]) -> tuple[str, str] | None:
    """What stands before the decimals and between thousands; None where nothing shows it."""
    texts = [without_nulls(column).drop_nulls().unique() for column in columns]
    texts = [column for column in texts if not column.is_empty()]
    best: tuple[int, str, str] | None = None
    for decimal in (".", ","):
        for thousands in ("", *(sign for sign in _GROUPED if sign != decimal)):
            dialect = Dialect(decimal=decimal, thousands=thousands)
            pattern, _ = csv_files.number(dialect)
            numbers = [column for column in texts if column.str.contains(pattern).all()]
            count = len(numbers)
            shown = thousands == "" or any(
                column.str.contains(_GROUPED[thousands]).any() for column in numbers
            )
            if decimal == ",":
                shown = shown and any(
                    (column.str.contains(_COMMA) & ~column.str.contains(_EITHER)).any()
                    for column in numbers
                )
            if shown and (best is None or count > best[0]):
                best = (count, decimal, thousands)
    if best is None or best[1:] == (".", ""):
        return None
    return best[1:]
