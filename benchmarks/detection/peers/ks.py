"""Two-sample Kolmogorov-Smirnov tests, and chi-square tests for codes.

`scipy.stats.ks_2samp` and `scipy.stats.chi2_contingency` as their pages tell; cells that expect
fewer than five are counted together, as the latter asks for.
"""

import numpy as np
import pandas as pd
from jobs import Facts, Said, run
from scipy import stats

LEVEL = 0.05


def learn(past: list[pd.DataFrame], _: Facts) -> pd.DataFrame:
    """The past as one sample."""
    return pd.concat(past, ignore_index=True)


def look(past: pd.DataFrame, rows: pd.DataFrame, facts: Facts) -> Said:
    """The fields whose test is below the level, the greatest statistic first."""
    found = []
    for name in facts.watched:
        a, b = past[name].dropna(), rows[name].dropna()
        if len(a) and len(b):
            test = _ks if name in facts.numbers else _chi_square
            statistic, p = test(a, b)
            found.append((statistic, p, name))
    found.sort(reverse=True)
    return {
        method: [("distribution", name) for _, p, name in found if p < level]
        for method, level in zip(METHODS, (LEVEL, LEVEL / len(facts.watched)), strict=True)
    }


def _ks(a: pd.Series, b: pd.Series) -> tuple[float, float]:
    result = stats.ks_2samp(a.to_numpy(float), b.to_numpy(float))
    return float(result.statistic), float(result.pvalue)


def _chi_square(a: pd.Series, b: pd.Series) -> tuple[float, float]:
    counts = pd.DataFrame({"a": a.value_counts(), "b": b.value_counts()}).fillna(0).to_numpy()
    expected = stats.contingency.expected_freq(counts)
    few = expected.min(axis=1) < 5
    counts = np.vstack([counts[~few], counts[few].sum(axis=0)])
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < 2:
        return 0.0, 1.0
    result = stats.chi2_contingency(counts)
    return float(np.sqrt(result.statistic / counts.sum())), float(result.pvalue)


METHODS = ("KS and chi-square, p < 0.05", "KS and chi-square, Bonferroni")

if __name__ == "__main__":
    run("scipy", METHODS, learn, look)
