"""The dataset: rows with features, label and part, found again by its fingerprint."""

import json
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from runner import project
from runner.config import read_moment
from runner.dataset import expressions, join, split
from runner.dataset.join import MOMENT
from runner.dataset.plan import PART, Plan, make_plan
from runner.errors import UserError
from runner.record.run import Run
from runner.signals import ingest, snapshot
from runner.signals.snapshot import Snapshot

log = logging.getLogger(__name__)

PLACE = "place"  # of a row in the spine
SLICE = 4_000_000  # rows of the spine that are joined at once
FEW = 100  # fewer rows may well be of one class by chance


@dataclass(frozen=True)
class Dataset:
    """Rows to learn from, in the order of the spine's key.

    Attributes:
        frame: Features, label (Int8), `part` and, where there is one, `moment`.
        fingerprint: Names everything that the rows depend on.
        features: Names of the feature columns: Float64, Int64, Boolean or String.
        label: Name of the label's column.
        snapshots: What was read, by signal.
        dropped: Rows left out because they have no label.
        periods: First and last moment of each part.
        classified: Features that read a classified field; their values may reach no record.
    """

    frame: pl.DataFrame
    fingerprint: str
    features: list[str]
    label: str
    snapshots: dict[str, Snapshot]
    dropped: int
    periods: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    classified: frozenset[str] = frozenset()

    def part(self, name: str) -> tuple[pl.DataFrame, NDArray[np.int8]]:
        """Features and label, 0 or 1, of `train`, `validation` or `test`."""
        rows = self.frame.filter(pl.col(PART) == name)
        return rows.select(self.features), rows[self.label].to_numpy()


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
    cache = project.root() / "data" / "cache" / f"{fingerprint}.parquet"
    found = _cached(cache)
    if found is None:
        with ingest.lock(project.root(), wait="another run assembles a dataset"):
            found = _cached(cache)
            if found is None:
                # under the lock nobody replaces a snapshot while it is read
                snapshots = ingest.ensure_received(plan.needs, run, plan.pins, read_moment(config))
                fingerprint = plan.fingerprint(snapshots)
                found = assemble(plan, snapshots, cache.parent)
                _keep(cache.with_stem(fingerprint), plan.columns(snapshots), *found)
    frame, dropped = found
    classified = _classified(plan, frame)
    if config.debug.rows:
        frame = _slice(frame, plan.label_name, config.debug.rows)
        fingerprint = f"{fingerprint}-{config.debug.rows}rows"
    if config.debug.overfit:  # a handful of these rows is learned, see train
        fingerprint = f"{fingerprint}-overfit"
    dataset = Dataset(
        frame, fingerprint, list(plan.features), plan.label_name, snapshots, dropped,
        _periods(frame), classified,
    )  # fmt: skip
    for notice in plan.notices.values():
        log.warning("%s", notice)
    for name in sorted(plan.pins.keys() - plan.needs):
        log.warning("dataset.pin.%s pins nothing: no feature of this dataset reads %s", name, name)
    if run is not None:
        _record(run, plan, dataset)
    return dataset


def _received(config: DictConfig, run: Run | None) -> tuple[Plan, dict[str, Snapshot]]:
    """The plan as signals stand now, and their snapshots."""
    plan, moment = make_plan(config, as_it_stands=True), read_moment(config)
    try:
        return plan, ingest.ensure_received(plan.needs, run, plan.pins, moment)
    except ingest.Held:  # on arrival; now that it is known, the contracts say what follows
        plan = make_plan(config, as_it_stands=True)
        return plan, ingest.ensure_received(plan.needs, run, plan.pins, moment)


def assemble(
    plan: Plan, snapshots: Mapping[str, Snapshot], cache: Path | None = None
) -> tuple[pl.DataFrame, int]:
    """The dataset's rows, and how many were left out because they have no label.

    Args:
        plan: What the dataset is made of.
        snapshots: The signals that it needs.
        cache: The folder of earlier datasets; a column that one of them has is not computed again.
    """
    stored = {} if cache is None else _stored(cache, plan.columns(snapshots))
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
    label = _computed(plan, rows, "label", {plan.label_name: plan.label})[plan.label_name]
    good = label.is_not_null()
    rows, label = rows.filter(good), _binary(plan, label.filter(good))
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
    plan: Plan, rows: pl.DataFrame, kind: str, wanted: Mapping[str, pl.Expr]
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
                    f"{kind} '{name}' cannot be computed{shown}; correct it in features.py"
                ) from None
        raise


def _classified(plan: Plan, frame: pl.DataFrame) -> frozenset[str]:
    """The features that read a classified field; none may be a text.

    Looked at again when the rows come from the cache: a field may be classified later.
    """
    names = [name for name, each in plan.features.items() if plan.is_classified(each)]
    for name in names:
        if frame.schema[name] == pl.String:
            raise UserError(
                f"feature '{name}' is a text from a classified field, and a model stores the texts "
                "it has learned.\nDerive a number or true/false from it in features.py, or leave "
                "it out of dataset.features."
            )
    return frozenset(names)


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


def _binary(plan: Plan, label: pl.Series) -> pl.Series:
    """The label as 0 and 1."""
    place = f"label '{plan.label_name}'"
    if label.dtype != pl.Boolean and not label.dtype.is_integer():
        raise UserError(f"{place} is of type {label.dtype}; it must be a condition, "
                        "such as pl.col('flights.arr_delay') >= 15")  # fmt: skip
    if label.is_empty():
        raise UserError(f"{place}: no row has one; correct its expression in features.py")
    number = label.cast(pl.Int64)
    if (others := number.filter(~number.is_between(0, 1))).len():
        shown = "" if plan.is_classified(plan.label) else f", such as {others[0]}"
        raise UserError(f"{place} has other values than 0 and 1{shown}; make it a condition")
    return number.cast(pl.Int8)


def _part(plan: Plan, rows: pl.DataFrame) -> pl.Series:
    validation, test = plan.split["validation"], plan.split["test"]
    if plan.split["by"] == "time":
        return split.by_time(rows[MOMENT], validation, test, plan.spine.time_zone)
    keys = [rows[f"{plan.spine.name}.{name}"] for name in plan.spine.key]
    return split.at_random(keys, validation, test)


def _check_parts(plan: Plan, frame: pl.DataFrame) -> None:
    """Every part must have rows of both classes, or nothing can be learned or judged."""
    label = pl.col(plan.label_name)
    found = frame.group_by(PART).agg(
        pl.len(), label.min().alias("least"), label.max().alias("most")
    )
    counts = {part: counts for part, *counts in found.iter_rows()}
    for part in split.PARTS:
        if part not in counts:
            raise UserError(
                f"dataset.split: the {part} part is empty; shorten dataset.split.validation and "
                f"dataset.split.test (now {plan.split['validation']} and {plan.split['test']}), "
                "or bring more data"
            )
        rows, least, most = counts[part]
        if least == most and part != "train" and rows < FEW:
            later = ", or set `now` later" if plan.split["by"] == "time" else ""
            raise UserError(
                f"dataset.split: the {part} part has only {rows} rows, and '{plan.label_name}' is "
                f"{bool(most)} in all; widen dataset.split.{part} (now {plan.split[part]}){later}"
            )
        if least == most:
            raise UserError(
                f"label '{plan.label_name}': all {rows:,} rows of the {part} part are "
                f"{bool(most)}; change the label in features.py or dataset.split"
            )


def _plain(series: pl.Series) -> pl.Series:
    """A feature in one of the four types that estimators are given."""
    dtype = series.dtype
    if dtype == pl.Boolean or dtype == pl.String:
        return series
    if dtype.is_integer():
        return series.cast(pl.Int64)
    if dtype.is_numeric() or dtype == pl.Null:
        return series.cast(pl.Float64)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String)
    raise UserError(
        f"feature '{series.name}' is of type {dtype}; it must be a number, a text or true/false, "
        "such as the hour of a time"
    )


def _slice(frame: pl.DataFrame, label: str, rows: int) -> pl.DataFrame:
    """A third of the rows from each part, spread evenly, with both classes in their shares."""
    places: list[int] = []
    each = max(2, rows // len(split.PARTS))
    index = np.arange(frame.height)
    for part in split.PARTS:
        inside = (frame[PART] == part).to_numpy()
        late = index[inside & (frame[label] == 1).to_numpy()]
        others = index[inside & (frame[label] == 0).to_numpy()]
        count = min(max(1, round(each * len(late) / inside.sum())), each - 1)
        for group, wanted in ((late, count), (others, each - count)):
            chosen = np.linspace(0, len(group) - 1, min(wanted, len(group))).round().astype(int)
            places += group[chosen].tolist()
    return frame[sorted(places)]


def _periods(frame: pl.DataFrame) -> dict[str, tuple[datetime, datetime]]:
    if MOMENT not in frame.columns:
        return {}
    span = frame.group_by(PART).agg(pl.min(MOMENT).alias("first"), pl.max(MOMENT).alias("last"))
    found = {row["part"]: (row["first"], row["last"]) for row in span.iter_rows(named=True)}
    return {part: found[part] for part in split.PARTS}


def _cached(path: Path) -> tuple[pl.DataFrame, int] | None:
    if not path.exists():
        return None
    try:
        return pl.read_parquet(path), int(pl.read_parquet_metadata(path)["dropped"])
    except (pl.exceptions.PolarsError, OSError, KeyError) as error:
        log.warning("the cached dataset %s is damaged (%s); assembling it again", path, error)
        path.unlink(missing_ok=True)
        return None


def _stored(cache: Path, wanted: Mapping[str, str]) -> dict[str, pl.Series]:
    """The columns of earlier datasets that depend on just the same."""
    found: dict[str, pl.Series] = {}
    for path in cache.glob("*.parquet"):
        try:
            theirs = json.loads(pl.read_parquet_metadata(path)["columns"])
            names = {
                name: theirs[key]
                for name, key in wanted.items()
                if key in theirs and name not in found
            }
            if names:
                frame = pl.read_parquet(path, columns=sorted(set(names.values())))
                found.update((name, frame[own].alias(name)) for name, own in names.items())
        except (pl.exceptions.PolarsError, OSError, KeyError) as error:
            # damaged, just removed, or written before columns were noted
            log.debug("nothing is taken from %s (%r)", path, error)
    return found


def _keep(path: Path, columns: Mapping[str, str], frame: pl.DataFrame, dropped: int) -> None:
    names = {key: name for name, key in columns.items()}
    notes = {"dropped": str(dropped), "columns": json.dumps(names)}
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(draft, compression="lz4", metadata=notes)
        draft.replace(path)
    except OSError as error:  # the run can go on without
        log.warning("the dataset cannot be cached in %s (%s)", path.parent, error)


def _record(run: Run, plan: Plan, dataset: Dataset) -> None:
    for name, each in dataset.snapshots.items():
        contract = plan.contracts[name]
        # a first run's .dvc files are younger than its commit and patch; rerun takes these
        for path in (each.file, each.file.with_suffix(".yaml")):
            if path.exists():
                data = plan.spine.root / "data"
                run.log_artifact(path, path.relative_to(data).as_posix())
        context = "spine" if contract is plan.spine else "joined"
        ingest.record(run, contract, each, context, sorted(plan.needs[name]))
    for name, notice in plan.notices.items():
        run.log_tag(name, notice)
    counts = dict(dataset.frame[PART].value_counts().iter_rows())
    run.log_params({f"rows.{part}": counts.get(part, 0) for part in split.PARTS})
    run.log_params({"rows.without_label": dataset.dropped})
    zone = ZoneInfo(plan.spine.time_zone)  # people read months as the spine's owner does
    facts: dict[str, Any] = {
        "fingerprint": dataset.fingerprint,
        "snapshots": {
            name: {"version": each.version, "md5": each.md5, "content": each.content}
            for name, each in dataset.snapshots.items()
        },
        "periods": {
            part: [moment.astimezone(zone).isoformat() for moment in (first, last)]
            for part, (first, last) in dataset.periods.items()
        },
    }
    for name, value in facts.items():
        run.log_provenance(f"dataset.{name}", value)
