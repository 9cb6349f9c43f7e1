"""What single fields hold: new values and codes, last digits, gaps, identifiers, extreme values."""

# ruff: noqa: D102  Detector documents learn and measure

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.rows import (
    FEW,
    Detector,
    Measure,
    Numbers,
    Rows,
    decimals,
    in_steps,
)
from ml_experiment_runner.signals.semantic_types import FLAG, IDENTIFIER

FEWEST = 10  # values of which a share says anything
YOUNG = 180  # days of a past in which codes may still be coming one by one
COUNTED_UP = 3  # times what they ever rose by, of as many rows, may identifiers go on at once
ONCE = 0.01  # of the rows: new codes of a single day


class NewValues(Detector):
    """Numbers that lie between those of the past and are none of them.

    Only for fields that take few of the numbers that their decimals allow, as readings of an
    instrument do: another unit or scale puts them elsewhere. As many as came but once are expected
    to be new (Good, The Population Frequencies of Species, Biometrika 1953).
    """

    kind, floor, factor, is_seasonal = "new values", 0.012, 3.0, False

    def learn(self, rows: Rows) -> dict[str, tuple[Numbers, float, float, float]]:
        model = {}
        for name in rows.numbers:
            values = np.round(rows.known(name), 6)
            if not len(values):
                continue
            distinct, counts = np.unique(values, return_counts=True)
            low, high = np.quantile(values, [0.01, 0.99])
            inner = ((distinct >= low) & (distinct <= high)).sum()
            count = decimals(values)
            possible = np.inf if count is None else (high - low) * 10**count + 1
            if len(distinct) <= max(50, 0.08 * len(values)) and inner < 0.25 * possible:
                unseen = float((counts == 1).sum() / len(values))
                model[name] = (distinct, float(low), float(high), unseen)
        return model

    def measure(
        self, model: dict[str, tuple[Numbers, float, float, float]], rows: Rows
    ) -> Iterator[Measure]:
        for name, (distinct, low, high, unseen) in model.items():
            values = np.round(rows.known(name), 6)
            if not len(values):
                continue
            at = np.searchsorted(distinct, values).clip(0, len(distinct) - 1)
            new = (values >= low) & (values <= high) & (distinct[at] != values)
            example = f", such as {values[new][0]:g}" if new.any() else ""
            yield Measure(
                (name,), max(0.0, float(new.mean()) - 2 * unseen),
                f"{new.mean():.1%} of its values are new{example}",
            )  # fmt: skip


class NewCodes(Detector):
    """Texts that the past never had.

    When nothing changed, as many are new as came on one day only (Good, The Population Frequencies
    of Species, Biometrika 1953). A code counts once a day, as an event of many rows brings its own
    all at once.
    """

    kind, floor, factor, is_seasonal = "new codes", 0.004, 2.5, False
    learns_each = True

    def learn(self, rows: Rows) -> dict[str, tuple[pl.Series, float]]:
        model = {}
        for name in rows.codes:
            days = self._by_day(rows, name).group_by("code").len("days")
            if 0 < days.height <= max(50, len(rows) / 5):
                once, pairs = int((days["days"] == 1).sum()), int(days["days"].sum())
                unseen = (once + 3) / pairs
                if rows.event and np.ptp(rows.days) < YOUNG:
                    unseen = max(unseen, self._newly(rows, name))
                model[name] = (days["code"], float(unseen))
        return model

    def measure(self, model: dict[str, tuple[pl.Series, float]], rows: Rows) -> Iterator[Measure]:
        for name, (known, unseen) in model.items():
            texts = rows.texts[name].drop_nulls()
            if len(texts) < FEWEST:
                continue
            new = texts.filter(~texts.is_in(known.implode()))
            pairs = self._by_day(rows, name)
            newly = pairs.filter(~pairs["code"].is_in(known.implode()))
            share = newly.height / pairs.height
            if (
                "day" in newly.columns
                and newly["day"].n_unique() == 1
                and len(new) < ONCE * len(texts)
            ):
                share = 0.0  # one odd event is none
            chance = 3 * float(np.sqrt(unseen / pairs.height))
            example = f", such as {new[0]!r}" if len(new) else ""
            yield Measure(
                (name,), max(0.0, share - unseen - chance),
                f"{len(new) / len(texts):.1%} of its codes are new{example}",
            )  # fmt: skip

    @staticmethod
    def _by_day(rows: Rows, name: str) -> pl.DataFrame:
        """The codes of each day, each once."""
        codes = pl.DataFrame({"code": rows.texts[name]})
        if rows.event is None:
            return codes.drop_nulls()
        return codes.with_columns(day=pl.Series(rows.days)).drop_nulls().unique()

    @staticmethod
    def _newly(rows: Rows, name: str) -> float:
        """The share of the last third of the rows whose code was not there before it."""
        assert rows.event is not None
        texts = rows.frame.sort(rows.event)[name].drop_nulls().cast(pl.String)
        first = 2 * len(texts) // 3
        last = texts[first:]
        return float((~last.is_in(texts[:first].unique().implode())).sum() / max(len(last), 1))


class LastDigits(Detector):
    """How numbers end: rounding or another unit moves it, a season does not.

    When nothing changed, last digits are distributed as in the past: their total variation distance
    is that of chance.
    """

    kind, floor, factor, is_seasonal = "last digits", 0.08, 2.0, False

    def learn(self, rows: Rows) -> dict[tuple[str, int], tuple[int, Numbers]]:
        model = {}
        for name in rows.numbers:
            values = rows.known(name)
            count = decimals(values)
            if len(values) < 200 or count is None:
                continue
            distinct = len(np.unique(values))
            for modulus in {10, 10 ** min(max(count, 1), 2)}:
                if distinct >= max(15, modulus):  # else how they end is which they are
                    model[name, modulus] = (count, self._shares(values, count, modulus))
        return model

    def measure(
        self, model: dict[tuple[str, int], tuple[int, Numbers]], rows: Rows
    ) -> Iterator[Measure]:
        for (name, modulus), (count, past) in model.items():
            values = rows.known(name)
            if len(values) < 30:
                continue
            scaled = values * 10**count
            finer = float((np.abs(scaled - np.round(scaled)) > 1e-4).mean())
            now = self._shares(values, count, modulus)
            # total variation distance, less what chance alone gives
            chance = 0.4 * np.sqrt(past * (1 - past) / len(values)).sum()
            distance = max(0.0, 0.5 * np.abs(now - past).sum() - chance) + finer
            most = int((now - past).argmax())
            yield Measure(
                (name,), distance,
                f"its last digits have another distribution (distance {min(distance, 1):.2f} of 1; "
                f"{now[most]:.0%} end in {most:0{len(str(modulus)) - 1}}, {past[most]:.0%} before)",
                what=str(modulus),
            )  # fmt: skip

    @staticmethod
    def _shares(values: Numbers, count: int, modulus: int) -> Numbers:
        ends = np.mod(in_steps(values, count), modulus)
        return np.bincount(ends, minlength=modulus) / len(values)


class Gaps(Detector):
    """Gaps and peaks that rescaling rounded numbers leaves in their histogram.

    When nothing changed, a bar is as high as its neighbours' mean, but for chance. Stamm and Liu,
    Forensic Detection of Image Manipulation Using Statistical Intrinsic Fingerprints, IEEE TIFS
    2010, find stretched pictures by them.
    """

    kind, floor, factor, is_share = "gaps", 0.18, 1.5, False
    is_seasonal = False
    SMOOTH = 0.12

    def learn(self, rows: Rows) -> dict[str, int]:
        model = {}
        for name in rows.numbers:
            count = decimals(rows.known(name))
            roughness = None if count is None else self._roughness(rows.known(name), count)
            if count is not None and roughness is not None and roughness < self.SMOOTH:
                model[name] = count
        return model

    def measure(self, model: dict[str, int], rows: Rows) -> Iterator[Measure]:
        for name, count in model.items():
            roughness = self._roughness(rows.known(name), count)
            if roughness is not None:
                yield Measure(
                    (name,), roughness,
                    f"its histogram has gaps and peaks ({roughness:.0%} of a bar's height), as "
                    "rescaled whole numbers have",
                )  # fmt: skip

    @staticmethod
    def _roughness(values: Numbers, count: int) -> float | None:
        """Root mean square difference of a bar to its neighbours' mean, beyond chance."""
        if len(values) < 200:
            return None
        whole = in_steps(values, count)
        low, high = np.quantile(whole, [0.02, 0.98]).astype(np.int64)
        if not 20 <= float(high) - float(low) <= len(values):
            return None
        inside = whole[(whole >= low) & (whole <= high)]
        bars = np.bincount(inside - low, minlength=high - low + 1).astype(np.float64)
        between = (bars[:-2] + bars[2:]) / 2
        enough = between >= 8
        if enough.sum() < 15:
            return None
        bars, between = bars[1:-1][enough], between[enough]
        square = ((bars - between) ** 2 - 1.5 * between) / between**2
        # so far that the mean of a few low bars is off by chance
        error = 2 * 1.5 * np.sqrt(2 * (1 / between**2).sum()) / len(between)
        return float(np.sqrt(max(0.0, square.mean() - error)))


class SingleValue(Detector):
    """One number that stands in more rows than it ever did, as a default or a fill value does.

    When nothing changed, each number has no larger a share than in another month of the past, with
    a binomial error. Of many months the one with most does not count: it may have had a fault.
    """

    kind, floor, factor, is_seasonal = "single value", 0.018, 2.4, False
    FREQUENT = 0.002  # of all rows, from which on a number is followed month by month
    MANY = 6  # months

    def learn(self, rows: Rows) -> dict[str, tuple[Numbers, Numbers, Numbers]]:
        # how many rows have a flag, and in which season, is a figure of its own
        return {name: self._largest_shares(rows, name) for name in rows.numbers
                if rows.types.get(name) != FLAG and len(rows.known(name))}  # fmt: skip

    def measure(
        self, model: dict[str, tuple[Numbers, Numbers, Numbers]], rows: Rows
    ) -> Iterator[Measure]:
        for name, (known, largest, shares) in model.items():
            values = rows.known(name)
            if len(values) < 30:
                continue
            now, share = self._shares(values)
            at = np.searchsorted(known, now).clip(0, len(known) - 1)
            before = np.where(known[at] == now, largest[at], 0.0)
            chance = 3 * np.sqrt(before * (1 - before) / len(values))
            # a value of most rows is usual, whatever its share
            is_most = (known[at] == now) & (shares[at] >= 0.5)
            rise = np.where(is_most, 0.0, share - before - chance)
            for what, risen in (("new", np.where(before == 0, rise, 0.0)), ("", rise)):
                most = int(risen.argmax())
                yield Measure(
                    (name,), max(0.0, float(risen[most])),
                    f"{now[most]:g} is in {share[most]:.1%} of its rows, before in at most "
                    f"{before[most]:.1%}",
                    what,
                )  # fmt: skip

    def _largest_shares(self, rows: Rows, name: str) -> tuple[Numbers, Numbers, Numbers]:
        """The numbers of the past, the largest share of each in a month, and that in all of it."""
        distinct, shares = self._shares(rows.known(name))
        frequent = distinct[shares >= self.FREQUENT]
        if rows.event is None or not len(frequent):
            return distinct, shares, shares
        there = ~np.isnan(rows.numbers[name])
        values = rows.numbers[name][there]
        _, month = np.unique(rows.periods["month"][there], return_inverse=True)
        sizes = np.bincount(month)
        at = np.searchsorted(frequent, values).clip(0, len(frequent) - 1)
        cells = (month * len(frequent) + at)[frequent[at] == values]
        counts = np.bincount(cells, minlength=len(sizes) * len(frequent)).reshape(len(sizes), -1)
        enough, largest = sizes >= FEW, shares.copy()
        if enough.any():
            by_month = np.sort(counts[enough] / sizes[enough][:, None], axis=0)
            most = by_month[-2 if len(by_month) >= self.MANY else -1]
            largest[shares >= self.FREQUENT] = np.maximum(most, shares[shares >= self.FREQUENT])
        return distinct, largest, shares

    @staticmethod
    def _shares(values: Numbers) -> tuple[Numbers, Numbers]:
        distinct, counts = np.unique(values, return_counts=True)
        return distinct, counts / max(len(values), 1)


class Extreme(Detector):
    """A number that lies several times as far out as any before.

    When nothing changed, the outermost are about as far from the median as those of the past.
    """

    kind, floor, factor, is_share = "extreme", 4.0, 2.0, False

    def learn(self, rows: Rows) -> dict[str, Any]:
        model = {}
        for name in rows.numbers:
            values = rows.known(name)
            if len(np.unique(values)) >= 5:
                model[name] = (np.median(values), values.min(), values.max())
        return model

    def measure(self, model: dict[str, Any], rows: Rows) -> Iterator[Measure]:
        for name, (center, low, high) in model.items():
            values = rows.known(name)
            if not len(values):
                continue
            least = (high - low) / 4
            up = (values.max() - center) / max(high - center, least)
            down = (center - values.min()) / max(center - low, least)
            value = values.max() if up >= down else values.min()
            yield Measure(
                (name,), float(max(up, down)),
                f"{value:g} is far outside of the past range ({low:g} to {high:g})",
            )  # fmt: skip


class Identifiers(Detector):
    """Whole numbers as identifiers that are of another system, or were issued anew.

    When nothing changed, they go on from those of before: they get another digit only by counting
    up to it, and never lose one.
    """

    kind, floor, is_share, has_past, is_seasonal = "identifiers", 0.5, False, False, False
    needs = "all"

    def learn(self, rows: Rows) -> dict[str, tuple[int, int, int]]:
        names = [
            field.name for field in rows.contract.fields
            if rows.types.get(field.name) == IDENTIFIER and field.type == "integer"
            and field.name in rows.texts
        ]  # fmt: skip
        bounds = {name: (rows.frame[name].min(), rows.frame[name].max()) for name in names}
        return {
            name: (low, high, len(rows)) for name, (low, high) in bounds.items()
            if isinstance(low, int) and isinstance(high, int) and low < high
        }  # fmt: skip

    def measure(self, model: dict[str, tuple[int, int, int]], rows: Rows) -> Iterator[Measure]:
        for name, (low, high, count) in model.items():
            values = rows.frame[name].drop_nulls().to_numpy()
            if len(values) < FEWEST or low < 0:
                continue
            rises = COUNTED_UP * (high - low) * max(1.0, len(rows) / count)
            most = max(10 ** len(str(high)) - 1, high + int(rises))
            least = 10 ** (len(str(low)) - 1) if low else 0
            share = float(((values > most) | (values < least)).mean())
            yield Measure(
                (name,), share,
                f"{share:.1%} of its numbers have another number of digits: they are from "
                f"{values.min()} to {values.max()}, before from {low} to {high}",
            )  # fmt: skip
