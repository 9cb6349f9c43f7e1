"""What an observer finds who knows the future: how much can be found at one false hold in 36.

A fault is visible if it can be told from its own clean twin, which nobody has. A table that is
restless by itself hides it all the same. So `hindsight.py TRIALS.jsonl` asks an observer about the
trials of `run.py --save`, who has what no method has:

- all clean deliveries of the table, those of the future, too: of each metric how far it ever was
  from its median, from the delivery before and from that of a year ago;
- the name of the field that is broken: other fields' metrics need not be looked at;
- the limits that are best for each field: metric by metric the furthest that any other clean
  delivery was, times the factor with which this field alone holds 1 in 36 of the table's clean
  deliveries, whatever the other fields hold.

Metrics are of rows, days, hours, weekdays and copies; of a field's missing values, mean, spread,
quantiles, zeros, signs, frequent values, steps, digits, codes, texts, and of what it has to do with
others: rank correlations, variance between codes, means at places, sums and products.
"""

import argparse
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import report
import run
import tables
from faults import FAULTS, faults
from inject import inject, is_chain
from injection import decimals
from numpy.typing import NDArray
from scipy import stats
from truth import CHARACTERS

ROWS = ""  # the field of what concerns whole rows
FEW = 10  # values that a metric needs
CODES = 20  # of a field, the most frequent of the whole table
OTHERS = 8  # fields that a field is compared with
SEASON = 12
HELD = 36  # clean deliveries of which one is held
LEAST = 0.03  # of an angle, a logarithm or a standard deviation: what is less is no difference

Metrics = dict[tuple[str, str], float]
Array = NDArray[np.float64]


def metrics(table: tables.Table, rows: pl.DataFrame) -> Metrics:
    """Of a delivery, by field and name."""
    found: Metrics = {}

    def put(field: str, name: str, value: float) -> None:
        if np.isfinite(value):
            found[field, name] = float(value)

    numbers = {name: _numbers(rows[name]) for name in table.types if _is_number(rows, name)}
    _of_rows(table, rows, put)
    for name in table.types:
        put(name, "null", _angle(rows[name].null_count() / max(rows.height, 1)))
        if name in numbers:
            _of_number(table, rows, name, numbers, put)
        elif rows.schema[name] == pl.String:
            _of_text(table, rows[name], name, put)
    return found


def _is_number(rows: pl.DataFrame, name: str) -> bool:
    return rows.schema[name].is_numeric() or rows.schema[name] == pl.Boolean


def _numbers(values: pl.Series) -> Array:
    numbers: Array = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return numbers


def _angle(share: float) -> float:
    """A share on a scale on which chance moves small and large ones alike."""
    return float(2 * np.arcsin(np.sqrt(min(max(share, 0.0), 1.0))))


Put = Callable[[str, str, float], None]


def _of_rows(table: tables.Table, rows: pl.DataFrame, put: Put) -> None:
    event = str(table.contract.event_time)
    local = rows[event].dt.convert_time_zone(table.contract.time_zone)
    days, hours, weekdays = local.dt.date(), local.dt.hour(), local.dt.weekday()
    put(ROWS, "rows", np.log(max(rows.height, 1)))
    put(ROWS, "days", np.log(max(days.n_unique(), 1)))
    put(ROWS, "hours", np.log(max(local.dt.truncate("1h").n_unique(), 1)))
    contents = [
        name for name, kind in table.types.items()
        if kind not in ("identifier", "event time") and name not in table.contract.key
    ]  # fmt: skip
    if contents:
        put(ROWS, "copies", _angle(float(rows.select(contents).is_duplicated().mean() or 0.0)))
        put(ROWS, "copies at a time",
            _angle(float(rows.select(*contents, event).is_duplicated().mean() or 0.0)))  # fmt: skip
    for place in table.places[:2]:
        put(ROWS, f"different {place}", np.log(max(rows[place].n_unique(), 1)))
    for field in (ROWS, event):
        for hour in range(24):
            put(field, f"hour {hour}", _angle(float((hours == hour).mean() or 0.0)))
        for weekday in range(1, 8):
            put(field, f"weekday {weekday}", _angle(float((weekdays == weekday).mean() or 0.0)))
    put(event, "full hours", _angle(float((local.dt.minute() == 0).mean() or 0.0)))


def _of_number(
    table: tables.Table, rows: pl.DataFrame, name: str, numbers: Mapping[str, Array], put: Put
) -> None:
    values = numbers[name]
    known = values[~np.isnan(values)]
    if len(known) < FEW:
        return
    _, counts = np.unique(known, return_counts=True)
    scale = _scale(table.name, name)
    put(name, "mean", known.mean() / scale)
    put(name, "spread", np.log(known.std() / scale + LEAST))
    for share in (0.02, 0.05, 0.25, 0.5, 0.75, 0.95, 0.98):
        put(name, f"quantile {share}", float(np.quantile(known, share)) / scale)
    put(name, "extreme", np.log(np.abs(known - np.median(known)).max() / scale + LEAST))
    put(name, "0", _angle((known == 0).mean()))
    put(name, "below 0", _angle((known < 0).mean()))
    put(name, "most frequent", _angle(counts.max() / len(known)))
    put(name, "different", np.log(len(counts)))
    step = 10.0 ** -(decimals(table, name) or 0)
    for steps in (5, 10):
        whole = np.abs(known / (step * steps) - np.round(known / (step * steps))) < 1e-3
        put(name, f"multiples of {steps}", _angle(whole.mean()))
    _of_course(table, rows, name, values, put)
    _with_numbers(name, numbers, put)
    _with_codes(table, rows, name, values, put)
    _of_identities(table, name, numbers, put)


def _of_course(table: tables.Table, rows: pl.DataFrame, name: str, values: Array, put: Put) -> None:
    order = rows.select(pl.arg_sort_by([*table.places, str(table.contract.event_time)]))
    steps = np.diff(values[order.to_series().to_numpy()])
    steps = steps[~np.isnan(steps)]
    if len(steps) >= FEW:
        put(name, "steps", np.log(np.abs(steps).mean() / _scale(table.name, name) + LEAST))
        put(name, "equal", _angle((steps == 0).mean()))


def _with_numbers(name: str, numbers: Mapping[str, Array], put: Put) -> None:
    for other in [each for each in numbers if each != name][:OTHERS]:
        both = ~np.isnan(numbers[name]) & ~np.isnan(numbers[other])
        first, second = numbers[name][both], numbers[other][both]
        if len(first) >= FEW and np.ptp(first) and np.ptp(second):
            put(name, f"with {other}", stats.spearmanr(first, second)[0])


def _with_codes(
    table: tables.Table, rows: pl.DataFrame, name: str, values: Array, put: Put
) -> None:
    there = ~np.isnan(values)
    known = values[there]
    coded = [each for each in table.types if table.types[each] in ("code", "flag") and each != name]
    for other in coded[:OTHERS]:
        codes = rows[other].cast(pl.String).fill_null("").rank("dense").to_numpy()[there]
        sums, sizes = np.bincount(codes, known), np.bincount(codes)
        between = float((sums**2 / np.maximum(sizes, 1)).sum() / len(known) - known.mean() ** 2)
        for field in (name, other):
            put(field, f"between {other} {name}", between / (known.var() + 1e-9))
    for place in table.places[:2]:
        labels = rows[place].cast(pl.String).to_numpy()
        for code in _frequent(table.name, place)[:10]:
            mine = (labels == code) & there
            if mine.sum() >= FEW:
                for field in (name, place):
                    put(field, f"{name} at {code}", values[mine].mean() / _scale(table.name, name))


def _of_identities(table: tables.Table, name: str, numbers: Mapping[str, Array], put: Put) -> None:
    for kind, each in (("sum", table.sums), ("product", table.products)):
        for fields in each:
            if name == fields[0]:
                first, *others = (numbers[field] for field in fields)
                total = np.sum(others, axis=0) if kind == "sum" else np.prod(others, axis=0)
                holds = _angle(float((np.abs(first - total) < 0.02).mean()))
                for field in fields:
                    put(field, f"{kind} of {name}", holds)


@functools.cache
def _scale(name: str, field: str) -> float:
    """The standard deviation of a number in the whole table, its outermost values cut."""
    values = _numbers(tables.load(name).rows[field].drop_nulls())
    return float(values.clip(*np.quantile(values, [0.005, 0.995])).std()) or 1.0


@functools.cache
def _frequent(name: str, field: str) -> list[str]:
    counts = tables.load(name).rows[field].cast(pl.String).drop_nulls().value_counts(sort=True)
    return list(counts[field].head(CODES))


def _of_text(table: tables.Table, values: pl.Series, name: str, put: Put) -> None:
    known = values.drop_nulls()
    if len(known) < FEW:
        return
    put(name, "different", np.log(max(known.n_unique(), 1)))
    put(name, "length", float(known.str.len_chars().mean() or 0.0))
    for pattern in CHARACTERS:
        put(name, pattern, _angle(float(known.str.contains(pattern).mean() or 0.0)))
    rest = 1.0
    for code in _frequent(table.name, name):
        share = float((known == code).mean() or 0.0)
        put(name, f"code {code}", _angle(share))
        rest -= share
    put(name, "other codes", _angle(rest))


class Observer:
    """What is usual of a table, with all of its clean deliveries known.

    Args:
        clean: Of each delivery.
    """

    def __init__(self, clean: Sequence[Metrics]) -> None:
        self.keys = sorted({key for each in clean for key in each})
        self.values = np.array([[each.get(key, np.nan) for key in self.keys] for each in clean])
        ratios = np.array([self._ratios(at, self.values[at]) for at in range(len(clean))])
        self.factors = {}
        for name in {field for field, _ in self.keys}:
            mine = np.array([field == name for field, _ in self.keys])
            worst = np.sort(ratios[:, mine].max(axis=1))[::-1]
            self.factors[name] = float(worst[min(len(worst) // HELD, len(worst) - 1)])

    def is_beyond(self, at: int, now: Metrics, fields: set[str]) -> bool:
        """Whether a metric of these fields is further off than the table's limits allow."""
        values = np.array([now.get(key, np.nan) for key in self.keys])
        ratios = self._ratios(at, values)
        mine = np.array([field in fields for field, _ in self.keys])
        gone = mine & np.isnan(values) & ~np.isnan(self.values).any(axis=0)
        factors = np.array([self.factors[field] for field, _ in self.keys])
        return bool(gone.any() or (ratios > factors)[mine].any())

    def _ratios(self, at: int, values: Array) -> Array:
        """How far each metric of a delivery is off, times the furthest of all other deliveries."""
        others = np.arange(len(self.values)) != at
        ratios = np.zeros(len(self.keys))
        for expected, usual in self._expected(at):
            off = np.abs(values - expected)
            furthest = _largest(np.abs(self.values - usual)[others])
            ratios = np.fmax(ratios, off / (furthest + LEAST))
        return ratios

    def _expected(self, at: int) -> Iterator[tuple[Array, Array]]:
        """What a delivery may be expected to have, and what was so of each."""
        others = np.delete(self.values, at, axis=0)
        median = _median(others)
        yield median, median[None]
        for lag in (1, SEASON):
            before = np.full(self.values.shape, np.nan)
            before[lag:] = self.values[:-lag]
            if at >= lag:
                yield before[at], before


def _largest(values: Array) -> Array:
    largest: Array = np.where(np.isnan(values), 0.0, values).max(axis=0)
    return largest


def _median(values: Array) -> Array:
    with np.errstate(all="ignore"):
        filled = np.ma.masked_invalid(values)
        median: Array = np.ma.median(filled, axis=0).filled(np.nan)
    return median


def found_of(name: str, seed: int, trials: list[report.Trial]) -> list[report.Trial]:
    """A table's visible faults, each with whether the observer finds it."""
    table = tables.load(name)
    listed = run.all_deliveries(name, "month")[: 2 + FAULTS["months"]]
    at = {each.number: place for place, each in enumerate(listed)}
    observer = Observer([metrics(table, each.rows) for each in listed])
    asked = {(each["number"], _key(each["fault"])): each for each in trials}
    found = []
    for delivery in listed:
        for number, fault in enumerate(faults(table, [seed, delivery.number])):
            key = delivery.number, _key(json.loads(json.dumps(asdict(fault), default=str)))
            if key not in asked or is_chain(fault):
                continue
            rows = inject(delivery, delivery.rows, fault, [seed, delivery.number, number])
            now = metrics(table, rows) if rows.height else {}
            fields = {fault.field or ROWS, *fault.also}
            seen = observer.is_beyond(at[delivery.number], now, fields)
            found.append(asked[key] | {"seen": seen, "clean_rows": delivery.rows.height})
    return found


def _key(fault: Mapping[str, Any]) -> str:
    return json.dumps(fault, sort_keys=True)


def page(found: Sequence[report.Trial]) -> str:
    """The section in Markdown."""
    lines = [
        "## How much can be found at all", "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(), "",
        "| rows of a delivery | visible faults | found with hindsight | held by this template |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for name, low, high in (("all", 0, 10**9), *report.SIZES):
        mine = [each for each in found if low <= each["clean_rows"] < high]
        lines.append(
            f"| {name} | {len(mine)} | {report.share(mine, lambda each: each['seen'])} "
            f"| {report.share(mine, lambda each: each['held'])} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Asks the observer about the trials of a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path, help="as run.py --save writes them")
    parser.add_argument("--seed", type=int, required=True, help="of those trials")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    trials = [json.loads(line) for line in arguments.trials.read_text("utf-8").splitlines()]
    asked = [each for each in trials if each["fault"] and each["visible"]]
    names = [name for name in tables.NAMES if any(each["table"] == name for each in asked)]
    with ProcessPoolExecutor(2) as pool:
        jobs = [
            pool.submit(found_of, name, arguments.seed,
                        [each for each in asked if each["table"] == name])
            for name in names
        ]  # fmt: skip
        found = [each for job in jobs for each in job.result()]
    text = page(found)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
