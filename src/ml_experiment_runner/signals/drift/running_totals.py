"""Running totals: a meter's reading says little, what it rose by since the row before says all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.semantic_types import CUMULATIVE, repeated_places


@dataclass(frozen=True)
class RunningTotals:
    """The running totals of a signal's past, from which those of new rows go on.

    Attributes:
        names: The fields.
        places: Fields that say whose total it is; none where it is the whole table's.
        event: The event time.
        before: These fields of the past's rows.
    """

    names: Sequence[str]
    places: Sequence[str]
    event: str
    before: pl.DataFrame

    def increases(self, frame: pl.DataFrame) -> pl.DataFrame:
        """New rows with each total's increase since the row before, of the past or their own.

        A place's first row of all gets that of its second one.
        """
        both = pl.concat([self.before, frame.select(self.before.columns)])
        increased = _increases(both, self.names, self.places, self.event)
        return frame.with_columns(increased.tail(frame.height).select(self.names))


def running_totals(
    contract: Contract, frame: pl.DataFrame, types: Mapping[str, str]
) -> tuple[RunningTotals | None, pl.DataFrame]:
    """The running totals of a past, and its rows with their increases in place of them.

    Args:
        contract: The signal's contract.
        frame: Rows of the past.
        types: The semantic type of each field.
    """
    names = [name for name, meaning in types.items() if meaning == CUMULATIVE]
    names = [name for name in names if name not in contract.key]
    if not names or contract.event_time is None:
        return None, frame
    places = repeated_places(frame, [key for key in contract.key if key != contract.event_time])
    before = frame.select(contract.event_time, *places, *names)
    increased = _increases(before, names, places, contract.event_time)
    totals = RunningTotals(names, places, contract.event_time, before)
    return totals, frame.with_columns(increased.select(names))


def _increases(
    frame: pl.DataFrame, names: Sequence[str], places: Sequence[str], event: str
) -> pl.DataFrame:
    """The rows in their order, each total replaced by its increase; null where it is null."""

    def increase(name: str) -> pl.Expr:
        total = pl.col(name)
        since = total - total.forward_fill().shift(1)
        since = since.backward_fill()
        if places:
            since = since.over(places)
        return pl.when(total.is_not_null()).then(since).alias(name)

    ordered = frame.with_row_index("\0row").sort(event, maintain_order=True)
    return ordered.with_columns(increase(name) for name in names).sort("\0row")
