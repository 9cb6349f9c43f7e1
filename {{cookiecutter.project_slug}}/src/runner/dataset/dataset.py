"""The dataset: rows with features, label and part, found again by its fingerprint."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from runner import project
from runner.config import read_now
from runner.dataset import expressions, join, split
from runner.dataset.join import MOMENT
from runner.errors import UserError
from runner.record.run import Run
from runner.signals import ingest, snapshot
from runner.signals.contract import Contract, read_contracts
from runner.signals.snapshot import Snapshot

PART = "part"
RECIPE = 1  # raise it when the same inputs would give other rows: caches of before are left alone

log = logging.getLogger(__name__)


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
    """

    frame: pl.DataFrame
    fingerprint: str
    features: list[str]
    label: str
    snapshots: dict[str, Snapshot]
    dropped: int
    periods: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)

    def part(self, name: str) -> tuple[pl.DataFrame, NDArray[np.int8]]:
        """Features and label, 0 or 1, of `train`, `validation` or `test`."""
        rows = self.frame.filter(pl.col(PART) == name)
        return rows.select(self.features), rows[self.label].to_numpy()


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a dataset's rows are, except the data itself."""

    contracts: dict[str, Contract]
    spine: Contract
    features: dict[str, pl.Expr]
    label_name: str
    label: pl.Expr
    moment: pl.Expr | None
    joins: dict[str, dict[str, str]]
    split: dict[str, str]
    now: datetime | None

    @property
    def needs(self) -> expressions.Needs:
        """Fields by signal."""
        used = [*self.features.values(), self.label]
        used += [] if self.moment is None else [self.moment]
        needs = expressions.together(map(expressions.needs, used))
        own = needs.setdefault(self.spine.name, set())
        own.update(self.spine.key)
        for signal, on in self.joins.items():
            contract = self.contracts[signal]
            own.update(on.values())
            needs[signal].update(on, [contract.event_time] if contract.event_time else [])
        return needs

    def fingerprint(self, snapshots: Mapping[str, Snapshot]) -> str:
        """The same for the same data and the same recipe, in every process."""
        recipe = {
            "recipe": RECIPE,
            "signals": {
                name: [each.version, each.content, str(self.contracts[name].delay),
                       str(self.contracts[name].freshness), self.contracts[name].time_zone]
                for name, each in snapshots.items()
            },
            "spine": self.spine.name,
            "features": [[name, expressions.text(each)] for name, each in self.features.items()],
            "label": [self.label_name, expressions.text(self.label)],
            "moment": None if self.moment is None else expressions.text(self.moment),
            "joins": self.joins,
            "split": self.split,
            "now": self.now.isoformat() if self.now else None,
        }  # fmt: skip
        text = json.dumps(recipe, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def load_dataset(config: DictConfig, run: Run | None = None) -> Dataset:
    """The dataset that a configuration describes; receives its signals if they are not here.

    Args:
        config: The composed configuration.
        run: Where the signals that were read are recorded; None in a notebook.

    Raises:
        UserError: The data cannot give what the configuration asks for; says what to change.
    """
    plan = make_plan(config)
    snapshots = ingest.ensure_received(config, run, plan.needs)
    fingerprint = plan.fingerprint(snapshots)
    cache = project.root() / "data" / "cache" / f"{fingerprint}.parquet"
    found = _cached(cache)
    if found is None:
        with ingest.lock(project.root(), wait="another run assembles a dataset"):
            found = _cached(cache)
            if found is None:
                # under the lock nobody replaces a snapshot while it is read
                snapshots = ingest.ensure_received(config, run, plan.needs)
                fingerprint = plan.fingerprint(snapshots)
                found = assemble(plan, snapshots)
                _keep(cache.with_stem(fingerprint), *found)
    frame, dropped = found
    if config.debug.rows:
        frame = _slice(frame, plan.label_name, config.debug.rows)
        fingerprint = f"{fingerprint}-{config.debug.rows}rows"
    dataset = Dataset(
        frame, fingerprint, list(plan.features), plan.label_name, snapshots, dropped,
        _periods(frame),
    )  # fmt: skip
    if run is not None:
        _record(run, plan, dataset)
    return dataset


def make_plan(config: DictConfig) -> Plan:
    """Reads contracts, expressions and configuration, and checks that they fit together.

    Raises:
        UserError: Names the key or the feature that does not fit.
    """
    contracts = read_contracts(project.root())
    chosen = config.dataset
    known = expressions.load(config.package)
    spine = ingest.known(contracts, chosen.spine)
    names = list(chosen.features)
    if not names:
        raise UserError("dataset.features: there is none; name some of FEATURES in features.py")
    for position, name in enumerate(names):
        if name in names[:position]:
            raise UserError(f"dataset.features: '{name}' stands twice; remove one")
        if name in (chosen.label, PART, MOMENT):
            raise UserError(f"dataset.features: '{name}' is taken; call the feature otherwise")
    features = {
        name: expressions.choose(known.features, name, "dataset.features") for name in names
    }
    label = expressions.choose(known.labels, chosen.label, "dataset.label")
    moment = None
    if chosen.get("moment") is not None:
        moment = expressions.choose(known.moments, chosen.moment, "dataset.moment")
    elif spine.event_time is not None:
        moment = pl.col(f"{spine.name}.{spine.event_time}")
    for name, each in features.items():
        expressions.check(f"feature '{name}'", each, contracts, may_know_after=False)
    expressions.check(f"label '{chosen.label}'", label, contracts, may_know_after=True)
    own = {f"label '{chosen.label}'": label}
    if moment is not None:
        expressions.check(f"moment '{chosen.moment}'", moment, contracts, may_know_after=False)
        own[f"moment '{chosen.moment}'"] = moment
    for place, each in own.items():
        if other := set(expressions.needs(each)) - {spine.name}:
            raise UserError(f"{place} uses the signal '{min(other)}'; it may only use the fields "
                            f"of the spine, {spine.name}")  # fmt: skip
    used = expressions.together(map(expressions.needs, features.values()))
    joins: dict[str, dict[str, str]] = {}
    for signal in sorted(set(used) - {spine.name}):
        if signal not in chosen.joins:
            raise UserError(
                f"dataset.joins: features use '{signal}' and nothing says how its row is found; "
                f"write dataset.joins.{signal}: {{<key field>: <field of {spine.name}>}}"
            )
        joins[signal] = {str(key): str(value) for key, value in chosen.joins[signal].items()}
        join.check(spine, contracts[signal], joins[signal])
    now = read_now(config)
    if moment is None and (now is not None or chosen.split.by == "time"):
        key = "dataset.split.by: time" if now is None else "now"
        raise UserError(f"{key} needs a moment, and {spine.name} has no event time; "
                        "name one of MOMENTS as dataset.moment, or split by random")  # fmt: skip
    parts = OmegaConf.to_container(chosen.split)
    assert isinstance(parts, dict)
    return Plan(
        contracts, spine, features, chosen.label, label, moment, joins,
        {str(key): str(value) for key, value in parts.items()}, now,
    )  # fmt: skip


def assemble(plan: Plan, snapshots: Mapping[str, Snapshot]) -> tuple[pl.DataFrame, int]:
    """The dataset's rows, and how many were left out because they have no label."""
    rows = _read(plan, snapshots, plan.spine.name)
    if plan.moment is not None:
        rows = _with_moment(plan, rows)
    label = rows.select(plan.label.alias(plan.label_name))[plan.label_name]
    good = label.is_not_null()
    rows, label = rows.filter(good), _binary(plan, label.filter(good))
    part = _part(plan, rows)
    for signal, on in plan.joins.items():
        other = _read(plan, snapshots, signal)
        rows = join.attach(rows, plan.spine, other, plan.contracts[signal], on)
    columns = rows.select(
        *(each.alias(name) for name, each in plan.features.items()),
        *([] if plan.moment is None else [pl.col(MOMENT)]),
    )
    plain = [_plain(columns[name]) for name in plan.features]
    frame = columns.with_columns(*plain, label, part)
    _check_parts(plan, frame)
    return frame, len(good) - int(good.sum())


def _read(plan: Plan, snapshots: Mapping[str, Snapshot], signal: str) -> pl.DataFrame:
    fields = [name for name in plan.contracts[signal].names if name in plan.needs[signal]]
    return (
        snapshot.scan(snapshots[signal])
        .select(pl.col(name).alias(f"{signal}.{name}") for name in fields)
        .collect()
    )


def _with_moment(plan: Plan, rows: pl.DataFrame) -> pl.DataFrame:
    """The spine's rows with their moment; those at or after `now` do not exist yet."""
    assert plan.moment is not None
    rows = rows.with_columns(plan.moment.alias(MOMENT))
    dtype = rows.schema[MOMENT]
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        raise UserError(
            f"dataset.moment: it is of type {dtype}; it must be a time with a time zone, such as "
            f"pl.col('{plan.spine.name}.<a timestamp field>')"
        )
    if unknown := rows[MOMENT].null_count():
        raise UserError(f"dataset.moment: {unknown:,} rows of {plan.spine.name} have no moment; "
                        "use fields that are required")  # fmt: skip
    rows = rows.with_columns(pl.col(MOMENT).dt.cast_time_unit("us"))
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
    if not number.is_between(0, 1).all():
        raise UserError(f"{place} has values from {number.min()} to {number.max()}; "
                        "it must be 0 or 1, or true or false")  # fmt: skip
    return number.cast(pl.Int8)


def _part(plan: Plan, rows: pl.DataFrame) -> pl.Series:
    validation, test = plan.split["validation"], plan.split["test"]
    if plan.split["by"] == "time":
        return split.by_time(rows[MOMENT], validation, test, plan.spine.time_zone)
    keys = [rows[f"{plan.spine.name}.{name}"] for name in plan.spine.key]
    return split.at_random(keys, validation, test)


def _check_parts(plan: Plan, frame: pl.DataFrame) -> None:
    """Every part must have rows of both classes, or nothing can be learned or judged."""
    for part in split.PARTS:
        label = frame.filter(pl.col(PART) == part)[plan.label_name]
        if label.is_empty():
            raise UserError(
                f"dataset.split: the {part} part is empty; shorten dataset.split.validation and "
                f"dataset.split.test (now {plan.split['validation']} and {plan.split['test']}), "
                "or bring more data"
            )
        if label.n_unique() < 2:
            raise UserError(
                f"label '{plan.label_name}': all {len(label):,} rows of the {part} part are "
                f"{bool(label[0])}; change the label in features.py or dataset.split"
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


def _keep(path: Path, frame: pl.DataFrame, dropped: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    frame.write_parquet(draft, compression="lz4", metadata={"dropped": str(dropped)})
    draft.replace(path)


def _record(run: Run, plan: Plan, dataset: Dataset) -> None:
    needs = plan.needs
    for name, each in dataset.snapshots.items():
        contract = plan.contracts[name]
        run.log_dataset(
            name,
            each.version,
            each.md5,
            contract.source,
            each.rows,
            "spine" if contract is plan.spine else "joined",
            {field: contract.field(field).type for field in sorted(needs[name])},
        )
    counts = dict(dataset.frame[PART].value_counts().iter_rows())
    run.log_params({f"rows.{part}": counts.get(part, 0) for part in split.PARTS})
    run.log_params({"rows.without_label": dataset.dropped})
    facts: dict[str, Any] = {
        "fingerprint": dataset.fingerprint,
        "snapshots": {
            name: {"version": each.version, "md5": each.md5, "content": each.content}
            for name, each in dataset.snapshots.items()
        },
        "periods": {
            part: [first.isoformat(), last.isoformat()]
            for part, (first, last) in dataset.periods.items()
        },
    }
    for name, value in facts.items():
        run.log_provenance(f"dataset.{name}", value)
