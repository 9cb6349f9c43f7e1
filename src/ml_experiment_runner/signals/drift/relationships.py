"""Detectors of relationships between fields: what is missing together, what predicts what."""

# ruff: noqa: D102  Detector documents learn and measure

import itertools
from collections.abc import Iterator, Set
from typing import Any

import numpy as np

from ml_experiment_runner.signals.drift.rows import Detector, Flags, Measure, Numbers, Rows, blocks


class Together(Detector):
    """Rows that lack a field, or have 0 in it, where another has a value.

    Upstream, what is missing is missing together, and calm air has no direction: when nothing
    changed, they are as large a share of the rows as before.
    """

    kind, floor, factor, is_seasonal = "missing values", 0.006, 2.2, False
    ZEROS = 0.01  # from this share on, 0 is something special

    def learn(self, rows: Rows) -> list[tuple[list[tuple[str, str]], Numbers]]:
        always = {*rows.contract.key, *rows.calendar}
        model = []
        for names in blocks([name for name in rows.frame.columns if name not in always]):
            states = [(name, "no value") for name in names]
            states += [(name, "0") for name in names if self._has_zeros(rows, name)]
            model.append((states, self._shares(rows, states)))
        return model

    def measure(
        self, model: list[tuple[list[tuple[str, str]], Numbers]], rows: Rows
    ) -> Iterator[Measure]:
        for states, past in model:
            yield from self._measured(states, past, self._shares(rows, states))

    def _has_zeros(self, rows: Rows, name: str) -> bool:
        if name not in rows.numbers:
            return False
        known = rows.known(name)
        return self.ZEROS <= (float((known == 0).mean()) if len(known) else 0.0) <= 0.5

    @staticmethod
    def _measured(
        states: list[tuple[str, str]], past: Numbers, shares: Numbers
    ) -> Iterator[Measure]:
        for row, column in itertools.product(range(len(states)), repeat=2):
            (name, what), (partner, other_what) = states[row], states[column]
            if name == partner and row != column:
                continue
            # rows without the one among those with the other are more where the other comes more
            rise = 1.0 if row == column else min(
                1.0, (1 - past[column, column] + 1e-9) / (1 - shares[column, column] + 1e-9)
            )  # fmt: skip
            though = "" if row == column else f", though {partner} is not ({other_what})"
            yield Measure(
                (name,) if row == column else (name, partner), rise * float(shares[row, column]),
                f"{name} has {what} in {shares[row, column]:.1%} of the rows{though}; before in "
                f"{past[row, column]:.1%}",
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


class Relation(Detector):
    """A number predicted from the row's others: least squares on their squares and products.

    When nothing changed, the residuals have the centre, spread and tails that they had. Compare
    Fariha et al., Conformance Constraint Discovery, SIGMOD 2021.
    """

    kind, floor, factor, is_share = "relation", 1.0, 2.8, False
    is_seasonal = False
    SOME = 6000
    PRODUCTS = 10  # others; of more, squares only
    LOOSE = 0.35  # in standard deviations of the field: what is looser tells nothing

    def learn(self, rows: Rows, without: Set[str] = frozenset()) -> dict[str, Any]:
        rows = rows.sample(self.SOME)
        names = [name for name in rows.numbers if name not in without and self._varies(rows, name)]
        scale = {name: (np.median(rows.known(name)), self._deviation(rows, name)) for name in names}
        model = {}
        for name, near in ((name, block) for block in blocks(names) for name in block):
            others = [other for other in near if other != name]
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
            predicted = "the value that the other fields predict"
            figures = {
                "shift": (beside, f"{beside:.1f} standard deviations from {predicted}"),
                "spread": (2 * abs(np.log(wider)), f"spread {wider:.2g} times around {predicted}"),
                "far": (40 * outside, f"{outside:.1%} of the values are far from {predicted}"),
            }
            for what, (value, message) in figures.items():
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
        last = len(names) if len(names) <= self.PRODUCTS else 0
        products = [
            values[:, first] * values[:, second]
            for first in range(len(names))
            for second in range(first, max(last, first + 1))
        ]
        return np.column_stack([np.ones(len(values)), values, *products]), there, bounds


class Absence(Detector):
    """Where a field has nothing, or not its one usual value: how those rows lie in the others.

    When nothing changed, their mean rank against the rest is as before, but for chance: the
    statistic of Mann and Whitney, Annals of Mathematical Statistics 1947. A day counts once.
    """

    kind, floor, factor, is_share = "absence", 0.25, 2.8, False
    is_seasonal = False

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
                    f"{rows_with} have other values of {other} than before (mean rank {gap:+.2f} "
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
        beside = {name: block for block in blocks(rows.frame.columns) for name in block}
        for (name, what), value in usual.items():
            group = rows.is_null(name)
            if what == "other":
                group = ~group & (rows.numbers[name] != value)
            for other in (
                name_of_other for name_of_other in placed if name_of_other in beside[name]
            ):
                rank = placed[other]
                there = ~np.isnan(rank)
                inside, outside = rank[group & there], rank[~group & there]
                if other != name and min(len(inside), len(outside)) >= 10:
                    # a day counts once, for its rows tell the same weather again and again
                    size = len(np.unique(rows.days[group & there])) if rows.event else len(inside)
                    gaps[name, what, other] = (inside.mean() - outside.mean(), size)
        return gaps
