"""Finds old runs; one is kept unless MLflow has all of it."""

import time
from collections.abc import Iterator
from pathlib import Path

from ml_experiment_runner.cli.cleanup.candidate import (
    DENIED,
    JUST_NOW,
    ONLY_COPY,
    PENDING,
    RUNNING,
    Candidate,
    paths_below,
    size_of,
)
from ml_experiment_runner.cli.cleanup.stores import Stores
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run, subfolders
from ml_experiment_runner.record.sync.embedded_store import recorded_store, unported
from ml_experiment_runner.record.sync.markers import read_json

JOURNAL = "journal.jsonl"
BEFORE_THE_RECORD = "multirun.yaml"  # Hydra writes it before a sweep has a record
BEFORE_THE_START = (BEFORE_THE_RECORD, JOURNAL, "delivery.log")


def old_runs(outputs: Path, limit: float) -> Iterator[Candidate]:
    """Runs last written to before a time.

    A run and the runs in its folder, such as the jobs of a sweep, are removed or kept together.
    """
    stores = Stores(outputs)
    families: dict[Path, list[Path]] = {}
    for folder in folders(outputs):  # a run precedes those in its folder
        outermost = next((path for path in folder.parents if path in families), folder)
        families.setdefault(outermost, []).append(folder)
    for folder, members in families.items():
        try:
            last = last_written(folder)
            candidates = [_candidate(outputs, member, limit, stores) for member in members]
            kept = next((candidate for candidate in candidates if candidate.kept), None)
            if kept is not None:
                yield Candidate(folder, 0, kept.kept, kept.example)
            elif last < limit:
                yield Candidate(folder, size_of(folder), last_written=last)
        except FileNotFoundError:  # another process removes it
            continue
        except OSError as error:
            yield Candidate(folder, 0, DENIED, f" ({folder}: {error.strerror})")


def last_written(folder: Path) -> float:
    """When the journal of a run, or of a run in its folder, was last written to."""
    times = [path.stat().st_mtime for path in paths_below(folder) if path.name == JOURNAL]
    if not times:
        raise FileNotFoundError(folder)
    return max(times)


def _candidate(outputs: Path, folder: Path, limit: float, stores: Stores) -> Candidate:
    """A single run; a recent one is kept only while it runs."""
    run, last = read_run(folder), last_written(folder)
    is_starting = not run.has_begun and last >= time.time() - JUST_NOW
    if run.status == "RUNNING" or is_starting:
        return Candidate(folder, 0, RUNNING)
    if last >= limit:
        return Candidate(folder, 0)
    if not run.has_begun and _is_empty(folder):
        return Candidate(folder, 0)
    if any((pending / f"{run.id}.run").exists() for pending in subfolders(outputs / ".pending")):
        return Candidate(folder, 0, PENDING)
    reasons = [stores.reason_to_keep(uri, folder) for uri in _stores_of(run, outputs)]
    reason, example = next(
        (entry for entry in reasons if entry[0] is None), (reasons or [(ONLY_COPY, "")])[0]
    )
    return Candidate(folder, 0, reason, example)


def _is_empty(folder: Path) -> bool:
    """Whether a run that never started left only files without information."""
    return all(path.is_dir() or path.name in BEFORE_THE_START for path in paths_below(folder))


def _stores_of(run: RecordedRun, outputs: Path) -> list[str]:
    """The store of a run; all known ones if it was killed before it recorded its store."""
    if uri := run.params.get("tracking.uri"):
        return [recorded_store(uri, Path(run.params.get("outputs", outputs)), outputs)]
    notes = [read_json(pending / "store.json") for pending in subfolders(outputs / ".pending")]
    return [unported(note["uri"], outputs) for note in notes if "uri" in note]
