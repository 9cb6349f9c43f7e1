"""How high numbers are at each code and hour."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ml_experiment_runner.signals.drift.figures.counts import MOST_CODES
from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.scaling import (
    error_of_mean,
    moments,
    scale_of,
    scales,
)
from ml_experiment_runner.signals.drift.figures.table import (
    FEWEST,
    Figures,
    Table,
)
from ml_experiment_runner.signals.drift.figures.times import (
    FEWEST_HOURS,
    goes_by_utc,
    hours_of_day,
)
from ml_experiment_runner.signals.drift.rows import Rows

CODES = 60  # of a field, the most frequent ones


class GroupLevels(Figures):
    """How far a number lies at each code from its mean over all: one place in another unit.

    When nothing changed, the distance has the error of a mean around what is expected; all places
    move together with a season.
    """

    kind = "level of a group"
    is_apart = True
    of_codes = True
    NUMBERS = 12
    MATERIAL = 0.001  # standard deviations of the mean over all rows

    def learn(self, parts: Parts) -> dict[str, Any]:
        scale = dict(list(scales(parts.rows).items())[: self.NUMBERS])
        return {"scale": scale, "codes": _frequent_codes(parts.rows)}

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        scaled = {name: scale_of(parts.rows.numbers[name], scale)
                  for name, scale in model["scale"].items()}  # fmt: skip
        for code, known in model["codes"].items():
            numbers = parts.rows.code_numbers(code, known)
            cells = numbers * parts.count + parts.label
            for name, values in scaled.items():
                there = (numbers >= 0) & (numbers < len(known))
                count, mean, deviation = moments(
                    values[there], cells[there], len(known) * parts.count
                )
                _, overall, _ = moments(values, parts.label, parts.count)
                shape = (len(known), parts.count)
                share = (count.reshape(shape).sum(axis=1) + 1) / max(len(values), 1)
                offset = mean.reshape(shape) - overall
                enough = count.reshape(shape) >= FEWEST
                names = [((name, code), label) for label in known]

                def message(
                    number: int, now: float, expected: float,
                    name: str = name, code: str = code, known: Sequence[str] = known,
                ) -> str:  # fmt: skip
                    width = model["scale"][name][1]
                    return (
                        f"at {code} {known[number]!r} its mean is {now * width:+.3g} from that of "
                        f"all rows, expected {expected * width:+.3g}"
                    )

                yield Table(
                    names, np.where(enough, offset, np.nan),
                    error_of_mean(count.reshape(shape), deviation.reshape(shape)) + 0.01,
                    0.1 + self.MATERIAL / share, message,
                )  # fmt: skip


class HourLevels(Figures):
    """How far a number lies at each hour from its mean: a clock that goes wrong shifts them all.

    When nothing changed, the distance, in standard deviations, has the error of a mean around what
    is expected.
    """

    kind = "daily course"
    is_apart = True

    def learn(self, parts: Parts) -> dict[str, Any]:
        rows = parts.rows
        if rows.event is None or len(np.unique(rows.clock["hour"])) < FEWEST_HOURS:
            return {}
        scale = dict(list(scales(rows).items())[: GroupLevels.NUMBERS])
        return {"scale": scale, "is_utc": goes_by_utc(rows)}

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        rows = parts.rows
        if not model or rows.event is None:
            return
        hour = hours_of_day(rows, is_utc=model["is_utc"])
        cells = hour * parts.count + parts.label
        shape = (24, parts.count)
        for name, scale in model["scale"].items():
            values = scale_of(rows.numbers[name], scale)
            count, mean, deviation = moments(values, cells, 24 * parts.count)
            _, overall, spread = moments(values, parts.label, parts.count)
            offset = (mean.reshape(shape) - overall) / (spread + 0.02)
            enough = count.reshape(shape) >= FEWEST
            event = rows.event

            def message(number: int, now: float, expected: float) -> str:
                return (f"at {number} o'clock its mean is {now:+.2f} standard deviations from that "
                        f"of the day, expected {expected:+.2f}")  # fmt: skip

            yield Table(
                [((name, event), str(number)) for number in range(24)],
                np.where(enough, offset, np.nan),
                error_of_mean(count.reshape(shape), deviation.reshape(shape)) / (spread + 0.02)
                + 0.01,
                np.full(24, 0.1), message,
            )  # fmt: skip


class MeanTimes(Figures):
    """The mean time of day, of all rows and at each code: clocks of all or some that go wrong.

    Counted from the hour that has the fewest rows, so that little is cut apart at midnight. When
    nothing changed, it has the error of a mean around what is expected.
    """

    kind = "time of day"
    is_apart = True
    HOURS = 6.0  # that a difference of one stands for
    FLOOR = 0.03

    def learn(self, parts: Parts) -> dict[str, Any]:
        rows = parts.rows
        if rows.event is None or len(np.unique(rows.clock["hour"])) < FEWEST_HOURS:
            return {}
        is_utc = goes_by_utc(rows)
        counts = np.bincount(hours_of_day(rows, is_utc=is_utc), minlength=24)
        return {"first": int(counts.argmin()), "codes": _frequent_codes(rows), "is_utc": is_utc}

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        rows = parts.rows
        if not model or rows.event is None:
            return
        event, first = rows.event, model["first"]
        hour = hours_of_day(rows, is_utc=model["is_utc"])
        since = hour + rows.clock["minute"] / 60 - first
        hours = (since % 24) / self.HOURS

        def at(value: float) -> str:
            minutes = round((value * self.HOURS + first) % 24 * 60)
            return f"{minutes // 60 % 24}:{minutes % 60:02}"

        count, overall, spread = moments(hours, parts.label, parts.count)
        noise = error_of_mean(count, spread) + self.FLOOR / 3
        yield Table(
            [((event,), "mean")], np.where(count >= FEWEST, overall, np.nan)[None], noise[None],
            np.array([self.FLOOR]),
            lambda _, now, expected: f"the mean time of day is {at(now)}, expected {at(expected)}",
        )  # fmt: skip
        for code, known in model["codes"].items():
            numbers = rows.code_numbers(code, known)
            there = (numbers >= 0) & (numbers < len(known))
            cells = numbers[there] * parts.count + parts.label[there]
            count, mean, _ = moments(hours[there], cells, len(known) * parts.count)
            shape = (len(known), parts.count)
            count = count.reshape(shape)
            # few rows that happen to lie close together say little of how far they spread
            noise = error_of_mean(count, spread) + self.FLOOR / 3
            share = (count.sum(axis=1) + 1) / max(len(hours), 1)

            def message(
                number: int, now: float, expected: float,
                code: str = code, known: Sequence[str] = known,
            ) -> str:  # fmt: skip
                return (f"at {code} {known[number]!r} the mean time of day is {at(now)}, expected "
                        f"{at(expected)}")  # fmt: skip

            yield Table(
                [((event, code), label) for label in known],
                np.where(count >= 2 * FEWEST, mean.reshape(shape), np.nan), noise,
                self.FLOOR + GroupLevels.MATERIAL / share, message,
            )  # fmt: skip


def _frequent_codes(rows: Rows) -> dict[str, list[str]]:
    """By field its most frequent codes, if it has not too many."""
    codes = {}
    for name in rows.codes:
        counted = rows.texts[name].drop_nulls().value_counts(sort=True, name="\0rows")
        if 2 <= counted.height <= MOST_CODES:
            codes[name] = counted[name].head(CODES).to_list()
    return codes
