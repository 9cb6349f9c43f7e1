"""Chooses the picture that shows a change best, by the kind of the change.

There are few kinds of pictures: a course through time, bars of groups of rows, and two fields
together. Each shows before and the delivery.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.ingestion import (
    hold_bars,
    hold_counts,
    hold_courses,
    hold_pairs,
)
from ml_experiment_runner.signals.ingestion.hold_bars import Bars
from ml_experiment_runner.signals.ingestion.hold_comparison import Histogram
from ml_experiment_runner.signals.ingestion.hold_courses import Course
from ml_experiment_runner.signals.ingestion.hold_pairs import Heatmap, Scatter
from ml_experiment_runner.signals.ingestion.hold_rows import RowsToDraw, named_in, rows_to_draw

Picture = Course | Bars | Histogram | Scatter | Heatmap

log = logging.getLogger(__name__)

SHARES: dict[str, Callable[..., Any]] = {
    "missing values": hold_counts.missing,
    "nulls": hold_counts.missing,
    "shares": hold_counts.code_share,
    "values": hold_counts.code_share,
    "new codes": hold_counts.new_values,
    "new values": hold_counts.new_values,
    "tails": hold_counts.tails,
    "range": hold_counts.tails,
    "single value": hold_counts.single_value,
    "clock": hold_counts.clock,
    "identifiers": hold_counts.digits,
    "order": hold_counts.out_of_order,
    "frozen": hold_counts.frozen,
}
"""Kinds whose picture is the share of some rows through time."""
PAIRS: dict[str, Callable[..., Picture | None]] = {
    "association": hold_pairs.together,
    "relation": hold_pairs.formula,
    "dependence": hold_pairs.together,
    "product": hold_pairs.formula,
    "sum": hold_pairs.formula,
    "absence": hold_pairs.absence,
}
"""Kinds whose picture is of two fields together."""
WHOLE = ("frozen", "new codes", "new values", "order")  # of which no row in between may be missing
MOST = 12  # pictures of a page, which is to be there soon
NUMBERS = ("integer", "number")  # that have a unit
NULLS = "missing values"
OF_NULLS = frozenset({NULLS, "nulls"})


def picture(data: RowsToDraw, violation: Violation) -> Picture | None:
    """The picture of a change; None for a kind that has none, or where nothing can be drawn.

    Args:
        data: The rows.
        violation: The change.
    """
    kind, name, message = violation.kind, violation.field, violation.message
    if name is None:
        return _of_rows(data, kind, message)
    if name not in data.rows.frame.columns:
        return None
    if name not in data.shown:
        return _course_of_share(data, NULLS, name, "") if kind in OF_NULLS else None
    there = ~data.rows.is_null(name)
    if kind != "changed rows" and not all((there & mask).any() for mask in data.masks):
        kind = NULLS  # there is nothing else to compare
    if name == data.rows.event:
        return _of_times(data, kind, message)
    if kind in SHARES:
        return _course_of_share(data, kind, name, message)
    if kind in PAIRS:
        return PAIRS[kind](data.some, name, message)
    return _of_field(data, kind, name, message)


def _course_of_share(data: RowsToDraw, kind: str, name: str, message: str) -> Picture | None:
    if data.rows.event is None:
        return None
    chosen = data.newest if kind in WHOLE else data.some
    if kind in ("tails", "range", "single value") and name not in data.rows.numbers:
        return None
    return hold_courses.share_course(chosen, SHARES[kind](chosen, name), message)


def _of_rows(data: RowsToDraw, kind: str, message: str) -> Picture | None:
    """Of a change that concerns whole rows."""
    if data.rows.event is None or data.rows.event not in data.shown:
        return None
    if kind in ("volume", "numbering"):
        return hold_courses.volume(data)
    if kind in ("copies", "duplicates", "twice"):
        newest = data.newest
        return hold_courses.share_course(newest, hold_counts.copies(newest, message), message)
    if kind == "repeated day":
        newest = data.newest
        return hold_courses.share_course(newest, hold_counts.repeated_day(newest), message)
    if kind == "changed rows":
        return hold_courses.gone(data)
    return None


def _of_times(data: RowsToDraw, kind: str, message: str) -> Picture | None:
    """Of a change in the event time."""
    others = [name for name in data.rows.frame.columns if name in data.shown]
    if kind in ("clock", "order"):
        named = [name for name in named_in(message, others) if name != data.rows.event]
        return _course_of_share(data, kind, named[0], message) if named else None
    if kind == "time of day":
        return hold_bars.hours(data)
    if kind == "day of week":
        return hold_bars.weekdays(data)
    if kind == "precision of times":
        return hold_courses.share_course(data.some, hold_counts.precision(data.some), "")
    return None


def _of_field(data: RowsToDraw, kind: str, name: str, message: str) -> Picture | None:
    """Of a change in one field that is no share."""
    if kind == "form of texts":
        return hold_bars.text_forms(data.some, name)
    if kind == "changed rows":
        return hold_pairs.restated(data, name)
    if kind == "swapped codes":
        (number,) = named_in(message, [*data.rows.numbers])[:1] or (None,)
        if number is None or number not in data.shown:
            return None
        unit = _unit(data, number)
        return hold_bars.group_level(data.some, number, unit, f"at {name} ", beside_all=True)
    if kind in ("last digits", "gaps", "level of a group") and name in data.rows.numbers:
        return _of_number(data.some, kind, name, message)
    return _of_time(data, kind, name, message) if data.rows.event is not None else None


def _of_number(data: RowsToDraw, kind: str, name: str, message: str) -> Picture | None:
    if kind == "last digits":
        return hold_bars.last_digits(data, name)
    if kind == "gaps":
        return hold_bars.gaps(data, name)
    return hold_bars.group_level(data, name, _unit(data, name), message)


def _of_time(data: RowsToDraw, kind: str, name: str, message: str) -> Picture | None:
    """Of a field of a signal with an event time."""
    if kind == "different values":
        return hold_courses.variety(data, name)
    if kind == "steps":
        return hold_courses.steps(data, name, _unit(data, name), message)
    if name not in data.rows.numbers:
        return None
    if kind == "level":
        return hold_courses.level(data, name, _unit(data, name))
    if kind == "extreme":
        return hold_courses.extreme(data, name, _unit(data, name))
    if kind == "daily course":
        return hold_bars.daily_course(data.some, name, _unit(data, name))
    return None


def _unit(data: RowsToDraw, name: str) -> str:
    """What a field's numbers are in: of dates and times, the days since the event."""
    type_ = data.contract.field(name).type
    return type_ if type_ in ("time", "integer", "number", "boolean") else "days"


def draw_pictures(
    contract: Contract,
    past: Mapping[str, pl.DataFrame],
    delivery: Mapping[str, pl.DataFrame],
    violations: Sequence[Violation],
) -> dict[str | None, list[dict[str, str]]]:
    """Captions and drawings of what was found, by field; None stands for whole rows.

    The report is needed most when data are odd, so it does without a picture that cannot be drawn,
    and says so.
    """
    pictures: dict[str | None, list[dict[str, str]]] = {}
    data: RowsToDraw | None = None
    for number, violation in enumerate(violations):
        of_field = pictures.setdefault(violation.field, [])
        if number >= MOST:
            continue
        try:
            data = data or rows_to_draw(contract, past, delivery)
            drawn = _drawn(data, violation)
        except Exception:
            log.debug("no picture of %s", violation.kind, exc_info=True)
            drawn = {"caption": f"No picture of the {violation.kind} could be drawn of these rows.",
                     "drawing": ""}  # fmt: skip
        if drawn is not None and drawn not in of_field:
            of_field.append(drawn)
    return pictures


def _drawn(data: RowsToDraw, violation: Violation) -> dict[str, str] | None:
    """A picture's caption and drawing; None for none."""
    from ml_experiment_runner.signals.ingestion import hold_charts, hold_drawings

    found = picture(data, violation)
    if found is None:
        return None
    if isinstance(found, Histogram):
        caption = f"Share of the rows by value of {violation.field}, each number by itself"
        drawing = hold_charts.draw_histogram(found, hold_charts.WIDE)
        return {"caption": f"{caption}{data.before}", "drawing": drawing}
    unit = ""
    if violation.field in data.contract.names and getattr(found, "type", "") in NUMBERS:
        unit = data.contract.field(violation.field).unit or ""
    if isinstance(found, Course):
        found = found._replace(what=f"{found.what}, in {unit}" if unit else found.what)
        drawing = hold_drawings.draw_course(found)
    elif isinstance(found, Bars):
        drawing = hold_drawings.draw_bars(found)
    elif isinstance(found, Scatter):
        drawing = hold_drawings.draw_scatter(found)
    else:
        drawing = hold_drawings.draw_heatmap(found)
    caption = found.caption
    if isinstance(found, Bars):
        caption = f"{caption}{f', in {unit}' if unit else ''}{data.before}"
    return {"caption": caption, "drawing": drawing}
