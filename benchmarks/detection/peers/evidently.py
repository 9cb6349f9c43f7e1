"""Evidently's presets with their own methods and limits.

docs.evidentlyai.com, "Data drift" (preset): compared with a reference, the method is chosen by type
and number of rows; there is dataset drift where at least half of the columns drift. "Tests":
`include_tests=True` derives the conditions from a reference. They compare counts, too, with 10 %
tolerance, so the reference of `DataSummaryPreset` is the last accepted delivery; that of the drift
is all of them.
"""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset, DataSummaryPreset
from jobs import Facts, Said, run

METHODS = (
    "Evidently, dataset drift",
    "Evidently, any column drifted",
    "Evidently, tests of the data summary",
)


def learn(past: list[pd.DataFrame], facts: Facts) -> tuple[Dataset, Dataset]:
    """The two references."""
    whole = pd.concat(past, ignore_index=True)
    return _dataset(whole, facts, drift=True), _dataset(past[-1], facts, drift=False)


def look(learned: tuple[Dataset, Dataset], rows: pd.DataFrame, facts: Facts) -> Said:
    """What drifts, by its distance over the limit, and which tests fail."""
    reference, last = learned
    drift = Report([DataDriftPreset()], include_tests=True)
    result = drift.run(_dataset(rows, facts, drift=True), reference).dict()
    failed = _failed(result)
    columns = [("drift", name) for name in _by_strength(result) if ("ValueDrift", name) in failed]
    dataset = any(kind == "DriftedColumnsCount" for kind, _ in failed)
    summary = Report([DataSummaryPreset()], include_tests=True)
    tests = _failed(summary.run(_dataset(rows, facts, drift=False), last).dict())
    return dict(zip(METHODS, (columns if dataset else [], columns, tests), strict=True))


def _dataset(rows: pd.DataFrame, facts: Facts, *, drift: bool) -> Dataset:
    definition = DataDefinition(
        numerical_columns=facts.numbers,
        categorical_columns=facts.categories + ([] if drift else facts.identifiers),
        # times make rows unique, which the summary counts
        datetime_columns=[facts.event_time] if facts.event_time and not drift else [],
    )
    frame = rows.drop(columns=facts.unwatched(rows)) if drift else rows
    return Dataset.from_pandas(frame, data_definition=definition)


def _failed(result: dict) -> list[tuple[str, str | None]]:
    found = []
    for test in result["tests"]:
        if str(test["status"]).rpartition(".")[2] not in ("SUCCESS", "SKIPPED"):
            params = test["metric_config"]["params"]
            kind = params["type"].rpartition(":")[2] + str(params.get("quantile", ""))
            found.append((kind, params.get("column")))
    return found


def _by_strength(result: dict) -> list[str]:
    strengths = {}
    for metric in result["metrics"]:
        config = metric["config"]
        if config["type"].endswith("ValueDrift"):
            score, limit = float(metric["value"]), float(config["threshold"])
            # a p-value is small where there is drift, a distance large
            by_p = "p_value" in config["method"]
            strengths[config["column"]] = limit / max(score, 1e-300) if by_p else score / limit
    return sorted(strengths, key=lambda name: -strengths[name])


if __name__ == "__main__":
    run("evidently", METHODS, learn, look)
