"""Your features, labels and prediction times, and the fields of signals that they need."""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.contract.contract import Contract

Needs = dict[str, set[str]]  # fields by signal


@dataclass(frozen=True)
class Expressions:
    """What `features.py` of the project's package holds."""

    features: Mapping[str, pl.Expr]
    labels: Mapping[str, pl.Expr]
    prediction_times: Mapping[str, pl.Expr]


def load(package: str) -> Expressions:
    """The expressions of a package.

    Raises:
        UserError: Its `features.py` cannot be loaded or holds something else than expressions.
    """
    name = f"{package}.features"
    try:
        module = importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (package, name):
            raise UserError(
                f"package: src/{package}/features.py does not exist; package must be the name of "
                "the folder in src/ that holds it"
            ) from None
        trace, line = error.__traceback__, 0
        while trace:
            if trace.tb_frame.f_code.co_filename.endswith("features.py"):
                line = trace.tb_lineno
            trace = trace.tb_next
        line = getattr(error, "lineno", None) or line
        raise UserError(
            f"src/{package}/features.py{f':{line}' if line else ''}: cannot be loaded "
            f"({type(error).__name__}: {error})"
        ) from error
    if getattr(module, "MOMENTS", None) and not hasattr(module, "PREDICTION_TIMES"):
        raise UserError(
            f"MOMENTS is called PREDICTION_TIMES now: rename it in src/{package}/features.py"
        )
    tables = {}
    for table in ("FEATURES", "LABELS", "PREDICTION_TIMES"):
        tables[table] = getattr(module, table, {})
        for key, expression in tables[table].items():
            if not isinstance(expression, pl.Expr):
                raise UserError(
                    f"{table}['{key}'] in src/{package}/features.py must be a polars expression "
                    f"such as pl.col('<signal>.<field>'), got {type(expression).__name__}"
                )
    return Expressions(tables["FEATURES"], tables["LABELS"], tables["PREDICTION_TIMES"])


def choose(table: Mapping[str, pl.Expr], name: str, key: str) -> pl.Expr:
    """The expression that a config key names.

    Raises:
        UserError: There is none; names the nearest.
    """
    if name not in table:
        raise UserError(f"{key}: features.py has no '{name}'. {nearest(name, table)}")
    return table[name]


def needs(expression: pl.Expr) -> Needs:
    """Fields by signal that an expression reads."""
    fields: Needs = {}
    for column in expression.meta.root_names():
        signal, _, field = column.partition(".")
        fields.setdefault(signal, set()).add(field)
    return fields


def together(all_needs: Iterable[Needs]) -> Needs:
    """Fields by signal that several expressions read."""
    union: Needs = {}
    for one_needs in all_needs:
        for signal, fields in one_needs.items():
            union.setdefault(signal, set()).update(fields)
    return union


def first_line(error: BaseException) -> str:
    """What polars says; the lines after it show its inner plan."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def text(expression: pl.Expr) -> str:
    """An expression as a text that is the same in every process."""
    return expression.meta.serialize(format="json")


def check(
    place: str, expression: pl.Expr, contracts: Mapping[str, Contract], may_know_after: bool
) -> None:
    """Checks that an expression uses only what it may.

    Args:
        place: Its name in messages, such as `feature 'distance'`.
        expression: The expression.
        contracts: All signals by name.
        may_know_after: Whether it may use fields that are known only after the event: a label may.

    Raises:
        UserError: A signal or field does not exist or is known too late, the expression looks at
            other rows, its fields are not named, or it calls Python code, whose changes nobody
            would notice.
    """
    for signal, fields in needs(expression).items():
        if signal not in contracts:
            raise UserError(
                f"{place} uses '{signal}.{min(fields)}', but there is no signal '{signal}'. "
                f"{nearest(signal, contracts)}"
            )
        contract = contracts[signal]
        for field in sorted(fields):
            if field not in contract.names:
                raise UserError(
                    f"{place} uses '{signal}.{field}', but {signal} has no field '{field}'. "
                    f"{nearest(field, contract.names)}"
                )
            if contract.field(field).known_after_event and not may_know_after:
                raise UserError(
                    f"{place} uses '{signal}.{field}', which is known only after the event "
                    f"(knownAfterEvent in signals/{signal}.yaml).\nUse a field that is known at "
                    "prediction time."
                )
    if "AnonymousFunction" in text(expression):
        raise UserError(
            f"{place} calls a Python function, and changes in it would not invalidate the cache.\n"
            "Write it with polars' own expressions."
        )
    try:
        own_row = _own_row(expression)
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"{place}: cannot tell which fields it uses ({first_line(error)}).\n"
            "Name each field with pl.col('<signal>.<field>') instead of a selector or pl.element()."
        ) from None
    if not needs(expression):
        raise UserError(f"{place} uses no field; write it with pl.col('<signal>.<field>')")
    if not own_row:
        raise UserError(
            f"{place} reads other rows, which may be later than its prediction time.\n"
            "Use only the row's own fields (no shift, mean, over, rank, …)."
        )


def _own_row(expression: pl.Expr) -> bool:
    """Whether every step of an expression can be computed from one row alone."""
    meta = expression.meta
    if meta.is_literal(allow_aliasing=True):
        return True
    # polars looks at the last step only, so the steps before it are checked in turn
    return (
        meta.is_row_separable() and meta.is_length_preserving() and all(map(_own_row, meta.pop()))
    )
