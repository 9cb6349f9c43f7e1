"""Sets the peers beside us in a table."""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inject import FAULTS, Fault
from report import false_alarms, is_named, share

HEAD = (
    "method",
    "version",
    "clean held for nothing",
    "faults held",
    "… by any alarm",
    "right field named first",
    "… among those named",
    "seconds: {signals}",
)
SAMPLE = """\
All {clean} clean deliveries, and {faulty} faulty ones: for each signal, kind and field one size and
one of the months that are reported, drawn by the seed. Everybody, we too, gets the same past and
the same rows."""
NOTES = """\
- A fault is *held* if something is said that is not said of the same delivery without the fault.
  Who gives an alarm for every month gives one for every fault, too: that is the next column.
- The right field is counted among the faults that are held; where the delivery as a whole is wrong,
  any word counts. First means the strongest where a method has a score, else its own order.
- What a package raises counts as said, in all of its lines: of a field that is missing or has texts
  for numbers, many do nothing else.
- The first delivery of a signal has no past and is not shown to them; it counts as not held. The
  seconds are medians over clean deliveries, learning from the past included, for all lines of a
  package together.
- They see the contract's types, key, ranges, allowed values, shares without a value, row counts and
  how late is too late, as far as they have a place for it. The time, the parts of the delivery's
  own date and tail numbers are no distributions and are left out of theirs. How each is used,
  and which page of its documentation says so, stands in `benchmarks/detection/peers`."""

BY_KIND = """\
How many were held, and, after the point, how many met with any alarm. Who finds a field different
in every month says nothing new where it is in another unit."""


@dataclass
class Verdict:
    """One delivery and what a method made of it.

    Attributes:
        held: Whether anything is said that is not said of its clean twin.
        alarmed: Whether anything is said at all.
        fields: Those named, in order; None for the delivery as a whole.
        seconds: Learning from the past included; None where nothing was asked.
    """

    signal: str
    month: int
    fault: Fault | None
    held: bool
    alarmed: bool
    fields: list[str | None]
    said: list[str]
    seconds: float | None

    @property
    def named(self) -> str | None:
        """The field that is named first."""
        return self.fields[0] if self.fields else None


Found = Mapping[tuple[str, str], Sequence[Verdict]]


def is_among(verdict: Verdict) -> bool:
    """Whether the field that is wrong is one of those that were named."""
    assert verdict.fault is not None
    return verdict.held and (verdict.fault.field is None or verdict.fault.field in verdict.fields)


def table(found: Found, skipped: Mapping[str, str], seed: int, *, quick: bool) -> str:
    """All of the section in Markdown."""
    some = next(iter(found.values()))
    clean = sum(each.fault is None for each in some)
    signals = list(dict.fromkeys(each.signal for each in some))
    lines = [
        "## Beside others",
        "",
        f"`python benchmarks/detection/peers.py --seed {seed}{' --quick' if quick else ''}`",
        "",
        SAMPLE.format(clean=clean, faulty=len(some) - clean),
        "",
        "| " + " | ".join(HEAD).format(signals=", ".join(signals)) + " |",
        "|" + "---|" * len(HEAD),
    ]
    for (method, version), verdicts in found.items():
        faulty = [each for each in verdicts if each.fault is not None]
        held = [each for each in faulty if each.held]
        cells = [
            f"{len(false_alarms(verdicts))} of {clean}",
            share(faulty, lambda each: each.held),
            share(faulty, lambda each: each.alarmed),
            share(held, is_named),
            share(held, is_among),
            ", ".join(f"{_seconds(verdicts, signal):.2f}" for signal in signals),
        ]
        lines.append(f"| {method} | {version} | " + " | ".join(cells) + " |")
    lines += ["", NOTES]
    if hasattr(os, "getloadavg"):
        lines.append(
            f"- {os.cpu_count()} cores, with a load of {os.getloadavg()[2]:.1f} at the end."
        )
    lines += [f"- Skipped: {name}: {reason}" for name, reason in skipped.items()]
    lines += ["", "### By kind", "", BY_KIND, ""]
    methods = [method for method, _ in found]
    lines += ["| fault | of | " + " | ".join(methods) + " |", "|" + "---|" * (len(methods) + 2)]
    for kind in (entry["kind"] for entry in FAULTS["faults"]):
        mine = [_of(verdicts, kind) for verdicts in found.values()]
        if mine[0]:
            cells = [
                f"{sum(each.held for each in verdicts)} · {sum(each.alarmed for each in verdicts)}"
                for verdicts in mine
            ]
            lines.append(f"| {kind} | {len(mine[0])} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _seconds(verdicts: Sequence[Verdict], signal: str) -> float:
    return statistics.median(
        each.seconds
        for each in verdicts
        if each.signal == signal and each.fault is None and each.seconds
    )


def _of(verdicts: Sequence[Verdict], kind: str) -> list[Verdict]:
    return [each for each in verdicts if each.fault is not None and each.fault.kind == kind]
