"""Numbers as 64 bits hold them, or not at all: no two different ones become the same."""

import math
from decimal import Decimal, InvalidOperation, localcontext

import polars as pl

EXACT = 2**53
"""From here on a float stands for several whole numbers."""
CERTAIN = 15
"""Any decimal of so many digits is told from its neighbours by a 64-bit float."""
AS_TEXT = "write `logicalType: string`"
_LONGEST = 2_000  # digits; the exact value of a float has up to 1,075


def integers(series: pl.Series) -> pl.Series:
    """Whole numbers as 64-bit integers; null where one is not whole or not exact."""
    dtype = series.dtype
    if dtype.is_integer():
        return series.cast(pl.Int64, strict=False)
    if dtype.is_float():
        # NaN is greater than any number, for polars
        is_whole = (series == series.round()) & (series.abs() < EXACT)
        return series.set(~is_whole, None).cast(pl.Int64)
    if dtype.is_decimal():
        texts = series.cast(pl.String).str.replace(r"\.0*$", "")
        return texts.cast(pl.Int64, strict=False)
    if dtype != pl.String:
        return nulls(series, pl.Int64())
    values = series.cast(pl.Int64, strict=False)
    if values.null_count() == series.null_count():
        return values
    # pandas writes 5.0 where a column has nulls: a float, so exact only as far as floats are
    with_point = series.set(~series.str.contains(r"^[+-]?[0-9]+\.0*$"), None)
    floats = with_point.str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)
    return values.fill_null(floats.set(floats.abs() >= EXACT, None))


def numbers(series: pl.Series) -> pl.Series:
    """Numbers as 64-bit floats; null where a float would be another number. NaN stays NaN."""
    dtype = series.dtype
    if dtype.is_float():
        return series.cast(pl.Float64)
    if dtype.is_integer():
        values = series.cast(pl.Float64)
        least, greatest = series.min(), series.max()
        if least is None or -EXACT <= least <= greatest <= EXACT:  # type: ignore[operator]
            return values
        is_exact = values.cast(pl.Int128, strict=False) == series.cast(pl.Int128, strict=False)
        return values.set(~is_exact, None)
    if dtype.is_decimal():
        return _of_texts(series.cast(pl.String))
    return _of_texts(series) if dtype == pl.String else nulls(series, pl.Float64())


def plain(texts: pl.Series) -> pl.Series:
    """Texts of numbers without zeros at the end of their decimals."""
    return texts.str.replace(r"^([+-]?[0-9]*\.[0-9]*?)0+$", "${1}").str.strip_suffix(".")


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    number = _decimal(text)
    return number is not None and number.is_finite()


def why_no_integer(value: object) -> str:
    """What a message adds on a value that `integers` refuses."""
    number = _decimal(value)
    if number is None or not number.is_finite():
        return _nan(value)
    if number != number.to_integral_value():
        return ""
    if not -(2**63) <= number < 2**63:
        return f", which is beyond 64 bits; {AS_TEXT}"
    return f", which as a float stands for several whole numbers; {AS_TEXT}"


def why_no_number(value: object) -> str:
    """What a message adds on a value that `numbers` refuses."""
    number = _decimal(value)
    if number is None or not number.is_finite():
        return _nan(value)
    return f", which a 64-bit number cannot hold; {AS_TEXT}, and cast it in the feature"


def _of_texts(texts: pl.Series) -> pl.Series:
    values = texts.cast(pl.Float64, strict=False)
    size = values.abs()
    doubtful = (texts.str.len_bytes() > CERTAIN) | ~size.is_between(1e-290, 1e290)
    odd = texts.filter(doubtful & values.is_not_null() & values.is_not_nan()).unique()
    if odd.is_empty():
        return values
    odd = odd.filter(~_is_shortest(odd))
    bad = [text for text in odd if not _is_faithful(text, float(text))]
    values = values.set(texts.is_in(bad) & texts.is_not_null(), None) if bad else values
    bad = _merged(texts, values, odd.filter(~odd.is_in(bad)))
    return values.set(texts.is_in(bad) & texts.is_not_null(), None) if bad else values


def _merged(texts: pl.Series, values: pl.Series, long: pl.Series) -> list[str]:
    """Those of long texts whose float another number of the column has too."""
    if long.is_empty():
        return []
    numbers: dict[float, set[Decimal]] = {}
    shared = values.is_in(long.cast(pl.Float64).implode())
    for text in texts.filter(shared & values.is_not_null()).unique():
        numbers.setdefault(float(text), set()).add(Decimal(text))
    return [text for text in long if len(numbers[float(text)]) > 1]


def _is_shortest(texts: pl.Series) -> pl.Series:
    """Whether a text is, but for zeros at its end, how its float is written."""
    return plain(texts) == texts.cast(pl.Float64).cast(pl.String).str.strip_suffix(".0")


def _is_faithful(text: str, value: float) -> bool:
    """Whether a float is what a text says: as it is written, or rounded to the text's digits."""
    if not math.isfinite(value):
        return not any(sign.isdigit() for sign in text)
    wanted = Decimal(text)
    if wanted == Decimal(repr(value)):
        return True
    if len(text) > _LONGEST:
        return False
    with localcontext(prec=2 * _LONGEST):
        try:
            return Decimal(value).quantize(wanted) == wanted
        except InvalidOperation:
            return False


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _nan(value: object) -> str:
    number = _decimal(value)
    if number is None or not number.is_nan():
        return ""
    return "; list NaN under nullValues if it stands for nothing"


def nulls(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """As many nulls as a series has values."""
    return pl.Series(series.name, [None] * len(series), dtype)
