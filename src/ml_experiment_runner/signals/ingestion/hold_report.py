"""The report on a hold: the delivery beside the past, for the person who must decide.

It may show values, so it is kept with the held rows in `data/held/<hold>/`, which git ignores. Of a
classified field it shows the share of nulls and nothing else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.secrets import mask
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.ingestion import hold_comparison
from ml_experiment_runner.signals.ingestion.hold_comparison import Lines, ReportRows
from ml_experiment_runner.signals.ingestion.hold_pictures import OF_NULLS, draw_pictures
from ml_experiment_runner.signals.snapshots import quarantine
from ml_experiment_runner.signals.snapshots.diff import moved, null_share

if TYPE_CHECKING:
    from ml_experiment_runner.holds.holds import Hold

Picture = dict[str, str]  # caption and drawing
Pictures = Mapping[str | None, Sequence[Picture]]

MOST_CORRELATIONS = 6  # pairs of fields that are shown


def write_report(
    contract: Contract,
    hold: "Hold",
    past: Mapping[str, pl.LazyFrame],
    delivery: Mapping[str, pl.DataFrame],
) -> Path:
    """Writes the report on a hold and returns its path.

    Args:
        contract: The signal's contract.
        hold: Its open hold.
        past: Accepted rows by partition.
        delivery: Held rows by partition; none if they do not have the contract's types.
    """
    from ml_experiment_runner.record.card.page import environment

    named = list(dict.fromkeys(violation.field for violation in hold.violations if violation.field))
    kinds = list(dict.fromkeys(violation.kind for violation in hold.violations))
    comparison: dict[str, Any] = {"rows": None}
    if past and delivery:
        frames = hold_comparison.newest(past)
        rows = hold_comparison.rows_to_compare(contract, frames, delivery)
        pictures = draw_pictures(contract, frames, delivery, hold.violations)
        comparison = _comparison(contract, hold, rows, named, pictures)
    page = environment(Path(__file__).parent).get_template("hold_report.html").render(
        contract=contract,
        hold=hold,
        opened=datetime.fromisoformat(hold.opened),
        named=named,
        what=_joined(named) or _joined(kinds),
        violations=hold.violations,
        last=max(past, default=None),
        delivered=_period(list(delivery)),
        **comparison,
    )  # fmt: skip
    target = path(contract.root, hold)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, mask(page))
    return target


def path(root: Path, hold: "Hold") -> Path:
    """The report on a hold."""
    return quarantine.folder_of(root, hold.id) / "report.html"


def _comparison(
    contract: Contract, hold: "Hold", rows: ReportRows, named: Sequence[str], pictures: Pictures
) -> dict[str, Any]:
    """What the page shows where there are rows to compare."""
    shown = [name for name in named if name in contract.names
             and (name != contract.event_time or pictures[name])]  # fmt: skip
    volume: Sequence[Picture] = []
    if None in pictures:
        volume = pictures[None] or [_chart(hold_comparison.rows_by_partition(rows))]
    return {
        "rows": rows,
        "period": _period(rows.year),
        "fields": [_field(contract, name, hold, rows, pictures[name]) for name in shown],
        "volume": volume,
        "overview": hold_comparison.field_differences(contract, rows, named),
        "correlations": hold_comparison.correlation_gaps(rows),
        "shown_correlations": MOST_CORRELATIONS,
    }


def _field(
    contract: Contract, name: str, hold: "Hold", rows: ReportRows, pictures: Sequence[Picture]
) -> dict[str, Any]:
    """What is shown of a field that fails a check."""
    from ml_experiment_runner.signals.ingestion.hold_charts import draw_histogram

    field = contract.field(name)
    before, delivery = rows.before.columns[field.name], rows.delivery.columns[field.name]
    nulls = [100 * null_share(profile, field.name) for profile in (rows.before, rows.delivery)]
    violations = [violation for violation in hold.violations if violation.field == field.name]
    facts = [("rows", f"{rows.before.rows:,}", f"{rows.delivery.rows:,}"),
             ("without a value", *(f"{share:.1f} %" for share in nulls))]  # fmt: skip
    kinds = {violation.kind for violation in violations}
    lines = None
    charts: dict[str, Any] = {"histogram": None, "bars": None, "nulls": None}
    if name == contract.event_time:
        facts = []  # it is later; its picture says what else there is
    elif before.quantiles and delivery.quantiles:
        facts += hold_comparison.quantile_facts(before, delivery, field.type)
        lines = hold_comparison.quantiles_by_partition(field, rows)
        charts["histogram"] = draw_histogram(hold_comparison.histogram(field, rows))
    elif before.top or delivery.top:
        lines = hold_comparison.changed_share_by_partition(field, rows)
        charts["bars"] = hold_comparison.value_shares(before, delivery)
        charts["values"] = len(moved(before, delivery))
    if lines is None or OF_NULLS.issuperset(kinds):
        lines = hold_comparison.nulls_by_partition(field, rows)
    elif abs(nulls[1] - nulls[0]) >= 1 and OF_NULLS.isdisjoint(kinds):
        charts["nulls"] = _chart(hold_comparison.nulls_by_partition(field, rows))
    return {
        "name": field.name,
        "unit": field.unit,
        "classification": field.classification,
        "violations": violations,
        "facts": facts,
        "pictures": pictures or [_chart(lines)],
        **charts,
    }


def _chart(lines: Lines) -> Picture:
    """A chart of numbers by partition."""
    from ml_experiment_runner.signals.ingestion.hold_charts import draw_lines

    return {"caption": lines.caption, "drawing": draw_lines(lines)}


def _period(names: Sequence[str]) -> str:
    if not names or names == ["all"]:
        return ""
    return names[0] if len(names) == 1 else f"{min(names)} … {max(names)}"


def _joined(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
