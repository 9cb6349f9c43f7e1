"""What tasks and user code record with; all of it goes to the run's own folder."""

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.record.journal import Journal
from runner.record.masking import Masking
from runner.record.names import checked_name

if TYPE_CHECKING:
    import polars
    from matplotlib.figure import Figure

DPI = 180  # of figures: enlarged on the card, one is about 900 pixels wide
T = TypeVar("T")
log = logging.getLogger(__name__)


class Recorder:
    """Writes values and files of a record.

    Attributes:
        folder: Where the record is written first.
    """

    def __init__(self, folder: Path, masking: Masking, journal: Journal) -> None:
        self.folder = folder
        self._masking = masking
        self._journal = journal
        self._params: dict[str, str] = {}
        self._has_model = False

    def masked(self, text: str) -> str:
        """The text without what the configuration took from the environment."""
        return self._masking.text(text)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record what does not change in a run; saying another value later is an error."""
        mask = self._masking.text
        texts = {checked_name(name, "param"): mask(str(value)) for name, value in params.items()}
        for name, text in texts.items():
            if self._params.setdefault(name, text) != text:
                raise ValueError(
                    f"param {name!r} is {self._params[name]!r} already and cannot become {text!r}"
                )
        self._journal.write("params", values=texts)

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        """Record a number; it is on its way to disk when this returns, a few microseconds later."""
        self._journal.metric(name, value, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record several numbers of one step."""
        for name, value in metrics.items():
            self._journal.metric(name, value, step)

    def log_tag(self, name: str, value: object) -> None:
        """Record a text that may change."""
        text = self._masking.text(str(value))
        self._journal.write("tag", name=checked_name(name, "tag"), value=text)

    def log_provenance(self, name: str, value: Any) -> None:
        """Record something that this run was made from; any JSON value."""
        name = checked_name(name, "provenance")
        self._journal.write("provenance", name=name, value=self._masking.values(value))

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
        self._journal.write(
            "dataset",
            signal=signal,
            version=version,
            md5=md5,
            source=self._masking.text(source),
            rows=rows,
            context=context,
            schema=dict(schema),
        )

    def log_text(self, text: str, name: str) -> None:
        """Record a text as the file `artifacts/<name>`."""
        self._keep(f"artifacts/{name}", self._masking.text(text))

    def log_artifact(self, path: Path, name: str) -> None:
        """Record a file as `artifacts/<name>`; it is copied unless it lies there already."""
        target = self._target(f"artifacts/{name}")
        if path.resolve() != target.resolve():
            shutil.copyfile(path, target)
        self._journal.write("artifact", path=f"artifacts/{name}", name=name)

    def log_figure(self, figure: "Figure", name: str) -> None:
        """Record a figure as `artifacts/figures/<name>.png`."""
        target = self._target(f"artifacts/figures/{name}.png")
        figure.savefig(target, dpi=DPI)
        self.log_artifact(target, f"figures/{name}.png")

    def log_model(
        self,
        estimator: Any,
        input_example: "polars.DataFrame",
        output_example: Any,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the fitted model, at once: it is delivered while the run goes on.

        Args:
            estimator: What `predict` is called on.
            input_example: A few rows of features, without anything personal.
            output_example: What the model predicts for them, as an array.
            metadata: What goes with the model in MLflow, such as its threshold; any JSON values.

        Raises:
            ValueError: The run has a model already.
        """
        if self._has_model:
            raise ValueError("the run has a model already; a run records one")
        self._has_model = True
        import cloudpickle
        import numpy

        target = self._target("model/model.pkl")
        with target.open("wb") as file:
            file.write(cloudpickle.dumps(estimator, protocol=5))
        input_example.write_parquet(target.with_name("input_example.parquet"))
        numpy.save(target.with_name("output_example.npy"), numpy.asarray(output_example))
        text = json.dumps(dict(metadata or {}), ensure_ascii=False)
        target.with_name("metadata.json").write_text(self._masking.text(text), encoding="utf-8")
        self._journal.write("model", path="model")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Log a line when a part of the run is done, and record the seconds that it took."""
        begin = time.perf_counter()
        yield
        seconds = time.perf_counter() - begin
        log.info("%s  %.1f s", name, seconds)
        self.log_metric(f"seconds/{name}", seconds)

    def progress(
        self, items: Iterable[T], description: str, total: int | None = None
    ) -> Iterator[T]:
        """Go through items with a progress bar on a terminal, silently anywhere else."""
        import sys

        terminal = sys.__stderr__  # Not the copy: a bar has no place in console.log.
        if terminal is None or not terminal.isatty():
            yield from items
            return
        from rich.console import Console as RichConsole
        from rich.progress import track

        console = RichConsole(file=terminal)
        yield from track(items, description, total, console=console, transient=True)

    def _keep(self, path: str, text: str) -> None:
        """Write a text file of the record."""
        self._target(path).write_text(text, encoding="utf-8")
        self._journal.write("artifact", path=path, name=path.removeprefix("artifacts/"))

    def _keep_patch(self, patch: bytes) -> None:
        self._target("artifacts/uncommitted.patch").write_bytes(patch)
        self._journal.write(
            "artifact", path="artifacts/uncommitted.patch", name="uncommitted.patch"
        )

    def _target(self, path: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
