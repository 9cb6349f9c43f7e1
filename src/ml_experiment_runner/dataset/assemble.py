"""Assembles a dataset: the spine's rows with label, part and features, slice by slice."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.dataset import cache, expressions, join, split
from ml_experiment_runner.dataset.join import MOMENT
from ml_experiment_runner.dataset.plan import PART, Plan
from ml_experiment_runner.dataset.task_type import TaskType, task_type_of
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

PLACE = "place"  # of a row in the spine
SLICE = 4_000_000  # rows of the spine that are joined at once
FEW = 100  # fewer rows may well be of one class by chance
MOST_CLASSES = 100  # of more texts nobody means each as a class


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
    kept, rows, dropped = _base(plan, snapshots, stored.get(PART))
    missing = {name: each for name, each in plan.features.items() if name not in stored}
    if len(missing) < len(plan.features):
        log.info("%d of %d features are in the cache; computing %s", len(plan.features) -
                 len(missing), len(plan.features), ", ".join(missing) or "none")  # fmt: skip
    computed = _features(plan, snapshots, missing, kept, rows) if missing else pl.DataFrame()
    columns = [stored[name] if name in stored else computed[name] for name in plan.features]
    frame = pl.DataFrame(columns).hstack(rows)
    _check_parts(plan, frame)
    return frame, dropped


def _base(
    plan: Plan, snapshots: Mapping[str, Snapshot], part: pl.Series | None
) -> tuple[NDArray[np.bool_], pl.DataFrame, int]:
    """Which rows of the spine have a label; the moment, label and part of those."""
    needs = expressions.needs(plan.label)[plan.spine.name]
    if plan.moment is not None:
        needs |= expressions.needs(plan.moment)[plan.spine.name]
    if plan.split["by"] == "random":
        needs |= set(plan.spine.key)
    rows = _scan(plan, snapshots, plan.spine.name, needs).collect().with_row_index(PLACE)
    kept = np.zeros(rows.height, dtype=np.bool_)
    if plan.moment is not None:
        rows = _with_moment(plan, rows)
    label = _label(plan, rows)
    good = label.is_not_null()
    rows, label = rows.filter(good), label.filter(good)
    part = _part(plan, rows) if part is None else part
    moment = [] if plan.moment is None else [rows[MOMENT]]
    kept[rows[PLACE].to_numpy()] = True
    return kept, pl.DataFrame([*moment, label, part]), len(good) - len(label)


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
    found: list[pl.DataFrame] = []
    for start in range(0, len(kept), SLICE):
        chosen = kept[start : start + SLICE]
        if not chosen.any():
            continue
        part = spine.slice(start, SLICE).collect().filter(chosen)
        if plan.moment is not None:
            moment = rows[MOMENT].slice(sum(map(len, found)), part.height)
            part = part.with_columns(moment)
        joined = [
            join.Joined(
                window.at(part), plan.contracts[signal], plan.joins[signal], sorted(needs[signal])
            )
            for signal, window in windows.items()
        ]
        part = join.attach(part, plan.spine, joined)
        found.append(pl.DataFrame([*map(_plain, _computed(plan, part, "feature", wanted))]))
    return pl.concat(found)


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
        return rows.select(each.alias(name) for name, each in wanted.items())
    except pl.exceptions.PolarsError:
        for name, each in wanted.items():
            try:
                rows.select(each)
            except pl.exceptions.PolarsError as error:
                # what polars says may show values
                shown = "" if plan.is_classified(each) else f" ({expressions.first_line(error)})"
                raise UserError(
                    f"{what} '{name}' cannot be computed{shown}; correct it in features.py"
                ) from None
        raise


def _with_moment(plan: Plan, rows: pl.DataFrame) -> pl.DataFrame:
    """The spine's rows with their moment; those at or after `now` do not exist yet."""
    assert plan.moment is not None
    rows = rows.with_columns(_computed(plan, rows, "moment", {MOMENT: plan.moment})[MOMENT])
    dtype = rows.schema[MOMENT]
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        raise UserError(
            f"dataset.moment: it is of type {dtype}; it must be a time with a time zone, such as "
            f"pl.col('{plan.spine.name}.<a timestamp field>')"
        )
    if unknown := rows[MOMENT].null_count():
        raise UserError(f"dataset.moment: {unknown:,} rows of {plan.spine.name} have no moment; "
                        "use fields that are required")  # fmt: skip
    # in the time zone of the signals, or it could not be compared with theirs
    rows = rows.with_columns(pl.col(MOMENT).dt.cast_time_unit("us").dt.convert_time_zone("UTC"))
    if plan.now is not None:
        rows = rows.filter(pl.col(MOMENT) < plan.now)
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
            f"{place} is of type {label.dtype}; it must be a condition, such as "
            "pl.col('flights.arr_delay') >= 15, a text that names a class, or a number"
        )
    if label.dtype.is_float():  # as after a division by 0: nothing can be learned from it
        label = pl.select(pl.when(label.is_finite()).then(label)).to_series().alias(label.name)
    known = label.drop_nulls()
    if known.is_empty():
        raise UserError(f"{place}: no row has one; correct its expression in features.py")
    task_type = task_type_of(known)
    if task_type == TaskType.MULTICLASS:
        if (classes := known.n_unique()) > MOST_CLASSES:
            raise UserError(f"{place} has {classes:,} different texts, and each is a class; put "
                            f"them into at most {MOST_CLASSES} groups")  # fmt: skip
        return label
    return label.cast(pl.Int8 if task_type == TaskType.BINARY else pl.Float64)


def _part(plan: Plan, rows: pl.DataFrame) -> pl.Series:
    validation, test = plan.split["validation"], plan.split["test"]
    if plan.split["by"] == "time":
        return split.by_time(rows[MOMENT], validation, test, plan.spine.time_zone)
    keys = [rows[f"{plan.spine.name}.{name}"] for name in plan.spine.key]
    return split.at_random(keys, validation, test)


def _check_parts(plan: Plan, frame: pl.DataFrame) -> None:
    """Every part must have rows of two labels or more, or nothing can be learned or judged."""
    label = pl.col(plan.label_name)
    found = frame.group_by(PART).agg(
        pl.len(), label.min().alias("least"), label.max().alias("most")
    )
    counts = {part: counts for part, *counts in found.iter_rows()}
    binary = frame.schema[plan.label_name] == pl.Int8
    for part in split.PARTS:
        if part not in counts:
            now = f"(now {plan.split['validation']} and {plan.split['test']})"
            advice = f"shorten dataset.split.validation and dataset.split.test {now}"
            if part != "train":  # a month without rows, or a share of too few
                advice = f"widen dataset.split.{part} (now {plan.split[part]})"
            raise UserError(
                f"dataset.split: the {part} part is empty; {advice}, or bring more data"
            )
        rows, least, most = counts[part]
        if least != most:
            continue
        value = bool(most) if binary else "the same" if plan.is_classified(plan.label) else most
        if part != "train" and rows < FEW:
            later = ", or set `now` later" if plan.split["by"] == "time" else ""
            raise UserError(
                f"dataset.split: the {part} part has only {rows} rows, and '{plan.label_name}' is "
                f"{value} in all; widen dataset.split.{part} (now {plan.split[part]}){later}"
            )
        raise UserError(
            f"label '{plan.label_name}': all {rows:,} rows of the {part} part are "
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
        f"feature '{series.name}' is of type {dtype}; it must be a number, a text or true/false, "
        "such as the hour of a time"
    )
