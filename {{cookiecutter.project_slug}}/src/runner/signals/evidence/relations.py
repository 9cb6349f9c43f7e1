"""How the fields of a row belong together: nothing a season changes."""

# ruff: noqa: D102  what learn and measure do, Check says

import itertools
from collections.abc import Iterator, Set
from typing import Any

import numpy as np
import polars as pl

from runner.signals.evidence.rows import Check, Flags, Measure, Numbers, Rows


class Together(Check):
    """Rows that lack a field, or have 0 in it, where another has a value.

    Upstream, what is missing is missing together, and calm air has no direction.
    """

    kind, floor, factor = "missing values", 0.006, 2.2
    ZEROS = 0.01  # from this share on, 0 is something special

    def learn(self, rows: Rows) -> tuple[list[tuple[str, str]], Numbers]:
        always = {*rows.contract.key, *rows.calendar}
        states = [(name, "no value") for name in rows.frame.columns if name not in always]
        states += [
            (name, "0") for name in rows.numbers
            if self.ZEROS <= float((rows.known(name) == 0).mean() if len(rows) else 0.0) <= 0.5
        ]  # fmt: skip
        return states, self._shares(rows, states)

    def measure(
        self, model: tuple[list[tuple[str, str]], Numbers], rows: Rows
    ) -> Iterator[Measure]:
        states, past = model
        shares = self._shares(rows, states)
        for one, other in itertools.product(range(len(states)), repeat=2):
            (name, what), (partner, other_what) = states[one], states[other]
            if name == partner and one != other:
                continue
            though = "" if one == other else f", though {partner} is not ({other_what})"
            yield Measure(
                (name,) if one == other else (name, partner), float(shares[one, other]),
                f"{name} has {what} in {shares[one, other]:.1%} of the rows{though}; before in "
                f"{past[one, other]:.1%}",
                f"{what}/{other_what}",
            )  # fmt: skip

    @staticmethod
    def _shares(rows: Rows, states: list[tuple[str, str]]) -> Numbers:
        """Share of rows in the one state (row) and not in the other; diagonal: in the state."""
        inside = np.zeros((len(states), len(rows)), dtype=np.float32)
        for number, (name, what) in enumerate(states):
            inside[number] = rows.numbers[name] == 0 if what == "0" else rows.is_null(name)
        shares = inside @ (1 - inside).T / max(len(rows), 1)
        np.fill_diagonal(shares, inside.mean(axis=1))
        return shares.astype(np.float64)


class Clock(Check):
    """Fields that repeat a part of the event time, such as its hour."""

    kind, floor, factor = "clock", 0.004, 2.0

    def learn(self, rows: Rows) -> list[tuple[str, str]]:
        return [
            (name, part)
            for name in rows.calendar
            for part, clock in rows.clock.items()
            if self._differ(rows, name, clock) < 0.005
        ]

    def measure(self, model: list[tuple[str, str]], rows: Rows) -> Iterator[Measure]:
        for name, part in model:
            share = self._differ(rows, name, rows.clock[part])
            assert rows.event is not None
            yield Measure(
                (rows.event, name), share,
                f"in {share:.1%} of the rows {name} is not the {part} of {rows.event}",
            )  # fmt: skip

    @staticmethod
    def _differ(rows: Rows, name: str, clock: Numbers) -> float:
        written = rows.frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return float((written != clock).mean())


class Twice(Check):
    """Rows that only the event time tells apart, not what is written of it in other fields.

    So it is with the hour that comes twice when summer time ends, and with a day sent again.
    """

    kind, floor, is_share = "twice", 0.5, False

    def learn(self, rows: Rows) -> list[str]:
        key = [*rows.places, *sorted(rows.calendar)]
        return key if rows.calendar and not self._count(rows, key) else []

    def measure(self, model: list[str], rows: Rows) -> Iterator[Measure]:
        if model:
            assert rows.event is not None
            count = self._count(rows, model)
            yield Measure(
                (rows.event, *rows.places), float(count),
                f"{count:,} rows share {', '.join(model)} with another, which never happened",
            )  # fmt: skip

    @staticmethod
    def _count(rows: Rows, key: list[str]) -> int:
        return int(rows.frame.select(key).is_duplicated().sum())


class Sums(Check):
    """Differences of two or three fields that take a few values only: a = b + c, and the like."""

    kind, floor, factor = "sum", 0.006, 2.0
    SOME = 3000

    def learn(self, rows: Rows) -> dict[tuple[str, ...], Numbers]:
        names = [name for name in rows.numbers if len(np.unique(rows.known(name))) > 20]
        some = rows.every(len(rows) // self.SOME)
        pairs = list(itertools.combinations(names, 2))
        triples = [(name, *pair) for name in names for pair in pairs if name not in pair]
        model = {}
        for fields in (*pairs, *triples):
            values, counts = np.unique(self._difference(some, fields), return_counts=True)
            usual = counts >= max(3, 0.002 * counts.sum())
            if (
                counts.sum() >= 300
                and usual.sum() <= 12
                and (counts[usual].sum() > 0.97 * counts.sum())
            ):
                values, counts = np.unique(self._difference(rows, fields), return_counts=True)
                model[fields] = values[counts >= max(2, 0.0002 * counts.sum())]
        return model

    def measure(self, model: dict[tuple[str, ...], Numbers], rows: Rows) -> Iterator[Measure]:
        for fields, usual in model.items():
            values = self._difference(rows, fields)
            if len(values) >= 30:
                share = float((~np.isin(values, usual)).mean())
                yield Measure(
                    fields, share,
                    f"in {share:.1%} of the rows {' - '.join(fields)} is none of its usual values",
                )  # fmt: skip

    @staticmethod
    def _difference(rows: Rows, fields: tuple[str, ...]) -> Numbers:
        difference = rows.numbers[fields[0]] - sum(rows.numbers[name] for name in fields[1:])
        return np.round(difference[~np.isnan(difference)], 4)


class Dependence(Check):
    """Fields that follow from one or two texts: the distance from origin and destination.

    Approximate functional dependencies, as Huhtala et al., TANE, The Computer Journal 1999, mine.
    """

    kind, floor, factor = "dependence", 0.02, 2.5
    SOME = 20_000

    def learn(self, rows: Rows) -> dict[tuple[tuple[str, ...], str], pl.DataFrame]:
        some = rows.every(len(rows) // self.SOME).frame
        found: list[tuple[tuple[str, ...], str]] = []
        texts = [(name,) for name in rows.texts]
        for given in (*texts, *itertools.combinations(rows.texts, 2)):
            if not 2 <= some.select(pl.struct(given).n_unique()).item() <= 0.35 * len(some):
                continue
            for name in rows.frame.columns:
                known = any(((one,), name) in found for one in given)
                if (
                    name not in (*given, rows.event)
                    and not known
                    and self._holds(some, given, name)
                ):
                    found.append((given, name))
        return {each: _usual(rows.frame, *each).drop("|rows") for each in found}

    def measure(
        self, model: dict[tuple[tuple[str, ...], str], pl.DataFrame], rows: Rows
    ) -> Iterator[Measure]:
        for (given, name), usual in model.items():
            both = (
                rows.frame.select(*given, name).drop_nulls(name).join(usual, on=given, how="inner")
            )
            if both.height > 0.02 * len(rows):
                share = float((both[name] != both["|usual"]).sum()) / both.height
                yield Measure(
                    (name, *given), share,
                    f"in {share:.1%} of the rows {name} is not what {' and '.join(given)} always "
                    "had",
                )  # fmt: skip

    @staticmethod
    def _holds(some: pl.DataFrame, given: tuple[str, ...], name: str) -> bool:
        """Whether the one follows from the others, and is not nearly the same everywhere."""
        there = some[name].drop_nulls()
        if there.is_empty():
            return False
        most = there.value_counts(name="|rows")["|rows"].max()
        right = _usual(some, given, name)["|rows"].sum()
        return bool(right > 0.985 * len(there) and most < 0.9 * len(there))  # type: ignore[operator]


def _usual(frame: pl.DataFrame, given: tuple[str, ...], name: str) -> pl.DataFrame:
    """The most frequent value of a field for each value of others, and in how many rows."""
    counts = frame.drop_nulls(name).group_by(*given, pl.col(name).alias("|usual")).len("|rows")
    return counts.sort("|rows", "|usual", descending=True).unique(given, keep="first")


class Relation(Check):
    """What the other numbers of a row tell of one: least squares on their squares and products."""

    kind, floor, factor, is_share = "relation", 1.0, 2.8, False
    SOME = 6000
    LOOSE = 0.35  # in standard deviations of the field: what is looser tells nothing

    def learn(self, rows: Rows, without: Set[str] = frozenset()) -> dict[str, Any]:
        rows = rows.every(len(rows) // self.SOME)
        names = [name for name in rows.numbers if name not in without and self._varies(rows, name)]
        scale = {name: (np.median(rows.known(name)), self._deviation(rows, name)) for name in names}
        model = {}
        for name in names:
            others = [other for other in names if other != name]
            if not others:
                continue
            features, there, bounds = self._features(rows, others, scale)
            target = self._scaled(rows, name, scale)[there]
            features, target = features[~np.isnan(target)], target[~np.isnan(target)]
            if len(target) < 10 * features.shape[1]:
                continue
            kept: Flags = np.ones(len(target), dtype=bool)
            for _ in range(2):  # the second time without outliers
                gram = features[kept].T @ features[kept]
                gram[np.diag_indices_from(gram)] += 1e-4 * kept.sum()
                weights = np.linalg.solve(gram, features[kept].T @ target[kept])
                rest = target - features @ weights
                center = np.median(rest)
                spread = 1.48 * np.median(np.abs(rest - center)) + 1e-6
                kept = np.abs(rest - center) < 6 * spread
            if spread < self.LOOSE:
                far = np.quantile(np.abs(rest - center), 0.998)
                model[name] = (others, bounds, weights, center, spread, far)
        return {"scale": scale, "fields": model}

    def measure(self, model: dict[str, Any], rows: Rows) -> Iterator[Measure]:
        for name, (others, bounds, weights, center, spread, far) in model["fields"].items():
            features, there, _ = self._features(rows, others, model["scale"], bounds)
            rest = self._scaled(rows, name, model["scale"])[there] - features @ weights - center
            rest = rest[~np.isnan(rest)]
            if len(rest) < 50:
                continue
            shift = np.median(rest)
            wider = (1.48 * np.median(np.abs(rest - shift)) + 1e-6) / spread
            outside = float((np.abs(rest) > far).mean())
            beside = abs(shift) / spread
            told = "what the other fields tell"
            found = {
                "shift": (beside, f"it lies {beside:.1f} standard deviations beside {told}"),
                "spread": (2 * abs(np.log(wider)), f"it scatters {wider:.2g} x around {told}"),
                "far": (40 * outside, f"{outside:.1%} of its values lie far from {told}"),
            }
            for what, (value, message) in found.items():
                yield Measure((name, *others), float(value), message, what)

    @staticmethod
    def _varies(rows: Rows, name: str) -> bool:
        values, counts = np.unique(rows.known(name), return_counts=True)
        there = counts.sum()
        return bool(there > 0.8 * len(rows) and len(values) > 20 and counts.max() < 0.5 * there)

    @staticmethod
    def _deviation(rows: Rows, name: str) -> float:
        """Standard deviation, whatever its few outermost values are."""
        values = rows.known(name)
        return float(np.clip(values, *np.quantile(values, [0.002, 0.998])).std())

    @staticmethod
    def _scaled(rows: Rows, name: str, scale: dict[str, Any]) -> Numbers:
        center, deviation = scale[name]
        scaled: Numbers = (rows.numbers[name] - center) / deviation
        return scaled

    def _features(
        self, rows: Rows, names: list[str], scale: dict[str, Any], bounds: Any = None
    ) -> tuple[Numbers, Flags, Any]:
        """Features of the rows that have all fields, within the bounds of what was learned."""
        values = np.column_stack([self._scaled(rows, name, scale) for name in names])
        there: Flags = np.asarray(~np.isnan(values).any(axis=1))
        if bounds is None:
            bounds = np.quantile(values[there], [0.002, 0.998], axis=0)
        else:  # beyond them nothing was learned
            inside = (np.nan_to_num(values) >= bounds[0]) & (np.nan_to_num(values) <= bounds[1])
            there = there & inside.all(axis=1)
        values = np.clip(values[there], *bounds)
        products = [
            values[:, one] * values[:, other]
            for one in range(len(names))
            for other in range(one, len(names))
        ]
        return np.column_stack([np.ones(len(values)), values, *products]), there, bounds


class Absence(Check):
    """Where a field has nothing, or not its one usual value: how those rows lie in the others."""

    kind, floor, factor, is_share = "absence", 0.27, 2.8, False

    def learn(self, rows: Rows) -> dict[str, Any]:
        usual = {}
        for name in rows.frame.columns:
            if name in rows.contract.key or name in rows.calendar:
                continue
            if rows.is_null(name).sum() >= 10:
                usual[name, "none"] = np.nan
            if name in rows.numbers and len(values := rows.known(name)) >= 100:
                distinct, counts = np.unique(values, return_counts=True)
                if counts.max() > 0.5 * len(values):
                    usual[name, "other"] = float(distinct[counts.argmax()])
        ranks = {}
        for name in rows.numbers:
            values = np.sort(rows.known(name))
            if len(np.unique(values)) > 8:
                ranks[name] = values[:: max(1, len(values) // 4000)]
        return {"usual": usual, "ranks": ranks, "gaps": self._gaps(rows, usual, ranks)}

    def measure(self, model: dict[str, Any], rows: Rows) -> Iterator[Measure]:
        now = self._gaps(rows, model["usual"], model["ranks"])
        for (name, what, other), (before, count) in model["gaps"].items():
            if (name, what, other) in now:
                gap, size = now[name, what, other]
                chance = 0.58 / np.sqrt(min(count, size))
                rows_with = f"rows without {name}" if what == "none" else f"rows of unusual {name}"
                yield Measure(
                    (name, other), max(0.0, abs(gap - before) - chance),
                    f"{rows_with} lie otherwise in {other} than before (mean rank {gap:+.2f} "
                    f"against the rest, before {before:+.2f})",
                    what,
                )  # fmt: skip

    @staticmethod
    def _gaps(rows: Rows, usual: dict[Any, float], ranks: dict[str, Numbers]) -> dict[Any, Any]:
        """Mean rank, 0 to 1, of such rows in every other field, less that of the rest."""
        placed = {}
        for name, past in ranks.items():
            values = rows.numbers[name]
            below = np.searchsorted(past, values) + np.searchsorted(past, values, "right")
            placed[name] = np.where(np.isnan(values), np.nan, below / (2 * len(past)))
        gaps = {}
        for (name, what), value in usual.items():
            group = rows.is_null(name)
            if what == "other":
                group = ~group & (rows.numbers[name] != value)
            for other, rank in placed.items():
                there = ~np.isnan(rank)
                inside, outside = rank[group & there], rank[~group & there]
                if other != name and min(len(inside), len(outside)) >= 10:
                    # a day counts once, for its rows tell the same weather again and again
                    size = len(np.unique(rows.days[group & there])) if rows.event else len(inside)
                    gaps[name, what, other] = (inside.mean() - outside.mean(), size)
        return gaps


class SwappedCodes(Check):
    """Whether the numbers at two codes lie as they did at each other's.

    Against the other codes of the same day: with the seasons all move together. A day counts once,
    for its rows tell the same weather again and again.
    """

    kind, floor, factor, is_share = "swapped codes", 1.3, 1.5, False
    CODES, DAYS = 12, 5

    def learn(self, rows: Rows) -> dict[str, Any]:
        scale = {
            name: (*np.quantile(values, [0.01, 0.99]), values.std())
            for name in rows.numbers
            if len(values := rows.known(name)) >= 200 and values.std() > 0
        }
        texts = [name for name in rows.texts
                 if 2 <= rows.texts[name].drop_nulls().n_unique() <= self.CODES]  # fmt: skip
        if rows.event is None:
            return {}
        return {text: (scale, self._offsets(rows, text, scale)) for text in texts}

    def measure(self, model: dict[str, Any], rows: Rows) -> Iterator[Measure]:
        for text, (scale, past) in model.items():
            now = self._offsets(rows, text, scale)
            known = sorted(set(past) & set(now))
            if len(known) < 2:
                continue
            far = np.array([[self._distance(now[one], past[other]) for other in known]
                            for one in known])  # fmt: skip
            same = np.diagonal(far).sum()
            pairs = list(itertools.combinations(range(len(known)), 2))
            swapped = [
                same - far[one, one] - far[other, other] + far[one, other] + far[other, one]
                for one, other in pairs
            ]
            one, other = pairs[int(np.argmin(swapped))]
            yield Measure(
                (text,), float(np.sqrt(same / min(swapped))) if min(swapped) > 0 else 0.0,
                f"the other fields lie at {known[one]} as they did at {known[other]}, and at "
                f"{known[other]} as at {known[one]}",
            )  # fmt: skip

    def _offsets(
        self, rows: Rows, text: str, scale: dict[str, Any]
    ) -> dict[str, tuple[Numbers, Numbers]]:
        """By code: each number's mean offset from the day's mean, and that mean's variance."""
        frame = (
            pl.DataFrame(
                {
                    "|day": rows.days,
                    "|code": rows.texts[text],
                    **{n: rows.numbers[n] for n in scale},
                }
            )
            .fill_nan(None)
            .drop_nulls("|code")
        )
        daily = (
            frame.with_columns(
                (pl.col(name).clip(low, high) - pl.col(name).clip(low, high).mean().over("|day"))
                / width
                for name, (low, high, width) in scale.items()
            )
            .group_by("|code", "|day")
            .agg(pl.col(name).mean() for name in scale)
        )
        found = {}
        for (code,), each in daily.sort("|code", "|day").group_by("|code", maintain_order=True):
            if each.height >= self.DAYS:
                values = each.select(list(scale)).to_numpy()
                count = np.maximum((~np.isnan(values)).sum(axis=0), 1)
                mean = np.nansum(values, axis=0) / count
                variance = np.nansum((values - mean) ** 2, axis=0) / count**2
                found[str(code)] = (mean, variance)
        return found

    @staticmethod
    def _distance(one: tuple[Numbers, Numbers], other: tuple[Numbers, Numbers]) -> float:
        """Squared, in units of what chance gives; 1 for each field is no distance."""
        return float((1 + (one[0] - other[0]) ** 2 / (one[1] + other[1] + 1e-6)).sum())
