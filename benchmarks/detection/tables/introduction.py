"""What the page of the tables says before its results.

How the tables were divided, where they are from under which licence, and when a fault counts as
visible. `page.py` puts it above what `run.py` has found.
"""

import argparse
import inspect
from pathlib import Path

import split
import truth
from faults import FAULTS, KINDS
from tables import FACTS, NAMES

TEXT = """\
The rule of the split and the names of the tables were committed before anything was measured on
them, the kinds of fault and their sizes before the method was shaped on any of them. Which fields a
kind fits and the test of what is visible were corrected later: `git log
benchmarks/detection/tables` says when and how. Fields, sizes and rows of the faults are drawn by
the seed.

## The rule of the split

{split}

Limits and margins are chosen on the tables for tuning; the others only measure. About a third of
the kinds of fault, by the hash of their names, are put into no table while the method is tuned:
{kinds}. A figure under Reporting is of a table for reporting, or of such a kind.

Of each table at most {months} months and {weeks} weeks arrive one after another. Up to {first_year}
months of its first year and {later} later ones arrive once more with each fault; of a kind there
are at most {draws} pairs of a field and a size in each.

## The tables

| table | half | source | licence |
|---|---|---|---|
{tables}

The real ones are read from packages that `benchmarks/detection/tables/requirements.txt` pins by
their hashes; none is kept in this repository. What is truly wrong in the tables, as far as a person
knows it, is in `benchmarks/detection/tables/tables.yaml`: a clean delivery that is held for it
counts as right. So does one that is held for what happens once in a made-up business, as a price
list, a new country or an exchanged meter: all of these are listed there, field by field and for 31
days each, as the code that makes the tables up has them, whatever was held. Seasons, campaigns that
come every year, growth, and products or staff that come and go nearly every month are not listed.
Where a source has no key, the number of the row is one. It counts up without a gap, as keys of
databases do, so that rows that are lost or moved are easier to find there than in the source.

## When a fault counts as visible

{visible}
"""


def introduction() -> str:
    """The text, in Markdown."""
    return TEXT.format(
        split=inspect.cleandoc(split.half.__doc__ or "").split("\n\n")[1],
        kinds=", ".join(f"`{kind}`" for kind in KINDS if split.is_reporting_only(kind)),
        **FAULTS["deliveries"],
        **{name: FAULTS[name] for name in ("months", "weeks", "draws")},
        tables="\n".join(
            f"| {name} | {split.half(name)} | {FACTS[name]['source']} | {FACTS[name]['licence']} |"
            for name in sorted(NAMES)
        ),
        visible=inspect.cleandoc(truth.__doc__ or "").replace("`LEVEL`", f"{truth.LEVEL:g}"),
    )


def main() -> None:
    """Writes the text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.parse_args().output.write_text(introduction(), encoding="utf-8")


if __name__ == "__main__":
    main()
