"""Files: CSV, Parquet and JSON lines; one, a folder of them or a pattern, here or anywhere else."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract.contract import Contract, SchemaViolation
from ml_experiment_runner.signals.contract.dialect import dialect_of
from ml_experiment_runner.signals.odcs.values import NUMERIC
from ml_experiment_runner.signals.sources import (
    columns,
    csv_files,
    file_content,
    file_locations,
    json_files,
)

TEXTS = ("string", "object", "array")

log = logging.getLogger(__name__)


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:  # noqa: ARG001
    """All rows of a file, or of all files of a folder or pattern."""
    with (
        source_errors(contract),
        file_locations.files(contract.source_configuration, contract.root) as files,
    ):
        return frame(files, contract)


@contextlib.contextmanager
def source_errors(contract: Contract) -> Iterator[None]:
    """Says of a source that cannot be read whose it is, and what to do."""
    try:
        yield
    except file_content.Unreadable as error:
        then = error.then.replace("{contract}", f"signals/{contract.path.name}")
        owner = contract.owner_and_contact
        raise contract.mistake(str(error), then.replace("{owner}", owner)) from None


def frame(files: Sequence[file_locations.File], contract: Contract) -> pl.DataFrame:
    """The rows of the files."""
    try:
        frames = [_frame(file, contract) for file in files]
        if len(frames) == 1:
            return frames[0]
        # each in the contract's types, so that a mistake names its file
        rows = pl.concat(
            schema.conform(rows_of_file, contract, file.name)
            for rows_of_file, file in zip(frames, files, strict=True)
        )
        return rows.rename(dict(zip(rows.columns, contract.source_names, strict=True)))
    except SchemaViolation as error:
        digest = hashlib.blake2b(digest_size=16)
        for file in files:
            digest.update(file.path.read_bytes())
        error.content = digest.hexdigest()
        raise


def _frame(file: file_locations.File, contract: Contract) -> pl.DataFrame:
    """One file's rows, with what its folders say of them."""
    with file_content.steady(file.path, file.name):
        if contract.format == "csv":
            rows = _csv(file, contract)
        else:
            reader = _parquet if contract.format == "parquet" else _jsonl
            rows = reader(file.path, file.name, contract)
    missing = [key for key in file.keys if key not in rows.columns]
    schema.check_names([*rows.columns, *missing], contract, file.name)
    if contract.format == "parquet":
        schema.check_no_texts(rows, contract, file.name)
        texts = [field.source_name for field in contract.source_fields if field.type == "string"]
        rows = rows.with_columns(uuids(file.path, rows, texts))
    for key in missing:
        rows.insert_column(rows.width, pl.Series(key, [file.keys[key]] * rows.height, pl.String))
    return rows


def json_lines(data: bytes, name: str, contract: Contract) -> pl.DataFrame:
    """Rows from JSON lines, with numbers as they are written."""
    try:
        by_name = columns.loads(data)
    except ValueError as error:
        raise contract.mistake(f"{name} {error}", again(contract)) from None
    known = {*contract.source_names}
    return pl.DataFrame(
        [
            columns.of_values(column, values, name, contract)
            if column in known
            else pl.Series(column, [None] * len(values))
            for column, values in by_name.items()
        ]
    )


def again(contract: Contract) -> str:
    """What to do about a source that is not whole."""
    return f"Fetch it again; its owner is {contract.owner_and_contact}"


def missing(contract: Contract, package: str) -> UserError:
    """The error for a driver that is not installed."""
    error = file_locations.uninstalled(contract.source_configuration, package)
    return contract.mistake(str(error), error.then)


def _csv(file: file_locations.File, contract: Contract) -> pl.DataFrame:
    dialect, name = dialect_of(contract.source_configuration.options), file.name
    data = _bytes(file.path, name, contract)
    of_file = [column for column in contract.source_names if column not in file.keys]
    names = [] if dialect.header else of_file
    try:
        data = file_content.utf8(data, dialect.encoding)
        if not data.endswith((b"\n", b"\r")):
            log.warning("signal %s: %s ends within a line; it may be cut off", contract.name, name)
        rows = csv_files.table(data, dialect, names, contract.null_values)
    except ValueError as error:
        with contextlib.suppress(ValueError):  # other columns are the likelier reason
            if header := csv_files.header(data, dialect):
                schema.check_names([*dict.fromkeys([*header, *file.keys])], contract, name)
        raise file_content.Unreadable(f"{name} {error}") from None
    quote = dialect.quote.encode()
    has_empty = quote in data and 2 * quote in data
    is_plain = (dialect.decimal, dialect.thousands) == (".", "")
    for field in contract.source_fields:
        if field.source_name not in rows.columns or field.type in TEXTS:
            continue
        # under the field's name: polars takes some names of sources for patterns
        texts = rows[field.source_name].alias(field.name)
        if has_empty:  # a text may be empty, and nothing else
            texts = texts.set(texts == "", None)
        if field.type in NUMERIC and not is_plain:
            given = texts
            texts, bad = csv_files.plain_numbers(given, dialect)
            schema.check_none(bad, given, contract, field, name)
        if has_empty or not is_plain:
            place = rows.columns.index(field.source_name)
            rows.replace_column(place, texts.alias(field.source_name))
    return rows


def _parquet(path: Path, name: str, contract: Contract) -> pl.DataFrame:
    try:
        rows = parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise contract.mistake(
            f"{name} is cut off or not a Parquet file ({_first(error)})", again(contract)
        ) from None
    return rows


def parquet(data: Path | bytes) -> pl.DataFrame:
    """The columns of a Parquet file in their own types; times with a fixed offset in UTC."""
    # such as +05:30, which pandas writes and polars refuses: it names no zone
    os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")
    rows = pl.read_parquet(data, glob=False, hive_partitioning=False)
    return rows.with_columns(
        series.dt.convert_time_zone("UTC")
        for series in rows
        if isinstance(series.dtype, pl.Datetime)
        and (series.dtype.time_zone or "").startswith(("+", "-"))
    )


def uuids(path: Path, rows: pl.DataFrame, wanted: Sequence[str]) -> list[pl.Series]:
    """The UUIDs among these columns of a Parquet file as texts: polars has them as bytes."""
    names = [column for column in wanted if rows.schema.get(column) == pl.Binary]
    if not names:
        return []
    import pyarrow as pa
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(path)
    binary = [rows[name] for name in names if schema.field(name).type == pa.uuid()]
    parts = r"^(.{8})(.{4})(.{4})(.{4})(.{12})$"
    return [series.bin.encode("hex").str.replace(parts, "$1-$2-$3-$4-$5") for series in binary]


def _jsonl(path: Path, name: str, contract: Contract) -> pl.DataFrame:
    data = _bytes(path, name, contract)
    try:
        data = file_content.utf8(data, dialect_of(contract.source_configuration.options).encoding)
        data = json_files.as_lines(data)
    except ValueError as error:
        raise file_content.Unreadable(f"{name} {error}") from None
    return json_lines(data, name, contract)


def _bytes(path: Path, name: str, contract: Contract) -> bytes:
    largest = contract.source_configuration.options.get("maxBytes")
    return file_content.read(path, name, contract.format, int(largest) if largest else None)


def why(error: BaseException, contract: Contract) -> str:
    """What a library says of a problem, without secrets; of classified data only its kind."""
    if contract.is_classified:
        return type(error).__name__
    return contract.source_configuration.hide(_first(error))


def _first(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
