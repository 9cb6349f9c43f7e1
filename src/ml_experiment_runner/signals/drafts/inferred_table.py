"""A table as it is inferred from data: its fields, its key and its event time."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ml_experiment_runner.project.text import shorten


@dataclass(frozen=True)
class InferredColumn:
    """A field, inferred from data.

    Attributes:
        values: In the contract's type.
        personal: They may be about a person, by the name or by what they look like.
        physical_name: What the source calls it.
        format: How it writes dates and times, if not as ISO 8601 has it.
        formats: Ways to read its dates, where nothing tells which is right.
    """

    name: str
    type: str
    values: pl.Series
    personal: bool
    physical_name: str
    format: str | None = None
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class InferredTable:
    """A table, inferred from data.

    Attributes:
        nulls: Texts that stand for nothing.
        times: Fields that may be the event time.
        keys: Sets of fields that tell the rows apart, the likeliest first; none where no fields do,
            or only by chance.
        daily: The event time is a day.
        semantic_types: What the values of each field but the event time stand for.
        nearly_key: Fewer fields that would be the key but for a few rows; None if there are none.
        zone: The time zone whose clock some of them repeat; UTC if none does.
    """

    columns: list[InferredColumn]
    nulls: list[str]
    times: list[str]
    keys: list[tuple[str, ...]]
    rows: int
    daily: bool
    semantic_types: Mapping[str, str]
    zone: str
    nearly_key: "NearlyKey | None" = None

    def column(self, name: str) -> InferredColumn:
        """The field of this name."""
        return next(column for column in self.columns if column.name == name)

    def partitions(self) -> list[pl.DataFrame]:
        """The rows by month of the event time."""
        frame = pl.DataFrame([column.values for column in self.columns])
        if not self.times:
            return [frame]
        month = pl.col(self.times[0]).dt.truncate("1mo").alias("")
        return frame.with_columns(month).partition_by("", include_key=False)


@dataclass(frozen=True)
class NearlyKey:
    """Fields that would tell the rows apart but for a few, as a mistake in a date makes them.

    Attributes:
        fields: The event time and what tells places apart, or an identifier.
        rows: How many rows share their values with another.
        all_rows: How many rows there are.
        example: The values that the most rows share, by field; none of a field about persons.
        times: How many rows share these.
    """

    fields: tuple[str, ...]
    rows: int
    all_rows: int
    example: Mapping[str, object]
    times: int

    def __str__(self) -> str:
        """What stands against it, with numbers."""
        such = ", ".join(f"{name}={shorten(str(value))}" for name, value in self.example.items())
        such = f", such as {such} ({self.times} rows)" if such else ""
        return (
            f"{self.rows:,} of {self.all_rows:,} rows ({self.rows / self.all_rows:.2%}) share "
            f"{', '.join(self.fields)} with another{such}"
        )
