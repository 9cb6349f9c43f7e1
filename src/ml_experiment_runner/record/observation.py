"""Keeps what happens around a run: console, load, code and machine."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.secrets import mask
from ml_experiment_runner.record import provenance
from ml_experiment_runner.record.console import Console
from ml_experiment_runner.record.recorder import Recorder
from ml_experiment_runner.record.system_metrics import SystemMetrics


class Observation:
    """Observes the process of a run until it is stopped.

    Args:
        recorder: The run's.
        outputs: The folder for runs.
        log_sample: Called with name, value and step of each sample of the machine's load.
        command: As it was typed; None for a run that keeps the one that it began with.
    """

    def __init__(
        self,
        recorder: Recorder,
        outputs: Path,
        log_sample: Callable[[str, float, int], None],
        command: list[str] | None,
    ) -> None:
        self._recorder = recorder
        self._settled = False
        self._console = Console(recorder.folder / "console.log", mask)
        self._system = SystemMetrics(log_sample, recorder.next_step("system/cpu_percent"))
        self._system.start()
        root = repository.root()
        self._git = provenance.Git(root, outputs, recorder.log_provenance, recorder.log_patch)
        self._git.start()
        if origin := os.environ.get("RUNNER_RERUN_OF"):
            recorder.log_tag("rerun.of", origin)
        for key, value in provenance.machine().items():
            recorder.log_provenance(key, value)
        if command is not None:
            recorder.log_provenance("command", shlex.join(command))
        if lock := provenance.lock_file(root):
            recorder.log_artifact(lock[0], "requirements.lock")
            recorder.log_provenance("lock_sha256", lock[1])

    def settle(self, seconds: float) -> None:
        """Wait for git's answer, so that a reader of the record finds it."""
        if self._settled:
            return
        self._settled = True
        self._git.join(seconds)
        if self._git.is_alive() and not self._git.knows_changes:
            reason = f"not known: git took more than {seconds:g} s"
            self._recorder.log_provenance("git_dirty", reason)

    def stop(self) -> None:
        """Take the last sample of the load, and give the console back."""
        self._system.stop()
        self._console.stop()
