"""Assembled datasets in `data/cache/`: a column that one of them has is not computed again."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from ml_experiment_runner.project.atomic import draft_of

log = logging.getLogger(__name__)

# polars panics at some damaged files; a key is missing in those of before columns were noted
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, KeyError)

RENAMED_COLUMNS = {"part": "split", "moment": "prediction_time"}
"""Columns of files that were cached before they were called as they are now."""

_last: dict[tuple[Path, int], tuple[pl.DataFrame, int]] = {}
"""The dataset that was read last: the next job of a sweep wants the same."""


def read(path: Path) -> tuple[pl.DataFrame, int] | None:
    """A dataset's rows, and how many were left out because they have no label; None if not here."""
    if not path.exists():
        return None
    key = path, path.stat().st_mtime_ns
    if key in _last:
        return _last[key]
    try:
        frame = pl.read_parquet(path, glob=False).rename(RENAMED_COLUMNS, strict=False)
        cached = frame, int(pl.read_parquet_metadata(path)["dropped"])
        _last.clear()
        _last[key] = cached
        return cached
    except UNREADABLE as error:
        log.warning("the cached dataset %s is damaged (%s); assembling it again", path, error)
        path.unlink(missing_ok=True)
        return None


def columns(folder: Path, wanted: Mapping[str, str]) -> dict[str, pl.Series]:
    """The columns of earlier datasets that depend on just the same.

    Args:
        folder: The cache.
        wanted: By the column's name, the fingerprint of all that it depends on.
    """
    stored: dict[str, pl.Series] = {}
    for path in folder.glob("*.parquet"):
        try:
            by_fingerprint = json.loads(pl.read_parquet_metadata(path)["columns"])
            names = {
                name: by_fingerprint[key]
                for name, key in wanted.items()
                if key in by_fingerprint and name not in stored
            }
            if names:
                frame = pl.read_parquet(path, glob=False, columns=sorted(set(names.values())))
                stored.update((name, frame[own].alias(name)) for name, own in names.items())
        except UNREADABLE as error:
            log.debug("nothing is taken from %s (%r)", path, error)
    return stored


def keep(path: Path, columns: Mapping[str, str], frame: pl.DataFrame, dropped: int) -> None:
    """Stores a dataset with what its columns depend on; the run goes on where that fails."""
    names = {key: name for name, key in columns.items()}
    notes = {"dropped": str(dropped), "columns": json.dumps(names)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(path) as draft:
            frame.write_parquet(draft, compression="lz4", metadata=notes)
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("the dataset cannot be cached in %s (%s)", path.parent, error)
