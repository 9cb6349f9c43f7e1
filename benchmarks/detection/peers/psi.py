"""The population stability index by hand, with the usual ten bins and limit of 0.2.

Siddiqi, Credit Risk Scorecards (2006): less than 0.1 is no change, more than 0.25 a large one; 0.2
is what monitoring guides take. Bins are the past's deciles; a code is a bin, the rare ones
together, and so are the missing values.
"""

import numpy as np
import pandas as pd
from jobs import Facts, Said, run

LIMIT = 0.2
BINS = 10
CODES = 20  # the most frequent ones; all others are one bin
LEAST = 1e-4  # share of an empty bin


def learn(past: list[pd.DataFrame], facts: Facts) -> dict[str, tuple]:
    """Bins and their shares, by field."""
    frame = pd.concat(past, ignore_index=True)
    bins: dict[str, tuple] = {}
    for name in facts.watched:
        values = frame[name].dropna()
        if name in facts.numbers:
            quantiles = np.linspace(0, 1, BINS + 1)[1:-1]
            edges = np.unique(np.quantile(values, quantiles)) if len(values) else np.array([])
        else:
            edges = values.value_counts().index[:CODES].to_numpy()
        bins[name] = edges, _shares(frame[name], edges, name in facts.numbers)
    return bins


def look(learned: dict[str, tuple], rows: pd.DataFrame, facts: Facts) -> Said:
    """The fields beyond the limit, the farthest first."""
    found = []
    for name, (edges, expected) in learned.items():
        actual = _shares(rows[name], edges, name in facts.numbers)
        index = float(np.sum((actual - expected) * np.log(actual / expected)))
        if index > LIMIT:
            found.append((index, name))
    found.sort(reverse=True)
    return {METHODS[0]: [("distribution", name) for _, name in found]}


def _shares(values: pd.Series, edges: np.ndarray, number: bool) -> np.ndarray:
    if number:
        places = np.searchsorted(edges, values.to_numpy(float), side="left")
        size = len(edges) + 1
    else:
        codes = {code: place for place, code in enumerate(edges)}
        places = values.map(codes).fillna(len(edges)).to_numpy(int)
        size = len(edges) + 1
    places = np.where(values.isna(), size, places)
    shares = np.bincount(places, minlength=size + 1) / len(values)
    return np.maximum(shares, LEAST)


METHODS = ("PSI > 0.2",)

if __name__ == "__main__":
    run("numpy", METHODS, learn, look)
