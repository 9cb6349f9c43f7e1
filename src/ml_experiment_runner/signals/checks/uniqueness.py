"""Finds duplicate values, in a delivery and beside the unchanged partitions."""

from collections.abc import Iterator, Mapping

import polars as pl

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.project.text import percent
from ml_experiment_runner.signals.checks.conditions import value_text
from ml_experiment_runner.signals.checks.schema import shown
from ml_experiment_runner.signals.checks.tolerance import too_many
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.odcs.quality_rules import Rule


def repeated(
    contract: Contract,
    delivery: Mapping[str, pl.DataFrame],
    unchanged: Mapping[str, pl.LazyFrame],
) -> list[Violation]:
    """What must be unique, or nearly so, and is not.

    A row counts if its value came in an earlier one; rows without a value do not count.
    """
    violations = []
    for rule, field in _rules(contract):
        names = list(rule.properties) if field is None else [field.name]
        columns = list(dict.fromkeys((*names, *contract.key)))
        # what is new comes last, for there a repeated value is found
        frames = {
            **{name: frame.select(columns).collect() for name, frame in unchanged.items()},
            **{name: delivery[name].select(columns) for name in sorted(delivery)},
        }
        rows = sum(frame.height for frame in frames.values())
        if not rows or not delivery:
            continue
        table = pl.concat(frames.values())
        valued = table.drop_nulls(names)
        count = valued.height - valued.select(names).n_unique()
        tolerated = rule.tolerated
        if too_many(count, rows, tolerated) if tolerated is not None else \
                not rule.is_kept(count, rows):  # fmt: skip
            violations.append(_violation(contract, rule, field, count, frames))
    return violations


def _rules(contract: Contract) -> Iterator[tuple[Rule, Field | None]]:
    for field in contract.fields:
        # a key of one field is unique, or there is no snapshot
        if field.unique and contract.key != (field.name,):
            yield Rule("duplicateValues", "mustBe", (0,)), field
        for rule in field.rules:
            if rule.metric == "duplicateValues":
                yield rule, field
    for rule in contract.rules:
        if rule.metric == "duplicateValues":
            yield rule, None


def _violation(
    contract: Contract,
    rule: Rule,
    field: Field | None,
    count: int,
    frames: Mapping[str, pl.DataFrame],
) -> Violation:
    names = list(rule.properties) if field is None else [field.name]
    rows = sum(frame.height for frame in frames.values())
    message = (
        f"{count:,} of {rows:,} values of {', '.join(names)} ({percent(count / rows)}) repeat an "
        "earlier one"
    )
    if rule.tolerated is None:
        message += f" where {rule.expected} are expected"
    elif rule.tolerated:
        message += f"; tolerated: {percent(rule.tolerated)}"
    where = list(frames)[-1]
    if count:
        table = pl.concat(
            [frame.with_columns(pl.lit(name).alias("")) for name, frame in frames.items()]
        ).drop_nulls(names)
        first = table.filter(~pl.struct(names).is_first_distinct()).row(0, named=True)
        where = first[""]
        value = ", ".join(_shown(contract, name, first[name]) for name in names)
        message += f"; {value}, first at {key_text(contract, first)}"
    return Violation("duplicates", field.name if field else None, message, where)


def key_text(contract: Contract, row: Mapping[str, object]) -> str:
    """The key of a row in a message."""
    return ", ".join(f"{name}={_shown(contract, name, row[name])}" for name in contract.key)


def _shown(contract: Contract, name: str, value: object) -> str:
    return shown(value, contract.field(name), lambda it: value_text(it, contract))
