"""Faults of codes, texts, flags, identifiers and the calendar: each gives an injection's rows."""

from datetime import timedelta
from typing import Any

import polars as pl
from injection import Injection

HOUR = 3600 * 10**9  # nanoseconds


def _recoded(injection: Injection, codes: dict[Any, Any]) -> pl.DataFrame:
    return injection.replaced(injection.values.replace(codes))


def swapped_codes(injection: Injection) -> pl.DataFrame:
    """The two most frequent codes have changed places."""
    codes = injection.codes()
    return _recoded(injection, dict(zip(codes[:2], codes[1::-1], strict=True)))


def code_gone(injection: Injection) -> pl.DataFrame:
    """The second most frequent code is gone, with its rows or without."""
    codes = injection.codes()
    if len(codes) < 2:
        return injection.rows
    if injection.size["how"] == "dropped":
        return injection.rows.filter((injection.values != codes[1]).fill_null(value=True))
    return _recoded(injection, {codes[1]: codes[0]})


def codes_merged(injection: Injection) -> pl.DataFrame:
    """The third most frequent code is taken for the second."""
    codes = injection.codes()
    return _recoded(injection, {codes[2]: codes[1]}) if len(codes) > 2 else injection.rows


def rare_to_other(injection: Injection) -> pl.DataFrame:
    """What is none of the four most frequent codes is `Other`."""
    new = pl.Series(["Other"] * injection.rows.height)
    rare = ~injection.values.is_in(injection.codes()[:4]) & injection.values.is_not_null()
    return injection.replaced(new, rare)


def codes_rotated(injection: Injection) -> pl.DataFrame:
    """Each code is taken for the next."""
    codes = sorted(injection.codes())
    return _recoded(injection, dict(zip(codes, [*codes[1:], *codes[:1]], strict=True)))


def new_code(injection: Injection) -> pl.DataFrame:
    """A code that was never there."""
    known = injection.table.rows[injection.field].drop_nulls()
    value = int(known.max()) + 1 if known.dtype.is_integer() else "NEW"  # type: ignore[arg-type]
    if not (known.dtype.is_integer() or known.dtype == pl.String):
        return injection.rows
    new = pl.Series([value] * injection.rows.height).cast(known.dtype)
    return injection.replaced(new, injection.some(injection.size["share"]))


def code_case(injection: Injection) -> pl.DataFrame:
    """Small letters, or capitals where they are small already."""
    lower = injection.values.str.to_lowercase()
    is_small = (lower == injection.values).mean() or 0.0
    new = injection.values.str.to_uppercase() if is_small > 0.5 else lower
    return injection.replaced(new, injection.some(injection.size["share"]))


def code_space(injection: Injection) -> pl.DataFrame:
    """A space at the end."""
    return injection.replaced(injection.values + " ", injection.some(injection.size["share"]))


def quoted(injection: Injection) -> pl.DataFrame:
    """The marks of a CSV file are taken for a part of the text."""
    new = '"' + injection.values + '"'
    return injection.replaced(new, injection.some(injection.size["share"]))


def damaged_encoding(injection: Injection) -> pl.DataFrame:
    """UTF-8 that was read as Latin-1; where all is ASCII, some vowels had an accent."""
    values = injection.values
    new = values.map_elements(_misread, return_dtype=pl.String)
    if not (new != values).any():
        accents = dict(zip("aeiouAEIOU", "áéíóúÁÉÍÓÚ", strict=True))
        new = values.str.replace_many(list(accents), list(accents.values()))
        new = new.map_elements(_misread, return_dtype=pl.String)
    return injection.replaced(new, injection.some(injection.size["share"]))


def _misread(text: str) -> str:
    return text.encode().decode("latin-1")


def truncated_text(injection: Injection) -> pl.DataFrame:
    """Texts end at a part of the length that nine of ten keep to."""
    longest = injection.values.str.len_chars().quantile(0.9) or 1
    return injection.replaced(
        injection.values.str.slice(0, max(1, int(longest * injection.size["part"])))
    )


def flags_inverted(injection: Injection) -> pl.DataFrame:
    """Yes is no; of more than two values, the two most frequent."""
    values = injection.values
    if values.dtype == pl.Boolean:
        new = ~values
    else:
        codes = injection.codes()
        new = values.replace(dict(zip(codes[:2], codes[1::-1], strict=True)))
    return injection.replaced(new, injection.some(injection.size["share"]))


def identifiers_reissued(injection: Injection) -> pl.DataFrame:
    """Another range of numbers, or another format."""
    values = injection.values
    if values.dtype.is_integer():
        known = injection.table.rows[injection.field]
        digits = len(str(known.max())) + (injection.size["how"] == "format")
        return injection.replaced(values + 4 * 10 ** min(digits, 17))
    if injection.size["how"] == "format":
        return injection.replaced("ID-" + values)
    return injection.replaced(injection.new_identifiers(injection.field, values.len()))


def calendar_shifted(injection: Injection) -> pl.DataFrame:
    """The weekday, month or date after the right one; of a time of day, an hour later."""
    values, where = injection.values, injection.some(injection.size["share"])
    if values.dtype == pl.Time:
        later = (values.to_physical() + HOUR) % (24 * HOUR)
        return injection.replaced(later.cast(pl.Time), where)
    if values.dtype.is_temporal():
        return injection.replaced(values + timedelta(days=1), where)
    known = sorted(injection.table.rows[injection.field].drop_nulls().unique().to_list())
    following = dict(zip(known, [*known[1:], *known[:1]], strict=True))
    if len(known) == 1 and injection.is_number:
        following = {known[0]: known[0] + 1}
    return injection.replaced(values.replace(following), where)


def day_month_swapped(injection: Injection) -> pl.DataFrame:
    """The fourth of May is the fifth of April, where there is such a day."""
    days = injection.values.drop_nulls().unique().to_list()
    swapped = {day: day.replace(month=day.day, day=day.month) for day in days if day.day <= 12}
    return _recoded(injection, swapped)
