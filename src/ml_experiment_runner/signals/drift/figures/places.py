"""How high numbers are at each place of a panel, beside what all its places do on the same day."""

# ruff: noqa: D102  Figures documents learn and compute

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.scaling import Scale, moments, scale_of, scales
from ml_experiment_runner.signals.drift.figures.table import Figures, Table
from ml_experiment_runner.signals.drift.rows import Numbers, Rows

MOST = 200  # places; a table of more is looked at by other kinds
LEAST_DAYS = 30  # of the past with a value, for a place to be known
FILLED = 0.8  # of places and days have a row, for a table to be a panel
NUMBERS = 12
FEWEST_DAYS = 5  # of a delivery
ENOUGH = 5  # places whose median one of them hardly moves
OUTER = (0.005, 0.995)  # quantiles beyond which the past's days are cut
LEAST_REST = 0.02


@dataclass(frozen=True)
class Usual:
    """What is usual of a number at each place.

    Attributes:
        mean: Of the days' means; NaN where a place is not known well enough.
        deviation: Their standard deviation.
        rest: That of what a day differs by from what all places do on it.
    """

    mean: Numbers
    deviation: Numbers
    rest: Numbers


class PlaceLevels(Figures):
    """How far a number at a place is from what the other places of its days lead one to expect.

    Each place's days are standardized by its own past, and what all places have in common on a day
    is taken away, as in a two-way analysis of variance (Fisher, Statistical Methods for Research
    Workers, 1925): one place of fifty that is scaled is seen beside its own spread, not beside that
    of all. When nothing changed, the mean has the error of a mean of independent days.
    """

    kind = "level of a group"
    is_apart = True
    of_codes = True
    is_of_all = True
    FLOOR = 0.15

    def learn(self, parts: Parts) -> dict[str, Any]:
        rows = parts.rows
        scale = dict(list(scales(rows).items())[:NUMBERS])
        model: dict[str, Any] = {}
        for place, known in _panel(rows, parts).items():
            usual = {}
            for name in scale:
                daily = _daily(parts, place, known, scale_of(rows.numbers[name], scale[name]))
                usual[name] = _usual(daily)
            model[place] = (known, scale, usual)
        return model

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        part_of_day = parts.days_with_rows[0]
        for place, (known, scale, usual) in model.items():
            label = (np.arange(len(known))[:, None] * parts.count + part_of_day).ravel()
            shape = (len(known), parts.count)
            for name, about in usual.items():
                daily = _daily(parts, place, known, scale_of(parts.rows.numbers[name], scale[name]))
                rest = _rest(daily, about) / about.rest[:, None]
                days, mean, _ = moments(rest.ravel(), label, len(known) * parts.count)
                days, mean = days.reshape(shape), mean.reshape(shape)

                def message(
                    number: int, now: float, expected: float,
                    name: str = name, known: Sequence[str] = known, about: Usual = about,
                    scale: dict[str, Scale] = scale, place: str = place,
                ) -> str:  # fmt: skip
                    width = about.rest[number] * about.deviation[number] * scale[name][1]
                    usually = scale[name][0] + about.mean[number] * scale[name][1]
                    return (
                        f"at {place} {known[number]!r} it is {(now - expected) * width:+.3g} from "
                        f"what the others of its days lead one to expect of a place whose mean is "
                        f"{usually:.4g}"
                    )

                yield Table(
                    [((name, place), label) for label in known],
                    np.where(days >= FEWEST_DAYS, mean, np.nan), 1 / np.sqrt(np.maximum(days, 1)),
                    np.full(len(known), self.FLOOR), message,
                )  # fmt: skip


def _panel(rows: Rows, parts: Parts) -> dict[str, list[str]]:
    """The key's code that tells the rows of a day apart, with its values; none if no panel."""
    if rows.event is None:
        return {}
    for name in rows.codes:
        if name not in rows.contract.key:
            continue
        known = sorted(rows.texts[name].drop_nulls().unique().to_list())
        if not 2 <= len(known) <= MOST:
            continue
        counts = parts.daily(rows.code_numbers(name, known), len(known))
        if (counts > 0).mean() >= FILLED:
            return {name: known}
    return {}


def _daily(parts: Parts, place: str, known: Sequence[str], values: Numbers) -> Numbers:
    """The mean by place and day, of shape (places, days with rows); NaN where there is none."""
    numbers = parts.rows.code_numbers(place, known)
    days = len(parts.days_with_rows[0])
    there = (numbers >= 0) & (numbers < len(known))
    cells = numbers[there] * days + parts.day_of_row[there]
    _, mean, _ = moments(values[there], cells, len(known) * days)
    daily: Numbers = mean.reshape(len(known), days)
    return daily


def _usual(daily: Numbers) -> Usual:
    """What the past says of each place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of places that are hardly ever there
        low, high = np.nanquantile(daily, OUTER, axis=1, keepdims=True)
        cut = daily.clip(low, high)
        mean, deviation = np.nanmean(cut, axis=1), np.nanstd(cut, axis=1)
        known = ((~np.isnan(daily)).sum(axis=1) >= LEAST_DAYS) & (deviation > 0)
        usual = Usual(np.where(known, mean, np.nan), deviation, np.ones(len(daily)))
        rest = np.nanstd(_rest(cut, usual), axis=1)
    return Usual(usual.mean, deviation, np.nan_to_num(rest, nan=1.0).clip(LEAST_REST))


def _rest(daily: Numbers, usual: Usual) -> Numbers:
    """What a place's day differs by from what the other places do, in its standard deviations."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of days without a value
        standard: Numbers = (daily - usual.mean[:, None]) / usual.deviation[:, None]
        there = ~np.isnan(standard)
        count = there.sum(axis=0)
        if len(daily) >= ENOUGH:
            common = np.nanmedian(standard, axis=0)[None]
        else:  # a median of few would be one of them
            own = np.where(there, standard, 0.0)
            common = (own.sum(axis=0) - own) / (count - there)
    return np.where(count > 1, standard - common, np.nan)
