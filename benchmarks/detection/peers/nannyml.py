"""NannyML's calculators with their own methods and thresholds.

nannyml.readthedocs.io, "Univariate Drift Detection": Jensen-Shannon by default for numbers and
codes; "Multivariate Drift Detection: Data Reconstruction with PCA"; "Data Quality": missing and
unseen values. "Thresholds": three standard deviations of the reference's chunks. "Chunking": by
period, and at least six chunks of reference: months, where there are six, and else weeks; ten
equal chunks by default where there is no time.
"""

import nannyml as nml
import pandas as pd
from jobs import Facts, Said, run

FEWEST = 6
METHODS = (
    "NannyML, univariate drift",
    "NannyML, missing and unseen values",
    "NannyML, data reconstruction",
)


def learn(past: list[pd.DataFrame], facts: Facts) -> dict[str, list]:
    """The fitted calculators, by method."""
    chunks = {}
    if facts.event_time:
        period = "M" if len(past) >= FEWEST else "W"
        chunks = {"timestamp_column_name": facts.event_time, "chunk_period": period}
    calculators = (
        [
            nml.UnivariateDriftCalculator(
                facts.watched,
                treat_as_numerical=facts.numbers,
                treat_as_categorical=facts.categories,
                **chunks,
            )
        ],
        [
            nml.MissingValuesCalculator([*facts.watched, *facts.identifiers], **chunks),
            nml.UnseenValuesCalculator(facts.categories, **chunks),
        ],
        [nml.DataReconstructionDriftCalculator(facts.watched, **chunks)],
    )
    reference = _prepared(pd.concat(past, ignore_index=True), facts)
    for each in calculators:
        for calculator in each:
            calculator.fit(reference)
    return dict(zip(METHODS, calculators, strict=True))


def look(learned: dict[str, list], rows: pd.DataFrame, facts: Facts) -> Said:
    """The fields with an alert in any chunk, those with the most alerts first."""
    frame = _prepared(rows, facts)
    said: Said = {}
    for method, calculators in learned.items():
        alerts: dict[tuple[str, str | None], int] = {}
        for calculator in calculators:
            result = calculator.calculate(frame).filter(period="analysis").to_df()
            for column in result.columns:
                if column[-1] == "alert" and (count := int(result[column].sum())):
                    field = column[0] if column[0] in facts.types else None
                    name = type(calculator).__name__
                    alerts[name, field] = alerts.get((name, field), 0) + count
        said[method] = sorted(alerts, key=lambda each: -alerts[each])
    return said


def _prepared(rows: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    if facts.event_time is None:
        return rows
    local = rows[facts.event_time].dt.tz_convert(facts.time_zone).dt.tz_localize(None)
    return rows.assign(**{facts.event_time: local})


if __name__ == "__main__":
    run("nannyml", METHODS, learn, look)
