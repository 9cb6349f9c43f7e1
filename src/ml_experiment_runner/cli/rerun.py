"""Run a recorded run again as it was, and compare the metrics."""

import argparse
import os
import secrets
import subprocess
import time
from pathlib import Path

from ml_experiment_runner.config.overrides import quoted
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.secrets import MASK
from ml_experiment_runner.record.find_run import NAMES_OF_RUNS, load_run
from ml_experiment_runner.record.rerun.comparison import print_comparison
from ml_experiment_runner.record.rerun.data import bring_data
from ml_experiment_runner.record.rerun.environment import check_code, environment_of, surroundings
from ml_experiment_runner.record.rerun.worktree import worktree
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from ml_experiment_runner.record.sync.embedded_store import recorded_store, store_file


def rerun(arguments: list[str]) -> int:
    """Runs the recorded commit, changes, config and data again in a git worktree of its own.

    Where the lock or the runner differ from today's, the recorded environment is built once and
    kept.

    Returns:
        0 if every metric is equal to the last digit, else 1.
    """
    parser = argparse.ArgumentParser("python run.py rerun", description=__doc__)
    parser.add_argument("run", help=NAMES_OF_RUNS)
    parser.add_argument("--here", action="store_true",
                        help="use today's packages and runner")  # fmt: skip
    options = parser.parse_args(arguments)
    recorded = load_run(options.run)
    for note in surroundings(recorded):
        print(f"note: {note}")
    name = f"{time.strftime('%H-%M-%S')}-{secrets.token_hex(4)}"
    folder = recorded.outputs / recorded.experiment / time.strftime("%Y-%m-%d") / name
    overrides = _overrides(recorded, folder)
    with (
        worktree(recorded) as project,
        environment_of(recorded, project, options.here) as environment,
    ):
        check_code(recorded, project, environment)
        bring_data(recorded, project)
        # these two variables are a protocol between versions of the runner
        variables = environment.variables(
            project,
            RUNNER_RERUN_OF=recorded.id,
            RUNNER_RERUN_AT=recorded.started.isoformat(),
        )
        print(f"run.py {' '.join(overrides)}\n", flush=True)
        command = [str(environment.python), "run.py", *overrides]
        code = subprocess.run(command, cwd=project, env=variables).returncode
    if not (folder / "journal.jsonl").is_file():
        raise UserError(f"the rerun of {recorded.id} did not start (exit code {code})")
    return 0 if print_comparison(recorded, read_run(folder)) else 1


def _overrides(recorded: RecordedRun, folder: Path) -> list[str]:
    """The recorded overrides, and those that put the rerun beside the original."""
    overrides: list[str] = []
    for override in recorded.provenance.get("overrides", []):
        if MASK not in override:
            overrides.append(override)
        elif override.lstrip("+").startswith("tracking."):
            print(f"note: {override} was masked in the record; the rerun uses the default store")
        else:
            raise UserError(f"run {recorded.id} cannot be run again: its override {override} was "
                            "masked in the record")  # fmt: skip
    overrides += [f"outputs={quoted(recorded.outputs)}", f"hydra.run.dir={quoted(folder)}"]
    before = Path(recorded.params.get("outputs", recorded.outputs))
    uri = recorded_store(recorded.params.get("tracking.uri", ""), before, recorded.outputs)
    if store := store_file(uri):
        store = store if store.is_file() else root() / "mlflow.db"
        overrides.append(f"tracking.uri={quoted(f'sqlite:///{store.as_posix()}')}")
    cores = recorded.provenance.get("cpu_count")
    if recorded.params.get("threads") == "None" and cores != os.cpu_count():
        overrides.append(f"threads={cores}")
    return overrides
