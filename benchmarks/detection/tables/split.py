"""Which tables and kinds of fault may be looked at, and which only measure.

Limits are chosen on the tables for tuning. What is reported are the other ones, and the kinds that
are for reporting only are put into no table for tuning.

A table is held out until somebody reads which of its deliveries are held and which of its faults
are missed; from then on it is for tuning. In this way the tables of four draws have gone over to
tuning. The fifth draw is for reporting: six real tables and six that are made up, from 50 to 6,600
rows a month. They were chosen or made by shape, and described, without a look at the method or at
how faults are put in; what is truly wrong in them was listed before they were measured. They and
this rule were committed first. They were measured once, and the page shows that; then it was read
which of their clean deliveries were held, and two faults of the method were mended. They go over to
tuning with the next draw, without which nothing new can be reported.
"""

import hashlib
from typing import Literal

READ = (
    "ad_sessions", "bank_calls", "bird_strikes", "blood_glucose", "city_weather", "data_breaches",
    "employment", "field_surveys", "football_matches", "hotel_bookings", "house_sales",
    "ledger_entries", "loan_applications", "machine_sensors", "meter_readings", "movie_ratings",
    "parcel_scans", "pet_licences", "pizza_orders", "police_force", "police_stops",
    "rain_forecasts", "self_harm_cases", "sensor_panel", "shop_orders", "state_births",
    "station_temperatures", "stock_index", "storm_tracks", "support_tickets", "taxi_trips",
    "train_rides", "turnip_prices", "tweets", "water_temperature", "web_sessions",
)  # fmt: skip
HELD_OUT = (
    "dengue_cases", "energy_production", "hate_crimes", "highway_traffic", "hospital_admissions",
    "hotel_searches", "insurance_claims", "share_prices", "subscription_billing",
    "vehicle_telematics", "warehouse_stock", "wind_mast",
)  # fmt: skip
NAMES = (*READ, *HELD_OUT)
READ_KINDS = ("identifiers_reissued",)

Half = Literal["tuning", "reporting"]


def half(table_name: str) -> Half:
    """The half that a table belongs to.

    The tables of four draws have been read: which of their clean deliveries were held, and which
    faults were missed. They are for tuning. The twelve of the fifth draw are held out: they were
    chosen or made by shape, and what is truly wrong in them was listed, without a look at the
    method or at how faults are put in, and before anything was measured on them. They were measured
    once; since then it has been read which of their clean deliveries were held.

    Raises:
        ValueError: There is no such table.
    """
    if table_name not in NAMES:
        raise ValueError(f"there is no table {table_name!r}")
    return "reporting" if table_name in HELD_OUT else "tuning"


def is_reporting_only(fault_kind: str) -> bool:
    """Whether no table for tuning gets a kind of fault: a third by the hash of their names.

    Identifiers that are issued anew were among them until it was read that they are missed.
    """
    return int(_digest(fault_kind), 16) % 3 == 0 and fault_kind not in READ_KINDS


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
