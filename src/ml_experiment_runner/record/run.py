"""The run: opens its record, resumes and closes it."""

import getpass
import os
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import check_run_folder
from ml_experiment_runner.project.errors import UserError, full_disk
from ml_experiment_runner.project.secrets import mask, mask_within, register_addresses
from ml_experiment_runner.record.config_diff import flat
from ml_experiment_runner.record.journal import Journal
from ml_experiment_runner.record.observation import Observation
from ml_experiment_runner.record.recorder import Recorder
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from ml_experiment_runner.record.sync.client import SyncClient
from ml_experiment_runner.record.sync.markers import read_json

LOCATIONS = ("outputs", "tracking.uri")
"""Keys of the config that change where the project is moved."""


class Run(Recorder):
    """One execution and its record.

    Attributes:
        id: Eight characters that name the run everywhere; the end of its folder's name.
        experiment: The experiment that it belongs to; without one `default`, or its task's name.
        parent: Id of the run that it belongs to, such as a sweep's.
        overrides: Hydra's overrides of this job.
        config: The composed config.
        sync_client: Syncs the record to MLflow.
        children: Runs within this one.
        ended: Whether the end stands in the record, so that all of it can be synced.
    """

    def __init__(
        self,
        config: DictConfig,
        folder: Path,
        sync_client: SyncClient,
        resumed: bool = False,
        recorded: RecordedRun | None = None,
    ) -> None:
        self.id = folder.name.rsplit("-", 1)[-1]
        outputs = Path(config.outputs).resolve()
        check_run_folder(outputs, folder)
        self.experiment = folder.relative_to(outputs).parts[0]
        self.ended = False
        self.children: list[Run] = []
        self.parent: str | None = None
        self.overrides: list[str] = []
        self._earlier_children: dict[str, Path] = {}  # by name, of a run that is resumed
        self.config = config
        self.sync_client = sync_client
        self._observation: Observation | None = None
        try:
            (folder / "artifacts").mkdir(parents=True, exist_ok=True)
            journal = Journal(folder / "journal.jsonl", resumed)
            super().__init__(folder, journal, recorded)
        except FileExistsError:
            raise UserError(f"{folder} already holds the record of another run") from None
        except BlockingIOError:
            raise UserError(
                f"run {self.id} is still at work: another process writes its record"
            ) from None
        except OSError as error:
            raise UserError(
                f"the run's folder cannot be written: {folder} ({error.strerror}); "
                "choose another one with outputs=<folder>"
            ) from None

    @classmethod
    def start(
        cls,
        config: DictConfig,
        folder: Path,
        command: list[str],
        overrides: list[str],
        sync_client: SyncClient | None = None,
        parent: str | None = None,
    ) -> "Run":
        """Open the record and begin to sync it.

        Args:
            config: The composed config.
            folder: The run's folder, `<outputs>/<experiment>/<date>/<time>-<id>`.
            command: The command as it was typed.
            overrides: Hydra's overrides of this job.
            sync_client: That of the whole sweep; without it the run starts its own.
            parent: Id of the run that this one belongs to, such as a sweep's.
        """
        run = cls(config, folder.resolve(), sync_client or SyncClient.start(config))
        name = " ".join(folder.resolve().relative_to(Path(config.outputs).resolve()).parts[1:])
        run._open(name, parent, overrides)
        run._observe(command)
        return run

    @classmethod
    def resume(cls, config: DictConfig, folder: Path, sync_client: SyncClient) -> "Run":
        """Append to the record of a run that has ended, or was stopped.

        Args:
            config: A configuration with the same `outputs` and `tracking`.
            folder: The run's folder.
            sync_client: Syncs what is added to MLflow.
        """
        run = cls(config, folder.resolve(), sync_client, resumed=True)
        run._register_resumption()
        return run

    @classmethod
    def reopen(
        cls, config: DictConfig, folder: Path, overrides: list[str], sync_client: SyncClient
    ) -> "Run":
        """Resume a run that has not finished, so that its task can be called again.

        Args:
            config: The composed config, which must be that of the record.
            folder: The run's folder.
            overrides: Hydra's overrides.
            sync_client: Syncs what is added to MLflow.

        Raises:
            UserError: The configuration differs from that of the record.
        """
        run = cls._reopened(config, folder.resolve(), overrides, sync_client)
        # it is of the code as it was, which is compared with git again
        (run.folder / "artifacts" / "uncommitted.patch").unlink(missing_ok=True)
        run._observe(None)
        return run

    @classmethod
    def _reopened(
        cls, config: DictConfig, folder: Path, overrides: list[str], sync_client: SyncClient
    ) -> "Run":
        recorded = read_run(folder)
        values = {name: str(value) for name, value in flat(_masked(config)).items()}
        for name, value in values.items():
            before = recorded.params.get(name, value)
            if before != value and name not in LOCATIONS:
                raise UserError(
                    f"resume={recorded.id}: {name} was {before} in this run and is {value} now. A "
                    "run keeps its configuration: restore conf/, or start a new run"
                )
        run = cls(config, folder, sync_client, resumed=True, recorded=recorded)
        if read_run(folder).ended != recorded.ended:  # before this process had the journal's lock
            run._journal.close()
            raise UserError(f"run {recorded.id} was resumed by another process at the same time")
        run.parent, run.overrides = recorded.parent, overrides
        run._earlier_children = {child.name: child.folder for child in _children_of(recorded)}
        run._register_resumption()
        run.log_params({name: value for name, value in values.items() if name not in LOCATIONS})
        return run

    @contextmanager
    def nested(self, name: str, config: DictConfig | None = None) -> Iterator["Run"]:
        """A run within this one, with a record and an MLflow run of its own below this one's.

        It ends with the block: FAILED or KILLED where that is left by an exception, which goes on.
        Code, machine and console are in this run's record. Where this run was resumed, the record
        of that name goes on.

        Args:
            name: What MLflow shows it as.
            config: Its configuration, if it is another.
        """
        config = config or self.config
        if (before := self._earlier_children.pop(name, None)) is not None:
            child = Run._reopened(config, before, self.overrides, self.sync_client)
            self.children.append(child)
        else:
            number = len(self.children) + len(self._earlier_children)
            folder = self.folder / f"{number}-{secrets.token_hex(4)}"
            child = Run(config, folder, self.sync_client)
            self.children.append(child)
            child._open(name, self.id, self.overrides)
        try:
            yield child
        except BaseException as error:
            child.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", error)
            raise
        child.finish("FINISHED")

    def family(self) -> Iterator["Run"]:
        """This run and those within it."""
        yield self
        for child in self.children:
            yield from child.family()

    def _open(self, name: str, parent: str | None, overrides: list[str]) -> None:
        """Begin the record, with the configuration in it."""
        self.parent, self.overrides = parent, overrides
        # In this order: a run that began is registered, and one that did not leaves no trace.
        writer = self._journal.writer()
        self.sync_client.register(self.id, self.folder, writer)
        self._journal.write(
            "start",
            id=self.id,
            experiment=f"{self.config.project}/{self.experiment}",
            name=name,
            depth=len(self.folder.relative_to(Path(self.config.outputs).resolve()).parts) - 1,
            parent=parent,
            package=self.config.package,
            model="model" in self.config.task.get("uses", []),
            user=_user(),
            writer=writer,
        )
        config = _masked(self.config)
        self._keep("config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        self.log_text(OmegaConf.to_yaml(mask_within(overrides)), "overrides.yaml")
        self.log_params(flat(config))
        self.log_provenance("overrides", overrides)
        self.log_provenance("seed", self.config.seed)
        self.log_provenance("threads", self.config.threads)

    def _register_resumption(self) -> None:
        # in this order: a worker about to remove its marker sees that the journal has grown
        writer = self._journal.writer()
        self._journal.write("resume", writer=writer)
        self.sync_client.register(self.id, self.folder, writer)

    def _observe(self, command: list[str] | None) -> None:
        """Begin to observe the process: see `Observation`."""
        outputs = Path(self.config.outputs).resolve()
        self._observation = Observation(self, outputs, self._sample, command)

    def _sample(self, name: str, value: float, step: int) -> None:
        """Record a sample of the load: a sign of life, also for the runs within."""
        self._journal.metric(name, value, step)
        for run in self.family():
            if run is not self and not run.ended:
                run._journal.touch()

    def settle(self, seconds: float = 10) -> None:
        """Wait for what is still being looked up, so that a reader of the record finds it."""
        if self._observation:
            self._observation.settle(seconds)

    def finish(self, status: str, error: BaseException | None = None) -> None:
        """Close the record.

        Args:
            status: FINISHED, FAILED or KILLED.
            error: What ended the run, if anything did; its traceback becomes an artifact.
        """
        # where a full disk ended it, that error is reported and not a second one
        is_full = suppress(OSError) if full_disk(error) else nullcontext()
        with is_full:
            self._close(status, error)

    def _close(self, status: str, error: BaseException | None) -> None:
        try:
            if error is not None:
                self.log_text("".join(traceback.format_exception(error)), "traceback.txt")
            self.settle(1 if status == "KILLED" else 10)  # whoever stopped it waits for the prompt
        finally:  # the end is written even where the disk fails
            if self._observation:
                self._observation.stop()
            try:
                reason = _reason(error) if error else None
                was_given_up = not self.sync_client.is_registered(self.id)
                writer = self._journal.writer()
                self._journal.write("end", status=status, error=reason)
                self.ended = True
                if (
                    was_given_up
                ):  # it was taken for dead, as after an hour in which the machine slept
                    self.sync_client.register(self.id, self.folder, writer)
            finally:
                self._journal.close()

    def refused(self) -> str | None:
        """What MLflow refused of this record, and why."""
        refusal = read_json(self.folder / "delivery.json").get("refused")
        return None if refusal is None else str(refusal)

    def mlflow_page(self) -> str | None:
        """The run's page on an MLflow server, once it is there; None for an embedded store."""
        base = mask(str(self.config.tracking.uri))
        state = read_json(self.folder / "delivery.json")
        if not base.startswith("http") or not state.get("mlflow_experiment_id"):
            return None
        page = f"experiments/{state['mlflow_experiment_id']}/runs/{state['mlflow_run_id']}"
        return f"{base.rstrip('/')}/#/{page}"

    def mlflow_run_id(self, seconds: float = 60) -> str:
        """Wait for the run to exist in MLflow; for user code that calls `mlflow` itself."""
        return self.sync_client.wait_until_created(self.folder, seconds)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in `docker run --user`
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def _reason(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its own text fails: that must not cost the record its end
        return type(error).__name__


def _masked(config: DictConfig) -> Any:
    """The composed config as it is recorded."""
    values = OmegaConf.to_container(config, resolve=True)
    register_addresses(values)
    return mask_within(values)


def _children_of(recorded: RecordedRun) -> list[RecordedRun]:
    runs = [read_run(path.parent) for path in recorded.folder.glob("*/journal.jsonl")]
    return [run for run in runs if run.parent == recorded.id]
