"""The rows that a contract is drafted from, read without one, and how their files are written."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from ml_experiment_runner.signals.casting import casts, exact_numbers
from ml_experiment_runner.signals.contract.dialect import DEFAULT, Dialect
from ml_experiment_runner.signals.drafts import csv_detection
from ml_experiment_runner.signals.drafts.raw_table import Raw
from ml_experiment_runner.signals.drafts.schema_inference import NULLS, type_of_texts
from ml_experiment_runner.signals.sources import columns, csv_files, file_content, files, json_files
from ml_experiment_runner.signals.sources.file_locations import File


def read(data_files: Sequence[File], form: str) -> Raw:
    """The rows of all files.

    Raises:
        Unreadable: A file is not of the format, cut off, or does not fit the others.
    """
    if form != "csv":
        kinds: dict[str, str] = {}
        frames = [_frame(file, form, kinds) for file in data_files]
        inside = {name for frame in frames for name in frame.columns}
        frames = [_with_keys(frame, file) for frame, file in zip(frames, data_files, strict=True)]
        keys = {key for file in data_files for key in file.keys if key not in inside}
        rows = _together(data_files, frames)
        has_nan = any(series.dtype.is_float() and series.is_nan().any() for series in rows)
        return Raw(rows, keys, ["NaN"] if has_nan else [], kinds=kinds)
    dialect = DEFAULT
    frames = []
    for file in data_files:
        data = file_content.read(file.path, file.name, form)
        try:
            if not frames:
                dialect = csv_detection.dialect_of(data)
            text = file_content.utf8(data, dialect.encoding)
            names = []
            if frames and not dialect.header:
                names = [column for column in frames[0].columns if column not in file.keys]
            frames.append(_with_keys(csv_files.table(text, dialect, names), file))
        except ValueError as error:
            raise file_content.Unreadable(f"{file.name} {error}") from None
    rows = _together(data_files, frames)
    names = rows.columns
    rows.columns = [str(place) for place in range(rows.width)]  # polars takes some for patterns
    numbers = csv_detection.number_columns(rows.get_columns())
    if numbers:
        dialect = replace(dialect, decimal=numbers[0], thousands=numbers[1])
    rows, nulls = _without_nulls(_in_plain_numbers(rows, dialect))
    rows.columns = names
    return Raw(rows, rows.columns, nulls, dialect)


def _frame(file: File, form: str, kinds: dict[str, str]) -> pl.DataFrame:
    """A file's rows; of JSON, the types of columns that are objects or lists go into `kinds`."""
    try:
        if form == "parquet":
            with file_content.steady(file.path, file.name):
                rows = files.parquet(file.path)
                rows = rows.with_columns(files.uuids(file.path, rows, rows.columns))
        else:
            data = file_content.utf8(
                file_content.read(file.path, file.name, form), DEFAULT.encoding
            )
            rows = _of_json(json_files.as_lines(data), kinds)
    except ValueError as error:
        raise file_content.Unreadable(f"{file.name} {error}") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise file_content.Unreadable(
            f"{file.name} is cut off or not a {form} file ({reason})"
        ) from None
    return rows


def _of_json(data: bytes, kinds: dict[str, str]) -> pl.DataFrame:
    frame = {}
    for name, values in columns.loads(data).items():
        types = set(map(type, values)) - {type(None)}
        series = columns.plain(name, values)
        if series is None:
            raise ValueError(
                f"mixes texts, numbers or objects in the field '{name}'; write one of them at the "
                "source"
            )
        if types == {casts.Number}:
            read = (exact_numbers.integers, exact_numbers.numbers)
            numbers = (convert(series) for convert in read)
            count = series.null_count()
            series = next(
                (converted for converted in numbers if converted.null_count() == count), series
            )
        if types and types <= {dict, list}:
            kinds[name] = "object" if types == {dict} else "array"
        frame[name] = series
    return pl.DataFrame(frame)


def _with_keys(rows: pl.DataFrame, file: File) -> pl.DataFrame:
    keys = {key: value for key, value in file.keys.items() if key not in rows.columns}
    return rows.with_columns(pl.lit(value, pl.String).alias(key) for key, value in keys.items())


def _together(data_files: Sequence[File], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all files, whose columns have the same names."""
    first, *others = frames
    for file, frame in zip(data_files[1:], others, strict=True):
        if different := sorted({*frame.columns} ^ {*first.columns}):
            lacking = data_files[0] if different[0] in frame.columns else file
            raise file_content.Unreadable(
                f"{lacking.name} has no column '{different[0]}', and another file has",
                "Draft from files of the same columns",
            )
    try:
        return pl.concat([first, *(frame.select(first.columns) for frame in others)],
                         how="vertical_relaxed")  # fmt: skip
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise file_content.Unreadable(
            f"its files have columns of different types ({reason})"
        ) from None


def _in_plain_numbers(rows: pl.DataFrame, dialect: Dialect) -> pl.DataFrame:
    """Columns of numbers as everyone writes them; others as they are."""
    if (dialect.decimal, dialect.thousands) == (".", ""):
        return rows
    plain = []
    for series in rows:
        written, bad = csv_files.plain_numbers(series, dialect)
        is_number = type_of_texts(csv_detection.without_nulls(written)) in ("integer", "number")
        plain.append(written if is_number and not bad.any() else series)
    return pl.DataFrame(plain)


def _without_nulls(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The rows with null for texts that mean null, and these texts."""
    all_nulls: set[str] = set()
    rows = pl.DataFrame([_without_empty(series) for series in rows])
    for series in rows:
        nulls = set(series.filter(series.is_in(NULLS)).unique())
        if nulls and type_of_texts(csv_detection.without_nulls(series)) != "string":
            all_nulls |= nulls
    if not all_nulls:
        return rows, []
    nothing = list(all_nulls)
    return (
        rows.with_columns(pl.when(~pl.all().is_in(nothing)).then(pl.all()).name.keep()),
        sorted(all_nulls),
    )


def _without_empty(series: pl.Series) -> pl.Series:
    """A column in which an empty text is nothing, where it holds no texts."""
    if not (series == "").any():
        return series
    given = series.set(series == "", None)
    return series if type_of_texts(csv_detection.without_nulls(given)) == "string" else given
