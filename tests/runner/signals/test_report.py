"""The page about a hold: what it names, what it draws, and what it never shows."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from support.hold_report import CELSIUS, FIELDS, PAST, SAID, Report, month, reporter


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return reporter(tmp_path)


def test_it_names_field_numbers_owner_and_what_to_type(report: Report) -> None:
    page = report(CELSIUS, SAID)
    assert "The delivery of air is held: temp" in page.text
    assert "from Weather <desk>, desk@example.com" in page.text
    assert "Weather &lt;desk&gt;" in page.source  # what is put in is text
    assert "since 1 October 2024, 06:12 UTC" in page.text
    assert "The last good snapshot stays current, up to 2024-08" in page.text
    assert page.text.count("temp is 40 lower than its past explains") == 2
    assert "temp in °F" in page.text
    median = f"{CELSIUS['temp'].median():.5g}"
    assert f" {median}" in page.text.partition("median")[2][:40]
    assert 'python run.py holds release air-3f9a1c --by NAME --why "TEXT"' in page.text
    assert 'python run.py holds reject air-3f9a1c --by NAME --why "TEXT"' in page.text
    assert page.loaded == []  # it can be sent to the owner as it is


def test_it_draws_a_breached_field_over_the_partitions(report: Report) -> None:
    page = report(CELSIUS, SAID)
    lines, histogram = page.drawn
    assert lines == "p" * 8 + "c"  # the past's months and the delivery
    assert histogram == ""
    assert "2024-01 … 2024-08, 5,600 rows" in page.text
    assert "the delivery, 2024-09, 700 rows" in page.text


def test_delivery_is_told_apart_without_colour(report: Report) -> None:
    shapes = report(CELSIUS, SAID).shapes
    assert "C" in shapes["past"]  # curves
    assert "C" not in shapes["delivery"]


def test_changed_partition_stands_beside_what_it_was(report: Report) -> None:
    page = report(CELSIUS, SAID, past={**PAST, "2024-09": month(9).lazy()})
    assert page.drawn[0] == "p" * 9 + "c"


def test_new_value_of_a_text_is_marked(report: Report) -> None:
    west = month(9).with_columns(
        pl.when(pl.col("station") == "north").then(pl.lit("west")).otherwise("station")
        .alias("station")
    )  # fmt: skip
    page = report(west, ("values", "station", "station has the new value west"))
    assert re.search(r"west new 0\.0 → \d\d\.\d %", page.text)
    assert "south new" not in page.text
    assert re.fullmatch("p{80,90}c{30}", page.drawn[0])  # days
    assert "Share of the rows in which station is “" in page.text


def test_field_without_values_shows_when_they_went(report: Report) -> None:
    empty = month(9).with_columns(pl.lit(None, pl.Float64).alias("temp"))
    page = report(empty, ("nulls", "temp", "temp has no value"))
    assert "Share of the rows without a value" in page.text
    assert "0.0 % 100.0 %" in page.text


def test_breach_of_the_whole_shows_rows(report: Report) -> None:
    page = report(month(9)[:350], ("volume", None, "350 rows where 700 were usual"))
    assert "The delivery of air is held: volume" in page.text
    assert "Rows a day, by day" in page.text
    assert page.drawn == ["p" * 90 + "c" * 15]  # days


def test_broken_relation_is_shown_beside_what_is_usual(report: Report) -> None:
    other = month(9).with_columns(pl.col("dew").shuffle(seed=1))
    page = report(other, ("relation", "dew", "dew goes no more with temp"))
    assert re.search(r"dew and temp \+0\.9\d [+-]0\.\d\d", page.text)
    assert "Correlations between fields" not in report(month(9), SAID).text


def test_field_that_differs_unnamed_is_in_the_overview(report: Report) -> None:
    wrong = CELSIUS.with_columns(pl.col("okta") * 2, dry=pl.lit(False))
    overview = report(wrong, SAID).text.partition("All fields")[2].partition("What to do")[0]
    assert re.search(r"temp \d+ % dry \d\d % okta \d\d %", overview)  # the named, then by size
    assert re.search(r"usually are: .*station", overview)


def test_classified_values_are_nowhere(report: Report) -> None:
    fields = tuple(
        replace(each, classification="restricted") if each.name in ("temp", "station") else each
        for each in FIELDS
    )
    page = report(
        CELSIUS,
        ("distribution", "temp", "temp is not what it was"),
        ("values", "station", "station has a new value"),
        fields=fields,
    )
    assert "Its values are classified as restricted and not shown." in page.text
    assert "north" not in page.source
    assert "median" not in page.text
    assert "dew and temp" not in page.text
    assert page.drawn == ["p" * 8 + "c"] * 2  # how often they are there


def test_what_does_not_fit_the_contract_says_so_without_figures(report: Report) -> None:
    page = report(None, ("schema", "temp", "the field 'temp' is missing"), releasable=False)
    assert "It cannot be released" in page.text
    assert "holds release" not in page.text
    assert "holds reject" in page.text
    assert page.drawn == []


def test_signal_without_event_time_has_one_partition(report: Report) -> None:
    page = report(CELSIUS, SAID, ("volume", None, "x"), past={"all": month(1).lazy()})
    assert "stays current;" in page.text
    assert len(page.drawn) == 3


@pytest.mark.parametrize(
    ("value", "whole"), [(5.0, 3), (float("inf"), 3), (1e300, 0), (5.0, 10**17), (5.0, -(10**17))]
)
def test_constant_and_extreme_numbers_are_drawn(report: Report, value: float, whole: int) -> None:
    constant = month(9).with_columns(pl.lit(value).alias("temp"), pl.lit(whole).alias("okta"))
    past = {"2024-08": constant.with_columns(pl.lit(5.0).alias("temp")).lazy()}
    page = report(constant, SAID, ("frozen", "okta", "okta is 3 in all rows"), past=past)
    assert len(page.drawn) == 4
