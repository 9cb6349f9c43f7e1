"""How rows follow each other in time, and what became of those that were there before."""

# ruff: noqa: D102  Detector documents learn and measure

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.figures.copies import row_hashes, tells_copies
from ml_experiment_runner.signals.drift.rows import Detector, Flags, Measure, Numbers, Rows
from ml_experiment_runner.signals.semantic_types import IDENTIFIER

DIGITS = 18  # of a text, which a whole number can hold
DIFFERENT = 0.1  # of the rows have another number at least, where an order may have many lines
OUT_OF_ORDER = 0.1  # of the rows at most, where an identifier counts up with the time


class Steps(Detector):
    """From one row to the next of the same place: how often nothing changes, and how much else.

    When nothing changed, equal ones, mean change and jumps are as before: the step test of weather
    stations (Zahumenský, Guidelines on Quality Control Procedures for Data from Automatic Weather
    Stations, WMO 2004) with a limit that is learned.
    """

    kind, floor, factor, is_share = "steps", 0.4, 3.4, False
    needs = "newest"

    def learn(self, rows: Rows) -> dict[str, Any]:
        order = self._order(rows)
        if order is None or order[1].mean() < 0.5:
            return {}
        usual = float(np.median(order[2][order[1]]))
        model: dict[str, Any] = {}
        for name in rows.frame.columns:
            steps = self._steps(rows, name, order, usual)
            if steps is not None and len(steps) >= 100:
                size = np.abs(steps)
                model[name] = (usual, (steps == 0).mean(), size.mean(), np.quantile(size, 0.999))
        return model

    def measure(self, model: dict[str, Any], rows: Rows) -> Iterator[Measure]:
        order = self._order(rows) if model else None
        for name, (usual, before, mean, far) in model.items():
            assert order is not None
            steps = self._steps(rows, name, order, usual)
            if steps is None or len(steps) < 50:
                continue
            same, size = float((steps == 0).mean()), np.abs(steps)
            # the share of equal ones and of others, each on a scale of ratios
            ratio = max(
                abs(np.log((same + 0.02) / (before + 0.02))),
                abs(np.log((1.02 - same) / (1.02 - before))),
            )
            yield Measure(
                (name,), float(ratio),
                f"it equals the row before in {same:.1%} of rows, before in {before:.1%}", "same",
            )  # fmt: skip
            if name in rows.numbers and before <= 0.8 and mean > 0:
                now, jumps = size.mean(), float((size > far).mean())
                yield Measure(
                    (name,), float(abs(np.log(max(now, mean / 1e4) / mean))),
                    f"from row to row it changes by {now:.3g} on average, before by {mean:.3g}",
                    "size",
                )  # fmt: skip
                yield Measure(
                    (name,), 30 * jumps,
                    f"{jumps:.1%} of its steps are larger than nearly all before", "jumps",
                )  # fmt: skip

    @staticmethod
    def _order(rows: Rows) -> tuple[NDArray[np.intp], Flags, Numbers] | None:
        """Rows by place and time; whether each follows its place's last, and how much later."""
        if rows.event is None or len(rows) < 2:
            return None
        place = pl.struct(rows.places).rank("dense") if rows.places else pl.lit(0)
        order = (
            rows.frame.select(
                place.alias("place"),
                pl.col(rows.event).dt.epoch("s").alias("time"),
            )
            .with_row_index("row")
            .sort("place", "time", maintain_order=True)
        )
        same: Flags = (order["place"].diff() == 0).fill_null(False).to_numpy()[1:]
        later: Numbers = order["time"].diff().cast(pl.Float64).to_numpy()[1:]
        return order["row"].to_numpy(), same, later

    @staticmethod
    def _steps(
        rows: Rows, name: str, order: tuple[NDArray[np.intp], Flags, Numbers], usual: float
    ) -> Numbers | None:
        if name in rows.numbers:
            values = rows.numbers[name]
        elif name in rows.texts and name not in rows.contract.key:
            values = rows.texts[name].hash().to_numpy().astype(np.float64)
        else:
            return None
        steps = np.diff(values[order[0]])[order[1] & (order[2] <= 1.5 * usual)]
        return steps[~np.isnan(steps)]


class Order(Detector):
    """Whether the event time goes on where an identifier counts up.

    When nothing changed, as few rows as before are earlier than the row with the identifier before
    theirs.
    """

    kind, floor, is_rough, is_seasonal = "order", 0.02, False, False
    needs = "newest"

    def learn(self, rows: Rows) -> dict[str, float]:
        return counting_up(rows)

    def measure(self, model: dict[str, float], rows: Rows) -> Iterator[Measure]:
        for name, before in model.items():
            assert rows.event is not None
            share = float(going_back(rows, name).mean())
            yield Measure(
                (rows.event, name), max(0.0, share - before),
                f"by {name}, {share:.1%} of the rows are earlier than the one before, until now "
                f"{before:.1%}",
            )  # fmt: skip


class Numbering(Detector):
    """How many of the numbers are missing where an identifier counts up.

    When nothing changed, rows have as many of the numbers between theirs as before: rows that are
    left out leave gaps.
    """

    kind, floor, is_rough, is_seasonal = "numbering", 0.1, False, False
    needs = "newest"
    FEWEST = 0.05  # of the numbers; with fewer, other tables have most of them

    def learn(self, rows: Rows) -> dict[str, tuple[NDArray[np.int64], float]]:
        known = {name: _different(rows, name) for name in counting_up(rows)}
        given = {name: (numbers, self._given(numbers, numbers)) for name, numbers in known.items()}
        return {name: each for name, each in given.items() if each[1] >= self.FEWEST}

    def measure(
        self, model: dict[str, tuple[NDArray[np.int64], float]], rows: Rows
    ) -> Iterator[Measure]:
        for name, (known, before) in model.items():
            given = self._given(_different(rows, name), known)
            yield Measure(
                (), max(0.0, 1 - given / before),
                f"of the numbers between the smallest and the largest {name} there are "
                f"{given:.1%}, until now {before:.1%}", name,
            )  # fmt: skip

    @staticmethod
    def _given(numbers: NDArray[np.int64], known: NDArray[np.int64]) -> float:
        """The share of the numbers that there are, with those known, as rows may come late.

        The outermost ones may be strays.
        """
        some = numbers[len(numbers) // 50 : len(numbers) - len(numbers) // 50]
        if not len(some):
            return 0.0
        low, high = some[0], some[-1]
        between = known[(known >= low) & (known <= high)]
        return len(np.union1d(some, between)) / (float(high) - float(low) + 1)


def counting_up(rows: Rows) -> dict[str, float]:
    """Identifiers that count up with the event time, and the share of rows that go back."""
    if rows.event is None:
        return {}
    found = {}
    for field in rows.contract.fields:
        if rows.types.get(field.name) == IDENTIFIER and field.type in ("integer", "string"):
            different = len(_different(rows, field.name))
            if different > DIFFERENT * len(rows):
                back = going_back(rows, field.name)
                if float(back.sum()) <= OUT_OF_ORDER * different:
                    found[field.name] = float(back.mean())
    return found


def _different(rows: Rows, name: str) -> NDArray[np.int64]:
    """The different numbers of an identifier, in their order."""
    numbers: NDArray[np.int64] = _numbers(rows, name).drop_nulls().unique().sort().to_numpy()
    return numbers


def _numbers(rows: Rows, name: str) -> pl.Series:
    """The whole numbers of an identifier; of a text, as `T-00123`, its digits."""
    values = rows.frame[name].alias("number")
    if values.dtype == pl.String:
        return values.str.replace_all(r"\D", "").str.tail(DIGITS).cast(pl.Int64, strict=False)
    return values


def going_back(rows: Rows, name: str) -> Flags:
    """By row, whether it is earlier than the last one with the next smaller identifier."""
    frame = rows.frame.select(pl.col(rows.event or "").alias("time"), _numbers(rows, name))
    ordered = frame.with_row_index("row").sort("number", "time", nulls_last=True)
    is_back = (pl.col("time").diff() < pl.duration(seconds=0)) & pl.col("number").is_not_null()
    back = ordered.select("row", is_back.alias("back")).sort("row")
    flags: Flags = back["back"].fill_null(False).to_numpy()
    return flags


class Frozen(Detector):
    """The share of a day's rows that have the day's most frequent number.

    When nothing changed, it is no larger than on any usual day: the persistence test of weather
    stations (Zahumenský, Guidelines on Quality Control Procedures for Data from Automatic Weather
    Stations, WMO 2004) with a limit that is learned.
    """

    kind, floor, factor = "frozen", 0.12, 1.3
    is_seasonal = False
    needs = "newest"
    PLACES = 50  # with more of them, the day is looked at as a whole

    def learn(self, rows: Rows) -> dict[str, float]:
        usual = {name: shares for name, shares in self._shares(rows).items()
                 if np.median(shares) < 0.6}  # fmt: skip
        return {name: self._most(shares) for name, shares in usual.items()}

    def measure(self, model: dict[str, float], rows: Rows) -> Iterator[Measure]:
        for name, shares in self._shares(rows).items():
            if name in model:
                second = float(np.sort(shares)[-2:][0])  # one odd day is none
                yield Measure(
                    (name,), max(0.0, second - model[name]),
                    f"one value makes up {second:.0%} of a day's rows, before at most "
                    f"{model[name]:.0%}",
                )  # fmt: skip

    @staticmethod
    def _most(shares: Numbers) -> float:
        """The largest share of a day, but for the odd ones that a past of many days has."""
        return float(np.sort(shares)[-1 - min(len(shares) // 30, 1 + len(shares) // 200)])

    def _shares(self, rows: Rows) -> dict[str, Numbers]:
        if rows.event is None:
            return {}
        frame = rows.frame.with_columns(pl.Series("\0day", rows.days))
        few = frame.select(pl.struct(rows.places).n_unique()).item() <= self.PLACES \
            if rows.places else False  # fmt: skip
        by = ["\0day", *rows.places] if few else ["\0day"]
        shares = {}
        for name in rows.numbers:
            counts = frame.drop_nulls(name).group_by(*by, name).len("\0rows").group_by(by).agg(
                pl.col("\0rows").max().alias("\0most"), pl.col("\0rows").sum().alias("\0all")
            ).filter(pl.col("\0all") >= 12)  # fmt: skip
            if counts.height:
                shares[name] = (counts["\0most"] / counts["\0all"]).to_numpy()
        return shares


class RepeatedDay(Detector):
    """Whether a day brings the values of the day before, at the same places and hours.

    When nothing changed, as many values are equal as usual; a field of which most are equal every
    day tells nothing.
    """

    kind, floor, factor, is_share = "repeated day", 0.3, 1.5, False
    is_seasonal = False
    needs = "newest"

    def learn(self, rows: Rows) -> dict[str, float]:
        usual = {name: float(np.median(shares)) for name, shares in self._same(rows).items()}
        return {name: share for name, share in usual.items() if share < 0.5}

    def measure(self, model: dict[str, float], rows: Rows) -> Iterator[Measure]:
        same = self._same(rows) if model else {}
        if same:
            beyond = [(same[name] - share) / (1 - share) for name, share in model.items()]
            by_day = np.median(beyond, axis=0)
            yield Measure(
                (), max(0.0, float(by_day.max())),
                f"a day repeats the values of the day before ({by_day.max():.0%} more of them than "
                "usual)",
            )  # fmt: skip

    @staticmethod
    def _same(rows: Rows) -> dict[str, Numbers]:
        """By field and day, the share of rows equal to the same place and hour a day before."""
        if rows.event is None:
            return {}
        fields = [name for name in rows.frame.columns
                  if name not in rows.contract.key and name not in rows.calendar]  # fmt: skip
        at = [*rows.places, "\0hour"]
        frame = rows.frame.with_columns(
            pl.Series("\0day", rows.days), pl.Series("\0hour", rows.clock["hour"]).cast(pl.Int8)
        ).unique([*at, "\0day"], keep="first", maintain_order=True)
        before = frame.select(
            *at, pl.col("\0day") + 1, *(pl.col(name).alias(f"\0before{name}") for name in fields)
        )
        both = frame.join(before, on=[*at, "\0day"], how="inner")
        shares = both.group_by("\0day").agg(
            pl.len().alias("\0rows"),
            *((pl.col(name) == pl.col(f"\0before{name}")).mean().fill_null(0).alias(name)
              for name in fields),
        ).filter(pl.col("\0rows") >= 10)  # fmt: skip
        return {name: shares[name].to_numpy() for name in fields} if shares.height else {}


class Volume(Detector):
    """Rows in a day, or in the whole of a state; days without any.

    When nothing changed, the median day has the rows that it had and no day is without; a state
    hardly shrinks. For a past that is too short to tell how much they vary from delivery to
    delivery. Of a feed with days of hardly any rows nothing can be told.
    """

    kind, floor, factor, is_share, is_rough = "volume", 0.3, 1.5, False, False
    is_seasonal = False
    needs = "all"
    STEADY = 0.5  # of a usual day's rows on a poor one

    def learn(self, rows: Rows) -> float | None:
        if rows.event is None:
            return float(len(rows))
        days = np.bincount(rows.days - rows.days.min())
        usual = float(np.median(days))
        return usual if np.quantile(days, 0.1) > self.STEADY * usual else None

    def measure(self, model: float | None, rows: Rows) -> Iterator[Measure]:
        if model is None:
            return
        if rows.event is None:
            # a state may grow; it does not lose much
            change = 3 * max(0.0, np.log(model / len(rows)))
            yield Measure((), change, f"{len(rows):,} rows, before {model:,.0f}", "rows")
            return
        days = np.bincount(rows.days - rows.days.min())
        now = float(np.median(days[days > 0]))
        yield Measure((), abs(float(np.log(now / model))),
                      f"{now:,.0f} rows a day, before {model:,.0f}", "rows")  # fmt: skip
        missing = int((days == 0).sum())
        yield Measure((), 0.2 * missing, f"{missing} days in between have no row", "days")


class CopiesInState(Detector):
    """Rows of a state that are like another but for what identifies them.

    A state has no deliveries whose copies could be counted. When nothing changed, as large a share
    of it are copies as before, with a binomial error.
    """

    kind, floor, has_past = "copies", 0.01, False
    is_seasonal = False
    needs = "all"

    def learn(self, rows: Rows) -> float | None:
        if rows.event is not None or not tells_copies(rows, rows.contents, 1):
            return None
        return self._share(rows)

    def measure(self, model: float | None, rows: Rows) -> Iterator[Measure]:
        if model is not None:
            share = self._share(rows)
            chance = 3 * float(np.sqrt(model * (1 - model) / max(len(rows), 1)))
            yield Measure(
                (), max(0.0, share - model - chance),
                f"{share:.1%} of the rows are as another but for what identifies them, before "
                f"{model:.1%}",
            )  # fmt: skip

    @staticmethod
    def _share(rows: Rows) -> float:
        hashes = row_hashes(rows.contents, rows, 1)
        return 1 - len(np.unique(hashes)) / max(len(hashes), 1)


class ChangedRows(Detector):
    """Recorded rows that are missing or changed; for a state, and for restated months.

    When nothing changed there are none; a first value in place of none is not a change.
    """

    kind, floor, has_past = "changed rows", 0.004, False
    is_seasonal = False
    needs = "all"

    def learn(self, rows: Rows) -> pl.DataFrame | None:
        return rows.frame if rows.event is None else None

    def measure(self, model: pl.DataFrame | None, rows: Rows) -> Iterator[Measure]:
        if model is None or model.is_empty():
            return
        key = list(rows.contract.key)
        both = model.join(rows.frame, on=key, how="inner", suffix="\0now")
        gone = model.height - both.height
        yield Measure(
            (),
            max(0, gone - 1) / model.height,  # one odd row is none
            f"{gone / model.height:.1%} of the recorded rows are missing",
        )
        for name in model.columns:
            if name not in key and both.height >= 30:
                # a value instead of null is not a change, as when an order was closed
                was = pl.col(name)
                changed = was.is_not_null() & was.ne_missing(pl.col(f"{name}\0now"))
                share = float(both.select(changed.mean()).item())
                yield Measure(
                    (name,), share,
                    f"{share:.1%} of the recorded rows have another value",
                )  # fmt: skip
