"""The page of what was found: by kind, size and field, also where it fails."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from inject import FAULTS

STOPPED = (
    "A stopped feed counts as held where it is told as late, as a run tells it and `whenHeld` "
    "follows it; there are no rows to keep aside."
)
SCHEMA = ("renamed", "retyped")


def is_find(trial: Any) -> bool:
    """Whether a held clean delivery holds a fault that is really in it."""
    return any(
        real["signal"] == trial.signal and real["delivery"] == trial.month
        and real["field"] == trial.named
        for real in FAULTS["real"]
    )  # fmt: skip


def false_alarms(trials: Iterable[Any]) -> list[Any]:
    """Clean deliveries that were held for nothing."""
    return [each for each in trials if each.fault is None and each.held and not is_find(each)]


def is_named(trial: Any) -> bool:
    """Whether the field that is wrong was named first."""
    return trial.held and (trial.fault.field is None or trial.named == trial.fault.field)


def share(trials: Sequence[Any], good: Callable[[Any], bool]) -> str:
    """So many of so many, and in percent."""
    count = sum(map(good, trials))
    return f"{count}/{len(trials)} ({count / len(trials):.1%})" if trials else "-"


def page(trials: Sequence[Any], seed: int, months: str) -> str:
    """All tables in Markdown."""
    clean = [each for each in trials if each.fault is None]
    faulty = [each for each in trials if each.fault is not None]
    first = [each for each in faulty if each.month in FAULTS["first"]]
    later = [each for each in faulty if each.month not in FAULTS["first"]]
    held = [each for each in later if each.held]
    times = [each.seconds for each in clean]
    nothing = len(false_alarms(trials))
    real = sum(is_find(each) for each in clean if each.held)
    lines = [
        f"`python benchmarks/detection/run.py --seed {seed} --months {months}`",
        "",
        "| what | found | reach |",
        "|---|---|---|",
        f"| clean deliveries held for nothing | {nothing} of {len(clean)} | at most 1 of 36 |",
        f"| real faults found | {real} of {len(FAULTS['real'])} | |",
        f"| injected faults held | {share(later, lambda each: each.held)} | 95 % |",
        f"| the right field named, of those held | {share(held, is_named)} | 90 % |",
    ]
    if first:
        lines.append(
            f"| the same in January, which has no past | {share(first, lambda each: each.held)} | |"
        )
    lines += [
        f"| seconds for a delivery, median | {statistics.median(times):.2f} | |",
        f"| … at most | {max(times):.2f} | |",
        "",
    ]
    for each in clean:
        if each.held:
            what = "a real fault" if is_find(each) else "for nothing"
            lines.append(f"- {each.signal}, month {each.month}, held {what}: {each.said[0]}")
    lines += ["", "## By kind and size", ""]
    lines += _table(later, ("fault", "flights", "planes", "weather", "field named"), _size)
    lines += [
        "",
        STOPPED,
        "",
        "## By field",
        "",
    ]
    lines += _table(
        [each for each in later if each.fault.field],
        ("field", "flights", "planes", "weather", "field named"),
        lambda each: each.fault.field,
    )
    lines += ["", "## Not held", ""]
    missed: dict[str, list[int]] = {}
    for each in later:
        if not each.held:
            missed.setdefault(f"{each.signal}: {each.fault}", []).append(each.month)
    lines += [f"- {name} (months {', '.join(map(str, when))})" for name, when in missed.items()]
    lines += ["", "## Another field named", ""]
    wrong: dict[str, list[int]] = {}
    for each in held:
        if not is_named(each):
            key = f"{each.signal}: {each.fault}, named {each.named or 'the rows'}"
            wrong.setdefault(key, []).append(each.month)
    lines += [f"- {name} (months {', '.join(map(str, when))})" for name, when in wrong.items()]
    return "\n".join(lines) + "\n"


def _size(trial: Any) -> str:
    size = " ".join(map(str, trial.fault.size.values()))
    return f"{trial.fault.kind} {size}".strip()


def _table(trials: Sequence[Any], head: Sequence[str], name: Callable[[Any], str]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in dict.fromkeys(map(name, trials)):
        mine = [each for each in trials if name(each) == row]
        cells = [
            share([each for each in mine if each.signal == signal], lambda each: each.held)
            for signal in head[1:4]
        ]
        held = [each for each in mine if each.held]
        lines.append(f"| {row} | " + " | ".join([*cells, share(held, is_named)]) + " |")
    return lines
