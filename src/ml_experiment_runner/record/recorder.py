"""The recorder: what tasks and user code record with, into the run's own folder."""

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask, mask_file, mask_keys, mask_patch, mask_within
from ml_experiment_runner.record.journal import Journal
from ml_experiment_runner.record.names import checked_artifact, checked_name

if TYPE_CHECKING:
    import polars
    from matplotlib.figure import Figure

    from ml_experiment_runner.record.run_reader import RecordedRun

DPI = 180  # of figures: enlarged on the card, one is about 900 pixels wide
FINGERPRINT = "dataset.fingerprint"
T = TypeVar("T")
log = logging.getLogger(__name__)


class Recorder:
    """Writes values and files of a record, without secrets.

    A run that is resumed does not record again what it has recorded before.

    Attributes:
        folder: Where the record is written first.
    """

    def __init__(
        self, folder: Path, journal: Journal, recorded: "RecordedRun | None" = None
    ) -> None:
        self.folder = folder
        self._journal = journal
        self._recorded = recorded
        self._params: dict[str, str] = dict(recorded.params) if recorded else {}
        self._has_model = recorded is not None and recorded.has_model

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record what does not change in a run; another value for the same name is an error."""
        named = mask_keys(params).items()
        texts = {checked_name(name, "param"): mask(str(value)) for name, value in named}
        new = {name: text for name, text in texts.items() if name not in self._params}
        for name, text in texts.items():
            if self._params.setdefault(name, text) != text:
                raise ValueError(
                    f"param {name!r} is already {self._params[name]!r} and cannot become {text!r}"
                )
        if new or self._recorded is None:
            self._journal.write("params", values=new)

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        """Record a number; it is on its way to disk when this returns, a few microseconds later."""
        if self._recorded is None or not self._recorded.has_point(name, value, step):
            self._journal.metric(name, value, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record several numbers of one step."""
        for name, value in metrics.items():
            self.log_metric(name, value, step)

    def log_tag(self, name: str, value: object) -> None:
        """Record a text that may change."""
        self._journal.write("tag", name=checked_name(name, "tag"), value=str(value))

    def log_provenance(self, name: str, value: Any) -> None:
        """Record something that this run was made from; any JSON value.

        Raises:
            UserError: The run is resumed on other data than it began with.
        """
        name = checked_name(name, "provenance")
        if name == FINGERPRINT and self._recorded is not None:
            before = self._recorded.provenance.get(name, value)
            if before != value:
                raise UserError(
                    f"{name} was {before} when this run began and is {value} now: the signals or "
                    "features.py have changed.\nA run keeps its data; start a new one"
                )
        self._journal.write("provenance", name=name, value=value)

    def log_dataset(
        self,
        signal: str,
        version: str,
        md5: str,
        source: str,
        rows: int,
        context: str,
        schema: Mapping[str, str],
    ) -> None:
        """Record a signal that was read.

        Args:
            signal: Its name.
            version: The contract's version.
            md5: DVC's md5 of the snapshot, the dataset's digest in MLflow.
            source: Where the snapshot comes from.
            rows: How many rows were read.
            context: What they were read for, such as `training`.
            schema: Data type by field.
        """
        dataset = mask_within(
            {
                "signal": signal,
                "version": version,
                "md5": md5,
                "source": source,
                "rows": rows,
                "context": context,
                "schema": dict(schema),
            }
        )
        known = self._recorded.datasets if self._recorded else []
        if not any(dataset.items() <= event.items() for event in known):
            self._journal.write("dataset", **dataset)

    def log_text(self, text: str, name: str) -> None:
        """Record a text as the file `artifacts/<name>`; the name may be a path such as `a/b.txt`.

        Raises:
            UserError: The name would leave the run's artifacts.
        """
        self._keep(f"artifacts/{checked_artifact(name)}", text)

    def log_artifact(self, path: Path, name: str) -> None:
        """Record a file as `artifacts/<name>`; it is copied unless it lies there already."""
        name = checked_artifact(name)
        target = self._target(f"artifacts/{name}")
        if path.resolve() != target.resolve():
            shutil.copyfile(path, target)
        mask_file(target)
        self._journal.write("artifact", path=f"artifacts/{name}", name=name)

    def log_figure(self, figure: "Figure", name: str) -> None:
        """Record a figure as `artifacts/figures/<name>.png`."""
        name = checked_artifact(f"figures/{name}.png")
        target = self._target(f"artifacts/{name}")
        figure.savefig(target, dpi=DPI)
        self.log_artifact(target, name)

    def log_model(
        self,
        estimator: Any,
        input_example: "polars.DataFrame",
        output_example: Any,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the fitted model, at once: it is synced while the run goes on.

        A run that is resumed keeps the model that it has recorded before.

        Args:
            estimator: What `predict` is called on.
            input_example: A few rows of features, without anything personal.
            output_example: What the model predicts for them, as an array.
            metadata: What goes with the model in MLflow, such as its threshold; any JSON values.

        Raises:
            ValueError: The run has a model already.
        """
        if self._recorded is not None and self._recorded.has_model:
            log.info("the model that was recorded before the run was resumed is kept")
            return
        if self._has_model:
            raise ValueError("the run already has a model; a run records only one")
        self._has_model = True
        import cloudpickle
        import numpy

        target = self._target("model/model.pkl")
        with target.open("wb") as file:
            file.write(cloudpickle.dumps(estimator, protocol=5))
        input_example.write_parquet(target.with_name("input_example.parquet"))
        numpy.save(target.with_name("output_example.npy"), numpy.asarray(output_example))
        text = json.dumps(dict(metadata or {}), ensure_ascii=False)
        target.with_name("metadata.json").write_text(mask(text), encoding="utf-8")
        self._journal.write("model", path="model")

    def recorded_model(self) -> tuple[Any, dict[str, Any]] | None:
        """The model that was recorded before the run was resumed, and its metadata; else None."""
        if self._recorded is None or not self._recorded.has_model:
            return None
        metadata = json.loads((self.folder / "model" / "metadata.json").read_text(encoding="utf-8"))
        return self._recorded.model(), metadata

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Log a line when a part of the run is done, and record the seconds that it took."""
        metric = checked_name(f"seconds/{name}", "metric")  # now, and not when the work is done
        begin = time.perf_counter()
        yield
        seconds = time.perf_counter() - begin
        log.info("%s  %.1f s", name, seconds)
        self.log_metric(metric, seconds, self.next_step(metric))

    def progress(
        self, items: Iterable[T], description: str, total: int | None = None
    ) -> Iterator[T]:
        """Iterate over items with a progress bar on a terminal, silently anywhere else."""
        import sys

        terminal = sys.__stderr__  # Not the copy: a bar has no place in console.log.
        if terminal is None or not terminal.isatty():
            yield from items
            return
        from rich.console import Console as RichConsole
        from rich.progress import track

        console = RichConsole(file=terminal)
        yield from track(items, description, total, console=console, transient=True)

    def next_step(self, name: str) -> int:
        """The first step of a metric that was not recorded before the run was resumed."""
        points = self._recorded.points.get(name, []) if self._recorded else []
        return max((point.step + 1 for point in points), default=0)

    def log_patch(self, patch: bytes) -> None:
        """Record the uncommitted changes as `artifacts/uncommitted.patch`."""
        masked, files = mask_patch(patch)
        if files:
            self.log_provenance("git_masked", files)
        self._target("artifacts/uncommitted.patch").write_bytes(masked)
        self._journal.write(
            "artifact", path="artifacts/uncommitted.patch", name="uncommitted.patch"
        )

    def _keep(self, path: str, text: str) -> None:
        """Write a text file of the record."""
        self._target(path).write_text(mask(text), encoding="utf-8")
        self._journal.write("artifact", path=path, name=path.removeprefix("artifacts/"))

    def _target(self, path: str) -> Path:
        target = self.folder / mask(path)  # as the journal has it
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
