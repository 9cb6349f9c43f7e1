"""The picture of each kind of change: before, after, and where it begins."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.holds.holds import Hold, Violation
from ml_experiment_runner.signals.ingestion import hold_bars
from ml_experiment_runner.signals.ingestion.hold_bars import Bars
from ml_experiment_runner.signals.ingestion.hold_comparison import Histogram
from ml_experiment_runner.signals.ingestion.hold_courses import Course
from ml_experiment_runner.signals.ingestion.hold_pairs import Heatmap, Scatter
from ml_experiment_runner.signals.ingestion.hold_pictures import Picture, picture
from ml_experiment_runner.signals.ingestion.hold_report import write_report
from ml_experiment_runner.signals.ingestion.hold_rows import rows_to_draw
from support.hold_faults import DELIVERED, FAULTS, FIRST, GOODS, contract_of, put, sales, since
from support.hold_report import Page

Months = dict[str, pl.DataFrame]
BEGINS = {"copies": 18, "frozen": 20, "repeated day": 12}  # days of March, if not the first
COURSES = {
    "volume": "Rows a day",
    "numbering": "Rows a day",
    "missing values": "rows without a value of temp",
    "shares": "goods is “cheese”",
    "precision of times": "rows at a full hour",
    "tails": "values of fee that are below 0",
    "level": "Mean of temp",
    "different values": "Different values of label",
    "copies": "as an earlier one but for its time",
    "clock": "hour is not that of the event's hour",
    "single value": "fee is 5",
    "new codes": "goods has a value that was never there",
    "new values": "quantity has a value that was never there",
    "frozen": "most frequent value of temp",
    "identifiers": "receipt has 3 digits",
    "order": "earlier than the one before by receipt",
    "steps": "Change of temp from row to row",
    "repeated day": "values that are those of the day before",
}
MESSAGES = {
    "shares": "'cheese' is in 7.8% of the rows, expected 25.0%",
    "order": "by receipt, 16.1% of the rows are earlier than the one before, until now 0.0%",
    "swapped codes": "the numbers of place 'Aar', most of all temp, are those that 'Bern' had",
}


@pytest.fixture(scope="module")
def months() -> Months:
    return sales()


@pytest.fixture
def drawn(months: Months, tmp_path: Path) -> Callable[..., Picture | None]:
    """The picture of a kind of fault, or of the delivery without it."""

    def draw(kind: str, *restricted: str, faulty: bool = True) -> Picture | None:
        field, fault = FAULTS[kind]
        past = {name: rows for name, rows in months.items() if name != DELIVERED}
        rows = fault(months[DELIVERED], past["2024-02"]) if faulty else months[DELIVERED]
        data = rows_to_draw(contract_of(tmp_path, *restricted), past, {DELIVERED: rows})
        return picture(data, Violation(kind, field, MESSAGES.get(kind, ""), DELIVERED))

    return draw


@pytest.fixture
def page(months: Months, tmp_path: Path) -> Callable[..., Page]:
    """The page about faults of some kinds."""

    def write(
        kind: str,
        *restricted: str,
        known: pl.DataFrame | None = None,
        rows: pl.DataFrame | None = None,
    ) -> Page:
        field, fault = FAULTS.get(kind, ("temp", None))
        past = {name: each.lazy() for name, each in months.items() if name != DELIVERED}
        if known is not None:
            past[DELIVERED] = known.lazy()
        if rows is None:
            assert fault is not None
            rows = fault(months[DELIVERED], months["2024-02"])
        hold = Hold(
            id="sales-3f9a1c", subject="sales", version="1.0.0", last_good="blake2b:00",
            owner="Shop desk", opened="2024-04-01T06:12:00+00:00", partition=DELIVERED,
            violations=(Violation(kind, field, MESSAGES.get(kind, "it changed"), DELIVERED),),
            delivery=("x",),
        )  # fmt: skip
        return Page(write_report(contract_of(tmp_path, *restricted), hold, past, {DELIVERED: rows}))

    return write


@pytest.mark.parametrize("kind", COURSES)
def test_course_shows_what_changes_and_where_it_begins(drawn, kind: str) -> None:
    course = drawn(kind)
    assert isinstance(course, Course)
    assert COURSES[kind] in course.caption
    assert course.begins is not None
    day = BEGINS.get(kind, FIRST)
    assert course.day(course.begins) == date(2024, 3, day)
    assert f"the change begins on {day} March 2024" in course.caption
    before = np.nanmedian(course.past)
    usual = np.nanmax(np.abs(course.past - before))
    assert abs(course.delivered[course.begins] - before) > 1.2 * usual


@pytest.mark.parametrize("kind", sorted({*COURSES, "extreme"} - {"single value"}))
def test_delivery_without_a_change_has_no_mark(drawn, kind: str) -> None:
    course = drawn(kind, faulty=False)
    assert isinstance(course, Course)
    assert course.begins is None


def test_course_is_drawn_by_day_with_the_delivery_after_the_past(drawn) -> None:
    course = drawn("volume")
    assert (course.steps.days, course.steps.past, course.steps.delivered) == (1, 90, 31)
    assert np.isnan(course.delivered[:90]).all()
    assert np.isnan(course.past[90:]).all()
    assert 80 < course.past[:90].mean() < 96
    assert course.delivered[90 + FIRST :].mean() < 50


def test_extreme_number_stands_out(drawn) -> None:
    course = drawn("extreme")
    assert np.nanmax(course.delivered) == 9999
    assert np.nanmax(course.past) < 99


@pytest.mark.parametrize(
    ("kind", "group", "shape"),
    [
        ("day of week", "Sun", "bars"),
        ("last digits", "0", "bars"),
        ("form of texts", "upper case", "dots"),
        ("level of a group", "Chur", "dots"),
        ("swapped codes", "Aar", "dots"),
    ],
)
def test_bars_show_the_group_that_changes(drawn, kind: str, group: str, shape: str) -> None:
    bars = drawn(kind)
    assert isinstance(bars, Bars)
    assert bars.shape == shape
    moved = np.abs(bars.delivery - bars.before)
    assert moved[bars.names.index(group)] >= 0.999 * bars.moved > 10


def test_hours_that_are_gone_are_low(drawn) -> None:
    bars = drawn("time of day")
    assert (bars.delivery[:6] < 0.6 * bars.before[:6]).all()
    assert (bars.delivery[6:] > bars.before[6:]).all()
    assert bars.before.sum() == pytest.approx(100)


def test_daily_course_is_later(drawn) -> None:
    bars = drawn("daily course")
    assert bars.before.argmax() == 15
    assert bars.delivery.argmax() in (19, 20, 21)
    assert abs(np.nanmean(bars.delivery)) < 1  # without the season


def test_gaps_are_between_bars_of_single_numbers(drawn) -> None:
    histogram = drawn("gaps")
    assert isinstance(histogram, Histogram)
    assert set(np.diff(histogram.edges)) == {1.0}
    before, now = histogram.shares
    assert np.abs(np.diff(now)).mean() > 5 * np.abs(np.diff(before)).mean()


def test_fields_that_belonged_together_are_in_tables(drawn) -> None:
    table = drawn("association")
    assert isinstance(table, Heatmap)
    assert "price" in table.names[1]
    wine = table.across.index("wine")
    dear = table.down.index(table.down[-1])
    assert table.before[dear, wine] > 35
    assert table.delivery[dear, wine] < 25
    assert np.allclose(table.before.sum(axis=1), 100)


def test_what_followed_from_another_field_is_in_tables(drawn) -> None:
    table = drawn("dependence")
    aar = table.down.index("Aar")
    assert table.before[aar, table.across.index("north")] == 100
    assert table.delivery[aar, table.across.index("west")] > 60


def test_related_numbers_are_points(drawn) -> None:
    points = drawn("relation")
    assert isinstance(points, Scatter)
    assert points.names == ("temp in °F", "dew in °F")
    before, now = (np.corrcoef(part.T)[0, 1] for part in (points.before, points.delivery))
    assert before > 0.85
    assert now < 0.7


@pytest.mark.parametrize(
    ("kind", "name"), [("sum", "gross less (total + fee)"), ("product", "total less")]
)
def test_formula_that_held_is_a_line_at_zero(drawn, kind: str, name: str) -> None:
    points = drawn(kind)
    assert isinstance(points, Scatter)
    assert name in points.names[1]
    assert np.abs(points.before[:, 1]).max() < 0.1
    assert (np.abs(points.delivery[:, 1]) > 0.1).mean() > 0.5


def test_restated_rows_are_beside_what_was_recorded(page, months) -> None:
    known = months[DELIVERED]
    rows = put("temp", ((pl.col("temp") - 32) / 1.8).round(1))(known, known)
    restated = page("changed rows", known=known, rows=rows)
    assert "temp in the delivery (up) by temp as recorded (across)" in restated.text


def test_new_days_of_a_month_are_told_from_its_known_days(page, months) -> None:
    month = months[DELIVERED]
    known = month.filter(pl.col("time").dt.day() < FIRST)
    rows = put("temp", pl.lit(0.0), since())(month, month)
    later = page("level", known=known, rows=rows)
    assert "the change begins with the delivery, on 11 March 2024" in later.text
    assert later.drawn[0] == "p" * 90 + "c" * 21


@pytest.mark.parametrize("kind", FAULTS)
def test_page_has_the_picture(page, kind: str) -> None:
    one = page(kind)
    assert one.drawn
    assert "by partition" not in one.text
    assert "No picture" not in one.text
    assert one.loaded == []


@pytest.mark.parametrize("kind", sorted({kind for kind, (name, _) in FAULTS.items() if name}))
def test_classified_field_has_no_picture_but_of_nulls(drawn, page, kind: str) -> None:
    name = FAULTS[kind][0]
    course = drawn(kind, name)
    assert course is None or "without a value" in course.what
    source = page(kind, name).source
    if name in ("goods", "label"):
        hidden = () if name == "label" else GOODS
        assert not [value for value in hidden if f"{value}<" in source or f"“{value}" in source]
    assert "median" not in source or name == "time"


@pytest.mark.parametrize("kind", ["association", "relation", "sum", "product", "level of a group"])
def test_classified_field_is_no_partner(page, kind: str) -> None:
    others = {"price", "dew", "temp", "fee", "total", "place", "gross"} - {FAULTS[kind][0]}
    one = page(kind, *others)
    figures = one.source.partition("<figcaption>")[2].partition("What to do")[0]
    assert not [name for name in others if f"{name} (" in figures or f"each {name}" in figures]


def test_picture_that_fails_is_said_to_be_missing(page, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ValueError

    monkeypatch.setattr(hold_bars, "hours", fail)
    assert "No picture of the time of day could be drawn of these rows" in page("time of day").text


def test_two_reports_of_a_hold_are_equal(page) -> None:
    assert page("level").source == page("level").source
