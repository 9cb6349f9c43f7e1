"""Files: CSV, CSV in a zip file, Parquet and JSON lines; here, in a package, or anywhere else.

Anywhere else is whatever fsspec reaches by an address: S3, Azure, SFTP, ….
"""

import contextlib
import csv
import hashlib
import importlib.util
import io
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from runner.config import nearest
from runner.errors import UserError
from runner.signals import checks
from runner.signals.contract import Contract, Unfit
from runner.signals.readers import columns

# what has to be installed for an address, beside fsspec
DRIVERS = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
log = logging.getLogger(__name__)


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:  # noqa: ARG001
    """All rows of a file, or of all files of a folder or pattern."""
    if "location" not in contract.server.options:
        return frame(_here(contract), contract)
    with tempfile.TemporaryDirectory() as folder:
        return frame(_fetched(contract, Path(folder)), contract)


def frame(files: Mapping[Path, str], contract: Contract) -> pl.DataFrame:
    """The rows of the files, each of which messages call by its name."""
    reader = {"csv": _csv, "parquet": _parquet, "jsonl": _jsonl}[contract.format]
    try:
        frames = {name: reader(path, name, contract) for path, name in files.items()}
        if len(frames) == 1:
            return next(iter(frames.values()))
        # each in the contract's types, so that a mistake names its file
        rows = pl.concat(checks.conform(each, contract, name) for name, each in frames.items())
        return rows.rename(dict(zip(contract.names, contract.source_names, strict=True)))
    except Unfit as unfit:
        content = hashlib.blake2b(digest_size=16)
        for path in files:
            content.update(path.read_bytes())
        unfit.content = content.hexdigest()
        raise


def json_lines(data: bytes, name: str, contract: Contract) -> pl.DataFrame:
    """Rows from JSON lines, with numbers as they are written."""
    try:
        found = columns.loads(data)
    except ValueError as error:
        raise contract.mistake(f"{name} {error}", again(contract)) from None
    checks.check_names(list(found), contract, name)
    return pl.DataFrame(
        [columns.of_values(each, found[each], name, contract) for each in contract.source_names]
    )


def again(contract: Contract) -> str:
    """What to do about a source that is not whole."""
    return f"Fetch it again; its owner is {contract.owner} ({contract.contact})"


def _here(contract: Contract) -> dict[Path, str]:
    """Files in the repository, anywhere on this machine, or in an installed package."""
    said = contract.server.resolved()["path"]
    if said.startswith("package:"):
        path = _in_package(contract, said)
    else:
        path = contract.root / Path(said).expanduser()
    written = contract.source  # with the names of variables, not what they hold
    if path.is_file():
        return {path: written}
    found: list[Path] = []
    if path.is_dir():
        ending = f".{contract.format}"
        found = sorted(each for each in path.iterdir() if each.suffix.lower() == ending)
    elif _is_pattern(path.name):
        found = sorted(path.parent.glob(path.name))
    if not found and (path.is_dir() or _is_pattern(path.name)):
        raise _absent(contract, f"{written} holds no {contract.format} file")
    if not found:
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = f" {nearest(path.name, beside)}" if beside else ""
        raise _absent(contract, f"the source {written} does not exist", near)
    place = PurePosixPath(written) if path.is_dir() else PurePosixPath(written).parent
    return {each: str(place / each.name) for each in found}


def _absent(contract: Contract, what: str, near: str = "") -> UserError:
    return contract.mistake(
        what,
        f"Put it there or correct signals/{contract.path.name}; its owner is "
        f"{contract.owner} ({contract.contact}).{near}".rstrip("."),
    )


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _in_package(contract: Contract, said: str) -> Path:
    package, *inside = PurePosixPath(said.removeprefix("package:")).parts
    # found, not imported: importing a package of data may load pandas and all of its tables
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise contract.mistake(
            f"its source is in the package '{package}', which is not installed",
            f"Install it: python -m pip install {package}",
        )
    return Path(spec.submodule_search_locations[0]).joinpath(*inside)


def _fetched(contract: Contract, folder: Path) -> dict[Path, str]:
    """Copies of files that lie elsewhere."""
    options = contract.server.resolved()
    location = options["location"]
    with _told(contract):
        system, path = _file_system(contract, options)
        if _is_pattern(path):
            names = sorted(system.glob(path))
        elif system.isdir(path):
            names = sorted(system.glob(f"{path.rstrip('/')}/*.{contract.format}"))
        else:
            names = [path]
        if not names:
            raise _absent(contract, f"{contract.source} holds no {contract.format} file")
        copies = {}
        for number, name in enumerate(names):
            copy = folder / f"{number:06}{PurePosixPath(name).suffix}"
            system.get_file(name, str(copy))
            shown = location if names == [path] else system.unstrip_protocol(name)
            copies[copy] = contract.server.hide(shown)
    return copies


def _file_system(contract: Contract, options: Mapping[str, str]) -> tuple[Any, str]:
    import fsspec

    location = options["location"]
    protocol = location.partition("://")[0]
    # nothing remembered from before: the files may have changed
    more: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if protocol in ("s3", "s3a"):
        patience = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3}}
        more["config_kwargs"] = patience
    for name, option in (
        ("endpointUrl", "endpoint_url"),
        ("user", "username"),
        ("password", "password"),
    ):
        if name in options:
            more[option] = options[name]
    try:
        system, path = fsspec.url_to_fs(location, **more)
    except ImportError as error:
        raise missing(contract, DRIVERS.get(protocol) or str(error.name)) from None
    return system, str(path)


def missing(contract: Contract, package: str) -> UserError:
    """The error for a driver that is not installed."""
    return contract.mistake(
        f"reading {contract.source} needs {package}, which is not installed",
        f"Add {package} to the dependencies in pyproject.toml, then: make lock setup",
    )


@contextlib.contextmanager
def _told(contract: Contract) -> Iterator[None]:
    """Says in one line what a file system says in its own way."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise _absent(contract, f"the source {contract.source} does not exist") from None
    except PermissionError as error:
        raise contract.mistake(
            f"{contract.source} may not be read ({_said(contract, error)})",
            "Check the credentials in the environment, or ask "
            f"{contract.owner} ({contract.contact})",
        ) from None
    # each file system has errors of its own, and they may hold what it was called with
    except Exception as error:
        raise contract.mistake(
            f"{contract.source} cannot be read ({_said(contract, error)})", again(contract)
        ) from None


def _said(contract: Contract, error: BaseException) -> str:
    text = contract.server.hide(_first(error)) if str(error).strip() else ""
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def _csv(path: Path, name: str, contract: Contract) -> pl.DataFrame:
    data = _bytes(path, name, contract)
    try:
        if zipfile.is_zipfile(path) or path.suffix == ".zip":
            data = unzipped(data)
        if not data.endswith(b"\n"):
            log.warning("signal %s: %s ends within a line; it may be cut off", contract.name, name)
        header = header_of(data)
        checks.check_names(header, contract, name)
        data = whole_lines(data, len(header))
    except ValueError as error:
        raise contract.mistake(f"{name} {error}", again(contract)) from None
    try:
        # by position: polars leaves quotes within names doubled
        return pl.read_csv(
            data,
            new_columns=header,
            infer_schema=False,
            null_values=list(contract.null_values),
        )
    except pl.exceptions.PolarsError as error:
        raise contract.mistake(f"{name} cannot be read as CSV ({why(error, contract)})") from None


def unzipped(data: bytes) -> bytes:
    """The one CSV in a zip file.

    Raises:
        ValueError: It cannot be read, or is not alone; says what the file is or has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # macOS puts a shadow of each file beside it
            tables = [
                each
                for each in archive.namelist()
                if each.lower().endswith(".csv") and not each.startswith("__MACOSX/")
            ]
            if len(tables) != 1:
                raise ValueError(f"must hold one CSV and holds {len(tables)}")
            return archive.read(tables[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"is cut off or no zip file ({error})") from None


def header_of(data: bytes) -> list[str]:
    """The names of a CSV's columns.

    Raises:
        ValueError: There are none; says what the file is.
    """
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    try:
        header = next(csv.reader(text, strict=True), [])
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"breaks off after row 0 ({error})") from None
    if not header:
        raise ValueError("is empty")
    return header


def whole_lines(data: bytes, width: int) -> bytes:
    """A CSV without empty lines at its end: polars would take them for rows of nothing.

    Raises:
        ValueError: A row is cut off, which polars would fill up with nulls; says which.
    """
    if data.endswith(b"\n"):
        data = data.rstrip(b"\r\n") + b"\n"
    if b'"' not in data:
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        if data.count(b",") == lines * (width - 1):
            return data
    row = 0
    try:
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        for row, values in enumerate(csv.reader(text, strict=True)):
            if len(values) not in (width, 0):
                raise ValueError(
                    f"has {len(values)} values instead of {width} in row {row}; it may be cut off"
                )
    except csv.Error as error:
        raise ValueError(f"breaks off after row {row} ({error})") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    return data


def _parquet(path: Path, name: str, contract: Contract) -> pl.DataFrame:
    try:
        rows = parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise contract.mistake(
            f"{name} is cut off or no Parquet file ({_first(error)})", again(contract)
        ) from None
    checks.check_names(rows.columns, contract, name)
    checks.check_no_texts(rows, contract, name)
    return rows.with_columns(_uuids(path, rows, contract))


def parquet(data: Path | bytes) -> pl.DataFrame:
    """The columns of a Parquet file in their own types; times with a fixed offset in UTC."""
    # such as +05:30, which pandas writes and polars refuses: it names no zone
    os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")
    rows = pl.read_parquet(data, glob=False)
    return rows.with_columns(
        series.dt.convert_time_zone("UTC")
        for series in rows
        if isinstance(series.dtype, pl.Datetime)
        and (series.dtype.time_zone or "").startswith(("+", "-"))
    )


def _uuids(path: Path, rows: pl.DataFrame, contract: Contract) -> list[pl.Series]:
    """The UUIDs of a Parquet file as texts: polars has them as bytes."""
    names = [series.name for series in rows if series.dtype == pl.Binary]
    if not any(contract.source_field(name).type == "string" for name in names):
        return []
    import pyarrow as pa
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(path)
    found = [rows[name] for name in names if schema.field(name).type == pa.uuid()]
    parts = r"^(.{8})(.{4})(.{4})(.{4})(.{12})$"
    return [each.bin.encode("hex").str.replace(parts, "$1-$2-$3-$4-$5") for each in found]


def _jsonl(path: Path, name: str, contract: Contract) -> pl.DataFrame:
    return json_lines(_bytes(path, name, contract), name, contract)


def _bytes(path: Path, name: str, contract: Contract) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise contract.mistake(
            f"{name} cannot be read ({error.strerror})", again(contract)
        ) from None


def why(error: BaseException, contract: Contract) -> str:
    """What a library says of a problem, without secrets.

    Where it may show a classified value, only what kind of error it is.
    """
    return type(error).__name__ if contract.is_classified else contract.server.hide(_first(error))


def _first(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
