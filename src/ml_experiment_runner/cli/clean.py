"""Remove old runs and caches; a run that MLflow does not have completely is kept."""

import argparse
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml_experiment_runner.cli.cleanup import leftovers
from ml_experiment_runner.cli.cleanup.candidate import GONE, JUST_NOW, RUNNING, Candidate
from ml_experiment_runner.cli.cleanup.removal import remove
from ml_experiment_runner.cli.cleanup.runs import old_runs
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.text import file_size

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


def clean(arguments: list[str]) -> int:
    """Lists what is old, and removes it with `--yes`.

    Returns:
        0, also if something old must be kept.
    """
    parser = argparse.ArgumentParser("python run.py clean", description=__doc__)
    parser.add_argument("--older-than", default="30d", metavar="AGE",
                        help="hours, days or weeks, such as 12h or 8w (default: 30d)")  # fmt: skip
    parser.add_argument(
        "--yes", action="store_true", help="remove them; otherwise they are only listed"
    )
    parser.add_argument("--outputs", type=Path, default=root() / "outputs", metavar="FOLDER",
                        help="the folder of all runs (default: outputs)")  # fmt: skip
    options = parser.parse_args(arguments)
    outputs: Path = options.outputs.resolve()
    removed, kept = [], []
    # lazily, so that MLflow is asked for a run just before that run is removed
    for candidate in _candidates(outputs, time.time() - _seconds(options.older_than)):
        if candidate.kept is None and options.yes:
            candidate = remove(candidate, outputs)
        if candidate.kept is None:
            removed.append(candidate)
            print(f"{file_size(candidate.size):>9}  {os.path.relpath(candidate.path, root())}")
        elif candidate.kept != GONE:
            kept.append(candidate)
    total = file_size(sum(candidate.size for candidate in removed))
    summary = f"{len(removed)} folders and files, {total}"
    if options.yes:
        print(f"removed {summary}")
    elif removed:
        print(f"would remove {summary}; add --yes to remove them")
    else:
        print(f"nothing to remove is older than {options.older_than}")
    _print_kept(kept)
    return 0


def _candidates(outputs: Path, limit: float) -> Iterator[Candidate]:
    """Everything that may be removed; each is found just before it is yielded."""
    is_running = False
    for candidate in old_runs(outputs, limit):
        is_running |= candidate.kept == RUNNING
        yield candidate
    before = min(limit, time.time() - JUST_NOW)
    yield from leftovers.half_removed(outputs)
    yield from leftovers.empty_folders(outputs, before)
    yield from leftovers.drafts(outputs, before)
    yield from leftovers.cached_datasets(limit, is_running)
    yield from leftovers.worktrees(outputs, limit, is_running)
    yield from leftovers.rerun_environments(limit)


def _print_kept(kept: Sequence[Candidate]) -> None:
    """Prints each reason once, with the number of folders and an example."""
    for reason in sorted({str(candidate.kept) for candidate in kept}):
        examples = [candidate.example for candidate in kept if candidate.kept == reason]
        print(f"kept {len(examples)}: {reason}{examples[0]}")


def _seconds(age: str) -> float:
    match = re.fullmatch(r"(\d+)([hdw])", age)
    if match is None:
        raise UserError(f"--older-than must be a number of hours, days or weeks, such as 12h, 30d "
                        f"or 8w, got {age}")  # fmt: skip
    return int(match.group(1)) * _SECONDS[match.group(2)]
