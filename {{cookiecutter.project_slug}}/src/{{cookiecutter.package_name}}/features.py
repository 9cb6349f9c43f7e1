"""Features, labels and prediction times: named polars expressions over `<signal>.<field>`.

Which signals and fields each needs is read from the expression itself. A feature may only look at
its own row, and only at what is known at prediction time.
"""

import polars as pl

NEW_YORK = "America/New_York"


def minutes(clock: pl.Expr) -> pl.Expr:
    """Minutes since midnight of a clock time written as HHMM."""
    return clock // 100 * 60 + clock % 100


FEATURES: dict[str, pl.Expr] = {
    # the timetable
    "departure_hour": pl.col("flights.hour"),
    "departure_minute_of_day": pl.col("flights.hour") * 60 + pl.col("flights.minute"),
    "departure_weekday": pl.col("flights.time_hour").dt.convert_time_zone(NEW_YORK).dt.weekday(),
    "carrier": pl.col("flights.carrier"),
    "origin": pl.col("flights.origin"),
    "destination": pl.col("flights.dest"),
    "distance": pl.col("flights.distance"),
    # arrival is written in the destination's local time, so this holds its time difference too:
    # the same for every flight of a route, and the route is a feature as well
    "scheduled_minutes": (
        minutes(pl.col("flights.sched_arr_time")) - minutes(pl.col("flights.sched_dep_time"))
    )
    % (24 * 60),
    # the weather at the airport of departure, as last known before it
    "temperature": pl.col("weather.temp"),
    "dew_point": pl.col("weather.dewp"),
    "humidity": pl.col("weather.humid"),
    "wind_speed": pl.col("weather.wind_speed"),
    "wind_gust": pl.col("weather.wind_gust"),
    "precipitation": pl.col("weather.precip"),
    "air_pressure": pl.col("weather.pressure"),
    "visibility": pl.col("weather.visib"),
    # the aircraft
    "plane_age": pl.col("flights.year") - pl.col("planes.year"),
    # the same of planes alone, as all flights are of one year: for an ensemble, whose members share
    # no signal
    "plane_built": pl.col("planes.year"),
    "plane_seats": pl.col("planes.seats"),
    "plane_engines": pl.col("planes.engines"),
    "plane_manufacturer": pl.col("planes.manufacturer"),
}

LABELS: dict[str, pl.Expr] = {
    # 9,430 flights were cancelled or diverted and never arrived where they should. They have no
    # arrival delay, so no label; rows without a label are left out, and the record counts them.
    "late": pl.col("flights.arr_delay") >= 15,
    # a text names a class: three of them
    "punctuality": pl.when(pl.col("flights.arr_delay") >= 15)
    .then(pl.lit("late"))
    .when(pl.col("flights.arr_delay") <= -15)
    .then(pl.lit("early"))
    .when(pl.col("flights.arr_delay").is_not_null())
    .then(pl.lit("on time")),
    # any other number is predicted as a number
    "arrival_delay": pl.col("flights.arr_delay"),
}

PREDICTION_TIMES: dict[str, pl.Expr] = {
    # time_hour is the hour of the scheduled departure
    "scheduled_departure": pl.col("flights.time_hour")
    + pl.duration(minutes=pl.col("flights.minute")),
}
