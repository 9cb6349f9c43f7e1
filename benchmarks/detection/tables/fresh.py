"""How the real tables of the second draw are cut out of their data sets; as in `real.py`."""

import polars as pl
from real import DAY, Recipe


def _blood_glucose(rows: pl.DataFrame) -> pl.DataFrame:
    """Three pairs of readings have the same time, so that a number is the key."""
    return rows.select(
        pl.int_range(1, pl.len() + 1).alias("record_id"),
        pl.col("datetime").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").alias("read_at"),
        pl.col("isig").replace({"nil": None}).cast(pl.Float64),
        pl.col("glucose").cast(pl.Int64),
    )


def _data_breaches(rows: pl.DataFrame) -> pl.DataFrame:
    """Whole years."""
    return (
        _plain(rows.rename({"rownames": "report_id"}))
        .with_columns(_day("Breach_Submission_Date"))
        .filter(pl.col("Breach_Submission_Date").dt.year().is_between(2010, 2014))
    )


def _football_matches(rows: pl.DataFrame) -> pl.DataFrame:
    """Ten seasons; in the one before them two matches have no time."""
    return rows.drop("rownames").filter(pl.col("Year") >= 1999).with_columns(_moment("Date"))


def _rain_forecasts(rows: pl.DataFrame) -> pl.DataFrame:
    # two decimals, which the package keeps in another precision
    return _plain(rows.rename({"rownames": "date"})).with_columns(
        _day("date"), pl.col(pl.Float64).round(2)
    )


def _self_harm_cases(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("rownames").with_columns(pl.datetime("Year", "Month", 1).alias("month_start"))


def _station_temperatures(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("rownames").with_columns(_day("date")).filter(pl.col("date").dt.year() >= 2003)


def _stock_index(rows: pl.DataFrame) -> pl.DataFrame:
    # cents, which the package keeps in another precision
    return (
        _plain(rows.drop("rownames"))
        .with_columns(_day("Date"), pl.col(pl.Float64).round(2))
        .filter(pl.col("Date").dt.year() >= 2008)
    )


def _train_rides(rows: pl.DataFrame) -> pl.DataFrame:
    # differences that the package keeps as they were computed
    differences = pl.col("temp_change", "pressure_change").round(4)
    return (
        rows.drop("rownames")
        .with_columns(_day("date"), differences)
        .filter(pl.col("date").dt.year() >= 2005)
    )


def _turnip_prices(rows: pl.DataFrame) -> pl.DataFrame:
    # 5:00 a.m.
    read = pl.col("time").str.replace_all(".", "", literal=True).str.to_uppercase()
    time = read.str.to_time("%I:%M %p")
    date = pl.col("date").str.to_date(DAY)
    return rows.drop("rownames").with_columns(
        date, time, pl.col("price").cast(pl.Int64), date.dt.combine(time, "us").alias("quoted_at")
    )


def _tweets(rows: pl.DataFrame) -> pl.DataFrame:
    """Whole years in which all texts are escaped in the same way."""
    local = pl.col("created_at").dt.convert_time_zone("America/New_York")
    return (
        rows.drop("rownames")
        .with_columns(_moment("created_at"), pl.col("in_reply_to_user_id_str").cast(pl.Int64))
        .filter(local.dt.year().is_between(2013, 2017))
    )


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Names without R's dots."""
    return rows.rename({name: name.replace(".", "_") for name in rows.columns})


def _day(name: str) -> pl.Expr:
    return pl.col(name).str.to_datetime(DAY, time_unit="us")


def _moment(name: str) -> pl.Expr:
    moment = pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    return moment.dt.replace_time_zone("UTC")


RECIPES: dict[str, tuple[str, Recipe]] = {
    "blood_glucose": ("bokeh_sampledata/_data/CGM.csv.gz", _blood_glucose),
    "data_breaches": ("Ecdat/HHSCyberSecurityBreaches", _data_breaches),
    "football_matches": ("vcd/Bundesliga", _football_matches),
    "rain_forecasts": ("crch/RainIbk", _rain_forecasts),
    "self_harm_cases": ("Stat2Data/SuicideChina", _self_harm_cases),
    "station_temperatures": ("stevedata/clemson_temps", _station_temperatures),
    "stock_index": ("openintro/sp500_1950_2018", _stock_index),
    "train_rides": ("modeldata/Chicago", _train_rides),
    "turnip_prices": ("stevedata/turnips", _turnip_prices),
    "tweets": ("dslabs/trump_tweets", _tweets),
}
"""By table: the data set in the package, and what makes the table of it."""
