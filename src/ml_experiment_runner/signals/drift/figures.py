"""Figures of a delivery as a whole: how many rows, with which codes, at which hours, how high.

Each is computed for every part of the past that is as long as a delivery, so the past tells how
much the figure moves by itself.
"""

# ruff: noqa: D102  Figures documents learn and compute

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.rows import Numbers, Rows

MOST_CODES = 200  # of a field; the others are counted together
FEWEST = 10  # rows that a share or a mean needs
MATERIAL = 0.004  # of the rows: what is less is too little to hold a delivery for

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Rows that are parted into deliveries.

    Attributes:
        label: By row, the number of its part.
        days: By part, how many days it spans.
    """

    rows: Rows
    label: Labels
    days: Numbers

    @property
    def count(self) -> int:
        """How many parts there are."""
        return len(self.days)

    @cached_property
    def sizes(self) -> Numbers:
        """Rows of each part."""
        return np.bincount(self.label, minlength=self.count).astype(np.float64)

    def sample(self, most: int) -> "Parts":
        """About so many of the rows, drawn at random within each part."""
        if len(self.rows) <= most:
            return self
        order = np.random.default_rng(0).permutation(len(self.rows))
        order = order[np.argsort(self.label[order], kind="stable")]
        first = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)
        place = np.arange(len(order)) - first[self.label[order]]
        chosen = np.sort(order[place < most / self.count])
        rows = Rows(self.rows.contract, self.rows.frame[chosen], self.rows.types)
        return Parts(rows, self.label[chosen], self.days)

    @cached_property
    def days_with_rows(self) -> tuple[Labels, Labels]:
        """Every day that has rows: its part, and its number since 1970."""
        day = self.rows.days.astype(np.int64)
        first, last = int(day.min()), int(day.max()) + 1
        cells = np.flatnonzero(np.bincount(self.label * (last - first) + day - first))
        return cells // (last - first), cells % (last - first) + first

    def counts(self, codes: Labels, number: int) -> Numbers:
        """Rows by code and part, of shape (number, parts); negative codes are left out."""
        there = codes >= 0
        cells = codes[there] * self.count + self.label[there]
        counted = np.bincount(cells, minlength=number * self.count)
        return counted.reshape(number, self.count).astype(np.float64)


@dataclass(frozen=True)
class Table:
    """Some figures of one kind.

    Attributes:
        names: By figure, the fields that it is about and what tells it from others of these.
        values: By figure and part, on a scale on which differences count.
        noise: Their standard errors by chance alone.
        floor: By figure, what is too small a difference to matter.
        message: Says in words what a figure is now and was expected to be.
    """

    names: Sequence[tuple[tuple[str, ...], str]]
    values: Numbers
    noise: Numbers
    floor: Numbers
    message: Callable[[int, float, float], str]


class Figures(ABC):
    """A kind of figures.

    Attributes:
        kind: How messages call it.
        is_rough: A season moves it.
        is_of_all: It counts rows, so that some of them do not tell it.
    """

    kind: ClassVar[str]
    is_rough: ClassVar[bool] = True
    is_of_all: ClassVar[bool] = False

    @abstractmethod
    def learn(self, parts: Parts) -> Any:
        """What has to be known of the past before its parts are counted."""

    @abstractmethod
    def compute(self, model: Any, parts: Parts) -> Iterator[Table]:
        """The figures of each part."""


def shares(
    names: Sequence[tuple[tuple[str, ...], str]],
    counts: Numbers,
    totals: Numbers,
    message: Callable[[int, float, float], str],
) -> Table:
    """Shares as angles, which chance moves alike whether they are small or large.

    The arcsine transformation (Anscombe, The Transformation of Poisson, Binomial and
    Negative-Binomial Data, Biometrika 1948).

    Args:
        names: Of the figures.
        counts: Rows by figure and part.
        totals: Of how many, in the same shape or by part.
        message: Gets the figure's number and both shares.
    """
    totals = np.broadcast_to(totals, counts.shape)
    with np.errstate(all="ignore"):
        values = np.where(totals >= FEWEST, _angle(counts / totals), np.nan)
        usual = np.nansum(counts, axis=1) / np.maximum(totals.sum(axis=1), 1)
    noise = 1 / np.sqrt(np.maximum(totals, 1))
    lower, upper = np.maximum(usual - MATERIAL, 0), np.minimum(usual + MATERIAL, 1)
    floor = (_angle(upper) - _angle(lower)) / 2

    def in_words(number: int, now: float, expected: float) -> str:
        return message(number, _share(now), _share(expected))

    return Table(names, values, noise, floor, in_words)


def _angle(share: Numbers) -> Numbers:
    angle: Numbers = 2 * np.arcsin(np.sqrt(share))
    return angle


def _share(angle: float) -> float:
    return float(np.sin(min(max(angle, 0.0), np.pi) / 2) ** 2)


class Volume(Figures):
    """Rows a day, and days with any."""

    kind = "volume"
    is_of_all = True

    def learn(self, parts: Parts) -> None:  # noqa: ARG002
        return None

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        daily = parts.sizes / parts.days
        with np.errstate(divide="ignore"):
            values = np.where(parts.sizes > 0, np.log(daily), np.nan)[None]
        noise = 1 / np.sqrt(np.maximum(parts.sizes, 1))[None]

        def message(_: int, now: float, expected: float) -> str:
            return f"{np.exp(now):,.3g} rows a day, expected {np.exp(expected):,.3g}"

        yield Table([((), "rows")], values, noise, np.array([0.08]), message)
        clock = parts.rows.clock.get("hour")
        if clock is None:
            return
        day = parts.rows.days.astype(np.int64)
        hours = np.unique(
            parts.label * 10_000_000 + (day - day.min()) * 24 + clock.astype(np.int64)
        )
        filled = np.stack([
            np.bincount(parts.days_with_rows[0], minlength=parts.count) / parts.days,
            np.bincount(hours // 10_000_000, minlength=parts.count) / (24 * parts.days),
        ]).clip(0, 1)  # fmt: skip
        units = ("days", "hours")

        def of_time(number: int, now: float, expected: float) -> str:
            return (f"{_share(now):.0%} of the {units[number]} have rows, expected "
                    f"{_share(expected):.0%}")  # fmt: skip

        # not by chance as shares are: of a steady feed none is missing
        yield Table([((), unit) for unit in units], _angle(filled), np.full(filled.shape, 0.02),
                    np.full(2, 0.08), of_time)  # fmt: skip


class Nulls(Figures):
    """Rows without a value of a field."""

    kind = "missing values"

    def learn(self, parts: Parts) -> list[str]:
        rows = parts.rows
        always = {*rows.contract.key, rows.event}
        return [name for name in rows.frame.columns if name not in always]

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        if not model:
            return
        counts = np.array(
            [np.bincount(parts.label[parts.rows.is_null(name)], minlength=parts.count)
             for name in model], dtype=np.float64,
        )  # fmt: skip
        yield shares(
            [((name,), "") for name in model], counts, parts.sizes,
            lambda number, now, usual: f"{model[number]} has no value in {now:.1%} of the rows, "
            f"expected {usual:.1%}",
        )  # fmt: skip


class CodeShares(Figures):
    """Rows with each code of a field: one that came, went, was merged or swapped."""

    kind = "shares"

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
            counts = parts.counts(codes, len(known) + 1)  # the last one are all others

            def message(number: int, now: float, usual: float, known: Sequence[str] = known) -> str:
                return f"{known[number]!r} is in {now:.1%} of the rows, expected {usual:.1%}"

            yield shares([((name,), code) for code in known], counts[:-1], counts.sum(axis=0),
                         message)  # fmt: skip


class Hours(Figures):
    """Rows at each hour of the day."""

    kind = "time of day"

    def learn(self, parts: Parts) -> None:  # noqa: ARG002
        return None

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        rows = parts.rows
        if rows.event is not None:
            yield shares(
                [((rows.event,), str(hour)) for hour in range(24)],
                parts.counts(rows.clock["hour"].astype(np.int64), 24), parts.sizes,
                lambda hour, now, usual: f"{now:.1%} of the rows are at {hour} o'clock, expected "
                f"{usual:.1%}",
            )  # fmt: skip


class Weekdays(Figures):
    """Rows on each day of the week."""

    kind = "day of week"
    NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

    def learn(self, parts: Parts) -> None:  # noqa: ARG002
        return None

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        rows = parts.rows
        if rows.event is None:
            return
        counts = parts.counts(rows.clock["weekday"].astype(np.int64) - 1, 7)
        label, day = parts.days_with_rows
        there = np.zeros((7, parts.count))
        np.add.at(there, ((day + 3) % 7, label), 1)
        # as if each part had as many Mondays as Tuesdays
        daily = counts / np.maximum(there, 1)
        share = daily / np.maximum(daily.sum(axis=0), 1e-9)
        yield shares(
            [((rows.event,), name) for name in self.NAMES], share * parts.sizes, parts.sizes,
            lambda number, now, usual: f"{now:.1%} of the rows are on a {self.NAMES[number]}, "
            f"expected {usual:.1%}",
        )  # fmt: skip


class Precision(Figures):
    """Rows at a full hour and minute, as times cut to the hour or day are."""

    kind = "precision of times"
    is_rough = False

    def learn(self, parts: Parts) -> None:  # noqa: ARG002
        return None

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        rows = parts.rows
        if rows.event is None:
            return
        is_minute = rows.seconds == 0
        is_hour = is_minute & (rows.clock["minute"] == 0)
        flags = {"hour": is_hour, "minute": is_minute}
        counts = np.concatenate(
            [parts.counts(flag.astype(np.int64) - 1, 1) for flag in flags.values()]
        )
        yield shares(
            [((rows.event,), name) for name in flags], counts, parts.sizes,
            lambda number, now, usual: f"{now:.1%} of the rows are at a full {list(flags)[number]}, "
            f"expected {usual:.1%}",
        )  # fmt: skip


class Tails(Figures):
    """Numbers below zero, equal to zero, and beyond the outer quantiles of the past."""

    kind = "tails"
    LEVELS = (0.005, 0.05, 0.95, 0.995)

    def learn(self, parts: Parts) -> dict[str, Numbers]:
        rows = parts.rows
        return {name: np.quantile(values, self.LEVELS) for name in rows.numbers
                if len(values := rows.known(name)) >= 30}  # fmt: skip

    def compute(self, model: dict[str, Numbers], parts: Parts) -> Iterator[Table]:
        for name, bounds in model.items():
            values = parts.rows.numbers[name]
            there = ~np.isnan(values)
            with np.errstate(invalid="ignore"):
                groups = {
                    "below 0": values < 0,
                    "0": values == 0,
                    f"below {bounds[0]:.4g}": values < bounds[0],
                    f"below {bounds[1]:.4g}": values < bounds[1],
                    f"above {bounds[2]:.4g}": values > bounds[2],
                    f"above {bounds[3]:.4g}": values > bounds[3],
                }
            counts = np.array([np.bincount(parts.label[group], minlength=parts.count)
                               for group in groups.values()], dtype=np.float64)  # fmt: skip
            totals = np.bincount(parts.label[there], minlength=parts.count).astype(np.float64)
            labels = list(groups)

            def message(
                number: int, now: float, usual: float, labels: Sequence[str] = labels
            ) -> str:
                return f"{now:.1%} of the values are {labels[number]}, expected {usual:.1%}"

            yield shares([((name,), label) for label in labels], counts, totals, message)


class Levels(Figures):
    """Mean, median and spread of a number."""

    kind = "level"

    def learn(self, parts: Parts) -> dict[str, tuple[float, float, float, float]]:
        rows = parts.rows
        return scales(rows)

    def compute(
        self, model: dict[str, tuple[float, float, float, float]], parts: Parts
    ) -> Iterator[Table]:
        names, values, noise = [], [], []
        for name, scale in model.items():
            scaled = scale_of(parts.rows.numbers[name], scale)
            count, mean, deviation = moments(scaled, parts.label, parts.count)
            names += [((name,), "mean"), ((name,), "spread")]
            values += [mean, np.log(deviation + 0.02)]
            noise += [deviation / np.sqrt(np.maximum(count, 1)),
                      0.7 / np.sqrt(np.maximum(count, 1))]  # fmt: skip
        if not names:
            return

        def message(number: int, now: float, expected: float) -> str:
            name = names[number][0][0]
            center, width, _, _ = model[name]
            if names[number][1] == "mean":
                return (f"its mean is {center + now * width:.4g}, expected "
                        f"{center + expected * width:.4g}")  # fmt: skip
            return f"it spreads {now / max(expected, 1e-9):.2g} times as far as expected"

        floor = np.full(len(names), 0.05)
        yield Table(names, np.array(values), np.array(noise), floor, message)


class GroupLevels(Figures):
    """How far a number lies at each code from its mean over all: one place in another unit."""

    kind = "level of a group"
    CODES, NUMBERS = 60, 12

    def learn(self, parts: Parts) -> dict[str, Any]:
        rows = parts.rows
        scale = dict(list(scales(rows).items())[: self.NUMBERS])
        codes = {}
        for name in rows.codes:
            counted = rows.texts[name].drop_nulls().value_counts(sort=True, name="\0rows")
            if 2 <= counted.height <= MOST_CODES:
                codes[name] = counted[name].head(self.CODES).to_list()
        return {"scale": scale, "codes": codes}

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
                    (deviation / np.sqrt(np.maximum(count, 1))).reshape(shape) + 0.01,
                    np.full(len(known), 0.1), message,
                )  # fmt: skip


class HourLevels(Figures):
    """How far a number lies at each hour from its mean: a clock that goes wrong shifts them all."""

    kind = "daily course"

    def learn(self, parts: Parts) -> dict[str, tuple[float, float, float, float]]:
        rows = parts.rows
        if rows.event is None or len(np.unique(rows.clock["hour"])) < 3:
            return {}
        return dict(list(scales(rows).items())[: GroupLevels.NUMBERS])

    def compute(
        self, model: dict[str, tuple[float, float, float, float]], parts: Parts
    ) -> Iterator[Table]:
        rows = parts.rows
        if not model or rows.event is None:
            return
        hour = rows.clock["hour"].astype(np.int64)
        cells = hour * parts.count + parts.label
        shape = (24, parts.count)
        for name, scale in model.items():
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
                (deviation / np.sqrt(np.maximum(count, 1))).reshape(shape) / (spread + 0.02) + 0.01,
                np.full(24, 0.1), message,
            )  # fmt: skip


class Association(Figures):
    """How much two fields tell of each other: what belongs to other rows tells nothing any more.

    Mutual information (Shannon, A Mathematical Theory of Communication, 1948) of codes and binned
    numbers, less what chance gives it (Miller, Note on the Bias of Information Estimates, 1955).
    """

    kind = "association"
    is_rough = False
    BINS, CODES, FIELDS = 5, 30, 24

    def learn(self, parts: Parts) -> dict[str, Any]:
        """By field its codes, or the bounds between its bins."""
        rows = parts.rows
        model: dict[str, Any] = {}
        for name in [*rows.codes, *rows.numbers]:
            if name in rows.numbers and name not in rows.categories:
                values = rows.known(name)
                bounds = np.unique(np.quantile(values, np.linspace(0, 1, self.BINS + 1)[1:-1])) \
                    if len(values) >= 30 else np.array([])  # fmt: skip
                if len(bounds):
                    model[name] = bounds
            else:
                counted = rows.categories[name].drop_nulls().value_counts(sort=True, name="\0rows")
                if counted.height >= 2 and counted["\0rows"][0] < 0.98 * len(rows):
                    model[name] = counted[name].head(self.CODES).to_list()
        return dict(list(model.items())[: self.FIELDS])

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        codes, counts = self._codes(model, parts.rows)
        names, values, noise = [], [], []
        sizes = np.maximum(parts.sizes, 1)
        for first, second in itertools.combinations(model, 2):
            cells = parts.counts(
                codes[first] * counts[second] + codes[second], counts[first] * counts[second]
            ).reshape(counts[first], counts[second], parts.count)
            names.append(((first, second), ""))
            values.append(np.where(parts.sizes >= 30, self._information(cells, sizes), np.nan))
            noise.append(1 / np.sqrt(sizes))
        if not names:
            return

        def message(_: int, now: float, expected: float) -> str:
            return f"they tell {now:.2f} of each other, expected {expected:.2f} (1: all)"

        yield Table(names, np.array(values), np.array(noise), np.full(len(names), 0.04), message)

    @staticmethod
    def _information(cells: Numbers, sizes: Numbers) -> Numbers:
        """A correlation of as much information, by part."""
        together = cells / sizes
        apart = together.sum(axis=1, keepdims=True) * together.sum(axis=0, keepdims=True)
        with np.errstate(all="ignore"):
            each = np.where(together > 0, together * np.log(together / apart), 0.0)
        there = (cells.sum(axis=1) > 0).sum(axis=0), (cells.sum(axis=0) > 0).sum(axis=0)
        chance = (there[0] - 1) * (there[1] - 1) / (2 * sizes)
        information = np.maximum(each.sum(axis=(0, 1)) - chance, 0.0)
        correlation: Numbers = np.sqrt(1 - np.exp(-2 * information))
        return correlation

    @staticmethod
    def _codes(model: dict[str, Any], rows: Rows) -> tuple[dict[str, Labels], dict[str, int]]:
        """By field, the number of each row's code or bin, and how many there are; 0 for null."""
        codes, counts = {}, {}
        for name, known in model.items():
            if isinstance(known, list):
                codes[name] = rows.code_numbers(name, known) + 1
                counts[name] = len(known) + 2
            else:
                values = rows.numbers[name]
                places = np.searchsorted(known, values) + 1
                codes[name] = np.where(np.isnan(values), 0, places)
                counts[name] = len(known) + 2
        return codes, counts


class TextForms(Figures):
    """What texts look like: their length, and which characters they have."""

    kind = "form of texts"
    is_rough = False
    PATTERNS: ClassVar = {
        "other than ASCII characters": r"[^\x00-\x7F]",
        "lower case": r"[a-z]",
        "upper case": r"[A-Z]",
        "a digit": r"\d",
        "a space at an end": r"^\s|\s$",
        "a space": r"\S\s+\S",
        "a hyphen, dot or slash": r"[-./_]",
    }

    def learn(self, parts: Parts) -> list[str]:
        rows = parts.rows
        return list(rows.texts)

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        for name in model:
            texts = parts.rows.texts[name]
            there = texts.is_not_null().to_numpy()
            label = parts.label[there]
            distinct = texts.filter(pl.Series(there)).to_frame("text").with_columns(
                pl.col("text").rank("dense").cast(pl.Int64).alias("number") - 1
            )  # fmt: skip
            codes = distinct["number"].to_numpy()
            each = distinct.unique("number").sort("number")["text"]
            flags = [each.str.contains(pattern).to_numpy() for pattern in self.PATTERNS.values()]
            lengths = each.str.len_chars().to_numpy().astype(np.float64)
            counts = np.array([np.bincount(label[flag[codes]], minlength=parts.count)
                               for flag in flags], dtype=np.float64)  # fmt: skip
            totals = np.bincount(label, minlength=parts.count).astype(np.float64)
            labels = list(self.PATTERNS)

            def message(
                number: int, now: float, usual: float, labels: Sequence[str] = labels
            ) -> str:
                return f"{now:.1%} of the texts have {labels[number]}, expected {usual:.1%}"

            yield shares([((name,), label) for label in labels], counts, totals, message)
            count, mean, deviation = moments(lengths[codes], label, parts.count)

            def in_length(_: int, now: float, expected: float) -> str:
                return f"its texts have {now:.1f} characters on average, expected {expected:.1f}"

            yield Table([((name,), "length")], mean[None],
                        (deviation / np.sqrt(np.maximum(count, 1)))[None], np.array([0.1]),
                        in_length)  # fmt: skip


class Variety(Figures):
    """How many different values a field has, for its rows."""

    kind = "different values"
    is_of_all = True

    def learn(self, parts: Parts) -> list[str]:
        rows = parts.rows
        return [*rows.numbers, *rows.texts]

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        names, values = [], []
        frame = parts.rows.frame.select(model).with_columns(pl.Series("\0part", parts.label))
        counted = frame.group_by("\0part").agg(pl.all().drop_nulls().n_unique()).sort("\0part")
        at = counted["\0part"].to_numpy()
        for name in model:
            different = np.zeros(parts.count)
            different[at] = counted[name].to_numpy()
            names.append(((name,), "different"))
            values.append(np.where(different > 1, np.log(np.maximum(different, 1)), np.nan))
        if not names:
            return

        def message(_: int, now: float, expected: float) -> str:
            return f"it has {np.exp(now):,.0f} different values, expected {np.exp(expected):,.0f}"

        matrix = np.array(values)
        with np.errstate(all="ignore"):
            noise = 1 / np.sqrt(np.exp(np.nan_to_num(matrix, nan=0.0)))
        yield Table(names, matrix, noise, np.full(len(names), 0.25), message)


class Copies(Figures):
    """Rows that are like another but for what identifies them, in the same delivery or the last.

    Once with the event time, as rows are that were sent twice, and once without it.
    """

    kind = "copies"
    is_rough = False
    is_of_all = True
    MOST = 0.7  # of a table with few different rows, copies tell nothing

    def learn(self, parts: Parts) -> dict[str, Any]:
        rows = parts.rows
        names = rows.contents
        possible = [[*names, rows.event or ""], names] if len(names) > 1 else []
        sets = [
            fields for fields in possible
            if rows.frame.select(fields).is_duplicated().sum() <= self.MOST * len(rows)
        ]  # fmt: skip
        last = parts.label == parts.count - 1
        return {"fields": sets, "last": [self._hashes(fields, rows)[last] for fields in sets]}

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        for fields, last in zip(model["fields"], model["last"], strict=True):
            hashes = self._hashes(fields, parts.rows)
            by_part = [hashes[parts.label == number] for number in range(parts.count)]
            within = [float(len(each) - len(np.unique(each))) for each in by_part]
            # what comes before the first of several parts is not known
            before = [last if parts.count == 1 else None, *by_part[:-1]]
            again = [
                np.nan if other is None else float(np.isin(each, other).sum())
                for other, each in zip(before, by_part, strict=True)
            ]
            words = ("another", "one of the delivery before")

            def message(
                number: int, now: float, usual: float, words: tuple[str, str] = words
            ) -> str:
                return (f"{now:.1%} of the rows are as {words[number]} but for what identifies "
                        f"them, expected {usual:.1%}")  # fmt: skip

            yield shares([((), "copies"), ((), "again")], np.array([within, again]), parts.sizes,
                         message)  # fmt: skip

    @staticmethod
    def _hashes(fields: Sequence[str], rows: Rows) -> NDArray[np.uint64]:
        hashes: NDArray[np.uint64] = rows.frame.select(fields).hash_rows(seed=7).to_numpy()
        return hashes


def scales(rows: Rows) -> dict[str, tuple[float, float, float, float]]:
    """By number: its median, its deviation, and bounds beyond which values are cut."""
    found = {}
    for name in rows.numbers:
        values = rows.known(name)
        if len(values) < 30:
            continue
        low, high = np.quantile(values, [0.005, 0.995])
        deviation = float(values.clip(low, high).std())
        if deviation > 0:
            found[name] = (float(np.median(values)), deviation, float(low), float(high))
    return found


def scale_of(values: Numbers, scale: tuple[float, float, float, float]) -> Numbers:
    """Numbers in standard deviations from their median, cut a good deal beyond usual ones."""
    center, deviation, low, high = scale
    width = high - low
    scaled: Numbers = (values.clip(low - width, high + width) - center) / deviation
    return scaled


def moments(values: Numbers, label: Labels, count: int) -> tuple[Numbers, Numbers, Numbers]:
    """Rows, mean and standard deviation by label; NaN where there are no rows."""
    there = ~np.isnan(values)
    values, label = values[there], label[there]
    rows = np.bincount(label, minlength=count).astype(np.float64)
    with np.errstate(all="ignore"):
        mean = np.bincount(label, weights=values, minlength=count) / rows
        square = np.bincount(label, weights=values**2, minlength=count) / rows
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    return rows, mean, np.nan_to_num(deviation)


FIGURES: tuple[Figures, ...] = (
    Volume(),
    Nulls(),
    CodeShares(),
    Hours(),
    Weekdays(),
    Precision(),
    Tails(),
    Levels(),
    GroupLevels(),
    HourLevels(),
    Association(),
    TextForms(),
    Variety(),
    Copies(),
)
