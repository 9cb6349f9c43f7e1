"""How many rows there are, without a value, and with each code."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.figures.clusters import in_parts
from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.table import (
    Figures,
    Table,
    angle,
    daily_shares,
    share_of,
)
from ml_experiment_runner.signals.drift.rows import Numbers

MOST_CODES = 200  # of a field
MANY = 6  # deliveries that tell how much their sizes differ


class Volume(Figures):
    """Rows a day.

    When nothing changed, they have a Poisson error around what is expected (the size of a table in
    Schelter et al., VLDB 2018), or less where a panel has the same rows each time.
    """

    kind = "volume"
    is_of_all = True

    def learn(self, parts: Parts) -> float:
        """How many times a Poisson error the sizes differ from one part to the next; 1 at most."""
        sizes = parts.sizes[parts.sizes > 0]
        if len(sizes) < MANY:
            return 1.0
        steps = np.diff(sizes) ** 2 / (sizes[1:] + sizes[:-1])
        return min(1.0, float(np.sqrt(np.mean(steps))))

    def compute(self, model: float, parts: Parts) -> Iterator[Table]:
        daily = parts.sizes / parts.days
        with np.errstate(divide="ignore"):
            values = np.where(parts.sizes > 0, np.log(daily), np.nan)[None]
        noise = model / np.sqrt(np.maximum(parts.sizes, 1))[None]

        def message(_: int, now: float, expected: float) -> str:
            return f"{np.exp(now):,.3g} rows a day, expected {np.exp(expected):,.3g}"

        yield Table([((), "rows")], values, noise, np.array([0.08]), message)


class Coverage(Figures):
    """The shares of days and of hours with any rows; and of the weekdays that always had some.

    Not by chance as shares are: of a steady feed no day and no hour is without, and of one that
    rests on Sundays no other day.
    """

    kind = "volume"
    is_of_all = True
    ALWAYS = 0.95  # of the days of such a weekday
    HOLIDAY = 0.13  # an angle, so that a day without rows is none too many

    def learn(self, parts: Parts) -> NDArray[np.bool_]:
        """By weekday, from Monday on, whether it always has rows."""
        days = np.unique(parts.days_with_rows[1])
        span = _weekdays(np.arange(days.min(), days.max() + 1))
        filled = np.bincount(_weekdays(days), minlength=7)
        always: NDArray[np.bool_] = filled >= self.ALWAYS * np.bincount(span, minlength=7)
        return always

    def compute(self, model: NDArray[np.bool_], parts: Parts) -> Iterator[Table]:
        clock = parts.rows.clock["hour"]
        day = parts.rows.days.astype(np.int64)
        hours = np.unique(
            parts.label * 10_000_000 + (day - day.min()) * 24 + clock.astype(np.int64)
        )
        filled = np.stack([
            np.bincount(parts.days_with_rows[0], minlength=parts.count) / parts.days,
            np.bincount(hours // 10_000_000, minlength=parts.count) / (24 * parts.days),
            self._of_usual_days(model, parts),
        ]).clip(0, 1)  # fmt: skip
        units = ("days", "hours", "days that always had rows")

        def message(number: int, now: float, expected: float) -> str:
            return (f"{share_of(now):.0%} of the {units[number]} have rows, expected "
                    f"{share_of(expected):.0%}")  # fmt: skip

        yield Table([((), unit) for unit in units], angle(filled), np.full(filled.shape, 0.02),
                    np.array([0.08, 0.08, self.HOLIDAY]), message)  # fmt: skip

    @staticmethod
    def _of_usual_days(always: NDArray[np.bool_], parts: Parts) -> Numbers:
        """By part, the share that has rows of such weekdays between its first day and its last."""
        part, day = parts.days_with_rows
        shares = np.full(parts.count, np.nan)
        for number in np.unique(part):
            mine = day[part == number]
            usual = always[_weekdays(np.arange(mine.min(), mine.max() + 1))].sum()
            if usual:
                shares[number] = always[_weekdays(mine)].sum() / usual
        return shares


def _weekdays(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """From 0 for Monday on, of days since 1970."""
    weekdays: NDArray[np.int64] = (days + 3) % 7
    return weekdays


class Nulls(Figures):
    """Rows without a value of a field.

    When nothing changed, their share has a binomial error around what is expected (`shares`; the
    completeness of Schelter et al., VLDB 2018).
    """

    kind = "missing values"

    def learn(self, parts: Parts) -> list[str]:
        rows = parts.rows
        always = {*rows.contract.key, rows.event}
        return [name for name in rows.frame.columns if name not in always]

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        if not model:
            return
        daily = parts.daily_flags([parts.rows.is_null(name) for name in model])
        yield daily_shares(
            [((name,), "") for name in model], parts, daily, parts.rows_by_day,
            lambda number, now, usual: f"{model[number]} has no value in {now:.1%} of the rows, "
            f"expected {usual:.1%}",
        )  # fmt: skip


class CodeShares(Figures):
    """Rows with each code of a field: one that came, went, was merged or swapped.

    When nothing changed, each share has a binomial error around what is expected (`shares`).
    """

    kind = "shares"
    is_apart = True

    def learn(self, parts: Parts) -> dict[str, list[str]]:
        rows = parts.rows
        model = {}
        for name, codes in rows.categories.items():
            counted = codes.drop_nulls().value_counts(sort=True, name="\0rows")
            if 1 <= counted.height <= max(MOST_CODES, len(rows) // 50):
                model[name] = counted[name].head(MOST_CODES).to_list()
        return model

    def compute(self, model: dict[str, list[str]], parts: Parts) -> Iterator[Table]:
        for name, known in model.items():
            codes = parts.rows.code_numbers(name, known)
            daily = parts.daily(codes, len(known) + 1)  # the last one are all others

            def message(number: int, now: float, usual: float, known: Sequence[str] = known) -> str:
                return f"{known[number]!r} is in {now:.1%} of the rows, expected {usual:.1%}"

            table = daily_shares(
                [((name,), code) for code in known], parts, daily[:-1], daily.sum(axis=0), message
            )
            # how often a code comes is not known before it first came
            unknown = (np.cumsum(in_parts(parts, daily[:-1]), axis=1) == 0) & (parts.count > 1)
            yield replace(table, values=np.where(unknown, np.nan, table.values))
