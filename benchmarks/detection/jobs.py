"""Gives a peer each past to learn from and each delivery to look at, and notes what it said.

Runs in the peer's environment: nothing but pandas with pyarrow is taken for granted.
"""

import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

Said = dict[str, list[tuple[str, str | None]]]  # check and field, the most striking first


@dataclass(frozen=True)
class Facts:
    """What is known of a signal without its data.

    Attributes:
        types: Of all fields, in the contract's words.
        watched: Fields whose distribution is of interest: no time, no parts of the delivery's own
            date, no identifiers.
        identifiers: Fields with texts that are hardly ever the same.
        ranges: Smallest and greatest value, by field.
        allowed: Values, by field.
        mostly: Share of values that must be in range or allowed, by field.
        nulls: Greatest share without a value, by field.
        rows: Fewest and most in a delivery.
        late_after: Hours after which the newest event time is too old.
        now: When the delivery arrives.
    """

    types: dict[str, str]
    watched: list[str]
    identifiers: list[str]
    key: list[str]
    event_time: str | None
    time_zone: str
    ranges: dict[str, tuple[float | None, float | None]]
    allowed: dict[str, list[Any]]
    mostly: dict[str, float]
    nulls: dict[str, float]
    rows: tuple[int, int] | None
    late_after: float | None
    now: pd.Timestamp

    @property
    def numbers(self) -> list[str]:
        """Watched fields with numbers."""
        return [name for name in self.watched if self.types[name] in ("integer", "number")]

    @property
    def categories(self) -> list[str]:
        """Watched fields with codes."""
        return [name for name in self.watched if self.types[name] == "string"]

    def unwatched(self, frame: pd.DataFrame) -> list[str]:
        """The columns that are known and not watched; new ones are everybody's own affair."""
        return [name for name in frame if name in self.types and name not in self.watched]


def read(path: str) -> pd.DataFrame:
    """Rows with their numbers as floats: whether some are missing does not change a type."""
    frame = pd.read_parquet(path)
    numbers = frame.select_dtypes("number").columns
    frame[numbers] = frame[numbers].astype("float64")
    return frame


def run(
    package: str,
    methods: tuple[str, ...],
    learn: Callable[[list[pd.DataFrame], Facts], Any],
    look: Callable[[Any, pd.DataFrame, Facts], Said],
) -> None:
    """Works through the jobs in the file of the first argument, and writes into the second's.

    Args:
        package: The peer's name as it is installed.
        methods: Its ways to decide; each gets a line of the table.
        learn: Given the past, partition by partition.
        look: Given what was learned, a delivery and the time; what it raises counts as said.
    """
    warnings.simplefilter("ignore")
    jobs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        head = {"version": version(package), "methods": methods}
        file.write(json.dumps(head) + "\n")
        for job in jobs["jobs"]:
            facts = Facts(**jobs["facts"][job["signal"]], now=pd.Timestamp(job["now"]))
            past = [read(path) for path in job["past"]]
            start = time.perf_counter()
            learned = learn(past, facts)
            learning = time.perf_counter() - start
            for number, path in job["deliveries"].items():
                rows = read(path)
                start = time.perf_counter()
                try:
                    said = look(learned, rows, facts)
                except Exception as error:
                    said = {method: [_raised(error, facts)] for method in methods}
                seconds = learning + time.perf_counter() - start
                file.write(json.dumps({"id": int(number), "seconds": seconds, "said": said}) + "\n")
                file.flush()


def _raised(error: Exception, facts: Facts) -> tuple[str, str | None]:
    text = str(error)
    places = {name: re.search(rf"\b{re.escape(name)}\b", text) for name in facts.types}
    named = sorted((place.start(), name) for name, place in places.items() if place)
    return f"raised {type(error).__name__}: {text[:200]}", named[0][1] if named else None
