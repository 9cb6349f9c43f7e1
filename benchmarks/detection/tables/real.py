"""How the real tables are cut out of their data sets.

Whole places and whole years are left out, never single rows. Fields keep their names and values;
only times are read, and a number of the row stands in where the source has no key.
"""

from collections.abc import Callable

import polars as pl

Recipe = Callable[[pl.DataFrame], pl.DataFrame]
DAY = "%Y-%m-%d"


def _bank_calls(rows: pl.DataFrame) -> pl.DataFrame:
    # five minutes of the bank's own day, whatever the letter says
    return rows.select(
        _time("DateTime", "%Y-%m-%dT%H:%M:%SZ").alias("started_at"), pl.col("Calls").alias("calls")
    )


def _bird_strikes(rows: pl.DataFrame) -> pl.DataFrame:
    """Years whose reports had all come in."""
    day = _time("date", "%m/%d/%Y %H:%M:%S")
    return (
        rows.rename({"rownames": "report_id"})
        .with_columns(day, *_integers("ac_mass", "num_engs", "height", "speed"))
        .filter(pl.col("date").dt.year() < 1998)
    )


def _city_weather(rows: pl.DataFrame) -> pl.DataFrame:
    # T is a trace, which is nothing that can be measured
    precipitation = pl.col("precip").replace({"T": None}).cast(pl.Float64).round(2)
    return rows.drop("rownames").with_columns(
        _time("date", DAY), precipitation, *_integers("low_wind")
    )


def _employment(rows: pl.DataFrame) -> pl.DataFrame:
    """This century, in which all series are there."""
    return (
        rows.with_columns(pl.col("Month").str.to_datetime("%Y %b", time_unit="us").alias("month"))
        .filter(pl.col("month").dt.year() > 2000)
        .select(
            "month",
            pl.col("Series_ID").alias("series_id"),
            pl.col("Title").alias("title"),
            pl.col("Employed").alias("employed"),
        )
    )


def _field_surveys(rows: pl.DataFrame) -> pl.DataFrame:
    day = pl.datetime("year", "month", "day").alias("surveyed_on")
    return (
        rows.drop("rownames")
        .filter(pl.col("year") >= 1990)
        .with_columns(day, *_integers("hindfoot_length", "weight"))
    )


def _hotel_bookings(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"rownames": "booking_id"}).with_columns(_time("arrival_date", DAY))


def _house_sales(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.filter(pl.col("year") >= 2003)
        .with_columns(
            pl.datetime("year", "month", 1).alias("month_start"),
            *_integers("sales", "volume", "median", "listings"),
        )
        .drop("rownames", "date")
    )


def _movie_ratings(rows: pl.DataFrame) -> pl.DataFrame:
    rated_at = pl.from_epoch("timestamp", "s").dt.cast_time_unit("us").alias("rated_at")
    return (
        rows.drop("rownames")
        .with_columns(rated_at, *_integers("year"))
        .filter(pl.col("rated_at").dt.year() >= 2008)
        .rename({"userId": "user_id", "movieId": "movie_id"})
        .drop("timestamp")
    )


def _pet_licences(rows: pl.DataFrame) -> pl.DataFrame:
    """From when on the city kept what it issued; before there are single rows."""
    return (
        rows.rename({"rownames": "record_id"})
        .with_columns(_time("license_issue_date", DAY))
        .filter(pl.col("license_issue_date") >= pl.datetime(2016, 10, 1))
    )


def _pizza_orders(rows: pl.DataFrame) -> pl.DataFrame:
    sold_at = (pl.col("date") + " " + pl.col("time")).str.to_datetime(time_unit="us")
    return (
        rows.with_columns(
            pl.int_range(1, pl.len() + 1).over("id").alias("line"), sold_at.alias("sold_at")
        )
        .rename({"id": "order_id"})
        .select("order_id", "line", "sold_at", "date", "time", "name", "size", "type", "price")
    )


def _police_force(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"rownames": "record_id"}).with_columns(
        _time("response_datetime", "%Y/%m/%d %H:%M:%S"), *_integers("age")
    )


def _police_stops(rows: pl.DataFrame) -> pl.DataFrame:
    moment = _time("date", "%Y-%m-%dT%H:%M:%SZ").dt.replace_time_zone("UTC")
    return rows.drop("rownames").with_columns(moment)


def _state_births(rows: pl.DataFrame) -> pl.DataFrame:
    """Five years; those before 1979 have days that no calendar has."""
    return (
        rows.drop("rownames")
        .filter(pl.col("year").is_between(1984, 1988))
        .with_columns(_time("date", "%Y-%m-%dT%H:%M:%SZ"))
    )


def _storm_tracks(rows: pl.DataFrame) -> pl.DataFrame:
    observed_at = pl.datetime("year", "month", "day", "hour").alias("observed_at")
    diameters = ("tropicalstorm_force_diameter", "hurricane_force_diameter")
    return (
        rows.rename({"rownames": "record_id"})
        .filter(pl.col("year") >= 1995)
        .with_columns(observed_at, *_integers("category", *diameters))
    )


def _water_temperature(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        _time("DateTime", "%m/%d/%Y %H:%M").alias("measured_at"),
        pl.col("WaterTemp").alias("water_temp"),
    )


def _time(name: str, written: str) -> pl.Expr:
    return pl.col(name).str.to_datetime(written, time_unit="us")


def _integers(*names: str) -> list[pl.Expr]:
    """Whole numbers, which the package keeps as floats where some are missing."""
    return [pl.col(name).cast(pl.Int64) for name in names]


RECIPES: dict[str, tuple[str, Recipe]] = {
    "bank_calls": ("fpp3/bank_calls", _bank_calls),
    "bird_strikes": ("openintro/birds", _bird_strikes),
    "city_weather": ("mosaicData/Weather", _city_weather),
    "employment": ("fpp3/us_employment", _employment),
    "field_surveys": ("ratdat/surveys", _field_surveys),
    "hotel_bookings": ("modeldata/hotel_rates", _hotel_bookings),
    "house_sales": ("ggplot2/txhousing", _house_sales),
    "movie_ratings": ("dslabs/movielens", _movie_ratings),
    "pet_licences": ("openintro/seattlepets", _pet_licences),
    "pizza_orders": ("gt/pizzaplace", _pizza_orders),
    "police_force": ("openintro/mn_police_use_of_force", _police_force),
    "police_stops": ("carData/MplsStops", _police_stops),
    "state_births": ("mosaicData/Birthdays", _state_births),
    "storm_tracks": ("dplyr/storms", _storm_tracks),
    "water_temperature": ("Stat2Data/KeyWestWater", _water_temperature),
}
"""By table: the data set in the package, and what makes the table of it."""
