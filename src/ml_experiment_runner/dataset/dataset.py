"""The dataset: rows with features, label and split, found again by its fingerprint."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from ml_experiment_runner.config.run_time import read_run_time
from ml_experiment_runner.dataset import cache, expressions
from ml_experiment_runner.dataset.assemble import assemble
from ml_experiment_runner.dataset.join import PREDICTION_TIME
from ml_experiment_runner.dataset.plan import SPLIT, Plan, make_plan
from ml_experiment_runner.dataset.splits import SPLITS
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.lock import data_lock
from ml_experiment_runner.record.recorder import FINGERPRINT
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.ingestion.loading import DeliveryHeldError, load_snapshots, record
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

Examples = tuple[pl.DataFrame, NDArray[Any]]
"""Features and label of some rows."""

RENAMED_ATTRIBUTES = {
    "judged": "rows_fingerprint",
    "kind": "task_type",
    "moments": "prediction_times",
    "part": "split",
}


@dataclass(frozen=True)
class Dataset:
    """Rows to learn from, in the order of the spine's key.

    Attributes:
        frame: Features, label, `split` and, where there is one, `prediction_time`. The label is
            Int8 (binary), String (multiclass) or Float64 (regression).
        fingerprint: Names everything that the rows and their features depend on.
        features: Names of the feature columns: Float64, Int64, Boolean or String.
        label: Name of the label's column.
        snapshots: What was read, by signal.
        dropped: Rows left out because they have no label.
        rows_fingerprint: Names which rows there are, their labels and their splits; equal where
            models with other features are evaluated on the same rows.
        periods: First and last prediction time of each split.
        classified: Features that read a classified field, and the label if it does; their values
            must not reach a record.
        time_zone: Where the spine's owner reads hours and months.
        reads: Fields by signal that each feature reads.
    """

    frame: pl.DataFrame
    fingerprint: str
    features: list[str]
    label: str
    snapshots: dict[str, Snapshot]
    dropped: int
    rows_fingerprint: str = ""
    periods: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    classified: frozenset[str] = frozenset()
    time_zone: str = "UTC"
    reads: dict[str, expressions.Needs] = field(default_factory=dict)

    def __getattr__(self, name: str) -> NoReturn:
        """Says what an attribute of before is called now."""
        if name in RENAMED_ATTRIBUTES:
            raise AttributeError(f"Dataset.{name} is called {RENAMED_ATTRIBUTES[name]} now")
        raise AttributeError(f"'Dataset' object has no attribute '{name}'")

    @property
    def task_type(self) -> TaskType:
        """Follows from the label."""
        task_types = {
            pl.Int8: TaskType.BINARY,
            pl.String: TaskType.MULTICLASS,
            pl.Float64: TaskType.REGRESSION,
        }
        return task_types[self.frame.schema[self.label].base_type()]

    @property
    def classes(self) -> tuple[str, ...]:
        """The sorted classes of a multiclass label; otherwise none."""
        if self.task_type != TaskType.MULTICLASS:
            return ()
        return tuple(self.frame[self.label].unique().sort())

    def split(self, name: str) -> Examples:
        """Features and label of `train`, `validation` or `test`."""
        return self.rows(self.frame[SPLIT] == name)

    def prediction_times(self, chosen: str | pl.Series) -> pl.Series | None:
        """When the predictions of a split, or of some rows, are made; None if unknown."""
        if PREDICTION_TIME not in self.frame.columns:
            return None
        rows = self.frame[SPLIT] == chosen if isinstance(chosen, str) else chosen
        return self.frame[PREDICTION_TIME].filter(rows)

    def rows(self, chosen: pl.Series) -> Examples:
        """Features and label of some rows: 0 or 1, a class's name, or a number.

        Args:
            chosen: Boolean, of all rows.
        """
        rows = self.frame.filter(chosen)
        label = rows[self.label].to_numpy()
        return rows.select(self.features), label.astype(str) if label.dtype == object else label


def load_dataset(config: DictConfig, run: Run | None = None) -> Dataset:
    """The dataset that a configuration describes; receives its signals if they are not here.

    Args:
        config: The composed configuration.
        run: Where the signals that were read are recorded; None in a notebook.

    Raises:
        UserError: The data cannot give what the configuration asks for; says what to change.
    """
    plan, snapshots = _received(config, run)
    fingerprint = plan.fingerprint(snapshots)
    path = repository.root() / "data" / "cache" / f"{fingerprint}.parquet"
    cached = cache.read(path)
    if cached is None:
        with data_lock(repository.root()):
            cached = cache.read(path)
            if cached is None:
                # under the lock nobody replaces a snapshot while it is read
                snapshots = load_snapshots(plan.needs, run, plan.pins, read_run_time(config))
                fingerprint = plan.fingerprint(snapshots)
                cached = assemble(plan, snapshots, path.parent)
                cache.keep(path.with_stem(fingerprint), plan.columns(snapshots), *cached)
    frame, dropped = cached
    classified = _classified(plan, frame)
    debug = f"-{config.debug.rows}rows" if config.debug.rows else ""
    debug += "-overfit" if config.debug.overfit else ""  # a handful of these rows, see train
    if config.debug.rows:
        frame = _slice(frame, plan.label_name, config.debug.rows)
    rows_fingerprint = plan.columns(snapshots)[SPLIT]
    dataset = Dataset(
        frame, fingerprint + debug, list(plan.features), plan.label_name, snapshots, dropped,
        rows_fingerprint + debug,
        _periods(frame), classified, plan.spine.time_zone,
        {name: expressions.needs(feature) for name, feature in plan.features.items()},
    )  # fmt: skip
    for notice in plan.notices.values():
        log.warning("%s", notice)
    for name in dataset.features:
        signals = sorted(set(expressions.needs(plan.features[name])) - {plan.spine.name})
        if frame[name].null_count() == frame.height and signals:
            log.warning("feature '%s' has no value in any row: do rows of %s find any of %s? See "
                        "dataset.joins", name, plan.spine.name, " and ".join(signals))  # fmt: skip
    for name in sorted(plan.pins.keys() - plan.needs):
        log.warning("dataset.pin.%s pins nothing: no feature of this dataset reads %s", name, name)
    if run is not None:
        _record(run, plan, dataset)
    return dataset


def _received(config: DictConfig, run: Run | None) -> tuple[Plan, dict[str, Snapshot]]:
    """The plan with the signals that are available now, and their snapshots."""
    plan, run_time = make_plan(config, follow_holds=True), read_run_time(config)
    try:
        return plan, load_snapshots(plan.needs, run, plan.pins, run_time)
    except (
        DeliveryHeldError
    ):  # while it was fetched; now that it is known, the contracts say what follows
        plan = make_plan(config, follow_holds=True)
        return plan, load_snapshots(plan.needs, run, plan.pins, run_time)


def _classified(plan: Plan, frame: pl.DataFrame) -> frozenset[str]:
    """The features, and the label, that read a classified field; none may be a text.

    Looked at again when the rows come from the cache: a field may be classified later.
    """
    names = [name for name, feature in plan.features.items() if plan.is_classified(feature)]
    for name in names:
        if frame.schema[name] == pl.String:
            raise UserError(
                f"feature '{name}' is a text from a classified field, and a model stores the texts "
                "it has learned.\nDerive a number or true/false from it in features.py, or leave "
                "it out of dataset.features."
            )
    if not plan.is_classified(plan.label):
        return frozenset(names)
    if frame.schema[plan.label_name] == pl.String:
        raise UserError(
            f"label '{plan.label_name}' is a text from a classified field, and a model stores its "
            "classes.\nMake it a condition or a number in features.py."
        )
    return frozenset([*names, plan.label_name])


def _slice(frame: pl.DataFrame, label: str, rows: int) -> pl.DataFrame:
    """A third of the rows from each split, spread evenly, with every class in its share."""
    places: list[int] = []
    rows_per_split = max(2, rows // len(SPLITS))
    is_number = frame.schema[label] == pl.Float64
    classes = pl.repeat("", frame.height, eager=True) if is_number else frame[label]
    for split in SPLITS:
        inside = frame.select((pl.col(SPLIT) == split).arg_true()).to_series()
        by_class = pl.DataFrame({"class": classes[inside], "place": inside})
        groups = sorted(by_class.partition_by("class", maintain_order=True), key=len)
        left, total = rows_per_split, len(inside)
        for more, group in reversed(list(enumerate(reversed(groups)))):
            # the most frequent comes last and takes what is left
            wanted = left if not more else max(1, round(rows_per_split * len(group) / total))
            wanted = max(1, min(wanted, left - more, len(group)))
            left -= wanted
            chosen = np.linspace(0, len(group) - 1, wanted).round().astype(int)
            places += group["place"][chosen.tolist()].to_list()
    return frame[sorted(places)]


def _periods(frame: pl.DataFrame) -> dict[str, tuple[datetime, datetime]]:
    if PREDICTION_TIME not in frame.columns:
        return {}
    span = frame.group_by(SPLIT).agg(
        pl.min(PREDICTION_TIME).alias("first"), pl.max(PREDICTION_TIME).alias("last")
    )
    periods = {row[SPLIT]: (row["first"], row["last"]) for row in span.iter_rows(named=True)}
    return {split: periods[split] for split in SPLITS}


def _record(run: Run, plan: Plan, dataset: Dataset) -> None:
    run.log_provenance(FINGERPRINT, dataset.fingerprint)  # refuses other data than before
    for name, snapshot in dataset.snapshots.items():
        contract = plan.contracts[name]
        # a first run's .dvc files are younger than its commit and patch; rerun takes these
        for path in (snapshot.file, snapshot.file.with_suffix(".yaml")):
            if path.exists():
                data = plan.spine.root / "data"
                run.log_artifact(path, path.relative_to(data).as_posix())
        context = "spine" if contract is plan.spine else "joined"
        record(run, contract, snapshot, context, sorted(plan.needs[name]))
    for name, notice in plan.notices.items():
        run.log_tag(name, notice)
    counts = dict(dataset.frame[SPLIT].value_counts().iter_rows())
    run.log_params({f"rows.{split}": counts.get(split, 0) for split in SPLITS})
    run.log_params({"rows.without_label": dataset.dropped})
    zone = ZoneInfo(plan.spine.time_zone)  # people read months as the spine's owner does
    facts: dict[str, Any] = {
        "judged": dataset.rows_fingerprint,  # the key that records of before have
        "snapshots": {
            name: {
                "version": snapshot.version,
                "md5": snapshot.md5,
                "content": snapshot.content,
            }
            for name, snapshot in dataset.snapshots.items()
        },
        "periods": {
            split: [time.astimezone(zone).isoformat() for time in (first, last)]
            for split, (first, last) in dataset.periods.items()
        },
    }
    for name, value in facts.items():
        run.log_provenance(f"dataset.{name}", value)
