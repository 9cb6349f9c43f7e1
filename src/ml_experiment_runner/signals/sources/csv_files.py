"""CSV files: from bytes in any dialect to columns of texts, under the names of the source."""

import csv
import io
import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from ml_experiment_runner.signals.contract.dialect import SPACES, Dialect

log = logging.getLogger(__name__)
LONGEST = 2**31 - 1
"""Characters of a value; the csv module takes few for all unless told."""


@dataclass(frozen=True)
class Text:
    """A CSV whose lines are known to be whole.

    Attributes:
        data: The lines in UTF-8, from the first that counts.
        names: Of the columns, in order, empty texts for those without one; empty where the file
            has none.
        width: Values in each row.
        plain: Polars reads it just as the csv module does.
    """

    data: bytes
    names: list[str]
    width: int
    plain: bool


def table(
    data: bytes, dialect: Dialect, names: Sequence[str] = (), nulls: Sequence[str] = ()
) -> pl.DataFrame:
    """The rows of a CSV, each value a text or null.

    Args:
        data: The file's text in UTF-8.
        dialect: How it is written.
        names: The columns' names, where the file has no line with them.
        nulls: Texts that stand for nothing.

    Raises:
        ValueError: It is in another encoding or dialect, or cut off; says what the file is or has.
    """
    text = read(data, dialect)
    named = text.names or list(names) or [f"column_{number + 1}" for number in range(text.width)]
    if text.width not in (len(named), len(named) + 1):
        raise ValueError(
            f"has {text.width} columns, and {len(named)} are named; its delimiter is "
            f"{dialect.delimiter!r}"
        )
    named += [""] * (text.width - len(named))
    check_once(named)
    # under names of our own: a header may be short, and polars leaves quotes in names doubled
    columns = [f"{number}" for number in range(text.width)]
    frame = _parsed(text, dialect, columns, list(nulls))
    if not named[-1] and text.width > 1 and _is_empty(frame[columns[-1]]):
        frame = frame.drop(columns[-1])  # each line ends with a delimiter
        named = named[:-1]
    frame.columns = [name or f"column_{number + 1}" for number, name in enumerate(named)]
    return frame


def header(data: bytes, dialect: Dialect) -> list[str]:
    """The names of the columns; none if no line has them.

    Raises:
        ValueError: It is empty or not UTF-8; says what the file is.
    """
    if not dialect.header:
        return []
    lines = doubled(_from_line(data, dialect.header).lstrip(b"\r\n"), dialect)
    names = next(rows(lines, dialect), [])
    if not names:
        raise ValueError("is empty")
    if len(names) > 1 and not names[-1]:  # each line may end with a delimiter
        names = names[:-1]
    return [name or f"column_{place + 1}" for place, name in enumerate(names)]


def check_once(names: Sequence[str]) -> None:
    """Raises a ValueError for a name that two columns have."""
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise ValueError(f"has two columns '{name}'; rename one at the source")


def read(data: bytes, dialect: Dialect) -> Text:
    """The lines of a CSV, known to be whole.

    Raises:
        ValueError: It is empty, not UTF-8, or cut off; says what the file is or has.
    """
    data = _from_line(data, dialect.header)
    if not data.strip(b"\r\n"):
        raise ValueError("is empty")
    # polars would take empty lines for rows of nothing
    ended = data.endswith((b"\n", b"\r"))
    data = doubled(data.strip(b"\r\n") + (b"\n" if ended else b""), dialect)
    first = next(rows(data, dialect))
    names = first if dialect.header else []
    width, plain, is_numbered = _width(data, dialect, len(first))
    return Text(data, ["", *names] if is_numbered else names, width, plain)


def rows(data: bytes, dialect: Dialect) -> Iterator[list[str]]:
    """The values of each row, as the csv module reads them.

    Raises:
        ValueError: The text is in another encoding, or breaks off within quotes.
    """
    csv.field_size_limit(LONGEST)
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    reader = csv.reader(
        text,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        skipinitialspace=dialect.skip_initial_space,
        strict=True,
    )
    for row in itertools.count():
        try:
            yield next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8") from None
        except csv.Error as error:
            before = max(row - (dialect.header > 0), 0)
            raise ValueError(f"breaks off after row {before} ({error})") from None


def doubled(data: bytes, dialect: Dialect) -> bytes:
    """The text with its escaped quotes doubled, and nothing changed outside of quotes."""
    if not (dialect.escape and dialect.quote):
        return data
    quote, escape = dialect.quote.encode(), re.escape(dialect.escape.encode())
    before = re.escape(dialect.delimiter.encode()) + (b" " if dialect.skip_initial_space else b"")
    within = re.compile(
        rb"(?<![^%b\r\n])%b(?:[^%b%b]|%b.|%b%b)*%b"
        % (before, quote, quote, escape, escape, quote, quote, quote),
        re.DOTALL,
    )
    escaped = re.compile(escape + rb"([%b%b])" % (quote, escape))
    return within.sub(
        lambda text: escaped.sub(lambda sign: 2 * quote if sign[1] == quote else sign[1], text[0]),
        data,
    )


def _from_line(data: bytes, line: int) -> bytes:
    """The text from this line on."""
    for _ in range(line - 1):
        end = re.compile(rb"\r\n|\n|\r").search(data)
        data = data[end.end() :] if end else b""
    return data


def _width(data: bytes, dialect: Dialect, width: int) -> tuple[int, bool, bool]:
    """How many values each row has, whether polars reads them as they are, and row names.

    The last is whether the line with the names leaves out the first column, as R writes a table
    whose rows have names.

    Raises:
        ValueError: A row has another number, which polars would fill up with nulls; says which.
    """
    delimiter = dialect.delimiter.encode()
    quote = dialect.quote.encode()
    is_simple = (
        len(delimiter) == 1
        and b"\n" in data
        and not (dialect.skip_initial_space or _has_lone_return(data, quote))
    )
    # of as many delimiters as there should be none is missing: polars refuses one too many
    if is_simple and width > 1 and not (quote and quote in data):
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        if data.count(delimiter) == lines * (width - 1):
            return width, True, False
    widths: dict[int, int] = {}  # how many rows have each
    empty, ends_with_value, firsts = 0, None, set()
    above = 0 if dialect.header else 1  # the first row is one of values
    for row, values in enumerate(rows(data, dialect)):
        is_longer = len(values) == width + 1 and bool(dialect.header)
        if len(values) not in (width, 0) and not is_longer:
            raise ValueError(_cut_off(len(values), width, row + above))
        if is_longer:
            firsts.add(values[0])
            ends_with_value = ends_with_value or (row if values[-1] else None)
        empty += not values
        widths[len(values)] = widths.get(len(values), 0) + 1
    if width + 1 not in widths:
        return width, is_simple and not empty, False
    is_all = widths[width] == 1
    if is_all and ends_with_value is None:  # each line ends with a delimiter
        return width + 1, False, False
    if is_all and len(firsts) == widths[width + 1]:  # each begins with the row's name
        return width + 1, False, True
    if ends_with_value:
        raise ValueError(_cut_off(width + 1, width, ends_with_value))
    raise ValueError(
        f"has {width + 1} values instead of {width} in {widths[width + 1]:,} rows of "
        f"{sum(widths.values()) - 1:,}"
    )


def _cut_off(values: int, width: int, row: int) -> str:
    return f"has {values} values instead of {width} in row {row}; it may be cut off"


def _has_lone_return(data: bytes, quote: bytes) -> bool:
    """Whether a carriage return stands without a line feed after it, and in no quotes."""

    def is_there(text: bytes) -> bool:
        return text.count(b"\r") != text.count(b"\r\n")

    if not quote or not is_there(data):
        return is_there(data)
    return is_there(re.sub(b"%b[^%b]*%b" % (quote, quote, quote), b"", data))


def _parsed(text: Text, dialect: Dialect, columns: list[str], nulls: list[str]) -> pl.DataFrame:
    if text.plain:
        try:
            return pl.read_csv(
                text.data,
                has_header=bool(text.names),
                new_columns=columns,
                schema_overrides=[pl.String()] * len(columns),
                infer_schema=False,
                separator=dialect.delimiter,
                quote_char=dialect.quote or None,
                null_values=nulls,
            )
        except pl.exceptions.PolarsError:
            log.debug("polars does not read this CSV; the csv module does")
    width = text.width
    nothing = {"", *nulls}
    parsed = [
        [None if value in nothing else value for value in values] + [None] * (width - len(values))
        for values in itertools.islice(rows(text.data, dialect), bool(text.names), None)
        if values
    ]
    return pl.DataFrame(parsed, schema=dict.fromkeys(columns, pl.String), orient="row")


def _is_empty(series: pl.Series) -> bool:
    return bool((series.is_null() | (series == "")).all())


def plain_numbers(series: pl.Series, dialect: Dialect) -> tuple[pl.Series, pl.Series]:
    """Numbers with a decimal point, and which texts are not numbers in the dialect."""
    pattern, marks = number(dialect)
    touched = series.str.contains(f"[{re.escape(marks)}]")
    good = series.str.contains(pattern)
    if dialect.thousands:
        parting = SPACES if dialect.thousands == " " else dialect.thousands
        without = series.str.replace_all(f"[{re.escape(parting)}]", "")
    else:
        without = series
    written = without.str.replace(dialect.decimal, ".", literal=True)
    touched = touched.fill_null(value=False)
    return series.zip_with(~touched, written), touched & ~good.fill_null(value=False)


def number(dialect: Dialect) -> tuple[str, str]:
    """The pattern of a number, and the characters that mean something else in other dialects."""
    decimal = re.escape(dialect.decimal)
    parts = ""
    if dialect.thousands:
        parting = SPACES if dialect.thousands == " " else dialect.thousands
        parts = r"|\d{1,3}([" + re.escape(parting) + r"]\d{3})+"
    pattern = rf"^\s*[+-]?((\d+{parts})({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?\s*$"
    return pattern, f".,'{SPACES}"
