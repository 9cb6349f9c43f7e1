"""Assembles a dataset: the spine's rows with label, split and features, slice by slice."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.dataset import cache, expressions, join
from ml_experiment_runner.dataset.join import PREDICTION_TIME
from ml_experiment_runner.dataset.plan import SPLIT, Plan
from ml_experiment_runner.dataset.splits import SPLITS, split_at_random, split_by_time
from ml_experiment_runner.dataset.task_type import TaskType, task_type_of
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

PLACE = "place"  # of a row in the spine
SLICE = 4_000_000  # rows of the spine that are joined at once
FEW = 100  # fewer rows may well be of one class by chance
MOST_CLASSES = 100  # a label with more different texts is a mistake


def assemble(
    plan: Plan, snapshots: Mapping[str, Snapshot], folder: Path | None = None
) -> tuple[pl.DataFrame, int]:
    """The dataset's rows, and how many were left out because they have no label.

    Args:
        plan: What the dataset is made of.
        snapshots: The signals that it needs.
        folder: The cache of earlier datasets; None for none.
    """
    stored = {} if folder is None else cache.columns(folder, plan.columns(snapshots))
    kept, rows, dropped = _base(plan, snapshots, stored.get(SPLIT))
    missing = {name: feature for name, feature in plan.features.items() if name not in stored}
    if len(missing) < len(plan.features):
        log.info("%d of %d features are in the cache; computing %s", len(plan.features) -
                 len(missing), len(plan.features), ", ".join(missing) or "none")  # fmt: skip
    computed = _features(plan, snapshots, missing, kept, rows) if missing else pl.DataFrame()
    columns = [stored[name] if name in stored else computed[name] for name in plan.features]
    frame = pl.DataFrame(columns).hstack(rows)
    _check_splits(plan, frame)
    return frame, dropped


def _base(
    plan: Plan, snapshots: Mapping[str, Snapshot], split: pl.Series | None
) -> tuple[NDArray[np.bool_], pl.DataFrame, int]:
    """Which rows of the spine have a label; prediction time, label and split of those."""
    needs = expressions.needs(plan.label)[plan.spine.name]
    if plan.prediction_time is not None:
        needs |= expressions.needs(plan.prediction_time)[plan.spine.name]
    if plan.split["by"] == "random":
        needs |= set(plan.spine.key)
    rows = _scan(plan, snapshots, plan.spine.name, needs).collect().with_row_index(PLACE)
    kept = np.zeros(rows.height, dtype=np.bool_)
    if plan.prediction_time is not None:
        rows = _with_prediction_time(plan, rows)
    label = _label(plan, rows)
    good = label.is_not_null()
    rows, label = rows.filter(good), label.filter(good)
    split = _split(plan, rows) if split is None else split
    prediction_time = [] if plan.prediction_time is None else [rows[PREDICTION_TIME]]
    kept[rows[PLACE].to_numpy()] = True
    return kept, pl.DataFrame([*prediction_time, label, split]), len(good) - len(label)


def _features(
    plan: Plan,
    snapshots: Mapping[str, Snapshot],
    wanted: Mapping[str, pl.Expr],
    kept: NDArray[np.bool_],
    rows: pl.DataFrame,
) -> pl.DataFrame:
    """The features of the kept rows of the spine, computed slice by slice.

    So there is never more in memory than these columns and what belongs to one slice.
    """
    needs = expressions.together(map(expressions.needs, wanted.values()))
    own = needs.pop(plan.spine.name, set())
    windows = {}
    for signal, fields in needs.items():
        contract, on = plan.contracts[signal], plan.joins[signal]
        own.update(on.values())
        all_of_them = fields.union(on, [contract.event_time] if contract.event_time else [])
        windows[signal] = join.Window(_scan(plan, snapshots, signal, all_of_them), contract, on)
    # without a field there would be no rows either
    spine = _scan(plan, snapshots, plan.spine.name, own or plan.spine.key[:1])
    blocks: list[pl.DataFrame] = []
    for start in range(0, len(kept), SLICE):
        chosen = kept[start : start + SLICE]
        if not chosen.any():
            continue
        block = spine.slice(start, SLICE).collect().filter(chosen)
        if plan.prediction_time is not None:
            prediction_time = rows[PREDICTION_TIME].slice(sum(map(len, blocks)), block.height)
            block = block.with_columns(prediction_time)
        joined = [
            join.Joined(
                window.at(block), plan.contracts[signal], plan.joins[signal], sorted(needs[signal])
            )
            for signal, window in windows.items()
        ]
        block = join.attach(block, plan.spine, joined)
        blocks.append(pl.DataFrame([*map(_plain, _computed(plan, block, "feature", wanted))]))
    return pl.concat(blocks)


def _scan(
    plan: Plan, snapshots: Mapping[str, Snapshot], signal: str, fields: Collection[str]
) -> pl.LazyFrame:
    names = [name for name in plan.contracts[signal].names if name in fields]
    return snapshot.scan(snapshots[signal]).select(
        pl.col(name).alias(f"{signal}.{name}") for name in names
    )


def _computed(
    plan: Plan, rows: pl.DataFrame, what: str, wanted: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """The expressions' columns; the one that cannot be computed is named."""
    try:
        return rows.select(expression.alias(name) for name, expression in wanted.items())
    except pl.exceptions.PolarsError:
        for name, expression in wanted.items():
            try:
                rows.select(expression)
            except pl.exceptions.PolarsError as error:
                # what polars says may show values
                reason = f" ({expressions.first_line(error)})"
                shown = "" if plan.is_classified(expression) else reason
                raise UserError(
                    f"{what} '{name}' cannot be computed{shown}; fix it in features.py"
                ) from None
        raise


def _with_prediction_time(plan: Plan, rows: pl.DataFrame) -> pl.DataFrame:
    """The spine's rows with their prediction time; those at or after `now` do not exist yet."""
    assert plan.prediction_time is not None
    rows = rows.with_columns(
        _computed(plan, rows, "prediction time", {PREDICTION_TIME: plan.prediction_time})[
            PREDICTION_TIME
        ]
    )
    dtype = rows.schema[PREDICTION_TIME]
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        raise UserError(
            f"dataset.prediction_time must be a time with a time zone, got {dtype}; write "
            f"pl.col('{plan.spine.name}.<a timestamp field>')"
        )
    if unknown := rows[PREDICTION_TIME].null_count():
        raise UserError(
            f"dataset.prediction_time is null in {unknown:,} rows of {plan.spine.name}; "
            "use fields that are required"
        )
    # in the time zone of the signals, or it could not be compared with theirs
    rows = rows.with_columns(
        pl.col(PREDICTION_TIME).dt.cast_time_unit("us").dt.convert_time_zone("UTC")
    )
    if plan.now is not None:
        rows = rows.filter(pl.col(PREDICTION_TIME) < plan.now)
    if rows.is_empty():
        before = f" before now={plan.now.isoformat()}" if plan.now else ""
        raise UserError(f"dataset: {plan.spine.name} has no rows{before}")
    return rows


def _label(plan: Plan, rows: pl.DataFrame) -> pl.Series:
    """The label as Int8 (0 or 1), String or Float64; null where there is none."""
    place = f"label '{plan.label_name}'"
    label = _computed(plan, rows, "label", {plan.label_name: plan.label})[plan.label_name]
    if isinstance(label.dtype, pl.Categorical | pl.Enum):
        label = label.cast(pl.String)
    if label.dtype not in (pl.Boolean, pl.String) and not label.dtype.is_numeric():
        raise UserError(
            f"{place} must be a condition such as pl.col('flights.arr_delay') >= 15, a text (a "
            f"class) or a number, got {label.dtype}"
        )
    if label.dtype.is_float():  # as after a division by 0: nothing can be learned from it
        label = pl.select(pl.when(label.is_finite()).then(label)).to_series().alias(label.name)
    known = label.drop_nulls()
    if known.is_empty():
        raise UserError(f"{place} is null in every row; fix its expression in features.py")
    task_type = task_type_of(known)
    if task_type == TaskType.MULTICLASS:
        if (classes := known.n_unique()) > MOST_CLASSES:
            raise UserError(
                f"{place} has {classes:,} classes, at most {MOST_CLASSES} are supported; "
                "group its texts in features.py"
            )
        return label
    return label.cast(pl.Int8 if task_type == TaskType.BINARY else pl.Float64)


def _split(plan: Plan, rows: pl.DataFrame) -> pl.Series:
    validation, test = plan.split["validation"], plan.split["test"]
    if plan.split["by"] == "time":
        return split_by_time(rows[PREDICTION_TIME], validation, test, plan.spine.time_zone)
    keys = [rows[f"{plan.spine.name}.{name}"] for name in plan.spine.key]
    return split_at_random(keys, validation, test)


def _check_splits(plan: Plan, frame: pl.DataFrame) -> None:
    """Each split must have rows of two labels or more, or there is nothing to learn or measure."""
    label = pl.col(plan.label_name)
    extremes = frame.group_by(SPLIT).agg(
        pl.len(), label.min().alias("least"), label.max().alias("most")
    )
    counts = {split: counts for split, *counts in extremes.iter_rows()}
    binary = frame.schema[plan.label_name] == pl.Int8
    for split in SPLITS:
        if split not in counts:
            now = f"(now {plan.split['validation']} and {plan.split['test']})"
            advice = f"shorten dataset.split.validation and dataset.split.test {now}"
            if split != "train":  # a month without rows, or a share of too few
                advice = f"widen dataset.split.{split} (now {plan.split[split]})"
            raise UserError(
                f"dataset.split: the {split} split is empty; {advice}, or bring more data"
            )
        rows, least, most = counts[split]
        if least != most:
            continue
        value = bool(most) if binary else "the same" if plan.is_classified(plan.label) else most
        if split != "train" and rows < FEW:
            later = ", or set `now` later" if plan.split["by"] == "time" else ""
            raise UserError(
                f"dataset.split: the {split} split has only {rows} rows, and '{plan.label_name}' "
                f"is {value} in all; widen dataset.split.{split} (now {plan.split[split]}){later}"
            )
        raise UserError(
            f"label '{plan.label_name}': all {rows:,} rows of the {split} split are "
            f"{value}; change the label in features.py or dataset.split"
        )


def _plain(series: pl.Series) -> pl.Series:
    """A feature in one of the four types that estimators are given."""
    dtype = series.dtype
    if dtype == pl.Boolean or dtype == pl.String:
        return series
    if dtype.is_integer():
        return series.cast(pl.Int64)
    if dtype.is_numeric() or dtype == pl.Null:
        number = series.cast(pl.Float64)
        # as after a division by 0; no estimator takes it
        return number if number.is_finite().all() else number.set(~number.is_finite(), None)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String)
    raise UserError(
        f"feature '{series.name}' must be a number, a text or true/false, got {dtype}; "
        "derive one in features.py, such as the hour of a time"
    )
