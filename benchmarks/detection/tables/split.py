"""Which tables and kinds of fault may be looked at, and which only measure.

Thresholds are chosen on the tables for tuning. What is reported are the other ones, and the kinds
that are for reporting only are put into no table for tuning.

The first draw halved the first eighteen tables by the SHA-256 of their names. Those of its
reporting half have been read since, so that all eighteen are for tuning now. The second draw is
for reporting: nine more real tables, which are small, and five larger ones, of some 2,000 to 8,000
rows a month, of which four are made up. They were chosen and made by shape, before anything was
measured on them and with the method not run on them; the larger ones were made up without a look
at it. This rule and the names were committed first. The third draw halved these fourteen once their
totals, and nothing else of them, had been seen. The fourth draw is for reporting: four larger
tables, made up in the same way, and not measured before the method was as it is.
"""

import hashlib
from typing import Literal

REAL = (
    "bank_calls", "bird_strikes", "city_weather", "employment", "field_surveys", "hotel_bookings",
    "house_sales", "movie_ratings", "pet_licences", "pizza_orders", "police_force",
    "police_stops", "state_births", "storm_tracks", "water_temperature",
)  # fmt: skip
SYNTHETIC = ("machine_sensors", "shop_orders", "web_sessions")
FRESH = (
    "data_breaches", "football_matches", "rain_forecasts", "self_harm_cases",
    "station_temperatures", "stock_index", "train_rides", "turnip_prices", "tweets",
    "blood_glucose", "ledger_entries", "meter_readings", "support_tickets", "taxi_trips",
)  # fmt: skip
READ = ("ledger_entries", "meter_readings")
SECOND = ("parcel_scans", "loan_applications", "sensor_panel", "ad_sessions")
NAMES = (*REAL, *SYNTHETIC, *FRESH, *SECOND)

Half = Literal["tuning", "reporting"]


def half(table_name: str) -> Half:
    """The half that a table belongs to.

    The first eighteen tables, real and synthetic, are for tuning: those of them that were for
    reporting at first, by the SHA-256 of their names, have been read since. Fourteen were added
    after them, chosen by shape, before anything was measured on them. Their totals showed that
    large tables were held for nothing too often, so that in the order of the SHA-256 of their
    names every other one, from the first on, may be read and is for tuning. Of the others two
    were read too, as they were held nearly every month; the rest of them report, and so do the
    four of the last draw. What was held and missed of those that report has been read since, so
    they are held out no longer, though no limit was chosen on them.

    Raises:
        ValueError: There is no such table.
    """
    if table_name not in NAMES:
        raise ValueError(f"there is no table {table_name!r}")
    if table_name in SECOND:
        return "reporting"
    order = sorted(FRESH, key=_digest)
    is_unread = table_name in FRESH and order.index(table_name) % 2 and table_name not in READ
    return "reporting" if is_unread else "tuning"


def is_reporting_only(fault_kind: str) -> bool:
    """Whether no table for tuning gets a kind of fault; about a third of the kinds."""
    return int(_digest(fault_kind), 16) % 3 == 0


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
