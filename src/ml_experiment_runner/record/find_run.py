"""Finds a recorded run by what people call it: id, folder, `last`, `best`, an experiment's name."""

from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.record.ranking import best_run
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run

NAMES_OF_RUNS = (
    "a run's id or the beginning of it, its folder, `last`, `best`, the name of an experiment for "
    "its best run, or `last:<experiment>`"
)


def load_run(run: str | Path) -> RecordedRun:
    """Read a recorded run.

    Args:
        run: What `find_run` takes: an id, the beginning of one, a folder, `last`, `best`, an
            experiment's name, `last:<experiment>`.

    Raises:
        UserError: There is no such run, or more than one.
    """
    is_folder = (Path(run) / "journal.jsonl").is_file()  # may be read from outside a project
    return read_run(Path(run) if is_folder else find_run(root() / "outputs", run))


def find_run(outputs: Path, run: str | Path) -> Path:
    """The folder of a run.

    Args:
        outputs: The folder for runs.
        run: One of
            its id, or the beginning of it;
            its folder;
            `last`: the last run, whatever became of it, runs that only ingest signals and runs
            within others left out;
            `best`: the best finished run on the rows that the latest was evaluated on, debug runs
            left out;
            an experiment's name, or `best:<experiment>`: the experiment's best run. For a task that
            evaluates no model it is the last finished run;
            `last:<experiment>`: the experiment's last run.

    Raises:
        UserError: There is no such run, or more than one.
    """
    if (Path(run) / "journal.jsonl").is_file():
        return Path(run)
    text = str(run)
    all_folders = folders(outputs)
    if (named := _named(text, all_folders, outputs)) is not None:
        return named
    known = {folder.name.rpartition("-")[2]: folder for folder in all_folders}
    if not known:
        raise UserError(f"unknown run '{run}': {outputs} has no run yet")
    matching = [folder for name, folder in known.items() if text and name.startswith(text)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(_shown(folder, outputs) for folder in matching[-5:])
        raise UserError(f"{run}: {len(matching)} run ids begin so ({names}); type more of it")
    import difflib

    experiments = (folder.relative_to(outputs).parts[0] for folder in all_folders)
    shown = {name: name for name in experiments} | {
        name: _shown(folder, outputs) for name, folder in known.items()
    }
    near = difflib.get_close_matches(text, shown, n=3, cutoff=0.6)
    if near:
        hint = "the nearest: " + ", ".join(shown[name] for name in near)
    else:
        hint = "the latest: " + ", ".join(_shown(last, outputs) for last in all_folders[-3:])
    raise UserError(f"unknown run '{run}' in {outputs}; {hint}")


def _named(text: str, all_folders: list[Path], outputs: Path) -> Path | None:
    """The run that `last`, `best` or an experiment's name stands for; None for another text."""
    by_experiment: dict[str, list[Path]] = {}
    for folder in all_folders:
        by_experiment.setdefault(folder.relative_to(outputs).parts[0], []).append(folder)
    which, _, experiment = text.rpartition(":")
    if text in ("last", "best"):
        which, chosen = text, all_folders
    elif which not in ("", "last", "best"):
        return None
    elif experiment in by_experiment:
        chosen = by_experiment[experiment]
    elif (root() / "conf" / "experiment" / f"{experiment}.yaml").is_file():
        raise UserError(f"{text}: the experiment has no run yet; "
                        f"python run.py +experiment={experiment}")  # fmt: skip
    else:
        return None
    if not chosen:
        return None
    if which == "last":
        return _last(chosen, outputs)
    runs = [read_run(folder) for folder in chosen]
    best = best_run(runs)
    if best is None and not which and not any("test/rows" in run.metrics for run in runs):
        finished = [run for run in runs if run.status == "FINISHED" and run.parent is None]
        best = max(finished, key=lambda run: run.started, default=None)
    if best is None:
        last = "last" if text == "best" else f"last:{experiment}"
        raise UserError(f"{text}: no finished run was evaluated on a whole test split; `{last}` is "
                        "the last run, whatever became of it")  # fmt: skip
    return best.folder


def _last(chosen: list[Path], outputs: Path) -> Path | None:
    """The last run that began and is within no other, if possible one that does not only ingest."""
    top_level = [folder for folder in chosen if len(folder.relative_to(outputs).parts) == 3]
    last = None
    for folder in reversed(top_level or chosen):
        run = read_run(folder)
        if run.has_begun and not run.is_ingest:
            return folder
        if run.has_begun and last is None:
            last = folder
    return last


def _shown(folder: Path, outputs: Path) -> str:
    parts = folder.relative_to(outputs).parts
    return f"{folder.name.rpartition('-')[2]} ({parts[0]}, {parts[1]} {parts[2][:8]})"
