"""Whether drafts leave room for the future: how many later months a draft's own rules hold.

Each table is drafted from its first months as a CSV and left as it is, but for what only a person
knows. Then its later months arrive one by one and are checked as a delivery is: names, types, key
and the contract's rules. What differs from the past without breaking a rule is not looked at.

    python benchmarks/detection/tables/drafts.py [--half tuning] [--rules]
"""

import argparse
import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from split import NAMES, half
from tables import load

from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.contract.contract import Contract, SchemaViolation
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.drafts.draft import draft
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch

MONTHS = 3
SHARE = 0.25
ONE_IN = 36
STARTS = ("3 months", "25 % of the rows")


@dataclass(frozen=True)
class Outcome:
    """What a draft did with the months that came after it.

    Attributes:
        table: The table's name.
        start: What it was drafted from, one of STARTS.
        key: The key that was drafted.
        months: How many came later.
        held: How many of them broke a rule.
        rules: How often each rule was broken, as `kind field`.
    """

    table: str
    start: str
    key: tuple[str, ...]
    months: int
    held: int
    rules: Counter[str]


def outcome(name: str, rows: pl.DataFrame, event_time: str, start: str) -> Outcome:
    """Drafts a table from its first months, and lets the others arrive.

    Args:
        name: The table's name.
        rows: All of it, with the event time in UTC.
        event_time: The field by whose months it arrives.
        start: One of STARTS.
    """
    parts = rows.with_columns(pl.col(event_time).dt.truncate("1mo").alias("_month")).partition_by(
        "_month", as_dict=True, include_key=False
    )
    months = [parts[month] for month in sorted(parts)]
    first = MONTHS
    if start != STARTS[0]:
        known = pl.Series([month.height for month in months]).cum_sum()
        first = int((known < SHARE * rows.height).sum()) + 1
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "signals").mkdir()
        file = root / "rows.csv"
        pl.concat(months[:first]).write_csv(file)
        with contextlib.redirect_stdout(io.StringIO()):
            draft(root, name, str(file))
        contract = _active(root, name)
        key = contract.key
        past = fetch.fetch_rows(contract).select(key)
        held, rules = 0, Counter[str]()
        for month in months[first:]:
            month.write_csv(file)
            broken = set()
            try:
                arrived = fetch.fetch_rows(contract)
            except SchemaViolation as error:
                broken.add(f"{error.violation.kind} {error.violation.field or ''}".strip())
            else:
                broken |= set(_broken(contract, arrived, past))
                past = pl.concat([past, arrived.select(key)])
            held += bool(broken)
            rules.update(broken)
    return Outcome(name, start, key, len(months) - first, held, rules)


def _active(root: Path, name: str) -> Contract:
    """The drafted contract, in which only what a person knows is filled in."""
    path = root / "signals" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8").replace("status: draft", "status: active")
    path.write_text(text.replace(": unknown", ": somebody"), encoding="utf-8")
    return read_contracts(root)[name]


def _broken(contract: Contract, arrived: pl.DataFrame, past: pl.DataFrame) -> Iterator[str]:
    """The rules that a month breaks."""
    if not arrived.join(past, on=contract.key, how="semi").is_empty():
        yield "key"
    partitions = snapshot.by_partition(contract, arrived)
    for violation in quality.broken(contract, partitions, datetime.now(UTC)):
        yield f"{violation.kind} {violation.field or ''}".strip()


def report(outcomes: list[Outcome], is_with_rules: bool) -> str:
    """The outcomes as tables of Markdown, one for each half."""
    lines = []
    for each in sorted({half(outcome.table) for outcome in outcomes}, reverse=True):
        lines += ["", f"**{each}**", "", f"| table | {' | '.join(STARTS)} | key |"]
        lines.append("|---|---|---|---|")
        of_half = [outcome for outcome in outcomes if half(outcome.table) == each]
        for name in dict.fromkeys(outcome.table for outcome in of_half):
            found = {outcome.start: outcome for outcome in of_half if outcome.table == name}
            cells = [_cell(found[start], is_with_rules) for start in STARTS]
            lines.append(f"| {name} | {' | '.join(cells)} | {', '.join(found[STARTS[-1]].key)} |")
        total = [sum(outcome.held for outcome in of_half if outcome.start == start)
                 for start in STARTS]  # fmt: skip
        of = [sum(outcome.months for outcome in of_half if outcome.start == start)
              for start in STARTS]  # fmt: skip
        lines.append(f"| all | {total[0]} of {of[0]} | {total[1]} of {of[1]} | |")
    return "\n".join(lines).strip()


def _cell(found: Outcome, is_with_rules: bool) -> str:
    mark = "" if found.held * ONE_IN <= found.months else "**"
    rules = ", ".join(f"{rule} {count}" for rule, count in found.rules.most_common(6))
    told = f" ({rules})" if is_with_rules and rules else ""
    return f"{mark}{found.held} of {found.months}{mark}{told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", choices=("tuning", "reporting"), help="default: both")
    parser.add_argument("--rules", action="store_true", help="name the rules that were broken")
    options = parser.parse_args()
    outcomes = []
    for name in NAMES:
        if options.half in (None, half(name)):
            table = load(name)
            event_time = str(table.contract.event_time)
            outcomes += [outcome(name, table.rows, event_time, start) for start in STARTS]
    print(report(outcomes, options.rules))


if __name__ == "__main__":
    main()
