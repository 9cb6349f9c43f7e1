"""Pictures of two fields together, before and in the delivery."""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.drift.rows import Flags, Numbers, Rows, decimals
from ml_experiment_runner.signals.ingestion.hold_rows import RowsToDraw, named_in
from ml_experiment_runner.signals.snapshots.profile import show

POINTS = 500  # of each that are drawn
BINS, MOST_ROWS = 5, 8  # groups across and down
MOST_FIELDS = 24  # that are looked at for the one whose relation has changed most
MANY = 12  # different numbers; fewer are looked at one by one
MISSING = "no value"
FITS = 1e-4  # of a number that may be between it and what it follows from, beside rounding
EXCEPTIONS = 0.1  # rows of the past for which a formula need not hold
BROKEN = 0.003  # rows of the delivery, beyond these, for which it does not
MOST_TERMS = 10  # numbers that a formula is sought for
FEWEST = 20  # rows that tell whether one holds


class Scatter(NamedTuple):
    """Two numbers of some rows.

    Attributes:
        caption: What they are.
        names: What is across, and what is up.
        before: Numbers by row, of shape (rows, 2).
        delivery: The same of the delivery.
    """

    caption: str
    names: tuple[str, str]
    before: Numbers
    delivery: Numbers


class Heatmap(NamedTuple):
    """How the rows of each group of one field are parted by another field.

    Attributes:
        caption: What it shows.
        names: The field across and the one down.
        across: Groups of the one.
        down: Groups of the other.
        before: Shares in %, which add up to 100 in each row.
        delivery: The same of the delivery.
    """

    caption: str
    names: tuple[str, str]
    across: list[str]
    down: list[str]
    before: Numbers
    delivery: Numbers


def together(data: RowsToDraw, name: str, message: str) -> Scatter | Heatmap | None:
    """A field and the one that the message names, or whose relation to it has changed most."""
    rows = data.rows
    fields = [field for field in (*rows.numbers, *rows.categories, *rows.texts)
              if field in data.shown and field != name]  # fmt: skip
    fields = list(dict.fromkeys(fields))
    partners = named_in(message, fields) or fields[:MOST_FIELDS]
    if not partners:
        return None
    partner = max(partners, key=lambda other: _moved(data, name, other))
    if all(_is_quantity(rows, field) for field in (name, partner)):
        return scatter(data, (partner, rows.numbers[partner]), (name, rows.numbers[name]))
    return heatmap(data, name, partner)


def formula(data: RowsToDraw, name: str, message: str) -> Scatter | Heatmap | None:
    """How far a number is from the product, quotient, sum or rest of others that it was."""
    rows = data.rows
    numbers = [field for field in rows.numbers
               if field in data.shown and _is_quantity(rows, field)]  # fmt: skip
    if name not in numbers:
        return together(data, name, message)
    named = named_in(message, numbers)
    candidates = list(dict.fromkeys([name, *(named if len(named) > 1 else numbers)]))[:MOST_TERMS]
    samples = [np.flatnonzero(mask)[:: max(1, int(mask.sum()) // POINTS)] for mask in data.masks]
    best: tuple[float, str, Formula] | None = None
    for target in candidates:
        others = [field for field in candidates if field != target]
        for each in _formulas(others):
            if name not in (target, *each.terms):
                continue
            wrong = [_wrong(rows, each, target, sample) for sample in samples]
            broken = wrong[1] - wrong[0]
            if wrong[0] > EXCEPTIONS or broken <= BROKEN:
                continue
            broken += target == name  # what is blamed goes up, if there is a choice
            if best is None or broken > best[0]:
                best = (broken, target, each)
    if best is None:
        return together(data, name, message)
    _, target, found = best
    expected = found.values(rows.numbers)
    rest = f"{target} less {found.label}"
    picture = scatter(data, (found.label, expected), (rest, rows.numbers[target] - expected))
    unit = data.contract.field(target).unit
    if picture is not None and unit:
        picture = picture._replace(names=(f"{found.label} in {unit}", f"{rest}, in {unit}"))
    return picture


class Formula(NamedTuple):
    """Numbers that are computed from others.

    Attributes:
        terms: The others.
        operator: What is between them.
    """

    terms: tuple[str, ...]
    operator: str

    @property
    def label(self) -> str:
        """The formula as a person writes it."""
        text = f" {self.operator} ".join(self.terms)
        return f"({text})" if self.operator in "+-" and len(self.terms) > 1 else text

    def values(self, numbers: Mapping[str, Numbers], at: Any = slice(None)) -> Numbers:
        """Its numbers; NaN where there is none."""
        functions = {"*": np.multiply, "/": np.divide, "+": np.add, "-": np.subtract}
        with np.errstate(all="ignore"):
            values = functools.reduce(
                functions[self.operator], (numbers[name][at] for name in self.terms)
            )
        found: Numbers = np.where(np.isfinite(values), values, np.nan)
        return found


def _formulas(others: Sequence[str]) -> Iterator[Formula]:
    """The formulas of one, two and all of some numbers."""
    for name in others:
        yield Formula((name,), "+")
    for pair in itertools.combinations(others, 2):
        yield from (Formula(pair, operator) for operator in "*+")
        yield from (Formula(each, operator) for each in (pair, pair[::-1]) for operator in "/-")
    if len(others) > 2:
        yield Formula(tuple(others), "+")


def _wrong(rows: Rows, formula_of: Formula, target: str, sample: NDArray[np.int64]) -> float:
    """The share of some rows in which a number does not follow from others."""
    values, numbers = formula_of.values(rows.numbers, sample), rows.numbers[target][sample]
    there = ~(np.isnan(values) | np.isnan(numbers))
    if there.sum() < FEWEST:
        return 1.0
    count = decimals(numbers[there])
    rounded = 0.0 if count is None else 0.6 * 10.0**-count
    off = np.abs(values - numbers)[there] > FITS * np.abs(numbers[there]) + rounded
    return float(off.mean())


def scatter(
    data: RowsToDraw, across: tuple[str, Numbers], up: tuple[str, Numbers]
) -> Scatter | None:
    """Two numbers of some rows of before and of the delivery."""
    both = np.stack([across[1], up[1]], axis=1)
    parts = [_some(both[mask & ~np.isnan(both).any(axis=1)]) for mask in data.masks]
    if not all(map(len, parts)):
        return None
    parts = _without_outliers(parts[0], parts[1])
    names = tuple(_with_unit(data, name) for name in (across[0], up[0]))
    caption = f"{up[0]} (up) by {across[0]} (across){data.before}"
    return Scatter(caption, (names[0], names[1]), parts[0], parts[1])


def _some(points: Numbers) -> Numbers:
    if len(points) > POINTS:
        return points[np.random.default_rng(0).choice(len(points), POINTS, replace=False)]
    return points


def _without_outliers(before: Numbers, delivery: Numbers) -> list[Numbers]:
    """Both, cut where one of a hundred points would make the others a dot."""
    ends = [np.quantile(part, (0.01, 0.99), axis=0) for part in (before, delivery)]
    low, high = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
    room = high - low
    return [np.clip(part, low - room / 4, high + room / 4) for part in (before, delivery)]


def heatmap(data: RowsToDraw, name: str, given: str) -> Heatmap | None:
    """How a field's groups are parted, for the groups of another one that have changed most."""
    across, columns = _groups(data, name, BINS)
    down, lines = _groups(data, given, 200)
    tables = []
    for mask in data.masks:
        cells = np.bincount(lines[mask] * len(across) + columns[mask],
                            minlength=len(down) * len(across))  # fmt: skip
        tables.append(cells.reshape(len(down), len(across)).astype(np.float64))
    rows = [table.sum(axis=1) for table in tables]
    shares = [100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1) for table in tables]
    there = np.flatnonzero((rows[0] > 0) & (rows[1] > 0))
    if not len(there):
        return None
    moved = np.abs(shares[1] - shares[0]).sum(axis=1) * np.sqrt(rows[1] + rows[0])
    chosen = np.sort(there[np.argsort(-moved[there])][:MOST_ROWS])
    used = (shares[0][chosen] > 0).any(axis=0) | (shares[1][chosen] > 0).any(axis=0)
    return Heatmap(
        f"{name} (across) for each {given} (down): shares in % of the row{data.before}",
        (_with_unit(data, name), _with_unit(data, given)),
        [label for label, kept in zip(across, used, strict=True) if kept],
        [down[place] for place in chosen],
        shares[0][chosen][:, used], shares[1][chosen][:, used],
    )  # fmt: skip


def absence(data: RowsToDraw, name: str, message: str) -> Heatmap | None:
    """What another field is like where this one is missing and where it is not."""
    others = named_in(message, [field for field in data.rows.numbers
                                if field in data.shown and field != name])  # fmt: skip
    return heatmap(data, others[0], name) if others else None


def _groups(data: RowsToDraw, name: str, most: int) -> tuple[list[str], Numbers]:
    """Names of groups, and by row the group's number; the last are those without a value."""
    rows = data.rows
    if _is_quantity(rows, name):
        values = rows.numbers[name]
        there = values[~np.isnan(values)]
        bounds = np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]))
        texts = [show(bound, "number") for bound in bounds]
        names = [f"< {texts[0]}",
                 *(f"{low} to {high}" for low, high in itertools.pairwise(texts)),
                 f"≥ {texts[-1]}"]  # fmt: skip
        group = np.searchsorted(bounds, values, side="right")
        group = np.where(np.isnan(values), len(names), group)
    else:
        codes = rows.frame[name].cast(pl.String)
        # the delivery's as well as the past's, of which there are more
        counted = [
            codes.filter(pl.Series(mask)).drop_nulls().value_counts(sort=True, name="\0rows")[name]
            for mask in data.masks
        ]
        pairs = itertools.zip_longest(*(each.head(most).to_list() for each in counted))
        known = [code for code in dict.fromkeys(itertools.chain(*pairs)) if code is not None][:most]
        names = [shorten(code, 12) for code in known] + ["others"]
        group = rows.code_numbers(name, known)
        group = np.where(group < 0, len(names), group)
    return [*names, MISSING], group.astype(np.int64)


def _is_quantity(rows: Rows, name: str) -> bool:
    return name in rows.numbers and len(np.unique(rows.known(name))) > MANY


def _moved(data: RowsToDraw, name: str, other: str) -> float:
    """How much of the rows is elsewhere in the table of both than their own changes explain."""
    tables = []
    (names, first), (others, second) = (_groups(data, field, 30) for field in (name, other))
    for mask in data.masks:
        cells = np.bincount(first[mask] * len(others) + second[mask],
                            minlength=len(names) * len(others))  # fmt: skip
        table = cells.reshape(len(names), len(others)) / max(int(mask.sum()), 1)
        tables.append(table - table.sum(axis=1, keepdims=True) * table.sum(axis=0))
    return float(np.abs(tables[1] - tables[0]).sum())


def restated(data: RowsToDraw, name: str) -> Scatter | Heatmap | None:
    """What recorded rows had in a field, and what they have now."""
    if data.changed is None or name not in data.shown:
        return None
    key = list(data.contract.key)
    old, new = data.changed
    both = old.select(*key, name).join(
        new.select(*key, pl.col(name).alias("\0now")), on=key, how="inner"
    )
    is_new: Flags = (
        both.select(pl.col(name).ne_missing(pl.col("\0now")).fill_null(value=False))
        .to_series().to_numpy()
    )  # fmt: skip
    frames = [both.select(*key, pl.col(column).alias(name)) for column in (name, "\0now")]
    parts = [Rows(data.contract, frame, data.rows.types) for frame in frames]
    was, now = f"{name} as recorded", f"{name} in the delivery"
    if _is_quantity(data.rows, name) and data.contract.field(name).type in ("integer", "number"):
        points = np.stack([part.numbers[name] for part in parts], axis=1)
        there = ~np.isnan(points).any(axis=1)
        shown = [_some(points[there & chosen]) for chosen in (~is_new, is_new)]
        if not len(shown[1]):
            return None
        caption = f"{now} (up) by {was} (across); the changed rows are marked as the delivery"
        return Scatter(caption, (was, now), shown[0], shown[1])
    renamed = frames[0].rename({name: "was"}).with_columns(frames[1][name].alias("now"))
    texts = renamed.select(pl.col("was", "now").cast(pl.String).fill_null(MISSING))
    counted = texts.filter(pl.Series(is_new)).group_by("was").len().sort("len", descending=True)
    down = counted["was"].head(MOST_ROWS).to_list()
    arrived = texts.filter(pl.Series(is_new)).group_by("now").len().sort("len", descending=True)
    across = list(dict.fromkeys([*arrived["now"].head(3), *down]))[:BINS]
    table = np.array([
        [100 * float((texts.filter(pl.col("was") == row)["now"] == column).mean() or 0.0)
         for column in across]
        for row in down
    ])  # fmt: skip
    same = np.array([[100.0 * (row == column) for column in across] for row in down])
    return Heatmap(
        f"{now} (across) for each {was} (down): shares in % of the row", (now, was),
        [shorten(code, 12) for code in across], [shorten(code, 12) for code in down],
        same, table,
    )  # fmt: skip


def _with_unit(data: RowsToDraw, name: str) -> str:
    unit = data.contract.field(name).unit if name in data.contract.names else None
    return f"{name} in {unit}" if unit else name
