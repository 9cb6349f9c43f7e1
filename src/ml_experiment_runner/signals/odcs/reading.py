"""The result of reading a contract: mistakes, what ingestion lacks, what is not checked."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.odcs.standard import SERVER_KEYS, SHAPES
from ml_experiment_runner.signals.odcs.yaml_document import Entry, Mistakes, combined_error

Value = TypeVar("Value")
SLIP = 7
"""A shorter name of ours is too like other words to take one for it."""
IGNORED: dict[str, Iterable[str]] = {
    "contract": (
        *("tenant", "dataProduct", "price", "roles", "authoritativeDefinitions", "context"),
        *("contractCreatedTs", "slaDefaultElement"),
    ),
    "description": ("authoritativeDefinitions",),
    "server": ("roles",),
    "table": ("relationships", "authoritativeDefinitions", "context", "deprecated", "synonyms"),
    "property": (
        *("partitioned", "partitionKeyPosition", "encryptedName", "transformSourceObjects"),
        *("transformLogic", "transformDescription", "examples", "criticalDataElement"),
        *("relationships", "authoritativeDefinitions", "deprecated", "synonyms"),
        *("items", "properties", "map"),
    ),
}
"""What is kept and neither checked nor acted on; texts that describe are not listed."""


class Unchecked:
    """What of a contract is not acted on: each kind of thing once, with its places."""

    SHOWN = 3

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, what: str, place: str = "") -> None:
        """Something that is not acted on, and where."""
        self._places.setdefault(what, []).append(place)

    def add_of(self, entries: Mapping[str, Entry], shape: str, place: str = "") -> None:
        """The entries of a mapping that are ignored, or unknown where any key may stand."""
        known, ignored = SHAPES[shape], IGNORED.get(shape, ())
        for key, value in entries.items():
            if key in ignored or (key not in known and key not in SERVER_KEYS):
                if value.raw in ("false", "-1"):  # nothing to act on
                    continue
                self.add(shorten(key), place)

    def add_texts(self, texts: Iterable[str]) -> None:
        """Rules and options of fields that are not acted on: `what of where`, perhaps `: why`."""
        for text in texts:
            what, _, place = text.partition(" of ")
            place, _, why = place.partition(": ")
            what = what if what in ("quality", "enum") else f"logicalTypeOptions {what}"
            self.add(f"{what} {why}".rstrip(), place)

    def texts(self) -> tuple[str, ...]:
        """One text for each kind of thing."""
        texts = []
        for what, places in self._places.items():
            named = list(dict.fromkeys(places))
            # of what is said of the whole contract or table nothing more is said, if it is alone
            named = [place or "as a whole" for place in named] if named != [""] else []
            more = f" and {len(named) - self.SHOWN} more" if len(named) > self.SHOWN else ""
            where = f" ({', '.join(named[: self.SHOWN])}{more})" if named else ""
            texts.append(what + where)
        return tuple(texts)


@dataclass(frozen=True)
class Reading:
    """Collects what is found while a contract is read.

    Attributes:
        mistakes: What the standard forbids, or what nobody can have meant.
        needs: Entries that the standard allows and that nothing can be received with.
        lacking: What is not there and is needed to receive.
        unchecked: What is not acted on.
    """

    mistakes: Mistakes = field(default_factory=Mistakes)
    needs: Mistakes = field(default_factory=Mistakes)
    lacking: Mistakes = field(default_factory=Mistakes)
    unchecked: Unchecked = field(default_factory=Unchecked)

    def needed(self, default: Value, read: Callable[[], Value]) -> Value:
        """The value that a function reads, or the default if ingestion cannot use what it finds.

        The mistake is collected in `needs`.
        """
        with self.needs.collected():
            return read()
        return default

    def refuse(self) -> None:
        """Raises all mistakes, and what else has to be corrected on other lines.

        Raises:
            UserError: There is one.
        """
        if self.mistakes.all:
            lines = {mistake.line for mistake in self.mistakes.all}
            needs = [need for need in self.needs.all if need.line not in lines]
            raise combined_error(Mistakes([*self.mistakes.all, *needs]).lines())

    def missing(self) -> tuple[str, ...]:
        """What has to be written before the signal can be ingested: a line for each."""
        return tuple(Mistakes([*self.needs.all, *self.lacking.all]).lines())


def custom_properties(
    entry: Entry | None,
    known: Collection[str],
    reading: Reading,
    place: str = "",
    shortest: int = SLIP,
) -> dict[str, Entry]:
    """The values of the custom properties that mean something here, by their names.

    Any other is the producer's own. `event_time` and `eventtime` are `eventTime`, and what is
    nearly a name of ours is a slip; names that are shorter, such as `unit`, have to be exact.
    """
    values: dict[str, Entry] = {}
    for item in entry.items() if entry and entry.is_list else []:
        entries = item.entries()
        name, value = entries.get("property"), entries.get("value")
        if name is None or not name.raw:
            continue
        known_name = spelled(name.raw, known)
        with (reading.needs if known_name else reading.mistakes).collected():
            if known_name is None:
                if slip := nearly(name.raw, known, shortest):
                    raise name.mistake(f"unknown entry '{name.raw}'. Did you mean '{slip}'?")
                reading.unchecked.add(f"customProperties {shorten(name.raw)}", place)
            elif known_name in values:
                raise name.mistake(f"duplicate property '{known_name}'; remove one")
            elif value is None:
                raise item.mistake(f"'value' is missing in {item.name}")
            else:
                values[known_name] = value
    return values


def spelled(name: str, known: Collection[str]) -> str | None:
    """The name of ours that this is, however it is spelled."""
    plain = {_plain(own): own for own in known if len(own) >= SLIP}
    return name if name in known else plain.get(_plain(name))


def nearly(name: str, known: Iterable[str], shortest: int = SLIP) -> str | None:
    """The name that was meant, where a slip of the finger is likelier than another word."""
    plain = {_plain(own): own for own in known if len(own) >= shortest}
    close = difflib.get_close_matches(_plain(name), plain, 1, 0.85)
    return plain[close[0]] if close else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
