"""The page of what was found on the held-out tables: `report.py A.jsonl B.jsonl`."""

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

REACH = 0.9  # kinds and tables below it are failures
YEAR = 365
NONE = "None."
SIZES = (
    ("less than 100", 0, 100),
    ("100 to 299", 100, 300),
    ("300 to 999", 300, 1000),
    ("1,000 and more", 1000, 10**9),
)
PASTS = (
    ("less than 6 months", 0, 183),
    ("6 to 12 months", 183, YEAR),
    ("a year or more", YEAR, 10**9),
)

Trial = dict[str, Any]


def page(trials: Sequence[Trial]) -> str:
    """All tables in Markdown."""
    lines = ["# What is found in tables of many kinds", "", *_failures(trials)]
    for name, chosen in (("tuning", False), ("reporting", True)):
        mine = [each for each in trials if is_reporting(each) == chosen]
        if mine:
            lines += [f"## {name.capitalize()}", "", *_part(mine)]
    return "\n".join(lines) + "\n"


def totals_line(trials: Sequence[Trial]) -> str:
    """The most important figures, in one line for each half."""
    lines = []
    for name, chosen in (("tuning", False), ("reporting", True)):
        mine = [each for each in trials if is_reporting(each) == chosen]
        if mine:
            lines.append(
                f"{name}: " + "; ".join(f"{what}: {found}" for what, found in _totals(mine))
            )
    return "\n".join(lines)


def is_reporting(trial: Trial) -> bool:
    """Whether nothing may be chosen by it."""
    return trial["half"] == "reporting" or trial["reporting_only"]


def is_named(trial: Trial) -> bool:
    """Whether a field that is wrong was named first."""
    return trial["held"] and trial["named"] in (trial["fault"]["field"], *trial["fault"]["also"])


def share(trials: Sequence[Trial], good: Callable[[Trial], bool]) -> str:
    """So many of so many, and in percent."""
    count = sum(map(good, trials))
    return f"{count}/{len(trials)} ({count / len(trials):.1%})" if trials else "-"


def _held(trial: Trial) -> bool:
    return bool(trial["held"])


def _clean(trials: Iterable[Trial], every: str | None = None) -> list[Trial]:
    return [each for each in trials if each["fault"] is None and every in (None, each["every"])]


def _asked(trials: Iterable[Trial]) -> list[Trial]:
    return [each for each in trials if each["fault"] is not None and each["visible"]]


def rate(trials: Sequence[Trial], of: int) -> str:
    """How many are held for nothing, and how many that is in so many deliveries."""
    count = sum(_held(each) and not each["real"] for each in trials)
    return f"{count}/{len(trials)} ({of * count / len(trials):.2f} in {of})" if trials else "-"


def _totals(trials: Sequence[Trial]) -> list[tuple[str, str]]:
    months, weeks, asked = _clean(trials, "month"), _clean(trials, "week"), _asked(trials)
    held = [each for each in asked if _held(each)]
    with_field = [each for each in held if each["fault"]["field"]]
    long, short = (
        [[each for each in group if (each["days_of_past"] >= YEAR) == later]
         for group in (months, weeks)]
        for later in (True, False)
    )  # fmt: skip
    injected = [each for each in trials if each["fault"] is not None]
    return [
        ("clean months held, after a year", rate(long[0], 36)),
        ("… in the first year", rate(short[0], 36)),
        ("… held for what has truly changed", str(sum(each["real"] for each in months))),
        ("clean weeks held, after a year", rate(long[1], 50)),
        ("… in the first year", rate(short[1], 50)),
        ("faults that can be seen", f"{len(asked)} of {len(injected)}"),
        ("… of which held", share(asked, _held)),
        ("… of the others in the first year, warned of",
         share([each for each in asked if not _held(each) and each["days_of_past"] < YEAR],
               lambda each: each["warned"])),
        ("… by the contract's rules alone or as well", share(held, lambda each: each["by_rules"])),
        ("the right field named first", share(with_field, is_named)),
    ]  # fmt: skip


def _failures(trials: Sequence[Trial]) -> list[str]:
    wrong = [each for each in _clean(trials) if _held(each)]
    lines = ["## Failures", "", "Clean deliveries that were held:", ""]
    listed = []
    for each in wrong:
        what = " (truly so)" if each["real"] else ""
        listed.append(f"- {_where(each)}{what}: {each['said'][0]}")
    lines += listed or [NONE]
    for what, name in (("Kinds", _kind), ("Tables", _table_name)):
        below = []
        for row, mine in _grouped(_asked(trials), name).items():
            if sum(map(_held, mine)) < REACH * len(mine):
                below.append(f"{row}: {share(mine, _held)}")
        lines += ["", f"{what} of which less than {REACH:.0%} is held:", ""]
        lines += [f"- {each}" for each in below] or [NONE]
    return [*lines, ""]


def _part(trials: Sequence[Trial]) -> list[str]:
    asked = _asked(trials)
    lines = ["| what | found |", "|---|---|"]
    lines += [f"| {what} | {found} |" for what, found in _totals(trials)]
    lines += ["", "### By kind", "", "Kinds with an asterisk are for reporting only.", ""]
    lines += _rows(asked, "kind", _kind)
    lines += ["", "### By kind and size", "", *_rows(asked, "kind and size", _size)]
    lines += ["", "### By table", "", *_by_table(trials)]
    lines += ["", "### By the length of the past", "", *_by_past(trials)]
    lines += ["", "### By the rows of a delivery", "", *_by_size(trials)]
    lines += ["", "### Not held", ""]
    missed = _grouped([each for each in asked if not _held(each)], _named_fault)
    lines += [f"- {name} ({_numbers(mine)})" for name, mine in missed.items()] or [NONE]
    lines += ["", "### Another field named", ""]
    other = [
        each for each in asked
        if _held(each) and each["fault"]["field"] and not is_named(each)
    ]  # fmt: skip
    named = _grouped(other, lambda each: f"{_named_fault(each)}: {each['named'] or 'the rows'}")
    lines += [f"- {name} ({_numbers(mine)})" for name, mine in named.items()] or [NONE]
    return [*lines, ""]


def _rows(trials: Sequence[Trial], head: str, name: Callable[[Trial], str]) -> list[str]:
    lines = [f"| {head} | held | field named first |", "|---|---|---|"]
    for row, mine in _grouped(trials, name).items():
        held = [each for each in mine if _held(each) and each["fault"]["field"]]
        lines.append(f"| {row} | {share(mine, _held)} | {share(held, is_named)} |")
    return lines


def _by_table(trials: Sequence[Trial]) -> list[str]:
    head = ("table", "clean months held", "clean weeks held", "faults held", "field named first",
            "CPU s, median", "at most")  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, mine in _grouped(trials, _table_name).items():
        asked = _asked(mine)
        held = [each for each in asked if _held(each) and each["fault"]["field"]]
        seconds = [each["seconds"] for each in _clean(mine)]
        cells = [
            rate(_clean(mine, "month"), 36), rate(_clean(mine, "week"), 50), share(asked, _held),
            share(held, is_named),
            f"{statistics.median(seconds):.2f}" if seconds else "-",
            f"{max(seconds):.2f}" if seconds else "-",
        ]  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _by_past(trials: Sequence[Trial]) -> list[str]:
    lines = ["| past | clean months held | clean weeks held | faults held |", "|---|---|---|---|"]
    for name, low, high in PASTS:
        mine = [each for each in trials if low <= each["days_of_past"] < high]
        lines.append(
            f"| {name} | {rate(_clean(mine, 'month'), 36)} | {rate(_clean(mine, 'week'), 50)} "
            f"| {share(_asked(mine), _held)} |"
        )
    return lines


def _by_size(trials: Sequence[Trial]) -> list[str]:
    """By the rows of the clean twin, which is no fault's doing."""
    rows = {(each["table"], each["every"], each["number"]): each["rows"] for each in _clean(trials)}
    lines = [
        "| rows | clean months held | faults held | after a year |", "|---|---|---|---|"
    ]  # fmt: skip
    for name, low, high in SIZES:
        mine = [
            each for each in trials
            if low <= rows.get((each["table"], each["every"], each["number"]), 0) < high
        ]  # fmt: skip
        later = [each for each in _asked(mine) if each["days_of_past"] >= YEAR]
        lines.append(
            f"| {name} | {rate(_clean(mine, 'month'), 36)} | {share(_asked(mine), _held)} "
            f"| {share(later, _held)} |"
        )
    return lines


def _grouped(trials: Iterable[Trial], name: Callable[[Trial], str]) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for each in trials:
        found.setdefault(name(each), []).append(each)
    return dict(sorted(found.items()))


def _kind(trial: Trial) -> str:
    return trial["fault"]["kind"] + (" *" if trial["reporting_only"] else "")


def _size(trial: Trial) -> str:
    size = " ".join(str(value) for value in trial["fault"]["size"].values())
    return f"{trial['fault']['kind']} {size}".strip()


def _table_name(trial: Trial) -> str:
    return str(trial["table"])


def _named_fault(trial: Trial) -> str:
    of = f" of {trial['fault']['field']}" if trial["fault"]["field"] else ""
    return f"{trial['table']}: {_size(trial)}{of}"


def _numbers(trials: Iterable[Trial]) -> str:
    return ", ".join(str(each["number"]) for each in trials)


def _where(trial: Trial) -> str:
    return (
        f"{trial['table']}, {trial['every']} {trial['number']} from {trial['period'][0]}, after "
        f"{trial['days_of_past']} days"
    )


def main() -> None:
    """Prints the page of one or more files, or writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="as run.py --save writes them")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    trials = [
        json.loads(line)
        for file in arguments.files
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    text = page(trials)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
