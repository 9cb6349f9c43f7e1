"""A signal's contract: its owner, version, fields, key, event time and source.

`contract_file` reads it from a file in `signals/`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.odcs.quality_rules import Rule
from ml_experiment_runner.signals.odcs.yaml_document import combined_error

TYPES = (
    *("string", "integer", "number", "boolean", "date", "timestamp", "time"),
    *("object", "array"),
)
NESTED = ("object", "array")
"""Types whose values are JSON texts."""
SEMANTIC_TYPES = (
    *("identifier", "code", "quantity", "count", "cumulative", "calendar", "flag", "text"),
)
"""What values stand for, whatever type they are stored as."""
UNKNOWN = "unknown"
"""The placeholder of a draft for what only a person knows."""


class SchemaViolation(UserError):  # noqa: N818 (names what is wrong, not the error)
    """Rows that cannot become a snapshot: fields, types, required values or the key are wrong.

    Attributes:
        violation: The check that they fail.
        content: Hash of the delivery; empty if it was not read any further.
    """

    def __init__(self, message: str, violation: Violation, content: str = "") -> None:
        super().__init__(message)
        self.violation = violation
        self.content = content

    def __reduce__(self) -> tuple[type["SchemaViolation"], tuple[str, Violation, str]]:
        """Errors are pickled, as they come from other processes."""
        return SchemaViolation, (str(self), self.violation, self.content)


@dataclass(frozen=True)
class Field:
    """A column of a signal.

    Attributes:
        name: Its name here.
        type: One of TYPES.
        required: Every row must have a value.
        key: Part of the primary key.
        generated: It does not come from the source but is a digest of the row's other fields, as
            the key of a table that has none.
        known_after_event: It is not known yet when the prediction is made.
        classification: Such as `restricted`; classified values never reach a record.
        unit: The unit of its numbers, such as `°F`.
        minimum: The smallest number; None for no bound.
        maximum: The largest number; None for no bound.
        exclusive_minimum: All numbers are greater; None for no bound.
        exclusive_maximum: All numbers are less; None for no bound.
        multiple_of: Its numbers are multiples of this; None for any number.
        earliest: The first date or time; without an offset it is in the contract's time zone.
        latest: The last date or time.
        after: All dates or times come after it.
        before: All dates or times come before it.
        length: Smallest and largest number of characters; None for no bound.
        pattern: A regular expression (ECMA-262) that each text matches; None for any text.
        text_format: The format of its texts, such as `uuid`; None for any text.
        allowed: The only valid values, as texts; any, if empty.
        unique: Every value is in one row only.
        rules: Further quality rules.
        tolerated_invalid: Share of rows, 0 to 1, that may break the rules on single values: range,
            list, multiple, length, pattern and format.
        tolerated_nulls: Share of rows, 0 to 1, that may be null; None for no bound.
        physical_name: Its name in the source; None if it is the same.
        semantic_type: One of SEMANTIC_TYPES; None to tell it from the rows.
        time_zone: The zone of its times without an offset, if not the contract's time zone.
        format: How the source writes dates and times, such as `dd/MM/yyyy`; None for ISO 8601.
    """

    name: str
    type: str
    required: bool = False
    key: bool = False
    generated: bool = False
    known_after_event: bool = False
    classification: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    multiple_of: Decimal | None = None
    earliest: date | time | None = None
    latest: date | time | None = None
    after: date | time | None = None
    before: date | time | None = None
    length: tuple[int | None, int | None] = (None, None)
    pattern: str | None = None
    text_format: str | None = None
    allowed: tuple[str, ...] = ()
    unique: bool = False
    rules: tuple[Rule, ...] = ()
    tolerated_invalid: float = 0.0
    tolerated_nulls: float | None = None
    physical_name: str | None = None
    format: str | None = None
    time_zone: str | None = None
    semantic_type: str | None = None

    @property
    def source_name(self) -> str:
        """Its name in the source."""
        return self.physical_name or self.name


@dataclass(frozen=True)
class Contract:
    """A signal's contract.

    Attributes:
        source_configuration: Where its rows come from and which reader fetches them.
        key: Names of the key's fields, in order.
        event_time: The field that says when a row happened; None for a state without history.
        time_zone: The zone of its months and of times without an offset.
        delay: How long after its event time a row is known.
        freshness: How long a row may be used after it became known; None for ever.
        null_values: Texts that mean null.
        path: The contract's file.
        status: `proposed` or `draft` until a person has filled in owner and purpose.
        frequency: How often new rows are due; None if it is never late.
        rows: Smallest and largest number of rows in a delivery's partition; None for no bound.
        rules: Further quality rules of the table.
        when_held: What a run does while the signal is held or late: `last_good`, `stop` or
            `without`.
        max_age: The oldest that the last good snapshot may be, by its last event; None for any age.
        model: The registered model whose output it is, such as `demand@champion`; None for none.
        unfilled: Entries that a person still has to fill in; nothing else waits for them.
        missing: What has to be written before it can be ingested: a line for each.
        unchecked: Entries of the contract that nothing here acts on: a text for each kind.
    """

    name: str
    version: str
    owner: str
    contact: str
    source_configuration: SourceConfiguration
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    event_time: str | None
    time_zone: str
    delay: timedelta
    freshness: timedelta | None
    null_values: tuple[str, ...]
    path: Path
    status: str = "active"
    frequency: timedelta | None = None
    rows: tuple[int | None, int | None] = (None, None)
    rules: tuple[Rule, ...] = ()
    when_held: str = "last_good"
    max_age: timedelta | None = None
    model: str | None = None
    unfilled: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where it comes from, for people; no secret is in it."""
        return self.source_configuration.origin

    @property
    def server(self) -> SourceConfiguration:
        """The former name of `source_configuration`, which readers of projects use; until 1.0."""
        return self.source_configuration

    @property
    def format(self) -> str:
        """The format of its files; empty where it comes from no file."""
        return self.source_configuration.options.get("format", "")

    @property
    def root(self) -> Path:
        """The project that the contract belongs to."""
        return self.path.parents[1]

    @property
    def owner_and_contact(self) -> str:
        """The owner and how to reach them, as far as the contract names them."""
        return (
            self.owner
            if self.contact in (UNKNOWN, self.owner)
            else (f"{self.owner} ({self.contact})")
        )

    def local(self, moment: datetime) -> datetime:
        """A moment in the contract's time zone."""
        return moment.astimezone(ZoneInfo(self.time_zone))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def source_fields(self) -> tuple[Field, ...]:
        """The fields that come from the source, in order."""
        return tuple(field for field in self.fields if not field.generated)

    @cached_property
    def source_names(self) -> tuple[str, ...]:
        """Names of these fields in the source, in order."""
        return tuple(field.source_name for field in self.source_fields)

    @property
    def is_classified(self) -> bool:
        """Whether a value of it may be one that reaches no record."""
        return any(field.classification for field in self.fields)

    def field(self, name: str) -> Field:
        """The field of this name."""
        return self.fields[self.names.index(name)]

    def source_field(self, name: str) -> Field:
        """The field that has this name in the source."""
        return self.source_fields[self.source_names.index(name)]

    def complete(self) -> "Contract":
        """The contract, if it has all that ingestion needs.

        Raises:
            UserError: Something is missing; names it.
        """
        if self.missing:
            raise combined_error(list(self.missing))
        return self

    def mistake(self, what: str, then: str = "") -> UserError:
        """The error that names the signal, its owner and what to do next."""
        if not then and self.owner == UNKNOWN:
            then = f"Its owner is unknown: fill in team.name in signals/{self.path.name}"
        then = then or f"Ask {self.owner_and_contact}"
        return UserError(f"signal {self.name}: {what}.\n{then}.")

    def schema_violation(self, violation: Violation, then: str = "") -> SchemaViolation:
        """The error for a delivery that cannot become a snapshot."""
        return SchemaViolation(str(self.mistake(violation.message, then)), violation)


class Contracts(dict[str, Contract]):
    """The contracts that can be used, by the signal's name; looking up another raises its error.

    So a contract that cannot be read stops only what needs it.

    Attributes:
        broken: Errors of the contracts that cannot be used, by name.
        incomplete: Those of them that can be read but lack what ingestion needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[str, UserError] = {}
        self.incomplete: dict[str, Contract] = {}

    @property
    def readable(self) -> dict[str, Contract]:
        """The contracts that can be read, also those that lack what ingestion needs."""
        return {**self, **self.incomplete}

    def __contains__(self, name: object) -> bool:
        """Whether there is a contract of this name, usable or not."""
        return super().__contains__(name) or name in self.broken

    def __missing__(self, name: str) -> Contract:
        """Raises why a contract cannot be used."""
        if name in self.broken:
            raise self.broken[name]
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The contract of this name; raises why it cannot be used, if so."""
        try:
            return self[name]
        except KeyError:
            return default

    def check(self, names: Iterable[str]) -> None:
        """Raises the errors of all contracts among these that cannot be used."""
        lines = [str(self.broken[name]) for name in names if name in self.broken]
        if lines:
            raise UserError("\n".join(lines))


def known(contracts: Mapping[str, Contract], name: str, key: str | None = None) -> Contract:
    """The contract of this name.

    Args:
        contracts: All contracts.
        name: The signal's name.
        key: The key of the configuration that names it, if one does.

    Raises:
        UserError: The signal is unknown; names the nearest.
    """
    if name not in contracts:
        place = f"{key}: " if key else ""
        raise UserError(
            f"{place}unknown signal '{name}': signals/{name}.yaml does not exist. "
            f"{nearest(name, contracts)}"
        )
    return contracts[name]
