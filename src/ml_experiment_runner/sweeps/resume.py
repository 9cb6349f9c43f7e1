"""`resume=ID`: the overrides of a run or a sweep, and the folder of its record."""

from ml_experiment_runner.config.overrides import quoted
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.secrets import MASK
from ml_experiment_runner.record.find_run import find_run
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from ml_experiment_runner.sweeps.sweep import OVERRIDES


def resumed(name: str) -> list[str]:
    """The arguments that resume a run or a sweep.

    Args:
        name: What `find_run` takes.

    Raises:
        UserError: The run does not exist, or cannot be resumed.
    """
    run = read_run(find_run(root() / "outputs", name))
    is_sweep = OVERRIDES in run.provenance
    if run.parent is not None:
        raise UserError(f"resume={name}: this run belongs to another; type resume={run.parent}")
    if run.status == "RUNNING":
        raise UserError(f"resume={name}: this {'sweep' if is_sweep else 'run'} is still at work")
    if is_sweep:  # one that has finished too: its failed jobs run again, a search may go on
        return ["-m", *_recorded(run, OVERRIDES), f"hydra.sweep.dir={quoted(run.folder)}"]
    if run.status == "FINISHED":
        raise UserError(f"resume={name}: this run has finished; python run.py rerun {run.id} "
                        "repeats it")  # fmt: skip
    return [*_recorded(run, "overrides"), f"hydra.run.dir={quoted(run.folder)}"]


def _recorded(run: RecordedRun, key: str) -> list[str]:
    """The overrides that are recorded under a key of the provenance."""
    overrides = run.provenance.get(key)
    if overrides is None:
        raise UserError(f"resume={run.id}: this run was stopped before its overrides were "
                        "recorded; start a new one")  # fmt: skip
    if masked := [override for override in overrides if MASK in override]:
        raise UserError(f"resume={run.id}: the override {masked[0]} was masked in the record; "
                        "start a new run, with the secret in the environment")  # fmt: skip
    return [str(override) for override in overrides]
