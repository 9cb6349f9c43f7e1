"""Which tables and kinds of fault may be looked at, and which only measure.

Thresholds are chosen on the tables for tuning. What is reported are the other ones, and the kinds
that are for reporting only are put into no table for tuning. The rule and the names of the tables
were committed before anything was measured on them, and nothing here is chosen by hand.
"""

import hashlib
from typing import Literal

REAL = (
    "bank_calls", "bird_strikes", "city_weather", "employment", "field_surveys", "hotel_bookings",
    "house_sales", "movie_ratings", "pet_licences", "pizza_orders", "police_force",
    "police_stops", "state_births", "storm_tracks", "water_temperature",
)  # fmt: skip
SYNTHETIC = ("machine_sensors", "shop_orders", "web_sessions")
NAMES = (*REAL, *SYNTHETIC)

Half = Literal["tuning", "reporting"]


def half(table_name: str) -> Half:
    """The half that a table belongs to.

    The real tables in the order of the SHA-256 of their names, then the synthetic ones in theirs,
    go by turns to tuning and to reporting, so that the halves are equal.

    Raises:
        ValueError: There is no such table.
    """
    order = [*sorted(REAL, key=_digest), *sorted(SYNTHETIC, key=_digest)]
    return "reporting" if order.index(table_name) % 2 else "tuning"


def is_reporting_only(fault_kind: str) -> bool:
    """Whether no table for tuning gets a kind of fault; about a third of the kinds."""
    return int(_digest(fault_kind), 16) % 3 == 0


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
