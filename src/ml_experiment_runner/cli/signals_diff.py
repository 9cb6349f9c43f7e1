"""Compare two versions of a signal field by field, from their profiles: a table and a picture."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.text import show_table
from ml_experiment_runner.signals.contract.contract import Contract, known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import profile_file
from ml_experiment_runner.signals.snapshots.diff import Comparison, compare
from ml_experiment_runner.signals.snapshots.profile import Profile

LISTED = 8  # of the gaps between rank correlations


def diff(arguments: list[str]) -> int:
    """Prints what differs between two versions, and where the picture of it is."""
    parser = argparse.ArgumentParser(prog="python run.py signals diff", description=__doc__)
    parser.add_argument("signal")
    parser.add_argument(
        "before", nargs="?", help="a version or git revision; default: the one before"
    )
    parser.add_argument("after", nargs="?", help="a version or git revision; default: the current")
    parser.add_argument(
        "--picture", type=_picture, metavar="PATH", help="default: a file in data/cache/"
    )
    options = parser.parse_args(arguments)
    contract = known(read_contracts(repository.root()), options.signal)
    before, after = _versions(contract, options.before, options.after)
    comparison = compare(before[0], after[0], (before[1], after[1]))
    print_comparison(comparison)
    if comparison.changes or comparison.gaps:
        from ml_experiment_runner.signals.snapshots.diff_plots import draw

        names = (re.sub(r"[^\w.]+", "-", name) for name in comparison.names)
        default = repository.root() / "data" / "cache" / f"{'-'.join([contract.name, *names])}.png"
        picture = options.picture or default
        try:
            picture.parent.mkdir(parents=True, exist_ok=True)
            draw(comparison).savefig(picture, dpi=110)
        except OSError as error:
            raise UserError(
                f"{picture} cannot be written ({error.strerror}); choose another: --picture PATH"
            ) from None
        print(f"picture  {picture}")
    return 0


def print_comparison(comparison: Comparison) -> None:
    """Prints what differs as tables."""
    before, after, common = comparison.before, comparison.after, comparison.common
    same = sum(before.partitions[name].content == after.partitions[name].content for name in common)
    print(f"{after.signal}  {' → '.join(comparison.names)}")
    print(f"  rows        {before.whole.rows:,} → {after.whole.rows:,}")
    print(f"  compared    {_partitions(common)}, {same} of them with the same rows"
          if common else "  compared    all rows: no partition is in both")  # fmt: skip
    for name, version, other in (("before", before, after), ("after", after, before)):
        only = [partition for partition in version.partitions if partition not in other.partitions]
        if common and only:
            print(f"  {f'only {name}':<11} {_partitions(only)}")
    if comparison.changes:
        print()
        show_table(
            ("field", "changed", "since", "what differs"),
            [(change.field, f"{change.size:.0%}", change.since, "; ".join(change.texts))
             for change in comparison.changes],
        )  # fmt: skip
    if comparison.gaps:
        print()
        show_table(
            ("rank correlation", "before", "after"),
            [(" ~ ".join(gap.fields), f"{gap.before:+.2f}", f"{gap.after:+.2f}")
             for gap in comparison.gaps[:LISTED]],
        )  # fmt: skip
        if (more := len(comparison.gaps) - LISTED) > 0:
            print(f"… and {more} more")
    changed = {change.field for change in comparison.changes}
    if unchanged := [name for name in after.fields if name not in changed]:
        print(f"\nthe same  {', '.join(unchanged)}")


def _partitions(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"1 partition, {names[0]}"
    return f"{len(names)} partitions, {min(names)} … {max(names)}"


def _picture(text: str) -> Path:
    """The path of a picture in a format that matplotlib writes."""
    path = Path(text)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError(f"must end in .png, .svg or .pdf, got {text}")
    return path


def _versions(
    contract: Contract, before: str | None, after: str | None
) -> tuple[tuple[Profile, str], tuple[Profile, str]]:
    """The two profiles and their names."""
    new = profile_file.find(contract, after) if after else (profile_file.current(contract), "")
    old = profile_file.find(contract, before) if before else profile_file.before(contract, new[0])
    newer = after if after and after != new[0].version else ""
    name = new[0].version + (f" ({newer})" if newer else "")
    if old[0].version == new[0].version and not newer:
        name += " (current)"
    return old, (new[0], name)
