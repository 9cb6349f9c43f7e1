"""Scores that are compared with a number that somebody wrote down are found, and nothing else."""

import pytest

from ml_experiment_runner.testing import literal_thresholds

FOUND = [
    "score >= 0.5",
    "late = scores > .3",
    "0.5 < score",
    "model.predict_proba(x)[:, 1] > 0.3",
    "flagged = np.where(proba > 0.5, 1, 0)",
    "if (p := model.predict_proba(x)) > 0.2: pass",
    "frame.filter(pl.col('score') >= 0.7)",
    "frame.filter(pl.col('late_probability').gt(0.7))",
    "df[df['score'] > 0.5]",
    "df[df.probability > 0.5]",
    "probabilities[:, 1] >= 0.35",
    "np.greater_equal(score, 0.4)",
    "self.score_ > 0.5",
    "result.probs.ravel() > 0.5",
    "margin = model.decision_function(x) > -0.2",
    "y = (chance > 0.5).astype(int)",
    "0.2 < score < 0.8",
    "while confidence < 0.9: pass",
    "100 * score > 50",
    "row.get('score') > 0.5",
    "assert probas.to_numpy() > .5",
    "-score < -0.5",
    "lambda proba: proba > 0.5",
]
FINE = [
    "score >= threshold",
    "score >= run.metrics['threshold']",
    "model.predict_proba(x)[:, 1] > threshold",
    "distance > 500",
    "pl.col('flights.arr_delay') >= 15",
    "hour >= 17",
    "score >= 0",
    "score <= 1",
    "scored == 3",
    "n_scores = len(scores) ",
    "len(scores) > 10",
    "score.shape[0] == 3",
    "problem > 3",
    "probe > 0.5",
    "underscore == 2",
    "temperature > 0.5",
    "x = 0.5 * score",
    "age > 18 and score > threshold",
    "frame.filter(pl.col('distance').gt(100))",
    "np.clip(score, 0.01, 0.99)",
    "metrics['rows'] > 100",
    "score == other_score",
    "approval > 0.5",
]


@pytest.mark.parametrize("text", FOUND)
def test_literal_beside_a_score_is_found(text: str) -> None:
    assert list(literal_thresholds.literals(text)), text


@pytest.mark.parametrize("text", FINE)
def test_what_is_no_threshold_is_left_alone(text: str) -> None:
    assert not list(literal_thresholds.literals(text)), text


LIKELIEST = [
    "scores > 0.5",
    "self.predict_proba(features)[:, 1] >= 0.5",
    "self.decision_function(features) > 0",
    "np.where(proba[:, 1] >= .5, 'late', 'on time')",
    "np.greater(proba, 0.5)",
    "proba.gt(0.5)",
    "self.predict_proba(features).argmax(axis=1)",
    "(lambda proba: proba > 0.5)(features)",
]
CHOSEN = ["scores > 0.3", "proba >= .51", "-0.5 < score", "np.greater(proba, 0.7)",
          "model.decision_function(features) > -0.5"]  # fmt: skip


def method(name: str, text: str, head: str = "class Own(ClassifierMixin, BaseEstimator):") -> str:
    """A class with a method that gives this back."""
    return f"{head}\n    def {name}(self, features):\n        return ({text})\n"


@pytest.mark.parametrize("text", LIKELIEST)
def test_likelier_class_of_an_estimator_is_left_alone(text: str) -> None:
    assert not list(literal_thresholds.literals(method("predict", text)))


@pytest.mark.parametrize("text", [text for text in LIKELIEST if ".5" in text])
@pytest.mark.parametrize(
    "code",
    [
        lambda text: method("predict_proba", text),
        lambda text: method("flag", text),
        lambda text: method("predict", text, head="if True:"),
        lambda text: f"def predict(features):\n    return ({text})",
        lambda text: text,
    ],
    ids=["predict_proba", "another method", "nested function", "function", "module"],
)
def test_one_half_outside_of_predict_is_found(code, text: str) -> None:
    assert list(literal_thresholds.literals(code(text)))


@pytest.mark.parametrize("text", CHOSEN)
def test_other_number_in_predict_is_found(text: str) -> None:
    assert list(literal_thresholds.literals(method("predict", text)))


def test_number_under_a_thresholds_key_is_found() -> None:
    content = {"model": {"decision_threshold": 0.4, "depth": 3}, "cutoff": 2, "threshold": {
        "policy": "precision", "target": 0.8}, "thresholded": 3}  # fmt: skip
    assert dict(literal_thresholds.keys(content)) == {"model.decision_threshold": 0.4, "cutoff": 2}
