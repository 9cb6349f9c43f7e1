"""An MLflow store in an SQLite file of the project, which may be copied and moved.

MLflow keeps absolute paths in it, from the day on which an experiment is made. Where the file lies
elsewhere than they say, they are corrected, in this file alone: the original of a copy lives on.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from filelock import FileLock

ARTIFACTS = "mlartifacts"
"""The folder beside the file in which an experiment's artifacts lie."""

_SCHEME = "sqlite:///"
_OUTPUTS = "<outputs>/"
_PLACES = (
    ("experiments", "artifact_location", ""),
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("tags", "value", "key = 'record.folder'"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)
"""Table, column and condition of all paths in a store."""


def store_file(uri: str) -> Path | None:
    """The file of an embedded store; None for any other store.

    A path is taken literally where its folder exists: `%`, `?` and `#` belong to it. Otherwise it
    is an address as SQLAlchemy reads it.
    """
    if not uri.startswith(_SCHEME):
        return None
    text = uri.removeprefix(_SCHEME)
    path = Path(text)
    if not path.parent.is_dir():
        path = Path(unquote(text.partition("?")[0]))
    return path.resolve()


def address(uri: str) -> str:
    """A store's address for MLflow.

    MLflow creates the folder of an address that starts with `sqlite:///` literally, even where
    SQLAlchemy decodes `%`; so such a path has the driver's name before it.
    """
    file = store_file(uri)
    if file is None:
        return uri
    path = file.as_posix()
    quoted = path.replace("%", "%25").replace("?", "%3F")
    return f"{_SCHEME}{path}" if quoted == path else f"sqlite+pysqlite:///{quoted}"


def moved_with(path: Path, before: Path, now: Path) -> Path:
    """A recorded path after the folder for runs, and the project around it, has been moved.

    Args:
        path: As it was recorded.
        before: The folder for runs as it was recorded.
        now: Where it is.
    """
    if before == now or not path.is_relative_to(before.parent):
        return path
    new = now.parent / path.relative_to(before.parent)
    return new if new.exists() or not path.exists() else path


def recorded_store(uri: str, before: Path, now: Path) -> str:
    """The address of a recorded run's store after a move; see `moved_with`."""
    if not uri.startswith(_SCHEME):
        return uri
    return _SCHEME + moved_with(Path(uri.removeprefix(_SCHEME)), before, now).as_posix()


def portable(uri: str, outputs: Path) -> str:
    """An address that survives a move of the project: relative to the folder for runs.

    A store that is not beside it, or is no file, keeps its address.
    """
    file = store_file(uri)
    if file is None or not file.is_relative_to(outputs.parent):
        return uri
    return _SCHEME + _OUTPUTS + Path(os.path.relpath(file, outputs)).as_posix()


def unported(uri: str, outputs: Path) -> str:
    """The reverse of `portable`, for where the folder for runs is now."""
    start = _SCHEME + _OUTPUTS
    if not uri.startswith(start):
        return uri
    return _SCHEME + Path(os.path.normpath(outputs / uri.removeprefix(start))).as_posix()


@dataclass(frozen=True)
class Correction:
    """What was corrected in a store.

    Attributes:
        homes: The folders where the store was before.
        count: How many paths were changed.
    """

    homes: tuple[Path, ...]
    count: int


def correct(file: Path) -> Correction:
    """Correct the paths in a store that was moved, all of them or none.

    A path stays where only its old target exists: then the artifacts were not moved along.
    """
    with FileLock(f"{file}.lock"), _opened(file) as connection:
        here = file.resolve().parent
        homes = tuple(_homes(connection, here))
        if not homes:
            return Correction((), 0)
        connection.execute("begin immediate")
        count = 0
        for table, column, condition in _PLACES:
            count += _correct_column(connection, table, column, condition, here, homes)
        connection.execute("commit")
        return Correction(homes, count)


@dataclass(frozen=True)
class Stray:
    """A recorded run whose artifacts are not beside the store.

    Attributes:
        run: Its record's id.
        path: Where its artifacts should be.
        exists: Whether they are there.
    """

    run: str
    path: Path
    exists: bool


def strays(file: Path) -> list[Stray]:
    """Ended runs of the record whose artifacts are elsewhere or missing."""
    query = (
        "select t.value, r.artifact_uri from runs r join tags t on t.run_uuid = r.run_uuid "
        "where t.key = 'record.id' and r.lifecycle_stage = 'active' "
        "and r.status in ('FINISHED', 'FAILED', 'KILLED')"
    )
    here = file.resolve().parent
    elsewhere = []
    with _opened(file) as connection:
        for run, uri in connection.execute(query):
            path = _path(uri)
            if path is None:
                continue
            exists = path.is_dir()
            if not exists or not path.resolve().is_relative_to(here):
                elsewhere.append(Stray(run, path, exists))
    return elsewhere


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, timeout=5, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def _homes(connection: sqlite3.Connection, here: Path) -> Iterator[Path]:
    """Folders in which the store was before, by the artifacts that should be beside it."""
    if not _has(connection, "experiments", "artifact_location"):
        return  # it is empty, and MLflow will create its tables
    beside = (here / ARTIFACTS).as_uri() + "/"
    query = (
        "select name, artifact_location, 0 from experiments union "
        "select e.name, r.artifact_uri, 2 from runs r join experiments e using (experiment_id)"
    )
    seen = set()
    for name, uri, below in connection.execute(query):
        if not uri or uri.startswith(beside) or (path := _path(uri)) is None:
            continue
        for _ in range(below):  # <experiment>/<run>/artifacts
            path = path.parent
        home = _home(path, name, here)
        if home and home not in seen:
            seen.add(home)
            if not _is_same(home, here):
                yield home


def _home(location: Path, experiment: str, here: Path) -> Path | None:
    """The folder beside whose store an experiment keeps its artifacts, if it is one of ours."""
    for above in location.parents:
        if above.name == ARTIFACTS:
            rest = location.relative_to(above)
            is_ours = rest.as_posix() == experiment or (here / ARTIFACTS / rest).is_dir()
            return above.parent if is_ours else None
    return None


def _is_same(home: Path, here: Path) -> bool:
    try:
        return home.samefile(here)  # by a link, which is no move
    except OSError:
        return False


def _correct_column(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    condition: str,
    here: Path,
    homes: tuple[Path, ...],
) -> int:
    if not _has(connection, table, column):
        return 0
    where = f" where {condition}" if condition else ""
    rows = connection.execute(f"select rowid, {column} from {table}{where}").fetchall()  # noqa: S608
    changes = []
    for row, text in rows:
        new = _corrected(text, here, homes, keeps=table != "experiments")
        if new != text:
            changes.append((new, row))
    connection.executemany(f"update {table} set {column} = ? where rowid = ?", changes)  # noqa: S608
    return len(changes)


def _corrected(text: str | None, here: Path, homes: tuple[Path, ...], keeps: bool) -> str | None:
    """A corrected path, as an address or a path as it was."""
    path = _path(text) if text else None
    if text is None or path is None:
        return text
    around = [home for home in (here, *homes) if path.is_relative_to(home)]
    home = max(around, key=lambda home: len(home.parts), default=here)
    if home == here:
        return text
    new = here / path.relative_to(home)
    if keeps and path.exists() and not new.exists():
        return text
    return new.as_uri() if text.startswith("file:") else new.as_posix()


def _path(text: str) -> Path | None:
    """An absolute path, or that of a `file:` address; None for any other address."""
    if text.startswith("file:"):
        parts = urlsplit(text)
        return None if parts.netloc not in ("", "localhost") else Path(url2pathname(parts.path))
    path = Path(text)
    return path if path.is_absolute() else None


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether a store of this version of MLflow has the column."""
    query = "select 1 from pragma_table_info(?) where name = ?"
    return connection.execute(query, (table, column)).fetchone() is not None
