"""Four larger tables of the second draw that are made up: trips, meters, tickets and bookings.

They have what offices know: rhythms of day, week and year, holidays, days that stand out, heavy
tails, codes that nearly nobody uses, values that are missing in clusters, and changes that are
meant, such as a rise in fares or a new vendor. The same rows come of the same seed.
"""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
from synthetic import wander

DAY = np.timedelta64(1, "D")
Rng = np.random.Generator
TOPICS = {
    "billing": "invoice missing;wrong amount;refund;payment method;dunning letter;tax number",
    "access": "password;second factor;account locked;new user;rights;single sign-on",
    "fault": "error message;slow;no data;wrong figures;crash;printing;import failed;sync;mail lost",
    "question": "how to;settings;interface;report;data protection;training",
    "order": "upgrade;cancellation;more seats;offer;contract",
    "other": "praise;complaint;spam;unclear",
}
WORDS = (
    "since this morning", "again", "urgent!", "after the update", "please call me", "for one user",
    "on the tablet", "in the branch office", "as discussed", "see the screenshot", "still open",
    "month-end", "third time", "for our new colleague", "only in Firefox", "thanks",
)  # fmt: skip
EVENTS = {
    "purchase": ("office supplies", "rent", "hosting", "travel", "raw material", "repairs", "fuel"),
    "sale": ("delivery", "service", "licence", "spare parts", "freight"),
    "paid": ("transfer run", "direct debit", "card"),
    "received": ("customer payment", "factoring", "direct debit"),
    "payroll": ("salaries", "wages"),
    "depreciation": ("depreciation",),
    "accrual": ("accrued costs", "deferred income"),
}


def taxi_trips() -> pl.DataFrame:
    """A city's taxi trips of 24 months: rain, snow, games, a new vendor, a rise in fares."""
    rng = np.random.default_rng(20220701)
    days = np.arange("2022-07-01", "2024-07-01", dtype="datetime64[D]")
    weekday, month = (days.astype(int) + 3) % 7, days.astype("datetime64[M]").astype(int) % 12
    holidays = ("07-04", "11-24", "12-24", "12-25", "01-01", "05-29", "09-05")
    is_holiday = np.isin([str(each)[5:] for each in days], holidays)
    wet = np.clip(wander(rng, len(days), 0.45, 1.0) - 0.6, 0, None)
    snow = (wet > 0.7) & np.isin(month, (0, 1, 11))
    usual = 138 * np.array([0.88, 0.93, 0.97, 1.02, 1.16, 1.14, 0.9])[weekday]
    usual = usual * (1 + 0.05 * np.sin(2 * np.pi * (month - 3) / 12))
    usual = usual * np.exp(0.0065 * (days - days[0]).astype(int) / 30.4)
    usual = usual * np.where(is_holiday, 0.6, 1) * np.where(snow, 0.55, 1 + 0.11 * wet)
    trips = rng.poisson(usual * np.exp(wander(rng, len(days), 0.5, 0.07)))
    day = np.repeat(np.arange(len(days)), trips)
    count = len(day)
    hour = _trip_hours(rng, weekday[day], is_holiday[day])
    game = (weekday[day] >= 4) & np.isin(month[day], (3, 4, 5, 8, 9)) & (day % 3 == 0)
    leaving = game & (rng.random(count) < 0.16)
    hour = np.where(leaving, np.clip(rng.normal(22.1, 0.35, count), 20, 23.9), hour)
    pickup, dropoff, apart = _zones(rng, hour, leaving)
    slow = 1 + 0.55 * np.exp(-(((hour - 17.3) / 1.8) ** 2)) * (weekday[day] < 5)
    slow = (
        slow
        * (1 + 0.35 * snow[day] + 0.05 * wet[day])
        * np.exp(rng.normal(0, 0.05, len(days)))[day]
    )
    distance = np.round(apart * rng.lognormal(0.0, 0.17, count) + rng.gamma(1.2, 0.2, count), 2)
    duration = (
        (distance / 14.5 * 3600 + rng.gamma(2, 55, count)) * slow * rng.lognormal(0, 0.2, count)
    )
    left_on = rng.random(count) < 0.0012  # the meter runs on while the driver has a break
    duration = np.where(left_on, duration + rng.uniform(4, 23, count) * 3600, duration)
    called_off = rng.random(count) < 0.008
    distance = np.where(called_off, 0.0, distance)
    duration = np.where(called_off, rng.exponential(70, count) + 2, duration).astype(int)
    airport = (pickup == 71) | (dropoff == 71)
    agreed = ~airport & (rng.random(count) < 0.012)
    late = (hour >= 20) | (hour < 6)
    raised = np.where(days[day] >= np.datetime64("2023-11-01"), 1.12, 1.0)
    # in dimes, as a meter counts
    minutes = np.where(left_on, 20, duration / 60)
    fare = np.round((3.0 + 2.3 * distance + 0.28 * minutes) * raised * 10).astype(int) * 10
    fare = np.where(agreed, rng.choice([20, 25, 30, 40, 50, 60, 80, 120], count) * 100, fare)
    extra = 50 * late + 100 * ((hour >= 16) & (hour < 19) & (weekday[day] < 5)) + 400 * airport
    toll = np.where((apart > 6) & (rng.random(count) < 0.45), np.where(raised > 1, 395, 360), 0)
    vendor = np.where(rng.random(count) < 0.57, 1, 2)
    joined = np.clip((day - 396) / 500, 0, 0.22)  # from August 2023 on
    vendor = np.where((day >= 396) & (rng.random(count) < 0.04 + joined), 6, vendor)
    by_app = np.where(vendor == 6, 0.5, 0.07 + 0.05 * day / len(days))
    share = rng.random(count)
    payment = np.where(share < 0.22 - 0.04 * day / len(days), "cash", "card")
    payment = np.where(share > 1 - by_app, "app", payment)
    payment = np.where(called_off & (share < 0.7), "no charge", payment)
    payment = np.where(rng.random(count) < 0.0035, "dispute", payment)
    paid_by = np.isin(payment, ("card", "app"))
    tip = _tips(rng, fare + extra + toll, paid_by, payment == "app")
    # a device that loses its seat sensor says nothing for days
    silent = (vendor == 2) & (wander(rng, len(days), 0.93, 1.0)[day] > 4.2) & (share > 0.25)
    people = np.array([1, 2, 3, 4, 5, 6])[
        rng.choice(6, count, p=[0.7, 0.16, 0.05, 0.04, 0.03, 0.02])
    ]
    unknown = silent | (rng.random(count) < 0.006)
    held = rng.random(count) < np.where(np.isin(pickup, (13, 44, 58)), 0.04, 0.004)
    frame = pl.DataFrame(
        {
            "picked_up_at": moments(days[day], hour * 3600, "America/Chicago"),
            "vendor": vendor,
            "pickup_zone": pickup,
            "dropoff_zone": pl.Series(dropoff).set(pl.Series(rng.random(count) < 0.007), None),
            "passengers": pl.Series(people).set(pl.Series(unknown), None),
            "distance": distance,
            "duration": duration,
            "rate": np.where(airport, "airport", np.where(agreed, "agreed", "standard")),
            "payment": payment,
            "fare": fare / 100,
            "extra": extra / 100,
            "toll": toll / 100,
            "tip": tip / 100,
            "total": (fare + extra + toll + tip) / 100,
            "sent_later": held,
        }
    )
    frame = frame.drop_nulls("picked_up_at").sort("picked_up_at")
    number = 7_310_000 + np.cumsum(rng.geometric(0.4, frame.height))
    return frame.insert_column(0, pl.Series("trip_id", number))


def _trip_hours(rng: Rng, weekday: np.ndarray, is_holiday: np.ndarray) -> np.ndarray:
    """When trips begin: commuters on working days, nights out before free days."""
    count, free = len(weekday), (weekday >= 5) | is_holiday
    share = rng.random(count)
    hour = rng.normal(14.5, 4.2, count)
    hour = np.where(~free & (share < 0.2), rng.normal(8.2, 0.9, count), hour)
    hour = np.where(~free & (share > 0.74), rng.normal(17.8, 1.4, count), hour)
    out = np.where(np.isin(weekday, (4, 5)), 0.3, 0.1)
    hour = np.where(rng.random(count) < out, rng.normal(23.0, 1.9, count), hour)
    return hour % 24


def _zones(rng: Rng, hour: np.ndarray, leaving: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where trips begin and end, of 80 zones, and how many miles these are apart."""
    count = len(hour)
    place = np.concatenate([rng.normal(0, 1.1, (45, 2)), rng.normal(0, 3.0, (35, 2))])
    place[70] = (-9.5, 5.0)  # the airport
    rank = rng.permutation(80)
    weight = 1 / (rank + 1.5) ** 1.05
    weight[70] = 0.18
    home = weight * np.where(np.arange(80) >= 45, 2.4, 0.6)
    work = weight * np.where(np.arange(80) < 45, 1.8, 0.35)
    to_work = np.exp(-(((hour - 8.5) / 2.5) ** 2)) > rng.random(count)
    one = rng.choice(80, count, p=home / home.sum())
    other = rng.choice(80, count, p=work / work.sum())
    near = rng.random(count) < 0.2
    other = np.where(near, np.argsort(np.hypot(*(place[:, None] - place).T))[one, 1], other)
    turned = ~to_work & (rng.random(count) < 0.55)
    pickup, dropoff = np.where(turned, other, one), np.where(turned, one, other)
    pickup = np.where(leaving, 21, pickup)
    apart = 1.25 * np.hypot(*(place[pickup] - place[dropoff]).T) + np.where(
        pickup == dropoff, 0.6, 0
    )
    return pickup + 1, dropoff + 1, apart


def _tips(rng: Rng, due: np.ndarray, paid_by: np.ndarray, by_app: np.ndarray) -> np.ndarray:
    """Cents: a button's share, rounded up, anything, or nothing; cash is not known."""
    count = len(due)
    button = rng.choice([0.15, 0.18, 0.2, 0.25, 0.3], count, p=[0.16, 0.28, 0.36, 0.14, 0.06])
    up = -due % 500 + np.where(-due % 500 < 80, 500, 0)
    free = np.round(due * rng.lognormal(-2.0, 0.8, count) / 50) * 50
    share = rng.random(count)
    tip = np.where(share < 0.58, np.round(due * button), np.where(share < 0.75, up, free))
    none = (share > np.where(by_app, 0.72, 0.91)) | ~paid_by
    return np.where(none, 0, tip).astype(int)


def meter_readings() -> pl.DataFrame:
    """Forty households' meters every six hours for 24 months: seasons, outages, a new meter."""
    rng = np.random.default_rng(20230301)
    times = np.arange("2023-03-01", "2025-03-01", 6, dtype="datetime64[h]")
    count = len(times)
    local = pl.Series(times.astype("datetime64[us]")).dt.replace_time_zone("UTC")
    local = local.dt.convert_time_zone("Europe/Berlin")
    part = (np.arange(count) % 4).astype(int)
    weekend = local.dt.weekday().to_numpy() >= 6
    year = 2 * np.pi * (np.arange(count) / 4 + 59) / 365.25
    outdoor = 10.2 - 9.3 * np.cos(year - 0.35) + np.array([-2.4, -0.6, 3.0, 0.4])[part]
    outdoor = outdoor + wander(rng, count, 0.94, 1.15)
    sky = np.clip(0.55 + wander(rng, count, 0.8, 0.17), 0.05, 1.0)
    sun = np.array([0.02, 0.95, 1.0, 0.13])[part] * (1 - 0.72 * np.cos(year + 0.17)) * sky
    price = np.select(
        [times < np.datetime64("2024-01-01"), times < np.datetime64("2025-01-01")],
        [0.3412, 0.3178],
        0.3264,
    )
    outages = _outages(rng, count)
    grid_voltage = 230.5 + wander(rng, count, 0.9, 0.35) + np.array([1.2, 0.3, 0.0, -1.5])[part]
    frames = []
    for place in range(40):
        solar, pump, car = place % 4 == 1, place % 7 == 3, place % 9 == 5
        size = float(rng.lognormal(0, 0.35))
        away = _away(rng, count)
        shape = np.array([0.45, 0.85, 0.95, 1.6]) * rng.lognormal(0, 0.15, 4)
        use = size * shape[part] * np.where(weekend, 1.0 + 0.25 * (part == 1), 1.0)
        use = use * (1 + 0.12 * np.cos(year)) * np.exp(wander(rng, count, 0.6, 0.2))
        use = np.where(away, 0.28 * size * rng.lognormal(0, 0.05, count), use)
        heated = pump & (np.arange(count) >= (2360 if place == 24 else 0))
        use = use + heated * np.clip(15.5 - outdoor, 0, None) * (0.16 + 0.03 * size) * np.where(
            away, 0.5, 1
        )
        owns = np.arange(count) >= int(rng.integers(0, 1500))
        charged = car & owns & ~away & (rng.random(count) < np.array([0.3, 0.03, 0.04, 0.2])[part])
        use = use + charged * rng.gamma(5, 2.2, count)
        made = float(rng.uniform(3, 7)) * sun * rng.lognormal(0, 0.08, count) if solar else 0 * sun
        own = np.round(np.minimum(made, use * rng.uniform(0.55, 0.95, count)), 3)
        grid = np.round(use - np.minimum(own, use), 3)
        total = np.round(float(rng.uniform(800, 52_000)) + np.cumsum(grid), 1)
        serial = np.full(count, 4_100_000 + int(rng.integers(0, 90_000)))
        if place == 11:  # its old meter ran out of its calibration
            new = times >= np.datetime64("2024-05-14T06")
            total = np.where(new, np.round(np.cumsum(grid * new), 1), total)
            serial = np.where(new, 5_250_318, serial)
        voltage = np.round(
            grid_voltage + rng.normal(0, 0.6, count) - 0.35 * grid + place % 5 * 0.3, 1
        )
        if place == 16:
            stuck = (times >= np.datetime64("2024-08-05")) & (times < np.datetime64("2024-08-17"))
            voltage = np.where(stuck, 231.4, voltage)
        signal = np.round(-71 - place % 6 * 3.5 + wander(rng, count, 0.97, 0.7)).astype(int)
        lost = outages[place // 8] | (rng.random(count) < np.where(signal < -92, 0.03, 0.0008))
        guessed = ~lost & np.roll(lost, 1) & (rng.random(count) < 0.6)
        frame = pl.DataFrame(
            {
                "household": np.full(count, f"H{place + 1:02}"),
                "read_at": pl.Series(times.astype("datetime64[us]")).dt.replace_time_zone("UTC"),
                "serial": serial,
                "tariff": np.full(count, "HEAT" if pump else ("FLEX" if car else "BASE")),
                "status": np.where(lost, 4, np.where(guessed, 1, 0)),
                "consumption": np.round(grid + own, 3),
                "from_grid": grid,
                "from_roof": own,
                "price": price + (-0.0415 if pump else 0.0),
                "cost": np.round(grid * (price + (-0.0415 if pump else 0.0)), 4),
                "reading": total,
                "voltage": voltage,
                "signal": signal,
                "outdoor_temperature": np.round(outdoor + place // 8 * 0.2, 1),
            }
        ).with_columns(pl.col("price").round(4))
        measured = ("consumption", "from_grid", "from_roof", "cost", "reading", "voltage", "signal")
        gone = pl.Series(lost)
        frame = frame.with_columns(frame[name].set(gone, None) for name in measured)
        first = 0 if place < 37 else 620 + 90 * (place - 37)  # three moved in later
        frames.append(frame[first:])
    return pl.concat(frames)


def _outages(rng: Rng, count: int) -> np.ndarray:
    """By collector and time: one stands for eight meters, and is out for hours or days."""
    out = np.zeros((5, count), dtype=bool)
    for row in out:
        for begin in np.flatnonzero(rng.random(count) < 0.006):
            row[begin : begin + 1 + int(rng.pareto(1.3) * 1.5) % 16] = True
    return out


def _away(rng: Rng, count: int) -> np.ndarray:
    """When nobody is at home: a weekend, a week, three weeks in summer."""
    away = np.zeros(count, dtype=bool)
    for begin in np.flatnonzero(rng.random(count) < 0.004):
        away[begin : begin + int(rng.choice([8, 10, 28, 34, 56]))] = True
    for summer in (500, 1960):
        begin = summer + int(rng.integers(0, 220))
        away[begin : begin + int(rng.integers(36, 88))] = True
    return away


def support_tickets() -> pl.DataFrame:
    """A software house's tickets of 28 months: Mondays, school holidays, incidents, releases."""
    rng = np.random.default_rng(20220901)
    days = np.arange("2022-09-01", "2025-01-01", dtype="datetime64[D]")
    weekday, month = (days.astype(int) + 3) % 7, days.astype("datetime64[M]").astype(int) % 12
    text = np.array([str(each)[5:] for each in days])
    closed = np.isin(text, ("10-03", "12-24", "12-25", "12-26", "12-31", "01-01", "05-01"))
    school = np.isin(month, (6, 7)) | (text >= "12-21") | (text <= "01-05")
    usual = 108 * np.array([1.42, 1.08, 1.0, 0.98, 0.84, 0.12, 0.09])[weekday]
    usual = usual * np.where(closed, 0.12, np.where(school, 0.83, 1.0))
    usual = usual * (1 + 0.0003 * np.arange(len(days))) * np.exp(wander(rng, len(days), 0.55, 0.1))
    # a release each quarter, with questions and faults in the weeks after it
    second_week = np.array([8 <= int(each[3:]) <= 14 for each in text])
    released = np.where(np.isin(month, (1, 4, 7, 10)) & second_week & (weekday == 1), 1.0, 0.0)
    after = np.convolve(released, np.exp(-np.arange(60) / 8))[: len(days)]
    tickets = rng.poisson(usual * (1 + 0.22 * after))
    incident = (rng.random(len(days)) < 0.022) & (weekday < 5)
    more = np.where(incident, rng.poisson(rng.gamma(2, 16, len(days))), 0)
    day = np.repeat(np.arange(len(days)), tickets + more)
    count = len(day)
    place = np.arange(count) - np.repeat(np.cumsum(tickets + more) - tickets - more, tickets + more)
    struck = place >= tickets[day]  # by the incident of the day
    share = rng.random(count)
    hour = np.where(share < 0.55, rng.normal(10.2, 1.5, count), rng.normal(14.4, 1.9, count))
    hour = np.where(share > 0.96, rng.uniform(0, 24, count), hour)
    hour = np.where(struck, (8 + day % 7) + rng.gamma(1.4, 0.9, count), hour) % 24
    office = (hour > 7.5) & (hour < 18.2) & (weekday[day] < 5) & ~closed[day]
    product = _drawn(rng, "Ledger Desk Planner Vault Mobile Connect", [34, 24, 17, 11, 9, 5], count)
    old = (product == "Vault") & (rng.random(count) < np.clip(day / 700, 0, 0.8))  # sold off slowly
    product = np.where(old, "Ledger", product)
    product = np.where(struck, np.array(["Ledger", "Connect", "Mobile"])[day % 3], product)
    kind = _drawn(rng, " ".join(TOPICS), [19, 21, 27, 22, 7, 4], count)
    turned = (after[day] * 0.13 > rng.random(count)) | struck
    kind = np.where(turned, np.where(struck | (share < 0.6), "fault", "question"), kind)
    topic = np.empty(count, dtype=object)
    for name, topics in TOPICS.items():
        those, names = np.flatnonzero(kind == name), np.array(topics.split(";"))
        weight = 1 / np.arange(1, len(names) + 1) ** 1.1
        topic[those] = names[rng.choice(len(names), len(those), p=weight / weight.sum())]
    channel = _drawn(rng, "mail phone portal chat", [41, 29, 22, 8], count)
    chat = office & (rng.random(count) < 0.1 * day / len(days))
    channel = np.where(chat, "chat", np.where(~office & (channel == "phone"), "mail", channel))
    customer = 20_000 + _partners(rng, 2.4, 2600 + 2 * day)
    country = np.array(["DE", "AT", "CH", "NL", "LU", "DK", "LI"])
    spread = np.searchsorted([70, 82, 92, 96, 98, 99], customer * 31 % 100, side="right")
    urgent = (kind == "fault") * 0.16 + struck * 0.5
    priority = np.where(rng.random(count) < urgent, 1, 2 + np.searchsorted([0.24, 0.86], share))
    faulty = (kind == "fault") & (rng.random(count) < 0.64)
    error = 1000 + np.minimum(rng.zipf(1.5, count), 4_000) * 37 % 890
    error = np.where(struck, 5000 + day % 97, error)
    answered = channel == "phone"
    crowd = np.log(np.clip((tickets + more) / usual, 0.7, 4))[day]
    first = rng.lognormal(
        3.7 + 0.7 * crowd + (channel == "mail") * 0.9 - (channel == "chat") * 2.4, 1.0
    )
    first = first * np.where(priority == 1, 0.3, 1) + ~office * rng.uniform(120, 900, count)
    worked = rng.lognormal(2.1 + 0.55 * (kind == "fault") - 0.3 * (kind == "access"), 0.85)
    open_for = first / 60 + worked / 20 + rng.lognormal(1.6 + 0.8 * (kind == "fault"), 1.6)
    reopened = rng.binomial(3, np.where(kind == "fault", 0.035, 0.012))
    never = (topic == "spam") | (rng.random(count) < 0.013)
    asked = (rng.random(count) < np.where(channel == "chat", 0.42, 0.17)) & ~never
    mood = 4.4 - 0.25 * np.log1p(open_for / 24) - 0.6 * reopened + rng.standard_t(4, count) * 0.8
    series = np.cumsum(released).astype(int)[day] - (rng.random(count) < 0.3) - (share > 0.9)
    frame = pl.DataFrame(
        {
            "opened_at": moments(days[day], hour * 3600, "Europe/Berlin"),
            "channel": channel,
            "customer": customer,
            "country": country[spread],
            "product": product,
            "version": [f"{7 + each // 4}.{each % 4}" for each in (series + 3).tolist()],
            "kind": kind,
            "topic": topic.astype(str),
            "error_code": pl.Series([f"E{each}" for each in error.tolist()]).set(
                pl.Series(~faulty & ~struck), None
            ),
            "priority": priority,
            "team": np.where(
                kind == "billing", "back office", np.where(kind == "fault", "second", "first")
            ),
            "agent": _agents(rng, day, kind == "fault"),
            "subject": _subjects(rng, topic),
            "first_answer": pl.Series(np.round(first))
            .cast(pl.Int64)
            .set(pl.Series(answered), None),
            "worked": np.round(worked, 1),
            "open_for": pl.Series(np.round(open_for, 1)).set(pl.Series(never), None),
            "reopened": reopened,
            "escalated": (rng.random(count) < np.where(priority == 1, 0.11, 0.008))
            | (reopened > 1),
            "mood": pl.Series(np.clip(np.round(mood), 1, 5))
            .cast(pl.Int64)
            .set(pl.Series(~asked), None),
        }
    )
    frame = frame.drop_nulls("opened_at").sort("opened_at")
    number = 318_400 + np.cumsum(rng.geometric(0.85, frame.height))
    return frame.insert_column(0, pl.Series("ticket", [f"T-{each}" for each in number.tolist()]))


def _drawn(rng: Rng, names: str, weights: list[int], count: int) -> np.ndarray:
    weight = np.array(weights) / sum(weights)
    return np.array(names.split())[rng.choice(len(weights), count, p=weight)]


def _agents(rng: Rng, day: np.ndarray, is_fault: np.ndarray) -> np.ndarray:
    """Who works on it: of 34 some come and some leave, and each has days off."""
    begin = np.concatenate([np.zeros(19), rng.integers(20, 800, 15)])
    end = np.where(rng.random(34) < 0.4, begin + rng.integers(120, 700, 34), 10_000)
    weight = rng.gamma(3, 1, 34)
    expert = np.arange(34) % 3 == 0
    chosen = np.empty(len(day), dtype=int)
    for each in np.unique(day):
        those = np.flatnonzero(day == each)
        there = ((begin <= each) & (each < end) & (rng.random(34) < 0.8)) + 1e-9
        for kind in (False, True):
            mine = those[is_fault[those] == kind]
            share = weight * there * np.where(expert == kind, 1.0, 0.12)
            chosen[mine] = rng.choice(34, len(mine), p=share / share.sum())
    letters = rng.choice(list("abcdefghklmnoprstw"), (34, 3))
    return np.array([f"{''.join(each)}{number % 7}" for number, each in enumerate(letters)])[chosen]


def _subjects(rng: Rng, topic: np.ndarray) -> pl.Series:
    """What customers write above it, in their own way; a few write nothing."""
    count = len(topic)
    one, other = rng.integers(0, len(WORDS), (2, count)).tolist()
    number, how = rng.integers(1000, 90_000, count).tolist(), rng.random(count).tolist()
    made: list[str | None] = []
    for each, name in enumerate(topic):
        head = "RE: " if how[each] < 0.09 else ("FW: " if how[each] < 0.12 else "")
        tail = f" {WORDS[one[each]]}" if how[each] < 0.7 else ""
        tail += f" (no. {number[each]})" if how[each] % 0.1 < 0.03 else ""
        tail += f", {WORDS[other[each]]}" if how[each] % 0.2 < 0.05 else ""
        said = name.upper() if how[each] % 0.5 < 0.01 else name.capitalize()
        made.append(None if how[each] > 0.985 else f"{head}{said}{tail}")
    return pl.Series(made, dtype=pl.String)


def ledger_entries() -> pl.DataFrame:
    """Three companies' bookings of 30 months by line; those of a voucher add up to nothing."""
    rng = np.random.default_rng(20220103)
    days = np.arange("2022-01-01", "2024-07-01", dtype="datetime64[D]")
    kinds = np.array(list(EVENTS))
    counts = np.array([rng.poisson(each) for each in _vouchers_expected(rng, days)])
    day = np.concatenate([np.repeat(np.arange(len(days)), each) for each in counts])
    kind = np.repeat(np.arange(len(kinds)), counts.sum(axis=1))
    count = len(day)
    buys, sells, wages = kind == 0, kind == 1, kind == 4
    pool = np.minimum(rng.zipf(1.45, count) - 1, 10_000) % np.array([60, 14, 3, 3, 4, 9, 6])[kind]
    entity = 1 + np.searchsorted([0.56, 0.85], rng.random(count))
    partner = _partners(rng, 2.2, 700 + day // 3)
    net = rng.lognormal(np.array([5.3, 6.4, 6.6, 6.7, 10.1, 6.9, 7.6])[kind], 1.45)
    net = np.where(wages, np.exp(10.1 + 0.3 * rng.normal(0, 1, count)), net)
    net = net * np.where(wages, 1.04 ** (day // 365), 1.06 ** (day / 365))
    standing = (buys & (pool % 7 == 1)) | (kind == 5)  # rents and the like are the same each month
    net = np.where(standing, 240 + 377 * ((partner + pool) % 40), net)
    even = ~standing & (rng.random(count) < 0.08)
    cents = np.where(even, np.ceil(net / 50) * 5000, np.round(net * 100)).astype(int) + 1
    cents = np.where(even | standing, cents - 1, cents)
    credit = (buys | sells) & (rng.random(count) < 0.02)  # a credit note
    cents = np.where(credit, -cents, cents)
    share = rng.random(count)
    foreign = np.isin(kind, (0, 1, 2, 3)) & (share < np.array([0, 0.14, 0.42, 0.3])[entity])
    currency = _drawn(rng, "USD GBP CHF PLN SEK", [44, 18, 21, 11, 6], count)
    currency = np.where(foreign, np.where(entity == 2, "CHF", currency), "EUR")
    currency = np.where(foreign & (share < 0.09), "USD", currency)
    tax = np.where(foreign | (share > 0.93), 0, np.where((pool % 9 == 4) & buys, 7, 19))
    tax = np.where(buys | sells, tax, 0)
    owed = np.round(cents * tax / 100).astype(int)
    first = np.where(wages, cents * 79 // 100, np.where(share % 0.1 < 0.03, cents * 3 // 5, cents))
    first = np.where(np.isin(kind, (0, 1, 4)), first, cents)
    sign = np.where(np.isin(kind, (1, 3)), -1, 1)
    main = np.array([4100, 8000, 1600, 1400, 4000, 4800, 4900])[kind] + np.where(
        np.isin(kind, (2, 3)), entity - 1, 10 * pool
    )
    against = np.array([1600, 1400, 1200, 1200, 1740, 480, 970])[kind]
    against = against + np.where(np.isin(kind, (0, 1)), entity - 1, np.where(kind < 4, pool, 0))
    code = np.where(buys, "V", "U").astype(object) + tax.astype(str).astype(object)
    late = rng.random(count) < np.where(buys, 0.4, 0.1)
    lag = np.where(np.isin(kind, (0, 1, 3)), rng.geometric(np.where(late, 0.07, 0.5)) - 1, 0)
    dated = days[day] - lag * DAY
    by_machine = np.isin(kind, (2, 4, 5)) | (share > 0.985)
    seconds = np.where(by_machine, 79_500 + rng.gamma(2, 90, count), _office_seconds(rng, count))
    base = pl.DataFrame(
        {
            "day": days[day],
            "seconds": seconds.astype(int),
            "company": entity,
            "document_date": dated,
            "document_type": kinds[kind],
            "is_reversal": np.zeros(count, dtype=bool),
            "partner": pl.Series(20_000 + partner).set(pl.Series(kind >= 4), None),
            "centre": _centres(rng, entity, days[day]),
            "currency": currency,
            "tax_code": pl.Series(code.tolist()).set(pl.Series(~(buys | sells)), None),
            "clerk": np.where(by_machine, "AUTO", _clerks(rng, kind, day)),
            "memo": _memos(rng, kind, pool, partner),
            "sign": sign,
            "first": first,
            "rest": cents - first,
            "owed": owed,
            "main": main,
            "against": against,
        }
    )
    return _lines(_with_reversals(rng, base), _rates(rng, days))


def _vouchers_expected(rng: Rng, days: np.ndarray) -> list[np.ndarray]:
    """By kind of event and day: most at the end of a month, hardly any on free days."""
    weekday, month = (days.astype(int) + 3) % 7, days.astype("datetime64[M]").astype(int)
    text = np.array([str(each)[5:] for each in days])
    closed = np.isin(text, ("01-01", "01-06", "05-01", "10-03", "12-24", "12-25", "12-26", "12-31"))
    work = (weekday < 5) & ~closed
    places = np.arange(len(days))
    left = np.array([(work & (month == month[each]) & (places > each)).sum() for each in places])
    done = np.array([(work & (month == month[each]) & (places < each)).sum() for each in places])
    last = work & (left == 0)
    paid = work & (np.array([int(each[3:]) for each in text]) <= 25)
    payday = np.zeros(len(days))
    for each in np.unique(month):
        payday[np.flatnonzero(paid & (month == each))[-1]] = 1
    level = (1 + 0.0002 * places) * np.exp(wander(rng, len(days), 0.4, 0.12))
    level = level * np.where(np.isin(month % 12, (7, 11)), 0.88, 1.0) * np.where(work, 1, 0.015)
    quarter = np.where(month % 3 == 2, 1.7, 1.0)
    return [
        13 * level * (1 + 1.2 * np.exp(-left / 1.3) + 0.6 * (done < 3)),
        16 * level * (1 + 1.7 * np.exp(-left / 1.1)),
        22 * (work & np.isin(weekday, (1, 4))) * level,
        14 * level * np.where(weekday == 0, 1.5, 1.0),
        34 * payday,
        28.0 * last,
        (19 * last + 6 * (work & (left == 1))) * quarter,
    ]


def _office_seconds(rng: Rng, count: int) -> np.ndarray:
    hour = np.where(
        rng.random(count) < 0.6, rng.normal(10, 1.2, count), rng.normal(14.6, 1.3, count)
    )
    return np.clip(hour, 6.2, 20.8) * 3600


def _centres(rng: Rng, entity: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Cost centres; each January brings new ones."""
    count = len(entity)
    known = np.where(
        day < np.datetime64("2023-01-01"), 15, np.where(day < np.datetime64("2024-01-01"), 17, 18)
    )
    rank = np.floor(known * rng.random(count) ** 1.8).astype(int)
    rank = (rank + 5 * entity) % known
    return np.array([f"C{100 + 15 * each}" for each in range(18)])[rank]


def _clerks(rng: Rng, kind: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Who books: each has a field of work, helps out now and then, and one follows another."""
    own = np.array(["bs", "mk", "ow", "ow", "hr", "tl", "tl"])[kind]
    helped = rng.random(len(kind)) < 0.18
    own = np.where(helped, rng.choice(["mk", "bs", "tl", "jf"], len(kind)), own)
    return np.where((own == "mk") & (day > 505), "ry", own)


def _memos(rng: Rng, kind: np.ndarray, pool: np.ndarray, partner: np.ndarray) -> pl.Series:
    names, how = list(EVENTS.values()), rng.random(len(kind)).tolist()
    number = rng.integers(10_000, 999_999, len(kind)).tolist()
    made: list[str | None] = []
    for each, (one, item, who) in enumerate(
        zip(kind.tolist(), pool.tolist(), partner.tolist(), strict=True)
    ):
        said = names[one][item % len(names[one])]
        said += f" {number[each]}" if how[each] < 0.6 else (f" K{who}" if how[each] < 0.75 else "")
        made.append(None if how[each] > 0.93 else (said.upper() if how[each] > 0.9 else said))
    return pl.Series(made, dtype=pl.String)


def _with_reversals(rng: Rng, base: pl.DataFrame) -> pl.DataFrame:
    """With corrections days later, accruals taken back, and a bank file that was read twice."""
    accrual, bank_day = base["document_type"] == "accrual", date(2023, 3, 14)
    twice = base.filter((base["document_type"] == "received") & (base["day"] == bank_day))
    twice = twice.with_columns(pl.col("seconds") + 5_400, clerk=pl.lit("AUTO"))
    wrong = base.filter(pl.Series(rng.random(base.height) < 0.005) & ~accrual)
    wait = pl.Series(rng.geometric(0.15, wrong.height)).cast(pl.Duration("ms")) * 86_400_000
    wrong = wrong.with_columns(pl.col("day") + wait)
    undone = pl.concat([wrong, twice.with_columns(pl.col("day") + pl.duration(days=2))])
    undone = undone.with_columns(document_type=pl.lit("correction"), clerk=pl.lit("jf"))
    begun = pl.col("day").dt.month_end().dt.offset_by("1d")
    taken_back = base.filter(accrual).with_columns(
        day=begun
        + pl.when(begun.dt.month() == 1).then(pl.duration(days=1)).otherwise(pl.duration())
    )
    free = pl.col("day").dt.weekday() > 5
    undone = pl.concat([undone, taken_back]).with_columns(
        pl.col("day") + pl.duration(days=(8 - pl.col("day").dt.weekday()) % 8 % 3 * free),
        -pl.col("sign"),
        is_reversal=pl.lit(value=True),
    )
    undone = undone.with_columns(document_date="day")
    return pl.concat([base, twice, undone])


def _lines(base: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """A voucher's lines: what for, the rest of it, tax, and where it is owed or paid."""
    base = base.join(rates, on=["day", "currency"]).sort("day", "seconds", maintain_order=True)
    voucher = pl.Series("voucher", [f"B{1_204_000 + each}" for each in range(base.height)])
    base = base.with_columns(voucher)
    tax = pl.when(pl.col("tax_code").str.starts_with("V")).then(1570).otherwise(1770)
    legs = [
        (pl.col("first"), pl.col("main")),
        (pl.col("rest"), pl.col("main") + 30),
        (pl.col("owed"), tax),
        (-(pl.col("first") + pl.col("rest") + pl.col("owed")), pl.col("against")),
    ]
    lines = pl.concat(
        base.with_columns(
            leg=pl.lit(leg), cents=amount * pl.col("sign"), account=account.cast(pl.Int64)
        ).filter(pl.col("cents") != 0)
        for leg, (amount, account) in enumerate(legs)
    ).sort("voucher", "leg")
    amount = pl.col("cents") / 100
    early = pl.col("day").dt.day() <= 5
    lines = lines.with_columns(
        line=pl.int_range(1, pl.len() + 1).over("voucher"),
        amount=amount,
        local_amount=(amount * pl.col("rate")).round(2),
        period=pl.when(early).then(pl.col("document_date")).otherwise(pl.col("day")).dt.month(),
        centre=pl.when(pl.col("account") >= 4000).then("centre"),
        document_date=pl.col("document_date").cast(pl.Date),
        posted_at=pl.col("day").cast(pl.Datetime("us")) + pl.duration(seconds="seconds"),
    )
    return lines.select(
        "voucher", "line", "posted_at", "company", "document_type", "document_date", "period",
        "account", "centre", "partner", "currency", "amount", "rate", "local_amount", "tax_code",
        "is_reversal", "clerk", "memo",
    )  # fmt: skip


def _rates(rng: Rng, days: np.ndarray) -> pl.DataFrame:
    """Euros for one of a currency, day by day; at weekends they are Friday's."""
    start = {"CHF": 0.965, "GBP": 1.192, "PLN": 0.2178, "SEK": 0.0972, "USD": 0.8834, "EUR": 1.0}
    friday = np.maximum(np.arange(len(days)) - np.clip((days.astype(int) + 3) % 7 - 4, 0, 2), 0)
    frames = []
    for currency, rate in start.items():
        steps = np.cumsum(rng.standard_t(5, len(days)) * (0 if currency == "EUR" else 0.0034))
        steps = steps - 0.75 * steps[-1] * np.arange(len(days)) / len(days)  # it ends not far away
        known = np.round(rate * np.exp(steps), 5)[friday]
        frames.append(
            pl.DataFrame({"day": days, "currency": [currency] * len(days), "rate": known})
        )
    return pl.concat(frames)


def _partners(rng: Rng, steep: float, known: np.ndarray) -> np.ndarray:
    """Numbers of customers and the like, of which few come often; more are known each day."""
    rank = np.floor(known * rng.random(len(known)) ** steep).astype(int)
    first, most = int(known.min()), int(known.max())
    return np.concatenate([rng.permutation(first), np.arange(first, most)])[rank]


def moments(day: np.ndarray, seconds: np.ndarray, zone: str) -> pl.Series:
    """Moments of local times; null in the hour that no clock shows."""
    local = day.astype("datetime64[us]") + seconds.astype(int) * np.timedelta64(1_000_000, "us")
    moments = pl.Series(local).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return moments.dt.convert_time_zone("UTC")


GENERATORS: dict[str, Callable[[], pl.DataFrame]] = {
    "ledger_entries": ledger_entries,
    "meter_readings": meter_readings,
    "support_tickets": support_tickets,
    "taxi_trips": taxi_trips,
}
