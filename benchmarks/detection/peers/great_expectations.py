"""Great Expectations with what the contract says, and with limits from the past besides.

docs.greatexpectations.io, "Data quality use cases": schema, completeness, uniqueness, volume,
freshness, validity and distribution, each with its expectations. Core 1.x has no profiler any more;
the limits are what its Onboarding Data Assistant took: the smallest and the greatest of what the
past deliveries had, which we widen by a tenth. Value sets are learned where there are few values.
"""

from collections.abc import Iterator
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from jobs import Facts, Said, run

METHODS = ("Great Expectations, the contract", "Great Expectations, with limits from the past")
WIDER = 0.1
FEW = 50  # values of a set


def learn(past: list[pd.DataFrame], facts: Facts) -> Any:
    """A batch definition and the expectations of both methods."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("peer").add_dataframe_asset("delivery")
    batch = asset.add_batch_definition_whole_dataframe("whole")
    contract = gx.ExpectationSuite("contract", expectations=list(_contract(past, facts)))
    limits = gx.ExpectationSuite("limits", expectations=list(_limits(past, facts)))
    return batch, context.suites.add(contract), context.suites.add(limits), facts


def look(learned: Any, rows: pd.DataFrame, facts: Facts) -> Said:
    """The expectations that are not met, in the suite's order."""
    definition, contract, limits, _ = learned
    batch = definition.get_batch(batch_parameters={"dataframe": rows})
    first = _failed(batch.validate(contract, result_format="SUMMARY"))
    if facts.event_time:
        # "Freshness": the newest time is neither old nor in the future
        oldest = facts.now - pd.Timedelta(hours=facts.late_after)
        fresh = gxe.ExpectColumnMaxToBeBetween(
            column=facts.event_time, min_value=oldest, max_value=facts.now
        )
        if not batch.validate(fresh).success:
            first.append((fresh.expectation_type, facts.event_time))
    second = _failed(batch.validate(limits, result_format="SUMMARY"))
    return {METHODS[0]: first, METHODS[1]: first + second}


def _contract(past: list[pd.DataFrame], facts: Facts) -> Iterator[gxe.Expectation]:
    yield gxe.ExpectTableColumnsToMatchSet(column_set=list(facts.types), exact_match=True)
    for name, kind in facts.types.items():
        if kind != "timestamp":  # it does not know times with a zone
            yield gxe.ExpectColumnValuesToBeOfType(column=name, type_=past[-1][name].dtype.name)
    if len(facts.key) == 1:
        yield gxe.ExpectColumnValuesToBeUnique(column=facts.key[0])
    else:
        yield gxe.ExpectCompoundColumnsToBeUnique(column_list=facts.key)
    for name, share in facts.nulls.items():
        yield gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=1 - share)
    for name, (low, high) in facts.ranges.items():
        yield gxe.ExpectColumnValuesToBeBetween(
            column=name, min_value=low, max_value=high, mostly=facts.mostly[name]
        )
    for name, allowed in facts.allowed.items():
        yield gxe.ExpectColumnValuesToBeInSet(
            column=name, value_set=allowed, mostly=facts.mostly[name]
        )
    if facts.rows:
        fewest, most = facts.rows
        yield gxe.ExpectTableRowCountToBeBetween(min_value=fewest, max_value=most)


def _limits(past: list[pd.DataFrame], facts: Facts) -> Iterator[gxe.Expectation]:
    low, high = _wider([len(each) for each in past])
    yield gxe.ExpectTableRowCountToBeBetween(min_value=low, max_value=high)
    for name in facts.watched:
        columns = [each[name] for each in past]
        low, high = _wider([each.notna().mean() for each in columns])
        yield gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column=name, min_value=low, max_value=min(high, 1.0)
        )
        if name in facts.categories:
            values = set().union(*(each.dropna() for each in columns))
            if len(values) <= FEW:
                yield gxe.ExpectColumnDistinctValuesToBeInSet(column=name, value_set=sorted(values))
            continue
        for expectation, measure in (
            (gxe.ExpectColumnMeanToBeBetween, "mean"),
            (gxe.ExpectColumnStdevToBeBetween, "std"),
            (gxe.ExpectColumnMedianToBeBetween, "median"),
            (gxe.ExpectColumnMinToBeBetween, "min"),
            (gxe.ExpectColumnMaxToBeBetween, "max"),
        ):
            low, high = _wider([getattr(each, measure)() for each in columns])
            yield expectation(column=name, min_value=low, max_value=high)


def _wider(values: list[float]) -> tuple[float, float]:
    low, high = float(min(values)), float(max(values))
    return low - WIDER * abs(low), high + WIDER * abs(high)


def _failed(result: Any) -> list[tuple[str, str | None]]:
    found = []
    for each in result.results:
        if not each.success:
            config = each.expectation_config
            field = config.kwargs.get("column")
            if config.type == "expect_table_columns_to_match_set":
                mismatched = each.result.get("details", {}).get("mismatched", {})
                field = next(iter(mismatched.get("missing", [])), None)
            found.append((config.type, field))
    return found


if __name__ == "__main__":
    run("great_expectations", METHODS, learn, look)
