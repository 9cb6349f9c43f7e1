"""The report on a hold: the delivery beside the past, for the person who must decide.

It may show values, so it is kept with the held rows in `data/held/<hold>/`, which git ignores. Of a
classified field it shows the share of nulls and nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.secrets import mask
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.snapshots import profile, quarantine
from ml_experiment_runner.signals.snapshots.diff import (
    FIFTH,
    GAP,
    LAST_FIFTH,
    MEDIAN,
    gap,
    moved,
    null_share,
    shares,
)
from ml_experiment_runner.signals.snapshots.profile import (
    LARGEST,
    ColumnProfile,
    Floats,
    PartitionProfile,
    show,
)

if TYPE_CHECKING:
    from ml_experiment_runner.holds.holds import Hold

PAST = 24  # partitions: two years of months
YEAR = 12  # partitions that "before" is
BINS = 36
EXACT = 2**52  # of larger whole numbers a half more is no other number
MOST, MOST_CORRELATIONS = 10, 6  # values or fields, and pairs of fields that are shown


class ReportRows(NamedTuple):
    """What a report compares.

    Attributes:
        partitions: Profiles of the past's partitions.
        before: The profile of its last year.
        came: Profiles of the delivery's partitions.
        after: The profile of the whole delivery.
        frames: The rows of the last year and of the delivery.
    """

    partitions: Mapping[str, PartitionProfile]
    before: PartitionProfile
    came: Mapping[str, PartitionProfile]
    after: PartitionProfile
    frames: tuple[pl.DataFrame, pl.DataFrame]


class Plot(NamedTuple):
    """Where a chart's area lies in its picture."""

    width: float
    height: float
    left: float = 52
    right: float = 8
    top: float = 10
    bottom: float = 26


WIDE, NARROW = Plot(620, 230), Plot(380, 230, left=10)


def write_report(
    contract: Contract,
    hold: "Hold",
    past: Mapping[str, pl.LazyFrame],
    delivery: Mapping[str, pl.DataFrame],
) -> Path:
    """Writes the report on a hold and returns its path.

    Args:
        contract: The signal's contract.
        hold: Its open hold.
        past: Accepted rows by partition.
        delivery: Held rows by partition; none if they do not have the contract's types.
    """
    from ml_experiment_runner.record.card.page import environment

    rows = _rows(contract, past, delivery) if past and delivery else None
    named = list(dict.fromkeys(violation.field for violation in hold.violations if violation.field))
    shown = [name for name in named if name in contract.names and name != contract.event_time]
    kinds = list(dict.fromkeys(violation.kind for violation in hold.violations))
    page = environment(Path(__file__).parent).get_template("hold_report.html").render(
        contract=contract,
        hold=hold,
        opened=datetime.fromisoformat(hold.opened),
        named=named,
        what=_joined(named) or _joined(kinds),
        violations=hold.violations,
        last=max(past, default=None),
        fields=[_field(contract.field(name), hold, rows) for name in shown] if rows else [],
        volume=_volume(rows) if rows and len(named) < len(hold.violations) else None,
        overview=_overview(contract, rows, named) if rows else [],
        correlations=_correlations(rows) if rows else [],
        shown_correlations=MOST_CORRELATIONS,
        period=_period(list(rows.partitions)[-YEAR:]) if rows else "",
        delivered=_period(list(delivery)),
        rows=rows,
    )  # fmt: skip
    target = path(contract.root, hold)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, mask(page))
    return target


def path(root: Path, hold: "Hold") -> Path:
    """The report on a hold."""
    return quarantine.folder_of(root, hold.id) / "report.html"


def _rows(
    contract: Contract, past: Mapping[str, pl.LazyFrame], delivery: Mapping[str, pl.DataFrame]
) -> ReportRows:
    frames = {name: past[name].collect() for name in sorted(past)[-PAST:]}
    partitions = {name: profile.measure(contract, frame) for name, frame in frames.items()}
    came = {name: profile.measure(contract, delivery[name]) for name in sorted(delivery)}
    year = list(frames)[-YEAR:]
    return ReportRows(
        partitions,
        profile.merge([partitions[name] for name in year]),
        came,
        profile.merge(came.values()),
        (pl.concat([frames[name] for name in year]), pl.concat(list(delivery.values()))),
    )


def _field(field: Field, hold: "Hold", rows: ReportRows) -> dict[str, Any]:
    """What is shown of a field that fails a check."""
    before, after = rows.before.columns[field.name], rows.after.columns[field.name]
    nulls = [100 * null_share(part, field.name) for part in (rows.before, rows.after)]
    violations = [violation for violation in hold.violations if violation.field == field.name]
    facts = [("rows", f"{rows.before.rows:,}", f"{rows.after.rows:,}"),
             ("without a value", *(f"{share:.1f} %" for share in nulls))]  # fmt: skip
    charts: dict[str, Any] = {"lines": None, "histogram": None, "bars": None, "nulls": None}
    if before.quantiles and after.quantiles:
        facts += _facts(before, after, field.type)
        charts["lines"] = _quantile_lines(field, rows)
        charts["histogram"] = _histogram(field, rows)
    elif before.top or after.top:
        charts["lines"] = _share_lines(field, rows)
        charts["bars"] = _bars(before, after)
        charts["values"] = len(moved(before, after))
    if charts["lines"] is None or {violation.kind for violation in violations} == {"nulls"}:
        charts["lines"] = _null_lines(field, rows)
    elif abs(nulls[1] - nulls[0]) >= 1:
        charts["nulls"] = _null_lines(field, rows)
    return {
        "name": field.name,
        "unit": field.unit,
        "classification": field.classification,
        "violations": violations,
        "facts": facts,
        **charts,
    }


def _facts(before: ColumnProfile, after: ColumnProfile, kind: str) -> list[tuple[str, str, str]]:
    """Numbers of both, as texts."""

    def both(name: str, *levels: int) -> tuple[str, str, str]:
        texts = [" … ".join(show(column.quantiles[level], kind) for level in levels)
                 for column in (before, after)]  # fmt: skip
        return name, texts[0], texts[1]

    facts = [both("median", MEDIAN), both("middle 90 %", FIFTH, LAST_FIFTH),
             both("least … greatest", 0, -1)]  # fmt: skip
    if before.mean is not None and after.mean is not None:
        facts.insert(0, ("mean", show(before.mean, kind), show(after.mean, kind)))
    return facts


def _quantile_lines(field: Field, rows: ReportRows) -> dict[str, Any]:
    """Median and middle 90 % by partition."""

    def series(partitions: Mapping[str, PartitionProfile]) -> dict[str, tuple[float, ...]]:
        columns = {name: part.columns[field.name] for name, part in partitions.items()}
        return {
            name: tuple(column.quantiles[level] for level in (MEDIAN, FIFTH, LAST_FIFTH))
            for name, column in columns.items()
            if column.quantiles
        }

    caption = "Median and middle 90 % by partition"
    return _lines(caption, series(rows.partitions), series(rows.came), rows, field.type)


def _share_lines(field: Field, rows: ReportRows) -> dict[str, Any]:
    """Share of the value that moved most, by partition."""
    value = moved(rows.before.columns[field.name], rows.after.columns[field.name])[0]

    def series(partitions: Mapping[str, PartitionProfile]) -> dict[str, tuple[float, ...]]:
        columns = {name: part.columns[field.name] for name, part in partitions.items()}
        return {name: (100 * shares(column).get(value, 0.0),) for name, column in columns.items()}

    caption = f"Share of “{value}” by partition"
    return _lines(caption, series(rows.partitions), series(rows.came), rows, "share")


def _null_lines(field: Field, rows: ReportRows) -> dict[str, Any]:
    """Share of rows without a value, by partition."""

    def series(partitions: Mapping[str, PartitionProfile]) -> dict[str, tuple[float, ...]]:
        return {name: (100 * null_share(part, field.name),) for name, part in partitions.items()}

    caption = "Share of the rows without a value, by partition"
    return _lines(caption, series(rows.partitions), series(rows.came), rows, "share")


def _volume(rows: ReportRows) -> dict[str, Any]:
    """Rows by partition."""
    past, came = (
        {name: (float(part.rows),) for name, part in partitions.items()}
        for partitions in (rows.partitions, rows.came)
    )
    return _lines("Rows by partition", past, came, rows, "count")


def _lines(
    caption: str,
    past: Mapping[str, tuple[float, ...]],
    came: Mapping[str, tuple[float, ...]],
    rows: ReportRows,
    kind: str,
) -> dict[str, Any]:
    """A chart over the partitions: a line, and a band where there are three numbers."""
    names = sorted({*rows.partitions, *rows.came})
    low, high = _bounds(past, came, kind)
    step = (WIDE.width - WIDE.left - WIDE.right) / len(names)
    x = {name: WIDE.left + step * (number + 0.5) for number, name in enumerate(names)}
    every = max(1, math.ceil(len(names) / 8))
    return {
        "caption": caption,
        "plot": WIDE,
        "past": _line(past, x, low, high),
        "came": _line(came, x, low, high),
        "since": x[min(rows.came)] - step / 2,
        "ticks_x": [(x[name], name) for name in names[::every]],
        "ticks_y": [
            (_down(value, low, high, WIDE), _tick(value, kind)) for value in _ticks(low, high, kind)
        ],
    }


def _bounds(
    past: Mapping[str, tuple[float, ...]], came: Mapping[str, tuple[float, ...]], kind: str
) -> tuple[float, float]:
    """The ends of a chart's vertical axis."""
    values = [value for series in (past, came) for numbers in series.values() for value in numbers]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = (high - low or abs(high)) * 0.06 or 0.5  # so much that it changes a large number
    return 0.0 if kind in ("share", "count") else low - margin, high + margin


def _line(
    series: Mapping[str, tuple[float, ...]], x: Mapping[str, float], low: float, high: float
) -> dict[str, Any]:
    """A line through the first number of each partition, and a band between the other two."""
    points = [
        (x[name], *(_down(number, low, high, WIDE) for number in numbers))
        for name, numbers in sorted(series.items())
    ]
    line = [point[:2] for point in points]
    has_band = bool(points) and len(points[0]) == 4
    bars = [(at, bottom, top) for at, _, bottom, top in points] if has_band else []
    band = [(at, bottom) for at, bottom, _ in bars] + [(at, top) for at, _, top in bars[::-1]]
    return {"line": _path(line), "points": line, "band": _path(band), "bars": bars}


def _histogram(field: Field, rows: ReportRows) -> dict[str, Any]:
    """Shares of the rows in bins of equal width; what lies outside is in the outermost."""
    values = [
        frame[field.name]
        .drop_nulls()
        .to_physical()
        .cast(pl.Float64)
        .to_numpy()
        .clip(-LARGEST, LARGEST)
        / _second(field)
        for frame in rows.frames
    ]
    low = min(float(np.quantile(numbers, 0.005)) for numbers in values)
    high = max(float(np.quantile(numbers, 0.995)) for numbers in values)
    if field.type == "integer" and high - low < BINS and max(-low, high) < EXACT:
        edges = np.arange(math.floor(low) - 0.5, math.ceil(high) + 1.5)
    else:
        edges = np.linspace(low, high if high > low else low + (abs(low) or 1), BINS + 1)
    counts = [np.histogram(numbers.clip(edges[0], edges[-1]), edges)[0] for numbers in values]
    heights = [count / max(count.sum(), 1) for count in counts]
    top = max(float(height.max()) for height in heights)
    plot = NARROW
    x = plot.left + (edges - edges[0]) / (edges[-1] - edges[0]) * (
        plot.width - plot.left - plot.right
    )

    def steps(share: Floats) -> str:
        y = [_down(float(height), 0.0, top, plot) for height in share]
        corners = [point for left, right, height in zip(x, x[1:], y, strict=False)
                   for point in ((float(left), height), (float(right), height))]  # fmt: skip
        ground = _down(0.0, 0.0, top, plot)
        return _path([(float(x[0]), ground), *corners, (float(x[-1]), ground)])

    ticks = _ticks(float(edges[0]), float(edges[-1]), field.type)
    scale = (plot.width - plot.left - plot.right) / (edges[-1] - edges[0])
    return {
        "plot": plot,
        "before": steps(heights[0]),
        "after": steps(heights[1]),
        "ticks_x": [
            (plot.left + float((value - edges[0]) * scale), _tick(value, field.type))
            for value in ticks
        ],
    }


def _bars(before: ColumnProfile, after: ColumnProfile) -> list[dict[str, Any]]:
    """Shares of the values that moved most."""
    old, new = shares(before), shares(after)
    longest = max([*old.values(), *new.values()], default=1.0)
    return [
        {
            "value": value,
            "shares": [
                (100 * listed.get(value, 0.0), 100 * listed.get(value, 0.0) / longest)
                for listed in (old, new)
            ],
            "new": value not in old and not before.others,
        }
        for value in moved(before, after)[:MOST]
    ]


def _overview(contract: Contract, rows: ReportRows, named: Sequence[str]) -> list[dict[str, Any]]:
    """Each field beside how different partitions usually are, the most different first."""
    year = list(rows.partitions)[-YEAR:]
    differences = []
    for field in contract.fields:
        old, new = rows.before.columns[field.name], rows.after.columns[field.name]
        size = gap(old, new)
        usual = max(gap(old, rows.partitions[name].columns[field.name]) for name in year)
        if field.name != contract.event_time and not field.classification:
            is_named = field.name in named
            differences.append({"name": field.name, "size": size, "usual": usual,
                                "named": is_named, "shown": is_named or size > usual})  # fmt: skip
    return sorted(
        differences, key=lambda field: (not field["named"], field["usual"] - field["size"])
    )


def _correlations(rows: ReportRows) -> list[dict[str, Any]]:
    """Pairs of fields whose rank correlation is another, the widest gap first."""
    pairs = dict.fromkeys([*rows.before.correlations, *rows.after.correlations])
    year = list(rows.partitions)[-YEAR:]
    gaps: list[dict[str, Any]] = []
    for pair in pairs:
        usual = [rows.partitions[name].correlations.get(pair, 0.0) for name in year]
        before, after = (part.correlations.get(pair, 0.0) for part in (rows.before, rows.after))
        beyond = max(after - max(usual), min(usual) - after)
        if beyond >= GAP:  # no month of the past is as far from the delivery
            gaps.append({"fields": pair, "before": before, "after": after, "beyond": beyond,
                         "usual": (min(usual), max(usual))})  # fmt: skip
    return sorted(gaps, key=lambda gap: -gap["beyond"])


def _down(value: float, low: float, high: float, plot: Plot) -> float:
    """Where a value lies, from the top of a picture."""
    share = (value - low) / (high - low)
    return plot.height - plot.bottom - share * (plot.height - plot.top - plot.bottom)


def _path(points: Sequence[Sequence[float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ticks(low: float, high: float, kind: str) -> list[float]:
    """Round numbers within bounds, or times at equal distances."""
    if kind in ("timestamp", "date"):
        return [low + (high - low) * share for share in (0.1, 0.5, 0.9)]
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    steps = (power * factor for factor in (1, 2, 2.5, 5, 10))
    step = next(step for step in steps if (high - low) / step <= 5)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _tick(value: float, kind: str) -> str:
    if kind == "share":
        return f"{value:g} %"
    if kind in ("timestamp", "date"):
        return show(value, "date")
    return show(value, kind) if kind == "time" else f"{value:,.6g}"


def _second(field: Field) -> float:
    """What a second, or one, is in the numbers that polars keeps."""
    return {"timestamp": 1e6, "date": 1 / profile.DAY, "time": 1e9}.get(field.type, 1.0)


def _period(names: Sequence[str]) -> str:
    if not names or names == ["all"]:
        return ""
    return names[0] if len(names) == 1 else f"{min(names)} … {max(names)}"


def _joined(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
