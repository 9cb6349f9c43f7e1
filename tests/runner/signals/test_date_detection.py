"""The way in which dates are written is found from the dates alone."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.signals.casting import times
from ml_experiment_runner.signals.drafts.date_detection import find, find_epoch

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAYS = {
    "dd/MM/yyyy": "%d/%m/%Y",
    "MM/dd/yyyy": "%m/%d/%Y",
    "M/d/yy": "%-m/%-d/%y",
    "d.M.yyyy": "%-d.%-m.%Y",
    "yyyy/MM/dd": "%Y/%m/%d",
    "yyyyMMdd": "%Y%m%d",
    "dd-MMM-yy": "%d-%b-%y",
    "dd-MMM-yyyy": "%d-%b-%Y",
    "d MMMM yyyy": "%-d %B %Y",
    "MMM d, yyyy": "%b %-d, %Y",
    "MMMM dd yyyy": "%B %d %Y",
    "yyyy-MMM-dd": "%Y-%b-%d",
    "EEE, dd MMM yyyy": "%a, %d %b %Y",
    "EEEE dd.MM.yyyy": "%A %d.%m.%Y",
}
CLOCKS = {
    " HH:mm": " %H:%M",
    " H:mm:ss": " %-H:%M:%S",
    "'T'HH:mm:ss": "T%H:%M:%S",
    ", h:mm a": ", %-I:%M %p",
    " hh:mm:ssa": " %I:%M:%S%p",
    ":HH:mm:ss Z": ":%H:%M:%S +0000",
    " HH:mm:ss z": " %H:%M:%S GMT",
    " HH:mm:ss.SSSSSS": " %H:%M:%S.%f",
}
MOMENTS = st.lists(
    st.datetimes(datetime(1990, 1, 1), datetime(2049, 1, 1)), min_size=1, max_size=30, unique=True
)
TELLING = [
    datetime(2024, 1, 15, 16, 5, 59),
    datetime(2023, 5, 2, 3, 4, 5),
    datetime(2024, 5, 31, 11, 30),
]
"""Days beyond the twelfth, and days and hours of one digit."""


def read(texts: list[str], pattern: str) -> list[datetime | None]:
    return times.moments(pl.Series(texts), "UTC", pattern).to_list()


@pytest.mark.parametrize("clock", ["", *CLOCKS])
@pytest.mark.parametrize("day", DAYS)
@settings(max_examples=8, deadline=None)
@given(more=MOMENTS)
def test_dates_are_read_by_the_pattern_they_are_written_in(
    day: str, clock: str, more: list[datetime]
) -> None:
    form = DAYS[day] + CLOCKS.get(clock, "")
    texts = [moment.strftime(form) for moment in TELLING + more]
    wanted = [
        datetime.strptime(text, form.replace("%-", "%")).replace(tzinfo=UTC) for text in texts
    ]
    for spelled in (texts, [text.upper() for text in texts]):
        found = find(pl.Series(spelled))
        if day == "yyyyMMdd" and clock:  # nobody writes it so
            assert found is None
            continue
        assert found is not None
        assert found.type == ("timestamp" if clock else "date")
        assert len(found.patterns) == 1
        assert read(spelled, found.patterns[0]) == wanted


@settings(max_examples=50, deadline=None)
@given(more=MOMENTS)
def test_days_that_may_be_months_have_both_patterns(more: list[datetime]) -> None:
    early = [moment.replace(day=moment.day % 12 + 1) for moment in more]
    found = find(pl.Series([moment.strftime("%m/%d/%Y %I:%M %p") for moment in early]))
    assert found is not None
    assert set(found.patterns) == {"dd/MM/yyyy hh:mm a", "MM/dd/yyyy hh:mm a"}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.text("0123456789 /.-:,TZMayJanPpm+", max_size=24) | st.text(max_size=12), max_size=6
    )
)
def test_texts_are_dates_only_if_a_pattern_reads_them_all(texts: list[str]) -> None:
    found = find(pl.Series(texts, dtype=pl.String))
    for pattern in found.patterns if found else ():
        assert None not in read(texts, pattern)


@pytest.mark.parametrize(
    "texts",
    [
        ["May flower", "June bug"],
        ["12-Foo-2024"],
        ["01/02/03/04"],
        ["10:30"],
        ["1.2.3"],
        ["v1.2.2024x"],
        ["31-Feb-2024"],
        ["15/01/2024", "15/01/2024 10:00"],
        ["01-Jan-2024", "January 1, 2024"],
        ["13:00 PM 01/01/2024"],
    ],
)
def test_texts_that_are_no_dates_stay_texts(texts: list[str]) -> None:
    assert find(pl.Series(texts)) is None


@pytest.mark.parametrize(("pattern", "size"), [("epoch_s", 1), ("epoch_ms", 1000)])
@pytest.mark.parametrize("name", ["created_at", "ts", "event_time", "updatedAt", "Unix Time"])
def test_whole_numbers_of_a_time_field_count_from_1970(name: str, pattern: str, size: int) -> None:
    moments = [NOW - timedelta(hours=7 * each) for each in range(50)]
    numbers = pl.Series([round(moment.timestamp()) * size for moment in moments] + [None])
    found = find_epoch(name, numbers, NOW)
    assert found is not None
    assert found.patterns == (pattern,)
    assert times.moments(numbers, "UTC", pattern).to_list() == [*moments, None]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("flat", [1_700_000_000]),  # its name says nothing
        ("category", [1_700_000_000]),
        ("time", [90, 1_700_000_000]),  # one is no time of these years
        ("date", [20_240_101]),
        ("duration_time", [3600]),
        ("at", [None]),
        ("updates", [1_700_000_000]),
    ],
)
def test_other_whole_numbers_stay_numbers(name: str, numbers: list[int | None]) -> None:
    assert find_epoch(name, pl.Series(numbers, dtype=pl.Int64), NOW) is None
