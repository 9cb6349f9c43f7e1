"""A classifier that is to tell a delivery's whole rows from those of the month before it.

Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017. If it can, the rows differ;
which field it is, the largest loss of a permuted one says. Its limit is fixed, or learned: what it
reached between months of the past.
"""

import itertools

import numpy as np
import pandas as pd
from jobs import Facts, Said, run
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

FIXED, MARGIN, ROWS = 0.7, 0.02, 4000


def learn(past: list[pd.DataFrame], facts: Facts) -> tuple[pd.DataFrame, float]:
    """The newest month, and the largest area under the curve between months that follow."""
    areas = [_told(one, other, facts)[0] for one, other in itertools.pairwise(past[-5:])]
    return past[-1], max(areas, default=FIXED)


def look(model: tuple[pd.DataFrame, float], rows: pd.DataFrame, facts: Facts) -> Said:
    """What makes the rows told apart, if they are."""
    before, natural = model
    area, fields = _told(before, rows, facts)
    return {
        METHODS[0]: [("whole rows", name) for name in fields] if area > FIXED else [],
        METHODS[1]: [("whole rows", name) for name in fields] if area > natural + MARGIN else [],
    }


def _told(one: pd.DataFrame, other: pd.DataFrame, facts: Facts) -> tuple[float, list[str]]:
    """Area under the curve on the half that was not learned, and the fields by what they lose."""
    rng = np.random.default_rng(0)
    parts = [each.sample(min(ROWS, len(each)), random_state=0) for each in (one, other)]
    names = list(facts.watched)
    frame = pd.concat(parts, ignore_index=True)[names]
    values = np.column_stack(
        [
            frame[name].to_numpy(float) if name in facts.numbers else pd.factorize(frame[name])[0]
            for name in names
        ]
    )
    label = np.repeat([0, 1], [len(each) for each in parts])
    half = rng.random(len(label)) < 0.5
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(
        values[half], label[half]
    )
    rest, truth = values[~half], label[~half]
    area = roc_auc_score(truth, model.predict_proba(rest)[:, 1])
    losses = {}
    for place, name in enumerate(names):
        shuffled = rest.copy()
        shuffled[:, place] = rng.permutation(shuffled[:, place])
        losses[name] = area - roc_auc_score(truth, model.predict_proba(shuffled)[:, 1])
    return float(area), sorted(losses, key=losses.__getitem__, reverse=True)


METHODS = (f"domain classifier, area > {FIXED}", "domain classifier, limit learned")

if __name__ == "__main__":
    run("scikit-learn", METHODS, learn, look)
