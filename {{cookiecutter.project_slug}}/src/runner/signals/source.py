"""Reads a signal from where its contract says it is."""

import csv
import importlib.util
import io
import logging
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import polars as pl

from runner.config import nearest
from runner.signals import checks
from runner.signals.contract import Contract

READ_AS = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
}  # the others are texts in a CSV, and checked after reading

log = logging.getLogger(__name__)


def receive(contract: Contract) -> pl.DataFrame:
    """The signal as its contract promises it: fields in order, types, key; rows in key order.

    Raises:
        UserError: The source is missing, cut off or not as promised; names field, row and owner.
    """
    path = locate(contract)
    reader = {"csv": _csv, "parquet": _parquet, "jsonl": _jsonl}[contract.format]
    frame = checks.conform(reader(path, contract), contract, path)
    checks.check_rows(frame, contract, path)
    return frame.sort(contract.key)


def locate(contract: Contract) -> Path:
    """The source's file: in the repository, anywhere, or in an installed package.

    Raises:
        UserError: It is not there.
    """
    if contract.source.startswith("package:"):
        path = _in_package(contract)
    else:
        path = contract.root / Path(contract.source).expanduser()
    if not path.is_file():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = f" {nearest(path.name, beside)}" if beside else ""
        raise contract.mistake(
            f"the source {path} does not exist",
            f"Put it there or correct 'path' in signals/{contract.path.name}; its owner is "
            f"{contract.owner} ({contract.contact}).{near}".rstrip("."),
        )
    return path


def _in_package(contract: Contract) -> Path:
    package, *inside = PurePosixPath(contract.source.removeprefix("package:")).parts
    # found, not imported: importing a package of data may load pandas and all of its tables
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise contract.mistake(
            f"its source is in the package '{package}', which is not installed",
            f"Install it: python -m pip install {package}",
        )
    return Path(spec.submodule_search_locations[0]).joinpath(*inside)


def _csv(path: Path, contract: Contract) -> pl.DataFrame:
    data = _unzipped(path, contract) if zipfile.is_zipfile(path) or path.suffix == ".zip" \
        else path.read_bytes()  # fmt: skip
    header = _header(data, path, contract)
    checks.check_names(header, contract, path)
    _check_shape(data, len(header), path, contract)
    types = {name: READ_AS.get(contract.field(name).type, pl.String()) for name in header}
    nulls = list(contract.null_values)
    try:
        return pl.read_csv(data, schema=types, null_values=nulls)
    except pl.exceptions.PolarsError as error:
        try:
            texts = pl.read_csv(data, schema=dict.fromkeys(header, pl.String), null_values=nulls)
        except pl.exceptions.PolarsError:
            raise contract.mistake(f"{path} cannot be read as CSV ({_first(error)})") from None
        checks.check_texts(texts, types, contract, path)
        raise contract.mistake(f"{path} cannot be read as CSV ({_first(error)})") from None


def _unzipped(path: Path, contract: Contract) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.endswith(".csv")]
            if len(tables) != 1:
                raise contract.mistake(f"{path} must hold one CSV and holds {len(tables)}")
            return archive.read(tables[0])
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise contract.mistake(
            f"{path} is cut off or no zip file ({error})",
            _again(contract),
        ) from None


def _header(data: bytes, path: Path, contract: Contract) -> list[str]:
    try:
        first = data.partition(b"\n")[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise contract.mistake(f"{path} is not UTF-8") from None
    header = next(csv.reader([first.rstrip("\r")]), [])
    if not header:
        raise contract.mistake(f"{path} is empty")
    return header


def _check_shape(data: bytes, width: int, path: Path, contract: Contract) -> None:
    """Finds a row that is cut off: polars would fill it up with nulls."""
    if not data.endswith(b"\n"):
        log.warning("signal %s: %s ends within a line; it may be cut off", contract.name, path)
    if b'"' not in data:
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        if data.count(b",") == lines * (width - 1):
            return
    row = 0
    try:
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        for row, values in enumerate(csv.reader(text, strict=True)):
            if len(values) not in (width, 0):
                raise contract.mistake(
                    f"row {row} of {path} has {len(values)} values instead of {width}; "
                    "the file may be cut off",
                    _again(contract),
                )
    except csv.Error as error:
        raise contract.mistake(
            f"{path} breaks off after row {row} ({error})",
            _again(contract),
        ) from None
    except UnicodeDecodeError:
        raise contract.mistake(f"{path} is not UTF-8") from None


def _parquet(path: Path, contract: Contract) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise contract.mistake(
            f"{path} is cut off or no Parquet file ({_first(error)})",
            _again(contract),
        ) from None
    checks.check_names(frame.columns, contract, path)
    return frame


def _jsonl(path: Path, contract: Contract) -> pl.DataFrame:
    try:
        frame = pl.read_ndjson(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise contract.mistake(
            f"{path} is cut off or no JSON lines file ({_first(error)})",
            _again(contract),
        ) from None
    checks.check_names(frame.columns, contract, path)
    return frame


def _first(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


def _again(contract: Contract) -> str:
    return f"Fetch it again; its owner is {contract.owner} ({contract.contact})"
